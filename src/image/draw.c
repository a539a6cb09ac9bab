/* SPDX-License-Identifier: Apache-2.0
 *
 * A line of thickness 2 is a filled quadrangle with a plus of five pixels at each end; the quadrangle is its outline in
 * thin lines, then its inside row by row. Everything is 16.16 fixed point in 64 bits, >> is arithmetic, and each rounding
 * below is the reference's: none may be tidied up. */
#include "image/draw.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>

enum { SHIFT = 16, ONE = 1 << SHIFT, HALF = ONE / 2 };

typedef struct { int64_t x, y; } point;

static void plot(image *canvas, int64_t x, int64_t y, image_colour c) {
    if (x < 0 || y < 0 || x >= canvas->width || y >= canvas->height) return;
    uint8_t *p = canvas->rgb + ((size_t)y * (size_t)canvas->width + (size_t)x) * 3;
    p[0] = c.r, p[1] = c.g, p[2] = c.b;
}

/* Pixels x0..x1, both included, cut to the canvas. */
static void span(image *canvas, int64_t x0, int64_t x1, int64_t y, image_colour c) {
    if (x0 < 0) x0 = 0;
    if (x1 >= canvas->width) x1 = canvas->width - 1;
    for (int64_t x = x0; x <= x1; x++) plot(canvas, x, y, c);
}

enum { LEFT = 1, RIGHT = 2, ABOVE = 4, BELOW = 8 };

static int side_code(int64_t x, int64_t right) { return (x < 0 ? LEFT : 0) | (x > right ? RIGHT : 0); }

/* Moves `a` along a-b to the row, then column, that its code asks for. The quotient is evaluated left to right in f64. */
static void cut_rows(point *a, point b, int *code, point most) {
    int64_t y = *code & ABOVE ? 0 : most.y;
    a->x += (int64_t)((double)(y - a->y) * (double)(b.x - a->x) / (double)(b.y - a->y));
    a->y = y;
    *code = side_code(a->x, most.x);
}

static void cut_columns(point *a, point b, int *code, point most) {
    int64_t x = *code & LEFT ? 0 : most.x;
    a->y += (int64_t)((double)(x - a->x) * (double)(b.y - a->y) / (double)(b.x - a->x));
    a->x = x;
    *code = 0;
}

static bool clip(const image *canvas, point *a, point *b) {
    point most = { ((int64_t)canvas->width << SHIFT) - 1, ((int64_t)canvas->height << SHIFT) - 1 };
    int ca = side_code(a->x, most.x) | (a->y < 0 ? ABOVE : 0) | (a->y > most.y ? BELOW : 0);
    int cb = side_code(b->x, most.x) | (b->y < 0 ? ABOVE : 0) | (b->y > most.y ? BELOW : 0);
    if (ca & cb) return false;
    if (ca & (ABOVE | BELOW)) cut_rows(a, *b, &ca, most);
    if (cb & (ABOVE | BELOW)) cut_rows(b, *a, &cb, most);
    if ((ca & cb) == 0) {
        if (ca) cut_columns(a, *b, &ca, most);
        if (cb) cut_columns(b, *a, &cb, most);
    }
    return (ca | cb) == 0;
}

static void thin_line(image *canvas, point a, point b, image_colour c) {
    if (!clip(canvas, &a, &b)) return;
    int64_t dx = b.x - a.x, dy = b.y - a.y;
    int64_t ax = llabs(dx), ay = llabs(dy);
    if (ax > ay ? dx < 0 : dy < 0) {
        point t = a;
        a = b, b = t;
        dx = -dx, dy = -dy;
    }
    plot(canvas, (b.x + HALF) >> SHIFT, (b.y + HALF) >> SHIFT, c);
    if (ax > ay) {
        int64_t step = dy * ONE / (ax | 1), x = (a.x + HALF) >> SHIFT, y = a.y + HALF;
        for (int64_t n = (b.x - a.x) >> SHIFT; n >= 0; n--, x++, y += step) plot(canvas, x, y >> SHIFT, c);
    } else {
        int64_t step = dx * ONE / (ay | 1), y = (a.y + HALF) >> SHIFT, x = a.x + HALF;
        for (int64_t n = (b.y - a.y) >> SHIFT; n >= 0; n--, y++, x += step) plot(canvas, x >> SHIFT, y, c);
    }
}

/* One side of the quadrangle's inside, walked downward. */
typedef struct { int vertex, step; int64_t x, dx, end; } chain;

static void chain_walk(chain *s, const point v[4], int64_t row, int *unused) {
    while ((*unused)-- > 0) {
        int next = (s->vertex + s->step) & 3, from = s->vertex;
        int64_t y = (v[next].y + HALF) >> SHIFT;
        s->vertex = next;
        if (y <= row) continue;
        s->x = v[from].x;
        s->dx = ((v[next].x - v[from].x) * 2 + (y - row)) / (2 * (y - row));
        s->end = y;
        return;
    }
}

static void fill_inside(image *canvas, const point v[4], image_colour c) {
    point least = v[0], most = v[0];
    int top = 0;
    for (int i = 1; i < 4; i++) {
        if (v[i].y < v[top].y) top = i;
        if (v[i].x < least.x) least.x = v[i].x;
        if (v[i].y < least.y) least.y = v[i].y;
        if (v[i].x > most.x) most.x = v[i].x;
        if (v[i].y > most.y) most.y = v[i].y;
    }
    int64_t first = (least.y + HALF) >> SHIFT, last = (most.y + HALF) >> SHIFT;
    if ((most.x + HALF) >> SHIFT < 0 || last < 0 || (least.x + HALF) >> SHIFT >= canvas->width || first >= canvas->height) return;
    if (last > canvas->height - 1) last = canvas->height - 1;
    chain side[2] = { { top, 1, -ONE, 0, first }, { top, 3, -ONE, 0, first } };
    int unused = 4;   /* edges, shared by both chains */
    for (int64_t row = first; row <= last; row++) {
        for (int i = 0; i < 2; i++)
            if (row >= side[i].end) chain_walk(&side[i], v, row, &unused);
        if (unused < 0) return;
        int64_t a = side[0].x, b = side[1].x;
        if (row >= 0) span(canvas, ((a < b ? a : b) + HALF) >> SHIFT, ((a > b ? a : b) + HALF) >> SHIFT, row, c);
        side[0].x += side[0].dx;
        side[1].x += side[1].dx;
    }
}

void draw_line2(image *canvas, int x0, int y0, int x1, int y1, image_colour c) {
    assert(abs(x0) <= DRAW_REACH && abs(y0) <= DRAW_REACH && abs(x1) <= DRAW_REACH && abs(y1) <= DRAW_REACH);
    double dx = (double)x0 - x1, dy = (double)y1 - y0, r = dx * dx + dy * dy;
    if (r != 0) {
        r = ONE / sqrt(r);
        int64_t ex = llrint(dy * r), ey = llrint(dx * r);
        point a = { (int64_t)x0 * ONE, (int64_t)y0 * ONE }, b = { (int64_t)x1 * ONE, (int64_t)y1 * ONE };
        point v[4] = { { a.x + ex, a.y + ey }, { a.x - ex, a.y - ey }, { b.x - ex, b.y - ey }, { b.x + ex, b.y + ey } };
        for (int i = 0; i < 4; i++) thin_line(canvas, v[(i + 3) & 3], v[i], c);
        fill_inside(canvas, v, c);
    }
    int ends[2][2] = { { x0, y0 }, { x1, y1 } };
    for (int i = 0; i < 2; i++) {
        int x = ends[i][0], y = ends[i][1];
        span(canvas, x - 1, x + 1, y, c);
        plot(canvas, x, y - 1, c);
        plot(canvas, x, y + 1, c);
    }
}

void draw_rectangle(image *canvas, int x0, int y0, int x1, int y1, image_colour c) {
    if (y0 < 0) y0 = 0;
    if (y1 > canvas->height) y1 = canvas->height;
    for (int y = y0; y < y1; y++) span(canvas, x0, (int64_t)x1 - 1, y, c);
}
