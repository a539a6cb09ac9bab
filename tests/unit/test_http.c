/* SPDX-License-Identifier: Apache-2.0
 *
 * HTTP against the hostile server of tests/net/server.py, which this starts (twice: the second has another's certificate). */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/error.h"
#include "base/file.h"
#include "base/http.h"
#include "scratch.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))

enum { PHOTO_SIZE = 150001 };   /* no power of two, several of libcurl's pieces */

typedef struct { pid_t pid; int port, tls_port; } server;

static char root[64];
static server first, other;
static uint8_t photo[PHOTO_SIZE];
static char skip_why[128];

/* ---- the server --------------------------------------------------------------------------------------------------------- */

static bool start_server(server *s, const char *name) {
    int out[2];
    char tls[128], parent[32], line[64] = "";
    snprintf(tls, sizeof tls, "%s/tls-%s", root, name);
    snprintf(parent, sizeof parent, "%d", (int)getpid());
    if (pipe2(out, O_CLOEXEC)) return false;
    s->pid = fork();
    if (s->pid == 0) {
        dup2(out[1], 1);
        execlp("python3", "python3", "tests/net/server.py", "--tls", tls, "--tls-name", name, "--pid", parent, root, (char *)NULL);
        _exit(127);
    }
    close(out[1]);
    FILE *f = fdopen(out[0], "r");
    bool good = f && fgets(line, sizeof line, f) && sscanf(line, "%d %d", &s->port, &s->tls_port) == 2;
    if (f) fclose(f);
    return good;
}

static void stop_server(const server *s) {
    if (s->pid <= 0) return;
    kill(s->pid, SIGKILL);
    waitpid(s->pid, NULL, 0);
}

static void path_in_root(char *out, size_t size, const char *name) { snprintf(out, size, "%s/%s", root, name); }

static int make_root(void **state) {
    (void)state;
    char path[128];
    static const char *const proxies[] = { "http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", "no_proxy", "NO_PROXY", "CURL_CA_BUNDLE", "SSL_CERT_FILE" };
    for (size_t i = 0; i < COUNT(proxies); i++) unsetenv(proxies[i]);
    if (scratch_new(root) < 0) return -1;
    for (size_t i = 0; i < PHOTO_SIZE; i++) photo[i] = (uint8_t)(i * 2654435761u >> 13);
    path_in_root(path, sizeof path, "a.jpg");
    if (file_save(path, photo, PHOTO_SIZE) < 0) return -1;
    path_in_root(path, sizeof path, "robots.txt");
    if (file_save(path, "User-agent: *\nDisallow: /x\n", 27) < 0) return -1;
    if (system("python3 -c '' && openssl version >/dev/null")) snprintf(skip_why, sizeof skip_why, "there is no python3, or no openssl");
    else if (!start_server(&first, "localhost") || !start_server(&other, "elsewhere.example")) return -1;
    return 0;
}

static int remove_root(void **state) {
    (void)state;
    stop_server(&first);
    stop_server(&other);
    return scratch_delete(root);
}

/* ---- asking --------------------------------------------------------------------------------------------------------------- */

/* Limits that no test meets by chance, on however slow a machine. */
static const http_options PATIENT = {
    .connect_seconds = 300, .stall_seconds = 300, .total_seconds = 300, .max_bytes = 1 << 20, .user_agent = "mien/test (+nobody)", .allow_private = true,
};

static http *open_with(http_options o) {
    http *h;
    if (*skip_why) {
        print_message("skipped: %s\n", skip_why);
        skip();
    }
    int rc = http_open(&o, &h);
    if (rc == ERR_UNSUPPORTED) {
        print_message("skipped: %s\n", error_message());
        skip();
    }
    if (rc < 0) fail_msg("%s", error_message());
    return h;
}

static const char *url_of(const char *path) {
    static char url[4][512];
    static int next;
    char *out = url[next++ & 3];
    snprintf(out, sizeof *url, "http://127.0.0.1:%d/%s", first.port, path);
    return out;
}

static http_reply wait_for(http *h) {
    http_reply r;
    int rc;
    while ((rc = http_next(h, 1000, &r)) == 0) continue;
    if (rc < 0) fail_msg("%s", error_message());
    return r;
}

static int new_fd(void) {
    int fd = memfd_create("body", MFD_CLOEXEC);
    assert_true(fd >= 0);
    return fd;
}

/* Asks for a URL and waits; what came is in fd. */
static http_reply ask(http *h, const char *url, int fd) {
    assert_int_equal(ftruncate(fd, 0), 0);
    assert_int_equal(http_start(h, url, fd, &first), 0);
    http_reply r = wait_for(h);
    assert_ptr_equal(r.context, &first);
    assert_int_equal(http_running(h), 0);
    return r;
}

static size_t size_of(int fd) {
    struct stat st;
    assert_int_equal(fstat(fd, &st), 0);
    return (size_t)st.st_size;
}

static bool is_photo(int fd) {
    uint8_t *got = malloc(PHOTO_SIZE);
    bool same = size_of(fd) == PHOTO_SIZE && pread(fd, got, PHOTO_SIZE, 0) == PHOTO_SIZE && memcmp(got, photo, PHOTO_SIZE) == 0;
    free(got);
    return same;
}

static int64_t stat_of(http *h, const char *name) {
    size_t size;
    assert_int_equal(http_start_text(h, url_of("_stats"), 1 << 20, NULL), 0);
    http_reply r = wait_for(h);
    assert_int_equal(r.outcome, HTTP_ANSWERED);
    const char *text = http_text(h, &size), *at = strstr(text, name);
    if (!at) fail_msg("no %s in %s", name, text);
    return strtoll(at + strlen(name), NULL, 10);
}

/* ---- tests ------------------------------------------------------------------------------------------------------------------ */

static void a_body_is_written_whole(void **state) {
    (void)state;
    http *h = open_with(PATIENT);
    static const char *const paths[] = { "a.jpg", "_chunked/a.jpg", "_no-length/a.jpg", "_close/a.jpg", "_delay:0.1/a.jpg", "_headers-long:60000/a.jpg", "a.jpg?x#y", "./a.jpg" };
    int fd = new_fd();
    for (size_t i = 0; i < COUNT(paths); i++) {
        http_reply r = ask(h, url_of(paths[i]), fd);
        if (r.outcome != HTTP_ANSWERED || r.status != 200 || !is_photo(fd)) fail_msg("%s: outcome %d, status %d: %s", paths[i], r.outcome, r.status, r.why);
        assert_int_equal(r.bytes, PHOTO_SIZE);
        assert_string_equal(r.content_type, "image/jpeg");
        assert_null(r.location);
        assert_null(r.why);
        assert_false(r.opted_out);
        assert_true(r.retry_after < 0);
    }
    close(fd);
    http_close(h);
}

static void what_goes_wrong_is_told_apart(void **state) {
    (void)state;
    http *h = open_with(PATIENT);
    static const struct { const char *path; http_outcome outcome; int status; size_t bytes; } cases[] = {
        { "_status:404/x", HTTP_ANSWERED, 404, 0 },
        { "_status:403/x", HTTP_ANSWERED, 403, 0 },
        { "_status:410/x", HTTP_ANSWERED, 410, 0 },
        { "_status:500/x", HTTP_ANSWERED, 500, 0 },
        { "_as:206/a.jpg", HTTP_ANSWERED, 206, 0 },
        { "_as:404/_endless/x", HTTP_ANSWERED, 404, 0 },                       /* is not read to its end */
        { "_as:404/_huge:100000000000/x", HTTP_ANSWERED, 404, 0 },
        { "_as:404/_huge:1000000/x", HTTP_ANSWERED, 404, 0 },
        { "_as:404/_cut/a.jpg", HTTP_ANSWERED, 404, 0 },
        { "_empty/x", HTTP_ANSWERED, 200, 0 },
        { "_shorter:1000/a.jpg", HTTP_ANSWERED, 200, PHOTO_SIZE - 1000 },      /* a decoder will see */
        { "_cut/a.jpg", HTTP_CUT, 200, PHOTO_SIZE / 2 },
        { "_longer/a.jpg", HTTP_CUT, 200, PHOTO_SIZE },
        { "_chunked-cut/a.jpg", HTTP_CUT, 200, PHOTO_SIZE },
        { "_refuse/x", HTTP_CUT, 0, 0 },
        { "_garbage/x", HTTP_PROTOCOL, 0, 0 },
        { "_http09/a.jpg", HTTP_PROTOCOL, 0, 0 },
        { "_headers-endless/x", HTTP_PROTOCOL, 200, 0 },
        { "_headers-long:200000/a.jpg", HTTP_PROTOCOL, 200, 0 },
        { "_headers-long:90000/_headers-long:90000/_headers-long:90000/a.jpg", HTTP_PROTOCOL, 200, 0 },
        { "_huge:1048577/x", HTTP_TOO_LARGE, 200, 0 },
        { "_huge:1048576/x", HTTP_ANSWERED, 200, 1 << 20 },
        { "_length:-5/a.jpg", HTTP_PROTOCOL, 200, 0 },
    };
    int fd = new_fd();
    for (size_t i = 0; i < COUNT(cases); i++) {
        http_reply r = ask(h, url_of(cases[i].path), fd);
        if (r.outcome != cases[i].outcome || r.status != cases[i].status || r.bytes != cases[i].bytes || size_of(fd) != cases[i].bytes)
            fail_msg("%s: outcome %d, status %d, %zu bytes: %s", cases[i].path, r.outcome, r.status, (size_t)r.bytes, r.why);
        assert_int_equal(r.why != NULL && *r.why != 0, r.outcome != HTTP_ANSWERED);
    }
    http_reply r = ask(h, url_of("_endless/x"), fd);
    assert_int_equal(r.outcome, HTTP_TOO_LARGE);
    assert_true(r.bytes <= 1 << 20 && size_of(fd) == r.bytes);
    r = ask(h, url_of("_reset/a.jpg"), fd);
    assert_int_equal(r.outcome, HTTP_CUT);
    r = ask(h, "http://127.0.0.1:1/", fd);
    assert_int_equal(r.outcome, HTTP_CONNECT);
    r = ask(h, "http://nowhere.invalid/", fd);
    assert_int_equal(r.outcome, HTTP_DNS);
    close(fd);
    http_close(h);
}

static void bad_urls_are_told_too(void **state) {
    (void)state;
    http *h = open_with(PATIENT);
    static const char *const bad[] = { "file:///etc/passwd", "ftp://127.0.0.1/", "", "gopher://127.0.0.1/", "http://user@127.0.0.1/", "http://127.0.0.1/\r\nX: y" };
    int fd = new_fd();
    for (size_t i = 0; i < COUNT(bad); i++) {
        http_reply r = ask(h, bad[i], fd);
        assert_int_equal(r.outcome, HTTP_BAD_URL);
        assert_int_equal(r.status, 0);
        assert_non_null(r.why);
        assert_int_equal(size_of(fd), 0);
    }
    close(fd);
    http_close(h);
}

static void private_addresses_are_refused(void **state) {
    (void)state;
    http_options o = PATIENT;
    o.allow_private = false;
    http *asker = open_with(PATIENT), *h = open_with(o);
    int64_t connections = stat_of(asker, "\"connections\":");
    static const char *const hosts[] = { "127.0.0.1", "127.0.0.7", "127.1", "0x7f.1", "2130706433", "localhost", "[::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]" };
    int fd = new_fd();
    for (size_t i = 0; i < COUNT(hosts); i++) {
        char url[128];
        snprintf(url, sizeof url, "http://%s:%d/a.jpg", hosts[i], first.port);
        http_reply r = ask(h, url, fd);
        if (r.outcome != HTTP_PRIVATE) fail_msg("%s: %d %s", url, r.outcome, r.why);
        assert_non_null(strstr(r.why, "private address"));
        assert_int_equal(r.status, 0);
    }
    http_reply r = ask(h, "http://169.254.169.254/latest/meta-data/", fd);
    assert_int_equal(r.outcome, HTTP_PRIVATE);
    assert_int_equal(stat_of(asker, "\"connections\":"), connections);
    close(fd);
    http_close(h);
    http_close(asker);
}

static void redirects_are_reported(void **state) {
    (void)state;
    http *h = open_with(PATIENT);
    char base[64], away[64];
    snprintf(base, sizeof base, "http://127.0.0.1:%d/", first.port);
    snprintf(away, sizeof away, "http://127.0.0.1:%d/", other.port);
    char path_of_port[64], other_host[64];
    snprintf(path_of_port, sizeof path_of_port, "_port:%d/a.jpg", other.port);
    snprintf(other_host, sizeof other_host, "http://127.0.0.2:%d/a.jpg", first.port);
    const struct { const char *path; int status; const char *to, *to_path; } cases[] = {
        { "_redirect/a.jpg", 302, base, "a.jpg" },
        { "_redirect:301/a.jpg", 301, base, "a.jpg" },
        { "_redirect:308/a.jpg", 308, base, "a.jpg" },
        { "_relative/a.jpg", 302, base, "a.jpg" },
        { path_of_port, 302, away, "a.jpg" },
        { "_host:127.0.0.2/a.jpg", 302, other_host, "" },
        { "_location:%2F%2F127.0.0.1%2Fx%20y/x", 302, "http://127.0.0.1/x%20y", "" },
        { "_location:file%3A%2F%2F%2Fetc%2Fpasswd/x", 302, "file:///etc/passwd", "" },
        { "_location:http%3A%2F%2F169.254.169.254%2Flatest/x", 302, "http://169.254.169.254/latest", "" },
        { "_as:302/_header:Location:%2Fb.jpg/_huge:100000000000/x", 302, base, "b.jpg" },   /* whose body is not read */
        { "_as:302/_header:Location:%2Fb.jpg/_cut/a.jpg", 302, base, "b.jpg" },
        { "_nowhere/x", 302, NULL, NULL },
        { "_as:404/_header:Location:%2Fb.jpg/a.jpg", 404, NULL, NULL },
    };
    int fd = new_fd();
    for (size_t i = 0; i < COUNT(cases); i++) {
        char want[256];
        http_reply r = ask(h, url_of(cases[i].path), fd);
        assert_int_equal(r.outcome, HTTP_ANSWERED);
        assert_int_equal(r.status, cases[i].status);
        assert_int_equal(size_of(fd), 0);
        if (!cases[i].to) {
            assert_null(r.location);
            continue;
        }
        snprintf(want, sizeof want, "%s%s", cases[i].to, cases[i].to_path);
        assert_non_null(r.location);
        assert_string_equal(r.location, want);
    }
    /* A hop after the other: its location is good until the next http_next. */
    http_reply r = ask(h, url_of("_hops:5/a.jpg"), fd);
    int hops = 0;
    for (; r.location && hops < 20; hops++) r = ask(h, r.location, fd);
    assert_int_equal(hops, 5);
    assert_true(is_photo(fd));
    close(fd);
    http_close(h);
}

static void headers_of_the_answer_are_told(void **state) {
    (void)state;
    http *h = open_with(PATIENT);
    int fd = new_fd();
    http_reply r = ask(h, url_of("_retry:503:7/x"), fd);
    assert_int_equal(r.status, 503);
    assert_true(r.retry_after == 7);
    r = ask(h, url_of("_retry:429:date+100000/x"), fd);
    assert_int_equal(r.status, 429);
    assert_true(r.retry_after > 1000 && r.retry_after <= 100000);
    r = ask(h, url_of("_type:text%2Fhtml%1b/a.jpg"), fd);
    assert_string_equal(r.content_type, "text/html\\x1b");
    assert_true(r.retry_after < 0);

    static const char *const out[] = { "_header:X-Robots-Tag:noai/a.jpg", "_header:x-robots-tag:otherbot%3A noindex, mien%3A noimageai/a.jpg",
                                       "_header:tdm-reservation:1/a.jpg", "_header:X-Robots-Tag:all/_header:X-Robots-Tag:none/a.jpg" };
    for (size_t i = 0; i < COUNT(out); i++) {
        r = ask(h, url_of(out[i]), fd);
        if (r.outcome != HTTP_ANSWERED || r.status != 200 || !r.opted_out || size_of(fd)) fail_msg("%s: %d, %zu bytes", out[i], r.opted_out, size_of(fd));
    }
    r = ask(h, url_of("_header:X-Robots-Tag:googlebot%3A noindex/a.jpg"), fd);
    assert_true(!r.opted_out && is_photo(fd));
    http_close(h);

    http_options o = PATIENT;
    o.ignore_opt_out = true;
    h = open_with(o);
    r = ask(h, url_of(out[0]), fd);
    assert_true(r.opted_out && is_photo(fd));
    close(fd);
    http_close(h);
}

typedef struct { int calls, status; uint64_t total; char etag[64]; bool want; } told;

static bool take_answer(void *context, const http_answer *a) {
    told *t = context;
    t->calls++;
    t->status = a->status;
    t->total = a->total;
    snprintf(t->etag, sizeof t->etag, "%s", a->etag ? a->etag : "none");
    return t->want;
}

/* A file that was begun: the rest of it comes, or all of a newer one. */
static void files_go_on(void **state) {
    (void)state;
    http *h = open_with(PATIENT);
    int fd = new_fd();
    told t = { .want = true };
    http_request q = { .url = url_of("_range/a.jpg"), .fd = fd, .context = &t, .answered = take_answer };
    assert_int_equal(http_start_file(h, &q), 0);
    http_reply r = wait_for(h);
    assert_int_equal(r.outcome, HTTP_ANSWERED);
    assert_int_equal(t.calls, 1);
    assert_int_equal(t.status, 200);
    assert_int_equal(t.total, PHOTO_SIZE);
    assert_true(is_photo(fd) && strlen(t.etag) == 34 && strcmp(r.etag, t.etag) == 0);
    char etag[64];
    strcpy(etag, t.etag);

    const struct { uint64_t from; const char *if_range, *path; int status; uint64_t bytes; bool whole; } cases[] = {
        { 1000, etag, "_range/a.jpg", 206, PHOTO_SIZE - 1000, true },
        { PHOTO_SIZE - 1, NULL, "_range/a.jpg", 206, 1, true },
        { 1000, "\"older\"", "_range/a.jpg", 200, PHOTO_SIZE, true },          /* all of it, from the beginning */
        { 1000, NULL, "a.jpg", 200, PHOTO_SIZE, true },                        /* a server that knows no ranges */
        { PHOTO_SIZE, NULL, "_range/a.jpg", 416, 0, false },
        { 1000, NULL, "_as:206/a.jpg", 206, 0, false },                        /* a part of something else: is not kept */
        { 1000, NULL, "_header:Content-Range:bytes 999-150000%2F150001/_as:206/a.jpg", 206, 0, false },
        { 1000, NULL, "_header:Content-Range:bytes x/_as:206/a.jpg", 206, 0, false },
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        t = (told){ .want = true };
        assert_int_equal(ftruncate(fd, 0), 0);
        if (cases[i].from) assert_int_equal(pwrite(fd, photo, cases[i].from, 0), cases[i].from);
        q = (http_request){ url_of(cases[i].path), fd, &t, cases[i].from, cases[i].if_range, take_answer };
        assert_int_equal(http_start_file(h, &q), 0);
        r = wait_for(h);
        if (r.outcome != HTTP_ANSWERED || r.status != cases[i].status || r.bytes != cases[i].bytes || is_photo(fd) != (cases[i].whole || cases[i].from == PHOTO_SIZE))
            fail_msg("%s from %d: outcome %d, status %d, %d bytes", cases[i].path, (int)cases[i].from, r.outcome, r.status, (int)r.bytes);
        assert_int_equal(t.calls, cases[i].bytes > 0);
        if (cases[i].bytes) assert_int_equal(t.total, PHOTO_SIZE);
    }
    /* No header of it is left for the next. */
    assert_true(ask(h, url_of("_range/a.jpg"), fd).status == 200 && is_photo(fd));
    /* What is not wanted is not written. */
    t.want = false;
    assert_int_equal(ftruncate(fd, 0), 0);
    q = (http_request){ .url = url_of("_range/a.jpg"), .fd = fd, .context = &t, .answered = take_answer };
    assert_int_equal(http_start_file(h, &q), 0);
    r = wait_for(h);
    assert_int_equal(r.outcome, HTTP_DECLINED);
    assert_int_equal(size_of(fd), 0);
    /* What a hub says of the file behind a redirect. */
    r = ask(h, url_of("_linked/a.jpg"), fd);
    assert_true(r.status == 302 && r.linked_etag && strlen(r.linked_etag) == 66 && r.linked_size == PHOTO_SIZE);
    assert_true(ask(h, url_of("_redirect/a.jpg"), fd).linked_etag == NULL);
    /* A tag that would make another header. */
    q = (http_request){ .url = url_of("_range/a.jpg"), .fd = fd, .from = 1, .if_range = "\"x\"\r\nCookie: y" };
    assert_int_equal(http_start_file(h, &q), ERR_USAGE);
    close(fd);
    http_close(h);
}

static void what_stalls_is_left(void **state) {
    (void)state;
    http_options o = PATIENT;
    o.stall_seconds = 0.3;
    http *h = open_with(o);
    int fd = new_fd();
    static const char *const stalls[] = { "_stall-headers/x", "_stall-half-headers/x", "_stall-body/a.jpg" };
    for (size_t i = 0; i < COUNT(stalls); i++) assert_int_equal(http_start(h, url_of(stalls[i]), fd, NULL), 0);
    assert_int_equal(http_running(h), 3);
    for (size_t i = 0; i < COUNT(stalls); i++) {
        http_reply r = wait_for(h);
        assert_int_equal(r.outcome, HTTP_TIMEOUT);
        assert_non_null(strstr(r.why, "no byte came"));
    }
    /* What an answer says counts, though the rest of it never comes. */
    http_reply r = ask(h, url_of("_as:404/_stall-body/a.jpg"), fd);
    assert_true(r.outcome == HTTP_ANSWERED || r.outcome == HTTP_TIMEOUT);   /* the latter where the machine takes longer for the headers */
    http_close(h);

    o = PATIENT;
    o.total_seconds = 0.5;
    h = open_with(o);
    r = ask(h, url_of("_trickle:1000/a.jpg"), fd);
    assert_int_equal(r.outcome, HTTP_TIMEOUT);
    assert_non_null(strstr(r.why, "not done after"));
    close(fd);
    http_close(h);
}

static void text_comes_as_text(void **state) {
    (void)state;
    http *h = open_with(PATIENT);
    size_t size;
    http_start_text(h, url_of("robots.txt"), 1000, NULL);
    http_reply r = wait_for(h);
    assert_int_equal(r.outcome, HTTP_ANSWERED);
    assert_string_equal(http_text(h, &size), "User-agent: *\nDisallow: /x\n");
    assert_int_equal(size, 27);

    http_start_text(h, url_of("robots.txt"), 10, NULL);      /* longer: its beginning */
    r = wait_for(h);
    assert_int_equal(r.outcome, HTTP_TOO_LARGE);
    assert_string_equal(http_text(h, &size), "User-agent");
    assert_int_equal(size, 10);

    http_start_text(h, url_of("_endless/x"), 100000, NULL);
    r = wait_for(h);
    assert_int_equal(r.outcome, HTTP_TOO_LARGE);
    http_text(h, &size);
    assert_int_equal(size, 100000);

    http_start_text(h, url_of("_status:404/robots.txt"), 1000, NULL);
    r = wait_for(h);
    assert_int_equal(r.status, 404);
    assert_string_equal(http_text(h, &size), "");
    assert_int_equal(size, 0);

    int fd = new_fd();       /* and then a photo by the same handle, with its limit */
    r = ask(h, url_of("_huge:2000000/x"), fd);
    assert_int_equal(r.outcome, HTTP_TOO_LARGE);
    close(fd);
    http_close(h);
}

static void certificates_are_verified(void **state) {
    (void)state;
    char good[64], wrong[64], bundle[128];
    snprintf(good, sizeof good, "https://127.0.0.1:%d/a.jpg", first.tls_port);
    snprintf(wrong, sizeof wrong, "https://127.0.0.1:%d/a.jpg", other.tls_port);
    int fd = new_fd();
    http *h = open_with(PATIENT);
    http_reply r = ask(h, good, fd);      /* signed by nobody we know */
    assert_int_equal(r.outcome, HTTP_TLS);
    http_close(h);

    path_in_root(bundle, sizeof bundle, "tls-localhost/cert.pem");
    setenv("CURL_CA_BUNDLE", bundle, 1);
    h = open_with(PATIENT);
    r = ask(h, good, fd);
    if (r.outcome != HTTP_ANSWERED) fail_msg("%s", r.why);
    assert_true(is_photo(fd));
    http_close(h);

    path_in_root(bundle, sizeof bundle, "tls-elsewhere.example/cert.pem");
    setenv("CURL_CA_BUNDLE", bundle, 1);
    h = open_with(PATIENT);
    r = ask(h, wrong, fd);                /* known, but somebody else's */
    assert_int_equal(r.outcome, HTTP_TLS);
    http_close(h);
    unsetenv("CURL_CA_BUNDLE");

    http_options o = PATIENT;
    o.insecure = true;
    h = open_with(o);
    r = ask(h, wrong, fd);
    assert_true(r.outcome == HTTP_ANSWERED && is_photo(fd));
    close(fd);
    http_close(h);
}

static void connections_are_used_again(void **state) {
    (void)state;
    enum { AT_ONCE = 8, ALL = 300 };
    http *h = open_with(PATIENT);
    int64_t before = stat_of(h, "\"connections\":");
    int fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
    int started = 0, good = 0;
    for (int ended = 0; ended < ALL; ended++) {
        while (started < ALL && http_running(h) < AT_ONCE) assert_int_equal(http_start(h, url_of(started++ % 3 ? "a.jpg" : "_status:404/x"), fd, NULL), 0);
        http_reply r = wait_for(h);
        good += r.outcome == HTTP_ANSWERED;
    }
    assert_int_equal(good, ALL);
    assert_true(stat_of(h, "\"connections\":") - before <= AT_ONCE);
    assert_int_equal(stat_of(h, "\"cookies\":"), 0);
    assert_int_equal(stat_of(h, "\"accept_encoding\":"), 0);
    assert_true(stat_of(h, "\"mien/test (+nobody)\":") > ALL);
    close(fd);
    http_close(h);
}

static void what_cannot_be_written_is_told(void **state) {
    (void)state;
    http *h = open_with(PATIENT);
    int full = open("/dev/full", O_WRONLY | O_CLOEXEC), closed = open("/dev/null", O_RDONLY | O_CLOEXEC);
    assert_int_equal(http_start(h, url_of("a.jpg"), full, NULL), 0);
    http_reply r = wait_for(h);
    assert_int_equal(r.outcome, HTTP_WRITE);
    assert_true(r.full);
    assert_int_equal(http_start(h, url_of("a.jpg"), closed, NULL), 0);
    r = wait_for(h);
    assert_int_equal(r.outcome, HTTP_WRITE);
    assert_false(r.full);
    assert_int_equal(r.bytes, 0);
    close(full);
    close(closed);
    http_close(h);
}

/* Everything at once, over and over: each transfer is told of once, and whoever is left at the end is broken off. */
static void a_storm_leaves_nothing_behind(void **state) {
    (void)state;
    enum { AT_ONCE = 40, ALL = 600, LEFT = 20 };
    static const char *const paths[] = {
        "a.jpg", "_chunked/a.jpg", "_cut/a.jpg", "_reset/a.jpg", "_refuse/x", "_garbage/x", "_status:404/x", "_redirect/a.jpg", "_headers-endless/x", "_endless/x",
        "_stall-body/a.jpg", "_longer/a.jpg", "_as:404/_huge:9000000/x", "_close/a.jpg", "_headers-long:200000/x", "_empty/x", "_stall-headers/x",
    };
    http_options o = PATIENT;
    o.stall_seconds = 1;
    http *h = open_with(o);
    uint8_t told[ALL] = { 0 };
    int started = 0, ended = 0, fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
    while (ended < ALL - LEFT) {
        while (started < ALL && http_running(h) < AT_ONCE) {
            /* Stalls are rare, since each takes its second. */
            const char *path = paths[started * 7 % (int)(COUNT(paths) - (started % 20 != 0))];
            char url[128];
            if (started % 50 == 49) snprintf(url, sizeof url, "file:///%s", path);
            else snprintf(url, sizeof url, "http://127.0.0.%d:%d/%s", started % 5 + 1, first.port, path);
            if (started % 10 == 3) assert_int_equal(http_start_text(h, url, 1000, &told[started]), 0);
            else assert_int_equal(http_start(h, url, fd, &told[started]), 0);
            started++;
        }
        http_reply r = wait_for(h);
        ++*(uint8_t *)r.context;
        ended++;
    }
    for (int i = 0; i < ALL; i++) assert_true(told[i] <= 1);
    assert_int_equal(http_running(h), started - ended);
    close(fd);
    http_close(h);
}

/* That is no host's fault: it ends the job, instead of failing every URL that follows. */
static void no_more_descriptors_is_an_error(void **state) {
    (void)state;
    http *h = open_with(PATIENT);
    int fd = new_fd();
    struct rlimit before, none;
    http_reply r;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    none = before;
    none.rlim_cur = 0;
    assert_int_equal(http_start(h, url_of("a.jpg"), fd, NULL), 0);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    int rc;
    while ((rc = http_next(h, 1000, &r)) == 0) continue;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_int_equal(rc, ERR_IO);
    assert_non_null(strstr(error_message(), "a connection"));
    close(fd);
    http_close(h);
}

static void *wake(void *h) { return http_wake(h), NULL; }

static void another_thread_can_wake_it(void **state) {
    (void)state;
    http *h = open_with(PATIENT);
    http_reply r;
    pthread_t thread;
    assert_int_equal(http_next(h, 0, &r), 0);
    assert_int_equal(pthread_create(&thread, NULL, wake, h), 0);
    assert_int_equal(http_next(h, 100000, &r), 0);      /* for ever, if it were not woken */
    pthread_join(thread, NULL);
    int fd = new_fd();
    assert_int_equal(http_start(h, url_of("_stall-headers/x"), fd, NULL), 0);
    assert_int_equal(pthread_create(&thread, NULL, wake, h), 0);
    assert_int_equal(http_next(h, 100000, &r), 0);
    pthread_join(thread, NULL);
    assert_int_equal(http_running(h), 1);
    http_close(h);                                      /* what is under way is broken off */
    close(fd);
}

static void proxies_are_asked(void **state) {
    (void)state;
    char proxy[64];
    http_options o = PATIENT;
    o.allow_private = false;                            /* the proxy's own address is not what is meant */
    snprintf(proxy, sizeof proxy, "http://127.0.0.1:%d", first.port);
    setenv("http_proxy", proxy, 1);
    setenv("no_proxy", "direct.invalid", 1);
    http *h = open_with(o);
    unsetenv("http_proxy");
    unsetenv("no_proxy");
    int fd = new_fd();
    http_reply r = ask(h, "http://photos.invalid/a.jpg", fd);
    if (r.outcome != HTTP_ANSWERED || r.status != 200) fail_msg("%d: %s", r.outcome, r.why);
    assert_true(is_photo(fd));
    static const char *const refused[] = { "http://localhost/a.jpg", "http://10.0.0.1/a.jpg", "http://[::1]/a.jpg", "http://0x7f.1/a.jpg",
                                           "http://\xef\xbd\x8cocalhost/a.jpg" };
    for (size_t i = 0; i < COUNT(refused); i++) {
        r = ask(h, refused[i], fd);
        assert_int_equal(r.outcome, HTTP_PRIVATE);
    }
    r = ask(h, "http://direct.invalid/a.jpg", fd);
    assert_int_equal(r.outcome, HTTP_DNS);
    r = ask(h, "http://photos.invalid/a.jpg", fd);      /* and the proxy again */
    assert_true(r.outcome == HTTP_ANSWERED && is_photo(fd));
    close(fd);
    http_close(h);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_body_is_written_whole),
        cmocka_unit_test(what_goes_wrong_is_told_apart),
        cmocka_unit_test(bad_urls_are_told_too),
        cmocka_unit_test(private_addresses_are_refused),
        cmocka_unit_test(redirects_are_reported),
        cmocka_unit_test(headers_of_the_answer_are_told),
        cmocka_unit_test(files_go_on),
        cmocka_unit_test(what_stalls_is_left),
        cmocka_unit_test(text_comes_as_text),
        cmocka_unit_test(certificates_are_verified),
        cmocka_unit_test(connections_are_used_again),
        cmocka_unit_test(what_cannot_be_written_is_told),
        cmocka_unit_test(a_storm_leaves_nothing_behind),
        cmocka_unit_test(no_more_descriptors_is_an_error),
        cmocka_unit_test(another_thread_can_wake_it),
        cmocka_unit_test(proxies_are_asked),
    };
    return cmocka_run_group_tests(tests, make_root, remove_root);
}
