/* SPDX-License-Identifier: Apache-2.0 */
#include "train/run_settings.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/json.h"
#include "base/number.h"

enum { FORMAT = 1, MEMORY = 1 << 20 };

/* ---- making ------------------------------------------------------------------------------------------------------------ */

static int add(run_settings *s, const char *name, const char *json, bool free) {
    if (s->settings == RUN_SETTINGS_MOST) return error_set(ERR_LIMIT, "more than %d settings", RUN_SETTINGS_MOST);
    run_setting n = { arena_printf(&s->memory, "%s", name), arena_printf(&s->memory, "%s", json), free };
    if (!n.name || !n.json) return ERR_MEMORY;
    s->setting[s->settings++] = n;
    return 0;
}

int run_settings_number(run_settings *s, const char *name, double x, bool free) {
    char json[NUMBER_TEXT];
    if (!isfinite(x)) return add(s, name, "null", free);
    number_shortest_f64(json, x + 0.0);                           /* no -0, which would be read as 0 */
    return add(s, name, json, free);
}

int run_settings_integer(run_settings *s, const char *name, long long x, bool free) {
    char json[NUMBER_TEXT];
    snprintf(json, sizeof json, "%lld", x);
    return add(s, name, json, free);
}

int run_settings_flag(run_settings *s, const char *name, bool x, bool free) { return add(s, name, x ? "true" : "false", free); }

int run_settings_text(run_settings *s, const char *name, const char *x, bool free) {
    text json = { 0 };
    if (x) text_json_exact(&json, x);
    else text_add(&json, "null");
    int rc = text_check(&json);
    if (rc == 0) rc = add(s, name, json.data, free);
    text_free(&json);
    return rc;
}

int run_settings_model(run_settings *s, const char *what, const char hash[65]) {
    if (s->models == RUN_MODELS_MOST) return error_set(ERR_LIMIT, "more than %d models", RUN_MODELS_MOST);
    run_model m = { arena_printf(&s->memory, "%s", what), arena_printf(&s->memory, "%s", hash) };
    if (!m.what || !m.hash) return ERR_MEMORY;
    s->model[s->models++] = m;
    return 0;
}

void run_settings_data(run_settings *s, uint64_t items, const char hash[65]) {
    s->items = items;
    snprintf(s->data_hash, sizeof s->data_hash, "%s", hash);
}

void run_settings_free(run_settings *s) {
    arena_free(&s->memory);
    *s = (run_settings){ 0 };
}

/* ---- writing ----------------------------------------------------------------------------------------------------------- */

static void write_part(const run_settings *s, bool free, text *out) {
    bool first = true;
    for (size_t i = 0; i < s->settings; i++) {
        if (s->setting[i].free != free) continue;
        text_add(out, first ? "" : ",");
        text_json_exact(out, s->setting[i].name);
        text_printf(out, ":%s", s->setting[i].json);
        first = false;
    }
}

int run_settings_write(const run_settings *s, text *out) {
    text_printf(out, "{\"format\":%d,\"kind\":\"train\",\"mien\":\"" MIEN_VERSION "\",\"settings\":{", FORMAT);
    write_part(s, false, out);
    text_add(out, "},\"free\":{");
    write_part(s, true, out);
    text_add(out, "},\"models\":{");
    for (size_t i = 0; i < s->models; i++) {
        text_add(out, i ? "," : "");
        text_json_exact(out, s->model[i].what);
        text_add(out, ":");
        text_json_exact(out, s->model[i].hash);
    }
    text_printf(out, "},\"data\":{\"items\":%" PRIu64 ",\"sha256\":", s->items);
    text_json_exact(out, s->data_hash);
    text_add(out, "}}\n");
    return text_check(out);
}

/* ---- reading ----------------------------------------------------------------------------------------------------------- */

typedef struct { run_settings *s; bool free; } reading;

static int take_setting(void *context, const json_at *at) {
    const reading *r = context;
    const char *string;
    long long n;
    double x;
    bool yes;
    if (json_is_nothing(at)) return run_settings_text(r->s, at->key, NULL, r->free);
    if (json_has_text(at))
        return json_need_string(at, &string) < 0 ? error_code() : run_settings_text(r->s, at->key, string, r->free);
    if (json_need_bool(at, &yes) == 0) return run_settings_flag(r->s, at->key, yes, r->free);
    if (json_need_integer(at, INT64_MIN, INT64_MAX, &n) == 0) return run_settings_integer(r->s, at->key, n, r->free);
    if (json_need_number(at, -INFINITY, INFINITY, &x) == 0) return run_settings_number(r->s, at->key, x, r->free);
    return json_error(at, ERR_FORMAT, "a text, a number, true, false or null was expected");
}

static int need_hash(const json_at *at, const char **out) {
    int rc = json_need_string(at, out);
    if (rc < 0) return rc;
    size_t n = strlen(*out);
    bool hex = n == 64 && strspn(*out, "0123456789abcdef") == n;
    return hex || n == 0 ? 0 : json_error(at, ERR_FORMAT, "a SHA-256 in lower-case hex was expected");
}

static int take_model(void *context, const json_at *at) {
    const reading *r = context;
    const char *hash;
    int rc = need_hash(at, &hash);
    return rc < 0 ? rc : run_settings_model(r->s, at->key, hash);
}

static int take_part(const json_at *root, const char *key, int (*take)(void *, const json_at *), reading *r) {
    json_at part;
    int rc = json_need_field(root, key, &part);
    if (rc == 0) rc = json_need_object(&part);
    return rc < 0 ? rc : json_each_field(&part, take, r);
}

static int take_data(const json_at *root, run_settings *out) {
    json_at data, at;
    long long items;
    const char *hash;
    int rc = json_need_field(root, "data", &data);
    if (rc == 0) rc = json_need_object(&data);
    if (rc == 0) rc = json_need_field(&data, "items", &at);
    if (rc == 0) rc = json_need_integer(&at, 0, INT64_MAX, &items);
    if (rc == 0) rc = json_need_field(&data, "sha256", &at);
    if (rc == 0) rc = need_hash(&at, &hash);
    if (rc == 0) run_settings_data(out, (uint64_t)items, hash);
    return rc;
}

static int check_kind(const json_at *root) {
    json_at at;
    long long format;
    const char *kind;
    int rc = json_need_object(root);
    if (rc == 0) rc = json_need_field(root, "format", &at);
    if (rc == 0) rc = json_need_integer(&at, 1, INT64_MAX, &format);
    if (rc == 0 && format != FORMAT)
        return json_error(&at, ERR_UNSUPPORTED, "format %lld is unknown: this mien writes and reads %d", format, FORMAT);
    if (rc == 0) rc = json_need_field(root, "kind", &at);
    if (rc == 0) rc = json_need_string(&at, &kind);
    return rc < 0 ? rc : strcmp(kind, "train") == 0 ? 0 : json_error(&at, ERR_FORMAT, "\"train\" was expected");
}

int run_settings_read(const char *name, const uint8_t *data, size_t size, run_settings *out) {
    json *doc;
    *out = (run_settings){ 0 };
    int rc = json_parse(name, data, size, MEMORY, &doc);
    if (rc < 0) return rc;
    json_at root = json_root(doc);
    reading bound = { out, false }, open = { out, true };
    rc = check_kind(&root);
    if (rc == 0) rc = take_part(&root, "settings", take_setting, &bound);
    if (rc == 0) rc = take_part(&root, "free", take_setting, &open);
    if (rc == 0) rc = take_part(&root, "models", take_model, &bound);
    if (rc == 0) rc = take_data(&root, out);
    json_free(doc);
    if (rc < 0) run_settings_free(out);
    return rc;
}

/* ---- comparing ----------------------------------------------------------------------------------------------------------- */

static const run_setting *find(const run_settings *s, const char *name) {
    for (size_t i = 0; i < s->settings; i++)
        if (strcmp(s->setting[i].name, name) == 0) return &s->setting[i];
    return NULL;
}

static const run_model *find_model(const run_settings *s, const char *what) {
    for (size_t i = 0; i < s->models; i++)
        if (strcmp(s->model[i].what, what) == 0) return &s->model[i];
    return NULL;
}

/* Names and values may be the file's: no longer than a message has room for. */
static void tell_difference(text *out, const char *name, const char *there, const char *here) {
    text_printf(out, "%s%.40s is %.80s there and %.80s here", out->size ? "; " : "", name, there ? there : "not set",
                here ? here : "not set");
}

bool run_settings_differ(const run_settings *there, const run_settings *here, text *out) {
    bool differ = false;
    for (int side = 0; side < 2; side++) {
        const run_settings *a = side ? here : there, *b = side ? there : here;
        for (size_t i = 0; i < a->settings; i++) {
            const run_setting *x = &a->setting[i], *y = find(b, x->name);
            if (y ? side || x->free || strcmp(x->json, y->json) == 0 : x->free) continue;
            tell_difference(out, x->name, side ? NULL : x->json, side ? x->json : y ? y->json : NULL);
            differ = true;
        }
        for (size_t i = 0; i < a->models; i++) {
            const run_model *x = &a->model[i], *y = find_model(b, x->what);
            if (y && (side || strcmp(x->hash, y->hash) == 0)) continue;
            text_printf(out, y ? "%sthe %.40s is another model" : "%sthe %.40s is given on one side only",
                        out->size ? "; " : "", x->what);
            differ = true;
        }
    }
    return differ;
}

bool run_settings_same_data(const run_settings *a, const run_settings *b) {
    return a->items == b->items && strcmp(a->data_hash, b->data_hash) == 0;
}
