/* SPDX-License-Identifier: Apache-2.0
 *
 * Streams: lines of every kind from memory, files and FIFOs, wherever the blocks that are read end. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/error.h"
#include "base/file.h"
#include "base/stream.h"
#include "base/text.h"

static char root[64];

static int make_root(void **state) {
    (void)state;
    strcpy(root, "/tmp/mien-stream-XXXXXX");
    return mkdtemp(root) && chdir(root) == 0 ? 0 : -1;
}

static int remove_root(void **state) {
    (void)state;
    unlink("file"), unlink("fifo");
    return chdir("/") < 0 ? -1 : rmdir(root);
}

/* All lines as [text], [text- without an end, ! too long. */
static void lines_of(stream *s, size_t most, text *out) {
    stream_text line;
    int rc;
    text_add(out, "");
    while ((rc = stream_line(s, most, &line)) != 0) {
        if (rc == ERR_LIMIT) text_printf(out, "!%d", (int)stream_lines(s));
        else if (rc < 0) text_printf(out, "%d", rc);
        else text_printf(out, "[%s%s", line.text, line.ended ? "]" : "-");
        if (rc < 0 && rc != ERR_LIMIT) break;
        if (rc == 1) assert_int_equal(line.text[line.size], 0);
    }
}

static void expect_lines(const char *data, size_t most, const char *want) {
    stream *s;
    text got = { 0 };
    assert_int_equal(stream_open_memory("m", data, strlen(data), &s), 0);
    lines_of(s, most, &got);
    assert_string_equal(got.data, want);
    assert_int_equal(stream_bytes(s), strlen(data));
    stream_close(s);
    text_free(&got);
    assert_int_equal(file_save("file", data, strlen(data)), 0);
    assert_int_equal(stream_open("file", &s), 0);
    lines_of(s, most, &got);
    assert_string_equal(got.data, want);
    stream_close(s);
    text_free(&got);
}

static void test_lines(void **state) {
    (void)state;
    expect_lines("", 10, "");
    expect_lines("a", 10, "[a-");
    expect_lines("a\n", 10, "[a]");
    expect_lines("\n\r\n\r", 10, "[][][\r-");
    expect_lines("a\r\nb\rc\n", 10, "[a][b\rc]");
    expect_lines("12345\n123456\nx\n123456", 5, "[12345]!2[x]!4");
}

/* Lines that end at, just before and behind the ends of blocks. */
static void test_blocks(void **state) {
    (void)state;
    text data = { 0 }, want = { 0 };
    for (int size = 65536 - 3; size <= 65536 + 3; size++) {
        text_printf(&data, "%0*d\r\nx\n", size, 0);
        text_printf(&want, "[%0*d][x]", size, 0);
    }
    expect_lines(data.data, 1 << 17, want.data);
    text_free(&data), text_free(&want);
}

static void test_peek(void **state) {
    (void)state;
    text data = { 0 };
    for (int i = 0; i < 30000; i++) text_printf(&data, "%d\n", i);
    assert_int_equal(file_save("file", data.data, data.size), 0);
    stream *s;
    const uint8_t *seen;
    size_t size;
    char some[5];
    stream_text line;
    assert_int_equal(stream_open("file", &s), 0);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(stream_peek(s, &seen, &size), 0);
        assert_int_equal(size, 65536);
        assert_memory_equal(seen, data.data + stream_bytes(s), size);
        assert_int_equal(stream_read(s, some, sizeof some), 5);
        assert_memory_equal(some, data.data + stream_bytes(s) - 5, 5);
    }
    assert_int_equal(stream_line(s, 100, &line), 1);
    assert_string_equal(line.text, "");     /* 15 bytes are gone, up to the 7 */
    assert_int_equal(stream_lines(s), 1);
    for (int i = 8; i < 29990; i++) assert_int_equal(stream_line(s, 100, &line), 1);
    assert_int_equal(stream_peek(s, &seen, &size), 0);
    assert_int_equal(size, 60);
    stream_close(s);
    text_free(&data);
}

static void test_sources(void **state) {
    (void)state;
    stream *s;
    assert_int_equal(stream_open(".", &s), ERR_IO);
    assert_int_equal(stream_open("nothing", &s), ERR_IO);
    assert_non_null(strstr(error_message(), "nothing"));
    assert_int_equal(mkfifo("fifo", 0600), 0);
    pid_t child = fork();
    if (child == 0) {                        /* bytes that come a few at a time */
        FILE *f = fopen("fifo", "w");
        for (int i = 0; i < 100; i++) fprintf(f, "%d", i % 10), fputs(i % 7 == 6 ? "\n" : "", f), fflush(f);
        _exit(fclose(f) != 0);
    }
    text got = { 0 };
    stream *none;
    assert_int_equal(stream_open_file("fifo", &none), ERR_IO);
    assert_int_equal(stream_open_file("-", &none), ERR_IO);
    assert_int_equal(stream_open("fifo", &s), 0);
    lines_of(s, 100, &got);
    assert_int_equal(strncmp(got.data, "[0123456][7890123]", 18), 0);
    assert_int_equal(got.size, 100 + 2 * 14 + 2);
    stream_close(s);
    text_free(&got);
    assert_int_equal(waitpid(child, NULL, 0), child);
}

static void nothing(int number) { (void)number; }

/* A signal ends the wait for a list that does not come. */
static void test_signal(void **state) {
    (void)state;
    pid_t child = fork();
    if (child == 0) {
        struct sigaction a = { .sa_handler = nothing };
        int ends[2];
        stream *s;
        char byte;
        if (pipe(ends) < 0 || dup2(ends[0], STDIN_FILENO) < 0 || sigaction(SIGALRM, &a, NULL) < 0 || stream_open("-", &s) < 0) _exit(1);
        ualarm(20000, 20000);                /* again and again: the first may come before the wait */
        _exit(stream_read(s, &byte, 1) == ERR_CANCELLED ? 0 : 2);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

int main(void) {
#define T(name) cmocka_unit_test_setup_teardown(name, make_root, remove_root)
    const struct CMUnitTest tests[] = { T(test_lines), T(test_blocks), T(test_peek), T(test_sources), T(test_signal) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
