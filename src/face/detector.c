/* SPDX-License-Identifier: Apache-2.0 */
#include "face/detector.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "face/sigmoid.h"

static const float overlap_limit = 0.3f;

warp_rect detector_letterbox(int width, int height) {
    float w = (float)width, h = (float)height, side = w > h ? w : h;
    return (warp_rect){ w * 0.5f, h * 0.5f, side, side, 0 };
}

warp_target detector_target(void) { return (warp_target){ DETECTOR_SIDE, DETECTOR_SIDE, 2 / 255.0f, -1 }; }

/* Two grids, row by row: 16x16 cells of 2 anchors, then 8x8 of 6. An anchor is a point. */
static face_xy anchor(int i) {
    const int split = 16 * 16 * 2;
    int n = i < split ? 16 : 8, cell = i < split ? i / 2 : (i - split) / 6;
    return (face_xy){ ((float)(cell % n) + 0.5f) / (float)n, ((float)(cell / n) + 0.5f) / (float)n };
}

static detection decode_one(const float *r, face_xy a, float score) {
    const float side = DETECTOR_SIDE;
    float xc = r[0] / side + a.x, yc = r[1] / side + a.y, w = r[2] / side, h = r[3] / side;
    float xmin = xc - w / 2, ymin = yc - h / 2;
    detection d = { score, xmin, ymin, (xc + w / 2) - xmin, (yc + h / 2) - ymin, { { 0, 0 } } };
    for (int k = 0; k < DETECTOR_KEYS; k++) d.key[k] = (face_xy){ r[4 + 2 * k] / side + a.x, r[5 + 2 * k] / side + a.y };
    return d;
}

int detector_decode(const float *regressors, const float *logits, float min_score, detection out[DETECTOR_ANCHORS]) {
    int n = 0;
    for (int i = 0; i < DETECTOR_ANCHORS; i++) {
        float score = face_sigmoid(fmaxf(-100, fminf(100, logits[i])));
        if (!(score >= min_score)) continue;
        detection d = decode_one(regressors + (size_t)i * DETECTOR_NUMBERS, anchor(i), score);
        if (d.width >= 0 && d.height >= 0) out[n++] = d;
    }
    return n;
}

float face_box_overlap(face_box a, face_box b) {
    face_box i = { fmaxf(a.x0, b.x0), fmaxf(a.y0, b.y0), fminf(a.x1, b.x1), fminf(a.y1, b.y1) };
    if (!(i.x0 <= i.x1 && i.y0 <= i.y1)) return 0;
    float inside = (i.x1 - i.x0) * (i.y1 - i.y0);
    float all = (a.x1 - a.x0) * (a.y1 - a.y0) + (b.x1 - b.x0) * (b.y1 - b.y0) - inside;
    return all > 0 ? inside / all : 0;
}

static face_box box_of(const detection *d) { return (face_box){ d->xmin, d->ymin, d->xmin + d->width, d->ymin + d->height }; }

/* Mean corners and key points of the candidates, weighted by score, summed in their order; the best one's own score. */
static detection mean_of(const detection *best, const detection *const *candidates, int n) {
    detection m = { 0 };
    float total = 0, xmax = 0, ymax = 0;
    for (int i = 0; i < n; i++) {
        const detection *c = candidates[i];
        total += c->score;
        m.xmin += c->xmin * c->score;
        m.ymin += c->ymin * c->score;
        xmax += (c->xmin + c->width) * c->score;
        ymax += (c->ymin + c->height) * c->score;
        for (int k = 0; k < DETECTOR_KEYS; k++) {
            m.key[k].x += c->key[k].x * c->score;
            m.key[k].y += c->key[k].y * c->score;
        }
    }
    m.score = best->score;
    m.xmin /= total;
    m.ymin /= total;
    m.width = xmax / total - m.xmin;
    m.height = ymax / total - m.ymin;
    for (int k = 0; k < DETECTOR_KEYS; k++) m.key[k].x /= total, m.key[k].y /= total;
    return m;
}

/* Best first; equal scores stay in anchor order (the reference leaves that open). */
static int by_score(const void *a, const void *b) {
    const detection *x = *(const detection *const *)a, *y = *(const detection *const *)b;
    return x->score > y->score ? -1 : x->score < y->score ? 1 : x < y ? -1 : x > y;
}

int detector_suppress(detection *d, int n) {
    if (n > DETECTOR_ANCHORS) n = DETECTOR_ANCHORS;
    const detection *left[DETECTOR_ANCHORS], *candidates[DETECTOR_ANCHORS];
    detection out[DETECTOR_ANCHORS];
    for (int i = 0; i < n; i++) left[i] = &d[i];
    qsort(left, (size_t)n, sizeof *left, by_score);
    int found = 0;
    while (n > 0) {
        const detection *best = left[0];   /* candidates are measured against it, never against the mean */
        int taken = 0, kept = 0;
        for (int i = 0; i < n; i++) {
            bool near = face_box_overlap(box_of(left[i]), box_of(best)) > overlap_limit;
            if (near) candidates[taken++] = left[i];
            else left[kept++] = left[i];
        }
        out[found++] = taken ? mean_of(best, candidates, taken) : *best;
        if (taken == 0) break;   /* a best box without area: the reference stops altogether */
        n = kept;
    }
    memcpy(d, out, (size_t)found * sizeof *d);
    return found;
}

void detector_to_picture(detection *d, int n, int width, int height) {
    float w = (float)width, h = (float)height, side = w > h ? w : h;
    float mx = side * (1 / w), ax = (-0.5f * side + 0.5f * w) * (1 / w);
    float my = side * (1 / h), ay = (-0.5f * side + 0.5f * h) * (1 / h);
    for (int i = 0; i < n; i++) {
        detection *e = &d[i];
        float x0 = e->xmin * mx + ax, x1 = (e->xmin + e->width) * mx + ax;
        float y0 = e->ymin * my + ay, y1 = (e->ymin + e->height) * my + ay;
        e->xmin = fminf(x0, x1), e->width = fmaxf(x0, x1) - e->xmin;
        e->ymin = fminf(y0, y1), e->height = fmaxf(y0, y1) - e->ymin;
        for (int k = 0; k < DETECTOR_KEYS; k++) {
            e->key[k].x = e->key[k].x * mx + ax;
            e->key[k].y = e->key[k].y * my + ay;
        }
    }
}
