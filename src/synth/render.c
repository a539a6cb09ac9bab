/* SPDX-License-Identifier: Apache-2.0
 *
 * A face's picture. By tiles of 8x8 pixels: a cone finds how far a tile's rays may begin, one ray a pixel gives its colour; then,
 * where neighbours show different things, four rays more. */
#include <stdlib.h>

#include "base/error.h"
#include "synth/render_rays.h"

enum { TILE = 8, PIXELS = TILE * TILE, MOST_RAYS = PIXELS * 16 };

typedef struct {
    scene s;
    cpu_level cpu;
    int tiles_x, tiles_y;
    float *start;                /* a tile's, cm along its rays */
    float *depth;                /* a pixel's */
    uint8_t *what;
    image picture;
    float ray_x[MOST_RAYS], ray_y[MOST_RAYS], ray_start[MOST_RAYS], r[MOST_RAYS], g[MOST_RAYS], b[MOST_RAYS], far[MOST_RAYS], kind[MOST_RAYS];
} work;

/* Rays in the work's arrays, n of them; the batch is filled up with the last. */
static void shoot(work *w, size_t n, float pixel) {
    size_t whole = (n + RAYS_MULTIPLE - 1) / RAYS_MULTIPLE * RAYS_MULTIPLE;
    for (size_t i = n; i < whole; i++) w->ray_x[i] = w->ray_x[n - 1], w->ray_y[i] = w->ray_y[n - 1], w->ray_start[i] = w->ray_start[n - 1];
    render_rays job = { whole, w->ray_x, w->ray_y, w->ray_start, pixel, w->r, w->g, w->b, w->far, w->kind };
    if (w->cpu >= CPU_AVX512) render_rays_avx512(&w->s, &job);
    else if (w->cpu >= CPU_AVX2) render_rays_avx2(&w->s, &job);
    else render_rays_plain(&w->s, &job);
}

static uint32_t mixed(uint32_t h) {
    h ^= h >> 15, h *= 0x2C1B3C6Du, h ^= h >> 12, h *= 0x297A2D39u;
    return h ^ h >> 15;
}

/* 8 bits, with the camera's noise: four bytes of a hash added are nearly normal, of sd 148. */
static void put(work *w, int x, int y, float r, float g, float b) {
    const float c[3] = { r, g, b };
    uint8_t *out = w->picture.rgb + ((size_t)y * (size_t)w->s.width + (size_t)x) * 3;
    for (int i = 0; i < 3; i++) {
        uint32_t h = mixed(w->s.face->seed + 0x9E3779B1u * (uint32_t)(x * 3 + i) + 0x85EBCA77u * (uint32_t)y);
        float noise = (float)(int)((h & 255) + (h >> 8 & 255) + (h >> 16 & 255) + (h >> 24)) - 510;
        float v = c[i] * 255 + noise * (255.0f / 148) * w->s.face->grain + 0.5f;
        out[i] = (uint8_t)(v < 0 ? 0 : v > 255 ? 255 : v);
    }
}

static void cones(work *w) {
    size_t n = 0, tiles = (size_t)w->tiles_x * (size_t)w->tiles_y;
    for (size_t at = 0; at < tiles; at += n) {
        n = tiles - at < MOST_RAYS ? tiles - at : MOST_RAYS;
        size_t whole = (n + RAYS_MULTIPLE - 1) / RAYS_MULTIPLE * RAYS_MULTIPLE;
        for (size_t i = 0; i < whole; i++) {
            size_t tile = at + (i < n ? i : n - 1);
            w->ray_x[i] = (float)((tile % (size_t)w->tiles_x) * TILE) + 0.5f * TILE;
            w->ray_y[i] = (float)((tile / (size_t)w->tiles_x) * TILE) + 0.5f * TILE;
        }
        render_cones job = { whole, w->ray_x, w->ray_y, 0.75f * TILE, w->ray_start };
        if (w->cpu >= CPU_AVX512) render_cones_avx512(&w->s, &job);
        else if (w->cpu >= CPU_AVX2) render_cones_avx2(&w->s, &job);
        else render_cones_plain(&w->s, &job);
        for (size_t i = 0; i < n; i++) w->start[at + i] = w->ray_start[i];
    }
}

/* Pixels of a tile by blocks of 4x4, which rays that are computed together should be. */
static bool tile_pixel(const work *w, int tile, int i, int *x, int *y) {
    int block = i / 16, in = i % 16;
    *x = tile % w->tiles_x * TILE + block % 2 * 4 + in % 4;
    *y = tile / w->tiles_x * TILE + block / 2 * 4 + in / 4;
    return *x < w->s.width && *y < w->s.height;
}

static void render_tile(work *w, int tile) {
    int x, y;
    for (int i = 0; i < PIXELS; i++) {
        tile_pixel(w, tile, i, &x, &y);
        w->ray_x[i] = (float)x + 0.5f, w->ray_y[i] = (float)y + 0.5f, w->ray_start[i] = w->start[tile];
    }
    shoot(w, PIXELS, 1);
    for (int i = 0; i < PIXELS; i++) {
        if (!tile_pixel(w, tile, i, &x, &y)) continue;
        size_t at = (size_t)y * (size_t)w->s.width + (size_t)x;
        w->depth[at] = w->far[i], w->what[at] = (uint8_t)w->kind[i];
        put(w, x, y, w->r[i], w->g[i], w->b[i]);
    }
}

/* Whether another thing, or the same far behind, is seen beside this pixel. */
static bool on_edge(const work *w, int x, int y) {
    size_t at = (size_t)y * (size_t)w->s.width + (size_t)x;
    static const int step[4][2] = { { 1, 0 }, { -1, 0 }, { 0, 1 }, { 0, -1 } };
    for (int i = 0; i < 4; i++) {
        int u = x + step[i][0], v = y + step[i][1];
        if (u < 0 || v < 0 || u >= w->s.width || v >= w->s.height) continue;
        size_t beside = (size_t)v * (size_t)w->s.width + (size_t)u;
        float jump = w->depth[at] - w->depth[beside];
        if (w->what[at] != w->what[beside] || jump * jump > 36 * (w->depth[at] / w->s.focal) * (w->depth[at] / w->s.focal)) return true;
    }
    return false;
}

/* The mean of rays * rays more where it is needed. */
static void refine_tile(work *w, int tile, int rays, bool all) {
    int x, y, at[PIXELS][2], each = rays * rays;
    size_t n = 0;
    for (int i = 0; i < PIXELS; i++) {
        if (!tile_pixel(w, tile, i, &x, &y) || (!all && !on_edge(w, x, y))) continue;
        at[n][0] = x, at[n][1] = y;
        for (int k = 0; k < each; k++) {
            size_t j = n * (size_t)each + (size_t)k;
            /* A turned grid: no two rays in one row or column. */
            float u = ((float)(k % rays) + ((float)(k / rays) + 0.5f) / (float)rays) / (float)rays;
            float v = ((float)(k / rays) + ((float)(rays - 1 - k % rays) + 0.5f) / (float)rays) / (float)rays;
            w->ray_x[j] = (float)x + u, w->ray_y[j] = (float)y + v, w->ray_start[j] = w->start[tile];
        }
        n++;
    }
    if (!n) return;
    shoot(w, n * (size_t)each, all ? 1 / (float)rays : 1);
    for (size_t i = 0; i < n; i++) {
        float r = 0, g = 0, b = 0;
        for (size_t k = i * (size_t)each; k < (i + 1) * (size_t)each; k++) r += w->r[k], g += w->g[k], b += w->b[k];
        put(w, at[i][0], at[i][1], r / (float)each, g / (float)each, b / (float)each);
    }
}

static int make_room(work *w) {
    size_t tiles = (size_t)w->tiles_x * (size_t)w->tiles_y, pixels = (size_t)w->s.width * (size_t)w->s.height;
    w->start = malloc(tiles * sizeof *w->start);
    w->depth = malloc(pixels * sizeof *w->depth);
    w->what = malloc(pixels);
    if (!w->start || !w->depth || !w->what) return error_memory(tiles * sizeof *w->start + pixels * (sizeof *w->depth + 1));
    return image_new(w->s.width, w->s.height, &w->picture);
}

static void render(work *w) {
    int tiles = w->tiles_x * w->tiles_y;
    float cm = w->s.face->distance / w->s.focal;   /* a pixel's width on the face */
    int rays = cm < 0.19f ? 1 : cm < 0.3f ? 2 : cm < 0.5f ? 3 : 4;
    cones(w);
    if (rays > 1) {
        for (int i = 0; i < tiles; i++) refine_tile(w, i, rays, true);
        return;
    }
    for (int i = 0; i < tiles; i++) render_tile(w, i);
    for (int i = 0; i < tiles; i++) refine_tile(w, i, 2, false);
}

int synth_render(const synth_face *face, int width, int height, cpu_level cpu, image *out) {
    synth_face f = *face;
    if (width < SYNTH_LEAST || height < SYNTH_LEAST || width > SYNTH_MOST || height > SYNTH_MOST)
        return error_set(ERR_USAGE, "a picture of %d x %d: sides are %d to %d", width, height, SYNTH_LEAST, SYNTH_MOST);
    int rc = synth_face_check(&f);
    if (rc < 0) return rc;
    work *w = calloc(1, sizeof *w);
    if (!w) return error_memory(sizeof *w);
    scene_set(&w->s, &f, width, height);
    cpu_level here = cpu_level_here();
    w->cpu = cpu < here ? cpu : here;
    w->tiles_x = (width + TILE - 1) / TILE, w->tiles_y = (height + TILE - 1) / TILE;
    rc = make_room(w);
    if (rc == 0) {
        render(w);
        *out = w->picture;
        w->picture = (image){ 0 };
    }
    image_free(&w->picture);
    free(w->start), free(w->depth), free(w->what);
    free(w);
    return rc;
}
