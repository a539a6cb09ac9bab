/* SPDX-License-Identifier: Apache-2.0
 *
 * Moving bad lines: what the files hold afterwards, and that a process that ends before any of its changes to the folder loses no line
 * and doubles none. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/error.h"
#include "base/file.h"
#include "base/hash.h"
#include "data/build_state.h"
#include "data/check_fix.h"
#include "data/lines.h"
#include "data/rejected.h"
#include "scratch.h"

/* ---- dying ---------------------------------------------------------------------------------------------------------- */

/* Before how many more changes to files this process ends; 0: never. */
static int steps_left;

static void step(void) {
    if (steps_left && --steps_left == 0) _exit(9);
}

/* The library's calls come here. */
int rename(const char *from, const char *to) {
    step();
    return (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
}
int linkat(int a, const char *from, int b, const char *to, int flags) {
    step();
    return (int)syscall(SYS_linkat, a, from, b, to, flags);
}
int unlink(const char *path) {
    step();
    return (int)syscall(SYS_unlinkat, AT_FDCWD, path, 0);
}
int renameat2(int a, const char *from, int b, const char *to, unsigned flags) {
    step();
    return (int)syscall(SYS_renameat2, a, from, b, to, flags);
}
ssize_t write(int fd, const void *data, size_t size) {
    step();
    return syscall(SYS_write, fd, data, size);
}

/* ---- files ---------------------------------------------------------------------------------------------------------- */

static void put(const char *name, const char *text) { assert_int_equal(file_save(name, text, strlen(text)), 0); }

static void expect_file(const char *name, const char *want) {
    uint8_t *data;
    size_t size;
    if (file_load(name, 1 << 24, &data, &size) < 0) fail_msg("%s", error_message());
    if (size != strlen(want) || memcmp(data, want, size) != 0) fail_msg("%s holds\n%.*s\nnot\n%s", name, (int)size, data, want);
    free(data);
}

static int count_files(void) {
    int n = 0;
    DIR *dir = opendir(".");
    for (const struct dirent *e; (e = readdir(dir));) n += strcmp(e->d_name, ".") && strcmp(e->d_name, "..");
    closedir(dir);
    return n;
}

/* Moves lines; `which` ends with -1. */
static int fix(const int *which, uint64_t *moved, char backup[CHECK_BACKUP]) {
    sorter *lines;
    struct stat st;
    assert_int_equal(stat("prompt.jsonl", &st), 0);
    assert_int_equal(sorter_new(".", 1 << 16, &lines), 0);
    for (int i = 0; which[i] >= 0; i++) assert_int_equal(check_fix_add(lines, (uint64_t)which[i], "duplicate", "is \"x\"", NULL), 0);
    int rc = check_fix(".", &st, lines, moved, backup);
    sorter_free(lines);
    return rc;
}

#define A "{\"source\": \"source/a.png\", \"target\": \"target/a.jpg\", \"prompt\": \"a\"}"
#define B "{\"source\": \"source/b.png\", \"target\": \"target/b.jpg\", \"prompt\": \"\\u00e9\"}"
#define C "{\"source\": \"source/c.png\", \"target\": \"target/c.jpg\", \"prompt\": null, \"more\": [1]}"
#define HEAD "{\"format\": 1, \"reason\": \"duplicate\", \"detail\": \"is \\\"x\\\"\", "
#define REST(line) HEAD line
#define B_REST HEAD "\"source\": \"source/b.png\", \"target\": \"target/b.jpg\", \"prompt\": \"\\u00e9\"}\n"
#define C_REST HEAD "\"source\": \"source/c.png\", \"target\": \"target/c.jpg\", \"prompt\": null, \"more\": [1]}\n"

static void test_moves(void **unused) {
    (void)unused;
    uint64_t moved;
    char backup[CHECK_BACKUP];
    put("prompt.jsonl", A "\n" B "\n" C);                  /* the last has no newline */
    assert_int_equal(fix((int[]){ 2, 1, -1 }, &moved, backup), 0);
    assert_int_equal(moved, 2);
    assert_string_equal(backup, "prompt.jsonl.bak");
    expect_file("prompt.jsonl", A "\n");
    expect_file("prompt.rejected.jsonl", B_REST C_REST);
    expect_file("prompt.jsonl.bak", A "\n" B "\n" C);
    assert_int_equal(count_files(), 3);
    assert_int_equal(fix((int[]){ -1 }, &moved, backup), 0);   /* nothing to do: nothing is written */
    assert_int_equal(moved, 0);
    assert_string_equal(backup, "");
    assert_int_equal(count_files(), 3);
    put("prompt.jsonl", B "\r\n" A "\n");
    assert_int_equal(fix((int[]){ 0, -1 }, &moved, backup), 0);
    assert_string_equal(backup, "prompt.jsonl.bak.2");
    expect_file("prompt.jsonl", A "\n");
    expect_file("prompt.rejected.jsonl", B_REST C_REST B_REST);
    expect_file("prompt.jsonl.bak", A "\n" B "\n" C);      /* the first backup stays */
    expect_file("prompt.jsonl.bak.2", B "\r\n" A "\n");
}

static void test_odd_lines(void **unused) {
    (void)unused;
    uint64_t moved;
    char backup[CHECK_BACKUP];
    put("prompt.jsonl", "no \"JSON\"\n\n{\"source\":\"s\",\"target\":\"t\",\"reason\":5}\n" A);
    assert_int_equal(fix((int[]){ 0, 1, 2, -1 }, &moved, backup), 0);
    expect_file("prompt.jsonl", A);
    expect_file("prompt.rejected.jsonl", HEAD "\"text\": \"no \\\"JSON\\\"\"}\n" HEAD "\"text\": \"\"}\n"
                HEAD "\"text\": \"{\\\"source\\\":\\\"s\\\",\\\"target\\\":\\\"t\\\",\\\"reason\\\":5}\"}\n");
    /* One that is longer than any item: the backup has all of it. */
    char *line = malloc(3 << 20);
    memset(line, 'x', 3 << 20);
    memcpy(line + (3 << 20) - 3, "\ny", 3);
    put("prompt.jsonl", line);
    assert_int_equal(fix((int[]){ 1, -1 }, &moved, backup), 0);
    line[(3 << 20) - 2] = 0;
    expect_file("prompt.jsonl", line);
    assert_int_equal(fix((int[]){ 0, -1 }, &moved, backup), 0);
    expect_file("prompt.jsonl", "");
    expect_file(backup, line);
    free(line);
}

static void test_refusals(void **unused) {
    (void)unused;
    uint64_t moved;
    char backup[CHECK_BACKUP];
    struct stat st = { 0 };
    sorter *lines;
    put("prompt.jsonl", A "\n");
    assert_int_equal(sorter_new(".", 1 << 16, &lines), 0);
    assert_int_equal(check_fix_add(lines, 0, "duplicate", "", NULL), 0);
    assert_int_equal(check_fix(".", &st, lines, &moved, backup), ERR_IO);
    assert_non_null(strstr(error_message(), "has changed"));
    sorter_free(lines);
    assert_int_equal(fix((int[]){ 1, -1 }, &moved, backup), ERR_IO);          /* no such line */
    put("prompt.rejected.jsonl", "{\"format\": 2}\n");
    assert_int_equal(fix((int[]){ 0, -1 }, &moved, backup), ERR_UNSUPPORTED);
    put("prompt.rejected.jsonl", "{\"mine\": 2}\n");
    assert_int_equal(fix((int[]){ 0, -1 }, &moved, backup), ERR_EXISTS);
    expect_file("prompt.jsonl", A "\n");
    assert_int_equal(moved, 0);
    assert_int_equal(count_files(), 2);
}

/* build's, which wrote these bytes into prompt.jsonl. */
static void put_journal(const char *wrote) {
    uint8_t digest[32];
    char hash[65], line[256];
    sha256(wrote, strlen(wrote), digest);
    sha256_hex(digest, hash);
    snprintf(line, sizeof line, "{\"format\":1,\"kind\":\"build\"}\n{\"run\":1,\"wrote\":\"prompt.jsonl\",\"sha256\":\"%s\"}\n", hash);
    put("build.jsonl", line);
}

static bool is_builds(void) {
    build_state *s;
    bool there;
    assert_int_equal(build_state_load(".", &s), 0);
    int rc = build_state_owns(s, ".", "prompt.jsonl", &there, NULL);
    build_state_free(s);
    return rc == 1;
}

static void expect_rejected(const char *target, int want) {
    rejected *r;
    assert_int_equal(rejected_open(".", &r), 0);
    assert_int_equal(rejected_asks(r, "x.png", target, "0"), want);
    rejected_close(r);
}

/* A child that ends before its n-th change; then a run that does not. */
static void test_killed(void **unused) {
    (void)unused;
    int ends = 0;
    for (int n = 1;; n++) {
        uint64_t moved;
        char backup[CHECK_BACKUP];
        int status;
        put("prompt.jsonl", A "\n" B "\n" C "\n");
        put("prompt.rejected.jsonl", C_REST);
        put_journal(A "\n" B "\n" C "\n");
        pid_t child = fork();
        if (child == 0) {
            steps_left = n;
            fix((int[]){ 1, -1 }, &moved, backup);
            _exit(0);
        }
        waitpid(child, &status, 0);
        bool died = WEXITSTATUS(status) == 9;
        ends += died;
        /* Whoever reads now sees the old lines, or the new ones. */
        uint8_t *now;
        size_t size;
        assert_int_equal(file_load("prompt.jsonl", 10000, &now, &size), 0);
        now = realloc(now, size + 1);
        now[size] = 0;
        bool done = strcmp((char *)now, A "\n" C "\n") == 0;
        if (!done) assert_string_equal((char *)now, A "\n" B "\n" C "\n");
        free(now);
        if (!died) assert_true(done);
        assert_true(is_builds());                         /* whichever it is */
        expect_rejected("b.jpg", done ? REJECTED_LINE : REJECTED_NOT);
        expect_rejected("c.jpg", REJECTED_LINE);
        bool pending = check_fix_pending(".");
        assert_int_equal(check_fix_recover("."), 0);
        assert_false(check_fix_pending("."));
        if (done) expect_file("prompt.rejected.jsonl", C_REST B_REST);
        else expect_file("prompt.rejected.jsonl", C_REST);
        if (!done && pending) assert_true(access("prompt.jsonl.bak", F_OK) < 0);
        int want[] = { done ? -1 : 1, -1 };               /* what a check would find now */
        assert_int_equal(fix(want, &moved, backup), 0);
        expect_file("prompt.jsonl", A "\n" C "\n");
        expect_file("prompt.rejected.jsonl", C_REST B_REST);
        expect_file("prompt.jsonl.bak", A "\n" B "\n" C "\n");
        assert_true(access("prompt.jsonl.bak.2", F_OK) < 0);
        remove("prompt.jsonl.bak");
        if (!died) break;
    }
    print_message("ended before each of %d changes\n", ends);
    assert_true(ends >= 6);                               /* two files written, two put aside, a link, two renames */
}

/* ---- what stays out -------------------------------------------------------------------------------------------------- */

#define LINE(reason, files, name) "{\"format\": 1, \"reason\": \"" reason "\", \"detail\": \"\", " files "\"source\": \"source/" name ".png\", \"target\": \"target/" name ".jpg\", \"prompt\": \"\"}\n"
#define SAME "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"   /* of "abc" */
#define OTHER "0000000000000000000000000000000000000000000000000000000000000000"

static void test_rejected(void **unused) {
    (void)unused;
    rejected *r;
    assert_int_equal(mkdir("source", 0700), 0);
    assert_int_equal(mkdir("target", 0700), 0);
    const char *const abc[] = { "source/a.png", "source/a.json", "target/a.jpg", "source/m.png" };
    for (int i = 0; i < 4; i++) put(abc[i], "abc");
    put("prompt.rejected.jsonl",
        LINE("duplicate", "\"files\": {\"photo\": \"" OTHER "\"}, ", "d") LINE("duplicate", "\"files\": {\"photo\": \"" SAME "\"}, ", "d")
        LINE("duplicate", "", "old") LINE("source_missing", "", "old2") LINE("of my own", "", "own")
        LINE("faces_differ", "\"files\": {\"photo\": \"" SAME "\", \"map\": \"" SAME "\", \"landmarks\": \"" SAME "\"}, ", "a")
        LINE("source_missing", "\"files\": {\"photo\": \"" SAME "\", \"map\": null, \"landmarks\": null}, ", "m")
        LINE("target_missing", "\"files\": {\"photo\": null, \"map\": \"" SAME "\", \"landmarks\": null}, ", "m")
        "{\"format\": 1, \"reason\": \"broken_line\", \"detail\": \"\", \"text\": \"x\"}\n[]\nnot even JSON\n\n{\"format\": 1, \"reason\": 5, \"files\": [],"
        " \"source\": \"s\", \"target\": \"odd.jpg\"}\n{\"files\": {\"photo\": \"short\", \"map\": 7}, \"source\": \"s\", \"target\": \"cut.jpg\"}");
    assert_int_equal(rejected_open(".", &r), 0);
    assert_int_equal(rejected_asks(r, "d.png", "d.jpg", SAME), REJECTED_LINE);
    assert_int_equal(rejected_asks(r, "d.png", "d.jpg", OTHER), REJECTED_LINE);
    assert_int_equal(rejected_asks(r, "d.png", "d.jpg", "1"), REJECTED_NOT);
    assert_int_equal(rejected_asks(r, "d.png", "d.jpeg", SAME), REJECTED_NOT);
    assert_int_equal(rejected_asks(r, "old.png", "old.jpg", SAME), REJECTED_LINE);
    assert_int_equal(rejected_asks(r, "old2.png", "old2.jpg", SAME), REJECTED_NOT);
    assert_int_equal(rejected_asks(r, "own.png", "own.jpg", SAME), REJECTED_LINE);
    assert_int_equal(rejected_asks(r, "odd.png", "odd.jpg", SAME), REJECTED_LINE);
    assert_int_equal(rejected_asks(r, "cut.png", "cut.jpg", SAME), REJECTED_LINE);
    assert_int_equal(rejected_asks(r, "a.png", "a.jpg", SAME), REJECTED_LINE);
    assert_int_equal(rejected_asks(r, "m.png", "m.jpg", SAME), REJECTED_FILES);
    put("source/a.json", "x");
    assert_int_equal(rejected_asks(r, "a.png", "a.jpg", SAME), REJECTED_NOT);
    put("target/m.jpg", "abc");
    assert_int_equal(rejected_asks(r, "m.png", "m.jpg", SAME), REJECTED_NOT);
    remove("source/m.png");
    assert_int_equal(rejected_asks(r, "m.png", "m.jpg", SAME), REJECTED_FILES);
    rejected_close(r);
    remove("prompt.rejected.jsonl");
    assert_int_equal(rejected_open(".", &r), 0);
    assert_int_equal(rejected_asks(r, "d.png", "d.jpg", SAME), REJECTED_NOT);
    rejected_close(r);
}

/* ---- lines ---------------------------------------------------------------------------------------------------------- */

static int take_even(void *context, uint64_t number, const char *line, size_t size) {
    (void)line;
    size_t *sizes = context;
    if (number < 8) sizes[number] = size;
    return number % 2 == 0;
}

static void test_filter(void **unused) {
    (void)unused;
    const size_t longest = (2 << 20) + 12345;
    char *text = malloc(3 * longest), *want = malloc(3 * longest);
    size_t sizes[8] = { 0 };
    sprintf(text, "one\ntwo\n\n\n");
    memset(text + 10, 'a', longest), text[10 + longest] = '\n';
    memset(text + 11 + longest, 'b', longest), text[11 + 2 * longest] = 0;
    sprintf(want, "one\n\n");
    memcpy(want + 5, text + 10, longest + 1), want[6 + longest] = 0;
    put("in", text);
    file_writer *w;
    lines_copy c;
    int fd = open("in", O_RDONLY);
    assert_int_equal(file_create("out", &w), 0);
    lines_begin(&c, w);
    assert_int_equal(lines_filter(&c, fd, "in", take_even, sizes), 0);
    assert_int_equal(file_commit(w, true), 0);
    assert_int_equal(close(fd), 0);
    expect_file("out", want);
    assert_true(c.lines == 6 && c.dropped == 3);
    assert_true(sizes[0] == 3 && sizes[2] == 0 && sizes[4] == LINES_MOST && sizes[5] == LINES_MOST);
    uint8_t is[32], hash[32];
    sha256_end(&c.is, is);
    sha256(want, strlen(want), hash);
    assert_memory_equal(is, hash, 32);
    sha256_end(&c.was, is);
    sha256(text, strlen(text), hash);
    assert_memory_equal(is, hash, 32);
    free(text);
    free(want);
}

int main(void) {
#define IN_FOLDER(f) cmocka_unit_test_setup_teardown(f, scratch_enter, scratch_leave)
    const struct CMUnitTest tests[] = { IN_FOLDER(test_moves), IN_FOLDER(test_odd_lines), IN_FOLDER(test_refusals), IN_FOLDER(test_killed), IN_FOLDER(test_rejected), IN_FOLDER(test_filter) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
