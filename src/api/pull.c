/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "mien.h"
#include "weights/pull.h"

int mien_pull_model_at(size_t i, mien_pull_model *out) {
    if (i >= pull_count()) return error_set(ERR_USAGE, "there are %zu models", pull_count());
    const pull_model *m = pull_at(i);
    *out = (mien_pull_model){
        .name = m->name, .title = m->title, .url = m->url, .size = m->size, .sha256 = m->sha256, .source = m->source, .licence = m->licence,
        .licence_url = m->licence_url, .restricted = m->restricted, .note = m->note, .base = m->base,
    };
    return 0;
}

int mien_pull_find(const char *name, char path[MIEN_PATH]) { return pull_find(name, path); }

mien_pull_options mien_pull_defaults(void) {
    return (mien_pull_options){ .retries = 5, .retry_seconds = 1, .connect_seconds = 20, .stall_seconds = 60 };
}

static void tell(void *context, const pull_progress *p) {
    const mien_hooks *hooks = context;
    if (!hooks->progress) return;
    hooks->progress(hooks->context, &(mien_progress){
        .total = p->total, .done = p->now, .skipped = p->before, .seconds = p->seconds, .n_counts = 1, .count = { { "checked", p->checked } },
    });
}

static void say(void *context, const char *line) {
    const mien_hooks *hooks = context;
    if (hooks->log) hooks->log(hooks->context, MIEN_LOG_WARNING, NULL, line);
}

static int unknown(const char *name) {
    char list[256] = "";
    for (size_t i = 0; i < pull_count(); i++) snprintf(list + strlen(list), sizeof list - strlen(list), "%s%s", i ? ", " : "", pull_at(i)->name);
    return error_set(ERR_USAGE, "%s: is neither a known model (%s) nor a URL", name, list);
}

/* The URL and the folder of what is asked for. */
static int choose(const mien_pull_options *o, const pull_model *m, char *url, size_t room, char folder[PATH_MAX]) {
    int n, rc = 0;
    if (!m) {
        if (!strstr(o->name, "://")) return unknown(o->name);
        if (o->url_base) return error_set(ERR_USAGE, "--url-base is of no use with a URL");
        if (!o->to) return error_set(ERR_USAGE, "with a URL --to DIR is needed: where the file is to go");
        n = snprintf(url, room, "%s", o->name);
    } else {
        if (o->sha256) return error_set(ERR_USAGE, "the SHA-256 of %s is known: none can be given", m->name);
        if (m->restricted && !o->accept_license)
            return error_set(ERR_USAGE, "%s is under the licence %s, which says what it must not be used for: read %s, then add --accept-license", m->title,
                             m->licence, m->licence_url);
        const char *base = o->url_base ? o->url_base : PULL_HUB;
        size_t length = strlen(base);
        while (length && base[length - 1] == '/') length--;
        n = snprintf(url, room, "%.*s%s", (int)length, base, m->url + strlen(PULL_HUB));
    }
    if (n < 0 || (size_t)n >= room) return error_set(ERR_USAGE, "the URL is too long");
    if (o->to) n = snprintf(folder, PATH_MAX, "%s", o->to);
    else if ((rc = pull_find(m->name, folder)) >= 0) *strrchr(folder, '/') = 0;
    if (n >= PATH_MAX) return error_set(ERR_USAGE, "%.200s...: the path is too long", o->to);
    return rc < 0 ? rc : 0;
}

int mien_pull(const mien_pull_options *o, mien_pull_result *result) {
    mien_pull_result unused;
    if (!result) result = &unused;
    char url[8200], folder[PATH_MAX];
    pull_result done = { 0 };
    memset(result, 0, sizeof *result);
    if (!o->name || !*o->name) return error_set(ERR_USAGE, "the name of a model, or a URL, is needed");
    const pull_model *m = pull_known(o->name);
    int rc = choose(o, m, url, sizeof url, folder);
    if (rc < 0) return rc;
    rc = pull_file(&(pull_options){
        .url = url, .folder = folder, .file = m ? strrchr(m->url, '/') + 1 : NULL, .sha256 = m ? m->sha256 : o->sha256, .licence = m ? m->licence : NULL,
        .licence_url = m ? m->licence_url : NULL, .withdrawn = m ? m->note : NULL, .insecure = o->insecure, .allow_private = o->allow_private,
        .retries = o->retries, .retry_seconds = o->retry_seconds, .connect_seconds = o->connect_seconds, .stall_seconds = o->stall_seconds,
        .stop = o->hooks.stop, .tell = tell, .say = say, .context = (void *)&o->hooks,
    }, &done);
    _Static_assert(MIEN_PATH == PATH_MAX, "a path fits");
    _Static_assert(sizeof done.path == sizeof result->path, "a path is a path");
    memcpy(result->path, done.path, sizeof result->path);
    memcpy(result->sha256, done.sha256, sizeof result->sha256);
    result->bytes = done.bytes;
    result->fetched = done.fetched;
    result->there = done.there;
    result->proof = (mien_pull_proof)done.proof;
    return rc;
}
