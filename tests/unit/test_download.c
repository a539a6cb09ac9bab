/* SPDX-License-Identifier: Apache-2.0
 *
 * The download job without a network: reasons, what waits for whom, what earlier runs did. */
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
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/file.h"
#include "data/download_inside.h"
#include "scratch.h"

/* ---- reasons ----------------------------------------------------------------------------------------------------------- */

static void test_reasons(void **state) {
    (void)state;
    for (int r = 0; r < GOT_REASONS; r++) {
        assert_non_null(download_reason_names[r]);
        assert_int_equal(download_reason_find(download_reason_names[r]), r);
    }
    assert_null(download_reason_names[GOT_REASONS]);
    assert_int_equal(download_reason_find("rain"), GOT_REASONS);
    assert_false(download_reason_known(""));
    static const struct { int status; download_reason reason; bool heals; } of_status[] = {
        { 403, GOT_403, false }, { 404, GOT_404, false }, { 410, GOT_410, false }, { 429, GOT_429, true }, { 400, GOT_4XX, false }, { 451, GOT_4XX, false },
        { 500, GOT_5XX, true }, { 503, GOT_5XX, true }, { 599, GOT_5XX, true }, { 204, GOT_OTHER_STATUS, false }, { 304, GOT_OTHER_STATUS, false },
        { 600, GOT_OTHER_STATUS, false }, { 0, GOT_OTHER_STATUS, false },
    };
    for (size_t i = 0; i < sizeof of_status / sizeof *of_status; i++) {
        assert_int_equal(download_reason_of_status(of_status[i].status), of_status[i].reason);
        assert_int_equal(download_can_heal(of_status[i].reason), of_status[i].heals);
    }
    static const struct { http_outcome outcome; download_reason reason; bool heals; } of_outcome[] = {
        { HTTP_BAD_URL, GOT_BAD_URL, false }, { HTTP_PRIVATE, GOT_PRIVATE, false }, { HTTP_DNS, GOT_DNS, true }, { HTTP_CONNECT, GOT_CONNECT, true },
        { HTTP_TLS, GOT_TLS, false }, { HTTP_TIMEOUT, GOT_TIMEOUT, true }, { HTTP_CUT, GOT_CUT, true }, { HTTP_PROTOCOL, GOT_PROTOCOL, false },
        { HTTP_TOO_LARGE, GOT_TOO_LARGE, false },
    };
    for (size_t i = 0; i < sizeof of_outcome / sizeof *of_outcome; i++) {
        assert_int_equal(download_reason_of_outcome(of_outcome[i].outcome), of_outcome[i].reason);
        assert_int_equal(download_can_heal(of_outcome[i].reason), of_outcome[i].heals);
    }
}

static void test_contact(void **state) {
    (void)state;
    char text[202];
    assert_true(download_contact_fits(NULL));
    assert_true(download_contact_fits("https://example.org/~me?a=b"));
    assert_false(download_contact_fits("a\r\nHost: b"));
    assert_false(download_contact_fits("a)b"));
    assert_false(download_contact_fits("\xc3\xa9"));
    memset(text, 'x', sizeof text);
    text[201] = 0;
    assert_false(download_contact_fits(text));
    text[200] = 0;
    assert_true(download_contact_fits(text));
}

/* ---- what waits -------------------------------------------------------------------------------------------------------- */

static download_queue new_queue(int host_connections, double host_rate) {
    download_queue q;
    download_options o = { .host_connections = host_connections, .host_rate = host_rate };
    assert_int_equal(download_queue_new(&o, ".", &q), 0);
    return q;
}

static void enter(download_queue *q, const char *id, const char *url) {
    download_item i = { .width = 3, .height = 4, .has_sha256 = true, .want_sha256 = { 5 }, .before = 6 };
    snprintf(i.id, sizeof i.id, "%s", id);
    i.url = i.now = (char *)url;
    assert_int_equal(download_queue_enter(q, &i), 0);
}

/* All that was entered waits for its host. */
static void look_at_all(download_queue *q) {
    int rc;
    assert_int_equal(download_queue_entered(q), 0);
    for (download_item i = { 0 }; (rc = download_queue_next(q, &i)) > 0; download_item_forget(&i)) assert_int_equal(download_queue_wait(q, &i, false), 0);
    assert_int_equal(rc, 0);
}

/* The next item that may be begun at that time, begun; false if none may. Its strings are the caller's. */
static bool begin(download_queue *q, double now, download_item *i) {
    host *h;
    double later = now + 1e6;
    *i = (download_item){ 0 };
    assert_int_equal(download_queue_turn(q, now, &later), 0);
    assert_int_equal(download_queue_ready(q, now, &h), 0);
    if (!h) return false;
    assert_int_equal(download_queue_load(q, download_queue_take(q, h), i), 0);
    i->host = h;
    assert_int_equal(download_queue_begun(q, h, now), 0);
    return true;
}

static void expect_next(download_queue *q, double now, const char *id, host **h) {
    download_item i;
    if (!begin(q, now, &i)) fail_msg("nothing may begin: %s was expected", id);
    assert_string_equal(i.id, id);
    if (h) *h = i.host;
    download_item_forget(&i);
}

static void expect_none(download_queue *q, double now) {
    download_item i;
    if (begin(q, now, &i)) fail_msg("%s began too early", i.id);
}

static void test_record(void **state) {
    (void)state;
    download_queue q = new_queue(0, 0);
    enter(&q, "a", "http://one.example/a.jpg");
    enter(&q, "b-long-name", "https://two.example:8443/b.jpg?x=%20");
    look_at_all(&q);
    assert_int_equal(q.items, 2);
    assert_int_equal(q.waiting, 2);
    download_item i;
    assert_true(begin(&q, clock_seconds(), &i));
    download_item_forget(&i);
    assert_true(begin(&q, clock_seconds(), &i));
    assert_string_equal(i.id, "b-long-name");
    assert_string_equal(i.url, "https://two.example:8443/b.jpg?x=%20");
    assert_ptr_equal(i.url, i.now);
    assert_string_equal(i.host->name, "two.example");
    assert_int_equal(i.host->port, 8443);
    assert_true(i.host->tls && i.has_sha256 && !i.there);
    assert_true(i.width == 3 && i.height == 4 && i.want_sha256[0] == 5 && i.before == 6 && i.attempt == 0 && i.hops == 0);
    download_item_forget(&i);
    assert_int_equal(q.waiting, 0);
    download_queue_free(&q);
}

static void test_connections_of_a_host(void **state) {
    (void)state;
    double now = clock_seconds() + 100;
    host *h;
    download_queue q = new_queue(2, 0);
    for (int i = 0; i < 4; i++) enter(&q, (char[]){ (char)('a' + i), 0 }, "http://one.example/x.jpg");
    enter(&q, "z", "http://one.example:81/x.jpg");   /* another port is another host */
    look_at_all(&q);
    expect_next(&q, now, "a", &h);
    expect_next(&q, now, "z", NULL);
    expect_next(&q, now, "b", NULL);
    expect_none(&q, now);
    assert_int_equal(download_queue_ended(&q, h, now), 0);
    expect_next(&q, now, "c", NULL);
    expect_none(&q, now + 1000);
    assert_int_equal(download_queue_ended(&q, h, now), 0);
    assert_int_equal(download_queue_ended(&q, h, now), 0);
    expect_next(&q, now, "d", NULL);
    expect_none(&q, now);
    download_queue_free(&q);
}

static void test_rate_of_a_host(void **state) {
    (void)state;
    double now = clock_seconds() + 100, look_again;
    host *h;
    download_queue q = new_queue(0, 5);
    for (int i = 0; i < 4; i++) enter(&q, (char[]){ (char)('a' + i), 0 }, "http://one.example/x.jpg");
    enter(&q, "z", "http://two.example/x.jpg");
    look_at_all(&q);
    expect_next(&q, now, "a", &h);
    expect_next(&q, now, "z", NULL);
    expect_none(&q, now + 0.19);
    look_again = now + 10;
    assert_int_equal(download_queue_turn(&q, now + 0.19, &look_again), 0);
    assert_true(look_again > now + 0.199 && look_again < now + 0.201);
    expect_next(&q, now + 0.21, "b", NULL);
    expect_none(&q, now + 0.40);
    expect_next(&q, now + 100, "c", NULL);               /* what was not used is not made up for */
    expect_none(&q, now + 100.1);
    download_queue_pause(h, now + 150);
    expect_none(&q, now + 149);
    expect_next(&q, now + 151, "d", NULL);
    download_queue_free(&q);
}

static void test_again(void **state) {
    (void)state;
    double now = clock_seconds() + 100;
    download_queue q = new_queue(0, 0);
    download_item i;
    enter(&q, "a", "http://one.example/a.jpg");
    enter(&q, "b", "http://one.example/b.jpg");
    look_at_all(&q);
    assert_true(begin(&q, now, &i));
    assert_int_equal(download_queue_moved(&q, &i, "http://two.example/moved.jpg"), 0);
    download_item_forget(&i);
    expect_next(&q, now, "b", NULL);
    assert_true(begin(&q, now, &i));
    assert_string_equal(i.now, "http://two.example/moved.jpg");
    assert_string_equal(i.url, "http://one.example/a.jpg");
    assert_string_equal(i.host->name, "two.example");
    assert_int_equal(i.hops, 1);
    assert_int_equal(download_queue_again(&q, &i, now + 5), 0);   /* from the beginning */
    download_item_forget(&i);
    assert_int_equal(q.tries, 1);
    expect_none(&q, now + 4);
    assert_true(begin(&q, now + 6, &i));
    assert_string_equal(i.id, "a");
    assert_string_equal(i.now, "http://one.example/a.jpg");
    assert_true(i.attempt == 1 && i.hops == 0);
    assert_int_equal(download_queue_anew(&q, &i), 0);             /* no try */
    download_item_forget(&i);
    assert_true(begin(&q, now + 6, &i));
    assert_int_equal(i.attempt, 1);
    download_item_forget(&i);
    assert_int_equal(q.tries, 0);
    download_queue_free(&q);
}

static void test_order_of_tries(void **state) {
    (void)state;
    double now = clock_seconds() + 100;
    download_queue q = new_queue(0, 0);
    download_item i;
    char id[16], url[64];
    for (int k = 0; k < 50; k++) {
        snprintf(id, sizeof id, "%d", k);
        snprintf(url, sizeof url, "http://h%d.example/x.jpg", k);
        enter(&q, id, url);
    }
    look_at_all(&q);
    for (int k = 0; k < 50; k++) {
        assert_true(begin(&q, now, &i));
        assert_int_equal(download_queue_again(&q, &i, now + 10 + atoi(i.id) * 37 % 50), 0);
        download_item_forget(&i);
    }
    for (int k = 0; k < 50; k++) {
        assert_true(begin(&q, now + 10.5 + k, &i));
        assert_int_equal(atoi(i.id) * 37 % 50, k);
        download_item_forget(&i);
        expect_none(&q, now + 10.5 + k);
    }
    download_queue_free(&q);
}

/* Many hosts that nothing is left to do for are forgotten, and come back. */
static void test_many_hosts(void **state) {
    (void)state;
    enum { HOSTS = 20000 };
    download_queue q = new_queue(4, 0);
    char url[64];
    for (int k = 0; k < HOSTS; k++) {
        snprintf(url, sizeof url, "http://h%d.example/x.jpg", k % 15000);
        enter(&q, "x", url);
    }
    int rc;
    for (download_item i = { 0 }, j; (rc = download_queue_next(&q, &i)) > 0;) {
        assert_int_equal(download_queue_wait(&q, &i, false), 0);
        download_item_forget(&i);
        assert_true(begin(&q, clock_seconds(), &j));
        assert_int_equal(download_queue_ended(&q, j.host, clock_seconds()), 0);
        download_item_forget(&j);
    }
    assert_int_equal(rc, 0);
    assert_true(q.hosts <= 8192);
    assert_int_equal(q.waiting, 0);
    download_queue_free(&q);
}

/* A disk that takes no more: the redirect is not followed, and nothing else is lost. */
static void test_full(void **state) {
    (void)state;
    double now = clock_seconds() + 100;
    struct rlimit before, least;
    download_queue q = new_queue(0, 0);
    download_item i;
    enter(&q, "a", "http://one.example/a.jpg");
    enter(&q, "b", "http://one.example/b.jpg");
    look_at_all(&q);
    assert_true(begin(&q, now, &i));
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    least = (struct rlimit){ spool_size(q.spool) + 8, before.rlim_max };
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &least), 0);
    uint64_t size = spool_size(q.spool);
    for (int k = 0; k < 3; k++) assert_true(download_queue_moved(&q, &i, "http://two.example/moved.jpg") < 0);
    assert_int_equal(spool_size(q.spool), size);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    signal(SIGXFSZ, SIG_DFL);
    assert_int_equal(download_queue_anew(&q, &i), 0);
    download_item_forget(&i);
    assert_true(begin(&q, now, &i));
    assert_string_equal(i.id, "a");
    assert_int_equal(download_queue_moved(&q, &i, "http://two.example/moved.jpg"), 0);
    download_item_forget(&i);
    expect_next(&q, now, "b", NULL);
    assert_true(begin(&q, now, &i));
    assert_string_equal(i.now, "http://two.example/moved.jpg");
    assert_string_equal(i.id, "a");
    download_item_forget(&i);
    assert_int_equal(q.waiting, 0);
    download_queue_free(&q);
}

/* ---- what earlier runs did ----------------------------------------------------------------------------------------------- */

#define HEAD "{\"format\":1,\"kind\":\"download\"}\n"

static void put(const char *path, const char *content) { assert_int_equal(file_save(path, content, strlen(content)), 0); }

static void expect_mark(download_before *b, const char *id, int reason) {
    uint8_t *mark;
    assert_int_equal(download_before_find(b, id, &mark), 0);
    if (*mark != (reason < 0 ? 0 : reason + 1)) fail_msg("%s: mark %d, reason %d was expected", id, *mark, reason);
}

static void test_before(void **state) {
    (void)state;
    put("download.jsonl", HEAD
        "{\"id\":\"last\",\"status\":\"404\",\"time\":\"2026-11-30T12:00:00Z\"}\n"
        "{\"id\":\"last\",\"status\":\"ok\",\"bytes\":100,\"time\":\"2026-11-30T12:00:00Z\"}\n"
        "{\"id\":\"newer\",\"status\":\"404\",\"time\":\"2026-11-30T12:00:05Z\"}\n"
        "{\"id\":\"back\",\"status\":\"ok\",\"bytes\":300,\"time\":\"2026-11-30T12:00:09Z\"}\n"
        "{\"id\":\"scaled\",\"status\":\"ok\",\"note\":\"rescaled: 1x1\",\"time\":\"2026-11-30T12:00:00Z\"}\n"
        "{\"id\":\"there\",\"status\":\"ok\",\"note\":\"was there\",\"time\":\"2026-11-30T12:00:00Z\"}\n"
        "{\"id\":\"../x\",\"status\":\"ok\"}\n{\"id\":7,\"status\":\"ok\"}\n{\"status\":\"ok\"}\n{\"id\":\"later\",\"status\":\"of a later version\"}\n"
        "{\"id\":\"untimed\",\"status\":\"dns\",\"time\":\"yesterday\"}\n{\"id\":\"cut\",\"status\":\"o");
    put("download.1-of-2.jsonl", HEAD "{\"id\":\"newer\",\"status\":\"ok\",\"time\":\"2026-11-30T12:00:06Z\"}\n{\"id\":\"back\",\"status\":\"404\",\"time\":\"2026-11-30T12:00:08Z\"}\n");
    download_before b = { 0 };
    assert_int_equal(download_before_load(&b, ".", true), 0);
    expect_mark(&b, "last", GOT_OK);
    expect_mark(&b, "newer", GOT_OK);
    expect_mark(&b, "back", GOT_OK);
    expect_mark(&b, "scaled", GOT_RESCALED);
    expect_mark(&b, "there", GOT_OK);
    expect_mark(&b, "later", -1);
    expect_mark(&b, "untimed", GOT_DNS);
    expect_mark(&b, "cut", -1);
    expect_mark(&b, "never", -1);
    assert_int_equal(b.ok_count, 2);
    assert_int_equal(b.ok_bytes, 400);
    uint8_t *mark;
    assert_int_equal(download_before_find(&b, "never", &mark), 0);
    *mark |= BEFORE_SEEN;
    for (int i = 0; i < 10000; i++) {
        char id[32];
        snprintf(id, sizeof id, "more-%d", i);
        assert_int_equal(download_before_find(&b, id, &mark), 0);
        assert_int_equal(*mark, 0);
    }
    assert_int_equal(download_before_find(&b, "never", &mark), 0);
    assert_int_equal(*mark, BEFORE_SEEN);
    download_before_free(&b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reasons),
        cmocka_unit_test(test_contact),
        cmocka_unit_test_setup_teardown(test_record, scratch_enter, scratch_leave),
        cmocka_unit_test_setup_teardown(test_connections_of_a_host, scratch_enter, scratch_leave),
        cmocka_unit_test_setup_teardown(test_rate_of_a_host, scratch_enter, scratch_leave),
        cmocka_unit_test_setup_teardown(test_again, scratch_enter, scratch_leave),
        cmocka_unit_test_setup_teardown(test_order_of_tries, scratch_enter, scratch_leave),
        cmocka_unit_test_setup_teardown(test_many_hosts, scratch_enter, scratch_leave),
        cmocka_unit_test_setup_teardown(test_full, scratch_enter, scratch_leave),
        cmocka_unit_test_setup_teardown(test_before, scratch_enter, scratch_leave),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
