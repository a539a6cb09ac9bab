/* SPDX-License-Identifier: Apache-2.0 */
#include <dlfcn.h>
#include <pthread.h>
#include <string.h>

#include "base/error.h"
#include "base/http_curl.h"

/* One for the process, because its initialisation is; it stays until the process ends. */
static http_library curl;
static char why[256];
static pthread_once_t once = PTHREAD_ONCE_INIT;

enum { OLDEST = 0x075000 };   /* 7.80.0: CURLOPT_PREREQFUNCTION */

static void open_library(void) {
    static const char *const names[] = { "libcurl.so.4", "libcurl-gnutls.so.4" };
    void *library = NULL;
    for (size_t i = 0; i < sizeof names / sizeof *names && !library; i++) library = dlopen(names[i], RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (!library) {
        error_set(ERR_UNSUPPORTED, "libcurl is needed for HTTP and cannot be opened: %s", dlerror());
        goto failed;
    }
#define FIND(f)                                                            \
    if (!(curl.f = (__typeof__(curl.f))dlsym(library, "curl_" #f))) {      \
        error_set(ERR_UNSUPPORTED, "libcurl has no curl_" #f);             \
        goto failed;                                                       \
    }
    HTTP_CURL_FUNCTIONS(FIND)
    const curl_version_info_data *v = curl.version_info(CURLVERSION_NOW);
    CURLcode rc;
    if (v->version_num < OLDEST) error_set(ERR_UNSUPPORTED, "libcurl is %s: 7.80 or later is needed", v->version);
    else if ((rc = curl.global_init(CURL_GLOBAL_DEFAULT))) error_set(ERR_UNSUPPORTED, "libcurl: %s", curl.easy_strerror(rc));
    else return;
failed:
    strncpy(why, error_message(), sizeof why - 1);
}

const http_library *http_library_open(void) {
    pthread_once(&once, open_library);
    if (!*why) return &curl;
    error_set(ERR_UNSUPPORTED, "%s", why);
    return NULL;
}
