/* SPDX-License-Identifier: Apache-2.0
 * cc example.c -o example $(pkg-config --cflags --libs mien) && ./example photo.jpg overlay.png */
#include <mien.h>
#include <stdio.h>

int main(int argc, char **argv) {
    mien *m = NULL;
    mien_image photo = { 0 };
    mien_faces faces = { 0 };
    mien_face_settings settings = mien_face_defaults();
    int ok = argc == 3 && mien_open(NULL, &m) == 0 && mien_image_load(argv[1], 0, 0, &photo) == 0 &&
             mien_find_faces(m, photo.rgb, photo.width, photo.height, &settings, &faces) == 0;
    for (int i = 0; ok && i < faces.count; i++) {
        const mien_point *p = faces.face[i].landmarks;   /* 468 and 473 are the pupils */
        printf("face %d: score %.4f, pupils at %.4f,%.4f and %.4f,%.4f\n", i, faces.face[i].score, p[468].x, p[468].y, p[473].x, p[473].y);
    }
    ok = ok && mien_draw(&faces, 0, &photo) >= 0 && mien_image_save_png(argv[2], &photo) == 0;
    if (!ok) fprintf(stderr, "%s\n", argc == 3 ? mien_error() : "usage: example PHOTO OVERLAY.png");
    mien_faces_free(&faces), mien_image_free(&photo), mien_close(m);
    return !ok;
}
