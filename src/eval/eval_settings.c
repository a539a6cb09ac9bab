/* SPDX-License-Identifier: Apache-2.0 */
#include "eval/eval_settings.h"

#include <limits.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/number.h"

enum { FORMAT = 1, MOST = 1 << 20 };

/* ---- comparing ------------------------------------------------------------------------------------------------------- */

static void put_value(const json_at *at, text *out) {
    const char *s;
    double x;
    long long n;
    bool b;
    char number[NUMBER_TEXT];
    if (json_is_nothing(at)) text_add(out, "null");
    else if (json_has_text(at)) text_json_exact(out, json_need_string(at, &s) == 0 ? s : "");
    else if (json_need_bool(at, &b) == 0) text_add(out, b ? "true" : "false");
    else if (json_need_integer(at, INT64_MIN, INT64_MAX, &n) == 0) text_printf(out, "%lld", n);
    else if (json_need_number(at, -HUGE_VAL, HUGE_VAL, &x) == 0) number_shortest_f64(number, x), text_add(out, number);
    else text_add(out, "?");
}

typedef struct { const char *name, *part; const json_at *there; } comparison;

static int compare_value(void *context, const json_at *here) {
    const comparison *c = context;
    json_at there;
    text a = { 0 }, b = { 0 };
    char shown[2][200];
    if (json_field(c->there, here->key, &there)) put_value(&there, &a);
    else text_add(&a, "not told");
    put_value(here, &b);
    int rc = text_check(&a);
    if (rc == 0) rc = text_check(&b);
    if (rc == 0 && strcmp(a.data, b.data) != 0)
        rc = error_set(ERR_USAGE, "%s: was begun with other settings: %s%s is %s there and %s here", c->name, c->part, here->key,
                       text_escape(shown[0], sizeof shown[0], a.data), text_escape(shown[1], sizeof shown[1], b.data));
    text_free(&a);
    text_free(&b);
    return rc;
}

static int compare_part(const char *name, const char *key, const char *said, const json_at *there, const json_at *here) {
    json_at a, b;
    int rc = json_need_field(there, key, &a);
    if (rc == 0) rc = json_need_object(&a);
    if (rc < 0) return rc;
    if (!json_field(here, key, &b)) return 0;
    return json_each_field(&b, compare_value, &(comparison){ name, said, &a });
}

static int check_head(const json_at *root) {
    json_at at;
    const char *kind = "";
    long long format = 0;
    int rc = json_need_object(root);
    if (rc == 0) rc = json_need_field(root, "kind", &at);
    if (rc == 0) rc = json_need_string(&at, &kind);
    if (rc == 0 && strcmp(kind, "eval") != 0) rc = json_error(&at, ERR_USAGE, "is of another kind of folder (%.40s)", kind);
    if (rc == 0) rc = json_need_field(root, "format", &at);
    if (rc == 0) rc = json_need_integer(&at, 0, INT_MAX, &format);
    return rc < 0 || format == FORMAT ? rc
            : json_error(&at, ERR_UNSUPPORTED, "format %lld is unknown: this program reads format %d", format, FORMAT);
}

int eval_settings_compare(const char *name, const char *data, size_t size, const text *ours) {
    json *a, *b;
    int rc = json_parse(name, (const uint8_t *)data, size, 16 * MOST, &a);
    if (rc < 0) return rc;
    rc = json_parse("settings", (const uint8_t *)ours->data, ours->size, 16 * MOST, &b);
    if (rc == 0) {
        json_at there = json_root(a), here = json_root(b);
        rc = check_head(&there);
        if (rc == 0) rc = compare_part(name, "settings", "", &there, &here);
        if (rc == 0) rc = compare_part(name, "models", "the hash of ", &there, &here);
        if (rc == 0) rc = compare_part(name, "data", "of the data, ", &there, &here);
        json_free(b);
    }
    json_free(a);
    return rc;
}

/* ---- the file -------------------------------------------------------------------------------------------------------- */

static int compare_file(const char *path, const text *ours) {
    uint8_t *data;
    size_t size;
    int rc = file_load(path, MOST, &data, &size);
    if (rc < 0) return rc;
    rc = eval_settings_compare(path, (const char *)data, size, ours);
    free(data);
    return rc == ERR_FORMAT ? error_set(ERR_USAGE, "%s", error_message()) : rc;
}

/* Parts may begin at the same moment: one writes, the others compare. */
int eval_settings_hold(const char *folder, const text *ours) {
    char path[PATH_MAX];
    if ((size_t)snprintf(path, sizeof path, "%s/settings.json", folder) >= sizeof path)
        return error_set(ERR_IO, "%s: the path is too long", folder);
    int rc = file_save_new(path, ours->data, ours->size);
    return rc == ERR_EXISTS ? compare_file(path, ours) : rc;
}
