/* SPDX-License-Identifier: Apache-2.0
 *
 * A data set on disk, as the original keeps it: prompt.jsonl with {"source","target","prompt"} a line, the maps in source/
 * (beside them the landmarks, <name>.json), the photos in target/. Where there is no prompt.jsonl but tar shards
 * (webdataset: .jpg, .map.png, .json, .txt an item), these are read instead. Of paths in prompt.jsonl only the basename
 * counts. Opened once, read from any number of threads; memory is about a byte for four items. What prompt.jsonl was when
 * it was opened is what is read: a file put in its place meanwhile is not seen, one that is changed in place gives errors. */
#ifndef DATA_DATASET_H
#define DATA_DATASET_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/text.h"
#include "mien.h"

typedef struct dataset dataset;

/* The folder that --data names: itself, or its training/laion-face-processed if only that holds a data set (or the
 * metadata.json of one to come). It need not be there yet; ERR_USAGE for what is there and no folder. */
int  dataset_folder(const char *path, char out[PATH_MAX]);

/* `path` as --data names it. ERR_USAGE if there is neither prompt.jsonl nor a shard. */
int  dataset_open(const char *path, dataset **out);
/* The same, and the hooks' log is told of each shard, or member of one, that can't be used; hooks may be NULL. */
int  dataset_open_told(const char *path, const mien_hooks *hooks, dataset **out);
void dataset_close(dataset *d);                    /* NULL is fine */
const char *dataset_path(const dataset *d);        /* the folder of prompt.jsonl */
bool dataset_is_shards(const dataset *d);
const struct shards *dataset_shards(const dataset *d);   /* data/shards.h, its items are ours; or NULL */
uint64_t dataset_count(const dataset *d);          /* lines of prompt.jsonl (empty ones too), or items of the shards */
/* 64 bits of all lines: what was remembered by line number is worth nothing once they are others. */
uint64_t dataset_fingerprint(const dataset *d);

/* source, target: basenames in source/ and target/ (of a shard: names of its members). prompt: "" if it is null or missing. id: the target's
 * name without its extension. `line` is the line as it stands (of a shard: as it would). */
typedef struct { uint64_t index; char *id, *source, *target, *prompt, *line; } dataset_item;
/* Item i, from 0. The caller frees it. ERR_FORMAT with the line's number for what is no item: go on with the next. */
int  dataset_read(const dataset *d, uint64_t i, dataset_item *out);
void dataset_item_free(dataset_item *item);        /* also fine on a zeroed one */

typedef enum { DATASET_SOURCE, DATASET_TARGET, DATASET_FACES } dataset_part;   /* FACES: the landmarks JSON */
/* Reads a part of an item whole; the caller frees *data. ERR_IO if it isn't there. */
int  dataset_load(const dataset *d, const dataset_item *item, dataset_part part, uint8_t **data, size_t *size);
/* The path of a part's file; false in a shard. */
bool dataset_part_path(const dataset *d, const dataset_item *item, dataset_part part, char out[PATH_MAX]);

/* One wording for one fault: the last error, which was about a part of an item, becomes "map: source/x.png is not there" or "map:
 * source/x.png: <why>"; its code stays and is returned. And of a line that can't be read: what is wrong with it, without the file. */
int  dataset_fault(const dataset *d, const dataset_item *item, dataset_part part);
const char *dataset_line_fault(const dataset *d, uint64_t i);

/* Whether two pictures have one shape, within 1%: a photo of another one than its map's is not the photo that the map was
 * drawn for. (The original stretches it without a word.) */
bool dataset_same_shape(int width, int height, int width2, int height2);

/* ---- one line (data/dataset_line.c) ---- */

enum { DATASET_LINE_MOST = 1 << 20 };              /* bytes; what is longer is no item */

/* A line without its newline, of hostile bytes; `where` is what errors call it. index is 0. */
int  dataset_parse(const char *where, const char *data, size_t size, dataset_item *out);
/* An item of its parts, copied: what a line says that has been read by other means. */
int  dataset_item_new(const char *source, const char *target, const char *prompt, const char *line, dataset_item *out);

/* Appends {"source": "source/...", "target": "target/...", "prompt": ...} with the bytes that Python's json.dumps gives
 * (", " and ": ", ASCII only, \uXXXX in lower case; what is not UTF-8 becomes \ufffd); no newline. prompt NULL is null. */
void dataset_line(const char *source, const char *target, const char *prompt, text *out);

#endif
