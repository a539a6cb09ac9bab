/* SPDX-License-Identifier: Apache-2.0
 *
 * Inside synth: rays by the batch, one function a level; all give the same bits. */
#ifndef SYNTH_RENDER_RAYS_H
#define SYNTH_RENDER_RAYS_H

#include <stddef.h>
#include <stdint.h>

#include "synth/render_scene.h"

enum { RAYS_MULTIPLE = 16 };     /* batches hold a multiple of so many */

typedef struct {
    size_t n;
    const float *x, *y;          /* pixels; (0,0) is the picture's upper left corner */
    const float *start;          /* where to begin along the ray; not below s->farthest: only background */
    float pixel;                 /* of a pixel, what painted edges are soft by */
    float *r, *g, *b;            /* out: sRGB 0..1 */
    float *depth;                /* out: cm along the ray, s->farthest for the background */
    float *what;                 /* out: a small whole number, one for each kind of thing */
} render_rays;

typedef struct {
    size_t n;
    const float *x, *y;
    float spread;                /* how wide a ray's cone is, pixels */
    float *start;                /* out */
} render_cones;

void render_rays_plain(const scene *s, const render_rays *job);
void render_cones_plain(const scene *s, const render_cones *job);
void render_rays_avx2(const scene *s, const render_rays *job);
void render_cones_avx2(const scene *s, const render_cones *job);
void render_rays_avx512(const scene *s, const render_rays *job);
void render_cones_avx512(const scene *s, const render_cones *job);

#endif
