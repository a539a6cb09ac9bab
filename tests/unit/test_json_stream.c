/* SPDX-License-Identifier: Apache-2.0
 *
 * A JSON object entry by entry, however its bytes come; and the fields of one. */
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
#include "base/json_fields.h"
#include "base/json_stream.h"

/* Bytes that come in pieces of some size. */
typedef struct { const char *data; size_t size, at, piece; int fail; } pieces;

static long read_pieces(void *context, void *buffer, size_t size) {
    pieces *p = context;
    size_t n = p->size - p->at;
    if (n == 0 && p->fail) return error_set(p->fail, "the source broke");
    if (n > p->piece) n = p->piece;
    if (n > size) n = size;
    memcpy(buffer, p->data + p->at, n);
    p->at += n;
    return (long)n;
}

/* All entries as key=bytes (or key!why), then the failure. */
static void collect(pieces *p, size_t entry_bytes, bool parsed, text *out) {
    json_stream *s;
    const char *key, *bytes;
    size_t size;
    json *value = NULL;
    int rc;
    p->at = 0;
    assert_int_equal(json_stream_new("m.json", entry_bytes, read_pieces, p, &s), 0);
    text_add(out, "");
    while ((rc = json_stream_next(s, &key, parsed ? &value : NULL)) == 1) {
        json_stream_bytes(s, &bytes, &size);
        bool object = *bytes == '{' || *bytes == '[';
        if (parsed && !value) text_printf(out, "%s!%s|", key, object ? "" : error_message());   /* what base/json.c says is not ours */
        else text_printf(out, "%s=%.*s|", key, (int)size, bytes);
        json_free(value);
        value = NULL;
    }
    if (rc < 0) text_printf(out, "%d %s", rc, error_message());
    int again = json_stream_next(s, &key, &value);
    assert_int_equal(again, rc);
    json_stream_free(s);
}

static void expect(const char *data, bool parsed, const char *want) {
    for (size_t piece = 1; piece <= strlen(data) + 1; piece++) {
        text got = { 0 };
        collect(&(pieces){ data, strlen(data), 0, piece, 0 }, 1000, parsed, &got);
        if (strcmp(got.data, want) != 0) print_error("pieces of %zu\n", piece);
        assert_string_equal(got.data, want);
        text_free(&got);
    }
}

static void test_entries(void **state) {
    (void)state;
    expect("{}", true, "");
    expect(" { } \n", true, "");
    expect("{\"a\": {\"x\": 1}, \"b\":[1, 2] ,\"a\":{}}", true, "a={\"x\": 1}|b=[1, 2]|a={}|");
    expect("{\"a\": {\"x\": 1}, \"b\":\n5, \"c\" : \"s}\\\"{\" , \"d\": null,\"e\":-1.5e3}", false, "a={\"x\": 1}|b=5|c=\"s}\\\"{\"|d=null|e=-1.5e3|");
    expect("{\"\\u00e9\\\"\": {\"q\": \"\\u00e9}\\\\\"}}", true, "\xc3\xa9\"={\"q\": \"\\u00e9}\\\\\"}|");
    expect("{\"a\": {\"x\": {\"y\": [{}]}}, \"\": {}}", true, "a={\"x\": {\"y\": [{}]}}|={}|");
}

static void test_refused_entries(void **state) {
    (void)state;
    expect("{\"a\": 5, \"b\": {}}", true, "a!m.json: a: an object {...} was expected|b={}|");
    expect("{\"a\": {\"x\":1,\"x\":2}, \"b\": {}}", true, "a!|b={}|");
    expect("{\"a\": {\"x\":1e999}, \"b\": {}}", true, "a!|b={}|");
    expect("{\"a\": {\"x\":\"\\u0000\"}, \"b\": {}}", true, "a!|b={}|");
}

static void test_python(void **state) {
    (void)state;
    expect("{\"a\": {\"x\": NaN, \"y\":[Infinity,-Infinity, -5], \"NaN\": \"-Infinity \\\"NaN\"}}", true,
           "a={\"x\": null, \"y\":[null,null, -5], \"NaN\": \"-Infinity \\\"NaN\"}|");
    text got = { 0 };
    json_without_nan("[NaN,-1,NaN", 11, &got);
    json_without_nan("{\"NaN\\\\\":NaN}Nana-Inf", 21, &got);
    assert_string_equal(got.data, "[null,-1,null{\"NaN\\\\\":null}Nana-Inf");
    text_free(&got);
}

static void expect_failure(const char *data, const char *want) {
    text got = { 0 };
    collect(&(pieces){ data, strlen(data), 0, 3, 0 }, 1000, true, &got);
    const char *failure = strrchr(got.data, '|');
    failure = failure ? failure + 1 : got.data;
    if (strncmp(failure, want, strlen(want)) != 0) print_error("%s: %s\n", data, failure);
    assert_int_equal(strncmp(failure, want, strlen(want)), 0);
    text_free(&got);
}

static void test_broken(void **state) {
    (void)state;
    expect_failure("", "-2 m.json: byte 0: parse error: premature EOF");
    expect_failure("{\"a\": {}", "-2 m.json: byte 8: parse error: premature EOF");
    expect_failure("{\"a\": {}} x", "-2 m.json: byte");
    expect_failure("{\"a\": {}} {}", "-2 m.json: byte");
    expect_failure("{\"a\": {},}", "-2 m.json: byte");
    expect_failure("{\"a\" {}}", "-2 m.json: byte");
    expect_failure("{\"a\": {\"x\": tru}}", "-2 m.json: byte");
    expect_failure("{\"a\": {\"x\": \"\xff\"}}", "-2 m.json: byte");
    expect_failure("{\"a\": {\"x\": Nan}}", "-2 m.json: byte");
    expect_failure("[]", "-2 m.json: byte 1: an object {...} was expected");
    expect_failure("5", "-2 m.json: byte");
    expect_failure("\"s\"", "-2 m.json: byte 3: an object {...} was expected");
    expect_failure("{\"a\\u0000b\": {}}", "-2 m.json: byte 11: a key with a NUL in it");
    text got = { 0 };
    collect(&(pieces){ "{\"a\":{},\"b\"", 11, 0, 100, ERR_IO }, 1000, true, &got);
    assert_string_equal(got.data, "a={}|-1 the source broke");
    text_free(&got);
}

/* An entry, a key, or nothing but space: none may take more memory than was allowed. */
static void test_limits(void **state) {
    (void)state;
    enum { LONG = 1 << 20 };
    static const char *const begins[] = { "{\"a\":{},\"b\":{\"x\":\"", "{\"a\":{},\"", "{\"a\":{},", "{\"a\":{},\"b\":[" };
    static const char fills[] = "xx [";
    for (size_t i = 0; i < 4; i++) {
        char *data = malloc(LONG);
        memset(data, fills[i], LONG);
        memcpy(data, begins[i], strlen(begins[i]));
        text got = { 0 };
        pieces p = { data, LONG, 0, 5000, 0 };
        collect(&p, 1000, true, &got);
        assert_int_equal(strncmp(got.data, "a={}|-4 m.json: byte ", 21), 0);
        assert_true(p.at < 200000);
        text_free(&got);
        free(data);
    }
    text just = { 0 }, got = { 0 };
    text_printf(&just, "{\"a\":{\"x\":\"%*s\"},\"b\":{}}", 1000 - 8, "");
    collect(&(pieces){ just.data, just.size, 0, 100, 0 }, 1000, true, &got);
    assert_non_null(strstr(got.data, "|b={}|"));
    text_free(&got);
    collect(&(pieces){ just.data, just.size, 0, 100, 0 }, 999, true, &got);
    assert_int_equal(strncmp(got.data, "-4 m.json: byte", 15), 0);
    text_free(&got);
    text_free(&just);
}

/* More than fits a piece, of all lengths: nothing is lost or mixed up where pieces meet. */
static void test_many(void **state) {
    (void)state;
    text all = { 0 }, want = { 0 }, got = { 0 };
    text_add(&all, "{");
    for (int i = 0; i < 20000; i++) {
        text_printf(&all, "%s\"%d\": ", i ? ",\n" : "", i);
        size_t at = all.size;
        text_printf(&all, "{\"x\": \"%*s\"}", i % 97, "}");
        text_printf(&want, "%d=%s|", i, all.data + at);
    }
    text_add(&all, "}");
    collect(&(pieces){ all.data, all.size, 0, SIZE_MAX, 0 }, 1000, true, &got);
    assert_string_equal(got.data, want.data);
    text_free(&all), text_free(&want), text_free(&got);
}

/* A string longer than many pieces, with escapes, an entry before and one behind it: the same however its bytes come, at its limit and one above. */
static void test_long(void **state) {
    (void)state;
    static const char *const fills[] = { "a", "b c\\n", "\\u00e9\\\"}", "\xc3\xa9", "NaN \\\\" };
    for (size_t i = 0; i < sizeof fills / sizeof *fills; i++) {
        text all = { 0 }, want = { 0 };
        text_add(&all, "{\"a\":{},\"b\":");
        size_t from = all.size;
        text_add(&all, "{\"x\":\"");
        while (all.size < 700000) text_add(&all, fills[i]);
        text_add(&all, "\"}");
        size_t size = all.size - from;
        text_printf(&want, "a={}|b=%s|c=[null]|", all.data + from);
        text_add(&all, ",\"c\":[NaN]}");
        static const size_t sizes[] = { 1, 1000, 65535, 65536, 65537, 300000, SIZE_MAX };
        for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
            text got = { 0 };
            collect(&(pieces){ all.data, all.size, 0, sizes[k], 0 }, size, true, &got);
            assert_string_equal(got.data, want.data);
            text_free(&got);
            collect(&(pieces){ all.data, all.size, 0, sizes[k], 0 }, size - 1, true, &got);
            assert_int_equal(strncmp(got.data, "a={}|-4 m.json: byte ", 21), 0);
            text_free(&got);
            collect(&(pieces){ all.data, from + size - 1000, 0, sizes[k], ERR_IO }, size, true, &got);
            assert_string_equal(got.data, "a={}|-1 the source broke");
            text_free(&got);
            pieces p = { all.data, all.size, 0, sizes[k], 0 };      /* no more than it may have is asked for */
            collect(&p, 200000, true, &got);
            assert_int_equal(strncmp(got.data, "a={}|-4 m.json: byte ", 21), 0);
            assert_true(p.at < 200000 + (3 << 16));
            text_free(&got);
        }
        text_free(&all), text_free(&want);
    }
}

/* Pieces grow with the entry (yajl looks again at all of a string that is not at its end): a fault is found with the piece that it is in. */
static void test_growing(void **state) {
    (void)state;
    enum { LONG = 4 << 20 };
    char *data = malloc(LONG);
    memset(data, 'x', LONG);
    memcpy(data, "{\"b\":{\"x\":\"", 11);
    data[(2 << 20) + 1] = '\n';
    text got = { 0 };
    pieces p = { data, LONG, 0, SIZE_MAX, 0 };
    collect(&p, LONG, true, &got);
    assert_int_equal(strncmp(got.data, "-2 m.json: byte ", 16), 0);
    assert_true(p.at > 3 << 20);
    text_free(&got);
    free(data);
}

/* ---- fields -------------------------------------------------------------------------------------------------------- */

static void take(void *context, const char *key, json_field_kind kind, const char *text, size_t size) {
    assert_int_equal(strlen(text), size);
    text_printf(context, "%s:%c%s ", key, "nbdto"[kind], text);
}

static void expect_fields(json_fields *f, const char *data, const char *want) {
    text got = { 0 };
    text_add(&got, "");
    int rc = json_fields_read(f, data, strlen(data), take, &got);
    if (rc < 0) text_printf(&got, "%d", rc);
    assert_string_equal(got.data, want);
    text_free(&got);
}

static void test_fields(void **state) {
    (void)state;
    json_fields *f = json_fields_new();
    expect_fields(f, "{\"a\":1,\"b\":\"x\\u00e9\",\"c\":null,\"d\":true,\"e\":{\"f\":1},\"g\":[{\"h\":2}],\"a\":NaN}", "a:d1 b:tx\xc3\xa9 c:n d:btrue e:o g:o a:n ");
    expect_fields(f, " {} ", "");
    expect_fields(f, "{\"a\":\"x\\u0000y\",\"k\\u0000\":1}", "a:o :d1 ");
    const char *const wrong[] = { "", " ", "[1]", "5", "\"x\"", "{", "{}{}", "{} x", "{},", "{\"a\"}", "tru", "{\"\xff\":1}" };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        expect_fields(f, wrong[i], "-2");
        expect_fields(f, "{\"a\":1}", "a:d1 ");   /* what was wrong before doesn't matter */
    }
    json_fields_free(f);
}

int main(void) {
#define T(name) cmocka_unit_test(name)
    const struct CMUnitTest tests[] = { T(test_entries), T(test_refused_entries), T(test_python), T(test_broken), T(test_limits), T(test_many), T(test_long), T(test_growing), T(test_fields) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
