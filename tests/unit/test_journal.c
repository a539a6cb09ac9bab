/* SPDX-License-Identifier: Apache-2.0
 *
 * Journals: what a kill or a full disk leaves, parts, merges that are killed, and files that are none. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/error.h"
#include "base/file.h"
#include "data/journal.h"
#include "scratch.h"

#define HEAD "{\"format\":1,\"kind\":\"job\"}\n"

static void put(const char *path, const char *content) { assert_int_equal(file_save(path, content, strlen(content)), 0); }

static void expect_file(const char *path, const char *want) {
    uint8_t *data;
    size_t size;
    assert_int_equal(file_load(path, 1 << 20, &data, &size), 0);
    assert_int_equal(size, strlen(want));
    assert_memory_equal(data, want, size);
    free(data);
}

static void append(int part, int parts, const char *content) {
    journal *j;
    text line = { 0 };
    assert_int_equal(journal_open(".", "job", part, parts, &j), 0);
    text_add(&line, content);
    assert_int_equal(journal_append(j, &line), 0);
    text_free(&line);
    journal_close(j);
}

static int note(void *context, const json_at *line) {
    json_at n;
    long long number;
    if (json_need_field(line, "n", &n) < 0 || json_need_integer(&n, -1, 1000000000, &number) < 0) return ERR_FORMAT;
    text_printf(context, "%lld ", number);
    return number == -1 ? error_set(ERR_CANCELLED, "enough") : 0;
}

/* The numbers of all lines, in order. */
static void expect_lines(const char *want) {
    text got = { 0 };
    text_add(&got, "");
    if (journal_read(".", "job", note, &got) < 0) print_error("%s\n", error_message());
    assert_string_equal(got.data, want);
    text_free(&got);
}

static void expect_refused(const char *path, const char *content, const char *message) {
    journal *j;
    put(path, content);
    assert_int_equal(journal_open(".", "job", 0, 0, &j), ERR_FORMAT);
    assert_non_null(strstr(error_message(), path));
    assert_non_null(strstr(error_message(), message));
    assert_int_equal(journal_read(".", "job", note, NULL), ERR_FORMAT);
    int merged;
    put("job.1-of-2.jsonl", HEAD "{\"n\":1}\n");
    assert_int_equal(journal_merge(".", "job", &merged), ERR_FORMAT);
    expect_file(path, content);
    expect_file("job.1-of-2.jsonl", HEAD "{\"n\":1}\n");
    unlink(path), unlink("job.1-of-2.jsonl");
}

static void test_append(void **state) {
    (void)state;
    expect_lines("");
    append(0, 0, "{\"n\":1}");
    append(0, 0, "{\"n\":2}");
    expect_file("job.jsonl", HEAD "{\"n\":1}\n{\"n\":2}\n");
    expect_lines("1 2 ");
    append(0, 0, "{\"n\":-1}");
    append(0, 0, "{\"n\":3}");
    expect_lines("1 2 -1 ");                /* ended by the entry's answer */
    text got = { 0 };
    assert_int_equal(journal_read(".", "job", note, &got), ERR_CANCELLED);
    text_free(&got);
    assert_int_equal(journal_read("nowhere", "job", note, NULL), 0);
}

/* Whatever a line or the head was cut to, the whole lines count and the next one follows them. */
static void test_torn(void **state) {
    (void)state;
    static const char whole[] = HEAD "{\"n\":1}\n{\"n\":2}\n";
    for (size_t cut = 0; cut < sizeof whole; cut++) {
        char torn[sizeof whole] = "", want[sizeof whole + 64], lines[16] = "";
        memcpy(torn, whole, cut);
        put("job.jsonl", torn);
        size_t head = strlen(HEAD);
        if (cut >= head + 8) strcat(lines, "1 ");
        if (cut >= head + 16) strcat(lines, "2 ");
        expect_lines(lines);
        append(0, 0, "{\"n\":7}");
        snprintf(want, sizeof want, "%s%s%s{\"n\":7}\n", HEAD, cut >= head + 8 ? "{\"n\":1}\n" : "", cut >= head + 16 ? "{\"n\":2}\n" : "");
        expect_file("job.jsonl", want);
    }
    /* What a power failure leaves where blocks were never written; longer than any buffer. */
    text zeros = { 0 };
    text_add(&zeros, HEAD "{\"n\":1}\n");
    memset(text_room(&zeros, 100000), 0, 100000);
    text_grown(&zeros, 100000);
    assert_int_equal(file_save("job.jsonl", zeros.data, zeros.size), 0);
    expect_lines("1 ");
    append(0, 0, "{\"n\":2}");
    expect_file("job.jsonl", HEAD "{\"n\":1}\n{\"n\":2}\n");
    text_free(&zeros);
}

static void test_refused(void **state) {
    (void)state;
    expect_refused("job.jsonl", "{\"format\":2,\"kind\":\"job\"}\n{\"n\":1}\n", "format 2");
    expect_refused("job.jsonl", "{\"format\":1,\"kind\":\"other\"}\n", "no journal of \"job\"");
    expect_refused("job.jsonl", "{\"format\":\"1\",\"kind\":\"job\"}\n", "no journal");
    expect_refused("job.jsonl", "{\"n\":1}\n", "no journal");
    expect_refused("job.jsonl", "my diary", "no journal");
    expect_refused("job.jsonl", "my\ndiary\n", "no journal");
    expect_refused("job.jsonl", &HEAD[1], "no journal");
    put("job.jsonl", HEAD "{\"n\":1}\nnonsense\n{\"n\":2}\n");
    expect_lines("1 ");
    text got = { 0 };
    assert_int_equal(journal_read(".", "job", note, &got), ERR_FORMAT);
    assert_non_null(strstr(error_message(), "job.jsonl: line 3"));
    text_free(&got);
    unlink("job.jsonl");
    journal *j;
    assert_int_equal(symlink("elsewhere", "job.jsonl"), 0);
    assert_true(journal_open(".", "job", 0, 0, &j) < 0);
    assert_int_equal(access("elsewhere", F_OK), -1);
    unlink("job.jsonl");
    assert_int_equal(mkfifo("job.jsonl", 0600), 0);
    assert_int_equal(journal_open(".", "job", 0, 0, &j), ERR_IO);
    assert_int_equal(journal_read(".", "job", note, NULL), ERR_IO);
}

static void test_parts(void **state) {
    (void)state;
    append(2, 2, "{\"n\":4}");
    append(1, 2, "{\"n\":3}");
    append(0, 0, "{\"n\":1}");
    append(1, 4, "{\"n\":5}");
    put("job.1-of-2.jsonl.bak", "not ours"), put("job.1-of-x.jsonl", "nor this"), put("job.of.jsonl", ""), put("jobs.1-of-2.jsonl", "other");
    expect_lines("1 3 5 4 ");
    int merged;
    assert_int_equal(journal_merge(".", "job", &merged), 0);
    assert_int_equal(merged, 3);
    expect_lines("1 3 5 4 ");
    assert_int_equal(access("job.1-of-2.jsonl", F_OK), -1);
    assert_int_equal(access("job.1-of-2.jsonl.bak", F_OK), 0);
    assert_int_equal(journal_merge(".", "job", &merged), 0);
    assert_int_equal(merged, 0);
    append(0, 0, "{\"n\":6}");
    append(1, 2, "{\"n\":7}");
    expect_lines("1 3 5 4 6 7 ");
    assert_int_equal(journal_merge(".", "job", &merged), 0);
    expect_lines("1 3 5 4 6 7 ");
}

/* A merge was killed when its journal was there and some of the parts' were still. */
static void test_merge_killed(void **state) {
    (void)state;
    append(1, 2, "{\"n\":1}");
    append(2, 2, "{\"n\":2}");
    assert_int_equal(link("job.1-of-2.jsonl", "kept1"), 0);
    assert_int_equal(link("job.2-of-2.jsonl", "kept2"), 0);
    int merged;
    assert_int_equal(journal_merge(".", "job", &merged), 0);
    assert_int_equal(rename("kept1", "job.1-of-2.jsonl"), 0);
    assert_int_equal(rename("kept2", "job.2-of-2.jsonl"), 0);
    expect_lines("1 2 ");                     /* not twice */
    append(2, 2, "{\"n\":3}");                /* a part goes on */
    expect_lines("1 2 3 ");
    expect_file("job.2-of-2.jsonl", HEAD "{\"n\":3}\n");
    assert_int_equal(journal_merge(".", "job", &merged), 0);
    expect_lines("1 2 3 ");
    assert_int_equal(access("job.1-of-2.jsonl", F_OK), -1);
}

/* Processes that are killed while they write: what one of them was told is there counts, and every line is whole. */
static void test_killed(void **state) {
    (void)state;
    int before = 0;
    for (int round = 0; round < 20; round++) {
        int told[2];
        assert_int_equal(pipe(told), 0);
        pid_t child = fork();
        if (child == 0) {
            journal *j;
            if (journal_open(".", "job", 0, 0, &j) < 0) _exit(1);
            for (int i = before;; i++) {
                text line = { 0 };
                text_printf(&line, "{\"n\":%d,\"padding\":\"%*s\"}", i, i % 3000, "");
                if (journal_append(j, &line) < 0 || write(told[1], "x", 1) != 1) _exit(1);
                text_free(&line);
            }
        }
        char byte;
        for (int i = 0; i < 5 + round; i++) assert_int_equal(read(told[0], &byte, 1), 1);
        kill(child, SIGKILL);
        assert_int_equal(waitpid(child, NULL, 0), child);
        int said = 5 + round;
        close(told[1]);
        while (read(told[0], &byte, 1) == 1) said++;
        close(told[0]);
        text got = { 0 }, want = { 0 };
        text_add(&got, "");
        assert_int_equal(journal_read(".", "job", note, &got), 0);
        int lines = 0;
        for (const char *s = got.data; (s = strchr(s, ' ')); s++) lines++;
        assert_true(lines == before + said || lines == before + said + 1);
        text_add(&want, "");
        for (int i = 0; i < lines; i++) text_printf(&want, "%d ", i);
        assert_string_equal(got.data, want.data);
        text_free(&got), text_free(&want);
        before = lines;
    }
}

/* A disk that takes no more in the middle of a line (here: a limit on the file's size). */
static void test_full(void **state) {
    (void)state;
    pid_t child = fork();
    if (child == 0) {
        journal *j;
        text line = { 0 };
        signal(SIGXFSZ, SIG_IGN);
        text_printf(&line, "{\"n\":1,\"padding\":\"%600s\"}", "");
        if (journal_open(".", "job", 0, 0, &j) < 0 || journal_append(j, &line) < 0) _exit(1);
        struct rlimit limit = { 1000, 1000 };
        if (setrlimit(RLIMIT_FSIZE, &limit) < 0) _exit(2);
        if (journal_append(j, &line) == 0) _exit(3);
        line.size = 0;
        text_add(&line, "{\"n\":2}");
        _exit(journal_append(j, &line) == 0 ? 0 : 4);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    expect_lines("1 2 ");
}

int main(void) {
#define T(name) cmocka_unit_test_setup_teardown(name, scratch_enter, scratch_leave)
    const struct CMUnitTest tests[] = { T(test_append), T(test_torn), T(test_refused), T(test_parts), T(test_merge_killed), T(test_killed), T(test_full) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
