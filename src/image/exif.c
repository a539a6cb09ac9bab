/* SPDX-License-Identifier: Apache-2.0
 *
 * The orientation a camera notes beside its pixels, read where and as PIL.ImageOps.exif_transpose reads it. */
#define _GNU_SOURCE   /* memmem */
#include <string.h>

#include "image/formats.h"

/* ---- TIFF ---- */

typedef struct { const uint8_t *data; size_t size; bool big; } tiff;

static uint32_t tiff16(const tiff *t, size_t at) {
    const uint8_t *p = t->data + at;
    return t->big ? (uint32_t)p[0] << 8 | p[1] : (uint32_t)p[1] << 8 | p[0];
}

static uint32_t tiff32(const tiff *t, size_t at) {
    return t->big ? tiff16(t, at) << 16 | tiff16(t, at + 2) : tiff16(t, at + 2) << 16 | tiff16(t, at);
}

/* The four headers Pillow takes: the other two mix the byte orders, and the letters win. */
static bool tiff_begin(tiff *t) {
    if (t->size < 8) return false;
    t->big = t->data[0] == 'M';
    return (!memcmp(t->data, "MM", 2) || !memcmp(t->data, "II", 2)) && (!memcmp(t->data + 2, "\x2a\0", 2) || !memcmp(t->data + 2, "\0\x2a", 2));
}

/* The first value of a whole number's entry; 0 for other types and for values outside the block. */
static uint32_t entry_value(const tiff *t, size_t at) {
    uint32_t type = tiff16(t, at + 2), count = tiff32(t, at + 4);
    size_t width = type == 3 || type == 8 ? 2 : type == 4 || type == 9 || type == 13 ? 4 : type == 6 ? 1 : 0;
    size_t where = at + 8;
    if (!width || !count) return 0;
    if ((uint64_t)width * count > 4) where = tiff32(t, at + 8);
    if (where > t->size || (uint64_t)width * count > t->size - where) return 0;
    return width == 2 ? tiff16(t, where) : width == 4 ? tiff32(t, where) : t->data[where];
}

int exif_orientation(const uint8_t *data, size_t size) {
    for (int i = 0; i < 2; i++)   /* some writers put it there twice */
        if (size >= 6 && !memcmp(data, "Exif\0\0", 6)) { data += 6; size -= 6; }
    tiff t = { data, size, false };
    if (!tiff_begin(&t)) return 0;
    size_t at = tiff32(&t, 4);
    if (at > size || size - at < 2) return 0;
    uint32_t entries = tiff16(&t, at);
    at += 2;
    for (uint32_t i = 0; i < entries && size - at >= 12; i++, at += 12) {
        if (tiff16(&t, at) != 0x0112) continue;
        uint32_t v = entry_value(&t, at);
        if (v) return v <= 8 ? (int)v : 1;   /* an answer, though not of this world: nothing else is asked */
    }
    return 0;
}

/* tiff:Orientation="6" or <tiff:Orientation>6 */
int xmp_orientation(const uint8_t *data, size_t size) {
    static const char key[] = "tiff:Orientation";
    const uint8_t *end = data + size;
    for (const uint8_t *p = data; p && (size_t)(end - p) > sizeof key; p++) {
        p = memmem(p, (size_t)(end - p), key, sizeof key - 1);
        if (!p) break;
        const uint8_t *v = p + sizeof key - 1;
        if (end - v >= 3 && v[0] == '=' && v[1] == '"') v += 2;
        else if (end - v >= 2 && v[0] == '>') v += 1;
        else continue;
        if (*v >= '0' && *v <= '9') return *v - '0';
    }
    return 0;
}
