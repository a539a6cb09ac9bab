/* SPDX-License-Identifier: Apache-2.0
 *
 * Which items a preview shows, and which files it writes: known, and refused where they are in the way, before any work. */
#ifndef DATA_PREVIEW_PLAN_H
#define DATA_PREVIEW_PLAN_H

#include <limits.h>
#include <stdint.h>

#include "data/dataset.h"
#include "mien.h"

enum { PREVIEW_MOST_PAGES = 10000 };

typedef struct {
    uint64_t *index;                   /* of the items shown, from 0, ascending */
    uint64_t shown;
    int pages;
    char stem[PATH_MAX], ending[5];    /* of the pages' names: ".png" as it was given */
    char statistics[PATH_MAX];         /* "": none */
    char about[160];                   /* "24 of 1,234 items, drawn at random (seed 0)" */
} preview_plan;

/* chosen: the n items that come into question, ascending; NULL: all. */
int  preview_plan_new(const mien_preview_options *o, const dataset *d, const uint64_t *chosen, uint64_t n, preview_plan *out);
void preview_plan_free(preview_plan *p);
/* Page k, from 0: "sheet.png", "sheet-2.png", ... */
void preview_page_path(const preview_plan *p, int k, char out[PATH_MAX]);

/* `most` different numbers below n, ascending, the same for the same seed: each such set is as likely. most <= n. */
void preview_draw(uint64_t n, uint64_t most, uint64_t seed, uint64_t *out);

#endif
