/* SPDX-License-Identifier: Apache-2.0
 *
 * PKWARE's APPNOTE 6.3.10: the end record (4.3.16, zip64 4.3.14), the list (4.3.12), the headers in front of members (4.3.7). */
#include "weights/zip.h"

#include <libdeflate.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"

enum {
    END = 22, LOCATOR64 = 20, END64 = 56, LISTED = 46, LOCAL = 30,
    MOST_REMARK = 65535,
    STORED = 0, DEFLATED = 8,
    ENCRYPTED = 1,
    EXTRA64 = 1,
    RATIO = 1032,                  /* deflate's most */
};

static uint64_t number(const uint8_t *at, size_t bytes) {
    uint64_t n = 0;
    for (size_t i = 0; i < bytes; i++) n |= (uint64_t)at[i] << 8 * i;
    return n;
}

static int fault(const zip_list *z, const char *what) { return error_set(ERR_FORMAT, "%s: %s", z->what, what), ERR_FORMAT; }

/* ---- the end --------------------------------------------------------------------------------------------------------------- */

typedef struct { uint64_t at, bytes, members; } list_place;

static const uint8_t *find_end(const zip_list *z) {
    if (z->size < END) return NULL;
    size_t least = z->size - END > MOST_REMARK ? z->size - END - MOST_REMARK : 0;
    for (size_t at = z->size - END + 1; at-- > least;)
        if (number(z->data + at, 4) == 0x06054b50 && at + END + number(z->data + at + 20, 2) <= z->size) return z->data + at;
    return NULL;
}

static int read_end64(const zip_list *z, const uint8_t *end, list_place *p) {
    if (end - z->data < LOCATOR64) return 0;
    const uint8_t *locator = end - LOCATOR64;
    if (number(locator, 4) != 0x07064b50) return 0;
    uint64_t at = number(locator + 8, 8);
    if (at > (uint64_t)(locator - z->data) || (uint64_t)(locator - z->data) - at < END64 || number(z->data + at, 4) != 0x06064b50)
        return fault(z, "the zip's end is broken");
    *p = (list_place){ number(z->data + at + 48, 8), number(z->data + at + 40, 8), number(z->data + at + 32, 8) };
    return 0;
}

static int read_end(const zip_list *z, list_place *p) {
    const uint8_t *end = find_end(z);
    if (!end) return fault(z, "the zip file has no end: it is cut short");
    *p = (list_place){ number(end + 16, 4), number(end + 12, 4), number(end + 10, 2) };
    int rc = read_end64(z, end, p);
    if (rc < 0) return rc;
    uint64_t before = (uint64_t)(end - z->data);
    if (p->at > before || p->bytes > before - p->at) return fault(z, "the zip's list of members would lie outside of the file");
    if (p->members > p->bytes / LISTED) return fault(z, "the zip's list of members is shorter than it claims");
    return 0;
}

/* ---- the list -------------------------------------------------------------------------------------------------------------- */

/* Of sizes and places that are all ones, the true ones stand in a field of their own, in this order. */
static int read_extra(const zip_list *z, const uint8_t *at, size_t bytes, zip_member *m) {
    uint64_t *const wide[] = { &m->size, &m->packed, &m->at };
    while (bytes >= 4) {
        size_t kind = (size_t)number(at, 2), n = (size_t)number(at + 2, 2);
        at += 4;
        bytes -= 4;
        if (n > bytes) return fault(z, "a field of the zip's list is broken");
        for (size_t i = 0, used = 0; kind == EXTRA64 && i < 3; i++) {
            if (*wide[i] != UINT32_MAX) continue;
            if (n - used < 8) return fault(z, "a field of the zip's list is broken");
            *wide[i] = number(at + used, 8);
            used += 8;
        }
        at += n;
        bytes -= n;
    }
    return 0;
}

/* The member at *at, which moves on. */
static int read_listed(const zip_list *z, const uint8_t **at, const uint8_t *end, zip_member *m) {
    const uint8_t *b = *at;
    if (end - b < LISTED || number(b, 4) != 0x02014b50) return fault(z, "the zip's list of members is broken");
    size_t name = (size_t)number(b + 28, 2), extra = (size_t)number(b + 30, 2), remark = (size_t)number(b + 32, 2);
    if ((size_t)(end - b) - LISTED < name + extra + remark) return fault(z, "the zip's list of members is broken");
    *m = (zip_member){ .name = (const char *)b + LISTED, .name_size = name, .at = number(b + 42, 4), .packed = number(b + 20, 4),
                       .size = number(b + 24, 4), .crc = (uint32_t)number(b + 16, 4), .method = (uint16_t)number(b + 10, 2), .flags = (uint16_t)number(b + 8, 2) };
    *at = b + LISTED + name + extra + remark;
    return read_extra(z, b + LISTED + name, extra, m);
}

static int compare_names(const char *a, size_t a_size, const char *b, size_t b_size) {
    int order = memcmp(a, b, a_size < b_size ? a_size : b_size);
    return order ? order : a_size < b_size ? -1 : a_size > b_size;
}

static int by_name(const void *a, const void *b) {
    const zip_member *m = a, *n = b;
    return compare_names(m->name, m->name_size, n->name, n->name_size);
}

static int read_list(zip_list *z, const list_place *p) {
    const uint8_t *at = z->data + p->at, *end = at + p->bytes;
    z->member = malloc((p->members + 1) * sizeof *z->member);   /* no more than the file has bytes */
    if (!z->member) return error_memory((p->members + 1) * sizeof *z->member);
    int rc = 0;
    for (; rc == 0 && z->members < p->members; z->members++) rc = read_listed(z, &at, end, &z->member[z->members]);
    if (rc < 0) return rc;
    qsort(z->member, z->members, sizeof *z->member, by_name);
    for (size_t i = 1; i < z->members; i++)
        if (by_name(&z->member[i - 1], &z->member[i]) == 0)
            return error_set(ERR_FORMAT, "%s: the member \"%.*s\" is there twice", z->what, (int)z->member[i].name_size, z->member[i].name);
    return 0;
}

int zip_list_read(const char *what, const uint8_t *data, size_t size, zip_list *out) {
    list_place p;
    *out = (zip_list){ .what = what, .data = data, .size = size };
    int rc = read_end(out, &p);
    if (rc == 0) rc = read_list(out, &p);
    if (rc < 0) zip_list_free(out);
    return rc;
}

void zip_list_free(zip_list *z) {
    free(z->member);
    *z = (zip_list){ 0 };
}

zip_member *zip_list_find(const zip_list *z, const char *name, size_t name_size) {
    size_t low = 0, high = z->members;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        zip_member *m = &z->member[middle];
        int order = compare_names(name, name_size, m->name, m->name_size);
        if (order == 0) return m;
        if (order < 0) high = middle;
        else low = middle + 1;
    }
    return NULL;
}

/* ---- members --------------------------------------------------------------------------------------------------------------- */

static int refuse(const zip_list *z, const zip_member *m, int code, const char *why) {
    return error_set(code, "%s: the member \"%.*s\" %s", z->what, (int)m->name_size, m->name, why);
}

static int unpack(const zip_list *z, zip_member *m, const uint8_t *packed, arena *a, size_t *most) {
    if (m->size / RATIO > m->packed + 1) return refuse(z, m, ERR_FORMAT, "claims to unpack to more than can be");
    if (m->size > *most) return refuse(z, m, ERR_LIMIT, "is compressed, and would unpack to more than is sensible: save the model again, uncompressed");
    uint8_t *out = arena_new(a, m->size ? (size_t)m->size : 1, 1);
    struct libdeflate_decompressor *d = libdeflate_alloc_decompressor();
    if (!out || !d) {
        libdeflate_free_decompressor(d);
        return error_memory(m->size);
    }
    *most -= (size_t)m->size;
    bool good = libdeflate_deflate_decompress(d, packed, (size_t)m->packed, out, (size_t)m->size, NULL) == LIBDEFLATE_SUCCESS;
    libdeflate_free_decompressor(d);
    if (!good || libdeflate_crc32(0, out, (size_t)m->size) != m->crc) return refuse(z, m, ERR_FORMAT, "is damaged: it does not unpack to what it should");
    m->bytes = out;
    return 0;
}

int zip_member_read(const zip_list *z, zip_member *m, arena *a, size_t *most, const uint8_t **bytes) {
    if (m->bytes) return *bytes = m->bytes, 0;
    if (m->flags & ENCRYPTED) return refuse(z, m, ERR_UNSUPPORTED, "is encrypted");
    if (m->method != STORED && m->method != DEFLATED) return refuse(z, m, ERR_UNSUPPORTED, "is compressed in an unknown way");
    if (m->at > z->size || z->size - m->at < LOCAL || number(z->data + m->at, 4) != 0x04034b50) return refuse(z, m, ERR_FORMAT, "is not where the zip's list says");
    const uint8_t *header = z->data + m->at;
    uint64_t from = m->at + LOCAL + number(header + 26, 2) + number(header + 28, 2);
    if (from > z->size || m->packed > z->size - from) return refuse(z, m, ERR_FORMAT, "reaches over the file's end: it is cut short");
    if (m->method == DEFLATED) {
        int rc = unpack(z, m, z->data + from, a, most);
        *bytes = m->bytes;
        return rc;
    }
    if (m->size != m->packed) return refuse(z, m, ERR_FORMAT, "is stored, but in another size than its own");
    *bytes = m->bytes = z->data + from;
    return 0;
}

static int by_place(const void *a, const void *b) {
    const zip_member *m = *(zip_member *const *)a, *n = *(zip_member *const *)b;
    return m->bytes < n->bytes ? -1 : m->bytes > n->bytes;
}

int zip_list_check(const zip_list *z) {
    const zip_member **read = malloc((z->members + 1) * sizeof *read);
    size_t n = 0;
    if (!read) return error_memory((z->members + 1) * sizeof *read);
    for (size_t i = 0; i < z->members; i++)
        if (z->member[i].bytes && z->member[i].method == STORED && z->member[i].size) read[n++] = &z->member[i];
    qsort(read, n, sizeof *read, by_place);
    int rc = 0;
    for (size_t i = 1; rc == 0 && i < n; i++)
        if (read[i - 1]->size > (uint64_t)(read[i]->bytes - read[i - 1]->bytes)) rc = refuse(z, read[i], ERR_FORMAT, "shares bytes with another");
    free(read);
    return rc;
}
