/* SPDX-License-Identifier: Apache-2.0
 *
 * Where pictures are written, and what may lie there already. */
#ifndef GENERATE_OUTPUT_H
#define GENERATE_OUTPUT_H

#include <limits.h>
#include <stdbool.h>

#include "generate/parameters.h"
#include "image/image.h"

/* Picture k (from 0) of OUT.png: OUT.png, OUT-2.png, OUT-3.png, ... ERR_USAGE if that is too long. */
int output_path(const char *first, int k, char out[PATH_MAX]);
int output_preview_path(const char *picture, char out[PATH_MAX]);   /* OUT.preview.png */

/* Before any work: ERR_EXISTS or ERR_USAGE if a file cannot be written there, or must not: what is there stays unless forced, and
 * one of `inputs` (n, NULLs among them) always. preview: an earlier preview of ours is no hindrance. */
int output_refuse_picture(const char *path, bool force, bool preview, const char *const inputs[], int n);

/* What the picture there says of itself: 1; 0 if there is no file; ERR_EXISTS if it is nothing of ours. r NULL: only whether a file is there.
 * The record's strings are to be freed. `words`: the text itself, to be freed, may be NULL. */
int output_read(const char *path, picture_record *r, char **words);

/* parameters NULL: no metadata at all. */
int output_write(const char *path, const image *picture, const char *parameters, bool replace);
int output_write_preview(const char *path, const image *picture);   /* its own mark, and the machine-made one */

/* The "parameters" text of a PNG, malloc'd; NULL, with a message, if it has none or is none. */
char *output_parameters(const char *path);

#endif
