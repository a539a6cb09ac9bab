/* SPDX-License-Identifier: Apache-2.0
 *
 * PyTorch checkpoints that lie, made by hand: each refused in its sentence; and bombs: small files that would take memory or time. */
#include <libdeflate.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/error.h"
#include "base/text.h"
#include "weights/weights_inside.h"
#include "weights/zip.h"

/* ---- pickles ---------------------------------------------------------------------------------------------------------------- */

static void put(text *t, const void *data, size_t size) {
    char *to = text_room(t, size);
    assert_non_null(to);
    if (size) memcpy(to, data, size);
    text_grown(t, size);
}
#define PUT(t, bytes) put(t, bytes, sizeof bytes - 1)

static void put_number(text *t, uint64_t n, int bytes) {
    for (int i = 0; i < bytes; i++) put(t, (uint8_t[]){ (uint8_t)(n >> 8 * i) }, 1);
}

static void put_text(text *t, const char *s) {
    PUT(t, "U");
    put_number(t, strlen(s), 1);
    put(t, s, strlen(s));
}

static void put_integer(text *t, int64_t n) {
    PUT(t, "\212\10");
    put_number(t, (uint64_t)n, 8);
}

/* A storage: its class, key and elements; view NULL, or what describes it. */
static void put_storage(text *t, const char *class, const char *key, int64_t elements, const char *view) {
    PUT(t, "(");
    put_text(t, "storage");
    PUT(t, "ctorch\n");
    put(t, class, strlen(class));
    PUT(t, "\n");
    put_text(t, key);
    put_text(t, "cpu");
    put_integer(t, elements);
    if (view) put(t, view, strlen(view));
    PUT(t, "tQ");
}

typedef struct { const char *class, *key, *view; int64_t elements, offset; int rank; int64_t size[9], stride[9]; } tensor;

static void put_tensor(text *t, const tensor *x) {
    PUT(t, "ctorch._utils\n_rebuild_tensor_v2\n(");
    put_storage(t, x->class ? x->class : "FloatStorage", x->key ? x->key : "0", x->elements, x->view);
    put_integer(t, x->offset);
    PUT(t, "(");
    for (int i = 0; i < x->rank; i++) put_integer(t, x->size[i]);
    PUT(t, "t(");
    for (int i = 0; i < x->rank; i++) put_integer(t, x->stride[i]);
    PUT(t, "t\211}tR");
}

/* {"x": tensor} */
static text one_tensor(const tensor *x) {
    text t = { 0 };
    PUT(&t, "\200\2}");
    put_text(&t, "x");
    put_tensor(&t, x);
    PUT(&t, "s.");
    return t;
}

/* ---- files ------------------------------------------------------------------------------------------------------------------ */

enum { FLAG_AT = 8, METHOD_AT = 10, CRC_AT = 16, PACKED_AT = 20, SIZE_AT = 24, PLACE_AT = 42 };

typedef struct { text file, list; unsigned members; } zip;

static void zip_put(zip *z, const char *name, const void *data, size_t size, bool packed) {
    uint64_t at = z->file.size, stored = size;
    uint8_t small[4096];
    uint32_t crc = libdeflate_crc32(0, data, size);
    if (packed) {
        struct libdeflate_compressor *c = libdeflate_alloc_compressor(6);
        stored = libdeflate_deflate_compress(c, data, size, small, sizeof small);
        libdeflate_free_compressor(c);
        assert_true(stored > 0);
    }
    for (int list = 0; list < 2; list++) {
        text *t = list ? &z->list : &z->file;
        put_number(t, list ? 0x02014b50 : 0x04034b50, 4);
        if (list) put_number(t, 20, 2);
        put_number(t, 20, 2), put_number(t, 0, 2), put_number(t, packed ? 8 : 0, 2), put_number(t, 0, 4), put_number(t, crc, 4);
        put_number(t, stored, 4), put_number(t, size, 4), put_number(t, strlen(name), 2), put_number(t, 0, 2);
        if (list) put_number(t, 0, 6), put_number(t, 0, 4), put_number(t, at, 4);
        put(t, name, strlen(name));
    }
    put(&z->file, packed ? small : data, stored);
    z->members++;
}

static void zip_close(zip *z) {
    uint64_t at = z->file.size;
    put(&z->file, z->list.data, z->list.size);
    put_number(&z->file, 0x06054b50, 4), put_number(&z->file, 0, 4), put_number(&z->file, z->members, 2), put_number(&z->file, z->members, 2);
    put_number(&z->file, z->list.size, 4), put_number(&z->file, at, 4), put_number(&z->file, 0, 2);
    text_free(&z->list);
}

/* The entry of a member in the finished file's list. */
static uint8_t *listed(zip *z, const char *name) {
    for (size_t i = z->file.size - strlen(name); i-- > 46;)
        if (memcmp(z->file.data + i, name, strlen(name)) == 0 && memcmp(z->file.data + i - 46, "PK\1\2", 4) == 0) return (uint8_t *)z->file.data + i - 46;
    fail_msg("%s is not in the list", name);
    return NULL;
}

static void set(uint8_t *at, uint64_t n, int bytes) {
    for (int i = 0; i < bytes; i++) at[i] = (uint8_t)(n >> 8 * i);
}

static const float numbers[16] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16 };

static int read_bytes(const text *file, weights **w) {
    *w = weights_new("x", WEIGHTS_PICKLE);
    assert_non_null(*w);
    int rc = torch_file_read(*w, "x", "", (const uint8_t *)file->data, file->size);
    return rc < 0 ? rc : weights_finish(*w, "x");
}

static void refused(const text *file, int code, const char *said) {
    weights *w;
    int rc = read_bytes(file, &w);
    if (rc != code || !strstr(error_message(), said)) fail_msg("%d \"%s\", and not %d \"%s\"", rc, rc ? error_message() : "", code, said);
    weights_close(w);
}

static zip zip_of(const text *pickle, bool packed) {
    zip z = { 0 };
    zip_put(&z, "a/data.pkl", pickle->data, pickle->size, packed);
    zip_put(&z, "a/data/0", numbers, sizeof numbers, packed);
    zip_close(&z);
    return z;
}

/* Frees both. */
static void refused_pickle(text pickle, int code, const char *said) {
    zip z = zip_of(&pickle, false);
    refused(&z.file, code, said);
    text_free(&z.file);
    text_free(&pickle);
}

static void accepted_pickle(text pickle, size_t tensors, const char *name) {
    zip z = zip_of(&pickle, false);
    weights *w;
    if (read_bytes(&z.file, &w) < 0) fail_msg("%s", error_message());
    assert_int_equal(weights_count(w), tensors);
    assert_non_null(weights_find(w, name));
    weights_close(w);
    text_free(&z.file);
    text_free(&pickle);
}

/* ---- tensors ------------------------------------------------------------------------------------------------------------------ */

static void test_tensors(void **state) {
    (void)state;
    static const char outside[] = "a tensor that reaches out of its storage", shapeless[] = "a tensor without a proper shape";
    static const struct { tensor t; int code; const char *said; } lies[] = {
        { { .elements = 16, .rank = 1, .size = { 17 }, .stride = { 1 } }, ERR_FORMAT, outside },
        { { .elements = 16, .offset = 1, .rank = 1, .size = { 16 }, .stride = { 1 } }, ERR_FORMAT, outside },
        { { .elements = 16, .rank = 2, .size = { 4, 4 }, .stride = { 5, 1 } }, ERR_FORMAT, outside },
        { { .elements = 16, .offset = 16 }, ERR_FORMAT, outside },
        { { .elements = 16, .offset = INT64_MAX }, ERR_FORMAT, outside },
        { { .elements = 16, .rank = 1, .size = { INT64_MAX }, .stride = { INT64_MAX } }, ERR_FORMAT, outside },
        { { .elements = 16, .rank = 3, .size = { INT64_MAX, INT64_MAX, 4 }, .stride = { 0, 0, 0 } }, ERR_FORMAT, outside },
        { { .elements = 16, .rank = 1, .size = { 2 }, .stride = { -1 } }, ERR_FORMAT, shapeless },
        { { .elements = 16, .rank = 1, .size = { -2 }, .stride = { 1 } }, ERR_FORMAT, shapeless },
        { { .elements = 16, .offset = -1 }, ERR_FORMAT, "a tensor without a proper offset" },
        { { .elements = 16, .rank = 9, .size = { 1, 1, 1, 1, 1, 1, 1, 1, 1 }, .stride = { 1 } }, ERR_UNSUPPORTED, "a tensor of more than 8 dimensions" },
        { { .elements = -1, .rank = 1, .size = { 1 }, .stride = { 1 } }, ERR_FORMAT, "a storage that is not described as PyTorch does" },
        { { .elements = INT64_MAX, .rank = 1, .size = { 1 }, .stride = { 1 } }, ERR_FORMAT, "a storage larger than can be" },
        { { .elements = 17, .rank = 1, .size = { 1 }, .stride = { 1 } }, ERR_FORMAT, "\"a/data/0\" has 64 bytes, and should have 68" },
        { { .elements = 16, .key = "1", .rank = 1, .size = { 1 }, .stride = { 1 } }, ERR_FORMAT, "the numbers stored as \"1\" are missing" },
        { { .elements = 16, .key = "../data/0", .rank = 1, .size = { 1 }, .stride = { 1 } }, ERR_FORMAT, "are missing" },
        { { .elements = 16, .rank = 1, .size = { 1 << 28 }, .stride = { 0 } }, ERR_LIMIT, "would take more memory than the whole file: it repeats numbers" },
        { { .class = "ComplexFloatStorage", .elements = 16, .rank = 1, .size = { 1 }, .stride = { 1 } }, ERR_UNSUPPORTED, "has no tensors by name in it" },
        { { .elements = 16, .view = "(U\1vK\10K\11t" }, ERR_FORMAT, "a view of a storage that reaches out of it" },
        { { .elements = 16, .view = "(U\1vK\10K\2t", .rank = 1, .size = { 3 }, .stride = { 1 } }, ERR_FORMAT, outside },
    };
    for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) refused_pickle(one_tensor(&lies[i].t), lies[i].code, lies[i].said);
    accepted_pickle(one_tensor(&(tensor){ .elements = 16, .rank = 2, .size = { 4, 4 }, .stride = { 4, 1 } }), 1, "x");
    accepted_pickle(one_tensor(&(tensor){ .class = "UntypedStorage", .elements = 64, .rank = 1, .size = { 64 }, .stride = { 1 } }), 1, "x");
    accepted_pickle(one_tensor(&(tensor){ .elements = 16, .rank = 2, .size = { 0, 1LL << 40 }, .stride = { 1, 1 } }), 1, "x");
    /* A view that is negative by a flag. */
    text t = { 0 };
    PUT(&t, "}");
    put_text(&t, "x");
    PUT(&t, "ctorch._utils\n_rebuild_tensor_v2\n(");
    put_storage(&t, "FloatStorage", "0", 16, NULL);
    PUT(&t, "K\0K\1\205K\1\205\211}}U\3neg\210stRs.");
    refused_pickle(t, ERR_UNSUPPORTED, "has no tensors by name in it");
}

/* ---- where the state dict is --------------------------------------------------------------------------------------------------- */

static void put_entry(text *t, const char *key) {
    put_text(t, key);
    put_tensor(t, &(tensor){ .elements = 16, .rank = 1, .size = { 1 }, .stride = { 1 } });
    PUT(t, "s");
}

static void test_state_dicts(void **state) {
    (void)state;
    text t = { 0 };
    PUT(&t, "}U\5modelK\7s");   /* a model that is a number */
    put_entry(&t, "w");
    PUT(&t, ".");
    accepted_pickle(t, 1, "w");
    t = (text){ 0 };
    PUT(&t, "}U\5model}U\1aK\1ss");   /* one without tensors */
    put_entry(&t, "w");
    PUT(&t, ".");
    accepted_pickle(t, 1, "w");
    t = (text){ 0 };
    PUT(&t, "}U\5model}");
    put_entry(&t, "w");
    PUT(&t, "sU\nstate_dict}");
    put_entry(&t, "v");
    PUT(&t, "sU\5other}");
    put_entry(&t, "u");
    PUT(&t, "s.");
    accepted_pickle(t, 1, "v");   /* "state_dict" comes before "model", and nothing beside it is taken */
    t = (text){ 0 };
    PUT(&t, "}K\1");
    put_tensor(&t, &(tensor){ .elements = 16, .rank = 1, .size = { 1 }, .stride = { 1 } });
    PUT(&t, "sU\0");
    put_tensor(&t, &(tensor){ .elements = 16, .rank = 1, .size = { 1 }, .stride = { 1 } });
    PUT(&t, "sU\3a\0b");
    put_tensor(&t, &(tensor){ .elements = 16, .rank = 1, .size = { 1 }, .stride = { 1 } });
    PUT(&t, "s.");
    refused_pickle(t, ERR_UNSUPPORTED, "has no tensors by name in it");
    t = (text){ 0 };
    PUT(&t, "}");
    put_entry(&t, "w");
    put_entry(&t, "w");
    PUT(&t, ".");
    refused_pickle(t, ERR_FORMAT, "tensor \"w\" is there twice");
}

/* A dictionary in itself, and one of which each level has the next a hundred times: neither without end nor for long. */
static void test_bombs(void **state) {
    (void)state;
    text t = { 0 };
    PUT(&t, "}q\1U\4selfh\1s");
    put_entry(&t, "w");
    PUT(&t, ".");
    zip z = zip_of(&t, false);
    weights *w;
    int rc = read_bytes(&z.file, &w);
    assert_true(rc == 0 && weights_find(w, "w") && weights_count(w) < 20);
    weights_close(w);
    text_free(&z.file);
    text_free(&t);
    t = (text){ 0 };
    PUT(&t, "}q\1");
    for (int level = 2; level < 9; level++) {
        PUT(&t, "0}");
        for (int i = 0; i < 100; i++) {
            char key[16];
            snprintf(key, sizeof key, "%d", i);
            put_text(&t, key);
            PUT(&t, "h");
            put_number(&t, (uint64_t)level - 1, 1);
            PUT(&t, "s");
        }
        PUT(&t, "q");
        put_number(&t, (uint64_t)level, 1);
    }
    PUT(&t, ".");
    refused_pickle(t, ERR_LIMIT, "dictionaries within dictionaries without end");
}

/* ---- zips ------------------------------------------------------------------------------------------------------------------------ */

static text plain_pickle(void) { return one_tensor(&(tensor){ .elements = 16, .rank = 1, .size = { 16 }, .stride = { 1 } }); }

/* One field of the list changed. */
static void refused_field(bool packed, const char *name, int at, uint64_t value, int bytes, int code, const char *said) {
    text pickle = plain_pickle();
    zip z = zip_of(&pickle, packed);
    set(listed(&z, name) + at, value, bytes);
    refused(&z.file, code, said);
    text_free(&z.file);
    text_free(&pickle);
}

static void test_zips(void **state) {
    (void)state;
    refused_field(false, "a/data/0", FLAG_AT, 1, 2, ERR_UNSUPPORTED, "the member \"a/data/0\" is encrypted");
    refused_field(false, "a/data/0", METHOD_AT, 12, 2, ERR_UNSUPPORTED, "is compressed in an unknown way");
    refused_field(false, "a/data/0", SIZE_AT, 128, 4, ERR_FORMAT, "is stored, but in another size than its own");
    refused_field(false, "a/data/0", PACKED_AT, 1 << 30, 4, ERR_FORMAT, "reaches over the file's end");
    refused_field(false, "a/data/0", PLACE_AT, 1 << 30, 4, ERR_FORMAT, "is not where the zip's list says");
    refused_field(false, "a/data/0", PLACE_AT, 7, 4, ERR_FORMAT, "is not where the zip's list says");
    refused_field(false, "a/data/0", PLACE_AT, 0, 4, ERR_FORMAT, "shares bytes with another");
    refused_field(false, "a/data/0", PLACE_AT, 0xffffffff, 4, ERR_FORMAT, "is not where");
    refused_field(true, "a/data/0", CRC_AT, 7, 4, ERR_FORMAT, "is damaged: it does not unpack to what it should");
    refused_field(true, "a/data/0", SIZE_AT, 1 << 30, 4, ERR_FORMAT, "claims to unpack to more than can be");
    refused_field(true, "a/data/0", SIZE_AT, 65, 4, ERR_FORMAT, "is damaged");
    refused_field(false, "a/data/0", 28, 60000, 2, ERR_FORMAT, "the zip's list of members is broken");
    refused_field(false, "a/data/0", 0, 7, 1, ERR_FORMAT, "the zip's list of members is broken");
    text pickle = plain_pickle();
    zip z = zip_of(&pickle, true);
    weights *w;
    assert_int_equal(read_bytes(&z.file, &w), 0);
    assert_memory_equal(weights_find(w, "x")->data, numbers, sizeof numbers);
    weights_close(w);
    zip_list list;
    assert_int_equal(zip_list_read("x", (const uint8_t *)z.file.data, z.file.size, &list), 0);
    arena memory = { 0 };
    size_t most = sizeof numbers - 1;
    const uint8_t *bytes;
    zip_member *m = zip_list_find(&list, "a/data/0", 8);
    assert_int_equal(zip_member_read(&list, m, &memory, &most, &bytes), ERR_LIMIT);
    most++;
    assert_int_equal(zip_member_read(&list, m, &memory, &most, &bytes), 0);
    assert_int_equal(most, 0);
    assert_int_equal(zip_member_read(&list, m, &memory, &most, &bytes), 0);   /* it is there by now */
    arena_free(&memory);
    zip_list_free(&list);
    text_free(&z.file);
    z = (zip){ 0 };
    zip_put(&z, "a/data.pkl", pickle.data, pickle.size, false);
    zip_put(&z, "a/data/0", numbers, sizeof numbers, false);
    zip_put(&z, "a/data/0", numbers, sizeof numbers, false);
    zip_close(&z);
    refused(&z.file, ERR_FORMAT, "the member \"a/data/0\" is there twice");
    text_free(&z.file);
    z = (zip){ 0 };
    zip_put(&z, "a/data.pkl", pickle.data, pickle.size, false);
    zip_put(&z, "a/constants.pkl", "x", 1, false);
    zip_close(&z);
    refused(&z.file, ERR_UNSUPPORTED, "is a TorchScript program");
    text_free(&z.file);
    text_free(&pickle);
}

/* zip64: sizes and place in a field of their own, the end's numbers in a record of its own. */
static void test_zip64(void **state) {
    (void)state;
    text pickle = plain_pickle();
    zip z = { 0 };
    zip_put(&z, "a/data.pkl", pickle.data, pickle.size, false);
    uint64_t place = z.file.size, at;
    zip_put(&z, "a/data/0", numbers, sizeof numbers, false);
    size_t entry = z.list.size - 8 - 46;
    set((uint8_t *)z.list.data + entry + PACKED_AT, UINT64_MAX, 8);
    set((uint8_t *)z.list.data + entry + PLACE_AT, UINT64_MAX, 4);
    set((uint8_t *)z.list.data + entry + 30, 4 + 24 + 4, 2);
    put_number(&z.list, 7, 2), put_number(&z.list, 0, 2);   /* another field first */
    put_number(&z.list, 1, 2), put_number(&z.list, 24, 2);
    put_number(&z.list, sizeof numbers, 8), put_number(&z.list, sizeof numbers, 8), put_number(&z.list, place, 8);
    at = z.file.size;
    put(&z.file, z.list.data, z.list.size);
    uint64_t end = z.file.size;
    put_number(&z.file, 0x06064b50, 4), put_number(&z.file, 44, 8), put_number(&z.file, 0, 4), put_number(&z.file, 0, 8), put_number(&z.file, 2, 8), put_number(&z.file, 2, 8);
    put_number(&z.file, z.list.size, 8), put_number(&z.file, at, 8);
    put_number(&z.file, 0x07064b50, 4), put_number(&z.file, 0, 4), put_number(&z.file, end, 8), put_number(&z.file, 1, 4);
    put_number(&z.file, 0x06054b50, 4), put_number(&z.file, 0, 4), put_number(&z.file, UINT32_MAX, 4), put_number(&z.file, UINT64_MAX, 8), put_number(&z.file, 0, 2);
    weights *w;
    if (read_bytes(&z.file, &w) < 0) fail_msg("%s", error_message());
    assert_memory_equal(weights_find(w, "x")->data, numbers, sizeof numbers);
    weights_close(w);
    set((uint8_t *)z.file.data + end + 48, UINT64_MAX - 2, 8);
    refused(&z.file, ERR_FORMAT, "the zip's list of members would lie outside of the file");
    set((uint8_t *)z.file.data + end + 48, at, 8);
    set((uint8_t *)z.file.data + end + 32, UINT64_MAX / 46, 8);
    refused(&z.file, ERR_FORMAT, "the zip's list of members is shorter than it claims");
    set((uint8_t *)z.file.data + end + 32, 2, 8);
    set((uint8_t *)z.file.data + end + 56 + 8, UINT64_MAX, 8);
    refused(&z.file, ERR_FORMAT, "the zip's end is broken");
    text_free(&z.list);
    text_free(&z.file);
    text_free(&pickle);
}

/* ---- before 1.6 -------------------------------------------------------------------------------------------------------------------- */

static text legacy_of(text pickle, const char *keys, uint64_t elements, size_t bytes) {
    text t = { 0 };
    PUT(&t, "\200\2\212\n\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.\200\2M\351\3.\200\2}U\rlittle_endian\210s.");
    put(&t, pickle.data, pickle.size);
    put(&t, keys, strlen(keys));
    put_number(&t, elements, 8);
    put(&t, numbers, bytes);
    text_free(&pickle);
    return t;
}

static void refused_legacy(text file, int code, const char *said) {
    refused(&file, code, said);
    text_free(&file);
}

static void test_legacy(void **state) {
    (void)state;
    text good = legacy_of(plain_pickle(), "](U\0010e.", 16, 64);
    weights *w;
    if (read_bytes(&good, &w) < 0) fail_msg("%s", error_message());
    assert_memory_equal(weights_find(w, "x")->data, numbers, sizeof numbers);
    weights_close(w);
    text_free(&good);
    refused_legacy(legacy_of(plain_pickle(), "](U\0010e.", 15, 64), ERR_FORMAT, "\"0\" is not of the size it should be");
    refused_legacy(legacy_of(plain_pickle(), "](U\0010e.", 16, 63), ERR_FORMAT, "is cut short: \"0\" has 64 bytes, of which the file has 63");
    refused_legacy(legacy_of(plain_pickle(), "](U\0011e.", 16, 64), ERR_FORMAT, "stores numbers (\"1\") that nothing in it uses");
    refused_legacy(legacy_of(plain_pickle(), "].", 16, 64), ERR_FORMAT, "the numbers stored as \"0\" are missing");
    refused_legacy(legacy_of(plain_pickle(), "].", 16, 0), ERR_FORMAT, "are missing");
    refused_legacy(legacy_of(plain_pickle(), "}.", 16, 64), ERR_FORMAT, "the list of stored numbers is missing");
    refused_legacy(legacy_of(plain_pickle(), "](K\1e.", 16, 64), ERR_FORMAT, "the list of stored numbers is broken");
    text twice = legacy_of(one_tensor(&(tensor){ .elements = 4, .rank = 1, .size = { 4 }, .stride = { 1 } }), "](U\0010U\0010e.", 4, 16);
    put_number(&twice, 4, 8);
    put(&twice, numbers, 16);
    refused_legacy(twice, ERR_FORMAT, "stores \"0\" twice");
    text two = { 0 };
    PUT(&two, "}");
    put_text(&two, "x");
    put_tensor(&two, &(tensor){ .elements = 4, .rank = 1, .size = { 4 }, .stride = { 1 } });
    PUT(&two, "s");
    put_text(&two, "y");
    put_tensor(&two, &(tensor){ .elements = 8, .rank = 1, .size = { 4 }, .stride = { 1 } });
    PUT(&two, "s.");
    weights *other;
    text file = legacy_of(two, "](U\0010e.", 4, 64);
    assert_int_equal(read_bytes(&file, &other), ERR_FORMAT);   /* one size or the other is wrong: which is found first does not matter */
    weights_close(other);
    text_free(&file);
    static const struct { const char *bytes; size_t size; int code; const char *said; } fronts[] = {
        { "\200\2K\1.", 5, ERR_UNSUPPORTED, "is a pickle, but none that torch.save wrote" },
        { "\200\2\212\n\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.K\1.", 18, ERR_UNSUPPORTED, "is of an unknown version" },
        { "\200\2\212\n\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.M\351\3.}U\rlittle_endian\211s.", 38, ERR_UNSUPPORTED, "was saved on a machine of another byte order" },
        { "\200\2\212\n\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.M\351\3.}.", 21, ERR_UNSUPPORTED, "was saved on a machine of another byte order" },
    };
    for (size_t i = 0; i < sizeof fronts / sizeof *fronts; i++) refused(&(text){ .data = (char *)fronts[i].bytes, .size = fronts[i].size }, fronts[i].code, fronts[i].said);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tensors), cmocka_unit_test(test_state_dicts), cmocka_unit_test(test_bombs), cmocka_unit_test(test_zips), cmocka_unit_test(test_zip64), cmocka_unit_test(test_legacy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
