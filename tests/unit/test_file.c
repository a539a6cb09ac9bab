/* SPDX-License-Identifier: Apache-2.0
 *
 * Files that appear whole or not at all: in pieces, as links, and what killed processes left of them. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/error.h"
#include "base/file.h"
#include "base/hash.h"
#include "scratch.h"

static int files_here;
static int count_one(const char *path, const struct stat *st, int type, struct FTW *where) {
    (void)path, (void)st, (void)where;
    files_here += type == FTW_F;
    return 0;
}
static int count_files(void) {
    files_here = 0;
    assert_int_equal(nftw(".", count_one, 16, FTW_PHYS), 0);
    return files_here;
}

static void expect_content(const char *path, const void *want, size_t size) {
    uint8_t *data;
    size_t n;
    assert_int_equal(file_load(path, 1 << 24, &data, &n), 0);
    assert_int_equal(n, size);
    assert_memory_equal(data, want, size);
    free(data);
}

static void test_writer(void **state) {
    (void)state;
    file_writer *w;
    enum { SIZE = 300001 };
    uint8_t *want = malloc(SIZE);
    for (int i = 0; i < SIZE; i++) want[i] = (uint8_t)(i * 7 + i / 256);
    assert_int_equal(file_create("a", &w), 0);
    for (size_t at = 0, n = 1; at < SIZE; at += n, n = n * 3 % 99991) {
        if (n > SIZE - at) n = SIZE - at;
        assert_int_equal(file_write(w, want + at, n), 0);
    }
    assert_int_equal(access("a", F_OK), -1);
    assert_int_equal(file_commit(w, false), 0);
    expect_content("a", want, SIZE);
    free(want);
    assert_int_equal(file_create("a", &w), 0);
    assert_int_equal(file_write(w, "x", 1), 0);
    assert_int_equal(file_commit(w, false), ERR_EXISTS);
    assert_int_equal(file_create("a", &w), 0);
    assert_int_equal(file_write(w, "x", 1), 0);
    assert_int_equal(file_commit(w, true), 0);
    expect_content("a", "x", 1);
    assert_int_equal(file_create("b", &w), 0);
    assert_int_equal(file_write(w, "x", 1), 0);
    file_abandon(w);
    file_abandon(NULL);
    assert_int_equal(file_create("nowhere/b", &w), ERR_IO);
    assert_int_equal(count_files(), 1);
}

static bool same(const char *a, const char *b) {
    struct stat x, y;
    return stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_ino == y.st_ino;
}

static void test_links(void **state) {
    (void)state;
    assert_int_equal(file_save("a", "a", 1), 0);
    assert_int_equal(file_save("b", "b", 1), 0);
    assert_int_equal(symlink("a", "to_a"), 0);
    assert_int_equal(file_link("to_a", "x", false), 0);   /* the file itself, not the link to it */
    assert_true(same("a", "x"));
    assert_int_equal(file_link("b", "x", false), ERR_EXISTS);
    assert_true(same("a", "x"));
    assert_int_equal(file_link("b", "x", true), 0);
    assert_true(same("b", "x"));
    assert_int_equal(file_link("b", "x", true), 0);       /* it is already */
    assert_int_equal(file_link("none", "y", false), ERR_IO);
    assert_int_equal(file_link("/proc/self/status", "y", false), ERR_UNSUPPORTED);
    assert_int_equal(count_files(), 3);
}

static void test_leftovers(void **state) {
    (void)state;
    const char *ours[] = { ".spool.mien-tmp-999999999-0", ".a.JPG.mien-tmp-999999999-12", ".prompt.jsonl.mien-tmp-999999999-3", ".x.webp.mien-tmp-999999999-0" };
    const char *others[] = { ".a.txt.mien-tmp-999999999-0", ".a.png.mien-tmp-x-0", "a.png.mien-tmp-999999999-0", ".png.mien-tmp-999999999-0" };
    for (int i = 0; i < 4; i++) assert_int_equal(file_save(ours[i], "x", 1), 0), assert_int_equal(file_save(others[i], "x", 1), 0);
    file_remove_leftovers(".", 0);
    assert_int_equal(count_files(), 8);   /* young, and another process may write here */
    file_remove_leftovers(".", 1);
    assert_int_equal(count_files(), 4);
    for (int i = 0; i < 4; i++) assert_int_equal(access(others[i], F_OK), 0);
}

static void test_leftovers_of_one(void **state) {
    (void)state;
    const char *names[] = { ".a.zip.mien-tmp-999999999-0", ".a.zip.mien-tmp-1-7", ".a.b.zip.mien-tmp-999999999-0", ".aa.zip.mien-tmp-999999999-0" };
    for (int i = 0; i < 4; i++) assert_int_equal(file_save(names[i], "x", 1), 0);
    file_remove_leftovers_of("./a.zip");   /* process 1 lives */
    for (int i = 0; i < 4; i++) assert_int_equal(access(names[i], F_OK), i == 0 ? -1 : 0);
    file_remove_leftovers_of("a.b.zip");
    assert_int_equal(count_files(), 2);
    file_remove_leftovers_of("nowhere/a.zip");
}

static void test_hash_in_pieces(void **state) {
    (void)state;
    uint8_t data[1000], whole[32], pieces[32];
    for (int i = 0; i < 1000; i++) data[i] = (uint8_t)(i * 31);
    sha256(data, sizeof data, whole);
    sha256_state s;
    sha256_begin(&s);
    for (size_t at = 0, n = 0; at < sizeof data; at += n, n = n * 2 + 1) sha256_add(&s, data + at, n = n > sizeof data - at ? sizeof data - at : n);
    sha256_end(&s, pieces);
    assert_memory_equal(whole, pieces, 32);
}

/* A folder that can't be read on does not end there. */
static void test_next(void **state) {
    (void)state;
    const struct dirent *e;
    int rc, count = 0;
    assert_int_equal(file_save("a", "", 0), 0);
    DIR *dir = opendir(".");
    assert_non_null(dir);
    errno = EIO;                   /* of something before */
    while ((rc = folder_next(dir, ".", &e)) > 0) count++, errno = EIO;
    assert_int_equal(rc, 0);
    assert_int_equal(count, 3);    /* . and .., too */
    closedir(dir);
    dir = opendir(".");
    int null = open("/dev/null", O_RDONLY);
    assert_int_equal(dup2(null, dirfd(dir)), dirfd(dir));
    assert_int_equal(folder_next(dir, "here", &e), ERR_IO);
    assert_non_null(strstr(error_message(), "here: "));
    closedir(dir);
    close(null);
}

int main(void) {
#define IN_FOLDER(f) cmocka_unit_test_setup_teardown(f, scratch_enter, scratch_leave)
    const struct CMUnitTest tests[] = { IN_FOLDER(test_writer), IN_FOLDER(test_links), IN_FOLDER(test_next), IN_FOLDER(test_leftovers), IN_FOLDER(test_leftovers_of_one), cmocka_unit_test(test_hash_in_pieces) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
