/* SPDX-License-Identifier: Apache-2.0
 *
 * Many jobs from a file of JSON lines. They are taken a few at a time, so that the text encoder, whose weights don't stay, is loaded once for
 * all of these. A line that cannot be done is told of, and the rest goes on; what an earlier run has made is left alone. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/error.h"
#include "base/file.h"
#include "base/lock.h"
#include "base/part.h"
#include "base/stop.h"
#include "base/stream.h"
#include "generate/generate_inside.h"
#include "generate/output.h"

enum { TOGETHER = 16, JOB_FILE = JOB_NAME + 32 };

typedef struct {
    generator *g;
    generate_job defaults;
    const char *name;              /* of the file, without its folder */
    uint64_t *names;               /* hashes of all outputs' names, sorted */
    size_t n_names, room;
    prepared_job *job[TOGETHER];
    size_t n;
} batch;

/* 1 with a line that has something in it, 0 at the end, ERR_IO; one that is too long is `broken`. */
static int next_line(stream *s, stream_text *line, bool *broken) {
    for (;;) {
        int rc = stream_line(s, JOB_LINE_MOST, line);
        *broken = rc == ERR_LIMIT;
        if (*broken) return 1;
        if (rc <= 0) return rc;
        if (line->size && line->text[strspn(line->text, " \t")]) return 1;
    }
}

/* What a job's file is called, without ".png". */
static void name_of(const generate_job *j, uint64_t line, char out[JOB_NAME]) {
    if (*j->name) snprintf(out, JOB_NAME, "%s", j->name);
    else snprintf(out, JOB_NAME, "%06" PRIu64, line);
}

static int read_line(batch *b, const stream *s, const stream_text *line, bool broken, generate_job *out) {
    char label[300];
    if (broken) return error_set(ERR_LIMIT, "longer than %d bytes", JOB_LINE_MOST);
    snprintf(label, sizeof label, "%.200s:%" PRIu64, b->name, stream_lines(s));
    int rc = job_line_read(label, line->text, line->size, &b->defaults, out);
    if (rc == 0) return 0;
    char said[1024];   /* its place is told with the job's label */
    snprintf(said, sizeof said, "%s", error_without_path(error_message(), label));
    bool of_json = strncmp(said, "line 1, ", 8) == 0;   /* which sees a document of one line */
    return error_set(rc, "%s", of_json ? said + 8 : said);
}

/* A line: its job, the taker's from here on, or (read below 0) why there is none. Below 0 ends it. */
typedef int take_job(batch *b, uint64_t line, int read, generate_job *j);

static int each_line(batch *b, take_job *take) {
    stream *s;
    stream_text line;
    bool broken;
    int rc = stream_open_file(b->g->o->batch, &s), more = 0;
    if (rc < 0) return rc;
    while (rc == 0 && (more = next_line(s, &line, &broken)) > 0) {
        generate_job j;
        int read = read_line(b, s, &line, broken, &j);
        rc = take(b, stream_lines(s), read, &j);
    }
    stream_close(s);
    return rc < 0 ? rc : more;
}

/* ---- once through, for what there is ---------------------------------------------------------------------------------- */

/* A job's file i, of pictures and of previews where there are any; false behind the last. */
static bool file_of(const batch *b, const generate_job *j, const char *name, int i, char out[JOB_FILE]) {
    bool previews = b->g->o->preview != 0;
    int k = previews ? i / 2 : i;
    char number[16] = "";
    if (k >= generate_writes(b->g->o, j)) return false;
    if (k) snprintf(number, sizeof number, "-%d", k + 1);
    snprintf(out, JOB_FILE, "%s%s%s.png", name, number, previews && i % 2 ? ".preview" : "");   /* as output_path has it */
    return true;
}

static int add_name(batch *b, const char *name) {
    if (b->n_names == b->room) {
        size_t room = b->room ? 2 * b->room : 256;
        uint64_t *names = realloc(b->names, room * sizeof *names);
        if (!names) return error_memory(room * sizeof *names);
        b->names = names;
        b->room = room;
    }
    b->names[b->n_names++] = part_hash(name);
    return 0;
}

static int by_value(const void *a, const void *b) {
    const uint64_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

static bool is_double(const batch *b, const char *file) {
    uint64_t hash = part_hash(file);
    const uint64_t *at = bsearch(&hash, b->names, b->n_names, sizeof *b->names, by_value);
    return at && ((at > b->names && at[-1] == hash) || (at + 1 < b->names + b->n_names && at[1] == hash));
}

static int count_line(batch *b, uint64_t line, int read, generate_job *j) {
    char name[JOB_NAME], file[JOB_FILE];
    int steps, rc = 0;
    if (read < 0) return 0;   /* told of later */
    if (engine_steps(b->g->e, &j->how, &steps) == 0) b->g->progress.total += (uint64_t)steps * (uint64_t)j->count;
    name_of(j, line, name);
    for (int i = 0; rc == 0 && file_of(b, j, name, i, file); i++) rc = add_name(b, file);
    job_free(j);
    return rc;
}

static int count_lines(batch *b) {
    int rc = each_line(b, count_line);
    if (b->n_names) qsort(b->names, b->n_names, sizeof *b->names, by_value);
    return rc;
}

/* ---- jobs ------------------------------------------------------------------------------------------------------------- */

static bool ends_all(int rc) { return rc == ERR_CANCELLED || rc == ERR_FULL || rc == ERR_MEMORY; }

static void fail(batch *b, const char *label, uint64_t pictures, uint64_t steps) {
    generator *g = b->g;
    g->result.failed += pictures;
    g->progress.failed += steps;
    generate_say(g, MIEN_LOG_ITEM_FAILED, label, error_message());
    generate_tell(g);
}

static void drop(prepared_job *p) {
    prepared_free(p);
    free(p);
}

static int run_together(batch *b) {
    generator *g = b->g;
    int rc = b->n ? encode_jobs(g, b->job, b->n) : 0;
    for (size_t i = 0; i < b->n; i++) {
        prepared_job *p = b->job[i];
        uint64_t before = g->result.pictures, steps = g->progress.done;
        int one = rc < 0 ? rc : run_job(g, p, false);
        if (one < 0 && ends_all(one)) rc = one;
        else if (one < 0 && rc == 0) {
            uint64_t made = g->result.pictures - before, left = prepared_steps(p) - (g->progress.done - steps);
            fail(b, p->label, (uint64_t)prepared_pictures(p) - made, left);
        }
        drop(p);
    }
    b->n = 0;
    return rc;
}

static int make_folder(const generator *g, prepared_job *p, const char *name) {
    int n = snprintf(p->path, sizeof p->path, "%s/%s.png", g->o->output, name);
    return (size_t)n < sizeof p->path ? 0 : error_set(ERR_USAGE, "%s: is too long a path", g->o->output);
}

/* Pictures are looked at where they may overwrite something (what is there else may be of an earlier run), previews always: one in the place of
 * another file is nobody's wish. */
static int check_outputs(const generator *g, const prepared_job *p) {
    const char *const inputs[] = { g->o->base, g->o->control, g->o->batch, g->o->like, p->j.photo, p->j.map, p->j.faces };
    const int n = sizeof inputs / sizeof *inputs;
    char path[PATH_MAX], preview[PATH_MAX];
    int rc = 0;
    for (int k = 0; k < generate_writes(g->o, &p->j) && rc == 0; k++) {
        rc = output_path(p->path, k, path);
        if (rc == 0 && g->o->force) rc = output_refuse_picture(path, true, false, inputs, n);
        if (rc == 0 && g->o->preview) rc = output_preview_path(path, preview);
        if (rc == 0 && g->o->preview) rc = output_refuse_picture(preview, g->o->force, true, inputs, n);
    }
    return rc;
}

static int prepare_line(batch *b, prepared_job *p, uint64_t number) {
    generator *g = b->g;
    char name[JOB_NAME], file[JOB_FILE];
    int rc = 0;
    name_of(&p->j, number, name);
    for (int i = 0; rc == 0 && file_of(b, &p->j, name, i, file); i++)
        if (is_double(b, file)) rc = error_set(ERR_USAGE, "another line writes %s too: neither is done", file);
    if (rc == 0) rc = make_folder(g, p, name);
    if (rc == 0) rc = check_outputs(g, p);
    return rc < 0 ? rc : prepare_job(g, p, true);
}

static int fail_line(batch *b, prepared_job *p, bool read, int rc) {
    int steps = 0;
    if (!ends_all(rc)) fail(b, p->label, read ? (uint64_t)generate_writes(b->g->o, &p->j) : 1, 0);
    if (read && engine_steps(b->g->e, &p->j.how, &steps) == 0) b->g->progress.failed += (uint64_t)steps * (uint64_t)p->j.count;
    drop(p);
    return ends_all(rc) ? rc : 0;
}

static int run_line(batch *b, uint64_t line, int read, generate_job *j) {
    generator *g = b->g;
    prepared_job *p = calloc(1, sizeof *p);
    if (!p) {
        if (read == 0) job_free(j);
        return error_memory(sizeof *p);
    }
    snprintf(p->label, sizeof p->label, "line %" PRIu64, line);
    if (read == 0) p->j = *j;
    int rc = read < 0 ? read : prepare_line(b, p, line);
    if (rc < 0) return fail_line(b, p, read == 0, rc);
    g->result.skipped += (uint64_t)(p->writes - prepared_pictures(p));
    g->progress.skipped += (uint64_t)p->steps * (uint64_t)(p->j.count - p->missing);
    generate_tell(g);
    if (p->missing) b->job[b->n++] = p;
    else drop(p);
    if (stop_asked(g->o->hooks.stop)) return error_set(ERR_CANCELLED, "stopped");
    return b->n == TOGETHER ? run_together(b) : 0;
}

static int run_lines(batch *b) {
    int rc = each_line(b, run_line);
    if (rc == 0) rc = run_together(b);
    while (b->n) drop(b->job[--b->n]);
    return rc;
}

int batch_run(generator *g) {
    const char *slash = strrchr(g->o->batch, '/');
    batch b = { .g = g, .defaults = generate_defaults(g->o), .name = slash ? slash + 1 : g->o->batch };
    folder_lock lock = FOLDER_UNLOCKED;
    struct stat st;
    if (stat(g->o->output, &st) == 0 ? !S_ISDIR(st.st_mode) : errno == ENOTDIR) return error_set(ERR_USAGE, "%s: is not a folder", g->o->output);
    int rc = folder_make(g->o->output);
    if (rc == 0) rc = folder_lock_take(g->o->output, 0, 0, &lock);
    if (rc == 0) {
        file_remove_leftovers(g->o->output, true);
        rc = count_lines(&b);
    }
    generate_tell(g);
    if (rc == 0) rc = run_lines(&b);
    folder_lock_release(&lock);
    free(b.names);
    return rc;
}
