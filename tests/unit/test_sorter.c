/* SPDX-License-Identifier: Apache-2.0
 *
 * The sorter against a plain sort of the same records in memory: in memory, with one merge and with several. */
#define _GNU_SOURCE
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/error.h"
#include "base/sorter.h"

static uint64_t state = 88172645463325252u;
static uint32_t dice(uint32_t n) {
    state ^= state << 13, state ^= state >> 7, state ^= state << 17;
    return (uint32_t)(state >> 20) % n;
}

typedef struct { uint8_t *key, *value; size_t key_size, value_size, order; } record;

static int by_key(const void *left, const void *right) {
    const record *a = left, *b = right;
    int c = memcmp(a->key, b->key, a->key_size < b->key_size ? a->key_size : b->key_size);
    if (c == 0) c = (a->key_size > b->key_size) - (a->key_size < b->key_size);
    return c ? c : (a->order > b->order) - (a->order < b->order);
}

/* Few letters, so that keys are equal, or begin others; zeros, since those pad the short ones. */
static uint8_t *letters(size_t n, const char *from, uint32_t choices) {
    uint8_t *p = malloc(n + 1);
    for (size_t i = 0; i < n; i++) p[i] = (uint8_t)from[dice(choices)];
    return p;
}

static record *make_records(size_t n, uint32_t longest_key, uint32_t longest_value) {
    record *all = calloc(n, sizeof *all);
    for (size_t i = 0; i < n; i++) {
        all[i].key_size = dice(longest_key + 1);
        all[i].value_size = dice(200) ? dice(40) : dice(longest_value + 1);
        all[i].key = letters(all[i].key_size, "\0\0ab\xff", 5);
        all[i].value = letters(all[i].value_size, "value\0", 6);
        all[i].order = i;
    }
    return all;
}

static void free_records(record *all, size_t n) {
    for (size_t i = 0; i < n; i++) free(all[i].key), free(all[i].value);
    free(all);
}

static void expect_sorted(size_t n, uint32_t longest_key, uint32_t longest_value, size_t memory) {
    record *all = make_records(n, longest_key, longest_value);
    sorter *s;
    assert_int_equal(sorter_new("/tmp", memory, &s), 0);
    for (size_t i = 0; i < n; i++) assert_int_equal(sorter_add(s, all[i].key, all[i].key_size, all[i].value, all[i].value_size), 0);
    if (n) qsort(all, n, sizeof *all, by_key);
    const void *key, *value;
    size_t key_size, value_size;
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(sorter_next(s, &key, &key_size, &value, &value_size), 1);
        if (key_size != all[i].key_size || value_size != all[i].value_size || memcmp(key, all[i].key, key_size) || memcmp(value, all[i].value, value_size))
            fail_msg("%zu records, keys to %u, memory %zu: record %zu is not the one that belongs there", n, longest_key, memory, i);
    }
    assert_int_equal(sorter_next(s, &key, &key_size, &value, &value_size), 0);
    assert_int_equal(sorter_next(s, &key, &key_size, &value, &value_size), 0);   /* and stays so */
    sorter_free(s);
    free_records(all, n);
}

static void test_in_memory(void **unused) {
    (void)unused;
    expect_sorted(0, 3, 3, 1 << 20);
    expect_sorted(1, 0, 0, 1 << 20);
    for (uint32_t longest = 0; longest < 12; longest++) expect_sorted(2000, longest, 100, 8 << 20);
}

static void test_merged(void **unused) {
    (void)unused;
    for (uint32_t longest = 0; longest < 24; longest += 3) expect_sorted(5000, longest, 100, 0);   /* one merge */
    expect_sorted(60000, 12, 100, 0);                                                              /* several */
    expect_sorted(60000, 12, 100, 1 << 20);
}

/* Records larger than the memory, or than a run's share of it. */
static void test_large_records(void **unused) {
    (void)unused;
    expect_sorted(2000, 8, 300000, 0);
    expect_sorted(50, 100000, 2000000, 0);
}

static void test_limits(void **unused) {
    (void)unused;
    sorter *s;
    const void *key, *value;
    size_t key_size, value_size;
    uint8_t *large = calloc(1, (16 << 20) + 1);
    assert_int_equal(sorter_new("/tmp", 0, &s), 0);
    assert_int_equal(sorter_add(s, large, 1, large, 16 << 20), ERR_LIMIT);
    assert_int_equal(sorter_add(s, large, SIZE_MAX, large, 2), ERR_LIMIT);
    assert_int_equal(sorter_add(s, large, 1, large, (16 << 20) - 1), 0);
    assert_int_equal(sorter_add(s, NULL, 0, NULL, 0), 0);
    assert_int_equal(sorter_next(s, &key, &key_size, &value, &value_size), 1);
    assert_int_equal(key_size + value_size, 0);
    assert_int_equal(sorter_next(s, &key, &key_size, &value, &value_size), 1);
    assert_int_equal(value_size, (16 << 20) - 1);
    sorter_free(s);
    free(large);
    sorter_free(NULL);
}

/* A sorter that holds all in memory needs no folder; one that does not says what is wrong with it. */
static void test_no_folder(void **unused) {
    (void)unused;
    sorter *s;
    char bytes[1000] = "";
    int rc = 0;
    assert_int_equal(sorter_new("/tmp/mien-no-such-folder", 0, &s), 0);
    for (int i = 0; rc == 0 && i < 100; i++) rc = sorter_add(s, &i, sizeof i, bytes, sizeof bytes);
    assert_int_equal(rc, ERR_IO);
    assert_non_null(strstr(error_message(), "/tmp/mien-no-such-folder"));
    sorter_free(s);
}

static size_t in_use(void) { return mallinfo2().uordblks + mallinfo2().hblkhd; }

/* 200,000 records of 32 bytes in 256 KB. */
static void test_memory(void **unused) {
    (void)unused;
    enum { COUNT = 200000, MEMORY = 1 << 18 };
    sorter *s;
    const void *key, *value;
    size_t key_size, value_size, before = in_use(), most = 0;
    uint64_t last = 0, sum = 0;
    assert_int_equal(sorter_new("/tmp", MEMORY, &s), 0);
    for (uint64_t i = 0; i < COUNT; i++) {
        uint64_t k[3] = { __builtin_bswap64(i * 0x9e3779b97f4a7c15u), i, i };
        assert_int_equal(sorter_add(s, k, 8, k + 1, 16), 0);
        if (in_use() > most) most = in_use();
    }
    for (int i = 0; i < COUNT; i++) {
        assert_int_equal(sorter_next(s, &key, &key_size, &value, &value_size), 1);
        uint64_t k, v;
        memcpy(&k, key, sizeof k);
        memcpy(&v, value, sizeof v);
        assert_true(__builtin_bswap64(k) >= last);
        last = __builtin_bswap64(k);
        sum += v;
        if (in_use() > most) most = in_use();
    }
    assert_int_equal(sum, (uint64_t)COUNT * (COUNT - 1) / 2);
    sorter_free(s);
    if (most - before > MEMORY + MEMORY / 2 + (1 << 18)) fail_msg("%zu bytes were used, of %d", most - before, MEMORY);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_in_memory), cmocka_unit_test(test_merged), cmocka_unit_test(test_large_records),
        cmocka_unit_test(test_limits), cmocka_unit_test(test_no_folder), cmocka_unit_test(test_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
