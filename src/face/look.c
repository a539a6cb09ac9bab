/* SPDX-License-Identifier: Apache-2.0 */
#include "face/look.h"

#include <math.h>

int look_detect(const looker *k, warp_rect square, float min_score, detection out[DETECTOR_ANCHORS]) {
    const float *regressors, *logits;
    if (k->runs) ++*k->runs;
    runner_detect(k->nets, k->r, k->in, square, k->times, &regressors, &logits);
    return detector_suppress(out, detector_decode(regressors, logits, min_score, out));
}

face_roi look_roi(const looker *k, const look_square *s, const detection *d) {
    /* In the square as a picture of its own; then moved and turned with it. */
    face_roi local = roi_from_detection(d, 1, 1);
    float w = (float)k->in->width, h = (float)k->in->height;
    float c = cosf(s->rotation), n = sinf(s->rotation), u = (local.cx - 0.5f) * s->side, v = (local.cy - 0.5f) * s->side;
    return (face_roi){ (s->cx + c * u - n * v) / w, (s->cy + n * u + c * v) / h, local.width * s->side / w, local.height * s->side / h,
                       local.rotation + s->rotation };
}

bool look_face(const looker *k, const face_roi *roi, face *out) {
    const float *outputs[LANDMARKS_OUTPUTS];
    runner_landmarks(k->nets, k->r, k->in, landmarks_rect(roi, k->in->width, k->in->height), k->times, outputs);
    out->score = landmarks_presence(outputs[OUT_FLAG]);
    if (!(out->score > landmarks_presence_limit)) return false;
    landmarks_merge(outputs, out->landmarks);
    landmarks_to_picture(out->landmarks, roi);
    return true;
}
