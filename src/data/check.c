/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "data/check.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/file.h"
#include "base/lock.h"
#include "base/sorter.h"
#include "base/stop.h"
#include "base/workers.h"
#include "data/check_fix.h"
#include "data/check_item.h"
#include "data/check_merge.h"
#include "data/check_unnamed.h"
#include "data/dataset.h"
#include "data/duplicates.h"
#include "data/rejected.h"
#include "data/remove.h"
#include "data/shards.h"

_Static_assert((int)CHECK_REASONS <= MIEN_COUNTS, "each is counted");
enum { MEMORY = 2 << 20 };         /* of a sorter */

typedef struct {
    const mien_check_options *options;
    mien_check_result *result;
    char folder[PATH_MAX], room[PATH_MAX];   /* room: where unlinked files lie */
    folder_lock lock;
    double begin;
    check_common common;
    dataset *data;
    selection *chosen;
    list_table *list;
    pthread_mutex_t list_lock;
    struct stat prompts;           /* prompt.jsonl, when its lines were numbered */
    /* While the workers run, theirs: under their lock. */
    uint64_t next;
    duplicates *twins;
    sorter *bad;                   /* lines to move */
    check_unnamed *names;
    bool delete_unnamed, photos_stay;
    bool unbuilt;                  /* there are no lines yet: only what is to be removed is of interest */
    removal *removal;              /* what turns out to be excluded, or removed before, by the hash of its photo; NULL: nothing is removed */
    mien_check_times times;
} job;

static void say(job *j, mien_log_kind kind, const char *path, const char *message) {
    if (j->options->hooks.log) j->options->hooks.log(j->options->hooks.context, kind, path, message);
}

static void tell_progress(void *context) {
    job *j = context;
    j->result->progress.seconds = clock_seconds() - j->begin;
    if (j->options->hooks.progress) j->options->hooks.progress(j->options->hooks.context, &j->result->progress);
}

/* ---- one line's verdict -------------------------------------------------------------------------------------------- */

static bool is_bad(const job *j, check_reason r) { return (int)r < j->result->n_bad; }

static void count_reason(job *j, check_reason r) { j->result->progress.count[r].n++; }

static void id_of(const char *path, char out[NAME_MAX + 1]) {
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path, *dot = strrchr(name, '.');
    snprintf(out, NAME_MAX + 1, "%.*s", dot && dot > name ? (int)(dot - name) : NAME_MAX, name);
}

/* "x: photo: duplicate: is target/y.jpg of line 7 (line 12)" */
static void say_line(job *j, mien_log_kind kind, uint64_t line, const char *target, const char *part, const char *reason, const char *detail) {
    char path[NAME_MAX + 16], message[1024];
    snprintf(path, sizeof path, "prompt.jsonl");
    if (*target) id_of(target, path);
    snprintf(message, sizeof message, "%s%s%s%s%s (line %llu)", part, *part ? ": " : "", reason, *reason ? ": " : "", detail, (unsigned long long)line + 1);
    say(j, kind, path, message);
}

/* Its files are named with it, so that build knows whether they still are those. */
static int add_bad(job *j, uint64_t line, const char *source, const char *target, check_reason r, const char *detail) {
    rejected_files files;
    text json = { 0 };
    bool twin = r == CHECK_TARGET_TWICE || r == CHECK_DUPLICATE || r == CHECK_NEAR_DUPLICATE;
    rejected_look(j->folder, source, target, !twin, &files);
    if (*target) rejected_write(&files, &json);
    int rc = text_check(&json);
    if (rc == 0) rc = check_fix_add(j->bad, line, check_reason_name[r], detail, json.data);
    text_free(&json);
    return rc;
}

static int reject(job *j, uint64_t line, const char *source, const char *target, check_reason r, const char *detail) {
    mien_progress *p = &j->result->progress;
    p->failed++;
    count_reason(j, r);
    say_line(j, MIEN_LOG_ITEM_FAILED, line, target, check_reason_part[r], check_reason_name[r], detail);
    if (r == CHECK_UNREADABLE || r == CHECK_REMOVED) return 0;   /* may heal; is removed */
    j->result->moved++;
    return j->bad ? add_bad(j, line, source, target, r, detail) : 0;
}

static int next_line(void *context, void *item) {
    job *j = context;
    if (j->next >= dataset_count(j->data)) return 0;
    ((check_verdict *)item)->line = j->next++;
    return 1;
}

static void *begin_worker(void *context) {
    (void)context;
    mien_check_times *t = calloc(1, sizeof *t);
    return t ? t : (error_memory(sizeof *t), NULL);
}

static void end_worker(void *context, void *own) {
    mien_check_times *to = &((job *)context)->times, *t = own;
    to->read += t->read;
    to->decode += t->decode;
    to->find += t->find;
    to->compare += t->compare;
    free(t);
}

static int work_line(void *context, void *own, void *item) { return check_item(&((job *)context)->common, item, own); }

static int count_line(void *context, void *own, void *item, int rc) {
    (void)own;
    job *j = context;
    const check_verdict *v = item;
    mien_progress *p = &j->result->progress;
    if (rc < 0) return rc;
    if (j->names && (rc = check_unnamed_line(j->names, v->id, v->source, v->landmarks, v->target)) < 0) return rc;
    if (v->reason == CHECK_LEFT_OUT) p->skipped++;
    else if (v->reason != CHECK_FINE) rc = reject(j, v->line, v->source, v->target, v->reason, v->detail);
    else {
        p->done++;
        rc = duplicates_add(j->twins, v->line, v->sha256, v->has_hash ? &v->hash : NULL);
    }
    if (rc == 0 && j->removal && v->by_hash) rc = removal_add(j->removal, v->id, v->sha256);
    for (int r = 0; r < CHECK_REASONS; r++)
        if (v->reason == CHECK_FINE && v->notes >> r & 1) count_reason(j, (check_reason)r);
    if (v->reason == CHECK_FINE && v->notes) say_line(j, MIEN_LOG_INFO, v->line, v->target, "", "", v->noted);
    return rc;
}

static int check_lines(job *j) {
    return workers_run(&(workers_job){
        .jobs = j->options->jobs, .most = dataset_count(j->data), .item_size = sizeof(check_verdict), .stop = j->options->hooks.stop, .next = next_line,
        .work = work_line, .count = count_line, .begin = begin_worker, .end = end_worker, .tick = tell_progress, .context = j,
    });
}

/* ---- what follows from all lines ----------------------------------------------------------------------------------- */

static int found_twin(void *context, uint64_t line, uint64_t earlier, duplicate_kind kind) {
    job *j = context;
    dataset_item a, b;
    if (stop_asked(j->options->hooks.stop)) return error_set(ERR_CANCELLED, "stopped");
    int rc = dataset_read(j->data, line, &a);
    if (rc < 0) return rc;
    rc = dataset_read(j->data, earlier, &b);
    if (rc == 0) {
        char detail[512];
        check_reason r = kind == DUPLICATE_NEAR ? CHECK_NEAR_DUPLICATE : strcmp(a.target, b.target) == 0 ? CHECK_TARGET_TWICE : CHECK_DUPLICATE;
        snprintf(detail, sizeof detail, "%s target/%s of line %llu", kind == DUPLICATE_NEAR ? "looks like" : "is", b.target, (unsigned long long)earlier + 1);
        if (is_bad(j, r)) {
            j->result->progress.done--;
            rc = reject(j, line, a.source, a.target, r, detail);
        } else {
            count_reason(j, r);
            say_line(j, MIEN_LOG_INFO, line, a.target, check_reason_part[r], check_reason_name[r], detail);
        }
    }
    dataset_item_free(&a);
    dataset_item_free(&b);
    return rc;
}

/* ---- files that no line names -------------------------------------------------------------------------------------- */

/* Nothing but files: a folder or a link is nobody's leftover. */
static int delete_unnamed(job *j, const char *name) {
    char path[PATH_MAX];
    struct stat st;
    if (!j->delete_unnamed || (j->photos_stay && strncmp(name, "target/", 7) == 0)) return 0;
    if (snprintf(path, sizeof path, "%s/%s", j->folder, name) >= (int)sizeof path || lstat(path, &st) < 0 || !S_ISREG(st.st_mode)) return 0;
    if (!j->options->dry_run && unlink(path) < 0) return errno == ENOENT ? 0 : error_errno("%s", path);
    j->result->unnamed_removed++;
    say(j, MIEN_LOG_WARNING, name, j->options->dry_run ? "would be removed: no line names it" : "removed: no line names it");
    return 0;
}

static int found_unnamed(void *context, const char *name) {
    job *j = context;
    bool photo = strncmp(name, "target/", 7) == 0;
    char id[NAME_MAX + 1];
    if (!j->unbuilt) {
        count_reason(j, CHECK_UNNAMED_FILE);
        say(j, MIEN_LOG_INFO, name, "unnamed_file: no line names it");
    }
    id_of(name, id);
    if (j->chosen) selection_asks(j->chosen, id, NULL, NULL);   /* a list that names it is of use */
    int rc = photo && j->removal ? removal_look_at(j->removal, name) : 0;
    return rc < 0 ? rc : delete_unnamed(j, name);
}

/* Whether any are deleted, before the first one is. */
static int prepare_unnamed(job *j) {
    const char *why = !j->options->remove_unnamed ? NULL
                    : j->result->progress.count[CHECK_BROKEN_LINE].n ? "a line of prompt.jsonl is broken, and may name them"
                    : !dataset_count(j->data) ? "there is no line at all" : NULL;
    int rc = j->options->remove_unnamed ? check_unnamed_prepare(j->names, &why) : 0;
    if (rc < 0 || !j->options->remove_unnamed) return rc;
    char message[256];
    snprintf(message, sizeof message, "unnamed files stay: %s", why ? why : "");
    if (why) return say(j, MIEN_LOG_WARNING, NULL, message), 0;
    j->delete_unnamed = true;
    rc = check_unnamed_photos_stay(j->folder);
    j->photos_stay = rc > 0;
    if (j->photos_stay) say(j, MIEN_LOG_WARNING, NULL, "unnamed photos in target/ stay: build or download may be the only ones that know them");
    return rc < 0 ? rc : 0;
}

static int find_unnamed(job *j) {
    int rc = j->unbuilt ? 0 : prepare_unnamed(j);
    return rc < 0 ? rc : check_unnamed_each(j->names, found_unnamed, j);
}

/* ---- lines of lists that nothing is ------------------------------------------------------------------------------------ */

enum { UNUSED_SHOWN = 10 };
typedef struct { job *j; const char *list; uint64_t n; text names; } unused;

static void tell_unused(unused *u) {
    text message = { 0 };
    text_printf(&message, "%llu line%s of %s matched nothing: %s", (unsigned long long)u->n, u->n == 1 ? "" : "s", u->list ? u->list : "", u->names.size ? u->names.data : "");
    if (u->n > UNUSED_SHOWN) text_printf(&message, " and %llu more", (unsigned long long)(u->n - UNUSED_SHOWN));
    if (u->n && text_check(&message) == 0) say(u->j, MIEN_LOG_WARNING, NULL, message.data);
    text_free(&message);
    text_free(&u->names);
    u->n = 0;
}

static void note_unused(void *context, const char *list, const char *line) {
    unused *u = context;
    if (u->n && u->list != list) tell_unused(u);
    u->list = list;
    if (u->n++ < UNUSED_SHOWN) text_printf(&u->names, "%s%s", u->n > 1 ? ", " : "", line);
}

static int report_unused(job *j) {
    unused u = { .j = j };
    const selection *removed = j->removal ? removal_selection(j->removal) : NULL, *asked = j->chosen ? j->chosen : removed;
    int rc = asked ? selection_each_unused(asked, removed, note_unused, &u) : 0;
    tell_unused(&u);
    return rc;
}

/* ---- the job ------------------------------------------------------------------------------------------------------- */

/* Where unlinked files may lie: beside the data, unless that is read-only. */
static void choose_room(job *j) {
    const char *const rooms[] = { j->folder, getenv("TMPDIR"), "/var/tmp", "/tmp" };
    snprintf(j->room, sizeof j->room, "%s", j->folder);
    for (int i = 0; i < 4; i++)
        if (rooms[i] && access(rooms[i], W_OK | X_OK) == 0) {
            snprintf(j->room, sizeof j->room, "%s", rooms[i]);
            return;
        }
}

static int open_lists(job *j) {
    char path[PATH_MAX];
    int rc = selection_new(j->options->only, j->options->exclude, j->folder, &j->chosen);
    if (rc == 0 && j->removal) rc = selection_share(removal_selection(j->removal), j->chosen);
    if (rc < 0 || !selection_needs_url(j->chosen)) return rc;
    snprintf(path, sizeof path, "%.*s/metadata.json", PATH_MAX - 16, j->folder);
    rc = list_table_open(path, j->room, j->removal, j->options->hooks.stop, &j->list);
    return (rc == ERR_FORMAT || rc == ERR_LIMIT) && j->removal && removal_broken(j->removal) < 0 ? 0 : rc;   /* which is told in the end */
}

static int open_data(job *j) {
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%.*s/prompt.jsonl", PATH_MAX - 16, j->folder);
    if (stat(path, &j->prompts) < 0) memset(&j->prompts, 0, sizeof j->prompts);
    int rc = dataset_open_told(j->folder, &j->options->hooks, &j->data);
    if (rc < 0) return rc;
    j->common = (check_common){ .mesh = j->common.mesh, .data = j->data, .chosen = j->chosen, .list = j->list, .list_lock = &j->list_lock,
                                .max_pixels = j->options->max_pixels };
    j->result->progress.total = dataset_count(j->data);
    rc = duplicates_new(j->room, &j->twins);
    if (rc == 0 && !dataset_is_shards(j->data)) rc = check_unnamed_new(j->folder, j->room, j->options->remove_unnamed, &j->names);
    if (rc == 0 && j->options->fix && !j->options->dry_run && !dataset_is_shards(j->data)) rc = sorter_new(j->room, MEMORY, &j->bad);
    return rc;
}

static bool is_there(const job *j, const char *name) {
    char path[PATH_MAX];
    return snprintf(path, sizeof path, "%s/%s", j->folder, name) < (int)sizeof path && access(path, F_OK) == 0;
}

/* What was downloaded, and not built yet: photos that are listed by their hash. */
static int look_at_photos(job *j) {
    j->unbuilt = true;
    int rc = check_unnamed_new(j->folder, j->room, false, &j->names);
    return rc < 0 ? rc : find_unnamed(j);
}

static int check_all(job *j) {
    if (j->removal && !is_there(j, "prompt.jsonl") && !shards_are_in(j->folder)) return look_at_photos(j);
    int rc = open_lists(j);
    if (rc == 0) rc = open_data(j);
    if (rc == 0) rc = check_lines(j);
    if (rc == 0 && j->names) rc = find_unnamed(j);
    if (rc == 0) rc = duplicates_find(j->twins, dataset_count(j->data), found_twin, j);
    if (rc < 0) return rc;
    mien_check_result *r = j->result;
    r->left = r->progress.failed;
    if (j->options->fix && !j->options->dry_run) r->left -= r->progress.count[CHECK_REMOVED].n + (j->bad ? r->moved : 0);   /* removed or moved in a moment */
    if (j->bad) return check_fix(j->folder, &j->prompts, j->bad, &j->result->moved, j->result->backup);
    bool shards = dataset_is_shards(j->data);
    if (shards && j->options->fix && j->result->moved)
        say(j, MIEN_LOG_WARNING, NULL, "what is bad stays in the shards: `mien package --shards --exclude LIST` writes them anew without it");
    if (shards || !j->options->fix) j->result->moved = 0;
    return 0;
}

/* Removing comes first, by id and URL: what is listed need not be looked at. What only the hash of its photo tells is
 * found by looking, and removed last. */
static int check_and_remove(job *j) {
    const mien_check_options *o = j->options;
    int rc = 0;
    if (o->fix && (o->exclude || is_there(j, "removed.jsonl"))) {
        rc = removal_new(j->folder, j->room, o, j->result, &j->removal);
        if (rc == 0) rc = removal_run(j->removal);
    }
    if (rc == 0) rc = check_all(j);
    dataset_close(j->data);        /* it holds prompt.jsonl as it was */
    j->data = NULL;
    if (rc == 0 && j->removal) rc = removal_run(j->removal);
    if (rc == 0) rc = report_unused(j);
    return rc < 0 || !j->removal ? rc : removal_broken(j->removal);
}

static int run(job *j) {
    const mien_check_options *o = j->options;
    int rc = dataset_folder(o->data, j->folder);
    if (rc < 0) return rc;
    choose_room(j);
    bool writes = (o->fix && !o->dry_run) || o->merge;
    struct stat st;
    if (stat(j->folder, &st) < 0 || !S_ISDIR(st.st_mode)) return error_set(ERR_USAGE, "%s: there is no such folder", j->folder);
    if (writes) rc = folder_lock_take(j->folder, 0, 0, &j->lock);
    if (rc < 0) return rc;
    if (writes && j->lock.missing) say(j, MIEN_LOG_WARNING, j->folder, "cannot be locked here: see that no other process writes there");
    if (writes) {
        file_remove_leftovers(j->folder, 1);
        rc = check_fix_recover(j->folder);
    } else if (check_fix_pending(j->folder)) {
        say(j, MIEN_LOG_WARNING, j->folder, "a fix was broken off here: the next --fix finishes or undoes it");
    }
    if (rc < 0) return rc;
    return o->merge ? check_merge(j->folder, &o->hooks, j->result) : check_and_remove(j);
}

int check_run(const face_mesh *mesh, const mien_check_options *options, mien_check_result *result) {
    job j = { .options = options, .result = result, .lock = FOLDER_UNLOCKED, .begin = clock_seconds(), .common.mesh = mesh };
    *result = (mien_check_result){ .n_bad = options->reject_near_duplicates ? CHECK_NEAR_DUPLICATE + 1 : CHECK_NEAR_DUPLICATE };
    result->progress.n_counts = CHECK_REASONS;
    for (int i = 0; i < CHECK_REASONS; i++) result->progress.count[i].name = check_reason_name[i];
    pthread_mutex_init(&j.list_lock, NULL);
    int rc = run(&j);
    dataset_close(j.data);
    selection_free(j.chosen);
    list_table_close(j.list);
    duplicates_free(j.twins);
    sorter_free(j.bad);
    check_unnamed_free(j.names);
    removal_free(j.removal);
    folder_lock_release(&j.lock);
    pthread_mutex_destroy(&j.list_lock);
    tell_progress(&j);
    if (options->times) *options->times = j.times;
    return rc;
}
