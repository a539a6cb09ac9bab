/* SPDX-License-Identifier: Apache-2.0
 *
 * The list of inputs: what is taken from folders, which names clash, and that nothing but names is kept in memory. */
#define _GNU_SOURCE
#include <fcntl.h>
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
#include "base/inputs.h"
#include "base/name_set.h"
#include "base/part.h"
#include "base/text.h"
#include "scratch.h"

static char failed[4096];

static int make_root(void **state) {
    failed[0] = 0;
    return scratch_enter(state);
}

static void touch(const char *path) {
    char folder[256];
    snprintf(folder, sizeof folder, "%s", path);
    char *slash = strrchr(folder, '/');
    if (slash) *slash = 0, assert_int_equal(folder_make(folder), 0);
    assert_int_equal(file_save(path, "x", 1), 0);
}

static bool wanted(const char *name) { return strlen(name) > 4 && (!strcmp(name + strlen(name) - 4, ".jpg") || !strcmp(name + strlen(name) - 4, ".png")); }

static void note_failed(void *context, const char *path, const char *message) {
    (void)context;
    size_t n = strlen(failed);
    snprintf(failed + n, sizeof failed - n, "%.40s: %s\n", path, message);
}

static inputs *new_list(bool overlay, int part, int parts) {
    static const char *const with[] = { ".png", "_overlay.png", NULL }, *const without[] = { ".png", NULL };
    inputs_options o = { .output = "out", .suffixes = overlay ? with : without, .wanted = wanted, .part = part, .parts = parts, .failed = note_failed };
    inputs *in;
    assert_int_equal(folder_make("out"), 0);
    assert_int_equal(inputs_new(&o, &in), 0);
    return in;
}

static int by_text(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

/* All items as "path>stem[!clash|=clash|+]" in order of the text: "!": writes the same, "=": is an input, "+": again. */
static void expect_items(inputs *in, const char *want) {
    text line[64] = { 0 }, all = { 0 };
    char *sorted[64];
    int n = 0, rc;
    inputs_item *item = malloc(sizeof *item);
    for (; (rc = inputs_next(in, item)) > 0; n++) {
        assert_true(n < 64);
        text_printf(&line[n], "%s>%s", item->path, item->stem);
        if (item->clash[0]) text_printf(&line[n], "%s%s", item->clash_input ? "=" : "!", item->clash);
        text_add(&line[n], item->again ? "+\n" : "\n");
        sorted[n] = line[n].data;
    }
    assert_int_equal(rc, 0);
    qsort(sorted, (size_t)n, sizeof *sorted, by_text);
    text_add(&all, "");
    for (int i = 0; i < n; i++) text_add(&all, sorted[i]);
    assert_string_equal(all.data, want);
    for (int i = 0; i < n; i++) text_free(&line[i]);
    text_free(&all);
    free(item);
    inputs_free(in);
}

static void test_folder(void **state) {
    (void)state;
    const char *files[] = { "in/b.jpg", "in/a.txt", "in/.hidden.jpg", "in/sub/deep/c.tar.png", "in/.git/d.jpg", "in/d.jpg/e.jpg", "elsewhere/f.jpg" };
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) touch(files[i]);
    assert_int_equal(symlink("..", "in/loop"), 0);
    assert_int_equal(symlink("../elsewhere", "in/link.jpg"), 0);
    assert_int_equal(symlink("../elsewhere/f.jpg", "in/linked.jpg"), 0);
    assert_int_equal(symlink("nowhere", "in/dangling.jpg"), 0);
    inputs *in = new_list(false, 0, 0);
    assert_int_equal(inputs_add(in, "in/"), 0);
    assert_int_equal(inputs_count(in), 5);
    expect_items(in, "in/b.jpg>b\nin/d.jpg/e.jpg>d.jpg/e\nin/dangling.jpg>dangling\nin/linked.jpg>linked\nin/sub/deep/c.tar.png>sub/deep/c.tar\n");
    assert_string_equal(failed, "");
}

static void test_output_inside(void **state) {
    (void)state;
    touch("a.jpg"), touch("out/b.jpg"), touch("sub/c.jpg");
    inputs *in = new_list(false, 0, 0);
    assert_int_equal(inputs_add(in, "."), 0);
    expect_items(in, "./a.jpg>a\n./sub/c.jpg>sub/c\n");
    in = new_list(false, 0, 0);
    assert_int_equal(inputs_add(in, "out"), ERR_USAGE);
    inputs_free(in);
}

static void test_own_output(void **state) {
    (void)state;
    touch("out/x.png"), touch("out/y.jpg"), touch("out/sub/z.png");
    assert_int_equal(symlink("out", "alias"), 0);
    const char *refused[] = { "out/x.png", "./out//x.png", "alias/x.png", "out/sub/../x.png" };
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        inputs *in = new_list(false, 0, 0);
        assert_int_equal(inputs_add(in, refused[i]), ERR_USAGE);
        inputs_free(in);
    }
    inputs *in = new_list(false, 0, 0);
    assert_int_equal(inputs_add(in, "out/y.jpg"), 0);
    assert_int_equal(inputs_add(in, "out/sub/z.png"), 0);   /* writes out/z.png */
    expect_items(in, "out/sub/z.png>z\nout/y.jpg>y\n");
}

static void test_clashes(void **state) {
    (void)state;
    const char *files[] = { "a/x.jpg", "b/x.png", "c/y.jpg", "c/y_overlay.jpg", "c/z.jpg", "out/z.png", "a/w.jpg" };
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) touch(files[i]);
    inputs *in = new_list(false, 0, 0);
    for (const char **p = (const char *[]){ "a", "b", "c", "c/../a/w.jpg", NULL }; *p; p++) assert_int_equal(inputs_add(in, *p), 0);
    expect_items(in, "a/w.jpg>w\na/x.jpg>x!b/x.png\nb/x.png>x!a/x.jpg\nc/../a/w.jpg>w+\nc/y.jpg>y\nc/y_overlay.jpg>y_overlay\nc/z.jpg>z\n");
    in = new_list(true, 0, 0);
    assert_int_equal(inputs_add(in, "c"), 0);
    expect_items(in, "c/y.jpg>y!c/y_overlay.jpg\nc/y_overlay.jpg>y_overlay!c/y.jpg\nc/z.jpg>z\n");
}

/* Inputs may lie below the output folder (-o out out/sub): none of them may be written over, whichever comes first. */
static void test_inputs_below_output(void **state) {
    (void)state;
    touch("out/sub/sub/x.jpg"), touch("out/sub/x.png");
    for (int first = 0; first < 2; first++) {
        inputs *in = new_list(false, 0, 0);
        assert_int_equal(inputs_add(in, first ? "out/sub/x.png" : "out/sub/sub"), 0);
        assert_int_equal(inputs_add(in, first ? "out/sub/sub" : "out/sub/x.png"), 0);
        expect_items(in, "out/sub/sub/x.jpg>x!out/sub/x.png\nout/sub/x.png>x!out/sub/sub/x.jpg\n");
    }
    remove("out/sub/x.png");
    touch("out/sub/x.jpg"), touch("out/sub/sub/y.jpg"), touch("out/sub/y.png");
    inputs *in = new_list(false, 0, 0);
    assert_int_equal(inputs_add(in, "out/sub"), 0);   /* sub/y.jpg would write out/sub/y.png */
    expect_items(in, "out/sub/sub/x.jpg>sub/x\nout/sub/sub/y.jpg>sub/y=out/sub/y.png\nout/sub/x.jpg>x\nout/sub/y.png>y\n");
}

static void list_from(inputs *in, const char *bytes, size_t size) {
    assert_int_equal(file_save("list", bytes, size), 0);
    int fd = open("list", O_RDONLY);
    assert_int_equal(inputs_add_list(in, fd), 0);
    close(fd);
}

static void test_lists(void **state) {
    (void)state;
    touch("in/a.jpg"), touch("in/new\nline.jpg");
    inputs *in = new_list(false, 0, 0);
    list_from(in, "in/a.jpg\n\nmissing/x.gif\nlast", 28);
    expect_items(in, "in/a.jpg>a\nlast>last\nmissing/x.gif>x\n");
    in = new_list(false, 0, 0);
    list_from(in, "in/new\nline.jpg\0in/a.jpg", 24);
    expect_items(in, "in/a.jpg>a\nin/new\nline.jpg>new\nline\n");
    in = new_list(false, 0, 0);
    list_from(in, "in", 2);
    expect_items(in, "in/a.jpg>a\nin/new\nline.jpg>new\nline\n");
    in = new_list(false, 0, 0);
    list_from(in, "", 0);
    expect_items(in, "");
    char *big = malloc(20000);
    memset(big, 'x', 20000);
    memcpy(big + 12000, "\nin/a.jpg\n", 10);
    in = new_list(false, 0, 0);
    list_from(in, big, 12010);
    assert_non_null(strstr(failed, "the path is too long"));
    expect_items(in, "in/a.jpg>a\n");
    free(big);
}

static void test_parts(void **state) {
    (void)state;
    char path[64], seen[300] = "";
    for (int i = 0; i < 300; i++) snprintf(path, sizeof path, "in/%d.jpg", i), touch(path);
    inputs_item *item = malloc(sizeof *item);
    for (int part = 1; part <= 3; part++) {
        inputs *in = new_list(false, part, 3);
        assert_int_equal(inputs_add(in, "in"), 0);
        assert_in_range(inputs_count(in), 70, 130);
        uint64_t n = 0;
        for (; inputs_next(in, item) > 0; n++) seen[atoi(item->stem)]++;
        assert_int_equal(n, inputs_count(in));
        inputs_free(in);
    }
    free(item);
    for (int i = 0; i < 300; i++) assert_int_equal(seen[i], 1);
}

/* A stem is the basename's first letter; at the levels above with the folder's letter, and with the whole path. */
static void flatten(void *context, const char *id, int level, char out[INPUTS_NAME]) {
    (void)context;
    const char *slash = strrchr(id, '/'), *name = slash ? slash + 1 : id;
    out[0] = 0;
    if (*name == '-') return;
    if (level == 0) snprintf(out, INPUTS_NAME, "%.*s", (int)strcspn(name, "_."), name);
    else if (level == 1) snprintf(out, INPUTS_NAME, "%.*s-%c", (int)strcspn(name, "_."), name, id[0]);
    else snprintf(out, INPUTS_NAME, "%.*s-%c-%d", (int)strcspn(name, "_."), name, id[0], (int)strlen(id));
}

static inputs *new_flat(bool shallow, int part, int parts) {
    inputs_options o = { .output = "out", .wanted = wanted, .part = part, .parts = parts, .failed = note_failed, .flatten = flatten, .shallow = shallow };
    inputs *in;
    assert_int_equal(folder_make("out"), 0);
    assert_int_equal(inputs_new(&o, &in), 0);
    return in;
}

static void test_flat(void **state) {
    (void)state;
    const char *files[] = { "in/x/a.jpg", "in/y/a.jpg", "in/b.jpg", "in/x/c.jpg", "in/x/c_.jpg", "in/x/sub/d.jpg", "in/y/d.png", "in/z/d-y.jpg", "in/-.jpg", "in/x/-.jpg",
                            "in/x/e.jpg", "in/x/e.png" };
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) touch(files[i]);
    for (int turn = 0; turn < 2; turn++) {
        inputs *in = new_flat(false, 0, 0);
        assert_int_equal(inputs_add(in, "in"), 0);
        /* d-y is the name of z/d-y and of y/d, one level up: both go up once more. x/e.jpg and x/e.png can't be told apart. */
        expect_items(in, "in/-.jpg>\nin/b.jpg>b\nin/x/-.jpg>\nin/x/a.jpg>a-x\nin/x/c.jpg>c-x-7\nin/x/c_.jpg>c-x-8\nin/x/e.jpg>e-x-7!in/x/e.png\n"
                         "in/x/e.png>e-x-7!in/x/e.jpg\nin/x/sub/d.jpg>d-x\nin/y/a.jpg>a-y\nin/y/d.png>d-y-7\nin/z/d-y.jpg>d-y-z\n");
    }
    inputs *in = new_flat(true, 0, 0);
    assert_int_equal(inputs_add(in, "in/x"), 0);
    expect_items(in, "in/x/-.jpg>\nin/x/a.jpg>a\nin/x/c.jpg>c-c-5\nin/x/c_.jpg>c-c-6\nin/x/e.jpg>e-e-5!in/x/e.png\nin/x/e.png>e-e-5!in/x/e.jpg\n");
    uint64_t n = 0;
    for (int part = 1; part <= 3; part++) {   /* names are as without parts */
        in = new_flat(false, part, 3);
        assert_int_equal(inputs_add(in, "in"), 0);
        inputs_item *item = malloc(sizeof *item);
        for (; inputs_next(in, item) > 0; n++)
            if (strcmp(item->id, "y/d.png") == 0) assert_string_equal(item->stem, "d-y-7");
        free(item);
        inputs_free(in);
    }
    assert_int_equal(n, 12);
}

/* The hash must stay what it is: work that was split by one version is finished by another. */
static void test_hash_is_stable(void **state) {
    (void)state;
    assert_true(part_hash("") == 0xefd01f60ba992926u);
    assert_true(part_hash("a.jpg") == 0x57e45b66c4c401a7u);
    assert_true(part_hash("sub/\xc3\xa4.png") == 0x62653b7994d096bbu);
}

static bool same_number(void *context, uint64_t place) { return place == *(uint64_t *)context; }

static void test_name_set(void **state) {
    (void)state;
    name_set set = { 0 };
    uint64_t found;
    for (uint64_t i = 0; i < 200000; i++) {   /* 1 in 4 has the hash of another */
        uint64_t place = i * 16, hash = (i - i % 4 / 3) * 0x9e3779b97f4a7c15u;
        assert_int_equal(name_set_add(&set, hash, place, same_number, &place, &found), 0);
        assert_int_equal(found, place);
    }
    for (uint64_t i = 0; i < 200000; i++) {
        uint64_t place = i * 16, hash = (i - i % 4 / 3) * 0x9e3779b97f4a7c15u;
        assert_int_equal(name_set_add(&set, hash, 16 * 300000, same_number, &place, &found), 0);
        assert_int_equal(found, place);
    }
    assert_int_equal(set.used, 200000);
    assert_true(set.room * sizeof *set.slots <= 17 * set.used);
    name_set_free(&set);
}

int main(void) {
#define IN_FOLDER(f) cmocka_unit_test_setup_teardown(f, make_root, scratch_leave)
    const struct CMUnitTest tests[] = {
        IN_FOLDER(test_folder), IN_FOLDER(test_output_inside), IN_FOLDER(test_own_output), IN_FOLDER(test_clashes),
        IN_FOLDER(test_inputs_below_output), IN_FOLDER(test_lists), IN_FOLDER(test_parts), IN_FOLDER(test_flat),
        cmocka_unit_test(test_hash_is_stable), cmocka_unit_test(test_name_set),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
