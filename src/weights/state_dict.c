/* SPDX-License-Identifier: Apache-2.0 */
#include "weights/state_dict.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/number.h"
#include "base/text.h"

enum { MOST_DEPTH = 6, MOST_NAME = 1024, MOST_METADATA = 1000, MOST_SEEN = 4 << 20, MOST_LISTED = 8 };

typedef struct {
    weights *w;
    const char *what;
    size_t copies_left;            /* bytes */
    size_t seen;                   /* values: a dictionary that contains another a thousand times, which contains ... */
    char name[MOST_NAME];
} walk;

/* ---- tensors ------------------------------------------------------------------------------------------------------------------ */

static int copy_strided(walk *k, const torch_tensor *from, stored_tensor *t) {
    if (t->bytes > k->copies_left)
        return error_set(ERR_LIMIT, "%s: tensor \"%.200s\" would take more memory than the whole file: it repeats numbers", k->what, t->name);
    uint8_t *out = arena_new(&k->w->memory, t->bytes, 1);
    if (!out) return ERR_MEMORY;
    k->copies_left -= t->bytes;
    torch_copy(from, out);
    t->data = out;
    return 0;
}

static int add_tensor(walk *k, const torch_tensor *from) {
    stored_tensor t = { .type = from->type, .rank = from->rank };
    memcpy(t.dim, from->size, sizeof t.dim);
    t.name = arena_printf(&k->w->memory, "%s", k->name);
    int rc = t.name ? stored_bytes(k->what, &t, &t.bytes) : ERR_MEMORY;
    if (rc < 0) return rc;
    if (t.bytes == 0) t.data = NULL;
    else if (torch_is_whole(from)) t.data = from->storage->data + from->storage->begin + from->offset * stored_type_bytes(t.type);
    else rc = copy_strided(k, from, &t);
    return rc < 0 ? rc : weights_add_tensor(k->w, &t);
}

/* The name grows by a key; false if it is none for a tensor. */
static bool add_key(walk *k, size_t length, const pickle_value *key, size_t *longer) {
    if (key->kind != PICKLE_TEXT || key->text.size == 0 || memchr(key->text.data, 0, key->text.size)) return false;
    if (key->text.size > sizeof k->name - length - 2) return false;
    memcpy(k->name + length, key->text.data, key->text.size);
    *longer = length + key->text.size;
    k->name[*longer] = 0;
    return true;
}

static int add_dict(walk *k, const pickle_value *dict, size_t length, int depth) {
    int rc = 0;
    for (size_t i = 0; rc == 0 && i + 1 < dict->list.count; i += 2) {
        const pickle_value *value = dict->list.item[i + 1];
        const torch_tensor *t = torch_tensor_of(value);
        size_t longer;
        if (++k->seen > MOST_SEEN) return error_set(ERR_LIMIT, "%s: dictionaries within dictionaries without end", k->what);
        if ((!t && value->kind != PICKLE_DICT) || !add_key(k, length, dict->list.item[i], &longer)) continue;
        if (t) rc = add_tensor(k, t);
        else if (depth < MOST_DEPTH) {
            k->name[longer] = '.';
            k->name[longer + 1] = 0;
            rc = add_dict(k, value, longer + 1, depth + 1);
        }
    }
    return rc;
}

/* ---- where they are ----------------------------------------------------------------------------------------------------------- */

static bool has_tensors(const pickle_value *v) {
    for (size_t i = 1; v && v->kind == PICKLE_DICT && i < v->list.count; i += 2)
        if (torch_tensor_of(v->list.item[i])) return true;
    return false;
}

static const pickle_value *find_state_dict(const pickle_value *top) {
    static const char *const names[] = { "state_dict", "model", "module" };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const pickle_value *v = pickle_field(top, names[i]);
        if (v && has_tensors(v)) return v;
    }
    return top;
}

/* ---- what stands beside them -------------------------------------------------------------------------------------------------- */

static int add_metadata(weights *w, const pickle_value *top) {
    int rc = 0;
    for (size_t i = 0; rc == 0 && i + 1 < top->list.count && w->metadata_count < MOST_METADATA; i += 2) {
        const pickle_value *key = top->list.item[i], *value = top->list.item[i + 1];
        char name[256], text[1024];
        if (key->kind != PICKLE_TEXT || key->text.size == 0 || key->text.size >= sizeof name || memchr(key->text.data, 0, key->text.size)) continue;
        memcpy(name, key->text.data, key->text.size);
        name[key->text.size] = 0;
        if (value->kind == PICKLE_INTEGER) snprintf(text, sizeof text, "%" PRId64, value->integer);
        else if (value->kind == PICKLE_BOOL) strcpy(text, value->integer ? "true" : "false");
        else if (value->kind == PICKLE_FLOAT) number_shortest_f64(text, value->number);
        else if (value->kind == PICKLE_TEXT && value->text.size < sizeof text && !memchr(value->text.data, 0, value->text.size)) {
            memcpy(text, value->text.data, value->text.size);
            text[value->text.size] = 0;
        } else continue;
        rc = weights_add_metadata(w, name, text);
    }
    return rc;
}

static bool module_is(const pickle_value *g, const char *name) {
    return g->global.module_size == strlen(name) && memcmp(g->global.module, name, g->global.module_size) == 0;
}

/* Modules that a checkpoint names only if someone means harm: what they do is done to the machine, not to numbers. */
static bool is_dangerous(const pickle_value *g) {
    static const char *const modules[] = { "os", "posix", "nt", "sys", "subprocess", "shutil", "socket", "pty", "runpy", "importlib", "ctypes", "webbrowser",
                                           "code", "commands", "pickle", "_pickle", "marshal", "types", "operator", "_operator", "functools", "platform",
                                           "timeit", "pdb", "bdb", "asyncio", "multiprocessing", "requests", "urllib.request", "http.client", "torch.hub" };
    for (size_t i = 0; i < sizeof modules / sizeof *modules; i++)
        if (module_is(g, modules[i])) return true;
    return (module_is(g, "builtins") || module_is(g, "__builtin__")) && !torch_expects(g);
}

static int add_notes(weights *w, const char *what, const pickle *p, const torch_context *c) {
    text harmless = { 0 };
    size_t listed = 0, more = 0;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < pickle_globals(p); i++) {
        const pickle_value *g = pickle_global(p, i);
        int module = (int)g->global.module_size, name = (int)g->global.name_size;
        if (torch_expects(g)) continue;
        if (is_dangerous(g)) {
            rc = weights_add_note(w, "%s: names %.*s.%.*s, which no model needs and which may do harm: another program might run it when it loads this file; mien runs nothing",
                                  what, module, g->global.module, name, g->global.name);
        } else if (listed < MOST_LISTED) {
            text_printf(&harmless, "%s%.*s.%.*s", listed++ ? ", " : "", module, g->global.module, name, g->global.name);
        } else more++;
    }
    if (more) text_printf(&harmless, " and %zu more", more);
    if (rc == 0) rc = text_check(&harmless);
    if (rc == 0 && listed) rc = weights_add_note(w, "%s: left out what is no tensor: %s", what, harmless.data);
    if (rc == 0 && c->unknown) rc = weights_add_note(w, "%s: left out %zu storages or tensors of types that mien does not know", what, c->unknown);
    text_free(&harmless);
    return rc;
}

int state_dict_read(weights *w, const char *what, const char *prefix, const pickle *p, const torch_context *c, size_t file_bytes) {
    const pickle_value *top = pickle_result(p), *dict = find_state_dict(top);
    walk k = { .w = w, .what = what, .copies_left = file_bytes + (64u << 20) };
    size_t before = w->count, length = strlen(prefix);
    if (length + 2 >= sizeof k.name) return error_set(ERR_LIMIT, "%s: too long a name", what);
    strcpy(k.name, prefix);
    int rc = dict->kind == PICKLE_DICT ? add_dict(&k, dict, length, 0) : 0;
    if (rc == 0 && w->count == before) {
        const pickle_value *class = top->kind == PICKLE_OBJECT ? top->made_of : NULL;
        if (class)
            return error_set(ERR_UNSUPPORTED, "%s: is a Python object (%.*s.%.*s) and not a state dict: it can only be loaded where its class is", what,
                             (int)class->global.module_size, class->global.module, (int)class->global.name_size, class->global.name);
        return error_set(ERR_UNSUPPORTED, "%s: has no tensors by name in it", what);
    }
    if (rc == 0 && top->kind == PICKLE_DICT) rc = add_metadata(w, top);
    if (rc == 0) rc = add_notes(w, what, p, c);
    return rc;
}
