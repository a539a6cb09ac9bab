/* SPDX-License-Identifier: Apache-2.0 */
#include "train/replay.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "weights/weights.h"

struct replay {
    weights *w;
    replay_shape shape;
    uint64_t rows;
    const uint8_t *items, *timesteps, *noise, *posterior;   /* in the mapped file, perhaps unaligned */
};

static void shape_words(const size_t *dim, int rank, char *out, size_t room) {
    size_t at = 0;
    out[0] = 0;
    for (int i = 0; i < rank && at < room; i++) at += (size_t)snprintf(out + at, room - at, "%s%zu", i ? "," : "", dim[i]);
}

static int refuse(const char *path, const stored_tensor *t, const char *name, stored_type type, const size_t *want, int rank) {
    char expected[128], got[160];
    shape_words(want + 1, rank - 1, expected, sizeof expected);
    if (!t)
        return error_set(ERR_FORMAT, "%s: there is no %s, which should be [S,%s] %s", path, name, expected, stored_type_name(type));
    shape_words(t->dim, t->rank, got, sizeof got);
    return error_set(ERR_FORMAT, "%s: %s is [%s] %s, and should be [S,%s] %s: S micro-batches%s", path, name, got,
                     stored_type_name(t->type), expected, stored_type_name(type), want[0] ? ", as many as there are of items" : "");
}

/* The tensor's bytes; want[0] 0: any number of rows. */
static int find(const replay *r, const char *name, stored_type type, const size_t *want, int rank, const stored_tensor **out) {
    const stored_tensor *t = weights_find(r->w, name);
    bool fits = t && t->type == type && t->rank == rank && t->dim[0] && (!want[0] || t->dim[0] == want[0]);
    for (int i = 1; i < rank && fits; i++) fits = t->dim[i] == want[i];
    if (!fits) return refuse(weights_path(r->w), t, name, type, want, rank);
    *out = t;
    return 0;
}

static int64_t number(const uint8_t *at, uint64_t i) {
    int64_t x;
    memcpy(&x, at + 8 * i, sizeof x);
    return x;
}

static int check_numbers(const replay *r, const char *name, const uint8_t *at, uint64_t most) {
    uint64_t B = r->shape.batch;
    for (uint64_t i = 0; i < r->rows * B; i++) {
        int64_t x = number(at, i);
        if (x < 0 || (uint64_t)x >= most)
            return error_set(ERR_FORMAT, "%s: %s[%llu,%llu] is %lld, and should be 0 to %llu", weights_path(r->w), name,
                             (unsigned long long)(i / B), (unsigned long long)(i % B), (long long)x, (unsigned long long)most - 1);
    }
    return 0;
}

/* A normal draw that is no number would end the run in the middle, as a loss that is none. */
static int check_normals(const replay *r, const char *name, const uint8_t *at) {
    const replay_shape *s = &r->shape;
    size_t each = s->channels * s->h * s->w;
    for (uint64_t i = 0; i < r->rows * s->batch * each; i++) {
        float x;
        memcpy(&x, at + 4 * i, sizeof x);
        if (!isfinite(x))
            return error_set(ERR_FORMAT, "%s: %s[%llu,%llu] has a number that is not finite", weights_path(r->w), name,
                             (unsigned long long)(i / each / s->batch), (unsigned long long)(i / each % s->batch));
    }
    return 0;
}

static int read_all(replay *r) {
    const replay_shape *s = &r->shape;
    size_t want[5] = { 0, s->batch, s->channels, s->h, s->w };
    const stored_tensor *items, *timesteps, *noise, *posterior;
    int rc = find(r, "items", STORED_I64, want, 2, &items);
    if (rc < 0) return rc;
    want[0] = items->dim[0];
    rc = find(r, "timesteps", STORED_I64, want, 2, &timesteps);
    if (rc == 0) rc = find(r, "noise", STORED_F32, want, 5, &noise);
    if (rc == 0) rc = find(r, "posterior", STORED_F32, want, 5, &posterior);
    if (rc < 0) return rc;
    r->rows = want[0];
    r->items = items->data;
    r->timesteps = timesteps->data;
    r->noise = noise->data;
    r->posterior = posterior->data;
    rc = check_numbers(r, "items", r->items, s->lines);
    if (rc == 0) rc = check_numbers(r, "timesteps", r->timesteps, (uint64_t)s->train_steps);
    if (rc == 0) rc = check_normals(r, "noise", r->noise);
    return rc < 0 ? rc : check_normals(r, "posterior", r->posterior);
}

int replay_open(const char *path, const replay_shape *shape, replay **out) {
    replay *r = calloc(1, sizeof *r);
    if (!r) return error_memory(sizeof *r);
    r->shape = *shape;
    int rc = weights_open(path, &r->w);
    if (rc == 0) rc = read_all(r);
    if (rc < 0) replay_close(r);
    else *out = r;
    return rc;
}

void replay_close(replay *r) {
    if (!r) return;
    weights_close(r->w);
    free(r);
}

uint64_t replay_rows(const replay *r) { return r->rows; }
uint64_t replay_item(const replay *r, uint64_t row, size_t k) { return (uint64_t)number(r->items, row * r->shape.batch + k); }
int replay_timestep(const replay *r, uint64_t row, size_t k) { return (int)number(r->timesteps, row * r->shape.batch + k); }

static void channels_last(const replay *r, const uint8_t *planes, float *out) {
    size_t c = r->shape.channels, places = r->shape.h * r->shape.w;
    for (size_t k = 0; k < c; k++)
        for (size_t p = 0; p < places; p++) memcpy(&out[p * c + k], planes + 4 * (k * places + p), sizeof *out);
}

void replay_normals(const replay *r, uint64_t row, size_t k, float *posterior, float *noise) {
    size_t bytes = 4 * r->shape.channels * r->shape.h * r->shape.w, at = (row * r->shape.batch + k) * bytes;
    if (posterior) channels_last(r, r->posterior + at, posterior);
    if (noise) channels_last(r, r->noise + at, noise);
}
