/* SPDX-License-Identifier: Apache-2.0
 *
 * The pickle machine: a stack, marks on it, a memo. What each operation does is told by CPython's Lib/pickletools.py (3.12). */
#include "weights/pickle.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "weights/pickle_inside.h"

enum { MOST_PROTOCOL = 5, MOST_NAME = 256 };

int pickle_wrong(const pickle *p, int code, const char *why) { return error_set(code, "%s: byte %zu of the pickle: %s", p->what, p->begin, why); }

/* ---- memory --------------------------------------------------------------------------------------------------------------- */

static int take(pickle *p, size_t count, size_t size) {
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes) || bytes > p->left)
        return error_set(ERR_LIMIT, "%s: byte %zu of the pickle: what it holds would take too much memory", p->what, p->begin);
    p->left -= bytes;
    return 0;
}

void *pickle_memory(pickle *p, size_t count, size_t size) { return take(p, count, size) < 0 ? NULL : arena_new(&p->memory, count, size); }

/* An array that lives as long as the machine works. */
static int grow(pickle *p, void **array, size_t need, size_t *room, size_t size) {
    if (need <= *room) return 0;
    size_t more = *room ? *room : 64;
    while (more < need) more *= 2;
    int rc = take(p, more - *room, size);
    if (rc < 0) return rc;
    void *larger = realloc(*array, more * size);
    if (!larger) return error_memory(more * size);
    memset((char *)larger + *room * size, 0, (more - *room) * size);
    *array = larger;
    *room = more;
    return 0;
}

pickle_value *pickle_new(pickle *p, pickle_kind kind) {
    pickle_value *v = pickle_memory(p, 1, sizeof *v);
    if (v) v->kind = kind;
    return v;
}

static int reserve(pickle *p, pickle_value *list, size_t more) {
    size_t need = list->list.count + more, room = list->list.room;
    if (need <= room) return 0;
    room = 2 * room > need ? 2 * room : need;
    pickle_value **item = pickle_memory(p, room, sizeof *item);
    if (!item) return error_code();
    if (list->list.count) memcpy(item, list->list.item, list->list.count * sizeof *item);
    list->list.item = item;
    list->list.room = room;
    return 0;
}

static int append_all(pickle *p, pickle_value *list, pickle_value *const item[], size_t n) {
    int rc = reserve(p, list, n);
    if (rc < 0 || n == 0) return rc;
    memcpy(list->list.item + list->list.count, item, n * sizeof *item);
    list->list.count += n;
    return 0;
}

int pickle_append(pickle *p, pickle_value *list, pickle_value *item) { return append_all(p, list, &item, 1); }

/* ---- the stack -------------------------------------------------------------------------------------------------------------- */

/* What lies above the last mark. */
static size_t above(const pickle *p) { return p->depth - (p->marks ? p->mark[p->marks - 1] : 0); }

int pickle_push(pickle *p, pickle_value *v) {
    if (!v) return error_code();
    int rc = grow(p, (void **)&p->stack, p->depth + 1, &p->stack_room, sizeof *p->stack);
    if (rc == 0) p->stack[p->depth++] = v;
    return rc;
}

static int pop(pickle *p, pickle_value **out) {
    if (above(p) == 0) return pickle_fault(p, "takes more than was given");
    *out = p->stack[--p->depth];
    return 0;
}

/* The items above the last mark, which is taken away; they stay readable until the next push. */
static int pop_mark(pickle *p, pickle_value ***items, size_t *n) {
    if (!p->marks) return pickle_fault(p, "there is no mark");
    *n = above(p);
    p->depth = p->mark[--p->marks];
    *items = p->stack ? p->stack + p->depth : NULL;
    return 0;
}

static int push_mark(pickle *p) {
    int rc = grow(p, (void **)&p->mark, p->marks + 1, &p->mark_room, sizeof *p->mark);
    if (rc == 0) p->mark[p->marks++] = p->depth;
    return rc;
}

int pickle_push_integer(pickle *p, pickle_kind kind, int64_t n) {
    pickle_value *v = pickle_new(p, kind);
    if (v) v->integer = n;
    return pickle_push(p, v);
}

int pickle_push_text(pickle *p, pickle_kind kind, const char *data, size_t size) {
    pickle_value *v = pickle_new(p, kind);
    if (v) v->text.data = data, v->text.size = size;
    return pickle_push(p, v);
}

/* A list, tuple or dictionary of items on the stack. */
static int push_items(pickle *p, pickle_kind kind, pickle_value *const item[], size_t n) {
    pickle_value *v = pickle_new(p, kind);
    int rc = v ? append_all(p, v, item, n) : error_code();
    return rc < 0 ? rc : pickle_push(p, v);
}

static int push_top_items(pickle *p, pickle_kind kind, size_t n) {
    if (above(p) < n) return pickle_fault(p, "takes more than was given");
    p->depth -= n;
    return push_items(p, kind, p->stack + p->depth, n);
}

static int push_marked_items(pickle *p, pickle_kind kind) {
    pickle_value **item;
    size_t n;
    int rc = pop_mark(p, &item, &n);
    if (rc == 0 && kind == PICKLE_DICT && n % 2) rc = pickle_fault(p, "a key without a value");
    return rc < 0 ? rc : push_items(p, kind, item, n);
}

/* ---- names, and what is made of them --------------------------------------------------------------------------------------------- */

static bool same_global(const pickle_value *a, const pickle_value *b) {
    return a->global.module_size == b->global.module_size && a->global.name_size == b->global.name_size &&
           memcmp(a->global.module, b->global.module, a->global.module_size) == 0 && memcmp(a->global.name, b->global.name, a->global.name_size) == 0;
}

static int new_global(pickle *p, const char *module, size_t module_size, const char *name, size_t name_size, pickle_value **out) {
    if (module_size > MOST_NAME || name_size > MOST_NAME) return pickle_fault(p, "a name too long for a class or function");
    pickle_value *v = pickle_new(p, PICKLE_GLOBAL);
    if (!v) return error_code();
    v->global.module = module;
    v->global.module_size = module_size;
    v->global.name = name;
    v->global.name_size = name_size;
    bool known = p->globals == PICKLE_MOST_GLOBALS;
    for (size_t i = 0; !known && i < p->globals; i++) known = same_global(v, p->global[i]);
    if (!known) p->global[p->globals++] = v;
    *out = v;
    return 0;
}

static int take_global(pickle *p, pickle_value **out) {
    const char *module, *name;
    size_t module_size, name_size;
    int rc = pickle_take_line(p, &module, &module_size);
    if (rc == 0) rc = pickle_take_line(p, &name, &name_size);
    return rc < 0 ? rc : new_global(p, module, module_size, name, name_size, out);
}

static int push_global(pickle *p) {
    pickle_value *v;
    int rc = take_global(p, &v);
    return rc < 0 ? rc : pickle_push(p, v);
}

static int push_stack_global(pickle *p) {
    pickle_value *module, *name, *v;
    int rc = pop(p, &name);
    if (rc == 0) rc = pop(p, &module);
    if (rc == 0 && (module->kind != PICKLE_TEXT || name->kind != PICKLE_TEXT)) rc = pickle_fault(p, "a name that is no text");
    if (rc == 0) rc = new_global(p, module->text.data, module->text.size, name->text.data, name->text.size, &v);
    return rc < 0 ? rc : pickle_push(p, v);
}

static int push_object(pickle *p, const pickle_value *made_of) {
    pickle_value *v = pickle_new(p, PICKLE_OBJECT);
    if (v) v->made_of = made_of && made_of->kind == PICKLE_OBJECT ? made_of->made_of : made_of && made_of->kind == PICKLE_GLOBAL ? made_of : NULL;
    return pickle_push(p, v);
}

static int push_called(pickle *p, const pickle_value *callee, const pickle_value *arguments) {
    pickle_value *v;
    if (callee->kind == PICKLE_GLOBAL && arguments->kind == PICKLE_TUPLE && p->hooks && p->hooks->call) {
        int rc = p->hooks->call(p->hooks->context, p, callee, arguments, &v);
        if (rc < 0) return rc;
        if (rc) return pickle_push(p, v);
    }
    return push_object(p, callee);
}

/* A callee and its arguments, and above them `more` that are dropped. */
static int call(pickle *p, int more) {
    pickle_value *callee, *arguments, *dropped;
    int rc = 0;
    while (rc == 0 && more-- > 0) rc = pop(p, &dropped);
    if (rc == 0) rc = pop(p, &arguments);
    if (rc == 0) rc = pop(p, &callee);
    return rc < 0 ? rc : push_called(p, callee, arguments);
}

/* INST and OBJ, of Python 1 and 2: nothing of ours is made so. */
static int push_marked_object(pickle *p, pickle_value *made_of) {
    pickle_value **item;
    size_t n;
    int rc = pop_mark(p, &item, &n);
    return rc < 0 ? rc : push_object(p, made_of ? made_of : n ? item[0] : NULL);
}

static int push_instance(pickle *p) {
    pickle_value *made_of;
    int rc = take_global(p, &made_of);
    return rc < 0 ? rc : push_marked_object(p, made_of);
}

static int push_extension(pickle *p, size_t bytes) {
    uint64_t code;
    int rc = pickle_take_number(p, bytes, &code);
    return rc < 0 ? rc : push_object(p, NULL);
}

static int push_persistent(pickle *p) {
    pickle_value *id, *v;
    int rc = pop(p, &id);
    if (rc < 0) return rc;
    rc = p->hooks && p->hooks->persistent ? p->hooks->persistent(p->hooks->context, p, id, &v) : 0;
    return rc < 0 ? rc : rc ? pickle_push(p, v) : push_object(p, NULL);
}

/* ---- filling --------------------------------------------------------------------------------------------------------------------- */

static int put_items(pickle *p, pickle_kind kind, pickle_value *const item[], size_t n) {
    if (above(p) == 0) return pickle_fault(p, "takes more than was given");
    pickle_value *into = p->stack[p->depth - 1];
    if (into->kind == PICKLE_OBJECT || into->kind == PICKLE_CUSTOM) return 0;
    if (into->kind != kind) return pickle_fault(p, "puts items into what takes none of them");
    return append_all(p, into, item, n);
}

static int put_top_items(pickle *p, pickle_kind kind, size_t n) {
    if (above(p) < n + 1) return pickle_fault(p, "takes more than was given");
    p->depth -= n;
    return put_items(p, kind, p->stack + p->depth, n);
}

static int put_marked_items(pickle *p, pickle_kind kind) {
    pickle_value **item;
    size_t n;
    int rc = pop_mark(p, &item, &n);
    if (rc == 0 && kind == PICKLE_DICT && n % 2) rc = pickle_fault(p, "a key without a value");
    return rc < 0 ? rc : put_items(p, kind, item, n);
}

/* The state of an object, which none of ours has. */
static int build(pickle *p) {
    pickle_value *state;
    int rc = pop(p, &state);
    return rc == 0 && above(p) == 0 ? pickle_fault(p, "takes more than was given") : rc;
}

/* ---- the memo --------------------------------------------------------------------------------------------------------------------- */

static int memoize(pickle *p, uint64_t place) {
    if (above(p) == 0) return pickle_fault(p, "takes more than was given");
    /* Picklers number from 0 (or 1) up: a higher number is a trick to take memory. */
    if (place > p->operations) return pickle_fault(p, "a place in the memo that no pickler would choose");
    int rc = grow(p, (void **)&p->memo, (size_t)place + 1, &p->memo_room, sizeof *p->memo);
    if (rc < 0) return rc;
    p->memoized += !p->memo[place];
    p->memo[place] = p->stack[p->depth - 1];
    return 0;
}

static int recall(pickle *p, uint64_t place) {
    return place < p->memo_room && p->memo[place] ? pickle_push(p, p->memo[place]) : pickle_fault(p, "asks for what is not in the memo");
}

static int by_number(pickle *p, size_t bytes, int (*then)(pickle *p, uint64_t place)) {
    uint64_t place;
    int rc = pickle_take_number(p, bytes, &place);
    return rc < 0 ? rc : then(p, place);
}

static int by_line(pickle *p, int (*then)(pickle *p, uint64_t place)) {
    const char *s;
    size_t n;
    uint64_t place = 0;
    int rc = pickle_take_line(p, &s, &n);
    if (rc < 0) return rc;
    if (n == 0 || n > 18) return pickle_fault(p, "no number");
    for (size_t i = 0; i < n; i++) {
        if (s[i] < '0' || s[i] > '9') return pickle_fault(p, "no number");
        place = place * 10 + (uint64_t)(s[i] - '0');
    }
    return then(p, place);
}

/* ---- the operations ------------------------------------------------------------------------------------------------------------------ */

static int push_number(pickle *p, size_t bytes) {
    uint64_t x;
    int rc = pickle_take_number(p, bytes, &x);
    return rc < 0 ? rc : pickle_push_integer(p, PICKLE_INTEGER, bytes == 4 ? (int32_t)x : (int64_t)x);
}

static int check_protocol(pickle *p) {
    uint64_t version;
    int rc = pickle_take_number(p, 1, &version);
    if (rc == 0 && version > MOST_PROTOCOL)
        rc = error_set(ERR_UNSUPPORTED, "%s: is of pickle protocol %d; 0 to %d are known", p->what, (int)version, MOST_PROTOCOL);
    return rc;
}

static int check_frame(pickle *p) {
    uint64_t n;
    int rc = pickle_take_number(p, 8, &n);
    return rc == 0 && n > p->size - p->at ? pickle_fault(p, "it is cut short") : rc;
}

static int pop_one(pickle *p) {
    pickle_value *v;
    if (above(p) == 0 && p->marks) return p->marks--, 0;
    return pop(p, &v);
}

static int pop_marked(pickle *p) {
    pickle_value **item;
    size_t n;
    return pop_mark(p, &item, &n);
}

static int duplicate(pickle *p) { return above(p) ? pickle_push(p, p->stack[p->depth - 1]) : pickle_fault(p, "takes more than was given"); }

/* One operation. 1: it was the last. */
static int run(pickle *p, uint8_t operation) {
    switch (operation) {
    case '.': return pop(p, &p->result) < 0 ? error_code() : 1;
    case 0x80: return check_protocol(p);
    case 0x95: return check_frame(p);
    case '(': return push_mark(p);
    case '0': return pop_one(p);
    case '1': return pop_marked(p);
    case '2': return duplicate(p);
    /* numbers */
    case 'N': return pickle_push_integer(p, PICKLE_NONE, 0);
    case 0x88: return pickle_push_integer(p, PICKLE_BOOL, 1);
    case 0x89: return pickle_push_integer(p, PICKLE_BOOL, 0);
    case 'I': return pickle_push_integer_line(p, false);
    case 'L': return pickle_push_integer_line(p, true);
    case 'J': return push_number(p, 4);
    case 'K': return push_number(p, 1);
    case 'M': return push_number(p, 2);
    case 0x8a: return pickle_push_counted_long(p, 1);
    case 0x8b: return pickle_push_counted_long(p, 4);
    case 'F': return pickle_push_float_line(p);
    case 'G': return pickle_push_float_bytes(p);
    /* texts and bytes; Python 2's strings are texts */
    case 'S': return pickle_push_quoted_line(p);
    case 'V': return pickle_push_unicode_line(p);
    case 'U': case 0x8c: return pickle_push_counted(p, PICKLE_TEXT, 1);
    case 'T': case 'X': return pickle_push_counted(p, PICKLE_TEXT, 4);
    case 0x8d: return pickle_push_counted(p, PICKLE_TEXT, 8);
    case 'C': return pickle_push_counted(p, PICKLE_BYTES, 1);
    case 'B': return pickle_push_counted(p, PICKLE_BYTES, 4);
    case 0x8e: case 0x96: return pickle_push_counted(p, PICKLE_BYTES, 8);
    /* containers; sets are inert */
    case ')': return push_items(p, PICKLE_TUPLE, NULL, 0);
    case ']': return push_items(p, PICKLE_LIST, NULL, 0);
    case '}': return push_items(p, PICKLE_DICT, NULL, 0);
    case 't': return push_marked_items(p, PICKLE_TUPLE);
    case 'l': return push_marked_items(p, PICKLE_LIST);
    case 'd': return push_marked_items(p, PICKLE_DICT);
    case 0x85: return push_top_items(p, PICKLE_TUPLE, 1);
    case 0x86: return push_top_items(p, PICKLE_TUPLE, 2);
    case 0x87: return push_top_items(p, PICKLE_TUPLE, 3);
    case 'a': return put_top_items(p, PICKLE_LIST, 1);
    case 'e': return put_marked_items(p, PICKLE_LIST);
    case 's': return put_top_items(p, PICKLE_DICT, 2);
    case 'u': return put_marked_items(p, PICKLE_DICT);
    case 0x8f: return push_object(p, NULL);
    case 0x90: return put_marked_items(p, PICKLE_OBJECT);
    case 0x91: return pop_marked(p) < 0 ? error_code() : push_object(p, NULL);
    /* names, calls */
    case 'c': return push_global(p);
    case 0x93: return push_stack_global(p);
    case 'R': case 0x81: return call(p, 0);
    case 0x92: return call(p, 1);
    case 'i': return push_instance(p);
    case 'o': return push_marked_object(p, NULL);
    case 0x82: return push_extension(p, 1);
    case 0x83: return push_extension(p, 2);
    case 0x84: return push_extension(p, 4);
    case 'Q': return push_persistent(p);
    case 'P': return error_set(ERR_UNSUPPORTED, "%s: is of pickle protocol 0, in which PyTorch writes files that cannot be read", p->what);
    case 'b': return build(p);
    /* the memo */
    case 'p': return by_line(p, memoize);
    case 'q': return by_number(p, 1, memoize);
    case 'r': return by_number(p, 4, memoize);
    case 0x94: return memoize(p, p->memoized);
    case 'g': return by_line(p, recall);
    case 'h': return by_number(p, 1, recall);
    case 'j': return by_number(p, 4, recall);
    case 0x97: case 0x98: return pickle_fault(p, "asks for bytes that are kept elsewhere");
    default: return pickle_fault(p, "is no operation of a pickle");
    }
}

int pickle_read(const char *what, const uint8_t *data, size_t size, size_t memory, const pickle_hooks *hooks, pickle **out, size_t *used) {
    pickle *p = calloc(1, sizeof *p);
    if (!p) return error_memory(sizeof *p);
    *p = (pickle){ .what = what, .data = data, .size = size, .left = memory, .hooks = hooks };
    int rc = 0;
    while (rc == 0) {
        p->begin = p->at;
        rc = p->at < size ? run(p, data[p->at++]) : pickle_fault(p, "it is cut short");
        p->operations++;
    }
    free(p->stack);
    free(p->memo);
    free(p->mark);
    p->stack = p->memo = NULL;
    p->mark = NULL;
    if (rc < 0) {
        pickle_free(p);
        return rc;
    }
    *out = p;
    if (used) *used = p->at;
    return 0;
}

void pickle_free(pickle *p) {
    if (!p) return;
    arena_free(&p->memory);
    free(p);
}

/* ---- asked by others -------------------------------------------------------------------------------------------------------------------- */

const pickle_value *pickle_result(const pickle *p) { return p->result; }
size_t pickle_globals(const pickle *p) { return p->globals; }
const pickle_value *pickle_global(const pickle *p, size_t i) { return p->global[i]; }

static bool same(const char *a, size_t n, const char *b) { return strlen(b) == n && memcmp(a, b, n) == 0; }

bool pickle_is_text(const pickle_value *v, const char *text) { return v->kind == PICKLE_TEXT && same(v->text.data, v->text.size, text); }

bool pickle_is_global(const pickle_value *v, const char *module, const char *name) {
    return v->kind == PICKLE_GLOBAL && same(v->global.module, v->global.module_size, module) && same(v->global.name, v->global.name_size, name);
}

const pickle_value *pickle_field(const pickle_value *dict, const char *key) {
    if (dict->kind != PICKLE_DICT) return NULL;
    for (size_t i = dict->list.count; i >= 2; i -= 2)
        if (pickle_is_text(dict->list.item[i - 2], key)) return dict->list.item[i - 1];
    return NULL;
}
