/* SPDX-License-Identifier: Apache-2.0
 *
 * Best seconds of finding the faces of one decoded picture on one thread, warps included: the detector, the landmark
 * network a face, the whole. Run by faces_networks.py, in turns with its peer. usage: faces_find PHOTO RUNS */
#include <stdio.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/file.h"
#include "face/mesh.h"
#include "image/image.h"

static int fail(const char *what) {
    fprintf(stderr, "faces_find: %s\n", what);
    return 1;
}

int main(int argc, char **argv) {
    if (argc != 3) return fail("usage: faces_find PHOTO RUNS");
    const char *models = getenv("MODELS_DIR");
    uint8_t *data;
    size_t size;
    image photo;
    face_mesh *mesh;
    if (face_mesh_open(models ? models : "third_party/models", CPU_BEST, &mesh) < 0 || file_load(argv[1], IMAGE_MAX_BYTES, &data, &size) < 0 ||
        image_decode(data, size, NULL, &photo) < 0)
        return fail(error_message());
    face_settings settings = { 5, 0.5f, MIEN_SEARCH_NONE };
    face_times best = { .detect = 1e9, .landmarks = 1e9, .total = 1e9 };
    int count = 0;
    for (int i = atoi(argv[2]); i > 0; i--) {
        face_times t = { 0 };
        faces found;
        if (face_mesh_find(mesh, &photo, &settings, &t, &found) < 0) return fail(error_message());
        count = found.count;
        free(found.face);
        double detect = t.letterbox + t.detect, landmarks = count ? (t.crop + t.landmarks) / count : 0;
        if (detect < best.detect) best.detect = detect;
        if (landmarks < best.landmarks) best.landmarks = landmarks;
        if (t.total < best.total) best.total = t.total;
    }
    printf("{\"faces\": %d, \"detector\": %.9f, \"landmarks\": %.9f, \"total\": %.9f}\n", count, best.detect, best.landmarks, best.total);
    image_free(&photo);
    free(data);
    face_mesh_close(mesh);
    return 0;
}
