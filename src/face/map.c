/* SPDX-License-Identifier: Apache-2.0 */
#include "face/map.h"

#include <math.h>

#include "face/topology.h"

double face_size(const face *f, int width, int height) {
    const face_point *p = f->landmarks;
    double left = p->x, right = p->x, top = p->y, bottom = p->y;
    for (int i = 1; i < FACE_LANDMARKS; i++) {
        left = fmin(left, p[i].x), right = fmax(right, p[i].x);
        top = fmin(top, p[i].y), bottom = fmax(bottom, p[i].y);
    }
    return fmin((right - left) * width, (bottom - top) * height);
}

/* The pixel of a point; false if it lies outside the picture. 1 itself is inside, and in the last row or column. */
static bool pixel_of(face_point p, const image *canvas, int *x, int *y) {
    if (!(p.x >= 0 && p.x <= 1 && p.y >= 0 && p.y <= 1)) return false;
    *x = (int)floor((double)p.x * canvas->width);
    *y = (int)floor((double)p.y * canvas->height);
    if (*x > canvas->width - 1) *x = canvas->width - 1;
    if (*y > canvas->height - 1) *y = canvas->height - 1;
    return true;
}

/* A line with one end outside is left out whole. */
static void draw_group(const face *f, const topology_group *group, image *canvas) {
    for (const int16_t *p = group->points; *p != TOPOLOGY_END; p += 2)
        for (; p[1] != TOPOLOGY_END; p++) {
            int x0, y0, x1, y1;
            if (pixel_of(f->landmarks[p[0]], canvas, &x0, &y0) && pixel_of(f->landmarks[p[1]], canvas, &x1, &y1))
                draw_line2(canvas, x0, y0, x1, y1, group->colour);
        }
}

/* The original's slice [centre-2, centre+2): a negative start counts from the end, so at the left or upper edge the
 * square vanishes (unless the picture is only a few pixels wide). */
static void pupil_slice(int centre, int size, int *from, int *to) {
    *from = centre - 2;
    if (*from < 0) *from = *from + size > 0 ? *from + size : 0;
    *to = centre + 2 < size ? centre + 2 : size;
}

static void draw_pupil(face_point p, image_colour colour, image *canvas) {
    if (!(p.x >= 0 && p.x < 1 && p.y >= 0 && p.y < 1)) return;
    int x0, x1, y0, y1;
    pupil_slice((int)((double)canvas->width * p.x), canvas->width, &x0, &x1);
    pupil_slice((int)((double)canvas->height * p.y), canvas->height, &y0, &y1);
    draw_rectangle(canvas, x0, y0, x1, y1, colour);
}

int face_map_draw(const faces *all, double min_face, image *canvas) {
    int drawn = 0;
    if (canvas->width > DRAW_REACH || canvas->height > DRAW_REACH) return 0;
    for (int k = 0; k < all->count; k++) {
        const face *f = &all->face[k];
        if (min_face > 0 && !(face_size(f, all->width, all->height) >= min_face)) continue;
        for (int i = 0; i < TOPOLOGY_GROUPS; i++) draw_group(f, &topology_groups[i], canvas);
        draw_pupil(f->landmarks[TOPOLOGY_LEFT_PUPIL], topology_left_pupil, canvas);
        draw_pupil(f->landmarks[TOPOLOGY_RIGHT_PUPIL], topology_right_pupil, canvas);
        drawn++;
    }
    return drawn;
}

static bool same_colour(image_colour a, image_colour b) { return a.r == b.r && a.g == b.g && a.b == b.b; }

bool face_map_is(const image *img) {
    size_t drawn = 0;
    for (size_t i = 0; i < (size_t)img->width * (size_t)img->height; i++) {
        const uint8_t *c = img->rgb + 3 * i;
        if (!(c[0] | c[1] | c[2])) continue;
        const image_colour p = { c[0], c[1], c[2] };
        bool known = same_colour(p, topology_left_pupil) || same_colour(p, topology_right_pupil);
        for (int k = 0; k < TOPOLOGY_GROUPS && !known; k++) known = same_colour(p, topology_groups[k].colour);
        if (!known) return false;
        drawn++;
    }
    return drawn > 0;
}
