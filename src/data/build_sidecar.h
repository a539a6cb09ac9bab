/* SPDX-License-Identifier: Apache-2.0
 *
 * What is known of a photo besides its pixels: caption, address, marks of being unsafe. A sidecar <photo>.json says it as
 * LAION's does (unknown keys are ignored):
 *
 *     {"caption": "...", "url": "...", "NSFW": "UNLIKELY", "punsafe": 0.01}
 *
 * NSFW may be a word, a probability of being unsafe, or null; it, punsafe (or unsafe) and url may be written in any case. What `mien synth` rendered has an object
 * "synth" in it. */
#ifndef DATA_BUILD_SIDECAR_H
#define DATA_BUILD_SIDECAR_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "data/list.h"

enum { SIDECAR_MOST = 4 << 20, CAPTION_MOST = 1 << 16 };   /* bytes */

typedef struct {
    bool has_caption;
    char *caption;            /* NULL: none, or null */
    char *url;
    char *nsfw;               /* the word that lets it out, if there is one, else any */
    double unsafe;            /* the highest probability; below 0: none */
    bool rendered;            /* it says so itself, by the object "synth": no photo that was made smaller */
    bool strange;             /* a mark that is neither word nor probability: nobody knows what it says */
} sidecar;                    /* zeroed but for unsafe: SIDECAR_NONE */

#define SIDECAR_NONE ((sidecar){ .unsafe = -1 })

/* Reads a sidecar's bytes; `name` is what errors call it. ERR_FORMAT, ERR_LIMIT: it is broken, and what it says of safety can't
 * be known. The caller frees *out in any case. */
int  sidecar_parse(const char *name, const uint8_t *data, size_t size, sidecar *out);
/* A caption's file: its lines up to the first empty one, joined by a space. */
int  sidecar_parse_caption(const char *name, const uint8_t *data, size_t size, sidecar *out);
/* What a list of pictures says, where the sidecar says nothing; of two marks the worse one counts. */
int  sidecar_add_list(sidecar *s, const list_item *item);
/* As the original decides: list_safe of all marks. */
bool sidecar_safe(const sidecar *s, double max_unsafe);
void sidecar_free(sidecar *s);

/* What <stem of photo>.json and .txt say, or .JSON and .TXT where there is no other. A sidecar that is not there is fine. ERR_*: it could not be read, or is broken. */
int  sidecar_load(const char *photo, sidecar *out);

#endif
