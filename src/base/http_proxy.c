/* SPDX-License-Identifier: Apache-2.0
 *
 * Read here and not by libcurl, because what is refused depends on whether a proxy is asked. */
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/error.h"
#include "base/http_inside.h"

/* The first of these variables that is set to something, copied; NULL if none is. */
static int read_first(const char *const *names, char **out) {
    for (; *names; names++) {
        const char *value = getenv(*names);
        if (!value || !*value) continue;
        *out = strdup(value);
        return *out ? 0 : error_memory(strlen(value) + 1);
    }
    *out = NULL;
    return 0;
}

int http_proxies_read(http_proxies *out) {
    *out = (http_proxies){ 0 };
    /* No HTTP_PROXY: a web server's CGI programs get that from whoever sends a header "Proxy". */
    int rc = read_first((const char *const[]){ "http_proxy", "all_proxy", "ALL_PROXY", NULL }, &out->plain);
    if (rc == 0) rc = read_first((const char *const[]){ "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", NULL }, &out->tls);
    if (rc == 0) rc = read_first((const char *const[]){ "no_proxy", "NO_PROXY", NULL }, &out->none);
    if (rc < 0) http_proxies_free(out);
    return rc;
}

void http_proxies_free(http_proxies *p) {
    free(p->plain);
    free(p->tls);
    free(p->none);
    *p = (http_proxies){ 0 };
}

/* "10.0.0.0/8", "fd00::/8", or an address without a length. */
static bool in_range(const char *range, const char *host) {
    char net[64];
    const char *slash = strchr(range, '/');
    size_t size = slash ? (size_t)(slash - range) : strlen(range);
    uint8_t a[16], b[16];
    if (size >= sizeof net) return false;
    memcpy(net, range, size);
    net[size] = 0;
    int family = strchr(net, ':') ? AF_INET6 : AF_INET;
    if (inet_pton(family, net, a) != 1 || inet_pton(family, host, b) != 1) return false;
    long bits = family == AF_INET ? 32 : 128;
    if (slash) {
        char *end;
        long n = strtol(slash + 1, &end, 10);
        if (end == slash + 1 || *end || n < 0 || n > bits) return false;
        bits = n;
    }
    size_t whole = (size_t)bits / 8;
    return memcmp(a, b, whole) == 0 && (bits % 8 == 0 || (a[whole] ^ b[whole]) >> (8 - bits % 8) == 0);
}

static bool in_domain(const char *domain, size_t size, const char *host) {
    while (size && domain[0] == '.') domain++, size--;
    while (size && domain[size - 1] == '.') size--;
    size_t whole = strlen(host);
    if (size == 0 || size > whole || strncasecmp(host + whole - size, domain, size)) return false;
    return size == whole || host[whole - size - 1] == '.';
}

bool http_proxy_unneeded(const char *list, const char *host) {
    for (;;) {
        list += strspn(list, ", \t");
        size_t size = strcspn(list, ", \t");
        if (size == 0) return false;
        char item[300];
        if (size < sizeof item) {
            memcpy(item, list, size);
            item[size] = 0;
            size_t length = size;
            char *name = item;
            if (*name == '[' && name[length - 1] == ']') name[length - 1] = 0, name++, length -= 2;
            if (strcmp(item, "*") == 0 || in_range(name, host) || in_domain(name, length, host)) return true;
        }
        list += size;
    }
}

const char *http_proxy_for(const http_proxies *p, const http_url *url) {
    const char *proxy = url->tls ? p->tls : p->plain;
    return proxy && !(p->none && http_proxy_unneeded(p->none, url->host)) ? proxy : NULL;
}
