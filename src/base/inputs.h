/* SPDX-License-Identifier: Apache-2.0
 *
 * The inputs of a job that makes a folder from files: listed first, then done. The list lives in an unlinked file in the
 * output folder, so memory does not grow with it but for 11 to 16 bytes an input, by which two inputs that would write
 * the same file are found. Nothing here writes to an input.
 *
 * An input's id is its path below the folder it was found in, or its own name if it was named itself; its outputs are
 * <output>/<id without extension><suffix>. In a flat list (base/inputs_flat.c) the caller makes names of ids, and two
 * inputs of one name both get a longer one. */
#ifndef BASE_INPUTS_H
#define BASE_INPUTS_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct inputs inputs;

enum { INPUTS_NAME = 256, INPUTS_LEVELS = 3 };

typedef struct {
    const char *output;                       /* the folder, which exists */
    const char *const *suffixes;              /* of what the job writes: ".png", "_overlay.png"; up to 8; ends with NULL */
    bool (*wanted)(const char *name);         /* which files of a folder to take */
    int part, parts;                          /* this process has part 1..parts; parts 0: all */
    const volatile int *stop;                 /* set: leave off with ERR_CANCELLED; may be NULL */
    /* A path that could not be listed, with the reason; listing goes on. */
    void (*failed)(void *context, const char *path, const char *message);
    /* A folder below the output that will be written to ("" for itself); it may not exist yet. May be NULL. */
    void (*folder)(void *context, const char *id);
    /* Whether to enter a folder below those that are added, by its path; NULL: all. */
    bool (*enter)(void *context, const char *path);
    bool shallow;                             /* folders below those that are added are not entered */
    /* NULL, or a flat list: makes an input's stem of its id, "" if there can be none. All inputs that get the same at level
     * 0 are asked for level 1, and so on: which input gets which stem depends on the set of ids only. Those that are the
     * same at the last level clash. suffixes do not matter. */
    void (*flatten)(void *context, const char *id, int level, char out[INPUTS_NAME]);
    void *context;
} inputs_options;

int  inputs_new(const inputs_options *options, inputs **out);
void inputs_free(inputs *in);

/* Adds a file, whatever its name, or all that is wanted in a folder and the folders below it. Hidden names are left out
 * there, links to folders are not followed, the output folder is not entered. ERR_USAGE if an output would be an input. */
int  inputs_add(inputs *in, const char *path);
/* The same for the paths read from a descriptor: each ends with NUL if there is one in the first 4096 bytes (as `find
 * -print0` writes), else with a newline. */
int  inputs_add_list(inputs *in, int fd);

uint64_t inputs_count(const inputs *in);      /* those of this part */

typedef struct {
    char path[PATH_MAX];
    const char *id;                           /* the end of path */
    char stem[PATH_MAX];                      /* the id without its extension, or what was made of it */
    char clash[PATH_MAX];                     /* not "": this input would write a file that ... */
    bool clash_input;                         /* ... is this input, or else that this input writes too */
    bool again;                               /* this very file is already in the list */
} inputs_item;

/* Ends listing and goes through the list. 1, or 0 at the end, or ERR_*. One thread at a time. */
int  inputs_next(inputs *in, inputs_item *item);

#endif
