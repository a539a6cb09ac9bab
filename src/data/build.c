/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "data/build.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/file.h"
#include "base/lock.h"
#include "base/number.h"
#include "base/part.h"
#include "base/stop.h"
#include "base/workers.h"
#include "data/build_item.h"
#include "data/dataset.h"
#include "data/journal.h"
#include "data/shards.h"

/* Counts beside the outcomes: lines of all the set; of the photos that were looked at now, those that were kept before and are not
 * any more, and those kept that bear an EXIF rotation. */
enum { REJECTED_BEFORE = BUILD_GONE, LEFT_THE_SET, EXIF_IGNORED, COUNTS };
_Static_assert((int)COUNTS <= MIEN_COUNTS, "each is counted");

typedef struct {
    build_run_of run;
    folder_lock lock;
    journal *journal;
    text settings;                 /* as the journal tells them, once there is anything to tell */
    char replaces[65];             /* the hash of a foreign prompt.jsonl that may be replaced */
    double begin;
    inputs *list;
    uint64_t not_listed, kept, gone, gone_kept;   /* the last three by an earlier run, of this part */
    bool started;                  /* the run has a line in the journal */
    mien_progress progress;
    mien_annotate_times times;
} job;

/* ---- words ----------------------------------------------------------------------------------------------------------- */

static void say(job *j, mien_log_kind kind, const char *path, const char *message) {
    const mien_hooks *h = &j->run.options->hooks;
    if (h->log) h->log(h->context, kind, path, path ? error_without_path(message, path) : message);
}

static void tell_progress(void *context) {
    job *j = context;
    const mien_hooks *h = &j->run.options->hooks;
    j->progress.seconds = clock_seconds() - j->begin;
    if (h->progress) h->progress(h->context, &j->progress);
}

/* ---- settings -------------------------------------------------------------------------------------------------------- */

/* All that the outcome of a photo depends on besides its bytes, as the rest of the run's line. */
static int write_settings(const build_options *o, text *out) {
    char confidence[NUMBER_TEXT], face[NUMBER_TEXT];
    number_shortest_f32(confidence, o->faces.min_confidence);
    number_shortest_f64(face, o->min_face);
    text_printf(out, "\"min_size\":%d,\"max_size\":%d,\"max_faces\":%d,\"min_confidence\":%s,\"min_face\":%s,\"search\":\"%s\",\"maps\":\"%s\",\"max_pixels\":%zu",
                o->min_size, o->max_size, o->faces.max_faces, confidence, face, o->faces.search == MIEN_SEARCH_AUTO ? "auto" : "none",
                o->maps == MIEN_MAP_JPG ? "jpg" : "png", o->max_pixels);
    return text_check(out);
}

/* The line of a run comes before its first other line; a run that finds nothing to do has none. */
static int start_journal(job *j) {
    if (j->started) return 0;
    char unsafe[NUMBER_TEXT];
    number_shortest_f64(unsafe, j->run.options->max_unsafe);
    text line = { 0 };
    text_printf(&line, "{\"run\":%" PRIu64 ",\"settings\":\"%s\",%s,\"max_unsafe\":%s}", build_state_run(j->run.state), j->run.settings, j->settings.data, unsafe);
    int rc = text_check(&line);
    if (rc == 0) rc = journal_append(j->journal, &line);
    if (rc == 0 && j->replaces[0]) {
        line.size = 0;
        text_printf(&line, "{\"run\":%" PRIu64 ",\"wrote\":\"prompt.jsonl\",\"sha256\":\"%s\"}", build_state_run(j->run.state), j->replaces);
        rc = text_check(&line);
        if (rc == 0) rc = journal_append(j->journal, &line);
    }
    text_free(&line);
    j->started = rc == 0;
    return rc;
}

static int note(job *j, const text *line) {
    int rc = start_journal(j);
    return rc < 0 ? rc : journal_append(j->journal, line);
}

/* ---- before any work --------------------------------------------------------------------------------------------------- */

/* The part of a real path below another, "" for that itself, or NULL. */
static const char *below(const char *path, const char *folder) {
    size_t n = strlen(folder);
    if (strcmp(folder, "/") == 0) return path + 1;
    if (strncmp(path, folder, n) != 0 || (path[n] && path[n] != '/')) return NULL;
    return path + n + (path[n] == '/');
}

static bool is_or_lies_in(const char *path, const char *folder) {
    size_t n = strlen(folder);
    return strncmp(path, folder, n) == 0 && (path[n] == 0 || path[n] == '/');
}

static bool same_folder(const char *a, const char *b) {
    struct stat x, y;
    return stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

static bool has(const char *folder, const char *name, bool is_folder) {
    char path[PATH_MAX];
    struct stat st;
    return (size_t)snprintf(path, sizeof path, "%s/%s", folder, name) < sizeof path && stat(path, &st) == 0 && !S_ISDIR(st.st_mode) == !is_folder;
}

/* Its maps and overlays are pictures, too, but no photos. */
static bool is_dataset(const char *folder) {
    return has(folder, "source", true) && has(folder, "target", true) && (has(folder, "build.jsonl", false) || has(folder, "prompt.jsonl", false));
}

/* Photos may lie beside source/ and target/, and in target/ itself; where build writes they may not. */
static int check_overlap(job *j) {
    const char *photos = j->run.options->photos, *folder = j->run.folder;
    char target[PATH_MAX];
    j->run.in_place = (size_t)snprintf(target, sizeof target, "%s/target", folder) < sizeof target && same_folder(photos, target);
    if (j->run.in_place) return 0;
    char *inner = realpath(photos, NULL), *outer = realpath(folder, NULL);
    const char *at = inner && outer ? below(inner, outer) : NULL;
    int rc = 0;
    if (at && !*at) rc = error_set(ERR_USAGE, "%s: is the data set's folder: name the folder of the photos, or %s", photos, target);
    else if (at && (is_or_lies_in(at, "source") || is_or_lies_in(at, "annotated") || is_or_lies_in(at, "target")))
        rc = error_set(ERR_USAGE, "%s: lies where the data set's own files are written", photos);
    else if (is_dataset(photos))
        rc = error_set(ERR_USAGE, "%s: is a data set, and its maps are pictures too: name the folder of its photos, %s/target", photos, photos);
    free(inner);
    free(outer);
    return rc;
}

static int check_photos(const build_options *o) {
    struct stat st;
    if (stat(o->photos, &st) < 0) return error_errno("%s", o->photos), error_set(ERR_USAGE, "%s", error_message());
    return S_ISDIR(st.st_mode) ? 0 : error_set(ERR_USAGE, "%s: is not a folder", o->photos);
}

/* What was written by somebody else is not written over, nor are links followed. */
static int check_outputs(job *j) {
    static const char *const folders[] = { "source", "annotated", "target" };
    char path[PATH_MAX], hash[65];
    bool there;
    for (int i = 0; i < 3 - j->run.in_place; i++) {
        if ((size_t)snprintf(path, sizeof path, "%s/%s/", j->run.folder, folders[i]) >= sizeof path) return error_set(ERR_IO, "%s: the path is too long", j->run.folder);
        int rc = folder_check_links(j->run.folder, path);
        if (rc < 0) return error_set(ERR_USAGE, "%s", error_message());
        file_remove_leftovers(path, !j->run.options->parts);
    }
    file_remove_leftovers(j->run.folder, !j->run.options->parts);
    int ours = build_state_owns(j->run.state, j->run.folder, "prompt.jsonl", &there, hash);
    if (ours || !there) return ours < 0 ? ours : 0;
    if (!j->run.options->force) return error_set(ERR_USAGE, "%s/prompt.jsonl is there and is not as mien build wrote it (--force replaces it)", j->run.folder);
    memcpy(j->replaces, hash, sizeof hash);
    return 0;
}

/* metadata.json is a list of photos, unless build made it of the photos. */
static int open_list(job *j) {
    char path[PATH_MAX];
    bool there;
    int ours = build_state_owns(j->run.state, j->run.folder, "metadata.json", &there, NULL);
    if (ours || !there) return ours < 0 ? ours : 0;
    if ((size_t)snprintf(path, sizeof path, "%s/metadata.json", j->run.folder) >= sizeof path) return error_set(ERR_IO, "%s: the path is too long", j->run.folder);
    int rc = list_table_open(path, j->run.folder, false, j->run.options->hooks.stop, &j->run.list);
    if (rc < 0 || !list_table_wrong(j->run.list)) return rc;
    char message[600];
    uint64_t n = list_table_wrong(j->run.list);
    snprintf(message, sizeof message, "%" PRIu64 " entr%s can't be used, and say%s nothing of the photos; the first: %s", n, n == 1 ? "y" : "ies", n == 1 ? "s" : "",
             list_table_why(j->run.list));
    say(j, MIEN_LOG_WARNING, path, message);
    return 0;
}

/* ---- photos that are gone ------------------------------------------------------------------------------------------------ */

/* Whether a line is of a photo of this part. */
static bool is_mine(const job *j, const build_record *r, char id[PATH_MAX]) {
    return r->outcome != BUILD_GONE && build_path_unescape(r->photo, id, PATH_MAX) && part_has(id, j->run.options->part, j->run.options->parts);
}

static bool is_gone(const job *j, const char *id) {
    char path[PATH_MAX];
    struct stat st;
    if ((size_t)snprintf(path, sizeof path, "%s/%s", j->run.options->photos, id) >= sizeof path) return false;
    return stat(path, &st) < 0 ? errno == ENOENT || errno == ENOTDIR : S_ISDIR(st.st_mode);
}

static int count_gone(void *context, const build_record *r, const text *line) {
    (void)line;
    job *j = context;
    char id[PATH_MAX];
    if (stop_asked(j->run.options->hooks.stop)) return error_set(ERR_CANCELLED, "stopped");
    if (!is_mine(j, r, id)) return 0;
    j->kept += r->outcome == BUILD_KEPT;
    if (!is_gone(j, id)) return 0;
    j->gone++;
    j->gone_kept += r->outcome == BUILD_KEPT;
    return 0;
}

/* Another folder, or one whose disk is not there, would take everything out of the set. */
static int check_gone(job *j) {
    int rc = build_state_each(j->run.state, false, count_gone, j);
    bool most = j->gone_kept && (j->gone_kept == j->kept || (j->gone_kept > 10 && j->gone_kept > j->kept / 2));
    if (rc < 0 || !most || j->run.options->force) return rc;
    return error_set(ERR_USAGE, "%s: %" PRIu64 " of the %" PRIu64 " photos that an earlier run took into %s are not there: is it the right folder? (--force takes them out)",
                     j->run.options->photos, j->gone_kept, j->kept, j->run.folder);
}

static int note_gone(void *context, const build_record *r, const text *old) {
    (void)old;
    job *j = context;
    char id[PATH_MAX];
    if (!is_mine(j, r, id) || !is_gone(j, id)) return 0;
    build_record gone = { .photo = r->photo, .run = build_state_run(j->run.state), .outcome = BUILD_GONE, .unsafe = -1 };
    text line = { 0 };
    build_record_write(&gone, &line);
    int rc = text_check(&line);
    if (rc == 0) rc = note(j, &line);
    text_free(&line);
    say(j, MIEN_LOG_INFO, r->photo, "is gone: it leaves the data set");
    return rc;
}

/* ---- listing --------------------------------------------------------------------------------------------------------- */

static void not_listed(void *context, const char *path, const char *message) {
    job *j = context;
    j->not_listed++;
    j->progress.total++;
    j->progress.failed++;
    say(j, MIEN_LOG_ITEM_FAILED, path, message);
}

static void enter_folder(void *context, const char *id) {
    (void)id;
    job *j = context;
    j->progress.total = j->not_listed + inputs_count(j->list);
    tell_progress(j);
}

static bool enter(void *context, const char *path) {
    job *j = context;
    if (!is_dataset(path) || same_folder(path, j->run.folder)) return true;
    say(j, MIEN_LOG_WARNING, path, "is a data set, and is not searched: to build of its photos, name its target/");
    return false;
}

static bool wanted(const char *name) { return image_name_known(name); }

static void flatten(void *context, const char *id, int level, char out[INPUTS_NAME]) { build_id(id, level, ((job *)context)->run.in_place, out); }

static int list_photos(job *j) {
    const build_options *o = j->run.options;
    inputs_options how = {
        .output = j->run.folder, .wanted = wanted, .part = o->part, .parts = o->parts, .stop = o->hooks.stop, .failed = not_listed, .enter = enter,
        .folder = enter_folder, .shallow = j->run.in_place, .flatten = flatten, .context = j,
    };
    int rc = inputs_new(&how, &j->list);
    if (rc == 0) rc = inputs_add(j->list, o->photos);
    if (rc == 0) j->progress.total = j->not_listed + inputs_count(j->list);
    if (rc == 0 && !o->parts && !inputs_count(j->list) && shards_are_in(o->photos))
        return error_set(ERR_USAGE, "%s: holds tar files and no photos: unpack them first (tar -xf)", o->photos);
    return rc;
}

/* ---- working ------------------------------------------------------------------------------------------------------------ */

static int next_item(void *context, void *item) { return inputs_next(((job *)context)->list, item); }

static void *begin_worker(void *context) {
    build_worker *w = malloc(sizeof *w);
    if (!w) return error_memory(sizeof *w), NULL;
    *w = build_worker_of(&((job *)context)->run);
    return w;
}

static int work_item(void *context, void *own, void *item) {
    (void)context;
    return build_item(own, item);
}

static void tell_outcome(job *j, const build_worker *w, const char *path) {
    char message[64];
    if (w->outcome >= BUILD_UNREADABLE) {
        say(j, MIEN_LOG_ITEM_FAILED, path, *w->why ? w->why : build_outcome_word[w->outcome]);
    } else if (w->outcome != BUILD_KEPT && !w->before) {
        snprintf(message, sizeof message, "left out: %s", build_outcome_word[w->outcome]);
        say(j, MIEN_LOG_INFO, path, message);
    }
}

static int count_item(void *context, void *own, void *item, int rc) {
    job *j = context;
    const build_worker *w = own;
    mien_progress *p = &j->progress;
    if (rc < 0) return rc;
    if (!w->selected) return p->total--, 0;
    if (!w->before && (rc = note(j, &w->line)) < 0) return rc;
    p->count[w->outcome].n++;
    p->count[LEFT_THE_SET].n += w->left;
    p->count[EXIF_IGNORED].n += w->turned && w->outcome == BUILD_KEPT;
    if (w->outcome >= BUILD_UNREADABLE) p->failed++;
    else if (w->before) p->skipped++;
    else p->done++;
    tell_outcome(j, w, ((const inputs_item *)item)->path);
    return 0;
}

static void end_worker(void *context, void *own) {
    build_worker *w = own;
    mien_annotate_times *to = &((job *)context)->times;
    const mien_annotate_times *t = &w->maker.times;
    to->read += t->read, to->decode += t->decode, to->find += t->find, to->detect += t->detect;
    to->landmarks += t->landmarks, to->draw += t->draw, to->encode += t->encode, to->write += t->write;
    build_worker_free(w);
    free(w);
}

static int run_workers(job *j) {
    uint64_t count = inputs_count(j->list);
    if (!count) return 0;
    return workers_run(&(workers_job){
        .jobs = j->run.options->jobs, .most = count, .item_size = sizeof(inputs_item), .stop = j->run.options->hooks.stop, .next = next_item,
        .work = work_item, .count = count_item, .begin = begin_worker, .end = end_worker, .tick = tell_progress, .context = j,
    });
}

/* ---- all of it ----------------------------------------------------------------------------------------------------------- */

static int make_target(const job *j) {
    char path[PATH_MAX];
    if ((size_t)snprintf(path, sizeof path, "%s/target", j->run.folder) >= sizeof path) return error_set(ERR_IO, "%s: the path is too long", j->run.folder);
    return folder_make(path);
}

/* With the folder locked. */
static int prepare(job *j) {
    const build_options *o = j->run.options;
    uint64_t hash;
    int rc = write_settings(o, &j->settings);
    if (rc == 0) hash = part_hash(j->settings.data), snprintf(j->run.settings, sizeof j->run.settings, "%016" PRIx64, hash);
    if (rc == 0) rc = build_state_load(j->run.folder, &j->run.state);
    if (rc == 0) rc = check_outputs(j);
    if (rc == 0) rc = check_gone(j);
    if (rc == 0) rc = selection_new(o->only, o->exclude, j->run.folder, &j->run.selection);
    if (rc == 0) rc = rejected_open(j->run.folder, &j->run.rejected);
    if (rc == 0) rc = open_list(j);
    if (rc == 0) rc = list_photos(j);
    if (rc == 0 && !j->run.in_place) rc = make_target(j);
    if (rc == 0) rc = journal_open(j->run.folder, BUILD_JOURNAL, o->part, o->parts, &j->journal);
    return rc;
}

static void put_away(job *j) {
    inputs_free(j->list);
    if (j->journal) journal_close(j->journal);
    list_table_close(j->run.list);
    selection_free(j->run.selection);
    rejected_close(j->run.rejected);
    build_state_free(j->run.state);
    text_free(&j->settings);
    j->list = NULL, j->journal = NULL, j->run.list = NULL, j->run.selection = NULL, j->run.rejected = NULL, j->run.state = NULL;
}

static int run(job *j) {
    const build_options *o = j->run.options;
    int rc = check_photos(o);
    if (rc == 0) rc = dataset_folder(o->data, j->run.folder);
    if (rc == 0) rc = check_overlap(j);
    if (rc == 0) rc = folder_make(j->run.folder);
    if (rc == 0) rc = folder_lock_take(j->run.folder, o->part, o->parts, &j->lock);
    if (rc == 0 && j->lock.missing) say(j, MIEN_LOG_WARNING, j->run.folder, "cannot be locked here: see that no other process writes there");
    if (rc == 0) rc = prepare(j);
    if (rc == 0 && o->parts) rc = journal_mark(j->journal, "begin", o->part, o->parts);
    if (rc == 0 && j->replaces[0]) rc = start_journal(j);   /* the end asks the journal, even if there is nothing else to do */
    if (rc == 0 && j->gone) rc = build_state_each(j->run.state, false, note_gone, j);
    if (rc == 0) rc = run_workers(j);
    if (rc == 0 && (o->parts || journal_lines(j->journal))) rc = journal_mark(j->journal, "end", o->part, o->parts);
    if (rc < 0 || o->parts) return rc;
    put_away(j);   /* memory that the end can use */
    build_finished finished = { 0 };
    rc = build_finish(j->run.folder, &o->hooks, &finished);
    j->progress.count[REJECTED_BEFORE].n = finished.rejected;
    return rc;
}

int build_run(const face_mesh *mesh, const build_options *options, mien_progress *result) {
    job *j = calloc(1, sizeof *j);
    if (!j) return error_memory(sizeof *j);
    j->run.mesh = mesh;
    j->run.options = options;
    j->lock = FOLDER_UNLOCKED;
    j->begin = clock_seconds();
    j->progress.n_counts = COUNTS;
    for (int i = 0; i < BUILD_GONE; i++) j->progress.count[i].name = build_outcome_word[i];
    j->progress.count[REJECTED_BEFORE].name = "rejected_by_check_before";
    j->progress.count[LEFT_THE_SET].name = "left_the_set";
    j->progress.count[EXIF_IGNORED].name = "exif_ignored";
    pthread_mutex_init(&j->run.list_mutex, NULL);
    int rc = run(j);
    pthread_mutex_destroy(&j->run.list_mutex);
    put_away(j);
    folder_lock_release(&j->lock);
    tell_progress(j);
    if (result) *result = j->progress;
    if (options->times) *options->times = j->times;
    free(j);
    return rc;
}
