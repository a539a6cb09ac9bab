/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "base/text.h"
#include "cli/generate.h"
#include "cli/judgement.h"
#include "cli/progress.h"

bool generate_is_png(const char *path) {
    size_t n = strlen(path);
    return n > 4 && strcasecmp(path + n - 4, ".png") == 0;
}

typedef struct { progress shown; const generate_arguments *a; } listener;   /* the progress first: it is the hooks' context */

static void picture_json(const mien_picture *p) {
    text line = { 0 };
    text_add(&line, p->candidate ? "{\"event\":\"candidate\"" : "{\"event\":\"picture\"");
    if (p->path) text_add(&line, ",\"path\":"), text_json_string(&line, p->path);
    if (p->map) text_add(&line, ",\"map\":"), text_json_string(&line, p->map);
    text_printf(&line, ",\"seed\":%lld,\"width\":%d,\"height\":%d,\"steps\":%d,\"control_steps\":%d,\"seconds\":%.3f", p->seed, p->width, p->height, p->steps,
                p->control_steps, p->seconds);
    if (p->place) text_printf(&line, ",\"place\":%d", p->place);
    if (p->judgement) judgement_add(&line, p->judgement);
    if (text_check(&line) == 0) printf("%s}\n", line.data);
    text_free(&line);
}

static void picture_line(const mien_picture *p) {
    char name[4 * 4096], head[200];
    if (p->candidate) {
        judgement_headline(p->judgement, head, sizeof head);
        printf("seed %lld: %s, %.1f s\n", p->seed, head, p->seconds);
        return;
    }
    printf("%s: %d x %d, seed %lld, %d step%s", text_escape(name, sizeof name, p->path ? p->path : "no file"), p->width, p->height, p->seed, p->steps, p->steps == 1 ? "" : "s");
    if (p->control_steps != p->steps) printf(" (%d with control)", p->control_steps);
    printf(", %.1f s\n", p->seconds);
    if (!p->judgement) return;
    judgement_headline(p->judgement, head, sizeof head);
    printf("  %s\n", head);
    judgement_print(p->judgement);
}

static void picture_done(void *context, const mien_picture *p) {
    listener *l = context;
    if (l->a->common.quiet) return;
    progress_clear(&l->shown);
    if (l->a->common.log_json) picture_json(p);
    else picture_line(p);
    fflush(stdout);
}

static void print_profile(void *context, const char *line) {
    (void)context;
    fprintf(stderr, "%s\n", line);
}

static void print_summary(const generate_arguments *a, const mien_generate_result *r, bool whole) {
    if (a->common.quiet) return;
    bool checked = (a->job.check || a->job.keep_best) && r->pictures;
    if (a->common.log_json) {
        text caveat = { 0 };
        text_add(&caveat, checked ? "," : "");
        if (checked) judgement_add_caveat(&caveat);
        printf("{\"event\":\"%s\",\"pictures\":%" PRIu64 ",\"skipped\":%" PRIu64 ",\"failed\":%" PRIu64 ",\"seconds\":%.3f%s}\n", whole ? "summary" : "stopped", r->pictures,
               r->skipped, r->failed, r->total, caveat.data ? caveat.data : "");
        text_free(&caveat);
        return;
    }
    if (checked) printf("%s\n", mien_judge_caveat());
    if (!whole || a->job.batch)
        printf("%s%" PRIu64 " picture%s made, %" PRIu64 " there before, %" PRIu64 " failed; %.1f s\n", whole ? "" : "stopped: ", r->pictures, r->pictures == 1 ? "" : "s",
               r->skipped, r->failed, r->total);
}

/* Where the time of a run without steps goes. */
static void print_times(const generate_arguments *a, const mien_generate_result *r) {
    if (a->common.quiet || a->common.log_json || a->job.batch || a->job.picture.steps) return;
    printf("load %.2f s, map %.2f s, text %.2f s, hint %.2f s, decode %.2f s, write %.2f s; %.2f s in all\n", r->load, r->map, r->text, r->hint, r->decode, r->write, r->total);
}

int generate_job_run(generate_arguments *a, const char *like_note, double begin) {
    listener l = { .a = a };
    mien_generate_result r = { 0 };
    progress_begin(&l.shown, &a->common, "steps");
    l.shown.kind = PROGRESS_SLOW;
    l.shown.notes = true;
    if (a->common.quiet) l.shown.notes = false;
    if (like_note && !a->common.quiet) {
        char line[1024];
        snprintf(line, sizeof line, "what mien cannot take over: %s", like_note);
        progress_log(&l.shown, MIEN_LOG_WARNING, a->like, line);
    }
    a->job.hooks = progress_hooks(&l.shown);
    a->job.picture_done = picture_done;
    a->job.profile = a->common.profile ? print_profile : NULL;
    catch_signals_saying(a->common.log_json ? NULL : "mien: stopping; again stops at once\n");
    int rc = mien_generate(&a->job, &r);
    progress_end(&l.shown);
    int status = job_status(&a->common, rc, r.failed);
    if (rc == MIEN_ERR_EXISTS && !a->job.batch) status = EXIT_MISUSE;   /* of a batch it is the folder that another process writes */
    if (rc == 0 || r.pictures || rc == MIEN_ERR_CANCELLED) print_summary(a, &r, rc == 0);
    if (rc == 0) print_times(a, &r);
    timings where = {
        .load = r.load, .total = clock_seconds() - begin, .images = r.pictures,
        .part = { { "map", r.map }, { "text", r.text }, { "hint", r.hint }, { "decode", r.decode }, { "check", r.check }, { "write", r.write } }, .n_parts = 6,
        .series = "steps", .each = r.steps, .n_each = r.n_steps,
    };
    int failed = rc == MIEN_ERR_USAGE || rc == MIEN_ERR_EXISTS ? 0 : timings_report(&a->common, &where);
    mien_generate_result_free(&r);
    return status ? status : failed;
}
