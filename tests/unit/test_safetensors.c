/* SPDX-License-Identifier: Apache-2.0
 *
 * safetensors: what is read, and every lie with its sentence. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/error.h"
#include "weights/safetensors_write.h"
#include "weights/weights_inside.h"
#include "weights_samples.h"

enum { ROOM = SAMPLE_ROOM };

static int read_file(const uint8_t *file, size_t size, weights **out) {
    *out = weights_new("x", WEIGHTS_SAFETENSORS);
    assert_non_null(*out);
    int rc = safetensors_read(*out, "x", "", file, size);
    return rc < 0 ? rc : weights_finish(*out, "x");
}

static void test_read(void **state) {
    (void)state;
    static uint8_t file[ROOM];
    size_t size = sample_safetensors(file, "{\"__metadata__\":{\"format\":\"pt\",\"licence\":\"caf\\u00e9\"},"
                             "\"b\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[2,26]},"
                             "\"a.weight\":{\"dtype\":\"BF16\",\"shape\":[],\"data_offsets\":[0,2],\"more\":null},"
                             "\"none\":{\"dtype\":\"I64\",\"shape\":[0,9000000000],\"data_offsets\":[26,26]},"
                             "\"f8\":{\"dtype\":\"F8_E4M3\",\"shape\":[1,1,1,1,1,1,1,1],\"data_offsets\":[26,27]}}   ", 27);
    weights *w;
    assert_int_equal(read_file(file, size, &w), 0);
    assert_int_equal(weights_count(w), 4);
    static const char *const order[] = { "a.weight", "b", "none", "f8" };   /* as the bytes lie */
    for (size_t i = 0; i < 4; i++) assert_string_equal(weights_tensor(w, i)->name, order[i]);
    const stored_tensor *b = weights_find(w, "b"), *a = weights_find(w, "a.weight"), *none = weights_find(w, "none");
    assert_true(b && b->type == STORED_F32 && b->rank == 2 && b->dim[0] == 2 && b->dim[1] == 3 && b->bytes == 24);
    assert_int_equal(((const uint8_t *)b->data)[23], 25);
    assert_true(a && a->type == STORED_BF16 && a->rank == 0 && a->bytes == 2 && *(const uint8_t *)a->data == 0);
    assert_true(none && none->rank == 2 && none->dim[1] == 9000000000 && none->bytes == 0 && !none->data);
    assert_null(weights_find(w, "c"));
    assert_null(weights_find(w, ""));
    assert_int_equal(weights_metadata_count(w), 2);
    assert_string_equal(weights_metadata(w, "licence"), "caf\xc3\xa9");
    assert_null(weights_metadata(w, "none"));
    weights_drop(w, b->data, b->bytes);   /* not mapped here: nothing happens */
    assert_int_equal(((const uint8_t *)b->data)[23], 25);
    weights_close(w);
}

#define ONE(type, shape, from, to) "{\"t\":{\"dtype\":\"" type "\",\"shape\":" shape ",\"data_offsets\":[" from "," to "]}}"

static const struct { const char *header; size_t bytes; int code; const char *said; } lies[] = {
    { ONE("F32", "[2]", "0", "8"), 7, ERR_FORMAT, "x: tensor \"t\" would end at byte 8 of the data, of which the file has 7: it is cut short" },
    { ONE("F32", "[2]", "0", "8"), 9, ERR_FORMAT, "the last 1 bytes belong to no tensor" },
    { ONE("F32", "[2]", "1", "9"), 9, ERR_FORMAT, "1 bytes before tensor \"t\" belong to none" },
    { ONE("F32", "[2]", "0", "4"), 8, ERR_FORMAT, "x: t: type and shape ask for 8 bytes, data_offsets say 4" },
    { ONE("F32", "[2]", "8", "0"), 8, ERR_FORMAT, "x: t: data_offsets: the bytes end (0) before they begin (8)" },
    { ONE("F32", "[2]", "-8", "0"), 8, ERR_FORMAT, "data_offsets[0]" },
    { ONE("F32", "[-2]", "0", "8"), 8, ERR_FORMAT, "shape[0]" },
    { ONE("F32", "[2.0]", "0", "8"), 8, ERR_FORMAT, "shape[0]" },
    { ONE("F32", "[1,1,1,1,1,1,1,1,2]", "0", "8"), 8, ERR_LIMIT, "at most 8 values" },
    { ONE("F32", "[4611686018427387904,4]", "0", "0"), 0, ERR_FORMAT, "tensor \"t\": its shape has more numbers than there can be" },
    { ONE("F32", "[0,4611686018427387904,4]", "0", "0"), 0, ERR_FORMAT, "more numbers than there can be" },
    { ONE("F64", "[1152921504606846976]", "0", "0"), 0, ERR_FORMAT, "more numbers than there can be" },
    { ONE("F32", "[1]", "9223372036854775804", "9223372036854775807"), 4, ERR_FORMAT, "ask for 4 bytes, data_offsets say 3" },
    { ONE("F32", "[1]", "9223372036854775803", "9223372036854775807"), 4, ERR_FORMAT, "would end at byte 9223372036854775807" },
    { ONE("F32", "[1]", "18446744073709551612", "18446744073709551616"), 4, ERR_FORMAT, "too big" },
    { ONE("Q4_0", "[1]", "0", "4"), 4, ERR_UNSUPPORTED, "x: t: dtype: \"Q4_0\" is no type that mien knows" },
    { ONE("f32", "[1]", "0", "4"), 4, ERR_UNSUPPORTED, "\"f32\" is no type" },
    { "{\"t\":{\"shape\":[1],\"data_offsets\":[0,4]}}", 4, ERR_FORMAT, "\"dtype\" is missing" },
    { "{\"t\":{\"dtype\":\"F32\",\"data_offsets\":[0,4]}}", 4, ERR_FORMAT, "\"shape\" is missing" },
    { "{\"t\":{\"dtype\":\"F32\",\"shape\":[1]}}", 4, ERR_FORMAT, "\"data_offsets\" is missing" },
    { "{\"t\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4,8]}}", 4, ERR_FORMAT, "2 values" },
    { "{\"t\":{\"dtype\":\"F32\",\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", 4, ERR_FORMAT, "duplicate" },
    { "{\"t\":7}", 0, ERR_FORMAT, "x: t: an object {...} was expected" },
    { "{\"t\":[]}", 0, ERR_FORMAT, "an object {...} was expected" },
    { "{\"__metadata__\":{\"a\":7}}", 0, ERR_FORMAT, "x: __metadata__: a: a string was expected" },
    { "{\"__metadata__\":[]}", 0, ERR_FORMAT, "an object {...} was expected" },
    { "{\"t\\u0000\":{}}", 0, ERR_FORMAT, "NUL" },
    { "{\"t\":{}", 0, ERR_FORMAT, "x: t: \"dtype\" is missing" },
    { "{\"t\":{", 0, ERR_FORMAT, "x: byte" },
    { "{} 7", 0, ERR_FORMAT, "x: byte" },
    { "[]", 0, ERR_FORMAT, "the header does not begin with {" },
    { "", 0, ERR_FORMAT, "the header does not begin with {" },
    { "{\"a\":{\"dtype\":\"U8\",\"shape\":[3],\"data_offsets\":[0,3]},\"b\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[2,4]}}", 4, ERR_FORMAT,
      "tensors \"a\" and \"b\" overlap" },
    { "{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]},\"b\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]}}", 4, ERR_FORMAT,
      "tensors \"a\" and \"b\" overlap" },
    { "{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]},\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[4,8]}}", 8, ERR_FORMAT,
      "tensor \"a\" is there twice" },
    { "{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]},\"b\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[5,9]}}", 9, ERR_FORMAT,
      "1 bytes before tensor \"b\" belong to none" },
};

static void test_lies(void **state) {
    (void)state;
    static uint8_t file[ROOM];
    for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
        weights *w;
        int rc = read_file(file, sample_safetensors(file, lies[i].header, lies[i].bytes), &w);
        if (rc != lies[i].code || !strstr(error_message(), lies[i].said))
            fail_msg("%s: %d \"%s\", and not %d \"%s\"", lies[i].header, rc, rc ? error_message() : "", lies[i].code, lies[i].said);
        weights_close(w);
    }
}

/* Cut anywhere, it is refused; each time from memory of just that size, for the sanitizers. */
static void test_cut(void **state) {
    (void)state;
    static uint8_t file[ROOM];
    size_t size = sample_safetensors(file, ONE("F32", "[2]", "0", "8"), 8);
    for (size_t n = 0; n < size; n++) {
        uint8_t *cut = malloc(n ? n : 1);
        assert_non_null(cut);
        memcpy(cut, file, n);
        weights *w;
        assert_int_equal(read_file(cut, n, &w), ERR_FORMAT);
        if (!strstr(error_message(), n < 8 ? "too short for a safetensors file" : "it is cut short")) fail_msg("%zu bytes: %s", n, error_message());
        weights_close(w);
        free(cut);
    }
    file[7] = 0x7f;
    weights *w;
    assert_int_equal(read_file(file, size, &w), ERR_FORMAT);
    assert_non_null(strstr(error_message(), "safetensors allows 100 million"));
    weights_close(w);
}

/* As many tensors as no model has, in one file. */
static void test_many(void **state) {
    (void)state;
    enum { MANY = 20000, ENTRY = 96 };
    uint8_t *file = malloc(8 + (size_t)MANY * ENTRY + MANY);
    assert_non_null(file);
    char *at = (char *)file + 8;
    at += sprintf(at, "{");
    for (int i = 0; i < MANY; i++)
        at += sprintf(at, "%s\"t.%d\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[%d,%d]}", i ? "," : "", i, MANY - 1 - i, MANY - i);
    at += sprintf(at, "}");
    size_t n = (size_t)(at - (char *)file) - 8;
    for (int i = 0; i < 8; i++) file[i] = (uint8_t)(n >> 8 * i);
    for (int i = 0; i < MANY; i++) *at++ = (char)(i % 251);
    weights *w;
    assert_int_equal(read_file(file, 8 + n + MANY, &w), 0);
    assert_int_equal(weights_count(w), MANY);
    for (int i = 0; i < MANY; i++) {
        char name[32];
        sprintf(name, "t.%d", i);
        const stored_tensor *t = weights_find(w, name);
        assert_true(t && *(const uint8_t *)t->data == (MANY - 1 - i) % 251);
        assert_ptr_equal(weights_tensor(w, (size_t)(MANY - 1 - i)), t);
    }
    weights_close(w);
    free(file);
}

/* Metadata by the ten thousand is no metadata. */
static void test_metadata(void **state) {
    (void)state;
    enum { ENTRIES = 10001 };
    uint8_t *file = malloc(64 + (size_t)ENTRIES * 16);
    assert_non_null(file);
    char *at = (char *)file + 8;
    at += sprintf(at, "{\"__metadata__\":{");
    for (int i = 0; i < ENTRIES; i++) at += sprintf(at, "%s\"%d\":\"\"", i ? "," : "", i);
    at += sprintf(at, "}}");
    size_t n = (size_t)(at - (char *)file) - 8;
    for (int i = 0; i < 8; i++) file[i] = (uint8_t)(n >> 8 * i);
    weights *w;
    assert_int_equal(read_file(file, 8 + n, &w), ERR_LIMIT);
    assert_int_equal(weights_metadata_count(w), ENTRIES - 1);
    weights_close(w);
    free(file);
}

static void test_types(void **state) {
    (void)state;
    for (int i = 0; i < STORED_TYPES; i++) {
        stored_type t;
        const char *name = stored_type_name((stored_type)i);
        assert_true(name && stored_type_parse(name, strlen(name), &t) && (int)t == i);
        assert_false(stored_type_parse(name, strlen(name) - 1, &t));
        assert_true(stored_type_bytes(t) >= 1 && stored_type_bytes(t) <= 8);
    }
}

/* ---- files --------------------------------------------------------------------------------------------------------------- */

static char folder[] = "/tmp/mien-safetensors-XXXXXX";

static const char *put(const char *name, const void *data, size_t size) {
    static char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    assert_int_equal(file_save(path, data, size), 0);
    return path;
}

/* Pages that were dropped are read again; whatever is asked to be dropped. */
static void test_drop(void **state) {
    (void)state;
    enum { BYTES = 50000 };
    static uint8_t file[ROOM];
    size_t size = sample_safetensors(file, "{\"a\":{\"dtype\":\"U8\",\"shape\":[10000],\"data_offsets\":[0,10000]},\"b\":{\"dtype\":\"U8\",\"shape\":[40000],\"data_offsets\":[10000,50000]}}", BYTES);
    weights *w;
    const char *path = put("drop.safetensors", file, size);
    assert_int_equal(weights_open(path, &w), 0);
    assert_int_equal(weights_format_of(w), WEIGHTS_SAFETENSORS);
    assert_string_equal(weights_path(w), path);
    assert_int_equal(weights_files(w), 1);
    assert_int_equal(weights_file_size(w, 0), size);
    const stored_tensor *b = weights_find(w, "b");
    assert_string_equal(weights_file_of(w, b), path);
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < b->bytes; i++) assert_int_equal(((const uint8_t *)b->data)[i], (uint8_t)(10000 + i));
        weights_drop(w, b->data, b->bytes);
    }
    weights_drop(w, b->data, SIZE_MAX);
    weights_drop(w, b->data, 0);
    weights_drop(w, NULL, 17);
    weights_drop(w, (const uint8_t *)b->data + BYTES, 17);
    for (size_t i = 0; i < b->bytes; i++) assert_int_equal(((const uint8_t *)b->data)[i], (uint8_t)(10000 + i));
    weights_close(w);
    unlink(path);
}

/* What people have in hand that is no model. */
static void test_others(void **state) {
    (void)state;
    static const struct { const char *bytes; int code; const char *said; } files[] = {
        { "", ERR_FORMAT, "is empty" },
        { "version https://git-lfs.github.com/spec/v1\noid sha256:00\n", ERR_FORMAT, "is a Git LFS pointer" },
        { "<!DOCTYPE html><html>", ERR_FORMAT, "is a web page" },
        { "<html>", ERR_FORMAT, "is a web page" },
        { "GGUF\3", ERR_UNSUPPORTED, "is a GGUF file" },
        { "hello", ERR_UNSUPPORTED, "is neither a safetensors file nor a PyTorch checkpoint" },
    };
    weights *w;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        const char *path = put("other", files[i].bytes, strlen(files[i].bytes));
        assert_int_equal(weights_open(path, &w), files[i].code);
        assert_non_null(strstr(error_message(), files[i].said));
        unlink(path);
    }
    const char *path = put("short.safetensors", "hello", 5);
    assert_int_equal(weights_open(path, &w), ERR_FORMAT);
    assert_non_null(strstr(error_message(), "too short for a safetensors file"));
    unlink(path);
    assert_int_equal(weights_open("/nowhere/at.all", &w), ERR_IO);
}

/* Metadata as large as mien reads them again can be written, and no larger. */
static void test_long_metadata(void **state) {
    (void)state;
    const char *path = put("long.safetensors", "", 0);
    char *value = malloc(SAFETENSORS_ENTRY);
    for (int longer = 0; longer < 2; longer++) {
        safetensors_writer *out;
        weights *w;
        size_t n = longer ? SAFETENSORS_ENTRY - 1 : SAFETENSORS_ENTRY - 1000;
        memset(value, 'x', n);
        value[n] = 0;
        assert_int_equal(safetensors_create(path, &out), 0);
        assert_int_equal(safetensors_metadata(out, "long", value), 0);
        int rc = safetensors_begin(out);
        if (longer) {
            assert_int_equal(rc, ERR_LIMIT);
            assert_non_null(strstr(error_message(), "its metadata would take 4"));
            safetensors_abandon(out);
            continue;
        }
        assert_int_equal(rc, 0);
        assert_int_equal(safetensors_commit(out, true), 0);
        assert_int_equal(weights_open(path, &w), 0);
        assert_string_equal(weights_metadata(w, "long"), value);
        weights_close(w);
    }
    free(value);
    unlink(path);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_read), cmocka_unit_test(test_lies), cmocka_unit_test(test_cut), cmocka_unit_test(test_many),
        cmocka_unit_test(test_metadata), cmocka_unit_test(test_types), cmocka_unit_test(test_drop), cmocka_unit_test(test_others),
        cmocka_unit_test(test_long_metadata),
    };
    if (!mkdtemp(folder)) return 1;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    rmdir(folder);
    return failed;
}
