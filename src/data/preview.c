/* SPDX-License-Identifier: Apache-2.0 */
#include "data/preview.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/file.h"
#include "base/workers.h"
#include "data/choice.h"
#include "data/dataset.h"
#include "data/preview_page.h"
#include "data/preview_plan.h"
#include "data/preview_statistics.h"
#include "data/shards.h"
#include "face/faces_json.h"

enum { COUNT_PAGES, COUNT_SHOWN, COUNT_MARKED, COUNT_SELECTED_OUT, COUNTS };
static const char *const count_names[COUNTS] = { "pages", "shown", "marked", "selected_out" };

typedef struct { image sheet; int tiles, left; } page;   /* left: tiles not drawn yet */

typedef struct {
    const preview_options *options;
    dataset *d;
    choice *choice;                    /* what removed.jsonl says */
    uint64_t *chosen, n;               /* the items that come into question; chosen NULL: all */
    preview_plan plan;
    char headline[PATH_MAX];
    page **page;                       /* those that are begun and not written */
    statistics *counted;
    double begin;
    /* While the workers run, theirs: under their lock. */
    uint64_t next;
    preview_progress progress;
} job;

static void say(job *j, mien_log_kind kind, const char *path, const char *message) {
    if (j->options->hooks.log) j->options->hooks.log(j->options->hooks.context, kind, path, message);
}

static void tell_progress(void *context) {
    job *j = context;
    j->progress.seconds = clock_seconds() - j->begin;
    if (j->options->hooks.progress) j->options->hooks.progress(j->options->hooks.context, &j->progress);
}

static void item_failed(job *j, uint64_t index, const char *id, const char *reason) {
    char message[1200];
    snprintf(message, sizeof message, "%s (line %" PRIu64 ")", reason, index + 1);
    j->progress.failed++;
    say(j, MIEN_LOG_ITEM_FAILED, *id ? id : "prompt.jsonl", message);
}

/* What the pages are called: the folder's own name, "." being no name. */
static void name_dataset(job *j) {
    char full[PATH_MAX];
    const char *path = realpath(dataset_path(j->d), full) ? full : dataset_path(j->d), *slash = strrchr(path, '/');
    snprintf(j->headline, sizeof j->headline, "%s", slash && slash[1] ? slash + 1 : path);
}

static int save(const job *j, const char *path, const image *picture) {
    uint8_t *data;
    size_t size;
    int rc = image_encode_png(picture, NULL, 0, &data, &size);
    if (rc < 0) return error_prefix("%s", path);
    rc = j->options->force ? file_save(path, data, size) : file_save_new(path, data, size);
    free(data);
    return rc;
}

/* ---- contact sheets ------------------------------------------------------------------------------------------------- */

typedef struct { uint64_t index; int page, tile; bool written; tile_result result; } shown_item;

static int begin_page(job *j, int k) {
    char number[64], some[PAINT_NUMBER], all[PAINT_NUMBER];
    uint64_t rest = j->plan.shown - (uint64_t)k * PAGE_ITEMS;
    page *p = calloc(1, sizeof *p);
    if (!p) return error_memory(sizeof *p);
    p->tiles = p->left = rest < PAGE_ITEMS ? (int)rest : PAGE_ITEMS;
    snprintf(number, sizeof number, "page %s of %s", paint_count(some, (uint64_t)k + 1), paint_count(all, (uint64_t)j->plan.pages));
    int rc = sheet_new(p->tiles, j->headline, j->plan.about, number, &p->sheet);
    if (rc < 0) free(p);
    else j->page[k] = p;
    return rc;
}

static int next_tile(void *context, void *item) {
    job *j = context;
    shown_item *i = item;
    if (j->next == j->plan.shown) return 0;
    int k = (int)(j->next / PAGE_ITEMS), tile = (int)(j->next % PAGE_ITEMS), rc = tile == 0 ? begin_page(j, k) : 0;
    *i = (shown_item){ .index = j->plan.index[j->next], .page = k, .tile = tile };
    j->next++;
    return rc < 0 ? rc : 1;
}

static void page_free(page *p) {
    if (!p) return;
    image_free(&p->sheet);
    free(p);
}

static int finish_page(job *j, int k) {
    char path[PATH_MAX];
    preview_page_path(&j->plan, k, path);
    int rc = save(j, path, &j->page[k]->sheet);
    page_free(j->page[k]);
    j->page[k] = NULL;
    return rc;
}

/* Whoever draws the last tile of a page has it alone. */
static int draw_tile(void *context, void *own, void *item) {
    (void)own;
    job *j = context;
    shown_item *i = item;
    page *p = j->page[i->page];
    int rc = sheet_tile(&p->sheet, i->tile, j->d, j->choice, i->index, j->options->max_pixels, &i->result);
    if (rc < 0) return rc;
    i->written = __atomic_sub_fetch(&p->left, 1, __ATOMIC_ACQ_REL) == 0;
    return i->written ? finish_page(j, i->page) : 0;
}

static int count_tile(void *context, void *own, void *item, int rc) {
    (void)own;
    job *j = context;
    shown_item *i = item;
    if (rc < 0) return rc;
    j->progress.count[i->result.removed ? COUNT_SELECTED_OUT : COUNT_SHOWN].n++;
    j->progress.count[COUNT_PAGES].n += i->written;
    j->progress.count[COUNT_MARKED].n += i->result.marked;
    if (i->result.marked && !(i->result.counted && *j->plan.statistics)) item_failed(j, i->index, i->result.id, i->result.reason);
    else j->progress.done++;
    return 0;
}

static int draw_sheets(job *j) {
    if (!j->plan.shown) return 0;
    j->page = calloc((size_t)j->plan.pages, sizeof *j->page);
    if (!j->page) return error_memory((size_t)j->plan.pages * sizeof *j->page);
    int rc = workers_run(&(workers_job){
        .jobs = j->options->jobs, .most = j->plan.shown, .item_size = sizeof(shown_item), .stop = j->options->hooks.stop, .next = next_tile,
        .work = draw_tile, .count = count_tile, .tick = tell_progress, .context = j,
    });
    for (int k = 0; k < j->plan.pages; k++) page_free(j->page[k]);
    free(j->page);
    return rc;
}

/* ---- statistics ----------------------------------------------------------------------------------------------------- */

typedef enum { LANDMARKS_NONE, LANDMARKS_READ, LANDMARKS_BROKEN } landmarks_state;
typedef struct { uint64_t index; landmarks_state landmarks; int width, height, faces; size_t prompt; char id[NAME_MAX + 1]; } counted_item;
typedef struct { face_measures face[FACES_MOST]; } measurer;

static bool is_missing(const job *j, const dataset_item *item, dataset_part part) {
    char path[PATH_MAX];
    return dataset_is_shards(j->d) || (dataset_part_path(j->d, item, part, path) && access(path, F_OK) < 0 && (errno == ENOENT || errno == ENOTDIR));
}

/* The landmarks of an item, measured. Below 0: broken, with the reason. */
static int measure(const job *j, const dataset_item *item, measurer *m, counted_item *out) {
    uint8_t *data;
    size_t size;
    faces f = { 0 };
    int rc = dataset_load(j->d, item, DATASET_FACES, &data, &size);
    if (rc == ERR_IO && is_missing(j, item, DATASET_FACES)) return 0;
    if (rc == 0) {
        rc = faces_json_read("landmarks", data, size, &f, NULL);
        free(data);
    }
    out->landmarks = rc == 0 ? LANDMARKS_READ : LANDMARKS_BROKEN;
    if (rc < 0) return dataset_fault(j->d, item, DATASET_FACES);
    out->width = f.width;
    out->height = f.height;
    out->faces = f.count;
    for (int i = 0; i < f.count; i++) m->face[i] = preview_measure(&f.face[i], f.width, f.height);
    free(f.face);
    return 0;
}

/* The size of a picture's file; stays 0 if it can't be told. */
static void look_at_size(const job *j, const dataset_item *item, dataset_part part, counted_item *out) {
    uint8_t *data;
    size_t size;
    if (dataset_load(j->d, item, part, &data, &size) < 0) return;
    int width, height;
    if (image_verify(data, size, true, NULL, &width, &height) == 0) out->width = width, out->height = height;
    free(data);
}

static int next_item(void *context, void *item) {
    job *j = context;
    counted_item *i = item;
    if (j->next == j->n) return 0;
    *i = (counted_item){ .index = j->chosen ? j->chosen[j->next] : j->next };
    j->next++;
    return 1;
}

static int look_at_item(void *context, void *own, void *item) {
    job *j = context;
    counted_item *i = item;
    dataset_item it;
    int rc = dataset_read(j->d, i->index, &it);
    if (rc < 0) return error_set(rc, "%s", dataset_line_fault(j->d, i->index));
    snprintf(i->id, sizeof i->id, "%s", it.id);
    i->prompt = label_count(it.prompt, strlen(it.prompt));
    rc = measure(j, &it, own, i);
    char why[1024] = "";
    if (rc < 0) snprintf(why, sizeof why, "%s", error_message());
    if (!i->width) look_at_size(j, &it, DATASET_SOURCE, i);
    if (!i->width) look_at_size(j, &it, DATASET_TARGET, i);
    dataset_item_free(&it);
    return rc < 0 ? error_set(rc, "%s", why) : 0;
}

static void add_item(job *j, const counted_item *i, const measurer *m) {
    mien_statistics *n = statistics_counts(j->counted);
    statistics_add(j->counted, MIEN_PROMPT, (double)i->prompt);
    n->with_landmarks += i->landmarks == LANDMARKS_READ;
    n->without_landmarks += i->landmarks == LANDMARKS_NONE;
    n->broken_landmarks += i->landmarks == LANDMARKS_BROKEN;
    n->without_size += !i->width;
    if (i->width) {
        statistics_add(j->counted, MIEN_SHORT_SIDE, i->width < i->height ? i->width : i->height);
        statistics_add(j->counted, MIEN_LONG_SIDE, i->width < i->height ? i->height : i->width);
        statistics_add(j->counted, MIEN_ASPECT, (double)i->width / i->height);
    }
    if (i->landmarks != LANDMARKS_READ) return;
    n->without_faces += i->faces == 0;
    n->faces += (uint64_t)i->faces;
    statistics_add(j->counted, MIEN_FACES, i->faces);
    for (int k = 0; k < i->faces; k++) statistics_add_face(j->counted, &m->face[k]);
}

static int count_item(void *context, void *own, void *item, int rc) {
    job *j = context;
    const counted_item *i = item;
    mien_statistics *n = statistics_counts(j->counted);
    if (rc == ERR_MEMORY) return rc;
    n->items++;
    if (rc == 0 || i->landmarks == LANDMARKS_BROKEN) add_item(j, i, own);
    else n->unusable++;
    if (rc == 0) j->progress.done++;
    else item_failed(j, i->index, i->id, error_message());
    return 0;
}

static void *begin_measurer(void *context) {
    (void)context;
    measurer *m = malloc(sizeof *m);
    return m ? m : (error_memory(sizeof *m), NULL);
}

static void end_measurer(void *context, void *own) {
    (void)context;
    free(own);
}

static int count_items(job *j, mien_statistics *out) {
    j->counted = statistics_new();
    if (!j->counted) return ERR_MEMORY;
    j->next = 0;
    int rc = !j->n ? 0 : workers_run(&(workers_job){
        .jobs = j->options->jobs, .most = j->n, .item_size = sizeof(counted_item), .stop = j->options->hooks.stop, .next = next_item,
        .work = look_at_item, .count = count_item, .begin = begin_measurer, .end = end_measurer, .tick = tell_progress, .context = j,
    });
    statistics_finish(j->counted, out);
    statistics_free(j->counted);
    return rc;
}

static int draw_statistics(job *j, mien_statistics *statistics) {
    mien_statistics own;
    image chart;
    int rc = count_items(j, statistics ? statistics : &own);
    if (rc == 0) rc = chart_new(statistics ? statistics : &own, j->headline, &chart);
    if (rc < 0) return rc;
    rc = save(j, j->plan.statistics, &chart);
    image_free(&chart);
    return rc;
}

/* ---- the job -------------------------------------------------------------------------------------------------------- */

static int choose(job *j) {
    int rc = choice_open(j->d, NULL, NULL, j->options->hooks.stop, &j->choice);
    j->n = dataset_count(j->d);
    if (rc < 0 || choice_takes_all(j->choice)) return rc;
    rc = choice_items(j->choice, j->d, j->options->hooks.stop, &j->chosen, &j->n);
    if (rc == 0) j->progress.count[COUNT_SELECTED_OUT].n = dataset_count(j->d) - j->n;
    return rc;
}

static int run(job *j, mien_statistics *statistics) {
    int rc = dataset_open_told(j->options->data, &j->options->hooks, &j->d);
    if (rc == 0) rc = choose(j);
    if (rc == 0) rc = preview_plan_new(j->options, j->d, j->chosen, j->n, &j->plan);
    if (rc < 0) return rc;
    name_dataset(j);
    if (dataset_is_shards(j->d)) j->progress.failed = shards_left_out(dataset_shards(j->d));
    j->progress.total = j->progress.failed + j->plan.shown + (*j->plan.statistics ? j->n : 0);
    rc = draw_sheets(j);
    if (rc == 0 && *j->plan.statistics) rc = draw_statistics(j, statistics);
    return rc;
}

int preview_run(const preview_options *options, mien_statistics *statistics, preview_progress *result) {
    job j = { .options = options, .begin = clock_seconds(), .progress.n_counts = COUNTS };
    if (statistics) *statistics = (mien_statistics){ 0 };
    for (int i = 0; i < COUNTS; i++) j.progress.count[i].name = count_names[i];
    int rc = run(&j, statistics);
    preview_plan_free(&j.plan);
    choice_close(j.choice);
    free(j.chosen);
    dataset_close(j.d);
    tell_progress(&j);
    if (result) *result = j.progress;
    return rc;
}
