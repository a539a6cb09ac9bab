/* SPDX-License-Identifier: Apache-2.0
 *
 * From judgements to means, rates, ratios and correlations, with their intervals. A cluster is an item: its pictures and faces
 * are drawn together. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "eval/report.h"

const char *const group_word[GROUPS] = { "control", "free", "photo", "others" };
const char *const group_title[GROUPS] = { "with control", "without control", "photo through the VAE", "another's wanted face" };

enum { OTHERS = 32 };            /* of how many other items the wanted face is compared */

/* A row a wanted face of picture k of an item; of photos those of k = 0 count alone. */
typedef struct {
    size_t rows;
    uint64_t *cluster, *first;       /* of a row: its item; whether it is of the item's first seed */
    double *error[GROUPS][ERRORS];
    double *wanted[READINGS], *found[GROUP_OTHERS][READINGS];
    double *detected[GROUP_OTHERS], *answered[GROUP_OTHERS], *agree[GROUP_OTHERS], *score[GROUP_OTHERS];
    double *memory;
} table;

enum { COLUMNS = GROUPS * ERRORS + READINGS + GROUP_OTHERS * READINGS + 4 * GROUP_OTHERS };

static int table_new(const report *r, table *t) {
    size_t numbers;
    for (size_t i = 0; i < r->n; i++) t->rows += r->item[i].known ? (size_t)r->item[i].wanted.count * (size_t)r->v->seeds : 0;
    if (__builtin_mul_overflow(t->rows + 1, (size_t)COLUMNS, &numbers)) return error_memory(SIZE_MAX);
    t->memory = malloc(numbers * sizeof *t->memory);
    t->cluster = calloc(2 * (t->rows + 1), sizeof *t->cluster);
    if (!t->memory || !t->cluster) return error_memory(numbers * sizeof *t->memory);
    t->first = t->cluster + t->rows + 1;
    for (size_t i = 0; i < numbers; i++) t->memory[i] = NAN;
    double *at = t->memory;
    for (int g = 0; g < GROUPS; g++)
        for (int m = 0; m < ERRORS; m++, at += t->rows) t->error[g][m] = at;
    for (int m = 0; m < READINGS; m++, at += t->rows) t->wanted[m] = at;
    for (int g = 0; g < GROUP_OTHERS; g++) {
        for (int m = 0; m < READINGS; m++, at += t->rows) t->found[g][m] = at;
        t->detected[g] = at, at += t->rows;
        t->answered[g] = at, at += t->rows;
        t->agree[g] = at, at += t->rows;
        t->score[g] = at, at += t->rows;
    }
    return 0;
}

static void table_free(table *t) {
    free(t->memory);
    free(t->cluster);
}

/* ---- filling --------------------------------------------------------------------------------------------------------- */

static const mien_face_judgement *face_of(const report_picture *p, int f) {
    return p->anywhere ? &p->anywhere[f] : &p->j.face[f];
}

static void put_face(table *t, size_t row, int g, const report_picture *p, int f) {
    const mien_face_judgement *j = face_of(p, f);
    t->answered[g][row] = p->j.face[f].answer >= 0;
    for (int m = 0; m < READINGS; m++) t->wanted[m][row] = j->wanted[m];
    if (j->answer < 0) return;
    for (int m = 0; m < ERRORS; m++) t->error[g][m][row] = j->error[m];
    for (int m = 0; m < READINGS; m++) t->found[g][m][row] = j->found[m];
}

static void put_picture(table *t, size_t row, int g, const report_picture *p) {
    t->detected[g][row] = p->j.found > 0;
    t->agree[g][row] = p->j.found == p->j.wanted;
    t->score[g][row] = p->j.score;
}

/* The errors that a found face has beside the first wanted faces of the items that were chosen next. */
static void put_others(const report *r, table *t, size_t row, size_t item, const mien_face_judgement *j) {
    double sum[ERRORS] = { 0 };
    int n[ERRORS] = { 0 }, taken = 0;
    face_reading found;
    memcpy(found.value, j->found, sizeof found.value);
    for (size_t s = 1; s < r->n && taken < OTHERS; s++) {
        const report_item *other = &r->item[(item + s) % r->n];
        face_reading wanted;
        double error[ERRORS];
        if (!other->known || !other->wanted.count) continue;
        taken++;
        measure_read(&other->wanted.face[0], other->wanted.width, other->wanted.height, &wanted);
        measure_compare(&wanted, &found, error);
        for (int m = 0; m < ERRORS; m++)
            if (isfinite(error[m])) sum[m] += error[m], n[m]++;
    }
    for (int m = 0; m < ERRORS; m++)
        if (n[m]) t->error[GROUP_OTHERS][m][row] = sum[m] / n[m];
}

static void fill_picture(const report *r, table *t, size_t row, size_t item, int k) {
    const report_item *i = &r->item[item];
    for (int g = 0; g < GROUP_OTHERS; g++) {
        const report_picture *p = &i->picture[eval_slot(r->v, (eval_kind)g, k)];
        if (!p->there) continue;
        if (g != GROUP_PHOTO || k == 0) put_picture(t, row, g, p);
        for (int f = 0; f < i->wanted.count; f++) {
            put_face(t, row + (size_t)f, g, p, f);
            if (g == (int)r->judged && face_of(p, f)->answer >= 0) put_others(r, t, row + (size_t)f, item, face_of(p, f));
        }
    }
}

static void fill(const report *r, table *t) {
    size_t row = 0;
    for (size_t i = 0; i < r->n; i++)
        for (int k = 0; k < r->v->seeds && r->item[i].known && r->item[i].wanted.count; k++) {
            for (int f = 0; f < r->item[i].wanted.count; f++) t->cluster[row + (size_t)f] = i, t->first[row + (size_t)f] = k == 0;
            fill_picture(r, t, row, i, k);
            row += (size_t)r->item[i].wanted.count;
        }
}

/* ---- counting -------------------------------------------------------------------------------------------------------- */

static size_t how_many(const double *x, size_t n) {
    size_t there = 0;
    for (size_t i = 0; i < n; i++) there += !isnan(x[i]);
    return there;
}

/* Photos have one picture an item: the rows of further seeds, which pairs need, are no further witnesses. */
static void only_first(const table *t, double *x) {
    for (size_t i = 0; i < t->rows; i++)
        if (!t->first[i]) x[i] = NAN;
}

static int count_group(const report *r, table *t, int g, report_group *out) {
    static const bootstrap how = { 0 };
    int rc = 0;
    if (g != GROUP_OTHERS) {
        if (g == GROUP_PHOTO) only_first(t, t->answered[g]);
        out->pictures = how_many(t->detected[g], t->rows);
        out->faces = how_many(t->answered[g], t->rows);
        rc = statistics_rate(t->detected[g], t->cluster, t->rows, &how, &out->detected);
        if (rc == 0) rc = statistics_rate(t->answered[g], t->cluster, t->rows, &how, &out->answered);
        if (rc == 0) rc = statistics_rate(t->agree[g], t->cluster, t->rows, &how, &out->agree);
        if (rc == 0) rc = statistics_mean(t->score[g], t->cluster, t->rows, &how, &out->score);
    } else {
        out->faces = how_many(t->error[g][ERROR_YAW], t->rows);
        out->pictures = out->faces ? r->group[r->judged].pictures : 0;
    }
    for (int m = 0; m < ERRORS && rc == 0; m++) {
        if (g == GROUP_PHOTO) only_first(t, t->error[g][m]);
        rc = statistics_mean(t->error[g][m], t->cluster, t->rows, &how, &out->mean[m]);
        if (rc == 0) rc = statistics_median(t->error[g][m], t->cluster, t->rows, &how, &out->median[m]);
    }
    for (int m = 0; m < READINGS && rc == 0 && g != GROUP_OTHERS; m++) {
        if (g == GROUP_PHOTO) only_first(t, t->found[g][m]);
        rc = statistics_correlation(t->wanted[m], t->found[g][m], t->cluster, t->rows, &how, &out->correlation[m]);
        if (rc == 0) rc = statistics_slope(t->wanted[m], t->found[g][m], t->cluster, t->rows, &how, &out->slope[m]);
    }
    return rc;
}

static int count_ratios(report *r, const table *t, int g) {
    static const bootstrap how = { 0 };
    int rc = 0;
    for (int m = 0; m < ERRORS && rc == 0; m++)
        rc = statistics_ratio(t->error[r->judged][m], t->error[g][m], t->cluster, t->rows, &how, &r->against[g].ratio[m]);
    return rc;
}

int report_count(report *r) {
    table t = { 0 };
    int rc = table_new(r, &t);
    if (rc == 0) fill(r, &t);
    for (int g = 0; g < GROUPS && rc == 0; g++)
        if (g != (int)r->judged) rc = count_ratios(r, &t, g);
    if (rc == 0) rc = count_group(r, &t, (int)r->judged, &r->group[r->judged]);
    for (int g = 0; g < GROUPS && rc == 0; g++)
        if (g != (int)r->judged) rc = count_group(r, &t, g, &r->group[g]);
    for (int g = 0; g < GROUPS; g++)
        for (int m = 0; m < ERRORS; m++)
            r->against[g].overlap[m] = statistics_overlap(&r->group[r->judged].mean[m], &r->group[g].mean[m]);
    table_free(&t);
    return rc;
}
