/* SPDX-License-Identifier: Apache-2.0
 *
 * Models from the network: a table of those that mien knows, a folder that keeps them, and fetching one file so that it
 * goes on where it was cut off, however that was, and counts only if its SHA-256 is the known one. */
#ifndef WEIGHTS_PULL_H
#define WEIGHTS_PULL_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Nothing in it is guessed: what has no source is NULL. */
typedef struct {
    const char *name, *title;
    const char *url;                 /* begins with PULL_HUB; its last part is the file's name */
    const char *size;                /* for people: "4.27 GB" */
    const char *sha256, *source;     /* and where that is written */
    const char *licence, *licence_url;
    bool restricted;                 /* the licence says what it must not be used for */
    const char *note;                /* what one should know; or NULL */
    const char *base;                /* of a ControlNet: the name of the model that it goes with; or NULL */
} pull_model;

#define PULL_HUB "https://huggingface.co"

size_t            pull_count(void);
const pull_model *pull_at(size_t i);
const pull_model *pull_known(const char *name);       /* or NULL */

/* Where a known model lies: 1, or 0 if it was not pulled yet. ERR_USAGE if no such model is known. */
int pull_find(const char *name, char path[PATH_MAX]);

typedef struct {
    uint64_t total, before, now;     /* bytes: of the file (0: not known yet), there from earlier runs, fetched by this one */
    uint64_t checked;                /* bytes whose SHA-256 was taken */
    double seconds;
} pull_progress;

typedef struct {
    const char *url, *folder, *file; /* the last may be NULL: as in the URL */
    const char *sha256;              /* 64 hex digits, or NULL: as the hub says, if it does */
    const char *licence, *licence_url;   /* to be written beside it; or NULL */
    const char *withdrawn;           /* what to add to the message if there is no such file; or NULL */
    bool insecure, allow_private;    /* http, and certificates that are not verified; addresses of private networks */
    int retries;                     /* one after the other in which nothing came */
    double retry_seconds;            /* before the first; then twice as long each */
    double connect_seconds, stall_seconds;
    const volatile int *stop;
    void (*tell)(void *context, const pull_progress *p);   /* some times a second; may be NULL */
    void (*say)(void *context, const char *line);          /* what happens on the way; may be NULL */
    void *context;
} pull_options;

typedef enum { PULL_UNVERIFIED, PULL_AS_ASKED, PULL_AS_HUB_SAYS } pull_proof;

typedef struct {
    char path[PATH_MAX], sha256[65];
    uint64_t bytes, fetched;
    bool there;                      /* it was there already */
    pull_proof proof;
} pull_result;

/* Fetches one file to folder/file. What has come is in file.part beside it, and file.part.json says of what; file.pull.json
 * says where the whole one is from. */
int pull_file(const pull_options *options, pull_result *out);

/* The file's name at the end of a URL; ERR_USAGE unless it is plain: [A-Za-z0-9._-]{1,200}, no leading dot. */
int pull_file_name(const char *url, char out[208]);

#endif
