/* SPDX-License-Identifier: Apache-2.0
 *
 * The format (https://flatbuffers.dev/internals): numbers are little-endian. A table starts with the signed distance
 * back to its vtable: u16 bytes of the vtable, u16 bytes of the table, then one u16 a field: where it lies in the
 * table, 0 if absent. References are u32 distances forward from where they stand. A vector is a u32 count and the
 * elements; a string is a vector of bytes with a zero after it. */
#include "tflite/flatbuffer.h"

#include "base/error.h"

static bool inside(const flatbuffer *f, size_t at, size_t bytes) {
    return at <= f->size && bytes <= f->size - at;
}

static void broken(flatbuffer *f, const char *what, size_t at) {
    if (!f->rc) f->rc = error_set(ERR_FORMAT, "broken file: %s at byte %zu", what, at);
}

/* The caller has checked that the bytes are inside. */
static uint64_t little(const flatbuffer *f, size_t at, size_t bytes) {
    uint64_t x = 0;
    for (size_t i = bytes; i--;) x = x << 8 | f->data[at + i];
    return x;
}

static fb_table no_table(flatbuffer *f, const char *why, size_t at) {
    broken(f, why, at);
    return (fb_table){ 0 };
}

static fb_table table_at(flatbuffer *f, size_t at) {
    fb_table t = { .at = at };
    if (!inside(f, at, 4)) return no_table(f, "a table outside the file", at);
    int64_t vtable = (int64_t)at - (int32_t)(uint32_t)little(f, at, 4);
    if (vtable < 0 || !inside(f, (size_t)vtable, 4)) return no_table(f, "a table whose vtable is outside the file", at);
    t.vtable = (size_t)vtable;
    t.vtable_bytes = (size_t)little(f, t.vtable, 2);
    t.bytes = (size_t)little(f, t.vtable + 2, 2);
    if (t.vtable_bytes < 4 || t.vtable_bytes % 2 || !inside(f, t.vtable, t.vtable_bytes)) return no_table(f, "a bad vtable", t.vtable);
    if (t.bytes < 4 || !inside(f, at, t.bytes)) return no_table(f, "a table that leaves the file", at);
    return t;
}

/* Where the reference at `at` (inside the file) points; false if that is not even a byte of it. */
static bool follow(flatbuffer *f, size_t at, size_t *target) {
    size_t distance = (size_t)little(f, at, 4);
    if (distance < 4 || distance >= f->size - at) { broken(f, "a reference out of the file", at); return false; }
    *target = at + distance;
    return true;
}

fb_table fb_open(flatbuffer *f, const uint8_t *data, size_t size, const char *identifier) {
    fb_table none = { 0 };
    size_t root;
    *f = (flatbuffer){ data, size, 0 };
    if (size < 8) { broken(f, "the end, before the header's", size); return none; }
    if (size > INT32_MAX) { f->rc = error_set(ERR_LIMIT, "a FlatBuffer of %zu bytes: they end at 2 GiB", size); return none; }
    for (size_t i = 0; i < 4; i++)
        if (data[4 + i] != (uint8_t)identifier[i]) {
            f->rc = error_set(ERR_FORMAT, "not a \"%s\" file", identifier);
            return none;
        }
    return follow(f, 0, &root) ? table_at(f, root) : none;
}

/* Where a field of `bytes` bytes lies, or 0 if it is absent. Of a table at hand, the vtable is inside the file. */
static size_t field_at(flatbuffer *f, fb_table t, unsigned field, size_t bytes) {
    size_t entry = 4 + 2 * (size_t)field;
    if (f->rc || entry + 2 > t.vtable_bytes) return 0;
    size_t offset = (size_t)little(f, t.vtable + entry, 2);
    if (!offset) return 0;
    if (offset < 4 || offset > t.bytes || bytes > t.bytes - offset) {
        broken(f, "a field outside its table", t.at);
        return 0;
    }
    return t.at + offset;
}

bool fb_has(flatbuffer *f, fb_table t, unsigned field) {
    return field_at(f, t, field, 1) != 0;
}

uint8_t fb_u8(flatbuffer *f, fb_table t, unsigned field, uint8_t absent) {
    size_t at = field_at(f, t, field, 1);
    return at ? f->data[at] : absent;
}

uint32_t fb_u32(flatbuffer *f, fb_table t, unsigned field, uint32_t absent) {
    size_t at = field_at(f, t, field, 4);
    return at ? (uint32_t)little(f, at, 4) : absent;
}

int32_t fb_i32(flatbuffer *f, fb_table t, unsigned field, int32_t absent) {
    return (int32_t)fb_u32(f, t, field, (uint32_t)absent);
}

uint64_t fb_u64(flatbuffer *f, fb_table t, unsigned field, uint64_t absent) {
    size_t at = field_at(f, t, field, 8);
    return at ? little(f, at, 8) : absent;
}

fb_table fb_subtable(flatbuffer *f, fb_table t, unsigned field) {
    size_t at = field_at(f, t, field, 4), target;
    return at && follow(f, at, &target) ? table_at(f, target) : (fb_table){ 0 };
}

fb_vector fb_get_vector(flatbuffer *f, fb_table t, unsigned field, size_t element) {
    fb_vector none = { 0 };
    size_t at = field_at(f, t, field, 4), target;
    if (!at || !follow(f, at, &target)) return none;
    if (!inside(f, target, 4)) { broken(f, "a vector outside the file", target); return none; }
    size_t count = (size_t)little(f, target, 4);
    if (count > (f->size - target - 4) / element) { broken(f, "a vector that leaves the file", target); return none; }
    return (fb_vector){ target + 4, count, element };
}

const char *fb_string(flatbuffer *f, fb_table t, unsigned field) {
    fb_vector v = fb_get_vector(f, t, field, 1);
    if (!v.element) return "";
    if (!inside(f, v.at + v.count, 1) || f->data[v.at + v.count]) { broken(f, "a string without an end", v.at); return ""; }
    return (const char *)f->data + v.at;
}

/* Checks an index; where the element lies, or 0. */
static size_t element_at(flatbuffer *f, fb_vector v, size_t i) {
    if (!f->rc && i < v.count) return v.at + i * v.element;
    broken(f, "an index past the end of the vector", v.at);
    return 0;
}

int32_t fb_at_i32(flatbuffer *f, fb_vector v, size_t i) {
    size_t at = element_at(f, v, i);
    return at ? (int32_t)(uint32_t)little(f, at, 4) : 0;
}

fb_table fb_at_table(flatbuffer *f, fb_vector v, size_t i) {
    size_t at = element_at(f, v, i), target;
    return at && follow(f, at, &target) ? table_at(f, target) : (fb_table){ 0 };
}
