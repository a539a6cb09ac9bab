/* SPDX-License-Identifier: Apache-2.0
 *
 * URLs from hostile bytes: what is taken is sent in plain ASCII, and read again it is the same host, port and scheme. */
#include <stdlib.h>
#include <string.h>

#include "base/http_inside.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char *url = malloc(size + 1);
    http_url u, v;
    if (!url) abort();
    memcpy(url, data, size);
    url[size] = 0;
    http_host_private(url);
    http_proxy_unneeded(url, "10.1.2.3");
    http_proxy_unneeded("10.0.0.0/8 example.com", url);
    if (http_url_read(url, &u)) {
        if (!*u.host || u.port < 1 || u.port > 65535 || u.path < url || u.path > url + strlen(url)) abort();
        http_host_private(u.host);
        text sent = { 0 };
        http_url_encode(&sent, url);
        if (text_check(&sent) < 0) abort();
        /* Encoded, it may have grown beyond the limit. */
        if (sent.size <= HTTP_URL_MOST && (!http_url_read(sent.data, &v) || strcmp(u.host, v.host) || u.port != v.port || u.tls != v.tls)) abort();
        for (const char *c = strpbrk(sent.data + 8, "/?"); c && *c; c++)
            if (*c <= 0x20 || *c >= 0x7f) abort();
        text_free(&sent);
    }
    free(url);
    return 0;
}
