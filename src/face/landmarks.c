/* SPDX-License-Identifier: Apache-2.0 */
#include "face/landmarks.h"

#include <math.h>

#include "face/sigmoid.h"
#include "face/topology.h"

const int landmarks_count[LANDMARKS_OUTPUTS] = {
    TOPOLOGY_MESH * 3, TOPOLOGY_LIPS * 2, TOPOLOGY_EYE * 2, TOPOLOGY_EYE * 2, TOPOLOGY_IRIS * 2, TOPOLOGY_IRIS * 2, 1,
};

const float landmarks_presence_limit = 0.5f;

face_roi roi_from_detection(const detection *d, int width, int height) {
    float w = (float)width, h = (float)height;
    float x0 = d->key[0].x * w, y0 = d->key[0].y * h, x1 = d->key[1].x * w, y1 = d->key[1].y * h;
    float angle = 0 - atan2f(-(y1 - y0), x1 - x0);
    float side = fmaxf(d->width * w, d->height * h);
    face_roi r = { d->xmin + d->width / 2, d->ymin + d->height / 2, side / w * 1.5f, side / h * 1.5f, 0 };
    r.rotation = (float)(angle - 2 * M_PI * floor((angle + M_PI) / (2 * M_PI)));   /* f64 inside: to [-pi, pi) */
    return r;
}

static face_box roi_box(const face_roi *r) {
    float x = (float)(r->cx - r->width / 2.0), y = (float)(r->cy - r->height / 2.0);
    return (face_box){ x, y, x + r->width, y + r->height };
}

int roi_associate(face_roi *roi, int n) {
    int kept = 0;
    for (int i = 0; i < n; i++) {
        face_roi now = roi[i];
        int left = 0;
        for (int k = 0; k < kept; k++)
            if (!(face_box_overlap(roi_box(&now), roi_box(&roi[k])) > 0.5f)) roi[left++] = roi[k];
        roi[left++] = now;
        kept = left;
    }
    return kept;
}

warp_rect landmarks_rect(const face_roi *r, int width, int height) {
    float w = (float)width, h = (float)height;
    return (warp_rect){ r->cx * w, r->cy * h, r->width * w, r->height * h, r->rotation };
}

warp_target landmarks_target(void) { return (warp_target){ LANDMARKS_SIDE, LANDMARKS_SIDE, 1 / 255.0f, 0 }; }

float landmarks_presence(const float *flag) { return face_sigmoid(*flag); }

/* x and y of the listed points; z stays the mesh's. */
static void refine(face_point *points, const int16_t *list, int n, const float *xy) {
    for (int i = 0; i < n; i++) {
        points[list[i]].x = xy[2 * i] / LANDMARKS_SIDE;
        points[list[i]].y = xy[2 * i + 1] / LANDMARKS_SIDE;
    }
}

/* The iris network gives no z: it is that of the eye's contour. */
static void add_iris(face_point *points, int first, const float *xy, const int16_t *eye) {
    enum { CONTOUR = 16 };
    double z = 0;
    for (int i = 0; i < CONTOUR; i++) z += points[eye[i]].z;
    for (int i = 0; i < TOPOLOGY_IRIS; i++)
        points[first + i] = (face_point){ xy[2 * i] / LANDMARKS_SIDE, xy[2 * i + 1] / LANDMARKS_SIDE, (float)(z / CONTOUR) };
}

void landmarks_merge(const float *const out[LANDMARKS_OUTPUTS], face_point points[FACE_LANDMARKS]) {
    const float *mesh = out[OUT_MESH];
    for (int i = 0; i < TOPOLOGY_MESH; i++)
        points[i] = (face_point){ mesh[3 * i] / LANDMARKS_SIDE, mesh[3 * i + 1] / LANDMARKS_SIDE, mesh[3 * i + 2] / LANDMARKS_SIDE };
    refine(points, topology_lips, TOPOLOGY_LIPS, out[OUT_LIPS]);
    refine(points, topology_left_eye, TOPOLOGY_EYE, out[OUT_LEFT_EYE]);
    refine(points, topology_right_eye, TOPOLOGY_EYE, out[OUT_RIGHT_EYE]);
    add_iris(points, TOPOLOGY_LEFT_PUPIL, out[OUT_LEFT_IRIS], topology_left_eye);
    add_iris(points, TOPOLOGY_RIGHT_PUPIL, out[OUT_RIGHT_IRIS], topology_right_eye);
}

void landmarks_to_picture(face_point points[FACE_LANDMARKS], const face_roi *roi) {
    float c = cosf(roi->rotation), s = sinf(roi->rotation);
    for (int i = 0; i < FACE_LANDMARKS; i++) {
        float u = points[i].x - 0.5f, v = points[i].y - 0.5f;
        points[i].x = (c * u - s * v) * roi->width + roi->cx;
        points[i].y = (s * u + c * v) * roi->height + roi->cy;
        points[i].z *= roi->width;
    }
}
