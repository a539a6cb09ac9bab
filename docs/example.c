/* SPDX-License-Identifier: Apache-2.0
 *
 * Landmarks and control map of a photo with libmien:
 *     cc example.c $(pkg-config --cflags --libs mien) && ./a.out photo.jpg map.png */
#include <mien.h>
#include <stdio.h>

int main(int argc, char **argv) {
    mien *m;
    mien_image photo, map;
    mien_faces faces;
    if (argc != 3 || mien_open(NULL, &m) || mien_image_load(argv[1], 0, 0, &photo) ||
        mien_find_faces(m, photo.rgb, photo.width, photo.height, NULL, &faces) || mien_image_new(photo.width, photo.height, &map) ||
        mien_draw(&faces, 0, &map) < 0 || mien_image_save_png(argv[2], &map))
        return fprintf(stderr, "%s\n", argc == 3 ? mien_error() : "usage: example PHOTO MAP.png"), 1;
    for (int i = 0; i < faces.count; i++)
        printf("face %d: score %.3f, nose tip at %.4f %.4f\n", i, faces.face[i].score, faces.face[i].landmarks[1].x, faces.face[i].landmarks[1].y);
    mien_image_free(&photo), mien_image_free(&map), mien_faces_free(&faces), mien_close(m);
    return 0;
}
