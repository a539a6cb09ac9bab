/* SPDX-License-Identifier: Apache-2.0
 *
 * Tar shards: what members are called, the index over several of them, reading, and taking items out. */
#define _GNU_SOURCE
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

#include "base/archive.h"
#include "base/error.h"
#include "base/file.h"
#include "data/dataset.h"
#include "data/shard_name.h"
#include "data/shards.h"
#include "scratch.h"

static int make_root(void **state) {
    return scratch_enter(state) == 0 && mkdir("s", 0777) == 0 ? 0 : -1;
}

/* ---- names ----------------------------------------------------------------------------------------------------------- */

static void test_keys(void **state) {
    (void)state;
    static const struct { const char *id, *key; } pairs[] = {
        { "abc-9_Z", "abc-9_Z" }, { "a.b", "a%2Eb" }, { "100%", "100%25" }, { "%2E", "%252E" }, { "a b(1)", "a%20b%281%29" }, { "\xc3\xa4", "%C3%A4" },
    };
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        text t = { 0 };
        shard_name name;
        shard_key(pairs[i].id, &t);
        assert_string_equal(t.data, pairs[i].key);
        text_add(&t, ".jpg");
        assert_null(shard_name_read(t.data, &name));
        assert_string_equal(name.id, pairs[i].id);
        text_free(&t);
    }
}

static void test_member_names(void **state) {
    (void)state;
    static const struct { const char *member, *id, *ending; shard_part part; } good[] = {
        { "a.jpg", "a", ".jpg", SHARD_PHOTO }, { "d/e/a.JPG", "a", ".jpg", SHARD_PHOTO }, { "a.map.png", "a", ".png", SHARD_MAP },
        { "a.map.jpeg", "a", ".jpeg", SHARD_MAP }, { "a.json", "a", ".json", SHARD_FACES }, { "a.txt", "a", ".txt", SHARD_PROMPT },
        { "a.b.jpg", "a", ".b.jpg", SHARD_PARTS }, { "a.", "a", ".", SHARD_PARTS }, { "a%2e.webp", "a%2e", ".webp", SHARD_PHOTO },
        { "a%2.gif", "a%2", ".gif", SHARD_PHOTO }, { "a.averyveryverylongending.jpg", "a", ".averyveryv", SHARD_PARTS },
    };
    shard_name name;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_null(shard_name_read(good[i].member, &name));
        assert_string_equal(name.id, good[i].id);
        assert_string_equal(name.ending, good[i].ending);
        assert_int_equal(name.part, good[i].part);
    }
    char longest[SHARD_ID_MOST + 6];
    memset(longest, 'x', sizeof longest);
    strcpy(longest + SHARD_ID_MOST, ".jpg");
    assert_null(shard_name_read(longest, &name));
    strcpy(longest + SHARD_ID_MOST, "x.jpg");
    const char *bad[] = { "", "a", ".jpg", "d/.jpg", "d.jpg/", "%2Ea.jpg", "a%2Fb.jpg", "a%00.jpg", "a\x01.jpg", "%2E%2E.jpg", "a%0A.jpg", longest };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) assert_non_null(shard_name_read(bad[i], &name));
}

static void test_json(void **state) {
    (void)state;
    static const char faces[] = "{\"format\":1,\"width\":1,\n\"faces\":[]}\n";
    text t = { 0 };
    assert_int_equal(shard_json_write("a\"b", "{\"url\": \"x\"}", (const uint8_t *)faces, strlen(faces), &t), 0);
    assert_string_equal(t.data, "{\"shard\":1,\"id\":\"a\\\"b\",\"metadata\":{\"url\": \"x\"},\n\"format\":1,\"width\":1,\n\"faces\":[]}\n");
    size_t n = t.size;
    assert_true(shard_json_faces("x", (uint8_t *)t.data, &n));
    assert_int_equal(n, strlen(faces));
    assert_memory_equal(t.data, faces, n);
    text_free(&t);
    assert_int_equal(shard_json_write("a", NULL, NULL, 0, &t), 0);
    assert_string_equal(t.data, "{\"shard\":1,\"id\":\"a\",\"metadata\":{}}\n");
    n = t.size;
    assert_false(shard_json_faces("x", (uint8_t *)t.data, &n));
    text_free(&t);
    assert_int_equal(shard_json_write("a", NULL, (const uint8_t *)"[]", 2, &t), ERR_FORMAT);
    text_free(&t);
    char other[] = "{\"caption\":\"of img2dataset\",\"url\":\"x\"}", bare[] = "{\"width\":1,\"height\":1,\"faces\":[]}";
    n = strlen(other);
    assert_false(shard_json_faces("x", (uint8_t *)other, &n));
    n = strlen(bare);
    assert_true(shard_json_faces("x", (uint8_t *)bare, &n));
    assert_int_equal(n, strlen(bare));
}

/* ---- the index ------------------------------------------------------------------------------------------------------- */

/* Writes a tar: "name=content" each; the last is NULL. */
static void write_tar(const char *path, const char *const *members) {
    archive_writer *a;
    assert_int_equal(archive_create(path, ARCHIVE_TAR, &a), 0);
    for (; *members; members++) {
        char name[300];
        const char *is = strchr(*members, '=');
        snprintf(name, sizeof name, "%.*s", (int)(is - *members), *members);
        assert_int_equal(archive_add(a, name, is + 1, strlen(is + 1)), 0);
    }
    assert_int_equal(archive_finish(a, 1), 0);
}
#define TAR(path, ...) write_tar(path, (const char *const[]){ __VA_ARGS__, NULL })

static char said[8192];
static void note(void *context, const char *shard, const char *message) {
    (void)context;
    snprintf(said + strlen(said), sizeof said - strlen(said), "%s: %s\n", shard, message);
}
static const shards_hooks noting = { .left_out = note };

static shards *open_all(void) {
    shards *s;
    said[0] = 0;
    assert_int_equal(shards_open("s", &noting, &s), 0);
    return s;
}

static void expect_item(const shards *s, uint64_t i, const char *id, const char *source, const char *target, const char *prompt) {
    shard_item item;
    assert_int_equal(shards_read(s, i, &item), 0);
    assert_string_equal(item.id, id);
    assert_string_equal(item.source, source);
    assert_string_equal(item.target, target);
    assert_string_equal(item.prompt, prompt);
    uint64_t found = 99;
    assert_int_equal(shards_find(s, id, &found), 1);
    assert_int_equal(found, i);
    shard_item_free(&item);
}

static void expect_part(const shards *s, uint64_t i, shard_part part, const char *want) {
    uint8_t *data;
    size_t size;
    int rc = shards_load(s, i, part, &data, &size);
    if (!want) {
        assert_int_equal(rc, ERR_IO);
        return;
    }
    assert_int_equal(rc, 0);
    assert_int_equal(size, strlen(want));
    assert_memory_equal(data, want, size);
    free(data);
}

static void test_reading(void **state) {
    (void)state;
    assert_false(shards_are_in("s"));
    assert_int_equal(shards_open("s", NULL, &(shards *){ NULL }), ERR_USAGE);
    assert_int_equal(shards_open("nowhere", NULL, &(shards *){ NULL }), ERR_IO);
    TAR("s/00001.tar", "d.map.jpg=D", "d.webp=W", "e.png=P");
    TAR("s/00000.tar", "a%2Eb.jpg=J", "a%2Eb.map.png=M", "a%2Eb.json={\"shard\":1,\"id\":\"a.b\",\"metadata\":{},\n\"faces\":[]}\n", "a%2Eb.txt=a prompt\n",
        "b.jpg=JJ", "b.json={\"shard\":1,\"id\":\"b\",\"metadata\":{}}\n");
    TAR("s/.hidden.tar", "x.jpg=x");
    assert_int_equal(file_save("s/other.txt", "x", 1), 0);
    assert_true(shards_are_in("s"));
    shards *s = open_all();
    assert_string_equal(said, "");
    assert_int_equal(shards_count(s), 4);
    expect_item(s, 0, "a.b", "a.b.png", "a.b.jpg", "a prompt\n");
    expect_item(s, 1, "b", "b.png", "b.jpg", "");
    expect_item(s, 2, "d", "d.jpg", "d.webp", "");
    expect_item(s, 3, "e", "e.png", "e.png", "");
    expect_part(s, 0, SHARD_PHOTO, "J");
    expect_part(s, 0, SHARD_MAP, "M");
    expect_part(s, 0, SHARD_FACES, "{\"faces\":[]}\n");
    expect_part(s, 1, SHARD_FACES, NULL);
    expect_part(s, 1, SHARD_MAP, NULL);
    expect_part(s, 2, SHARD_MAP, "D");
    expect_part(s, 3, SHARD_PHOTO, "P");
    uint64_t i;
    assert_int_equal(shards_find(s, "zz", &i), 0);
    assert_int_equal(shards_load(s, 4, SHARD_MAP, &(uint8_t *){ NULL }, &(size_t){ 0 }), ERR_USAGE);
    uint64_t print = shards_fingerprint(s);
    shards_close(s);
    s = open_all();
    assert_true(shards_fingerprint(s) == print);
    TAR("s/00001.tar", "d.map.jpg=D", "d.webp=WW", "e.png=P");
    expect_part(s, 2, SHARD_PHOTO, NULL);                /* the shard has changed */
    assert_non_null(strstr(error_message(), "s/00001.tar: has changed since it was opened"));
    expect_part(s, 0, SHARD_PHOTO, "J");
    shards_close(s);
    s = open_all();
    assert_true(shards_fingerprint(s) != print);
    shards_close(s);
}

static void test_left_out(void **state) {
    (void)state;
    TAR("s/0.tar", "a.jpg=1", "a.JPEG=2", "a.cls=7", "README=x", "t.txt=only text", "b.jpg=B", "a.map.png=late", "/c.jpg=C", "d.png=D", "d.txt=prompt");
    TAR("s/1.tar", "b.jpg=again", "x/b.png=and again", "e.jpg=E");
    assert_int_equal(file_save("s/2.tar", "not a tar file at all", 21), 0);
    assert_int_equal(mkdir("s/3.tar", 0777), 0);
    TAR("s/4.tar", "f.jpg=F", "g.jpg=G");
    assert_int_equal(truncate("s/4.tar", 1536), 0);
    shards *s = open_all();
    assert_int_equal(shards_count(s), 5);
    expect_item(s, 0, "a", "a.png", "a.jpg", "");
    expect_item(s, 1, "b", "b.png", "b.jpg", "");
    expect_item(s, 2, "d", "d.png", "d.png", "prompt");
    expect_item(s, 3, "e", "e.png", "e.jpg", "");
    expect_item(s, 4, "f", "f.png", "f.jpg", "");
    expect_part(s, 0, SHARD_PHOTO, "1");
    expect_part(s, 1, SHARD_PHOTO, "B");
    assert_int_equal(shards_left_out(s), 13);
    shards_close(s);
    const char *want[] = {
        "s/0.tar: member a.JPEG: is a second one of its kind\n", "s/0.tar: member README: has no ending\n", "s/0.tar: item t: has neither a photo nor a map\n",
        "s/0.tar: item a: is in 0.tar already\n", "s/0.tar: member /c.jpg: has an absolute name\n", "s/1.tar: member x/b.png: is a second one of its kind\n",
        "s/1.tar: item b: is in 0.tar already\n", "s/2.tar: byte 0: ", "s/3.tar: is not a regular file\n", "s/0.tar: item c: has neither",
        "s/4.tar: member g.jpg: reaches over the end of the file\n", "s/4.tar: item g: has neither",
    };
    for (size_t i = 0; i < sizeof want / sizeof *want; i++)
        if (!strstr(said, want[i])) fail_msg("not said: %sin: %s", want[i], said);
}

/* ---- as a data set ---------------------------------------------------------------------------------------------------- */

static void log_said(void *context, mien_log_kind kind, const char *path, const char *message) {
    assert_int_equal(kind, MIEN_LOG_ITEM_FAILED);
    note(context, path, message);
}

static void test_as_dataset(void **state) {
    (void)state;
    TAR("s/0.tar", "a%2Eb.jpg=J", "a%2Eb.map.png=M", "a%2Eb.txt=a \"\xc3\xa9\"", "b.map.jpg=B", "b.json={\"faces\":[]}", "b.jpg.png=no", "lonely=x");
    said[0] = 0;
    dataset *d;
    assert_int_equal(dataset_open_told("s", &(mien_hooks){ .log = log_said }, &d), 0);
    assert_string_equal(said, "s/0.tar: member lonely: has no ending\n");
    assert_true(dataset_is_shards(d));
    assert_int_equal(dataset_count(d), 2);
    assert_string_equal(dataset_path(d), "s");
    assert_true(dataset_fingerprint(d) == shards_fingerprint(dataset_shards(d)));
    dataset_item item;
    uint8_t *data;
    size_t size;
    assert_int_equal(dataset_read(d, 0, &item), 0);
    assert_int_equal(item.index, 0);
    assert_string_equal(item.id, "a.b");
    assert_string_equal(item.line, "{\"source\": \"source/a.b.png\", \"target\": \"target/a.b.jpg\", \"prompt\": \"a \\\"\\u00e9\\\"\"}");
    assert_false(dataset_part_path(d, &item, DATASET_SOURCE, (char[PATH_MAX]){ 0 }));
    assert_int_equal(dataset_load(d, &item, DATASET_TARGET, &data, &size), 0);
    assert_memory_equal(data, "J", size);
    free(data);
    assert_int_equal(dataset_load(d, &item, DATASET_FACES, &data, &size), ERR_IO);
    dataset_item_free(&item);
    assert_int_equal(dataset_read(d, 1, &item), 0);
    assert_string_equal(item.line, "{\"source\": \"source/b.jpg\", \"target\": \"target/b.jpg\", \"prompt\": \"\"}");
    assert_int_equal(dataset_load(d, &item, DATASET_FACES, &data, &size), 0);
    free(data);
    assert_int_equal(dataset_load(d, &item, DATASET_TARGET, &data, &size), ERR_IO);
    dataset_item_free(&item);
    assert_int_equal(dataset_read(d, 2, &item), ERR_USAGE);
    dataset_close(d);
    assert_int_equal(file_save("s/prompt.jsonl", "", 0), 0);   /* which goes before shards */
    assert_int_equal(dataset_open("s", &d), 0);
    assert_false(dataset_is_shards(d));
    dataset_close(d);
}

/* ---- taking out ------------------------------------------------------------------------------------------------------ */

static int is_in(void *context, const shards *s, uint64_t i, const shard_item *item) {
    (void)s, (void)i;
    return strstr(context, item->id) != NULL;
}

static void test_removing(void **state) {
    (void)state;
    TAR("s/0.tar", "a.jpg=1", "a.map.png=2", "a.cls=3", "b.jpg=4", "c.jpg=5", "c.txt=6", "README=7", "d.jpg=8");
    TAR("s/1.tar", "e.jpg=9", "e.txt=10");
    TAR("s/2.tar", "f.jpg=11", "c.jpg=a second one", "g.jpg=12");
    TAR("s/3.tar", "h.jpg=13");
    struct stat before, after;
    assert_int_equal(stat("s/3.tar", &before), 0);
    uint64_t removed;
    assert_int_equal(shards_remove("s", &(shards_removal){ (char[]){ "a c e" }, is_in, NULL }, &removed), 0);
    assert_int_equal(removed, 3);
    assert_int_equal(stat("s/3.tar", &after), 0);
    assert_int_equal(before.st_ino, after.st_ino);       /* not touched */
    TAR("want0.tar", "b.jpg=4", "README=7", "d.jpg=8");
    TAR("want2.tar", "f.jpg=11", "g.jpg=12");
    static const struct { const char *got, *want; } same[] = { { "s/0.tar", "want0.tar" }, { "s/2.tar", "want2.tar" } };
    for (int i = 0; i < 2; i++) {
        uint8_t *got, *want;
        size_t n, m;
        assert_int_equal(file_load(same[i].got, 1 << 20, &got, &n), 0);
        assert_int_equal(file_load(same[i].want, 1 << 20, &want, &m), 0);
        assert_int_equal(n, m);
        assert_memory_equal(got, want, n);
        free(got);
        free(want);
    }
    shards *s = open_all();
    assert_int_equal(shards_count(s), 5);                /* 1.tar is there, and empty */
    assert_int_equal(shards_left_out(s), 1);
    shards_close(s);
    assert_int_equal(stat("s/1.tar", &after), 0);
    assert_int_equal(shards_remove("s", &(shards_removal){ (char[]){ "zz" }, is_in, NULL }, &removed), 0);
    assert_int_equal(removed, 0);
}

/* What cannot be looked through whole is not cut; other shards are. */
static void test_removing_broken(void **state) {
    (void)state;
    TAR("s/0.tar", "a.jpg=1", "b.jpg=2");
    TAR("s/1.tar", "c.jpg=3", "d.jpg=4");
    assert_int_equal(truncate("s/1.tar", 1536), 0);
    struct stat before, after;
    assert_int_equal(stat("s/1.tar", &before), 0);
    uint64_t removed;
    assert_int_equal(shards_remove("s", &(shards_removal){ (char[]){ "a" }, is_in, NULL }, &removed), 0);
    assert_int_equal(removed, 1);
    assert_true(shards_remove("s", &(shards_removal){ (char[]){ "c" }, is_in, NULL }, &removed) < 0);
    assert_int_equal(stat("s/1.tar", &after), 0);
    assert_int_equal(before.st_ino, after.st_ino);
    shards *s = open_all();
    assert_int_equal(shards_count(s), 2);
    expect_item(s, 0, "b", "b.png", "b.jpg", "");
    expect_item(s, 1, "c", "c.png", "c.jpg", "");
    shards_close(s);
}

int main(void) {
#define IN_FOLDER(f) cmocka_unit_test_setup_teardown(f, make_root, scratch_leave)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keys), cmocka_unit_test(test_member_names), cmocka_unit_test(test_json),
        IN_FOLDER(test_reading), IN_FOLDER(test_left_out), IN_FOLDER(test_as_dataset), IN_FOLDER(test_removing), IN_FOLDER(test_removing_broken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
