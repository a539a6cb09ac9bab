/* SPDX-License-Identifier: Apache-2.0
 *
 * Inside the list of inputs: inputs.c keeps it and finds clashes, inputs_walk.c looks through folders, inputs_list.c reads
 * lists of paths, inputs_flat.c finds names for a flat list. Nobody else includes this. */
#ifndef BASE_INPUTS_INSIDE_H
#define BASE_INPUTS_INSIDE_H

#include <sys/stat.h>

#include "base/inputs.h"
#include "base/name_set.h"
#include "base/spool.h"

/* One input in the spool, followed by its path and, if it lies inside the output folder, its path below that. */
typedef struct {
    uint64_t clash;        /* place of the input it clashes with + 1, or 0 */
    uint32_t path_size, below_size;   /* with their terminators; below_size 0: it lies elsewhere */
    uint32_t id_at;        /* the id is path + id_at */
    uint8_t mine, again, clash_input;
    uint8_t level : 4, up : 1;        /* of a flat list; up: another has its name */
} record;

typedef struct { char path[PATH_MAX], below[PATH_MAX]; record r; } entry;   /* below: "" if it lies elsewhere */

struct inputs {
    inputs_options options;
    char *output;                  /* its real path */
    struct stat output_stat;
    spool *spool;
    name_set names;                /* to places in the spool */
    uint64_t count, at;
    bool root_seen;                /* options.folder was told of "" */
    bool any_below;                /* an input lies in the output folder */
    bool any_up, any_rose, settled;   /* of a flat list: two inputs have one name; an input went up a level; names are final */
    entry *entry, *other;          /* scratch: the one that is added, and one it is compared with */
    char *last_folder, *last_real; /* realpath of the folder of the last file that was named itself */
};

int      inputs_entry_read(inputs *in, uint64_t place, entry *e);
uint64_t inputs_entry_bytes(const entry *e);

/* In a flat list: notes the name of in->entry, which lies at a place; and makes all names final. */
int  inputs_flat_enter(inputs *in, uint64_t place);
int  inputs_flat_settle(inputs *in);
void inputs_flat_name(const inputs *in, const entry *e, char out[INPUTS_NAME]);

/* Enters a file, whose id is path + id_at. `below` is the path of its folder below the output folder, NULL if it lies
 * elsewhere. What cannot be entered is told of (inputs_failed), and listing goes on. */
int  inputs_enter(inputs *in, const char *path, size_t id_at, const char *below);
/* Tells of a path that could not be listed, for the reason that was set last. */
void inputs_failed(inputs *in, const char *path);

#endif
