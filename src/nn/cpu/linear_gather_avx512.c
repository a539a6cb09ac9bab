/* SPDX-License-Identifier: Apache-2.0
 *
 * The right operand of a convolution's gradient of weights. Of two neighbouring pixels of y and sixteen channels, a vector of words for each tap is
 * read where the windows lie, and these are transposed, so that a channel's taps are side by side as the gradient has them. */
#include <string.h>

#include "nn/cpu/linear_isa.h"
#include "nn/cpu/transpose_avx512.h"

enum { AHEAD = 16 };   /* pixels */

typedef struct { size_t picture, row, column; } place;

static place place_of(const linear_windows *v, size_t pixel) {
    return (place){ pixel / v->out_width / v->out_height, pixel / v->out_width % v->out_height, pixel % v->out_width };
}

static inline void advance(const linear_windows *v, place *p) {
    if (++p->column < v->out_width) return;
    p->column = 0;
    if (++p->row < v->out_height) return;
    p->row = 0;
    p->picture++;
}

/* Where the taps of a pixel's window lie; NULL outside of x. */
static inline void find_taps(const linear_windows *v, const place *p, const uint16_t **at) {
    size_t top = p->row * v->stride - v->top, left = p->column * v->stride - v->left;   /* outside wraps to huge numbers */
    for (size_t ky = 0; ky < v->kernel_height; ky++)
        for (size_t kx = 0; kx < v->kernel_width; kx++) {
            size_t y = top + ky, x = left + kx;
            *at++ = y < v->height && x < v->width ? v->x + ((p->picture * v->height + y) * v->width + x) * v->channels : NULL;
        }
}

static inline __m512i half(const uint16_t *at, size_t channel, __mmask16 some) {
    return at ? _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(some, at + channel)) : _mm512_setzero_si512();
}

static inline __m512 word(const uint16_t *low, const uint16_t *high, size_t channel, __mmask16 some) {
    return _mm512_castsi512_ps(_mm512_or_si512(half(low, channel, some), _mm512_slli_epi32(half(high, channel, some), 16)));
}

/* Where the first word of each panel goes, and how far it is to the next. */
typedef struct { char *first[LINEAR_MOST_PANELS]; size_t step[LINEAR_MOST_PANELS]; } panels;

static void place_panels(panels *p, const linear_cut *groups, size_t words, char *to) {
    for (size_t g = 0, k = 0; g < groups->groups; g++) {
        size_t end = linear_begin(groups, g + 1), step = (end - k) * 64;
        char *at = to + k * words * 64;
        for (; k < end; k++, at += 64) p->first[k] = at, p->step[k] = step;
    }
}

static inline void gather_word(const panels *p, size_t index, const uint16_t *const *low, const uint16_t *const *high, size_t taps, size_t input, size_t inputs) {
    _Alignas(64) float side_by_side[16 * LINEAR_MOST_TAPS + 16];
    for (size_t k = 0, panel = 0; k < inputs; k += 16) {
        size_t n = inputs - k < 16 ? inputs - k : 16, count = (n * taps + 15) / 16;
        __mmask16 some = n < 16 ? (__mmask16)((1u << n) - 1) : 0xffff;
        __m512 a[16];
        for (size_t t = 0; t < 16; t++) a[t] = t < taps ? word(low[t], high[t], input + k, some) : _mm512_setzero_ps();
        if (taps == 1) _mm512_storeu_ps(side_by_side, a[0]);
        else {
            transpose(a);
            for (size_t i = 0; i < 16; i++) _mm512_storeu_ps(side_by_side + i * taps, a[i]);
        }
        for (size_t q = 0; q < count; q++, panel++) _mm512_storeu_ps(p->first[panel] + index * p->step[panel], _mm512_load_ps(side_by_side + 16 * q));
    }
}

void linear_gather(const linear_windows *v, size_t first, size_t pixels, size_t input, size_t inputs, const linear_cut *groups, char *to) {
    static const uint16_t *const none[LINEAR_MOST_TAPS];
    const uint16_t *low[LINEAR_MOST_TAPS], *high[LINEAR_MOST_TAPS];
    size_t taps = v->kernel_height * v->kernel_width, words = (pixels + 1) / 2;
    panels p;
    place at = place_of(v, first);
    place_panels(&p, groups, words, to);
    for (size_t i = 0; i < words; i++) {
        bool both = 2 * i + 1 < pixels;
        find_taps(v, &at, low);
        advance(v, &at);
        if (both) find_taps(v, &at, high), advance(v, &at);
        if (low[taps - 1])   /* pixels are first read by the last tap */
            for (size_t k = 0; k < inputs; k += 32) _mm_prefetch((const char *)(low[taps - 1] + AHEAD * v->stride * v->channels + input + k), _MM_HINT_T0);
        gather_word(&p, i, low, both ? high : none, taps, input, inputs);
    }
}
