/* SPDX-License-Identifier: Apache-2.0 */
#include "nn/cpu/ordered_pack.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"

size_t ordered_groups(size_t channels) { return (channels + ORDERED_GROUP - 1) / ORDERED_GROUP; }

/* ---- what can be served ------------------------------------------------------------------------------------------ */

/* 32 bits hold every offset inside, also after a border of 1 and channels up to a multiple of 8. */
enum { MOST_ELEMENTS = 1 << 27 };

static bool picture_ok(const tensor *t) {
    size_t count;
    return t->type == NN_F32 && t->kind != TENSOR_PARAM && t->shape.rank == 4 && shape_count(t->shape, &count) && count < MOST_ELEMENTS;
}

/* The same of the picture between its padding: the band of it that is copied (ordered_conv.c) is no larger. */
static bool padding_ok(const node *conv) {
    const conv2d_attr *a = conv->attr;
    nn_shape s = conv->in[0]->shape;
    size_t count;
    s.dim[1] += (size_t)a->pad_top + (size_t)a->pad_bottom;
    s.dim[2] += (size_t)a->pad_left + (size_t)a->pad_right;
    return shape_count(s, &count) && count < MOST_ELEMENTS;
}

static bool param_ok(const tensor *t) { return t->kind == TENSOR_PARAM && nn_type_is_float(t->type); }

bool ordered_conv_ok(const node *conv) {
    return conv->ordered && picture_ok(conv->in[0]) && picture_ok(conv->out[0]) && padding_ok(conv) && param_ok(conv->in[1]) &&
           (!conv->in[2] || param_ok(conv->in[2]));
}

/* v_prelu multiplies by alpha where it must not matter, too. */
static bool all_finite(const tensor *alpha) {
    size_t n = shape_elements(alpha->shape), bytes = nn_type_bytes(alpha->type);
    for (size_t i = 0; i < n; i++) {
        float a;
        nn_widen(&a, (const char *)alpha->data + i * bytes, alpha->type, 1);
        if (!isfinite(a)) return false;
    }
    return true;
}

bool ordered_activation_ok(const node *n) {
    if (!match_inner(n->in[0])) return false;
    return n->op == &op_relu || (n->op == &op_prelu && param_ok(n->in[1]) && all_finite(n->in[1]));
}

/* ---- chunks ------------------------------------------------------------------------------------------------------ */

static size_t chunk_put(const ordered_isa *isa, ordered_chunk *to, size_t n, int kind, size_t groups) {
    if (!to) return n + 1;
    size_t vector = (size_t)isa->lanes / ORDERED_GROUP;
    ordered_chunk *c = &to[n], *before = n ? c - 1 : NULL;
    *c = (ordered_chunk){ .kind = kind, .groups = groups, .lanes = (groups + vector - 1) / vector * (size_t)isa->lanes };
    if (before) c->first = before->first + before->groups, c->lane_at = before->lane_at + before->lanes;
    return n + 1;
}

/* Cuts groups into chunks of nearly equal size, in whole vectors but for one odd group; into to unless it is NULL.
 * `single`: the kind of chunk to take first, or 0. */
static size_t chunks_of(const ordered_isa *isa, size_t groups, int single, ordered_chunk *to) {
    size_t n = 0, vector = (size_t)isa->lanes / ORDERED_GROUP, most = 0;
    for (int k = 1; k < ORDERED_WIDE; k++)
        if (isa->max_pixels[k]) most = (size_t)k;
    for (; single && groups >= 8 * vector; groups -= 8 * vector) n = chunk_put(isa, to, n, single, 8 * vector);
    if (!groups) return n;
    size_t count = (groups + most - 1) / most, whole = groups / vector, odd = groups % vector;
    for (size_t i = 0; i < count; i++) {
        size_t size = (whole / count + (i < whole % count)) * vector + (i == count - 1 ? odd : 0);
        n = chunk_put(isa, to, n, (int)size, size);
    }
    return n;
}

/* ---- packing ----------------------------------------------------------------------------------------------------- */

/* The channel that lane l of chunk c sums. */
static size_t lane_channel(const ordered_isa *isa, const ordered_chunk *c, size_t l) {
    size_t whole = c->groups * ORDERED_GROUP / (size_t)isa->lanes * (size_t)isa->lanes;
    if (l >= whole) l = whole + (l - whole) % ORDERED_GROUP;   /* the half vector stands for two pixels */
    return c->first * ORDERED_GROUP + l;
}

typedef struct { const ordered_packed *k; const conv2d_attr *attr; } pack_context;

static size_t chunk_bytes(const ordered_packed *k, const ordered_chunk *c) {
    return c->lanes * k->terms * (c->kind == ORDERED_WIDE_F16 ? sizeof(uint16_t) : sizeof(float));
}

static void pack_chunk(char *dst, const tensor *t, const pack_context *x, const ordered_chunk *c) {
    const ordered_packed *k = x->k;
    bool ohwi = x->attr->weights == WEIGHTS_OHWI;
    size_t bytes = nn_type_bytes(t->type), taps = ohwi ? t->shape.dim[1] * t->shape.dim[2] : t->shape.dim[2] * t->shape.dim[3];
    size_t ci = k->terms / taps;
    for (size_t term = 0; term < k->terms; term++)
        for (size_t l = 0; l < c->lanes; l++) {
            size_t co = lane_channel(k->isa, c, l), at = term * c->lanes + l;
            if (co >= k->channels) continue;
            const char *from = (const char *)t->data + (co * k->terms + (ohwi ? term : term % ci * taps + term / ci)) * bytes;
            if (c->kind == ORDERED_WIDE_F16) memcpy(dst + at * sizeof(uint16_t), from, sizeof(uint16_t));
            else nn_widen((float *)dst + at, from, t->type, 1);
        }
}

static int pack_weights(void *dst, const tensor *t, const void *context) {
    const pack_context *x = context;
    for (size_t i = 0; i < x->k->n_chunks; i++) pack_chunk((char *)dst + x->k->chunks[i].weight_at, t, x, &x->k->chunks[i]);
    return 0;
}

static int pack_lanes(void *dst, const tensor *t, const void *context) {
    const ordered_packed *k = context;
    for (size_t i = 0; i < k->n_chunks; i++)
        for (size_t l = 0; l < k->chunks[i].lanes; l++) {
            size_t co = lane_channel(k->isa, &k->chunks[i], l);
            if (co >= k->channels) continue;
            nn_widen((float *)dst + k->chunks[i].lane_at + l, (const char *)t->data + co * nn_type_bytes(t->type), t->type, 1);
        }
    return 0;
}

int ordered_pack(ordered_packed *k, const ordered_isa *isa, const node *conv, const node *activation, bool single, params *p) {
    const conv2d_attr *attr = conv->attr;
    const tensor *w = conv->in[1], *alpha = activation && activation->op == &op_prelu ? activation->in[1] : NULL;
    char tag[64];
    *k = (ordered_packed){ .isa = isa, .channels = w->shape.dim[0], .terms = w->shape.dim[1] * w->shape.dim[2] * w->shape.dim[3] };
    k->activation = alpha ? ORDERED_PRELU : activation ? ORDERED_RELU : ORDERED_NONE;
    k->groups = ordered_groups(k->channels);
    size_t vector = (size_t)isa->lanes / ORDERED_GROUP, bytes = 0, most;
    int wide = !single ? 0 : w->type == NN_F16 ? ORDERED_WIDE_F16 : ORDERED_WIDE;
    if (single) k->groups = (k->groups + vector - 1) / vector * vector;
    k->n_chunks = chunks_of(isa, k->groups, wide, NULL);
    k->chunks = calloc(k->n_chunks, sizeof *k->chunks);
    if (!k->chunks) return error_memory(k->n_chunks * sizeof *k->chunks);
    chunks_of(isa, k->groups, wide, k->chunks);
    k->lanes = k->chunks[k->n_chunks - 1].lane_at + k->chunks[k->n_chunks - 1].lanes;
    k->zeros = calloc(k->lanes, sizeof(float));
    if (!k->zeros) return error_memory(k->lanes * sizeof(float));
    if (__builtin_mul_overflow(k->lanes * sizeof(float), k->terms, &most)) return error_memory((size_t)-1);
    for (size_t i = 0; i < k->n_chunks; i++) {
        k->chunks[i].weight_at = bytes;
        bytes += chunk_bytes(k, &k->chunks[i]);
    }

    snprintf(tag, sizeof tag, "ordered/%d%s/%s", isa->lanes, single ? "/single" : "", attr->weights == WEIGHTS_OHWI ? "ohwi" : "oihw");
    k->weights = params_pack(p, w, tag, bytes, pack_weights, &(pack_context){ k, attr });
    snprintf(tag, sizeof tag, "ordered/%d%s/lanes", isa->lanes, single ? "/single" : "");
    k->bias = conv->in[2] ? params_pack(p, conv->in[2], tag, k->lanes * sizeof(float), pack_lanes, k) : k->zeros;
    k->alpha = alpha ? params_pack(p, alpha, tag, k->lanes * sizeof(float), pack_lanes, k) : k->zeros;
    return k->weights && k->bias && k->alpha ? 0 : error_code();
}

void ordered_packed_free(ordered_packed *k) {
    free(k->chunks);
    free(k->zeros);
}

/* ---- running ----------------------------------------------------------------------------------------------------- */

/* One chunk: the pixels in blocks of nearly equal size. */
static void run_chunk(const ordered_packed *k, const ordered_chunk *c, ordered_sum s, size_t n) {
    ordered_sum_fn *const *fn = k->isa->sum[c->kind];
    size_t most = k->isa->max_pixels[c->kind], unit = fn[1] ? 1 : 2;   /* a half vector sums two pixels at a time */
    uint32_t twice[2][2];
    if (n < unit) {                                                    /* the only pixel, twice */
        twice[0][0] = twice[0][1] = s.out_at[0];
        s.out_at = twice[0];
        if (s.add) twice[1][0] = twice[1][1] = s.add_at[0], s.add_at = twice[1];
        s.in_pixel = 0;
        n = unit;
    }
    size_t units = (n + unit - 1) / unit, blocks = (n + most - 1) / most;
    if (n % unit && blocks == 1) blocks = 2;
    for (size_t done = 0; blocks; blocks--) {
        size_t take = (units + blocks - 1) / blocks, np = take * unit;
        size_t at = done + np > n ? n - np : done;                     /* an odd last pixel comes with the one before */
        ordered_sum b = s;
        b.in += at * s.in_pixel;
        b.out_at += at;
        if (s.add) b.add_at += at;
        fn[np](&b);
        units -= take;
        done += np;
    }
}

void ordered_run(const ordered_packed *k, const ordered_sum *s, size_t n) {
    ordered_sum b = *s;
    b.activation = k->activation;
    for (size_t i = 0; i < k->n_chunks; i++) {
        const ordered_chunk *c = &k->chunks[i];
        b.weights = k->weights + c->weight_at;
        b.bias = k->bias + c->lane_at;
        b.alpha = k->alpha + c->lane_at;
        b.out = s->out + c->first * ORDERED_GROUP;
        b.add = s->add ? s->add + c->first * ORDERED_GROUP : NULL;
        b.add_groups = s->add_groups > c->first ? s->add_groups - c->first : 0;
        run_chunk(k, c, b, n);
    }
}

void ordered_table(uint32_t *at, size_t pixels, size_t width, size_t row, size_t pixel) {
    for (size_t i = 0; i < pixels; i++) at[i] = (uint32_t)(i / width * row + i % width * pixel);
}

void ordered_border(float *out, const nn_layout *l, nn_shape s) {
    if (!l->border) return;
    size_t side = l->border * l->stride[2], row = l->stride[1], edge = l->border * row, h = s.dim[1];
    memset(out - l->lead, 0, (edge + side) * sizeof(float));
    /* The right side of a row and the left side of the next lie together. */
    for (size_t y = 1; y < h; y++) memset(out + y * row - 2 * side, 0, 2 * side * sizeof(float));
    memset(out + h * row - 2 * side, 0, (edge + side) * sizeof(float));
}

void ordered_scatter(float *out, const uint32_t *at, size_t to_channels, const float *from, size_t from_pixel, size_t channels, size_t pixels) {
    for (size_t i = 0; i < pixels; i++) memcpy(out + at[i], from + i * from_pixel, channels * sizeof(float));
    ordered_zero_tail(out, at, channels, to_channels, pixels);
}

void ordered_zero_tail(float *out, const uint32_t *at, size_t from_channel, size_t to_channel, size_t pixels) {
    if (to_channel <= from_channel) return;
    for (size_t i = 0; i < pixels; i++) memset(out + at[i] + from_channel, 0, (to_channel - from_channel) * sizeof(float));
}
