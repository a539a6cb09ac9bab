/* SPDX-License-Identifier: Apache-2.0
 *
 * From the journals to what was measured of each picture. */
#include "eval/report.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "eval/match.h"

/* Farther than any two faces of a picture, and finite: sums of it are compared. */
static const double any_distance = 1e6;

/* ---- reading --------------------------------------------------------------------------------------------------------- */

typedef struct { uint64_t line; report_item *item; } by_line;
typedef struct { report *r; by_line *sorted; bool pictures; } reading;

static int compare_lines(const void *a, const void *b) {
    const by_line *x = a, *y = b;
    return (x->line > y->line) - (x->line < y->line);
}

static report_item *find_item(const reading *l, uint64_t line) {
    by_line key = { line, NULL };
    const by_line *p = bsearch(&key, l->sorted, l->r->n, sizeof key, compare_lines);
    return p ? p->item : NULL;
}

static int keep(char **to, const char *text) {
    if (*to) return 0;
    return (*to = strdup(text)) ? 0 : error_memory(strlen(text));
}

static int take_item(report_item *i, eval_record *r) {
    if (i->known) return 0;
    i->known = true;
    i->from_photo = r->from_photo;
    i->width = r->width;
    i->height = r->height;
    i->wanted = r->faces;
    r->faces = (faces){ 0 };
    return keep(&i->prompt, r->prompt);
}

static int judge_anywhere(const faces *wanted, const faces *found, report_picture *p) {
    size_t n = (size_t)wanted->count;
    int *pair = malloc((n + 1) * sizeof *pair);
    p->anywhere = calloc(n + 1, sizeof *p->anywhere);
    int rc = pair && p->anywhere ? match_faces(wanted, found, any_distance, pair) : error_memory((n + 1) * sizeof *p->anywhere);
    for (size_t i = 0; i < n && rc >= 0; i++) {
        face_measure m;
        mien_face_judgement *f = &p->anywhere[i];
        *f = p->j.face[i];
        if ((f->answer = pair[i]) < 0) continue;
        measure_faces(&wanted->face[i], &found->face[pair[i]], wanted->width, wanted->height, &m);
        memcpy(f->error, m.error, sizeof f->error);
        memcpy(f->found, m.found.value, sizeof f->found);
    }
    free(pair);
    return rc < 0 ? rc : 0;
}

static int take_picture(const report_item *i, const eval_record *r, report_picture *p) {
    if (p->there || !i->known) return 0;
    if (r->what == EVAL_LINE_FAILED) {
        p->failed = true;
        return keep(&p->why, r->why);
    }
    int rc = judge_faces(&i->wanted, &r->faces, &p->j);
    if (rc < 0) return rc;
    p->there = true;
    p->failed = false;
    return r->kind == EVAL_FREE ? judge_anywhere(&i->wanted, &r->faces, p) : 0;
}

static int take_pictures(const report *r, const report_item *i, const eval_record *of) {
    for (int k = 0; k < r->v->seeds; k++) {
        if (eval_seed(r->v, i->item, of->kind, k) != of->seed) continue;
        int rc = take_picture(i, of, &i->picture[eval_slot(r->v, of->kind, k)]);
        if (rc < 0 || of->kind == EVAL_PHOTO) return rc;
    }
    return 0;
}

static int take(const reading *l, report_item *i, eval_record *of) {
    if (of->what == EVAL_LINE_ITEM) return l->pictures ? 0 : take_item(i, of);
    if (of->kind == EVAL_KINDS) return l->pictures ? 0 : keep(&i->why, of->why);
    return l->pictures ? take_pictures(l->r, i, of) : 0;
}

static int note(void *context, const json_at *line) {
    reading *l = context;
    eval_record of;
    int rc = eval_record_read(line, false, &of);
    if (rc < 0) return rc;
    report_item *i = of.what == EVAL_LINE_OTHER ? NULL : find_item(l, of.line);
    rc = i ? take(l, i, &of) : 0;
    free(of.faces.face);
    return rc;
}

/* Items first, since another part's journal may have an item's pictures. */
static int read_all(report *r) {
    reading l = { .r = r, .sorted = calloc(r->n + 1, sizeof *l.sorted) };
    if (!l.sorted) return error_memory(r->n * sizeof *l.sorted);
    for (size_t i = 0; i < r->n; i++) l.sorted[i] = (by_line){ r->v->item[i].line, &r->item[i] };
    qsort(l.sorted, r->n, sizeof *l.sorted, compare_lines);
    int rc = journal_read(r->v->o->output, EVAL_JOURNAL, note, &l);
    l.pictures = true;
    if (rc == 0) rc = journal_read(r->v->o->output, EVAL_JOURNAL, note, &l);
    free(l.sorted);
    return rc;
}

static void count(report *r) {
    for (size_t i = 0; i < r->n; i++) {
        const report_item *one = &r->item[i];
        r->measured += one->known;
        r->left_out += !one->known;
        r->from_photo += one->known && one->from_photo;
        for (size_t s = 0; s < eval_slots(r->v); s++) r->failed += one->known && one->picture[s].failed;
    }
}

int report_make(const evaluation *v, report *out) {
    report r = { .v = v, .n = v->n, .item = calloc(v->n + 1, sizeof *r.item) };
    r.judged = v->has[EVAL_CONTROL] ? GROUP_CONTROL : GROUP_FREE;
    int rc = r.item ? 0 : error_memory(v->n * sizeof *r.item);
    for (size_t i = 0; i < v->n && rc == 0; i++) {
        r.item[i].item = &v->item[i];
        if (!(r.item[i].picture = calloc(eval_slots(v), sizeof *r.item[i].picture)))
            rc = error_memory(eval_slots(v) * sizeof *r.item[i].picture);
    }
    if (rc == 0) rc = read_all(&r);
    if (rc == 0) count(&r);
    if (rc == 0) rc = report_count(&r);
    if (rc < 0) report_free(&r);
    else *out = r;
    return rc;
}

void report_free(report *r) {
    for (size_t i = 0; i < r->n && r->item; i++) {
        report_item *one = &r->item[i];
        for (size_t s = 0; s < eval_slots(r->v) && one->picture; s++) {
            judgement_free(&one->picture[s].j);
            free(one->picture[s].anywhere);
            free(one->picture[s].why);
        }
        free(one->picture);
        free(one->prompt);
        free(one->why);
        free(one->wanted.face);
    }
    free(r->item);
    *r = (report){ 0 };
}
