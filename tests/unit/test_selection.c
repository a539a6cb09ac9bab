/* SPDX-License-Identifier: Apache-2.0
 *
 * Selections: what a line may be, what it matches, and that what was removed stays removed. */
#define _GNU_SOURCE
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/error.h"
#include "base/file.h"
#include "base/text.h"
#include "data/selection.h"
#include "scratch.h"

static void put(const char *path, const char *content) { assert_int_equal(file_save(path, content, strlen(content)), 0); }

static selection *new_selection(const char *only, const char *exclude) {
    selection *s = NULL;
    if (only) put("only", only);
    if (exclude) put("exclude", exclude);
    int rc = selection_new(only ? "only" : NULL, exclude ? "exclude" : NULL, ".", &s);
    if (rc < 0) print_error("%s\n", error_message());
    assert_int_equal(rc, 0);
    return s;
}

static const char sha[] = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
static const char SHA[] = "0123456789ABCDEF0123456789abcdef0123456789abcdef0123456789abcdef";

static void test_nothing(void **state) {
    (void)state;
    selection *s = new_selection(NULL, NULL);
    assert_int_equal(selection_asks(s, "a", "http://x", sha), SELECTED);
    assert_int_equal(selection_asks(s, NULL, NULL, NULL), SELECTED);
    assert_false(selection_needs_url(s) || selection_needs_sha256(s));
    selection_free(s);
    selection_free(NULL);
    assert_int_equal(selection_new(NULL, NULL, NULL, &s), 0);
    assert_int_equal(selection_asks(s, "a", NULL, NULL), SELECTED);
    selection_free(s);
}

static void test_exclude(void **state) {
    (void)state;
    selection *s = new_selection(NULL, "\xef\xbb\xbf# remarks\n\n 000123 \r\nhttp://One.example/A.jpg\n*.Example.COM.\nsub.test.org\n10.0.0.1\n0123456789ABCDEF0123456789abcdef0123456789abcdef0123456789abcdef");
    assert_true(selection_needs_url(s) && selection_needs_sha256(s));
    static const struct { const char *id, *url, *sha256; selection_answer answer; } asks[] = {
        { "000123", NULL, NULL, EXCLUDED }, { "000124", NULL, NULL, SELECTED }, { "00012", NULL, NULL, SELECTED }, { "example.com", NULL, NULL, SELECTED },
        { "a", "http://One.example/A.jpg", NULL, EXCLUDED }, { "a", "http://one.example/A.jpg", NULL, SELECTED }, { "a", "http://One.example/A.jpg?x", NULL, SELECTED },
        { "a", "http://example.com", NULL, EXCLUDED }, { "a", "https://EXAMPLE.com:8443/x", NULL, EXCLUDED }, { "a", "http://a.b.example.com./?q", NULL, EXCLUDED },
        { "a", "http://caf\xc3\xa9.example.com/", NULL, EXCLUDED }, { "a", "http://notexample.com/", NULL, SELECTED }, { "a", "http://example.com.evil.org/", NULL, SELECTED }, { "a", "http://x/example.com", NULL, SELECTED },
        { "a", "http://user:pw@example.com/x", NULL, EXCLUDED }, { "a", "http://example.com@x.org/", NULL, SELECTED }, { "a", "ftp://example.com/x", NULL, EXCLUDED },
        { "a", "http://test.org/", NULL, SELECTED }, { "a", "http://sub.test.org/", NULL, EXCLUDED }, { "a", "http://10.0.0.1/x", NULL, EXCLUDED }, { "a", "http://110.0.0.1/x", NULL, SELECTED },
        { "a", NULL, sha, EXCLUDED }, { "a", NULL, SHA, EXCLUDED }, { "a", "nonsense", "nonsense", SELECTED },
        { "a", "://", NULL, SELECTED }, { "a", "http://", NULL, SELECTED }, { "a", "http://../", NULL, SELECTED }, { "a", "http://[::1]/", NULL, SELECTED },
    };
    for (size_t i = 0; i < sizeof asks / sizeof *asks; i++) {
        selection_answer a = selection_asks(s, asks[i].id, asks[i].url, asks[i].sha256);
        if (a != asks[i].answer) print_error("%s %s: %s\n", asks[i].id, asks[i].url ? asks[i].url : "-", selection_word(a));
        assert_int_equal(a, asks[i].answer);
    }
    selection_free(s);
}

static void test_only(void **state) {
    (void)state;
    selection *s = new_selection("a\nexample.com\n", "b.example.com\nid2\n");
    assert_int_equal(selection_asks(s, "a", NULL, NULL), SELECTED);
    assert_int_equal(selection_asks(s, "b", NULL, NULL), NOT_ONLY);
    assert_int_equal(selection_asks(s, "example.com", NULL, NULL), SELECTED);   /* as an id */
    assert_int_equal(selection_asks(s, "b", "http://x.example.com/", NULL), SELECTED);
    assert_int_equal(selection_asks(s, "a", "http://b.example.com/", NULL), EXCLUDED);
    assert_int_equal(selection_asks(s, "id2", "http://x.example.com/", NULL), EXCLUDED);
    selection_free(s);
    s = new_selection("# nothing\n", NULL);
    assert_int_equal(selection_asks(s, "a", "http://x", sha), NOT_ONLY);
    selection_free(s);
    assert_string_equal(selection_word(NOT_ONLY), "not in --only");
}

/* What sha256sum prints. A URL may have blanks. */
static void test_words(void **state) {
    (void)state;
    char list[256];
    snprintf(list, sizeof list, "%s  my photo.jpg\nhttp://x/a b.jpg\n\\%064d *line\\nend.jpg\n", sha, 7);
    selection *s = new_selection(NULL, list);
    assert_int_equal(selection_asks(s, "a", NULL, sha), EXCLUDED);
    assert_int_equal(selection_asks(s, "my", NULL, NULL), SELECTED);
    assert_int_equal(selection_asks(s, "a", "http://x/a b.jpg", NULL), EXCLUDED);
    assert_int_equal(selection_asks(s, "a", "http://x/a", NULL), SELECTED);
    snprintf(list, sizeof list, "%064d", 7);
    assert_int_equal(selection_asks(s, "a", NULL, list), EXCLUDED);
    selection_free(s);
}

/* A sentence must not select its first word. */
static void test_sentences(void **state) {
    (void)state;
    static const char *const lines[] = { "not a list, but a sentence", "anna-1\tasked on Monday", "anna-1 # asked", "a http://x/b.jpg", "example.com example.org", "\xc3\xa9 b", "0123 my photo.jpg" };
    selection *s;
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        char list[96];
        snprintf(list, sizeof list, "# two words\nok \n  %s\n", lines[i]);
        put("list", list);
        assert_int_equal(selection_new("list", NULL, NULL, &s), ERR_USAGE);
        assert_non_null(strstr(error_message(), "list: line 3: has more than one word"));
        assert_int_equal(selection_new(NULL, "list", NULL, &s), ERR_USAGE);
    }
}

static void note_unused(void *context, const char *list, const char *line) {
    text_printf(context, "%s:%s ", list, line);
}

static void expect_unused(const selection *s, const selection *other, const char *want) {
    text all = { 0 };
    text_add(&all, "");
    assert_int_equal(selection_each_unused(s, other, note_unused, &all), 0);
    assert_string_equal(all.size ? all.data : "", want);
    text_free(&all);
}

static void test_unused(void **state) {
    (void)state;
    char list[256];
    snprintf(list, sizeof list, "a\nexample.com\nhttp://x/b\n%s\ntypo-id\na\n", sha);
    selection *s = new_selection("b\nc\n", list), *other;
    assert_int_equal(selection_new(NULL, "exclude", NULL, &other), 0);
    expect_unused(s, NULL, "only:b only:c exclude:a exclude:example.com exclude:http://x/b exclude:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef exclude:typo-id exclude:a ");
    selection_asks(s, "a", "http://www.example.com/", sha);   /* three lines at once */
    selection_asks(s, "c", NULL, NULL);
    expect_unused(s, NULL, "only:b exclude:http://x/b exclude:typo-id ");
    selection_asks(other, NULL, "http://x/b", NULL);
    expect_unused(s, other, "only:b exclude:typo-id ");
    selection_free(s);
    /* What was removed before is no typing error. */
    assert_int_equal(selection_remember(".", "typo-id", NULL, NULL), 0);
    assert_int_equal(selection_new(NULL, "exclude", ".", &s), 0);
    expect_unused(s, other, "exclude:a exclude:example.com exclude:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef exclude:a ");
    selection_free(s);
    selection_free(other);
}

static void test_removed_later(void **state) {
    (void)state;
    selection *s = new_selection(NULL, "a\n"), *other = new_selection(NULL, NULL);
    assert_int_equal(selection_removed_later(s, SHA), 0);
    assert_int_equal(selection_asks(s, "b", NULL, sha), SELECTED);
    assert_int_equal(selection_count_in(s), 0);
    assert_int_equal(selection_asks(s, "b", NULL, sha), REMOVED);
    assert_int_equal(selection_asks(other, "b", NULL, sha), SELECTED);
    assert_int_equal(selection_share(s, other), 0);
    assert_int_equal(selection_asks(other, "b", NULL, sha), REMOVED);
    assert_int_equal(selection_asks(other, "a", NULL, NULL), SELECTED);
    selection_free(s);
    selection_free(other);
}

/* A line that is nothing must not be taken for obeyed. */
static void test_refused(void **state) {
    (void)state;
    static const char *const lines[] = { "caf\xc3\xa9", "caf\xc3\xa9.example", "/etc/passwd", ".", "..", "example.com/path", "{\"id\":1}", "a,b" };
    selection *s;
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        char list[64];
        snprintf(list, sizeof list, "ok\n%s\n", lines[i]);
        put("list", list);
        assert_int_equal(selection_new("list", NULL, NULL, &s), ERR_USAGE);
        assert_non_null(strstr(error_message(), "list: line 2: is no id, URL, domain or SHA-256"));
        assert_int_equal(selection_new(NULL, "list", NULL, &s), ERR_USAGE);
    }
    assert_int_equal(selection_new("nowhere", NULL, NULL, &s), ERR_USAGE);
    put("removed.jsonl", "{\"format\":2,\"kind\":\"removed\"}\n");
    assert_int_equal(selection_new(NULL, NULL, ".", &s), ERR_FORMAT);
    assert_int_equal(selection_remember(".", "a", NULL, NULL), ERR_FORMAT);
    put("removed.jsonl", "{\"format\":1,\"kind\":\"removed\"}\n{\"id\":5}\n");
    assert_int_equal(selection_new(NULL, NULL, ".", &s), ERR_FORMAT);
    assert_int_equal(unlink("removed.jsonl"), 0);
    assert_int_equal(symlink("nowhere", "removed.jsonl"), 0);
    assert_int_equal(selection_new(NULL, NULL, ".", &s), ERR_IO);
}

static void test_removed(void **state) {
    (void)state;
    assert_int_equal(selection_remember(".", "id1", "http://x.org/\xc3\xa9\"", NULL), 0);
    assert_int_equal(selection_remember(".", "id2", NULL, SHA), 0);
    uint8_t *data;
    size_t size;
    assert_int_equal(file_load("removed.jsonl", 4096, &data, &size), 0);
    static const char want[] = "{\"format\":1,\"kind\":\"removed\"}\n{\"id\":\"id1\",\"url\":\"http://x.org/\\u00e9\\\"\"}\n";
    assert_int_equal(strncmp((char *)data, want, strlen(want)), 0);
    free(data);
    selection *s = new_selection("id1\nother\n", "other2\n");
    assert_int_equal(selection_asks(s, "id1", NULL, NULL), REMOVED);
    assert_int_equal(selection_asks(s, "id2", NULL, NULL), REMOVED);
    assert_int_equal(selection_asks(s, "other", "http://x.org/\xc3\xa9\"", NULL), REMOVED);
    assert_int_equal(selection_asks(s, "other", NULL, sha), REMOVED);
    assert_int_equal(selection_asks(s, "other", "http://x.org/", NULL), SELECTED);
    assert_true(selection_needs_sha256(s) && selection_needs_url(s));
    selection_free(s);
}

static void test_memory(void **state) {
    (void)state;
    enum { LINES = 200000 };
    text all = { 0 };
    for (int i = 0; i < LINES; i++) text_printf(&all, "https://images.example%d.com/some/long/path/%d.jpg\n", i, i);
    assert_int_equal(file_save("list", all.data, all.size), 0);
    text_free(&all);
    selection *s;
    size_t before = mallinfo2().uordblks + mallinfo2().hblkhd;
    assert_int_equal(selection_new(NULL, "list", NULL, &s), 0);
    size_t used = mallinfo2().uordblks + mallinfo2().hblkhd - before;
    assert_true(used <= 40 * (size_t)LINES);
    assert_int_equal(selection_asks(s, NULL, "https://images.example7.com/some/long/path/7.jpg", NULL), EXCLUDED);
    assert_int_equal(selection_asks(s, NULL, "https://images.example7.com/some/long/path/8.jpg", NULL), SELECTED);
    selection_free(s);
}

int main(void) {
#define T(name) cmocka_unit_test_setup_teardown(name, scratch_enter, scratch_leave)
    const struct CMUnitTest tests[] = { T(test_nothing), T(test_exclude), T(test_only), T(test_refused), T(test_words), T(test_sentences), T(test_unused), T(test_removed_later), T(test_removed), T(test_memory) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
