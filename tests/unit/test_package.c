/* SPDX-License-Identifier: Apache-2.0
 *
 * The package job as a library: stopped in the middle, out of room, in any number of threads; what removed.jsonl names. (What a
 * zip and shards hold: tests/cli/package.sh.) */
#define _GNU_SOURCE
#include <dirent.h>
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
#include <unistd.h>

#include <cmocka.h>

#include "base/error.h"
#include "base/file.h"
#include "data/dataset.h"
#include "data/selection.h"
#include "image/image.h"
#include "mien.h"
#include "scratch.h"

enum { ITEMS = 60 };
/* A data set "ds" of small pictures. */
static int make_root(void **state) {
    if (scratch_enter(state) < 0 || folder_make("ds/source") < 0 || folder_make("ds/target") < 0) return -1;
    text lines = { 0 };
    for (int i = 0; i < ITEMS; i++) {
        image img;
        uint8_t *data;
        size_t size;
        char source[32], target[32], path[64];
        if (image_new(40 + i, 30, &img) < 0 || image_encode_png(&img, NULL, 0, &data, &size) < 0) return -1;
        snprintf(source, sizeof source, "i%02d.png", i);
        snprintf(target, sizeof target, "i%02d.jpg", i);
        snprintf(path, sizeof path, "ds/source/%s", source);
        int rc = file_save(path, data, size);
        snprintf(path, sizeof path, "ds/target/%s", target);   /* what its bytes are counts */
        if (rc == 0) rc = file_save(path, data, size);
        free(data);
        image_free(&img);
        if (rc < 0) return -1;
        dataset_line(source, target, "a prompt", &lines);
        text_add(&lines, "\n");
    }
    int rc = file_save("ds/prompt.jsonl", lines.data, lines.size);
    text_free(&lines);
    return rc;
}

/* How many names of a folder end so; "": all but "." and "..". */
static int count_names(const char *folder, const char *ending) {
    DIR *d = opendir(folder);
    int n = 0;
    assert_non_null(d);
    for (const struct dirent *e; (e = readdir(d));) {
        size_t length = strlen(e->d_name), m = strlen(ending);
        n += strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0 && length >= m && strcmp(e->d_name + length - m, ending) == 0;
    }
    closedir(d);
    return n;
}

static void expect_same(const char *a, const char *b) {
    uint8_t *x, *y;
    size_t n, m;
    assert_int_equal(file_load(a, 1 << 24, &x, &n), 0);
    assert_int_equal(file_load(b, 1 << 24, &y, &m), 0);
    assert_int_equal(n, m);
    assert_memory_equal(x, y, n);
    free(x);
    free(y);
}

static void test_threads(void **state) {
    (void)state;
    mien_progress p;
    for (int jobs = 1; jobs <= 5; jobs += 2) {
        char name[32];
        snprintf(name, sizeof name, "%d.zip", jobs);
        assert_int_equal(mien_package(&(mien_package_options){ .data = "ds", .output = name, .jobs = jobs }, &p), 0);
        assert_int_equal(p.done, ITEMS);
        assert_string_equal(p.count[0].name, "maps");
        assert_int_equal(p.count[0].n, ITEMS);
        assert_int_equal(p.count[1].n, 0);
        if (jobs > 1) expect_same("1.zip", name);
        snprintf(name, sizeof name, "s%d", jobs);
        assert_int_equal(mien_package(&(mien_package_options){ .data = "ds", .output = name, .jobs = jobs, .shards = 1 }, &p), 0);
        snprintf(name, sizeof name, "s%d/00000.tar", jobs);
        if (jobs > 1) expect_same("s1/00000.tar", name);
    }
}

/* Stops at the so-manieth item that is of no use. */
typedef struct { int stop, left; } stopper;
static void stop_then(void *context, mien_log_kind kind, const char *path, const char *message) {
    (void)path, (void)message;
    stopper *s = context;
    if (kind == MIEN_LOG_ITEM_FAILED && s->left-- == 0) __atomic_store_n(&s->stop, 1, __ATOMIC_RELAXED);
}

static void test_stopped(void **state) {
    (void)state;
    stopper s = { 0, 0 };
    assert_int_equal(unlink("ds/source/i10.png"), 0);
    assert_int_equal(unlink("ds/target/i30.jpg"), 0);
    mien_package_options o = { .data = "ds", .output = "x.zip", .hooks = { .log = stop_then, .context = &s, .stop = &s.stop } };
    int before = count_names(".", "");
    assert_int_equal(mien_package(&o, NULL), MIEN_ERR_CANCELLED);
    assert_int_equal(count_names(".", ""), before);
    /* Shards go on where they were stopped. */
    static const struct { int left, rc, shards, done, skipped, failed; } want[] = {
        { 0, MIEN_ERR_CANCELLED, 1, 7, 0, 1 }, { 1, MIEN_ERR_CANCELLED, 4, 21, 7, 2 }, { 9, 0, 9, 30, 28, 2 }, { 9, 0, 9, 0, 58, 2 },
    };
    mien_progress p;
    assert_int_equal(mien_package(&(mien_package_options){ .data = "ds", .output = "whole", .shards = 1, .shard_items = 7 }, &p), 0);
    o.output = "cut", o.shards = 1, o.shard_items = 7;
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        s = (stopper){ 0, want[i].left };
        assert_int_equal(mien_package(&o, &p), want[i].rc);
        assert_int_equal(count_names("cut", ".tar"), want[i].shards);
        assert_int_equal(p.count[3].n, want[i].shards);
        assert_int_equal(p.done, want[i].done);
        assert_int_equal(p.skipped, want[i].skipped);
        assert_int_equal(p.failed, want[i].failed);
    }
    for (int i = 0; i < 9; i++) {
        char a[32], b[32];
        snprintf(a, sizeof a, "whole/%05d.tar", i);
        snprintf(b, sizeof b, "cut/%05d.tar", i);
        expect_same(a, b);
    }
    expect_same("whole/shards.jsonl", "cut/shards.jsonl");
}

/* A file may not grow beyond some size, as if the disk were full in the middle of a shard. */
static void test_no_room(void **state) {
    (void)state;
    struct rlimit was, limit;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &was), 0);
    limit = was;
    limit.rlim_cur = 20000;
    mien_package_options zip = { .data = "ds", .output = "x.zip", .jobs = 2 }, shards = { .data = "ds", .output = "sh", .shards = 1, .shard_items = 25 };
    int before = count_names(".", "");
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    int rc_zip = mien_package(&zip, NULL), rc_shards = mien_package(&shards, NULL);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &was), 0);
    assert_true(rc_zip < 0 && rc_shards < 0);
    assert_int_equal(count_names(".", ""), before + 1);
    assert_int_equal(count_names("sh", ".tar"), 0);
    assert_int_equal(count_names("sh", ".mien-tmp-"), 0);
    assert_int_equal(mien_package(&shards, NULL), 0);
    assert_int_equal(count_names("sh", ".tar"), 3);
}

static void test_removed(void **state) {
    (void)state;
    mien_progress p;
    assert_int_equal(selection_remember("ds", "i03", NULL, NULL), 0);
    assert_int_equal(mien_package(&(mien_package_options){ .data = "ds", .output = "x.zip" }, &p), 0);
    assert_int_equal(p.done, ITEMS - 1);
    assert_string_equal(p.count[2].name, "selected_out");
    assert_int_equal(p.count[2].n, 1);
    assert_int_equal(mien_package(&(mien_package_options){ .data = "ds", .output = "sh", .shards = 1 }, &p), 0);
    assert_int_equal(p.done, ITEMS - 1);
    dataset *d;
    dataset_item item;
    assert_int_equal(dataset_open("sh", &d), 0);
    assert_int_equal(dataset_count(d), ITEMS - 1);
    assert_int_equal(dataset_read(d, 3, &item), 0);
    assert_string_equal(item.id, "i04");
    assert_string_equal(item.target, "i04.png");   /* what the photo is */
    dataset_item_free(&item);
    dataset_close(d);
}

static void test_options(void **state) {
    (void)state;
    const mien_package_options wrong[] = {
        { .output = "x.zip" }, { .data = "ds" }, { .data = "", .output = "x.zip" }, { .data = "ds", .output = "x.zip", .shard_items = 1 },
        { .data = "nowhere", .output = "x.zip" }, { .data = "ds", .output = "nowhere/x.zip" }, { .data = "ds", .output = "ds", .shards = 1 },
        { .data = "ds", .output = "ds/source/x.zip" }, { .data = "ds", .output = "ds" },
    };
    int before = count_names(".", "");
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) assert_int_equal(mien_package(&wrong[i], NULL), MIEN_ERR_USAGE);
    assert_int_equal(count_names(".", ""), before);
    assert_int_equal(mien_package(&(mien_package_options){ .data = "ds", .output = "ds/x.zip" }, NULL), 0);
    assert_int_equal(mien_package(&(mien_package_options){ .data = "ds", .output = "ds/x.zip" }, NULL), MIEN_ERR_EXISTS);
}

int main(void) {
    signal(SIGXFSZ, SIG_IGN);
#define IN_FOLDER(f) cmocka_unit_test_setup_teardown(f, make_root, scratch_leave)
    const struct CMUnitTest tests[] = {
        IN_FOLDER(test_threads), IN_FOLDER(test_stopped), IN_FOLDER(test_no_room), IN_FOLDER(test_removed), IN_FOLDER(test_options),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
