/* SPDX-License-Identifier: Apache-2.0
 *
 * The tokenizer against transformers' own ids (tests/golden/tokens.txt), and on vocabularies of a few tokens. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "model/tokenizer.h"

static tokenizer *clip;

static const char *clip_folder(void) {
    const char *folder = getenv("CLIP_DIR");
    return folder ? folder : "third_party/clip";
}

static int open_clip(void **state) {
    (void)state;
    if (tokenizer_open(clip_folder(), &clip) < 0) fail_msg("%s", error_message());
    return 0;
}

static int close_clip(void **state) {
    (void)state;
    tokenizer_close(clip);
    return 0;
}

/* In place: \xNN to its byte. */
static void unescape(char *s) {
    char *to = s;
    while (*s) {
        unsigned byte;
        if (s[0] == '\\' && sscanf(s, "\\x%2x", &byte) == 1) *to++ = (char)byte, s += 4;
        else *to++ = *s++;
    }
    *to = 0;
}

static void expect_ids(const tokenizer *t, const char *text, int32_t pad, const char *want) {
    tokens got;
    if (tokenizer_encode(t, text, pad, &got) < 0) fail_msg("%s", error_message());
    char *end;
    size_t i = 0;
    for (const char *s = want; *s; s = end, i++) {
        long id = strtol(s, &end, 10);
        while (*end == ' ') end++;
        if (i >= got.count || got.ids[i] != id) fail_msg("\"%s\", pad %d: token %zu is %d, %ld is right", text, pad, i, i < got.count ? got.ids[i] : -1, id);
        if (got.from[i] > strlen(text) || (i && got.from[i] < got.from[i - 1])) fail_msg("\"%s\": token %zu begins at byte %zu", text, i, got.from[i]);
    }
    if (i != got.count) fail_msg("\"%s\", pad %d: %zu tokens, %zu are right", text, pad, got.count, i);
    tokens_free(&got);
}

static void golden(void **state) {
    (void)state;
    FILE *f = fopen("tests/golden/tokens.txt", "r");
    char *line = NULL;
    size_t room = 0, texts = 0;
    assert_non_null(f);
    while (getline(&line, &room, f) > 0) {
        if (*line == '#' && !texts) continue;
        line[strcspn(line, "\n")] = 0;
        char *one = strchr(line, '\t'), *two;
        if (!one) fail_msg("no tab in \"%s\"", line);
        *one++ = 0;
        two = strchr(one, '\t');
        if (two) *two++ = 0;
        unescape(line);
        expect_ids(clip, line, TOKEN_END, one);
        expect_ids(clip, line, 0, two ? two : one);
        texts++;
    }
    assert_true(texts > 150);
    free(line);
    fclose(f);
}

static void prompt_and_cut(void **state) {
    (void)state;
    int32_t ids[TOKENS];
    size_t cut;
    assert_int_equal(tokenizer_prompt(clip, "a face!", 0, ids, &cut), 0);
    const int32_t want[] = { TOKEN_START, 320, 1710, 0, TOKEN_END, 0 };
    assert_memory_equal(ids, want, sizeof want);
    assert_int_equal(ids[TOKENS - 1], 0);
    assert_int_equal(cut, 7);
    assert_int_equal(tokenizer_prompt(clip, "", TOKEN_END, ids, &cut), 0);
    assert_int_equal(ids[0], TOKEN_START);
    for (int i = 1; i < TOKENS; i++) assert_int_equal(ids[i], TOKEN_END);
    assert_int_equal(cut, 0);

    /* 75 fit: "é " 75 times, then what is cut begins at byte 3 * 75. */
    char text[4 * 100 + 1] = "";
    for (int i = 0; i < 75; i++) strcat(text, "\xc3\xa9 ");
    assert_int_equal(tokenizer_prompt(clip, text, TOKEN_END, ids, &cut), 0);
    assert_int_equal(cut, strlen(text));
    assert_int_not_equal(ids[75], TOKEN_END);
    assert_int_equal(ids[76], TOKEN_END);
    strcat(text, "  more of it");
    assert_int_equal(tokenizer_prompt(clip, text, TOKEN_END, ids, &cut), 0);
    assert_int_equal(cut, 3 * 75 + 2);
    assert_int_equal(ids[76], TOKEN_END);
}

/* A byte that is no UTF-8 counts as U+FFFD; what stands beside it is not lost. */
static void no_utf8(void **state) {
    (void)state;
    tokens a, b;
    assert_int_equal(tokenizer_encode(clip, "a\xff b\xe2\x82 c\xc0\x80 \xed\xa0\x80 \xf8z<|endoftext|>\xe2", TOKEN_END, &a), 0);
    assert_int_equal(tokenizer_encode(clip, "a\uFFFD b\uFFFD\uFFFD c\uFFFD\uFFFD \uFFFD\uFFFD\uFFFD \uFFFDz<|endoftext|>\uFFFD", TOKEN_END, &b), 0);
    assert_int_equal(a.count, b.count);
    assert_memory_equal(a.ids, b.ids, a.count * sizeof *a.ids);
    tokens_free(&a);
    tokens_free(&b);
}

/* A megabyte without a space, and of marks that must be sorted, takes no time to speak of (quadratic would be hours). */
static void long_words(void **state) {
    (void)state;
    size_t n = 1 << 20;
    char *text = malloc(n + 1);
    tokens all;
    assert_non_null(text);
    memset(text, 'a', n);
    text[n] = 0;
    assert_int_equal(tokenizer_encode(clip, text, TOKEN_END, &all), 0);
    assert_true(all.count > 1000);
    tokens_free(&all);
    for (size_t i = 0; i + 1 < n; i += 2) memcpy(text + i, i % 4 ? "\xcc\x96" : "\xcc\x81", 2);
    assert_int_equal(tokenizer_encode(clip, text, TOKEN_END, &all), 0);
    tokens_free(&all);
    free(text);
}

static void located(void **state) {
    (void)state;
    char path[PATH_MAX], file[PATH_MAX + 64];
    if (tokenizer_locate(path, sizeof path) < 0) {   /* CLIP_DIR is elsewhere */
        assert_non_null(strstr(error_message(), "MIEN_MODELS"));
        return;
    }
    snprintf(file, sizeof file, "%s/bpe_simple_vocab_16e6.txt", path);
    assert_int_equal(access(file, R_OK), 0);
    assert_int_equal(tokenizer_locate(path, 3), ERR_IO);
}

/* ---- vocab.json and merges.txt ------------------------------------------------------------------------------------------------- */

static const char small_vocabulary[] = "{\"a\":0, \"b\":1, \"c\":2, \"a</w>\":3, \"b</w>\":4, \"c</w>\":5, \"ab\":6, \"ab</w>\":7, \"abc</w>\":8, \"!\":11,"
                                       " \"\\u0120\":12, \"\xc3\x83\":13, \"bc</w>\":14, \"<|startoftext|>\":9, \"<|endoftext|>\":10}";
static const char small_merges[] = "#version: 0.2\na b\na b</w>\r\n\nab c</w>\nb c</w>\n";

static void small_pair(void **state) {
    (void)state;
    tokenizer *t;
    if (tokenizer_read(small_vocabulary, strlen(small_vocabulary), small_merges, strlen(small_merges), &t) < 0) fail_msg("%s", error_message());
    assert_int_equal(tokenizer_start(t), 9);
    assert_int_equal(tokenizer_end(t), 10);
    expect_ids(t, "ABC ab abab bc", 10, "8 7 6 7 14");
    expect_ids(t, "a!x", 11, "3 11 10");           /* x is unknown; "!" pads */
    expect_ids(t, "<|endoftext|>a", 10, "10 3");
    tokenizer_close(t);
}

static void refused(void **state) {
    (void)state;
    tokenizer *t;
    const struct { const char *vocabulary, *merges, *says; } cases[] = {
        { "", "", "JSON" },
        { "[]", "", "JSON" },
        { "{\"a\":0}", "", "<|startoftext|>" },
        { "{\"<|startoftext|>\":0}", "", "<|endoftext|>" },
        { "{\"a\":-1}", "", "no id" },
        { "{\"a\":1.5}", "", "no id" },
        { "{\"a\":\"1\"}", "", "no id" },
        { "{\"a\":4294967296}", "", "no id" },
        { "{\"a\":99999999999999999999999999}", "", "" },
        { small_vocabulary, "a x\n", "line 1" },
        { small_vocabulary, "a b\nab\n", "line 2" },
        { small_vocabulary, "a b c\n", "line 1" },
        { small_vocabulary, "a  b\n", "line 1" },
        { small_vocabulary, " a\n", "line 1" },
        { NULL, "", "fewer" },
        { NULL, "\"bpe_simple_vocab_16e6.txt#version: 0.2\ni n\nt h\n", "fewer" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        if (tokenizer_read(cases[i].vocabulary, cases[i].vocabulary ? strlen(cases[i].vocabulary) : 0, cases[i].merges, strlen(cases[i].merges), &t) >= 0)
            fail_msg("case %zu is accepted", i);
        if (!strstr(error_message(), cases[i].says)) fail_msg("case %zu: %s", i, error_message());
    }
    assert_int_equal(tokenizer_open("tests/golden", &t), ERR_IO);
    assert_non_null(strstr(error_message(), "vocab.json"));
}

/* What fopen makes of a folder that has the files: the pair; and CLIP's list packed. */
static void folders(void **state) {
    (void)state;
    char folder[] = "/tmp/test_tokenizer.XXXXXX", path[64], command[PATH_MAX + 128];
    tokenizer *t;
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/vocab.json", folder);
    FILE *f = fopen(path, "w");
    fputs(small_vocabulary, f);
    fclose(f);
    snprintf(path, sizeof path, "%s/merges.txt", folder);
    f = fopen(path, "w");
    fclose(f);                                          /* none */
    if (tokenizer_open(folder, &t) < 0) fail_msg("%s", error_message());
    expect_ids(t, "ab", 10, "0 4");
    tokenizer_close(t);
    unlink(path);
    snprintf(command, sizeof command, "gzip -c '%s/bpe_simple_vocab_16e6.txt' > %s/bpe_simple_vocab_16e6.txt.gz", clip_folder(), folder);
    assert_int_equal(system(command), 0);
    if (tokenizer_open(folder, &t) < 0) fail_msg("%s", error_message());
    expect_ids(t, "a face", TOKEN_END, "320 1710");
    tokenizer_close(t);
    snprintf(command, sizeof command, "head -c 100000 %s/bpe_simple_vocab_16e6.txt.gz > %s/x && mv %s/x %s/bpe_simple_vocab_16e6.txt.gz", folder, folder,
             folder, folder);
    assert_int_equal(system(command), 0);
    assert_true(tokenizer_open(folder, &t) < 0);
    assert_non_null(strstr(error_message(), "16e6.txt.gz: "));
    snprintf(command, sizeof command, "rm -r %s", folder);
    assert_int_equal(system(command), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(golden),     cmocka_unit_test(prompt_and_cut), cmocka_unit_test(no_utf8), cmocka_unit_test(long_words),
        cmocka_unit_test(located),    cmocka_unit_test(small_pair),     cmocka_unit_test(refused), cmocka_unit_test(folders),
    };
    return cmocka_run_group_tests(tests, open_clip, close_clip);
}
