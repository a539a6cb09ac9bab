/* SPDX-License-Identifier: Apache-2.0 */
#include "data/preview_plan.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "base/error.h"
#include "base/file.h"
#include "base/output.h"
#include "data/preview_page.h"

/* ---- items ---------------------------------------------------------------------------------------------------------- */

static uint64_t splitmix64(uint64_t *state) {
    uint64_t x = *state += 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

/* Each number is taken with the probability that as many are still wanted of those left (Knuth's algorithm S). */
void preview_draw(uint64_t n, uint64_t most, uint64_t seed, uint64_t *out) {
    uint64_t taken = 0;
    for (uint64_t i = 0; i < n && taken < most; i++) {
        uint64_t below = (uint64_t)(((unsigned __int128)splitmix64(&seed) * (n - i)) >> 64);
        if (below < most - taken) out[taken++] = i;
    }
}

/* How many of the chosen come before item i. */
static uint64_t places_before(const uint64_t *chosen, uint64_t n, uint64_t i) {
    if (!chosen) return i;
    uint64_t low = 0;
    while (low < n) {
        uint64_t middle = low + (n - low) / 2;
        if (chosen[middle] < i) low = middle + 1;
        else n = middle;
    }
    return low;
}

static int choose(const mien_preview_options *o, uint64_t all_items, const uint64_t *chosen, uint64_t count, preview_plan *p) {
    char shown[PAINT_NUMBER], all[PAINT_NUMBER], number[PAINT_NUMBER];
    uint64_t pages = o->pages < 0 ? 0 : o->pages ? (uint64_t)o->pages : 1, begin = o->first ? places_before(chosen, count, o->first - 1) : 0, most = pages * PAGE_ITEMS;
    if (o->sample && o->pages >= 0) most = o->sample;
    if (o->first && o->first > all_items)
        return error_set(ERR_USAGE, "there is no item %" PRIu64 ": the data set has %" PRIu64, o->first, all_items);
    if (most > count - begin) most = count - begin;
    p->index = malloc((most ? most : 1) * sizeof *p->index);
    if (!p->index) return error_memory(most * sizeof *p->index);
    p->shown = most;
    p->pages = (int)((most + PAGE_ITEMS - 1) / PAGE_ITEMS);
    bool drawn = !o->first && most < count;
    if (drawn) preview_draw(count, most, o->seed, p->index);
    else for (uint64_t i = 0; i < most; i++) p->index[i] = begin + i;
    for (uint64_t i = 0; chosen && i < most; i++) p->index[i] = chosen[p->index[i]];
    const char *items = count == 1 ? "item" : "items";
    paint_count(shown, most);
    paint_count(all, count);
    if (drawn) snprintf(p->about, sizeof p->about, "%s of %s %s, drawn at random (seed %" PRIu64 ")", shown, all, items, o->seed);
    else if (most < count) snprintf(p->about, sizeof p->about, "%s of %s %s, from item %s", shown, all, items, paint_count(number, o->first));
    else snprintf(p->about, sizeof p->about, "all %s %s", all, items);
    return 0;
}

/* ---- files ---------------------------------------------------------------------------------------------------------- */

static int ends_in_png(const char *path) {
    size_t n = strlen(path);
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    return strlen(name) > 4 && strcasecmp(path + n - 4, ".png") == 0;
}

static int name_files(const mien_preview_options *o, preview_plan *p) {
    enum { LONGEST = sizeof "-statistics.png" };
    if (!ends_in_png(o->output)) return error_set(ERR_USAGE, "%s: a name that ends in .png was expected", o->output);
    if (strlen(o->output) + LONGEST >= PATH_MAX || (o->statistics && strlen(o->statistics) >= PATH_MAX)) return error_set(ERR_USAGE, "the output's path is too long");
    snprintf(p->stem, sizeof p->stem, "%.*s", (int)strlen(o->output) - 4, o->output);
    strcpy(p->ending, o->output + strlen(p->stem));
    if (o->no_statistics) return 0;
    if (!o->statistics) strcpy(stpcpy(stpcpy(p->statistics, p->stem), "-statistics"), p->ending);
    else if (ends_in_png(o->statistics)) strcpy(p->statistics, o->statistics);
    else return error_set(ERR_USAGE, "%s: a name that ends in .png was expected", o->statistics);
    return 0;
}

void preview_page_path(const preview_plan *p, int k, char out[PATH_MAX]) {
    char *end = stpcpy(out, p->stem);
    if (k) end += sprintf(end, "-%d", k + 1);
    strcpy(end, p->ending);
}

/* The folder that a path leads to. */
static void folder_of(const char *path, char out[PATH_MAX]) {
    const char *slash = strrchr(path, '/');
    if (!slash) strcpy(out, ".");
    else if (slash == path) strcpy(out, "/");
    else snprintf(out, PATH_MAX, "%.*s", (int)(slash - path), path);
}

/* The data set's own pictures end in .png, too. */
static int check_folder(const char *path, const dataset *d) {
    static const char *const own[] = { "source", "target", "annotated" };
    char folder[PATH_MAX], inner[PATH_MAX];
    struct stat st, in;
    folder_of(path, folder);
    if (stat(folder, &st) < 0) return error_errno("%s", folder), ERR_USAGE;
    for (int i = 0; i < 3; i++) {
        if (snprintf(inner, sizeof inner, "%s/%s", dataset_path(d), own[i]) >= PATH_MAX || stat(inner, &in) < 0) continue;
        if (in.st_dev == st.st_dev && in.st_ino == st.st_ino) return error_set(ERR_USAGE, "%s: lies among the data set's own pictures", path);
    }
    return 0;
}

static int check_file(const char *path, const dataset *d, bool force) {
    int rc = output_refuse(path, &(output_rules){ .force = force });
    return rc < 0 ? rc : check_folder(path, d);
}

static int check_files(const mien_preview_options *o, const dataset *d, const preview_plan *p) {
    char path[PATH_MAX];
    int rc = 0;
    for (int k = 0; rc == 0 && k < p->pages; k++) {
        preview_page_path(p, k, path);
        rc = check_file(path, d, o->force);
        if (rc == 0 && *p->statistics && file_same_place(path, p->statistics)) rc = error_set(ERR_USAGE, "%s: is a page and the statistics, too", path);
    }
    return rc == 0 && *p->statistics ? check_file(p->statistics, d, o->force) : rc;
}

int preview_plan_new(const mien_preview_options *o, const dataset *d, const uint64_t *chosen, uint64_t n, preview_plan *out) {
    *out = (preview_plan){ 0 };
    int rc = name_files(o, out);
    if (rc == 0) rc = choose(o, dataset_count(d), chosen, n, out);
    if (rc == 0) rc = check_files(o, d, out);
    if (rc < 0) preview_plan_free(out);
    return rc;
}

void preview_plan_free(preview_plan *p) {
    free(p->index);
    p->index = NULL;
}
