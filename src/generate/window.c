/* SPDX-License-Identifier: Apache-2.0 */
#include "generate/window.h"

#include <math.h>

static const double margin = 0.1;   /* round the faces, of their bounds: landmarks end at the brow and at the chin */

typedef struct { double from, to; } range;

/* What the photo has of the faces' bounds along x or y, with their margin, in pixels. */
static range bounds(const faces *f, bool across) {
    range r = { INFINITY, -INFINITY };
    double whole = across ? f->width : f->height;
    for (int i = 0; i < f->count; i++)
        for (int k = 0; k < FACE_LANDMARKS; k++) {
            face_point p = f->face[i].landmarks[k];
            double v = whole * (double)(across ? p.x : p.y);
            r.from = fmin(r.from, v);
            r.to = fmax(r.to, v);
        }
    if (!f->count) return (range){ whole / 2, whole / 2 };
    double more = margin * (r.to - r.from);
    return (range){ fmax(0, fmin(r.from - more, whole)), fmin(whole, fmax(r.to + more, 0)) };
}

/* Where a window of that length begins: in the middle of `whole`, or as near to it as has `r` inside. */
static double begin_of(double length, double whole, range r) {
    double begin = (whole - length) / 2;
    return r.from < begin ? r.from : r.to > begin + length ? r.to - length : begin;
}

photo_window window_choose(const faces *f, picture_size size) {
    double aspect = (double)size.width / size.height;
    double width = fmin(f->width, f->height * aspect), height = width / aspect;
    range x = bounds(f, true), y = bounds(f, false);
    double grow = f->count ? fmax(1, fmax((x.to - x.from) / width, (y.to - y.from) / height)) : 1;
    photo_window w = { .width = grow * width, .height = grow * height };
    w.x = begin_of(w.width, f->width, x);
    w.y = begin_of(w.height, f->height, y);
    return w;
}

void window_apply(photo_window w, faces *f) {
    for (int i = 0; i < f->count; i++)
        for (int k = 0; k < FACE_LANDMARKS; k++) {
            face_point *p = &f->face[i].landmarks[k];
            p->x = (float)(((double)p->x * f->width - w.x) / w.width);
            p->y = (float)(((double)p->y * f->height - w.y) / w.height);
            p->z = (float)((double)p->z * f->width / w.width);
        }
    f->width = (int)fmax(1, lround(w.width));
    f->height = (int)fmax(1, lround(w.height));
}
