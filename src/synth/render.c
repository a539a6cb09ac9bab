/* SPDX-License-Identifier: Apache-2.0
 *
 * A face's picture. */
#include "base/error.h"
#include "synth/head.h"

int synth_render(const synth_face *face, int width, int height, cpu_level cpu, image *out) {
    synth_face f = *face;
    (void)cpu;
    int rc = synth_face_check(&f);
    return rc < 0 ? rc : image_new(width, height, out);
}

int synth_truth_find(const synth_face *face, int width, int height, synth_truth *out) {
    (void)face, (void)width, (void)height;
    *out = (synth_truth){ .cm = 1 };
    return error_set(ERR_UNSUPPORTED, "there are no points yet");
}

const synth_point *synth_truth_point(const synth_truth *truth, int landmark) {
    for (int i = 0; i < SYNTH_POINTS; i++)
        if (truth->point[i].landmark == landmark) return &truth->point[i];
    return NULL;
}
