/* SPDX-License-Identifier: Apache-2.0 */
#include <arpa/inet.h>
#include <string.h>
#include <strings.h>

#include "base/http_inside.h"

static bool is_digit(char c) { return c >= '0' && c <= '9'; }
static char lower(char c) { return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c; }

/* Letters, digits, -._~ and what is not ASCII. Whatever else might be read in two ways is refused: %, \, spaces, and @. */
static bool host_byte(char c) {
    return is_digit(c) || (lower(c) >= 'a' && lower(c) <= 'z') || c == '-' || c == '.' || c == '_' || c == '~' || (unsigned char)c >= 0x80;
}

/* Says with *is whether a host ends as an IPv4 address does (a last label of digits, or 0x...); such a one must be one, in
 * any of the forms that libcurl and the C library take, and then is rewritten as four numbers. */
static bool read_numbers(char *host, size_t room) {
    const char *last = strrchr(host, '.');
    last = last ? last + 1 : host;
    bool hex = last[0] == '0' && last[1] == 'x';
    if (!hex && strspn(last, "0123456789") != strlen(last)) return true;
    if (hex && strspn(last + 2, "0123456789abcdef") != strlen(last + 2)) return true;
    struct in_addr address;
    return inet_aton(host, &address) && inet_ntop(AF_INET, &address, host, (socklen_t)room);
}

static bool read_name(const char *from, size_t size, char *host, size_t room) {
    if (size && from[size - 1] == '.') size--;
    if (size == 0 || size > 253 || size >= room || from[0] == '.') return false;
    for (size_t i = 0; i < size; i++) {
        if (!host_byte(from[i]) || (i && from[i] == '.' && from[i - 1] == '.')) return false;
        host[i] = lower(from[i]);
    }
    host[size] = 0;
    return host[size - 1] != '.' && read_numbers(host, room);
}

static bool read_ipv6(const char *from, size_t size, char *host, size_t room) {
    char text[64];
    struct in6_addr address;
    if (size >= sizeof text) return false;
    memcpy(text, from, size);
    text[size] = 0;
    return strlen(text) == size && inet_pton(AF_INET6, text, &address) == 1 && inet_ntop(AF_INET6, &address, host, (socklen_t)room);
}

/* ":8080", ":" or nothing. */
static bool read_port(const char *from, size_t size, int *port) {
    if (size == 0) return true;
    if (*from != ':' || size > 6) return false;
    int n = 0;
    for (size_t i = 1; i < size; i++) {
        if (!is_digit(from[i])) return false;
        n = n * 10 + (from[i] - '0');
    }
    if (size > 1) *port = n;
    return *port >= 1 && *port <= 65535;
}

bool http_url_read(const char *url, http_url *out) {
    size_t size = strnlen(url, HTTP_URL_MOST + 1), scheme;
    if (size > HTTP_URL_MOST) return false;
    for (size_t i = 0; i < size; i++)
        if ((unsigned char)url[i] < 0x20 || url[i] == 0x7f) return false;
    http_url u = { 0 };
    if (strncasecmp(url, "http://", 7) == 0) scheme = 7, u.port = 80;
    else if (strncasecmp(url, "https://", 8) == 0) scheme = 8, u.port = 443, u.tls = true;
    else return false;

    const char *authority = url + scheme;
    const char *end = authority + strcspn(authority, "/?#");
    const char *host = authority, *rest;      /* rest: the port */
    bool good;
    if (*authority == '[') {
        const char *close = memchr(authority, ']', (size_t)(end - authority));
        if (!close) return false;
        rest = close + 1;
        good = read_ipv6(host + 1, (size_t)(close - host) - 1, u.host, sizeof u.host);
    } else {
        rest = memchr(authority, ':', (size_t)(end - authority));
        if (!rest) rest = end;
        good = read_name(host, (size_t)(rest - host), u.host, sizeof u.host);
    }
    if (!good || !read_port(rest, (size_t)(end - rest), &u.port)) return false;
    u.path = *end == '#' ? url + size : end;
    *out = u;
    return true;
}

void http_url_encode(text *out, const char *url) {
    static const char hex[] = "0123456789ABCDEF";
    const char *path = strstr(url, "://") + 3;
    path += strcspn(path, "/?#");
    size_t head = (size_t)(path - url), rest = strcspn(path, "#");
    char *to = text_room(out, head + 3 * rest), *begin = to;
    if (!to) return;
    memcpy(to, url, head);
    to += head;
    for (size_t i = 0; i < rest; i++) {
        unsigned char c = (unsigned char)path[i];
        if (c <= 0x20 || c >= 0x7f) *to++ = '%', *to++ = hex[c >> 4], *to++ = hex[c & 15];
        else *to++ = (char)c;
    }
    text_grown(out, (size_t)(to - begin));
}
