/* SPDX-License-Identifier: Apache-2.0
 *
 * A data set's folder and the lines of its prompt.jsonl, kind ones and hostile ones. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sys/stat.h>

#include "base/archive.h"
#include "data/dataset.h"
#include "fixtures.h"
#include "scratch.h"

static void put_file(const char *path, const void *data, size_t size) {
    if (file_save(path, data, size) < 0) fail_msg("%s", error_message());
}

static void put_text(const char *path, const char *s) { put_file(path, s, strlen(s)); }

static dataset *open_or_fail(const char *path) {
    dataset *d;
    if (dataset_open(path, &d) < 0) fail_msg("%s", error_message());
    return d;
}

/* A data set with these bytes as prompt.jsonl, in "set". */
static dataset *set_of(const void *data, size_t size) {
    assert_int_equal(folder_make("set"), 0);
    put_file("set/prompt.jsonl", data, size);
    return open_or_fail("set");
}

static void test_folder(void **state) {
    (void)state;
    char out[PATH_MAX];
    dataset *d = NULL;
    assert_int_equal(folder_make("root/training/laion-face-processed"), 0);
    assert_int_equal(dataset_folder("root", out), 0);
    assert_string_equal(out, "root");                                        /* nothing is there yet */
    assert_int_equal(dataset_open("root", &d), ERR_USAGE);
    assert_non_null(strstr(error_message(), "root: there is no data set"));
    put_text("root/training/laion-face-processed/metadata.json", "{}");     /* enough to download */
    assert_int_equal(dataset_folder("root/", out), 0);
    assert_string_equal(out, "root/training/laion-face-processed");
    put_text("root/training/laion-face-processed/prompt.jsonl", "");
    d = open_or_fail("root//");
    assert_string_equal(dataset_path(d), "root/training/laion-face-processed");
    assert_int_equal(dataset_count(d), 0);
    dataset_close(d);
    put_text("root/prompt.jsonl", "");                                       /* nearer */
    assert_int_equal(dataset_folder("root", out), 0);
    assert_string_equal(out, "root");
    assert_int_equal(dataset_folder("", out), ERR_USAGE);
    assert_int_equal(dataset_folder("not/there", out), 0);
    assert_string_equal(out, "not/there");
    assert_int_equal(dataset_folder("/", out), 0);
    assert_string_equal(out, "/");
    char *longest = calloc(1, PATH_MAX + 2);
    memset(longest, 'x', PATH_MAX);
    assert_int_equal(dataset_folder(longest, out), ERR_IO);
    assert_int_equal(dataset_open(longest, &d), ERR_IO);
    free(longest);
    assert_int_equal(folder_make("fifo"), 0);
    assert_int_equal(mkfifo("fifo/prompt.jsonl", 0600), 0);
    assert_int_equal(dataset_open("fifo", &d), ERR_USAGE);
}

static void expect_item(const dataset *d, uint64_t i, const char *id, const char *source, const char *target, const char *prompt) {
    dataset_item item;
    if (dataset_read(d, i, &item) < 0) fail_msg("item %d: %s", (int)i, error_message());
    assert_int_equal(item.index, i);
    assert_string_equal(item.id, id);
    assert_string_equal(item.source, source);
    assert_string_equal(item.target, target);
    assert_string_equal(item.prompt, prompt);
    dataset_item_free(&item);
    assert_null(item.id);
}

static void test_items(void **state) {
    (void)state;
    static const char lines[] =
        "{\"source\": \"source/1.png\", \"target\": \"target/1.jpg\", \"prompt\": \"a \\u00e9\\\"\"}\r\n"
        "{\"source\":\"2.jpg\",\"target\":\"a.b.jpeg\",\"prompt\":null,\"more\":[1]}\n"
        "{\"target\":\"../../../x/etc\",\"source\":\"/etc/passwd\"}\n"
        "\n"
        "{\"source\":\"s\",\"target\":\".jpg\",\"prompt\":\"\"}";
    dataset *d = set_of(lines, sizeof lines - 1);
    assert_int_equal(dataset_count(d), 5);
    assert_false(dataset_is_shards(d));
    expect_item(d, 4, ".jpg", "s", ".jpg", "");
    expect_item(d, 0, "1", "1.png", "1.jpg", "a \xc3\xa9\"");
    expect_item(d, 1, "a.b", "2.jpg", "a.b.jpeg", "");
    expect_item(d, 2, "etc", "passwd", "etc", "");
    dataset_item item;
    assert_int_equal(dataset_read(d, 3, &item), ERR_FORMAT);
    assert_string_equal(error_message(), "set/prompt.jsonl, line 4: is empty");
    assert_int_equal(dataset_read(d, 5, &item), ERR_USAGE);
    assert_int_equal(dataset_read(d, UINT64_MAX, &item), ERR_USAGE);
    assert_int_equal(dataset_read(d, 1, &item), 0);
    assert_string_equal(item.line, "{\"source\":\"2.jpg\",\"target\":\"a.b.jpeg\",\"prompt\":null,\"more\":[1]}");

    char path[PATH_MAX];
    assert_true(dataset_part_path(d, &item, DATASET_SOURCE, path));
    assert_string_equal(path, "set/source/2.jpg");
    assert_true(dataset_part_path(d, &item, DATASET_TARGET, path));
    assert_string_equal(path, "set/target/a.b.jpeg");
    assert_true(dataset_part_path(d, &item, DATASET_FACES, path));
    assert_string_equal(path, "set/source/2.json");
    uint8_t *data;
    size_t size;
    assert_int_equal(dataset_load(d, &item, DATASET_TARGET, &data, &size), ERR_IO);
    assert_int_equal(folder_make("set/target"), 0);
    put_text("set/target/a.b.jpeg", "photo");
    assert_int_equal(dataset_load(d, &item, DATASET_TARGET, &data, &size), 0);
    assert_int_equal(size, 5);
    assert_memory_equal(data, "photo", 5);
    free(data);
    dataset_item_free(&item);
    dataset_close(d);
    dataset_close(NULL);
}

static void add_member(archive_writer *a, const char *name, const char *s) {
    if (archive_add(a, name, s, strlen(s)) < 0) fail_msg("%s", error_message());
}

static void test_shards(void **state) {
    (void)state;
    archive_writer *a;
    assert_int_equal(folder_make("root/training/laion-face-processed"), 0);
    if (archive_create("root/training/laion-face-processed/00000.tar", ARCHIVE_TAR, &a) < 0) fail_msg("%s", error_message());
    add_member(a, "b%2E1.jpg", "photo");
    add_member(a, "b%2E1.map.jpg", "map");
    add_member(a, "b%2E1.json", "{\"format\":1,\"faces\":[]}");
    add_member(a, "b%2E1.txt", "a \"face\" \xc3\xa9");
    add_member(a, "a.webp", "picture");
    if (archive_finish(a, 0) < 0) fail_msg("%s", error_message());
    dataset *d = open_or_fail("root");
    assert_true(dataset_is_shards(d));
    assert_int_equal(dataset_count(d), 2);
    assert_string_equal(dataset_path(d), "root/training/laion-face-processed");
    expect_item(d, 0, "b.1", "b.1.jpg", "b.1.jpg", "a \"face\" \xc3\xa9");
    expect_item(d, 1, "a", "a.png", "a.webp", "");
    dataset_item item;
    char path[PATH_MAX];
    uint8_t *data;
    size_t size;
    assert_int_equal(dataset_read(d, 2, &item), ERR_USAGE);
    assert_int_equal(dataset_read(d, 1, &item), 0);
    assert_string_equal(item.line, "{\"source\": \"source/a.png\", \"target\": \"target/a.webp\", \"prompt\": \"\"}");
    assert_int_equal(dataset_load(d, &item, DATASET_SOURCE, &data, &size), ERR_IO);
    dataset_item_free(&item);
    assert_int_equal(dataset_read(d, 0, &item), 0);
    assert_string_equal(item.line, "{\"source\": \"source/b.1.jpg\", \"target\": \"target/b.1.jpg\", \"prompt\": \"a \\\"face\\\" \\u00e9\"}");
    assert_false(dataset_part_path(d, &item, DATASET_TARGET, path));
    static const char *const want[] = { "map", "photo", "{\"format\":1,\"faces\":[]}" };
    for (int part = 0; part < 3; part++) {
        assert_int_equal(dataset_load(d, &item, (dataset_part)part, &data, &size), 0);
        assert_int_equal(size, strlen(want[part]));
        assert_memory_equal(data, want[part], size);
        free(data);
    }
    dataset_item_free(&item);
    uint64_t print = dataset_fingerprint(d);
    dataset_close(d);
    put_text("root/training/laion-face-processed/prompt.jsonl", "");   /* goes before them */
    d = open_or_fail("root");
    assert_false(dataset_is_shards(d));
    assert_int_equal(dataset_count(d), 0);
    assert_true(dataset_fingerprint(d) != print);
    dataset_close(d);
}

static void test_hostile_lines(void **state) {
    (void)state;
    char name[400], line[1000];
    static const struct { const char *line, *what; } cases[] = {
        { "nonsense", "line 1, column 8" },
        { "[1]", "an object" },
        { "{\"source\":\"a\"}", "\"target\" is missing" },
        { "{\"target\":\"a\"}", "\"source\" is missing" },
        { "{\"source\":1,\"target\":\"a\"}", "source: a string" },
        { "{\"source\":\"a\",\"target\":null}", "target: a string" },
        { "{\"source\":\"a\",\"target\":\"a\",\"prompt\":[]}", "prompt: a string" },
        { "{\"source\":\"a\",\"target\":\"\"}", "does not name a file" },
        { "{\"source\":\"a/\",\"target\":\"a\"}", "does not name a file" },
        { "{\"source\":\"a/.\",\"target\":\"a\"}", "does not name a file" },
        { "{\"source\":\"a\",\"target\":\"target/..\"}", "does not name a file" },
        { "{\"source\":\"a\",\"target\":\"b\\u0000c\"}", "NUL" },
        { "{\"source\":\"a\",\"target\":\"\xff\"}", "decode byte 0xff" },
        { "{\"source\":\"a\",\"target\":\"\\ud800\"}", "invalid Unicode" },
        { "{\"source\":\"a\",\"target\":\"a\"} x", "end of file" },
        { "{\"source\":\"a\",\"source\":\"b\",\"target\":\"a\"}", "duplicate" },
        { " \t\r", "is empty" },
    };
    dataset_item item;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(dataset_parse("here", cases[i].line, strlen(cases[i].line), &item), ERR_FORMAT);
        if (strncmp(error_message(), "here: ", 6) || !strstr(error_message(), cases[i].what)) fail_msg("%s: %s", cases[i].line, error_message());
    }
    assert_int_equal(dataset_parse("here", "", 0, &item), ERR_FORMAT);
    assert_int_equal(dataset_parse("here", "{\"source\":\"a\0\",\"target\":\"a\"}", 28, &item), ERR_FORMAT);
    memset(name, 'n', sizeof name);
    snprintf(line, sizeof line, "{\"source\":\"%.256s\",\"target\":\"x\"}", name);
    assert_int_equal(dataset_parse("here", line, strlen(line), &item), ERR_FORMAT);
    snprintf(line, sizeof line, "{\"source\":\"%.255s\",\"target\":\"x\"}", name);
    assert_int_equal(dataset_parse("here", line, strlen(line), &item), 0);
    dataset_item_free(&item);
    size_t many = 1 << 20;
    char *deep = malloc(many);
    memset(deep, '[', many);
    assert_int_equal(dataset_parse("here", deep, many, &item), ERR_FORMAT);
    free(deep);
}

/* Lines of very different lengths, so that blocks end everywhere; some are longer than the limit. */
static void test_many_lines(void **state) {
    (void)state;
    enum { N = 3000 };
    text t = { 0 };
    dice r = { 7 };
    char *pad = malloc(DATASET_LINE_MOST + 1000);
    size_t *length = calloc(N, sizeof *length);
    memset(pad, 'p', DATASET_LINE_MOST + 1000);
    for (int i = 0; i < N; i++) {
        size_t n = i % 500 == 77 ? DATASET_LINE_MOST + (i % 1000 == 77) : (size_t)dice_between(&r, 0, i % 7 ? 100 : 5000), begin = t.size;
        text_printf(&t, "{\"source\":\"%d.png\",\"target\":\"%d.jpg\",\"prompt\":\"", i, i);
        if (n >= DATASET_LINE_MOST) n -= t.size - begin + 2;
        text_printf(&t, "%.*s\"}", (int)n, pad);
        length[i] = n;
        if (i < N - 1) text_add(&t, "\n");
    }
    dataset *d = set_of(t.data, t.size);
    assert_int_equal(dataset_count(d), N);
    for (int k = 0; k < 2 * N; k++) {
        int i = k < N ? k : dice_between(&r, 0, N - 1);
        dataset_item item;
        int rc = dataset_read(d, (uint64_t)i, &item);
        if (i % 1000 == 77) {
            assert_int_equal(rc, ERR_FORMAT);
            assert_non_null(strstr(error_message(), "longer than"));
            continue;
        }
        if (rc < 0) fail_msg("%d: %s", i, error_message());
        char name[32];
        snprintf(name, sizeof name, "%d.jpg", i);
        assert_string_equal(item.target, name);
        assert_int_equal(strlen(item.prompt), length[i]);
        dataset_item_free(&item);
    }
    uint64_t print = dataset_fingerprint(d);
    dataset_close(d);
    d = set_of(t.data, t.size);
    assert_true(dataset_fingerprint(d) == print);
    dataset_close(d);
    t.data[t.size / 2] ^= 1;
    d = set_of(t.data, t.size);
    assert_true(dataset_fingerprint(d) != print);
    dataset_close(d);
    text_free(&t);
    free(length);
    free(pad);
}

static void test_changes_while_open(void **state) {
    (void)state;
    static const char line[] = "{\"source\":\"a.png\",\"target\":\"a.jpg\"}\n";
    enum { LENGTH = sizeof line - 1 };
    dataset *d = set_of(line, LENGTH);
    put_text("set/prompt.jsonl", "gone\n");                 /* another file in its place */
    expect_item(d, 0, "a", "a.png", "a.jpg", "");
    dataset_close(d);
    text t = { 0 };
    for (int i = 0; i < 1000; i++) text_add(&t, line);
    d = set_of(t.data, t.size);
    assert_int_equal(truncate("set/prompt.jsonl", 10 * LENGTH + 5), 0);
    expect_item(d, 9, "a", "a.png", "a.jpg", "");
    dataset_item item;
    assert_int_equal(dataset_read(d, 10, &item), ERR_IO);
    assert_non_null(strstr(error_message(), "has changed since"));
    assert_int_equal(dataset_read(d, 999, &item), ERR_IO);
    int fd = open("set/prompt.jsonl", O_WRONLY | O_TRUNC);
    for (int i = 0; i < 2000; i++) assert_int_equal(write(fd, "x", 1), 1);
    close(fd);
    for (uint64_t i = 0; i < 1000; i++) assert_true(dataset_read(d, i, &item) < 0);
    dataset_close(d);
    text_free(&t);
}

static void test_line(void **state) {
    (void)state;
    text t = { 0 };
    dataset_line("1.png", "1.jpg", NULL, &t);
    assert_string_equal(t.data, "{\"source\": \"source/1.png\", \"target\": \"target/1.jpg\", \"prompt\": null}");
    t.size = 0;
    /* json.dumps of the same string in Python */
    dataset_line("a", "b", "\x01\b\t\n\f\r\x1f \"\\/~\x7f\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", &t);
    assert_string_equal(t.data, "{\"source\": \"source/a\", \"target\": \"target/b\", \"prompt\": "
                                "\"\\u0001\\b\\t\\n\\f\\r\\u001f \\\"\\\\/~\\u007f\\u00e9\\u20ac\\ud83d\\ude00\"}");
    t.size = 0;
    dataset_line("a", "b", "\xff|\xc3|\xe2\x82|\xed\xa0\x80|\xc0\x80|\xf4\x90\x80\x80|\xc3", &t);
    assert_string_equal(t.data, "{\"source\": \"source/a\", \"target\": \"target/b\", \"prompt\": \"\\ufffd|\\ufffd|\\ufffd\\ufffd|"
                                "\\ufffd\\ufffd\\ufffd|\\ufffd\\ufffd|\\ufffd\\ufffd\\ufffd\\ufffd|\\ufffd\"}");
    /* What is written is read. */
    t.size = 0;
    dataset_line("a", "b", "\x01 \xf0\x9f\x98\x80\"", &t);
    dataset_item item;
    assert_int_equal(dataset_parse("again", t.data, t.size, &item), 0);
    assert_string_equal(item.prompt, "\x01 \xf0\x9f\x98\x80\"");
    dataset_item_free(&item);
    text_free(&t);
}

static void test_shapes(void **state) {
    (void)state;
    assert_true(dataset_same_shape(512, 512, 512, 512));
    assert_true(dataset_same_shape(1000, 300, 100, 30));
    assert_true(dataset_same_shape(100, 100, 99, 100));
    assert_true(dataset_same_shape(99, 100, 100, 100));
    assert_false(dataset_same_shape(100, 100, 98, 100));
    assert_false(dataset_same_shape(100, 98, 100, 100));
    assert_false(dataset_same_shape(640, 480, 480, 640));
    assert_true(dataset_same_shape(INT_MAX, INT_MAX - 1, 7, 7));
    assert_false(dataset_same_shape(INT_MAX, 1, 1, INT_MAX));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_folder, scratch_enter, scratch_leave),        cmocka_unit_test_setup_teardown(test_items, scratch_enter, scratch_leave),
        cmocka_unit_test_setup_teardown(test_shards, scratch_enter, scratch_leave), cmocka_unit_test(test_hostile_lines),                              cmocka_unit_test_setup_teardown(test_many_lines, scratch_enter, scratch_leave),
        cmocka_unit_test_setup_teardown(test_changes_while_open, scratch_enter, scratch_leave), cmocka_unit_test(test_line), cmocka_unit_test(test_shapes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
