/* SPDX-License-Identifier: Apache-2.0
 *
 * The format, from its end: [root value][root type][root width]. An offset points backward from where it stands. A vector
 * is [count][elements...], a map [offset of its keys][width of their offsets][count][values...][types...], the keys a
 * vector of offsets of zero-terminated strings. A type byte is kind << 2 | log2(bytes of what it points to). */
#include "face/flexbuffer.h"

#include <string.h>

enum { KIND_INT = 1, KIND_UINT = 2, KIND_FLOAT = 3, KIND_MAP = 9, KIND_VECTOR_INT = 11, KIND_VECTOR_UINT = 12 };

/* `width` bytes at `at`, little-endian; false outside the data. */
static bool read_uint(const flex_map *m, size_t at, size_t width, uint64_t *out) {
    if (at > m->size || width > m->size - at) return false;
    *out = 0;
    memcpy(out, m->data + at, width);
    return true;
}

static bool read_int(const flex_map *m, size_t at, size_t width, int64_t *out) {
    uint64_t u;
    if (!read_uint(m, at, width, &u)) return false;
    unsigned unused = (unsigned)(64 - 8 * width);
    *out = (int64_t)(u << unused) >> unused;
    return true;
}

/* Where the offset at `at` points. */
static bool follow(const flex_map *m, size_t at, size_t width, size_t *to) {
    uint64_t back;
    if (!read_uint(m, at, width, &back) || back > at) return false;
    *to = at - (size_t)back;
    return true;
}

static bool width_valid(uint64_t w) { return w == 1 || w == 2 || w == 4 || w == 8; }

bool flex_map_open(const uint8_t *data, size_t size, flex_map *out) {
    flex_map m = { .data = data, .size = size };
    uint64_t count, key_width;
    if (size < 3 || !width_valid(data[size - 1]) || size - 2 < data[size - 1]) return false;
    uint8_t type = data[size - 2];
    m.width = (size_t)1 << (type & 3);
    if (type >> 2 != KIND_MAP || !follow(&m, size - 2 - data[size - 1], data[size - 1], &m.values) || m.values < 3 * m.width) return false;
    if (!read_uint(&m, m.values - m.width, m.width, &count) || !read_uint(&m, m.values - 2 * m.width, m.width, &key_width)) return false;
    if (!width_valid(key_width) || !follow(&m, m.values - 3 * m.width, m.width, &m.keys)) return false;
    /* Values and their types, and the keys, must lie within the data. */
    if (count > (size - m.values) / (m.width + 1) || count > (size - m.keys) / key_width) return false;
    m.count = (size_t)count;
    m.key_width = (size_t)key_width;
    *out = m;
    return true;
}

static bool key_equal(const flex_map *m, size_t i, const char *key) {
    size_t at, n = strlen(key) + 1;
    return follow(m, m->keys + i * m->key_width, m->key_width, &at) && n <= m->size - at && memcmp(m->data + at, key, n) == 0;
}

/* Where the value of `key` stands, and its type byte. */
static bool find(const flex_map *m, const char *key, size_t *at, uint8_t *type) {
    for (size_t i = 0; i < m->count; i++) {
        if (!key_equal(m, i, key)) continue;
        *at = m->values + i * m->width;
        *type = m->data[m->values + m->count * m->width + i];
        return true;
    }
    return false;
}

bool flex_int(const flex_map *m, const char *key, int64_t *out) {
    size_t at;
    uint8_t type;
    return find(m, key, &at, &type) && (type >> 2 == KIND_INT || type >> 2 == KIND_UINT) && read_int(m, at, m->width, out);
}

bool flex_float(const flex_map *m, const char *key, double *out) {
    size_t at;
    uint8_t type;
    int64_t whole;
    if (flex_int(m, key, &whole)) return *out = (double)whole, true;
    if (!find(m, key, &at, &type) || type >> 2 != KIND_FLOAT) return false;
    float f;
    if (m->width == sizeof f) return memcpy(&f, m->data + at, sizeof f), *out = f, true;
    if (m->width == sizeof *out) return memcpy(out, m->data + at, sizeof *out), true;
    return false;
}

int flex_ints(const flex_map *m, const char *key, int64_t *out, int most) {
    size_t at;
    uint8_t type;
    uint64_t count;
    if (!find(m, key, &at, &type) || (type >> 2 != KIND_VECTOR_INT && type >> 2 != KIND_VECTOR_UINT)) return -1;
    size_t width = (size_t)1 << (type & 3);
    if (!follow(m, at, m->width, &at) || at < width || !read_uint(m, at - width, width, &count) || count > (uint64_t)most) return -1;
    for (size_t i = 0; i < count; i++)
        if (!read_int(m, at + i * width, width, &out[i])) return -1;
    return (int)count;
}
