/* SPDX-License-Identifier: Apache-2.0
 *
 * Where the renderer has put what MediaPipe looks for: from the same curves and the same field. */
#include "base/error.h"
#include "synth/shade_eye.h"
#include "synth/trace.h"

/* A point of the average head's frame in the picture. */
static synth_point project(const scene *s, int landmark, float x, float y, float z) {
    const float p[3] = { x / s->shrink[0] - s->head.eye[0], y / s->shrink[1] - s->head.eye[1], z / s->shrink[2] - s->head.eye[2] };
    float c[3];
    for (int i = 0; i < 3; i++) c[i] = s->head.from[i] * p[0] + s->head.from[3 + i] * p[1] + s->head.from[6 + i] * p[2];
    return (synth_point){ landmark, s->centre_x - c[0] / c[2] * s->focal, s->centre_y + c[1] / c[2] * s->focal, -c[2] };
}

/* On the face's skin, seen along -z. */
static synth_point on_face(const scene *s, int landmark, float x, float y) {
    vf z = splat(14);
    for (int i = 0; i < 60; i++) z -= to_face(s, splat(x), splat(y), z) * 0.8f;
    return project(s, landmark, x, y, z[0]);
}

static synth_point pupil(const scene *s, int landmark, float x, const float gaze[3]) {
    return project(s, landmark, x + EYE_RADIUS * gaze[0], EYE_Y + EYE_RADIUS * gaze[1], EYE_Z + EYE_RADIUS * gaze[2]);
}

static void find_eye(const scene *s, int side, const int landmark[6], synth_point *out, synth_point *ahead) {
    float sign = side ? 1 : -1, x = sign * s->eye_x;
    eye_curves e = eye_at(s, splat(x));
    /* Lids lie on the eyeball's front, corners on the skin. */
    out[0] = on_face(s, landmark[0], x, e.up[0]);
    out[1] = on_face(s, landmark[1], x, e.low[0]);
    out[2] = on_face(s, landmark[2], x - sign * s->eye_w, 2.6f - s->eye_tilt);
    out[3] = on_face(s, landmark[3], x + sign * s->eye_w, 2.6f + s->eye_tilt);
    out[4] = pupil(s, landmark[4], x, s->gaze[side]);
    float brow_x = sign * 3.85f;
    brow_curves b = brow_at(s, splat(brow_x));
    out[5] = on_face(s, landmark[5], brow_x, b.y[0] + b.half[0]);
    *ahead = pupil(s, landmark[4], x, (const float[3]){ 0, 0, 1 });
}

static void find_mouth(const scene *s, synth_point *out) {
    mouth_curves amid = mouth_at(s, splat(0));
    float y = s->mouth_y + s->mouth_bend;
    out[0] = on_face(s, 13, 0, amid.upper[0]);
    out[1] = on_face(s, 14, 0, amid.lower[0]);
    out[2] = on_face(s, 61, -s->mouth_w, y);
    out[3] = on_face(s, 291, s->mouth_w, y);
}

int synth_truth_find(const synth_face *face, int width, int height, synth_truth *out) {
    synth_face f = *face;
    if (width < SYNTH_LEAST || height < SYNTH_LEAST || width > SYNTH_MOST || height > SYNTH_MOST)
        return error_set(ERR_USAGE, "a picture of %d x %d: sides are %d to %d", width, height, SYNTH_LEAST, SYNTH_MOST);
    int rc = synth_face_check(&f);
    if (rc < 0) return rc;
    scene s;
    scene_set(&s, &f, width, height);
    static const int left[6] = { 159, 145, 133, 33, 468, 105 }, right[6] = { 386, 374, 362, 263, 473, 334 };
    find_mouth(&s, out->point);
    find_eye(&s, 0, left, out->point + 4, &out->ahead[0]);
    find_eye(&s, 1, right, out->point + 10, &out->ahead[1]);
    out->point[16] = on_face(&s, 1, 0, s.tip_y - 0.4f);
    out->point[17] = on_face(&s, 152, 0, s.chin.c[1] - 0.85f * s.chin.r[1]);
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 3; j++) out->turn[3 * i + j] = s.head.from[3 * j + i];
    out->cm = s.focal / f.distance;
    return 0;
}

const synth_point *synth_truth_point(const synth_truth *truth, int landmark) {
    for (int i = 0; i < SYNTH_POINTS; i++)
        if (truth->point[i].landmark == landmark) return &truth->point[i];
    return NULL;
}
