/* SPDX-License-Identifier: Apache-2.0 */
#include "image/deflate_runs.h"

#include <string.h>

enum { SYMBOLS = 286, DISTANCES = 30, END = 256, LONGEST = 258, SHORTEST = 3, PIXEL = 3 };

/* Code lengths ('a' is one bit) of literals and lengths, and of distances: complete Huffman codes over the recorded maps,
 * made by tests/reference/deflate_lengths.py. A match of 258 bytes and a distance of one pixel cost one bit each. */
static const char symbol_lengths[SYMBOLS + 1] =
    "dllllllllkekkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk"
    "kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkfkkkkkkkkkkk"
    "kkkkkkkkfkkkkkkkkkkkkkkkkkkkgkkkkkkkkkkkkkkkkkkkkkkkkkkkkkjkkkkkkfkkfkkfkgjfgggggfgggggggffffa";
static const char distance_lengths[DISTANCES + 1] = "iiahhhhhhhffffffffffeeeeeeeeee";

/* ---- bits, lowest first ------------------------------------------------------------------------------------------- */

typedef struct { uint8_t *at, *end; uint64_t bits; int n; bool full; } bit_writer;

static void put(bit_writer *w, uint32_t value, int n) {
    w->bits |= (uint64_t)value << w->n;
    w->n += n;
    if (w->n < 32) return;
    if (w->end - w->at < 8) {
        w->full = true;
        w->n = 0;
        return;
    }
    for (int i = 0; i < 4; i++) *w->at++ = (uint8_t)(w->bits >> 8 * i);
    w->bits >>= 32;
    w->n -= 32;
}

/* ---- Huffman codes ------------------------------------------------------------------------------------------------ */

/* Canonical codes (RFC 1951, 3.2.2), their bits turned round so that they can be put lowest first. */
static void make_codes(const char *lengths, size_t n, uint16_t *code) {
    uint32_t next = 0;
    for (int length = 1; length <= 15; length++, next <<= 1)
        for (size_t s = 0; s < n; s++) {
            if (lengths[s] - 'a' + 1 != length) continue;
            uint32_t turned = 0;
            for (int i = 0; i < length; i++) turned |= (next >> i & 1) << (length - 1 - i);
            code[s] = (uint16_t)turned;
            next++;
        }
}

typedef struct {
    bit_writer out;
    uint16_t symbol[SYMBOLS], distance[DISTANCES];
} deflater;

static void put_symbol(deflater *d, size_t s) { put(&d->out, d->symbol[s], symbol_lengths[s] - 'a' + 1); }

/* The block's header: all lengths spelled out, each in four bits, which costs less than 170 bytes. */
static void put_header(deflater *d) {
    static const uint8_t order[19] = { 16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15 };
    put(&d->out, 1 | 2 << 1, 3);   /* the last block; its own codes */
    put(&d->out, SYMBOLS - 257, 5);
    put(&d->out, DISTANCES - 1, 5);
    put(&d->out, 19 - 4, 4);
    for (int i = 0; i < 19; i++) put(&d->out, order[i] < 16 ? 4 : 0, 3);
    uint16_t code[16];
    make_codes("dddddddddddddddd", 16, code);
    for (int i = 0; i < SYMBOLS; i++) put(&d->out, code[symbol_lengths[i] - 'a' + 1], 4);
    for (int i = 0; i < DISTANCES; i++) put(&d->out, code[distance_lengths[i] - 'a' + 1], 4);
}

static void put_match(deflater *d, size_t length, size_t distance) {
    size_t l = length - SHORTEST, extra = 0, symbol = 257 + l;
    if (length == LONGEST) symbol = 285;
    else if (l >= 8) {
        extra = (size_t)(61 - __builtin_clzll(l));
        symbol = 257 + 4 * extra + (l >> extra);
    }
    put_symbol(d, symbol);
    if (length != LONGEST) put(&d->out, (uint32_t)(l & (((size_t)1 << extra) - 1)), (int)extra);
    size_t back = distance - 1, more = back < 4 ? 0 : (size_t)(62 - __builtin_clzll(back)), s = back < 4 ? back : 2 * more + (back >> more);
    put(&d->out, d->distance[s], distance_lengths[s] - 'a' + 1);
    put(&d->out, (uint32_t)(back & (((size_t)1 << more) - 1)), (int)more);
}

/* ---- matches ------------------------------------------------------------------------------------------------------- */

static size_t equal_bytes(const uint8_t *a, const uint8_t *b, size_t limit) {
    size_t n = 0;
    for (; n + 8 <= limit; n += 8) {
        uint64_t x, y;
        memcpy(&x, a + n, 8);
        memcpy(&y, b + n, 8);
        if (x != y) return n + (size_t)__builtin_ctzll(x ^ y) / 8;
    }
    while (n < limit && a[n] == b[n]) n++;
    return n;
}

size_t deflate_runs(const uint8_t *in, size_t size, size_t row, uint8_t *out, size_t room) {
    enum { LONG_RUN = 64, FARTHEST = 32768 };
    deflater d = { .out = { .at = out, .end = out + room } };
    make_codes(symbol_lengths, SYMBOLS, d.symbol);
    make_codes(distance_lengths, DISTANCES, d.distance);
    put_header(&d);
    const size_t rows[3] = { row, row - PIXEL, row + PIXEL };   /* straight down; slanted lines */
    for (size_t i = 0; i < size && !d.out.full;) {
        size_t length = i >= PIXEL ? equal_bytes(in + i, in + i - PIXEL, size - i) : 0, distance = PIXEL;
        for (int k = 0; k < 3 && length < LONG_RUN; k++) {
            if (i < rows[k] || rows[k] > FARTHEST) continue;
            size_t n = equal_bytes(in + i, in + i - rows[k], size - i < LONGEST ? size - i : LONGEST);
            if (n > length) length = n, distance = rows[k];
        }
        if (length < SHORTEST) put_symbol(&d, in[i++]);
        for (; length >= SHORTEST && !d.out.full; ) {
            size_t n = length < LONGEST ? length : LONGEST;
            put_match(&d, n, distance);
            i += n;
            length -= n;
        }
    }
    put_symbol(&d, END);
    if (d.out.end - d.out.at < 4) d.out.full = true;
    for (; d.out.n > 0 && !d.out.full; d.out.n -= 8, d.out.bits >>= 8) *d.out.at++ = (uint8_t)d.out.bits;
    return d.out.full ? 0 : (size_t)(d.out.at - out);
}
