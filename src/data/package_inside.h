/* SPDX-License-Identifier: Apache-2.0
 *
 * Inside the package job: package.c goes through the items, package_zip.c and package_shards.c write them. Nobody else
 * includes this. */
#ifndef DATA_PACKAGE_INSIDE_H
#define DATA_PACKAGE_INSIDE_H

#include <pthread.h>

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
    pthread_mutex_t lock;          /* of `known` */
    char scratch[PATH_MAX];        /* the folder for what is set aside */
    mien_progress progress;
    double begin, told;            /* when progress was told */
} package_job;

/* An item on its way. What it has not is NULL. */
typedef struct {
    uint64_t index;
    int rc;                        /* 1: it is to be packed; 0: a list leaves it out; ERR_*: it is of no use, or the job must end, since: */
    char *why;
    bool chosen;                   /* its line is good, and lists let it in, whatever became of its files */
    dataset_item line;
    text metadata;                 /* {"url": ...}, or no data */
    uint8_t *map, *photo, *faces;
    size_t map_size, photo_size, faces_size;
} package_item;

/* What of an item is read: its line alone; the map and, if there are any, the landmarks; or these and the photo. */
typedef enum { PACKAGE_LINE, PACKAGE_MAP, PACKAGE_PHOTO } package_files;

/* Items from..to-1 in order, read ahead by threads. */
typedef struct package_ahead package_ahead;
int  package_ahead_open(package_job *j, uint64_t from, uint64_t to, package_files files, package_ahead **out);
/* 1 and the next item, which the caller frees, whatever became of it; 0 at the end; ERR_CANCELLED. Tells of progress. */
int  package_ahead_next(package_ahead *a, package_item *out);
void package_ahead_close(package_ahead *a);

/* Reads item i; any thread. */
void package_read(package_job *j, uint64_t i, package_files files, package_item *out);
/* The item is lost for this reason: counted and told of. Returns 0, or the code of what ends the job. */
int  package_lost(package_job *j, const package_item *item, int rc, const char *why);
void package_warn(package_job *j, const char *message);
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
