/* SPDX-License-Identifier: Apache-2.0
 *
 * Lines of the journal `build`. What became of a photo, by its path below the photos' folder:
 *
 *     {"photo":"sub/a.jpg","run":1,"outcome":"kept","id":"a","size":N,"mtime":NANOSECONDS,"sha256":"...","settings":"16 hex
 *     digits","width":W,"height":H,"faces":N,"source":"a.png","target":"a.jpg","landmarks":"SHA-256","prompt":"...",...}
 *
 * where a later run's line counts, whichever file it stands in; a run's settings, {"run":1,"settings":...}; and the files
 * that the job wrote for the whole set, {"run":1,"wrote":"prompt.jsonl","sha256":"..."}: what has such a hash is ours. */
#ifndef DATA_BUILD_RECORD_H
#define DATA_BUILD_RECORD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/json.h"
#include "base/text.h"

#define BUILD_JOURNAL "build"

typedef enum {
    BUILD_KEPT, BUILD_NSFW, BUILD_SMALL, BUILD_LARGE, BUILD_NO_FACE, BUILD_SMALL_FACES, BUILD_EXCLUDED,
    /* Failures: */
    BUILD_UNREADABLE, BUILD_BROKEN_SIDECAR, BUILD_DUPLICATE_NAME, BUILD_UNFIT_NAME, BUILD_NOT_WRITTEN,
    BUILD_GONE,               /* its photo is not there any more; not counted */
    BUILD_OUTCOMES,
} build_outcome;

extern const char *const build_outcome_word[BUILD_OUTCOMES];    /* "small_faces" */

/* Strings may be NULL: unknown, or of no concern. */
typedef struct {
    const char *photo;        /* escaped: build_path_escape */
    uint64_t run;
    build_outcome outcome;
    const char *why;          /* in a few words, of failures */
    const char *id;
    bool in_place;            /* the photo lies in target/ itself */
    /* Of the photo, as far as it was looked at: */
    uint64_t size;
    int64_t mtime;            /* nanoseconds */
    const char *sha256, *settings;
    int width, height, faces;
    /* Of what is kept: names in source/ and target/; hashes of the landmarks and of a map that is a JPEG, which says nothing
     * of itself. */
    const char *source, *target, *landmarks, *map, *prompt;
    const char *url, *nsfw;
    double unsafe;            /* below 0: unknown */
} build_record;

/* Appends the line without its newline. */
void build_record_write(const build_record *r, text *out);

typedef struct { const char *name, *sha256; } build_wrote;

typedef enum { BUILD_LINE_OTHER, BUILD_LINE_RECORD, BUILD_LINE_WROTE } build_line;

/* What a line is; strings live as long as its document. *run is set in any case. Lines of unknown kinds are BUILD_LINE_OTHER; ERR_FORMAT
 * for what is broken. */
int  build_line_read(const json_at *line, uint64_t *run, build_record *r, build_wrote *w);

/* A path as journals have it: what is no printable UTF-8, and "%", stands as %XX, so that it reads back exactly. */
void build_path_escape(const char *path, text *out);
bool build_path_unescape(const char *escaped, char *out, size_t room);

#endif
