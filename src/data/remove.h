/* SPDX-License-Identifier: Apache-2.0
 *
 * Items of a data set removed for good: remembered in removed.jsonl first (data/selection.h), then their photos, maps, landmarks and
 * overlays are deleted, their members of shards, their lines of prompt.jsonl, prompt.rejected.jsonl and the journals, their
 * entries of metadata.json, and what backups of these hold. Killed at any moment, the next run finds what is left by what was
 * remembered. Only the check job uses this. */
#ifndef DATA_REMOVE_H
#define DATA_REMOVE_H

#include <stdint.h>

#include "data/selection.h"
#include "mien.h"

typedef struct removal removal;

/* What options->exclude lists, and what removed.jsonl of the folder says. `room` is where unlinked files lie. With options->dry_run nothing is
 * written. *result is added to, and the hooks' log is told. The folder is locked by the caller. */
int  removal_new(const char *folder, const char *room, const mien_check_options *options, mien_check_result *result, removal **out);
void removal_free(removal *r);

/* An item that the hash of its photo tells. */
int  removal_add(removal *r, const char *id, const uint8_t sha256[32]);
/* A file of target/ that no line names: hashed if any hash is listed. */
int  removal_look_at(removal *r, const char *name);

/* Finds the listed items by id and URL, wherever they are known; removes them and those added. A second time: those added since.
 * After each, the hashes of all photos that went are hashes to look for. */
int  removal_run(removal *r);

/* 0, or ERR_FORMAT: a metadata.json, or a backup of one, is broken and was left as it is. To be asked once all else is done. */
int  removal_broken(const removal *r);

/* What is listed, and what was removed so far. */
const selection *removal_selection(const removal *r);

#endif
