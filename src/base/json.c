/* SPDX-License-Identifier: Apache-2.0 */
#include "base/json.h"

#include <assert.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/number.h"

struct json {
    json_t *root;
    char name[];
};

/* What a parsed document will take, judged by the bytes that begin its values: what jansson allocates for each, malloc's
 * own included. It keeps a small hostile file from becoming gigabytes. */
static size_t memory_needed(const uint8_t *data, size_t size) {
    size_t bytes = 0;
    bool string = false;
    for (size_t i = 0; i < size; i++) {
        if (string) {
            if (data[i] == '\\') i++;
            else if (data[i] == '"') string = false;
        } else if (data[i] == '"') {
            string = true;
        } else {
            bytes += data[i] == '{' ? 320 : data[i] == '[' ? 144 : data[i] == ',' ? 48 : data[i] == ':' ? 96 : 0;
        }
    }
    return bytes;
}

/* jansson mostly gives no reason when it gets no memory, and now and then calls the text wrong. */
static bool lacked_memory(const json_error_t *why, size_t size) {
    if (json_error_code(why) == json_error_out_of_memory || why->line < 0 || !why->text[0]) return true;
    void *probe = malloc(size + (1 << 16));
    free(probe);
    return !probe;
}

int json_parse(const char *name, const uint8_t *data, size_t size, size_t memory, json **out) {
    size_t need = memory_needed(data, size);
    if (need > memory)
        return error_set(ERR_LIMIT, "%s: would take about %zu MB of memory, more than the limit of %zu", name, need >> 20, memory >> 20);
    json *doc = malloc(sizeof *doc + strlen(name) + 1);
    if (!doc) return error_memory(sizeof *doc + strlen(name) + 1);
    strcpy(doc->name, name);
    json_error_t why;
    doc->root = json_loadb((const char *)data, size, JSON_REJECT_DUPLICATES, &why);
    if (!doc->root) {
        int rc = lacked_memory(&why, size)
                     ? error_memory(need)
                     : error_set(ERR_FORMAT, "%s: line %d, column %d: %s", name, why.line, why.column > 0 ? why.column : 1, why.text);
        free(doc);
        return rc;
    }
    *out = doc;
    return 0;
}

void json_free(json *doc) {
    if (!doc) return;
    json_decref(doc->root);
    free(doc);
}

json_at json_root(const json *doc) { return (json_at){ .value = doc->root, .file = doc->name }; }

bool json_field(const json_at *object, const char *key, json_at *out) {
    const json_t *value = json_object_get(object->value, key);
    if (value) *out = (json_at){ .up = object, .value = value, .file = object->file, .key = key };
    return value;
}

int json_need_field(const json_at *object, const char *key, json_at *out) {
    return json_field(object, key, out) ? 0 : json_error(object, ERR_FORMAT, "\"%s\" is missing", key);
}

int json_each_field(const json_at *object, int (*each)(void *context, const json_at *field), void *context) {
    const char *key;
    json_t *value;
    int rc = 0;
    json_object_foreach((json_t *)object->value, key, value) {
        const json_at field = { .up = object, .value = value, .file = object->file, .key = key };
        if ((rc = each(context, &field)) != 0) break;
    }
    return rc;
}

json_at json_item(const json_at *array, size_t i) {
    const json_t *value = json_array_get(array->value, i);
    assert(value);
    return (json_at){ .up = array, .value = value, .file = array->file, .index = i };
}

int json_need_object(const json_at *at) {
    return json_is_object((const json_t *)at->value) ? 0 : json_error(at, ERR_FORMAT, "an object {...} was expected");
}

int json_need_array(const json_at *at, size_t least, size_t most, size_t *count) {
    if (!json_is_array((const json_t *)at->value)) return json_error(at, ERR_FORMAT, "a list [...] was expected");
    *count = json_array_size(at->value);
    if (*count >= least && *count <= most) return 0;
    if (least == most) return json_error(at, ERR_FORMAT, "%zu values were expected, there are %zu", least, *count);
    if (*count > most) return json_error(at, ERR_LIMIT, "at most %zu values are allowed, there are %zu", most, *count);
    return json_error(at, ERR_FORMAT, "at least %zu values were expected, there are %zu", least, *count);
}

int json_need_number(const json_at *at, double least, double most, double *out) {
    if (!json_is_number((const json_t *)at->value)) return json_error(at, ERR_FORMAT, "a number was expected");
    double x = json_number_value(at->value);
    if (!(x >= least && x <= most)) {
        char from[NUMBER_TEXT], to[NUMBER_TEXT];
        number_shortest_f64(from, least);
        number_shortest_f64(to, most);
        return json_error(at, ERR_FORMAT, "a number from %s to %s was expected", from, to);
    }
    *out = x;
    return 0;
}

int json_need_integer(const json_at *at, long long least, long long most, long long *out) {
    long long n = json_integer_value(at->value);
    if (!json_is_integer((const json_t *)at->value) || n < least || n > most)
        return json_error(at, ERR_FORMAT, "a whole number from %lld to %lld was expected", least, most);
    *out = n;
    return 0;
}

int json_need_bool(const json_at *at, bool *out) {
    if (!json_is_boolean((const json_t *)at->value)) return json_error(at, ERR_FORMAT, "true or false was expected");
    *out = json_is_true((const json_t *)at->value);
    return 0;
}

int json_need_string(const json_at *at, const char **out) {
    if (!json_is_string((const json_t *)at->value)) return json_error(at, ERR_FORMAT, "a string was expected");
    *out = json_string_value(at->value);
    return 0;
}

bool json_has_text(const json_at *at) { return json_is_string((const json_t *)at->value); }

bool json_is_nothing(const json_at *at) { return json_is_null((const json_t *)at->value); }

/* Writes "faces[0].landmarks" at the end of out[room], from the place up to the root; returns where it begins. */
static const char *write_path(const json_at *at, char *out, size_t room) {
    size_t begin = room - 1;
    out[begin] = 0;
    for (; at->up; at = at->up) {
        char part[96];
        int n = at->key ? snprintf(part, sizeof part, "%s%s", at->up->up ? "." : "", at->key) : snprintf(part, sizeof part, "[%zu]", at->index);
        if (n < 0 || (size_t)n >= sizeof part || (size_t)n > begin) break;
        begin -= (size_t)n;
        memcpy(out + begin, part, (size_t)n);
    }
    return out + begin;
}

int json_error(const json_at *at, int code, const char *format, ...) {
    char path[256], what[512];
    va_list args;
    va_start(args, format);
    vsnprintf(what, sizeof what, format, args);
    va_end(args);
    const char *where = write_path(at, path, sizeof path);
    return error_set(code, "%s: %s%s%s", at->file, where, *where ? ": " : "", what);
}
