/* SPDX-License-Identifier: Apache-2.0
 *
 * Merges learnt from captions: worked by hand, and what must hold of any, and the ids that transformers gives with them
 * (tests/reference/learnt_tokens.py). */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/file.h"
#include "base/stream.h"
#include "model/tokenizer.h"
#include "model/tokenizer_learn.h"
#include "weights/convert_tokenizer.h"
#include "weights/merges.h"

static int try_learn(const char *file, size_t size, size_t entries, text *merges) {
    stream *s;
    tokenizer_words *w;
    assert_int_equal(stream_open_memory("captions", file, size, &s), 0);
    assert_int_equal(tokenizer_words_new(&w), 0);
    int rc = tokenizer_words_read(w, s);
    if (rc == 0) rc = tokenizer_learn(w, entries, &(tokenizer_watch){ 0 }, merges);
    tokenizer_words_free(w);
    stream_close(s);
    return rc;
}

static void expect_merges(const char *file, size_t entries, const char *want) {
    text merges = { 0 };
    if (try_learn(file, strlen(file), entries, &merges) < 0) fail_msg("%s: %s", file, error_message());
    assert_string_equal(merges.data, want);
    text_free(&merges);
}

static void by_hand(void **state) {
    (void)state;
    /* low 5, lower 2, newest 6, widest 3 (Sennrich et al. 2016, figure 1): e s 9, es t</w> 9, then l o and o w</w> by their counts. */
    expect_merges("low low low low low lower lower\nnewest newest newest newest newest newest widest widest WIDEST", 514 + 4,
                  "#version: 0.2\ne s\nes t</w>\nl o\ne w\n");
    /* Ties: the pair whose tokens are older. b stands before c, and both before what was merged. */
    expect_merges("bx cx bx cx", 514 + 1, "#version: 0.2\nb x</w>\n");
    expect_merges("cx bx cx bx", 514 + 1, "#version: 0.2\nb x</w>\n");
    /* What is seen once is no pair. */
    expect_merges("abc", 1000, "#version: 0.2\n");
    /* aaa: the two on the left, and the word's end is a letter of its own. */
    expect_merges("aaaa aaaa", 1000, "#version: 0.2\na a\na a</w>\naa aa</w>\n");
    /* Words are the tokenizer's: 's is one, digits are one each, letters are small. */
    expect_merges("It's 11\nit's 11", 1000, "#version: 0.2\n' s</w>\ni t</w>\n");
    /* A byte that is no ASCII is spelled as GPT-2 does: U+00E9 is C3 A9. */
    expect_merges("\xc3\xa9 \xc3\xa9", 1000, "#version: 0.2\n\xc3\x83 \xc2\xa9</w>\n");
}

static void files(void **state) {
    (void)state;
    const char *want = "#version: 0.2\na b</w>\n";
    expect_merges("{\"source\": \"source/cdcd.png\", \"target\": \"cdcd\", \"prompt\": \"ab\"}\r\n\n {\"prompt\": null}\nab", 1000, want);
    text merges = { 0 };
    const struct { const char *file, *says; int rc; } cases[] = {
        { "", "no captions", ERR_FORMAT }, { " \n\n\t\n", "no captions", ERR_FORMAT }, { "{\"text\": \"ab ab\"}", "no captions", ERR_FORMAT },
        { "ab\n{\"prompt\": \"ab\"\n", "captions: line 2: ", ERR_FORMAT }, { "{\"prompt\": \"ab\"} x\n", "line 1", ERR_FORMAT },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(try_learn(cases[i].file, strlen(cases[i].file), 1000, &merges), cases[i].rc);
        if (!strstr(error_message(), cases[i].says)) fail_msg("%s", error_message());
    }
    assert_int_equal(try_learn("ab", 2, 513, &merges), ERR_USAGE);
    assert_int_equal(try_learn("ab", 2, 49409, &merges), ERR_USAGE);
    assert_null(merges.data);
    assert_true(tokenizer_learn_file("tests", 1000, &(tokenizer_watch){ 0 }, &merges) < 0);
}

/* Words of four letters by chance: whatever is learnt opens, has no two ways to one token, stays below what was asked for, and shortens. */
static void by_chance(void **state) {
    (void)state;
    uint32_t seed = 7;
    char file[60000];
    size_t size = 0;
    while (size + 16 < sizeof file) {
        int n = 1 + (int)((seed = seed * 1664525u + 1013904223u) >> 28) % 9;
        for (int i = 0; i < n; i++) file[size++] = "abcd\xc3"[(seed = seed * 1664525u + 1013904223u) >> 30];
        file[size++] = seed & 1 << 20 ? ' ' : '\n';
    }
    file[size] = 0;
    text merges = { 0 }, again = { 0 };
    tokenizer *t;
    tokens all;
    assert_int_equal(try_learn(file, size, 1200, &merges), 0);
    assert_int_equal(try_learn(file, size, 1200, &again), 0);
    assert_string_equal(merges.data, again.data);
    if (tokenizer_read_merges(merges.data, merges.size, &t) < 0) fail_msg("%s", error_message());
    assert_int_equal(tokenizer_end(t), 1199);
    assert_int_equal(tokenizer_start(t), 1198);
    assert_int_equal(tokenizer_most(t), 1199);
    assert_int_equal(tokenizer_encode(t, file, tokenizer_end(t), &all), 0);
    assert_true(all.count < size / 2);
    tokens_free(&all);
    tokenizer_close(t);
    text_free(&merges);
    text_free(&again);
}

static void merges_alone(void **state) {
    (void)state;
    tokenizer *t;
    const char *good = "#version: 0.2\na b\nab c</w>\n";
    assert_int_equal(tokenizer_read_merges(good, strlen(good), &t), 0);
    tokens all;
    assert_int_equal(tokenizer_encode(t, "abc", tokenizer_end(t), &all), 0);
    assert_int_equal(all.count, 1);
    assert_int_equal(all.ids[0], 513);
    assert_int_equal(tokenizer_end(t), 515);
    tokens_free(&all);
    tokenizer_close(t);
    const char *const bad[] = { "#version: 0.2\nab c\n", "#version: 0.2\na b\nab\n", "#version: 0.2\na b\na b\n", "#version: 0.2\na b\nb c\nab c\na bc\n" };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (tokenizer_read_merges(bad[i], strlen(bad[i]), &t) != ERR_FORMAT) fail_msg("%s", bad[i]);
    assert_int_equal(tokenizer_read_merges("", 0, &t), 0);   /* bytes alone */
    tokenizer_close(t);
}

/* What is taken as a model's own list makes a folder's files that are taken, with the same ids; blank lines, ends of lines and the version change nothing. */
static void one_reading(void **state) {
    (void)state;
    static const char *const same[] = { "#version: 0.2\na b\nab c</w>\n", "a b\nab c</w>\n", "a b\nab c</w>", "#version: 0.2\n\na b\n\n\nab c</w>\n\n",
                                        "#version: 0.2\r\na b\r\nab c</w>\r\n", "\"x#version: 0.2\na b\nab c</w>" };
    size_t tokens_there = 0;
    for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
        text vocabulary = { 0 }, merges = { 0 };
        tokenizer *own, *folders;
        tokens a, b;
        assert_int_equal(merges_check(same[i], strlen(same[i]), &tokens_there), 0);
        assert_int_equal(tokens_there, 516);
        assert_int_equal(vocabulary_files(same[i], strlen(same[i]), 2, &vocabulary, &merges), 0);
        assert_string_equal(merges.data, "#version: 0.2\na b\nab c</w>\n");
        assert_int_equal(tokenizer_read_merges(same[i], strlen(same[i]), &own), 0);
        if (tokenizer_read(vocabulary.data, vocabulary.size, merges.data, merges.size, &folders) < 0) fail_msg("%s", error_message());
        assert_int_equal(tokenizer_encode(own, "abc ab c", tokenizer_end(own), &a), 0);
        assert_int_equal(tokenizer_encode(folders, "abc ab c", tokenizer_end(folders), &b), 0);
        assert_int_equal(a.count, b.count);
        assert_memory_equal(a.ids, b.ids, a.count * sizeof *a.ids);
        tokens_free(&a);
        tokens_free(&b);
        tokenizer_close(own);
        tokenizer_close(folders);
        text_free(&vocabulary);
        text_free(&merges);
    }
    assert_int_equal(merges_check("", 0, &tokens_there), 0);
    assert_int_equal(tokens_there, 514);
    static const char *const bad[] = { "a b\na b\n", "a b\nb c\nab c\na bc\n", "<|startoftext|> <|endoftext|>\n", "\x1b[31m \x1b[2J\n", "a b c\n", "ab\n", " a\n",
                                       "< |\n<| e\n<|e n\n<|en d\n<|end o\n<|endo f\n<|endof t\n<|endoft e\n<|endofte x\n<|endoftex t\n<|endoftext |\n<|endoftext| >\n" };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (merges_check(bad[i], strlen(bad[i]), &tokens_there) != ERR_FORMAT) fail_msg("%s", bad[i]);
    assert_int_equal(merges_check("a b\n\0 c\n", 9, &tokens_there), ERR_FORMAT);
    char *large = test_calloc(MERGES_MOST + 4, 1);
    for (size_t i = 0; i < MERGES_MOST + 4; i += 4) memcpy(large + i, "a b\n", 4);
    assert_int_equal(merges_check(large, MERGES_MOST + 4, &tokens_there), ERR_LIMIT);
    assert_non_null(strstr(error_message(), "bytes, 4194304 are possible"));
    test_free(large);
}

static int stop;
static void never(void *context, size_t n, size_t of) { (void)context, (void)n, (void)of; }

/* A stop ends it before the next merge, however many there would be. */
static void stopped(void **state) {
    (void)state;
    static const char line[] = "a smiling woman\na smiling woman\n";
    tokenizer_words *w;
    text merges = { 0 };
    tokenizer_watch watch = { &stop, never, NULL };
    assert_int_equal(tokenizer_words_new(&w), 0);
    assert_int_equal(tokenizer_words_add(w, line, sizeof line - 1), 0);
    stop = 1;
    assert_int_equal(tokenizer_learn(w, 600, &watch, &merges), ERR_CANCELLED);
    text_free(&merges);
    stop = 0;
    assert_int_equal(tokenizer_learn(w, 600, &watch, &merges), 0);
    text_free(&merges);
    tokenizer_words_free(w);
    stop = 1;
    assert_int_equal(tokenizer_learn_file("tests/golden/learnt_tokens.txt", 600, &watch, &merges), ERR_CANCELLED);
    text_free(&merges);
}

/* Beside transformers: the merges are learnt again, and give the ids that its tokenizer gives. */
static void golden(void **state) {
    (void)state;
    uint8_t *data;
    size_t size, ids = 0;
    text learnt = { 0 };
    tokenizer *t;
    if (file_load("tests/golden/learnt_tokens.txt", 1 << 20, &data, &size) < 0) fail_msg("%s", error_message());
    char *file = (char *)data, *merges = memmem(file, size, "\n\n", 2) + 2, *texts = memmem(merges, size - (size_t)(merges - file), "\n\n", 2) + 2;
    assert_int_equal(try_learn(file, (size_t)(merges - 1 - file), 600, &learnt), 0);
    assert_int_equal(learnt.size, texts - 1 - merges);
    assert_memory_equal(learnt.data, merges, learnt.size);
    assert_int_equal(tokenizer_read_merges(learnt.data, learnt.size, &t), 0);
    for (char *end; texts < file + size; texts = end + 1) {
        end = memchr(texts, '\n', (size_t)(file + size - texts));
        assert_non_null(end);
        *end = 0;
        char *id = strchr(texts, '\t');
        assert_non_null(id);
        *id++ = 0;
        tokens got;
        assert_int_equal(tokenizer_encode(t, texts, tokenizer_end(t), &got), 0);
        for (size_t i = 0; i < got.count; i++, ids++)
            if (strtol(id, &id, 10) != got.ids[i]) fail_msg("\"%s\": token %zu is %d", texts, i, got.ids[i]);
        assert_int_equal(*id, 0);
        tokens_free(&got);
    }
    assert_true(ids > 500);
    tokenizer_close(t);
    text_free(&learnt);
    free(data);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(by_hand), cmocka_unit_test(files), cmocka_unit_test(by_chance), cmocka_unit_test(merges_alone), cmocka_unit_test(one_reading), cmocka_unit_test(stopped),
        cmocka_unit_test(golden),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
