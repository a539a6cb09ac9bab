/* SPDX-License-Identifier: Apache-2.0
 *
 * Parts of the job build: ids, sidecars, lines of its journal, and what prompt.jsonl becomes of journals, whichever wrote
 * what. The job itself: tests/cli/build.sh. */
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

#include "base/error.h"
#include "base/file.h"
#include "base/hash.h"
#include "data/build.h"
#include "data/build_item.h"
#include "data/build_sidecar.h"
#include "image/image.h"
#include "scratch.h"

/* ---- ids ----------------------------------------------------------------------------------------------------------- */

static void expect_id(const char *path, int level, bool in_place, const char *want) {
    char id[INPUTS_NAME];
    build_id(path, level, in_place, id);
    assert_string_equal(id, want);
}

static void test_ids(void **state) {
    (void)state;
    expect_id("a.jpg", 0, false, "a");
    expect_id("sub/a.b-c_D.jpeg", 0, false, "a.b-c_D");
    expect_id("sub/two words.jpg", 0, false, "two_words");
    expect_id("\xc3\xa9\xe6\x97\xa5\xff\x01.jpg", 0, false, "____");
    expect_id("...jpg", 0, false, "_.");
    expect_id("x", 0, false, "x");
    expect_id("x/a.jpg", 1, false, "a-9734e212");
    expect_id("x/a.jpg", 2, false, "a-9734e2128262dc1d");
    expect_id("a b.jpg", 0, true, "");
    expect_id("a-b.jpg", 0, true, "a-b");
    char path[300], id[INPUTS_NAME];
    memset(path, 'x', 210);
    strcpy(path + 210, ".jpg");
    build_id(path, 0, false, id);
    assert_int_equal(strlen(id), 180);
    build_id(path, 1, false, id);
    assert_int_equal(strlen(id), 189);
    build_id(path, 0, true, id);
    assert_string_equal(id, "");
    build_id(path + 10, 0, true, id);
    assert_int_equal(strlen(id), 200);
    assert_true(list_id_fits(id));
}

static void test_paths(void **state) {
    (void)state;
    const char *const paths[][2] = {
        { "a/b c.jpg", "a/b c.jpg" }, { "\xc3\xa9", "\xc3\xa9" }, { "100%\n\x7f", "100%25%0A%7F" }, { "\xff\xc3", "%FF%C3" }, { "\xef\xbf\xbd", "\xef\xbf\xbd" },
        { "\xc2\x85", "%C2%85" }, { "\xed\xa0\x80", "%ED%A0%80" }, { "\"\\", "\"\\" },
    };
    char back[64];
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        text t = { 0 };
        build_path_escape(paths[i][0], &t);
        assert_string_equal(t.data, paths[i][1]);
        assert_true(build_path_unescape(t.data, back, sizeof back));
        assert_string_equal(back, paths[i][0]);
        text_free(&t);
    }
    const char *const wrong[] = { "%", "%4", "%zz", "%00", "%0" };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) assert_false(build_path_unescape(wrong[i], back, sizeof back));
    assert_true(build_path_unescape("abc", back, 4));
    assert_false(build_path_unescape("abcd", back, 4));
}

/* ---- sidecars -------------------------------------------------------------------------------------------------------- */

static void expect_sidecar(const char *json, int rc, const char *caption, bool safe) {
    sidecar s;
    int got = sidecar_parse("x.json", (const uint8_t *)json, strlen(json), &s);
    if (got != rc) print_message("%s: %s\n", json, error_message());
    assert_int_equal(got, rc);
    if (rc == 0) {
        if (caption) assert_string_equal(s.caption, caption);
        else assert_null(s.caption);
        assert_int_equal(sidecar_safe(&s, 0.1), safe);
    }
    sidecar_free(&s);
}

static void test_sidecars(void **state) {
    (void)state;
    expect_sidecar("{}", 0, NULL, true);
    expect_sidecar("{\"caption\": \"a\\u00e9\", \"x\": [1]}", 0, "a\xc3\xa9", true);
    expect_sidecar("{\"caption\": null, \"NSFW\": null, \"punsafe\": null, \"url\": 5}", 0, NULL, true);
    expect_sidecar("{\"NSFW\": \"UNLIKELY\"}", 0, NULL, true);
    expect_sidecar("{\"NSFW\": \"uNlikely\", \"punsafe\": 0.1}", 0, NULL, true);
    expect_sidecar("{\"NSFW\": \"\"}", 0, NULL, false);
    expect_sidecar("{\"NSFW\": \"UNLIKELY\", \"nsfw\": \"LIKELY\"}", 0, NULL, false);
    expect_sidecar("{\"nsfw\": \"UNLIKELY\", \"NSFW\": \"LIKELY\"}", 0, NULL, false);
    expect_sidecar("{\"NSFW\": \"UNLIKELY\", \"punsafe\": 0.11}", 0, NULL, false);
    expect_sidecar("{\"NSFW\": 0}", 0, NULL, true);
    expect_sidecar("{\"NSFW\": 0.5, \"punsafe\": 0}", 0, NULL, false);
    expect_sidecar("{\"NSFW\": false}", 0, NULL, false);
    expect_sidecar("{\"NSFW\": {}}", 0, NULL, false);
    expect_sidecar("{\"NSFW\": 2}", 0, NULL, false);
    expect_sidecar("{\"Nsfw\": \"NSFW\"}", 0, NULL, false);
    expect_sidecar("{\"Nsfw\": \"unlikely\", \"nSFW\": \"LIKELY\"}", 0, NULL, false);
    expect_sidecar("{\"unsafe\": 0.9}", 0, NULL, false);
    expect_sidecar("{\"PUnsafe\": 0.9, \"Unsafe\": 0}", 0, NULL, false);
    expect_sidecar("{\"Unsafe\": 0.1, \"unsafely\": 1}", 0, NULL, true);
    expect_sidecar("\xef\xbb\xbf{\"caption\": \"x\", \"nsfw\": \"LIKELY\"}", 0, "x", false);
    expect_sidecar("\xef\xbb\xbf", ERR_FORMAT, NULL, false);
    expect_sidecar("{\"caption\": [\"x\"]}", ERR_FORMAT, NULL, false);
    expect_sidecar("{\"caption\": \"x\"", ERR_FORMAT, NULL, false);
    expect_sidecar("[1]", ERR_FORMAT, NULL, false);
    expect_sidecar("", ERR_FORMAT, NULL, false);
}

static void expect_text(const char *bytes, size_t size, const char *want) {
    sidecar s = SIDECAR_NONE;
    assert_int_equal(sidecar_parse_caption("x.txt", (const uint8_t *)bytes, size, &s), 0);
    assert_true(s.has_caption);
    assert_string_equal(s.caption, want);
    sidecar_free(&s);
}
#define EXPECT_TEXT(bytes, want) expect_text(bytes, sizeof bytes - 1, want)

static void test_texts(void **state) {
    (void)state;
    EXPECT_TEXT("", "");
    EXPECT_TEXT("  a caption \n", "a caption");
    EXPECT_TEXT("\xef\xbb\xbf" "a\n b\r\nc\rd\n\ne", "a b c d");
    EXPECT_TEXT("\n\n a\n \t \nb", "a");
    EXPECT_TEXT("caf\xe9", "caf\xef\xbf\xbd");
    sidecar s = SIDECAR_NONE;
    assert_int_equal(sidecar_parse_caption("x.txt", (const uint8_t *)"a\0b", 3, &s), ERR_FORMAT);
    char *large = malloc(CAPTION_MOST + 2);
    memset(large, 'x', CAPTION_MOST + 2);
    assert_int_equal(sidecar_parse_caption("x.txt", (const uint8_t *)large, CAPTION_MOST, &s), 0);
    assert_int_equal(sidecar_parse_caption("x.txt", (const uint8_t *)large, CAPTION_MOST + 1, &s), ERR_LIMIT);
    free(large);
    sidecar_free(&s);
}

/* ---- lines ----------------------------------------------------------------------------------------------------------- */

static void test_records(void **state) {
    (void)state;
    build_record full = {
        .photo = "sub/a%25.jpg", .run = 3, .outcome = BUILD_KEPT, .id = "a", .in_place = true, .size = 5, .mtime = -1, .sha256 = "s", .settings = "0123", .width = 4, .height = 3,
        .faces = 2, .source = "a.jpg", .target = "a.jpg", .landmarks = "l", .map = "m", .prompt = "\"\n\xc3\xa9", .url = "http://x", .nsfw = "UNLIKELY", .unsafe = 0.25,
    };
    build_record few = { .photo = "b", .run = 1, .outcome = BUILD_SMALL_FACES, .unsafe = -1 };
    for (int i = 0; i < 2; i++) {
        text line = { 0 }, again = { 0 };
        json *doc;
        build_record r;
        build_record_write(i ? &few : &full, &line);
        assert_int_equal(build_line_parse(line.data, line.size, &doc, &r), 0);
        build_record_write(&r, &again);
        assert_string_equal(again.data, line.data);
        json_free(doc);
        text_free(&line);
        text_free(&again);
    }
    const char *const wrong[] = {
        "{}", "[]", "{\"photo\":\"a\"}", "{\"photo\":\"a\",\"outcome\":\"good\"}", "{\"photo\":5,\"outcome\":\"nsfw\"}", "{\"photo\":\"a\",\"outcome\":\"kept\"}",
        "{\"photo\":\"a\",\"outcome\":\"nsfw\",\"id\":\"../a\"}", "{\"photo\":\"a\",\"outcome\":\"nsfw\",\"target\":\"../a\"}", "{\"photo\":\"a\",\"outcome\":\"nsfw\",\"source\":\".a\"}",
        "{\"photo\":\"a\",\"outcome\":\"nsfw\",\"run\":-1}", "{\"run\":1,\"wrote\":\"prompt.jsonl\",\"sha256\":\"x\"}",
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        json *doc;
        build_record r;
        assert_int_equal(build_line_parse(wrong[i], strlen(wrong[i]), &doc, &r), ERR_FORMAT);
    }
}

/* ---- the end ---------------------------------------------------------------------------------------------------------- */

static void save(const char *path, const char *s) { assert_int_equal(file_save(path, s, strlen(s)), 0); }

static void test_sidecar_endings(void **state) {
    (void)state;
    char folder[] = "/tmp/test_build-XXXXXX", path[64], photo[64];
    static const char *const json[] = { "a.JSON", "b.json" }, *const texts[] = { "a.TXT", "b.txt" };
    assert_non_null(mkdtemp(folder));
    for (int i = 0; i < 2; i++) {
        sidecar s;
        snprintf(photo, sizeof photo, "%s/%c.jpg", folder, "ab"[i]);
        snprintf(path, sizeof path, "%s/%s", folder, json[i]);
        save(path, "{\"NSFW\": \"LIKELY\"}");
        snprintf(path, sizeof path, "%s/%s", folder, texts[i]);
        save(path, "text");
        assert_int_equal(sidecar_load(photo, &s), 0);
        assert_false(sidecar_safe(&s, 1));
        assert_non_null(s.caption);
        assert_string_equal(s.caption, "text");
        sidecar_free(&s);
        unlink(path);
        snprintf(path, sizeof path, "%s/%s", folder, json[i]);
        unlink(path);
    }
    rmdir(folder);
}

static void expect_file(const char *path, const char *want) {
    uint8_t *data;
    size_t size;
    assert_int_equal(file_load(path, 1 << 20, &data, &size), 0);
    data = realloc(data, size + 1);
    data[size] = 0;
    assert_string_equal((char *)data, want);
    free(data);
}

static void hash_of(const char *s, char out[65]) {
    uint8_t digest[32];
    sha256(s, strlen(s), digest);
    sha256_hex(digest, out);
}

/* A line of a photo that is kept, with these files made as it says. */
static void add_kept(text *t, const char *photo, const char *id, int run, const char *prompt, bool make) {
    char hash[65], path[128];
    hash_of(id, hash);
    text_printf(t, "{\"photo\":\"%s\",\"run\":%d,\"outcome\":\"kept\",\"id\":\"%s\",\"sha256\":\"%s\",\"settings\":\"x\",\"source\":\"%s.jpg\",\"target\":\"%s.jpg\",\"landmarks\":\"%s\","
                "\"map\":\"%s\",\"url\":\"http://x/y\",\"prompt\":%s}\n", photo, run, id, hash, id, id, hash, hash, prompt);
    const char *const files[] = { "d/source/%s.jpg", "d/source/%s.json", "d/target/%s.jpg" };
    for (int i = 0; make && i < 3; i++) {
        snprintf(path, sizeof path, files[i], id);
        save(path, id);
    }
}

static void test_finish(void **state) {
    (void)state;
    build_finished done;
    assert_int_equal(folder_make("d/source"), 0);
    assert_int_equal(folder_make("d/target"), 0);
    assert_int_equal(build_finish("d", NULL, &done), 0);
    assert_false(done.any);
    assert_int_equal(access("d/prompt.jsonl", F_OK), -1);
    /* The merged journal's lines are read first, and yet later: z was kept by run 2, b left out by it, y gone. */
    text a = { 0 }, b = { 0 };
    text_add(&a, "{\"format\":1,\"kind\":\"build\"}\n");
    text_add(&b, a.data);
    add_kept(&a, "z/1.jpg", "one", 2, "\"new\"", true);
    add_kept(&a, "a/1.jpg", "two", 2, "null", true);
    text_add(&a, "{\"photo\":\"b.jpg\",\"run\":2,\"outcome\":\"nsfw\"}\n{\"photo\":\"y.jpg\",\"run\":2,\"outcome\":\"gone\"}\n{\"run\":2,\"settings\":\"x\"}\n");
    add_kept(&b, "z/1.jpg", "one", 1, "\"old\"", false);
    add_kept(&b, "a/1.jpg", "before", 1, "\"old\"", true);
    add_kept(&b, "b.jpg", "b", 1, "\"old\"", true);
    add_kept(&b, "y.jpg", "y", 1, "\"old\"", true);
    add_kept(&b, "a-b.jpg", "three", 1, "\"\\u00e9\"", true);
    save("d/build.jsonl", a.data);
    save("d/build.1-of-1.jsonl", b.data);
    save("d/source/b.json", "edited");
    assert_int_equal(build_finish("d", NULL, &done), 0);
    assert_true(done.any);
    assert_int_equal(done.lines, 3);
    expect_file("d/prompt.jsonl", "{\"source\": \"source/three.jpg\", \"target\": \"target/three.jpg\", \"prompt\": \"\\u00e9\"}\n"
                                  "{\"source\": \"source/two.jpg\", \"target\": \"target/two.jpg\", \"prompt\": null}\n"
                                  "{\"source\": \"source/one.jpg\", \"target\": \"target/one.jpg\", \"prompt\": \"new\"}\n");
    const char *const stay[] = { "one", "two", "three" }, *const go[] = { "source/before.jpg", "source/before.json", "target/before.jpg", "source/b.jpg", "target/b.jpg", "source/y.jpg", "source/y.json" };
    char path[64];
    for (int i = 0; i < 9; i++) {
        snprintf(path, sizeof path, i / 3 == 0 ? "d/source/%s.jpg" : i / 3 == 1 ? "d/source/%s.json" : "d/target/%s.jpg", stay[i % 3]);
        assert_int_equal(access(path, F_OK), 0);
    }
    for (int i = 0; i < 7; i++) {
        snprintf(path, sizeof path, "d/%s", go[i]);
        assert_int_equal(access(path, F_OK), -1);
    }
    assert_int_equal(done.removed, 7);
    expect_file("d/source/b.json", "edited");   /* no longer ours */
    expect_file("d/target/y.jpg", "y");         /* maybe the last of its photo */
    struct stat first, second;
    assert_int_equal(stat("d/prompt.jsonl", &first), 0);
    assert_int_equal(build_finish("d", NULL, &done), 0);   /* again: nothing to write, nothing to remove */
    assert_int_equal(stat("d/prompt.jsonl", &second), 0);
    assert_true(first.st_ino == second.st_ino && done.removed == 0 && done.lines == 3);
    assert_int_equal(unlink("d/prompt.jsonl"), 0);
    assert_int_equal(build_finish("d", NULL, NULL), 0);
    assert_int_equal(access("d/prompt.jsonl", F_OK), 0);
    save("d/prompt.jsonl", "mine");
    assert_int_equal(build_finish("d", NULL, NULL), ERR_USAGE);
    expect_file("d/prompt.jsonl", "mine");
    text_free(&a);
    text_free(&b);
}

/* Two processes did the same photo in runs of one number: that one failed does not matter, whichever is read first. */
static void test_side_by_side(void **state) {
    (void)state;
    build_finished done;
    text kept = { 0 }, failed = { 0 };
    assert_int_equal(folder_make("d/source"), 0);
    assert_int_equal(folder_make("d/target"), 0);
    text_add(&kept, "{\"format\":1,\"kind\":\"build\"}\n");
    text_printf(&failed, "%s{\"photo\":\"a.jpg\",\"run\":1,\"outcome\":\"not_written\",\"why\":\"x\"}\n", kept.data);
    add_kept(&kept, "a.jpg", "one", 1, "null", true);
    for (int turn = 0; turn < 2; turn++) {
        save(turn ? "d/build.1-of-2.jsonl" : "d/build.1-of-3.jsonl", kept.data);
        save(turn ? "d/build.1-of-3.jsonl" : "d/build.1-of-2.jsonl", failed.data);
        assert_int_equal(build_finish("d", NULL, &done), 0);
        assert_int_equal(done.lines, 1);
        build_state *s;
        text line = { 0 };
        assert_int_equal(build_state_load("d", &s), 0);
        assert_int_equal(build_state_find(s, "a.jpg", &line), 1);
        assert_non_null(strstr(line.data, "kept"));
        assert_int_equal(build_state_find(s, "b.jpg", &line), 0);
        build_state_free(s);
        text_free(&line);
    }
    text_free(&kept);
    text_free(&failed);
}

/* metadata.json is written unless it is somebody else's, and reads back as a list. */
static void test_metadata(void **state) {
    (void)state;
    text a = { 0 };
    assert_int_equal(folder_make("d/source"), 0);
    assert_int_equal(folder_make("d/target"), 0);
    text_add(&a, "{\"format\":1,\"kind\":\"build\"}\n");
    add_kept(&a, "a.jpg", "one", 1, "\"caption\"", true);
    add_kept(&a, "b.jpg", "two", 1, "null", true);
    save("d/build.jsonl", a.data);
    assert_int_equal(build_finish("d", NULL, NULL), 0);
    list_table *t;
    list_item item;
    assert_int_equal(list_table_open("d/metadata.json", "d", false, NULL, &t), 0);
    assert_int_equal(list_table_count(t), 2);
    assert_int_equal(list_table_find(t, "one", &item), 1);
    assert_string_equal(item.caption, "caption");
    list_table_close(t);
    save("d/metadata.json", "{}");
    assert_int_equal(build_finish("d", NULL, NULL), 0);
    expect_file("d/metadata.json", "{}");
    text_free(&a);
}

static void test_refusals(void **state) {
    (void)state;
    mien_build_options o = mien_build_defaults();
    assert_int_equal(mien_build(NULL, &o, NULL), MIEN_ERR_USAGE);
    o.photos = "in", o.data = "out", o.part = 3, o.parts = 2;
    assert_int_equal(mien_build(NULL, &o, NULL), MIEN_ERR_USAGE);
    o.parts = 0, o.max_unsafe = 1.5;
    assert_int_equal(mien_build(NULL, &o, NULL), MIEN_ERR_USAGE);
    o.max_unsafe = 0.1, o.faces.max_faces = 101;
    assert_int_equal(mien_build(NULL, &o, NULL), MIEN_ERR_USAGE);
    o.faces.max_faces = 5, o.max_size = 0;
    assert_int_equal(mien_build(NULL, &o, NULL), MIEN_ERR_USAGE);
    assert_int_equal(access("out", F_OK), -1);
}

int main(void) {
#define IN_FOLDER(f) cmocka_unit_test_setup_teardown(f, scratch_enter, scratch_leave)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ids), cmocka_unit_test(test_paths), cmocka_unit_test(test_sidecars), cmocka_unit_test(test_sidecar_endings), cmocka_unit_test(test_texts), cmocka_unit_test(test_records),
        IN_FOLDER(test_finish), IN_FOLDER(test_side_by_side), IN_FOLDER(test_metadata), IN_FOLDER(test_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
