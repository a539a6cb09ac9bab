/* SPDX-License-Identifier: Apache-2.0
 *
 * Inside the package job: package.c goes through the items, package_zip.c and package_shards.c write them. Nobody else
 * includes this. */
#ifndef DATA_PACKAGE_INSIDE_H
#define DATA_PACKAGE_INSIDE_H

#include "base/archive.h"
#include "base/name_set.h"
#include "base/spool.h"
#include "data/dataset.h"
#include "data/metadata.h"
#include "data/package.h"
#include "data/selection.h"

enum { PACKED_MAPS, PACKED_LANDMARKS, PACKED_SELECTED_OUT, PACKED_SHARDS, PACKED_BYTES, PACKED_COUNTS };

typedef struct {
    const mien_package_options *options;
    dataset *data;
    selection *chosen;
    metadata *known;               /* NULL for shards, and where nobody asks */
    char scratch[PATH_MAX];        /* the folder for what is set aside */
    mien_progress progress;
    double begin, told;            /* when progress was told */
} package_job;

/* An item on its way. What it has not is NULL. */
typedef struct {
    dataset_item line;
    text metadata;                 /* {"url": ...}, or no data */
    uint8_t *map, *photo, *faces;
    size_t map_size, photo_size, faces_size;
} package_item;

/* Line i, without files: 1 if it is to be packed; 0 if it is left out, counted, and told of (`quietly`: neither). */
int  package_choose(package_job *j, uint64_t i, bool quietly, package_item *out);
/* Its files: the map and, if there are any, the landmarks; and the photo. ERR_*: the item is of no use, but for ERR_MEMORY. */
int  package_load(package_job *j, package_item *item, bool photo);
/* The item is lost, for the reason of the last message. Returns 0, or the code of what ends the job. */
int  package_lost(package_job *j, const package_item *item, uint64_t i, int rc);
void package_item_free(package_item *item);
/* Progress, ten times a second; ERR_CANCELLED if the job is to stop. */
int  package_tick(package_job *j);

/* Which ids and which maps are packed: found by name, kept in an unlinked file. */
typedef enum { PACKED_ID = 1, PACKED_MAP = 2 } packed_kind;
typedef struct { spool *names; name_set set; int rc; } packed_names;
int  packed_open(const char *folder, packed_names *out);
/* Adds a name as kinds (both at once); `detail` is kept with it. */
int  packed_add(packed_names *p, int kinds, const char *name, const char *detail);
/* 1 and the detail, or 0, or ERR_*. */
int  packed_find(packed_names *p, packed_kind kind, const char *name, char detail[NAME_MAX + 1]);
void packed_close(packed_names *p);   /* also fine on a zeroed one */

int  package_zip(package_job *j);
int  package_shards(package_job *j);

#endif
