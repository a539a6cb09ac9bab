/* SPDX-License-Identifier: Apache-2.0
 *
 * What HTTP reads from outside, without a network: URLs, addresses, headers, robots.txt, the environment's proxies. */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <cmocka.h>

#include "base/error.h"
#include "base/http_inside.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))

/* ---- URLs ---------------------------------------------------------------------------------------------------------------- */

static void urls_are_taken_apart(void **state) {
    (void)state;
    static const struct { const char *url, *host; int port; const char *path; } good[] = {
        { "http://example.com", "example.com", 80, "" },
        { "HTTPS://Example.COM/A?b#c", "example.com", 443, "/A?b#c" },
        { "http://example.com:8080?q", "example.com", 8080, "?q" },
        { "http://example.com#top", "example.com", 80, "" },
        { "http://example.com:/x", "example.com", 80, "/x" },
        { "http://example.com./x", "example.com", 80, "/x" },
        { "http://a_b.example.com/ x", "a_b.example.com", 80, "/ x" },
        { "http://b\xc3\xbc" "cher.example/", "b\xc3\xbc" "cher.example", 80, "/" },
        { "http://[::1]:81/", "::1", 81, "/" },
        { "https://[2001:DB8:0:0::1]/", "2001:db8::1", 443, "/" },
        { "http://1.2.3.4/", "1.2.3.4", 80, "/" },
        { "http://127.1/", "127.0.0.1", 80, "/" },
        { "http://0x7f000001/", "127.0.0.1", 80, "/" },
        { "http://2130706433/", "127.0.0.1", 80, "/" },
        { "http://0177.0.0.01/", "127.0.0.1", 80, "/" },
        { "http://127.0.0.1./", "127.0.0.1", 80, "/" },
        { "http://x/a@b:c\\d", "x", 80, "/a@b:c\\d" },
    };
    for (size_t i = 0; i < COUNT(good); i++) {
        http_url u;
        if (!http_url_read(good[i].url, &u)) fail_msg("%s was refused", good[i].url);
        assert_string_equal(u.host, good[i].host);
        assert_int_equal(u.port, good[i].port);
        assert_string_equal(u.path, good[i].path);
        assert_int_equal(u.tls, strncasecmp(good[i].url, "https", 5) == 0);
    }
}

static void other_urls_are_refused(void **state) {
    (void)state;
    static const char *const bad[] = {
        "", "http:", "http:/x", "http://", "http:///x", "http://?x", "//example.com/", "example.com", "/x", " http://example.com/",
        "file:///etc/passwd", "ftp://example.com/", "httpx://example.com/", "javascript:alert(1)", "data:image/png;base64,AA",
        "http://user@example.com/", "http://user:pass@example.com/", "http://127.0.0.1\\@example.com/", "http://example.com\\x",
        "http://exa mple.com/", "http://example.com\t/", "http://example.com/\r\nHost: x", "http://example.com/\x7f", "http://%31.2.3.4/",
        "http://.example.com/", "http://a..b/", "http://./", "http://1.2.3.4.5/", "http://1.2.3.256/", "http://09.0.0.1/", "http://4294967296/",
        "http://example.com:0/", "http://example.com:65536/", "http://example.com:80x/", "http://example.com:-1/", "http://example.com:000080/",
        "http://[::1/", "http://[::1]x/", "http://[fe80::1%25eth0]/", "http://[127.0.0.1]/", "http://[]/", "http://::1/", "http://a:b:80/",
        "http://ex<ample>.com/", "http://a,b/", "http://a!b/",
    };
    for (size_t i = 0; i < COUNT(bad); i++) {
        http_url u;
        if (http_url_read(bad[i], &u)) fail_msg("%s was taken, as host %s", bad[i], u.host);
    }
    http_url u;
    char *url = malloc(HTTP_URL_MOST + 2);
    memset(url, 'x', HTTP_URL_MOST + 1);
    memcpy(url, "http://x/", 9);
    url[HTTP_URL_MOST + 1] = 0;
    assert_false(http_url_read(url, &u));
    url[HTTP_URL_MOST] = 0;
    assert_true(http_url_read(url, &u));
    memset(url + 7, 'y', 254);      /* a name of 254 bytes, then of 253 */
    url[7 + 254] = '/';
    assert_false(http_url_read(url, &u));
    url[7 + 253] = '/';
    assert_true(http_url_read(url, &u));
    free(url);
}

static void urls_are_sent_in_ascii(void **state) {
    (void)state;
    static const struct { const char *url, *sent; } cases[] = {
        { "http://x", "http://x" },
        { "http://x/a b?c d#e f", "http://x/a%20b?c%20d" },
        { "http://b\xc3\xbc/\xc3\xbc%20%c3", "http://b\xc3\xbc/%C3%BC%20%c3" },
        { "http://x#y", "http://x" },
        { "http://x?\xff", "http://x?%FF" },
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        text t = { 0 };
        http_url_encode(&t, cases[i].url);
        assert_string_equal(t.data, cases[i].sent);
        text_free(&t);
    }
}

/* ---- addresses ------------------------------------------------------------------------------------------------------------- */

static void private_addresses_are_known(void **state) {
    (void)state;
    static const struct { const char *address; bool private; } cases[] = {
        { "0.0.0.0", 1 }, { "0.255.255.255", 1 }, { "1.0.0.0", 0 }, { "9.255.255.255", 0 }, { "10.0.0.0", 1 }, { "10.255.255.255", 1 }, { "11.0.0.0", 0 },
        { "100.63.255.255", 0 }, { "100.64.0.0", 1 }, { "100.127.255.255", 1 }, { "100.128.0.0", 0 }, { "126.255.255.255", 0 }, { "127.0.0.1", 1 },
        { "127.255.255.255", 1 }, { "128.0.0.0", 0 }, { "169.253.255.255", 0 }, { "169.254.0.0", 1 }, { "169.254.169.254", 1 }, { "169.255.0.0", 0 },
        { "168.63.129.15", 0 }, { "168.63.129.16", 1 }, { "168.63.129.17", 0 },
        { "172.15.255.255", 0 }, { "172.16.0.0", 1 }, { "172.31.255.255", 1 }, { "172.32.0.0", 0 }, { "191.255.255.255", 0 }, { "192.0.0.8", 1 },
        { "192.0.0.255", 1 }, { "192.0.1.0", 0 }, { "192.0.2.1", 1 }, { "192.0.3.0", 0 }, { "192.88.99.1", 1 }, { "192.167.255.255", 0 },
        { "192.168.0.0", 1 }, { "192.168.255.255", 1 }, { "192.169.0.0", 0 }, { "198.17.255.255", 0 }, { "198.18.0.0", 1 }, { "198.19.255.255", 1 },
        { "198.20.0.0", 0 }, { "198.51.100.7", 1 }, { "198.51.101.0", 0 }, { "203.0.113.9", 1 }, { "203.0.114.0", 0 }, { "223.255.255.255", 0 },
        { "224.0.0.1", 1 }, { "239.255.255.255", 1 }, { "240.0.0.1", 1 }, { "255.255.255.255", 1 }, { "8.8.8.8", 0 },
        { "::", 1 }, { "::1", 1 }, { "::7f00:1", 1 }, { "::ffff:127.0.0.1", 1 }, { "::ffff:10.1.2.3", 1 }, { "::ffff:8.8.8.8", 0 }, { "::fffe:8.8.8.8", 1 },
        { "64:ff9b::127.0.0.1", 1 }, { "64:ff9b::a9fe:a9fe", 1 }, { "64:ff9b::8.8.8.8", 0 }, { "64:ff9b:1::1", 1 }, { "100::1", 1 },
        { "2002:7f00:1::1", 1 }, { "2002:c0a8:1::1", 1 }, { "2002:808:808::1", 0 }, { "2001::1", 1 }, { "2001:1ff::1", 1 }, { "2001:200::1", 0 },
        { "2001:db8::1", 1 }, { "2001:db7:ffff::1", 0 }, { "2001:db9::1", 0 }, { "2001:4860:4860::8888", 0 }, { "2606:4700::1111", 0 },
        { "3ffe:ffff::1", 0 }, { "3fff::1", 1 }, { "3fff:0fff::1", 1 }, { "3fff:1000::1", 0 }, { "4000::1", 1 }, { "5f00::1", 1 }, { "1fff::1", 1 },
        { "fc00::1", 1 }, { "fd00:ec2::254", 1 }, { "fe80::1", 1 }, { "fec0::1", 1 }, { "ff02::1", 1 },
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        uint8_t bytes[16];
        bool four = !strchr(cases[i].address, ':');
        assert_int_equal(inet_pton(four ? AF_INET : AF_INET6, cases[i].address, bytes), 1);
        if (http_address_private(bytes, four ? 4 : 16) != cases[i].private) fail_msg("%s", cases[i].address);
        if (http_host_private(cases[i].address) != cases[i].private) fail_msg("%s as a host", cases[i].address);
    }
    assert_true(http_address_private((const uint8_t *)"\x08\x08\x08", 3));
    assert_true(http_address_private(NULL, 0));
    assert_true(http_host_private("localhost"));
    assert_true(http_host_private("a.localhost"));
    assert_true(http_host_private("\xef\xbd\x8c" "ocalhost"));   /* a wide l: a small one, once it is asked for */
    assert_false(http_host_private("localhost.example.com"));
    assert_false(http_host_private("mylocalhost"));
}

/* ---- headers ---------------------------------------------------------------------------------------------------------------- */

static void opting_out_is_understood(void **state) {
    (void)state;
    static const struct { const char *name, *value; bool out; } cases[] = {
        { "X-Robots-Tag", "noai", 1 }, { "x-robots-tag", "NoAI", 1 }, { "X-Robots-Tag", "noimageai", 1 }, { "X-Robots-Tag", "noindex", 1 },
        { "X-Robots-Tag", "noimageindex", 1 }, { "X-Robots-Tag", "none", 1 }, { "X-Robots-Tag", "nofollow", 0 }, { "X-Robots-Tag", "all", 0 },
        { "X-Robots-Tag", "", 0 }, { "X-Robots-Tag", " nofollow , noai ", 1 }, { "X-Robots-Tag", "noarchive, nosnippet", 0 },
        { "X-Robots-Tag", "noaix", 0 }, { "X-Robots-Tag", "xnoai", 0 }, { "X-Robots-Tag", "noai noimageai", 1 }, { "X-Robots-Tag", "nofollow; noai", 1 },
        { "X-Robots-Tag", "googlebot: noindex", 0 }, { "X-Robots-Tag", "googlebot: nofollow, noindex", 0 }, { "X-Robots-Tag", "mien: noindex", 1 },
        { "X-Robots-Tag", "MIEN : noindex", 1 }, { "X-Robots-Tag", "mien/0.1: noai", 1 }, { "X-Robots-Tag", "mienbot: noai", 0 }, { "X-Robots-Tag", "*: noai", 1 },
        { "X-Robots-Tag", "googlebot: nofollow, mien: noai", 1 }, { "X-Robots-Tag", "mien: nofollow, googlebot: noai", 0 },
        { "X-Robots-Tag", "noai, googlebot: all", 1 }, { "X-Robots-Tag", "googlebot:noindex", 0 }, { "X-Robots-Tag", "mien:noindex", 1 },
        { "X-Robots-Tag", "max-snippet: 0, noai", 1 }, { "X-Robots-Tag", "max-image-preview: none", 0 }, { "X-Robots-Tag", "max-image-preview:none, nofollow", 0 },
        { "X-Robots-Tag", "unavailable_after: 25 Jun 2010 15:00:00 PST", 0 }, { "X-Robots-Tag", "unavailable_after: 25 Jun 2010 15:00:00 PST, noai", 1 },
        { "X-Robots-Tag", "unavailable_after: Friday, 25-Jun-10 15:00:00 PST, noindex", 1 }, { "X-Robots-Tag", ":::noai", 0 }, { "X-Robots-Tag", ",,;; ,noai", 1 },
        { "tdm-reservation", "1", 1 }, { "TDM-Reservation", " 1 ", 1 }, { "tdm-reservation", "0", 0 }, { "tdm-reservation", "", 0 }, { "tdm-reservation", "10", 0 },
        { "tdm-reservation", "1;x", 1 }, { "tdm-policy", "1", 0 }, { "robots", "noai", 0 }, { "", "noai", 0 },
    };
    for (size_t i = 0; i < COUNT(cases); i++)
        if (http_header_opts_out(cases[i].name, cases[i].value) != cases[i].out) fail_msg("%s: %s", cases[i].name, cases[i].value);
}

static void retry_after_is_understood(void **state) {
    (void)state;
    const int64_t now = 784111777;   /* Sun, 06 Nov 1994 08:49:37 GMT */
    static const struct { const char *value; double seconds; } cases[] = {
        { "0", 0 }, { "120", 120 }, { " 7 ", 7 }, { "99999999999999999999999999", 1e9 }, { "", -1 }, { "-1", -1 }, { "1.5", -1 }, { "12x", -1 }, { "soon", -1 },
        { "Sun, 06 Nov 1994 08:49:37 GMT", 0 }, { "Sun, 06 Nov 1994 08:50:37 GMT", 60 }, { "Sunday, 06-Nov-94 09:49:37 GMT", 3600 },
        { "Sun Nov  6 08:49:40 1994", 3 }, { "Mon, 07 Nov 1994 08:49:37 GMT", 86400 }, { "Fri, 31 Dec 1993 23:59:59 GMT", 0 },
        { "Tue, 29 Feb 2000 00:00:00 GMT", 951782400 - 784111777.0 }, { "Wed, 01 Mar 2000 00:00:00 GMT", 951868800 - 784111777.0 },
        { "Sun, 06 Nov 1994", -1 }, { "Sun, 06 Foo 1994 08:49:37 GMT", -1 }, { "Sun, 00 Nov 1994 08:49:37 GMT", -1 }, { "Sun, 06 Nov 1994 24:49:37 GMT", -1 },
        { "Sun, 06 Nov 99999999999 08:49:37 GMT", -1 }, { "Sun,", -1 }, { "Sun, 06", -1 }, { "Nov", -1 }, { "Sun Nov", -1 },
    };
    for (size_t i = 0; i < COUNT(cases); i++)
        if (http_retry_after(cases[i].value, now) != cases[i].seconds) fail_msg("%s: %g", cases[i].value, http_retry_after(cases[i].value, now));
}

static void read_head(http_head *head, const char *lines) {
    http_head_begin(head);
    while (*lines) {
        size_t n = strcspn(lines, "\n");
        n += lines[n] == '\n';
        http_head_line(head, lines, n, 0);
        lines += n;
    }
}

static void headers_are_read(void **state) {
    (void)state;
    http_head head = { 0 };
    read_head(&head, "HTTP/1.1 301 Moved\r\nlocation:  /x y \r\nLocation: /second\r\nCONTENT-TYPE: text/html\x1b[2J\r\nContent-Length: 12\r\nRetry-After: 5\r\n"
                     "X-Robots-Tag: nofollow\r\nX-Robots-Tag: noai\r\n\r\nHTTP/1.1 200 trailer\r\nRetry-After: 9\r\n");
    assert_int_equal(head.status, 301);
    assert_true(head.complete);
    assert_string_equal(head.location.data, "/x y");
    assert_string_equal(head.content_type, "text/html\\x1b[2J");
    assert_int_equal(head.content_length, 12);
    assert_true(head.retry_after == 5);
    assert_true(head.opted_out);

    /* An interim answer is forgotten. */
    read_head(&head, "HTTP/1.1 103 Early Hints\r\nLocation: /hint\r\ntdm-reservation: 1\r\nContent-Type: x\r\n\r\nHTTP/2 200\r\n");
    assert_int_equal(head.status, 200);
    assert_false(head.complete);
    assert_int_equal(head.location.size, 0);
    assert_string_equal(head.content_type, "");
    assert_true(head.content_length == UINT64_MAX);
    assert_true(head.retry_after < 0);
    assert_false(head.opted_out);
    assert_int_equal(head.bytes, strlen("HTTP/1.1 103 Early Hints\r\nLocation: /hint\r\ntdm-reservation: 1\r\nContent-Type: x\r\n\r\nHTTP/2 200\r\n"));

    static const struct { const char *lines; int status; } odd[] = {
        { "HTTP/1.1\r\n", 0 }, { "HTTP/1.1 2\r\n", 0 }, { "HTTP/1.1 2xx\r\n", 0 }, { "HTTP/1.1  404\r\n", 404 }, { "HTTP/1.1 200", 200 }, { "\r\n", 0 }, { "no colon\r\n", 0 },
    };
    for (size_t i = 0; i < COUNT(odd); i++) {
        read_head(&head, odd[i].lines);
        assert_int_equal(head.status, odd[i].status);
    }
    read_head(&head, "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999999\r\nContent-Length:\r\nContent-Length: -1\r\nContent-Length: 1x\r\n");
    assert_true(head.content_length == UINT64_MAX);
    text_free(&head.location);
}

/* ---- robots.txt ----------------------------------------------------------------------------------------------------------------- */

static void robots_txt_is_obeyed(void **state) {
    (void)state;
    static const struct { const char *text, *path; bool allowed; } cases[] = {
        { "", "/", 1 },
        { "User-agent: *\nDisallow: /", "/x", 0 },
        { "User-agent: *\nDisallow:", "/x", 1 },
        { "user-AGENT:*\r\nDISALLOW : /a # all of it\r\n", "/ab", 0 },
        { "User-agent: *\rDisallow: /a\rAllow: /a/b\r", "/a/b/c", 1 },
        { "User-agent: *\nAllow: /a/b\nDisallow: /a\n", "/a/c", 0 },
        { "User-agent: *\nDisallow: /a\nAllow: /a\n", "/a", 1 },             /* a tie: allowed */
        { "User-agent: *\nAllow: /a\nDisallow: /a\n", "/a", 1 },
        { "User-agent: *\nDisallow: /a/*/c\n", "/a/b/c", 0 },
        { "User-agent: *\nDisallow: /a/*/c\n", "/a/c", 1 },
        { "User-agent: *\nDisallow: /*.jpg$\n", "/x.jpg", 0 },
        { "User-agent: *\nDisallow: /*.jpg$\n", "/x.jpg?y", 1 },
        { "User-agent: *\nDisallow: /*.jpg\n", "/x.jpg?y", 0 },
        { "User-agent: *\nDisallow: *.gif\n", "/a/x.gif", 0 },
        { "User-agent: *\nDisallow: /a$\n", "/a", 0 },
        { "User-agent: *\nDisallow: /a$\n", "/ab", 1 },
        { "User-agent: *\nDisallow: /$\n", "/", 0 },
        { "User-agent: *\nDisallow: /$\n", "/x", 1 },
        { "User-agent: *\nDisallow: /$\n", "", 0 },                          /* no path is / */
        { "User-agent: *\nDisallow: /?q\n", "?q=1", 0 },
        { "User-agent: *\nDisallow: *a*a*a*b$\n", "/aaaaaaaaaaaaaaaaaaaaaa", 1 },
        { "User-agent: *\nDisallow: /**x\n", "/abx", 0 },
        { "User-agent: *\nDisallow: /x*$\n", "/xyz", 0 },
        { "User-agent: *\nDisallow: /ab*ab$\n", "/ab", 1 },                  /* the end may not be used twice */
        { "User-agent: *\nDisallow: a\n", "/a", 1 },                         /* no path */
        { "User-agent: *\nDisallow: /a\n", "/A", 1 },
        { "User-agent: *\nDisallow: /a\n", "/x#/a", 1 },
        { "User-agent: mien\nDisallow: /\n", "/x", 0 },
        { "User-agent: Mien/2.0\nDisallow: /\n", "/x", 0 },
        { "User-agent: mienbot\nDisallow: /\n", "/x", 1 },
        { "User-agent: mi\nDisallow: /\n", "/x", 1 },
        { "User-agent: other\nDisallow: /\n", "/x", 1 },
        { "User-agent: *\nDisallow: /\n\nUser-agent: mien\nAllow: /\n", "/x", 1 },     /* ours alone counts */
        { "User-agent: mien\nDisallow: /a\n\nUser-agent: *\nDisallow: /\n", "/x", 1 },
        { "User-agent: *\nDisallow: /\n\nUser-agent: mien\n", "/x", 1 },
        { "User-agent: mien\nUser-agent: other\nDisallow: /\n", "/x", 0 },             /* a group of two */
        { "User-agent: mien\nDisallow: /a\nUser-agent: x\nDisallow: /b\nUser-agent: mien\nDisallow: /c\n", "/c", 0 },   /* two groups of one */
        { "User-agent: mien\nDisallow: /a\nUser-agent: x\nDisallow: /b\nUser-agent: mien\nDisallow: /c\n", "/b", 1 },
        { "User-agent: mien\nSitemap: x\nCrawl-delay: 3\nDisallow: /a\n", "/a", 0 },   /* what is not known ends no group */
        { "Disallow: /\n", "/x", 1 },                                        /* of no group */
        { "\xef\xbb\xbfUser-agent: *\nDisallow: /\n", "/x", 0 },
        { "<html><body>User-agent: *</body></html>", "/x", 1 },
        { "User-agent: *\nDisallow: /foo/bar?baz=%68ttp%3A\n", "/foo/bar?baz=http%3a", 0 },
        { "User-agent: *\nDisallow: /foo/\xe3\x83\x84\n", "/foo/%E3%83%84", 0 },
        { "User-agent: *\nDisallow: /foo/%E3%83%84\n", "/foo/\xe3\x83\x84", 0 },
        { "User-agent: *\nDisallow: /%62%61%7a\n", "/baz", 0 },
        { "User-agent: *\nDisallow: /a%2Fb\n", "/a/b", 1 },                  /* another path */
        { "User-agent: *\nDisallow: /with-a-%2A.html\n", "/with-a-*.html", 0 },
        { "User-agent: *\nDisallow: /with-a-%24\n", "/with-a-$", 0 },
        { "User-agent: *\nDisallow: /100%\n", "/100%", 0 },
    };
    for (size_t i = 0; i < COUNT(cases); i++)
        if (http_robots_allow(cases[i].text, strlen(cases[i].text), "mien", cases[i].path) != cases[i].allowed) fail_msg("%s: %s", cases[i].path, cases[i].text);
    assert_true(http_robots_allow("User-agent: *\nDisallow: /x", 26, "mien", "/x/y") == false);
    assert_true(http_robots_allow("User-agent: *\nDisallow: /x", 25, "mien", "/z") == false);   /* cut: "/" */
    assert_true(http_robots_allow(NULL, 0, "mien", "/"));
}

/* A file of patterns that backtracking would never come to the end of. */
static void hostile_robots_txt_takes_no_time(void **state) {
    (void)state;
    text t = { 0 };
    text_add(&t, "User-agent: *\n");
    while (t.size < 500000) text_add(&t, "Disallow: /*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*ab$\n");
    char *path = malloc(HTTP_URL_MOST + 1);
    memset(path, 'a', HTTP_URL_MOST);
    path[0] = '/';
    path[HTTP_URL_MOST] = 0;
    assert_true(http_robots_allow(t.data, t.size, "mien", path));
    free(path);
    text_free(&t);
}

/* ---- proxies ---------------------------------------------------------------------------------------------------------------------- */

static void no_proxy_is_understood(void **state) {
    (void)state;
    static const struct { const char *list, *host; bool named; } cases[] = {
        { "", "a.com", 0 }, { "*", "a.com", 1 }, { "a.com", "a.com", 1 }, { "a.com", "x.a.com", 1 }, { ".a.com", "x.a.com", 1 }, { ".a.com", "a.com", 1 },
        { "a.com", "xa.com", 0 }, { "a.com", "a.com.x", 0 }, { "b.com, A.COM", "a.com", 1 }, { "b.com a.com", "a.com", 1 }, { "b.com,,", "a.com", 0 },
        { "10.0.0.0/8", "10.1.2.3", 1 }, { "10.0.0.0/8", "11.0.0.1", 0 }, { "10.0.0.0/33", "10.0.0.1", 0 }, { "10.0.0.0/x", "10.0.0.1", 0 },
        { "192.168.0.128/25", "192.168.0.129", 1 }, { "192.168.0.128/25", "192.168.0.127", 0 }, { "127.0.0.1", "127.0.0.1", 1 }, { "127.0.0.1", "127.0.0.2", 0 },
        { "::1", "::1", 1 }, { "[::1]", "::1", 1 }, { "fd00::/8", "fd12::1", 1 }, { "fd00::/8", "2001::1", 0 }, { "0.0.0.0/0", "8.8.8.8", 1 }, { ".", "a.com", 0 },
    };
    for (size_t i = 0; i < COUNT(cases); i++)
        if (http_proxy_unneeded(cases[i].list, cases[i].host) != cases[i].named) fail_msg("%s in \"%s\"", cases[i].host, cases[i].list);
}

static void proxies_come_from_the_environment(void **state) {
    (void)state;
    static const char *const names[] = { "http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", "no_proxy", "NO_PROXY" };
    for (size_t i = 0; i < COUNT(names); i++) unsetenv(names[i]);
    http_proxies p;
    http_url plain, tls, inside;
    assert_true(http_url_read("http://a.com/", &plain) && http_url_read("https://a.com/", &tls) && http_url_read("http://x.inside/", &inside));
    assert_int_equal(http_proxies_read(&p), 0);
    assert_null(http_proxy_for(&p, &plain));
    http_proxies_free(&p);

    setenv("HTTP_PROXY", "http://cgi:1", 1);      /* is not looked at */
    setenv("HTTPS_PROXY", "http://b:2", 1);
    setenv("no_proxy", "inside", 1);
    assert_int_equal(http_proxies_read(&p), 0);
    assert_null(http_proxy_for(&p, &plain));
    assert_string_equal(http_proxy_for(&p, &tls), "http://b:2");
    http_proxies_free(&p);

    setenv("all_proxy", "socks5://c:3", 1);
    assert_int_equal(http_proxies_read(&p), 0);
    assert_string_equal(http_proxy_for(&p, &plain), "socks5://c:3");
    assert_null(http_proxy_for(&p, &inside));
    http_proxies_free(&p);
    for (size_t i = 0; i < COUNT(names); i++) unsetenv(names[i]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(urls_are_taken_apart),
        cmocka_unit_test(other_urls_are_refused),
        cmocka_unit_test(urls_are_sent_in_ascii),
        cmocka_unit_test(private_addresses_are_known),
        cmocka_unit_test(opting_out_is_understood),
        cmocka_unit_test(retry_after_is_understood),
        cmocka_unit_test(headers_are_read),
        cmocka_unit_test(robots_txt_is_obeyed),
        cmocka_unit_test(hostile_robots_txt_takes_no_time),
        cmocka_unit_test(no_proxy_is_understood),
        cmocka_unit_test(proxies_come_from_the_environment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
