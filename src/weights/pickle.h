/* SPDX-License-Identifier: Apache-2.0
 *
 * Python pickles (protocols 0 to 5), read without running anything: numbers, texts, lists, dictionaries, and what the
 * caller's two hooks make. A pickle is a program that names classes and functions and calls them; here a name is only a
 * name (PICKLE_GLOBAL), and whatever is called, built or made of one is an inert PICKLE_OBJECT that swallows what is put
 * into it, unless a hook knows better.
 *
 * Values may contain themselves and each other: walk them with a limit on depth and on the number of steps. */
#ifndef WEIGHTS_PICKLE_H
#define WEIGHTS_PICKLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"

typedef enum {
    PICKLE_NONE, PICKLE_BOOL, PICKLE_INTEGER, PICKLE_BIG, PICKLE_FLOAT, PICKLE_TEXT, PICKLE_BYTES,
    PICKLE_TUPLE, PICKLE_LIST, PICKLE_DICT,
    PICKLE_GLOBAL, PICKLE_OBJECT, PICKLE_CUSTOM,
} pickle_kind;

typedef struct pickle_value {
    pickle_kind kind;
    union {
        int64_t integer;                                       /* BOOL (0, 1), INTEGER */
        double number;                                         /* FLOAT */
        struct { const char *data; size_t size; } text;        /* TEXT (UTF-8, claims the file), BYTES; BIG: bytes, the
                                                                * least first; not terminated */
        struct { struct pickle_value **item; size_t count, room; } list;   /* TUPLE, LIST; DICT: key, value, key, value, in
                                                                            * the order they were set */
        struct { const char *module, *name; size_t module_size, name_size; } global;
        const struct pickle_value *made_of;                    /* OBJECT: the GLOBAL, or NULL */
        struct { int tag; void *data; } custom;                /* CUSTOM: a hook's */
    };
} pickle_value;

typedef struct pickle pickle;

/* 1: *out is the value; 0: not known, an inert object is made; or ERR_*. */
typedef struct {
    /* arguments: a TUPLE */
    int (*call)(void *context, pickle *p, const pickle_value *global, const pickle_value *arguments, pickle_value **out);
    int (*persistent)(void *context, pickle *p, const pickle_value *id, pickle_value **out);
    void *context;
} pickle_hooks;

/* Reads the pickle that data begins with; *used is its length. Texts point into data. All values live until pickle_free.
 * hooks may be NULL. ERR_FORMAT: "WHAT: byte B of the pickle: ..."; ERR_LIMIT: more memory than `memory`. */
int  pickle_read(const char *what, const uint8_t *data, size_t size, size_t memory, const pickle_hooks *hooks, pickle **out,
                 size_t *used);
void pickle_free(pickle *p);
const pickle_value *pickle_result(const pickle *p);
/* The globals that were named, each once, in the order of their first naming (at most PICKLE_MOST_GLOBALS). */
enum { PICKLE_MOST_GLOBALS = 64 };
size_t pickle_globals(const pickle *p);
const pickle_value *pickle_global(const pickle *p, size_t i);

bool pickle_is_text(const pickle_value *v, const char *text);
bool pickle_is_global(const pickle_value *v, const char *module, const char *name);
/* The value of a dictionary's key: the last one set. NULL: none, or no dictionary. */
const pickle_value *pickle_field(const pickle_value *dict, const char *key);

/* For hooks. NULL: ERR_MEMORY or ERR_LIMIT. */
pickle_value *pickle_new(pickle *p, pickle_kind kind);
void         *pickle_memory(pickle *p, size_t count, size_t size);   /* zeroed */
int           pickle_append(pickle *p, pickle_value *list, pickle_value *item);   /* of a LIST, TUPLE or DICT */
/* "WHAT: byte B of the pickle: why"; returns code. */
int           pickle_wrong(const pickle *p, int code, const char *why);

#endif
