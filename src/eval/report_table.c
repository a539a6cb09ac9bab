/* SPDX-License-Identifier: Apache-2.0
 *
 * The report in words: tables for a terminal, and sentences. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "eval/report.h"

/* ---- sentences ------------------------------------------------------------------------------------------------------- */

__attribute__((format(printf, 2, 3))) static void add(char out[REPORT_SENTENCE], const char *format, ...) {
    size_t n = strlen(out);
    va_list args;
    va_start(args, format);
    vsnprintf(out + n, REPORT_SENTENCE - n, format, args);
    va_end(args);
}

static void add_estimate(char out[REPORT_SENTENCE], const estimate *e, double scale, int digits, const char *unit) {
    add(out, "%.*f%s", digits, scale * e->value, unit);
    if (isfinite(e->low) && isfinite(e->high)) add(out, " (%.*f to %.*f)", digits, scale * e->low, digits, scale * e->high);
}

static const char *const in_words[GROUPS] = { "with control", "without control", "in photos through the VAE",
                                              "beside another's wanted face" };

static void say_faces(const report *r, char out[REPORT_SENTENCE]) {
    static const group_kind order[] = { GROUP_CONTROL, GROUP_FREE, GROUP_PHOTO };
    bool first = true;
    add(out, "Wanted faces that were found at their places: ");
    for (int i = 0; i < 3; i++) {
        const report_group *g = &r->group[order[i]];
        if (!g->pictures) continue;
        add(out, "%s", first ? "" : ", ");
        add_estimate(out, &g->answered, 100, 1, "%");
        add(out, " %s", in_words[order[i]]);
        first = false;
    }
    add(out, ".");
}

static bool say_ratio(const report *r, group_kind other, measure_error m, const char *what, char out[REPORT_SENTENCE]) {
    const report_group *a = &r->group[r->judged], *b = &r->group[other];
    const report_ratio *q = &r->against[other];
    if (other == r->judged || !b->pictures || !isfinite(a->mean[m].value) || !isfinite(b->mean[m].value)) return false;
    add(out, "%s: an error of ", what);
    add_estimate(out, &a->mean[m], 1, measure_errors[m].digits, "");
    add(out, " %s %s, and of ", measure_errors[m].unit, in_words[r->judged]);
    add_estimate(out, &b->mean[m], 1, measure_errors[m].digits, "");
    add(out, " %s", in_words[other]);
    bool one = !(q->ratio[m].low > 1 || q->ratio[m].high < 1);
    if (isfinite(q->ratio[m].value)) {
        add(out, "; over faces that both have it is ");
        add_estimate(out, &q->ratio[m], 1, 2, " times");
        add(out, " as much");
    }
    if (!q->overlap[m]) add(out, ". The two intervals do not overlap.");
    else if (one) add(out, ". The intervals overlap: these pictures do not tell the two apart.");
    else add(out, ". The two intervals overlap; that of the ratio leaves out 1.");
    return true;
}

int report_sentences(const report *r, char out[REPORT_SENTENCES][REPORT_SENTENCE]) {
    group_kind base = r->judged == GROUP_CONTROL && r->group[GROUP_FREE].pictures ? GROUP_FREE : GROUP_OTHERS;
    int n = 0;
    memset(out, 0, REPORT_SENTENCES * REPORT_SENTENCE);
    if (!r->measured) return 0;
    say_faces(r, out[n++]);
    n += say_ratio(r, GROUP_PHOTO, ERROR_LANDMARKS, "Landmarks", out[n]);
    n += say_ratio(r, base, ERROR_GAZE_X, "Gaze, across", out[n]);
    n += say_ratio(r, base, ERROR_GAZE_Y, "Gaze, up", out[n]);
    return n;
}

/* ---- tables ---------------------------------------------------------------------------------------------------------- */

typedef struct { void (*line)(void *context, const char *text); void *context; char text[512]; size_t n; } writer;

__attribute__((format(printf, 2, 3))) static void put(writer *w, const char *format, ...) {
    va_list args;
    va_start(args, format);
    int n = vsnprintf(w->text + w->n, sizeof w->text - w->n, format, args);
    va_end(args);
    if (n > 0) w->n = w->n + (size_t)n < sizeof w->text ? w->n + (size_t)n : sizeof w->text - 1;
}

static void end(writer *w) {
    while (w->n && w->text[w->n - 1] == ' ') w->text[--w->n] = 0;
    w->line(w->context, w->text);
    w->n = 0;
    w->text[0] = 0;
}

static void put_cell(writer *w, const estimate *e, double scale, int digits) {
    char cell[80] = "-";
    if (isfinite(e->value)) snprintf(cell, sizeof cell, "%.*f", digits, scale * e->value);
    if (isfinite(e->value) && isfinite(e->low) && isfinite(e->high)) {
        size_t n = strlen(cell);
        snprintf(cell + n, sizeof cell - n, " [%.*f, %.*f]", digits, scale * e->low, digits, scale * e->high);
    }
    put(w, "  %-24s", cell);
}

static void put_heads(writer *w, const report *r, const char *what, bool others) {
    put(w, "%-32s", what);
    for (int g = 0; g < GROUPS; g++)
        if (r->group[g].pictures && (others || g != GROUP_OTHERS)) put(w, "  %-24s", group_title[g]);
    end(w);
}

static void put_rates(writer *w, const report *r) {
    static const char *const title[] = { "pictures with a face, %", "wanted faces at their places, %",
                                         "as many faces as wanted, %", "score" };
    for (int row = 0; row < 4; row++) {
        put(w, "%-32s", title[row]);
        for (int g = 0; g < GROUP_OTHERS; g++) {
            const report_group *group = &r->group[g];
            const estimate *e[] = { &group->detected, &group->answered, &group->agree, &group->score };
            if (group->pictures) put_cell(w, e[row], row < 3 ? 100 : 1, row < 3 ? 1 : 2);
        }
        end(w);
    }
}

static void put_errors(writer *w, const report *r) {
    for (int m = 0; m < ERRORS; m++) {
        char title[80];
        snprintf(title, sizeof title, "%s, %s", measure_errors[m].title, measure_errors[m].unit);
        put(w, "%-32s", title);
        for (int g = 0; g < GROUPS; g++)
            if (r->group[g].pictures) put_cell(w, &r->group[g].mean[m], 1, measure_errors[m].digits);
        end(w);
    }
}

static void put_readings(writer *w, const report *r) {
    for (int m = 0; m < READINGS; m++) {
        put(w, "%-32s", measure_readings[m].title);
        for (int g = 0; g < GROUP_OTHERS; g++)
            if (r->group[g].pictures) put_cell(w, &r->group[g].correlation[m], 1, 2);
        end(w);
    }
}

void report_table(const report *r, void (*line)(void *context, const char *text), void *context) {
    char sentence[REPORT_SENTENCES][REPORT_SENTENCE];
    writer w = { .line = line, .context = context };
    int n = report_sentences(r, sentence);
    put(&w, "%zu item%s measured", r->measured, r->measured == 1 ? "" : "s");
    for (int g = 0; g < GROUP_OTHERS; g++)
        if (r->group[g].pictures)
            put(&w, ", %zu picture%s %s", r->group[g].pictures, r->group[g].pictures == 1 ? "" : "s", in_words[g]);
    end(&w);
    if (r->left_out || r->failed) {
        put(&w, "%zu item%s could not be used, %zu picture%s failed", r->left_out, r->left_out == 1 ? "" : "s", r->failed,
            r->failed == 1 ? "" : "s");
        end(&w);
    }
    if (r->from_photo) {
        put(&w, "of %zu item%s the wanted faces were found on the photo: no landmarks lie beside the map", r->from_photo,
            r->from_photo == 1 ? "" : "s");
        end(&w);
    }
    end(&w);
    put_heads(&w, r, "mean [95% interval]", true);
    put_rates(&w, r);
    put_errors(&w, r);
    end(&w);
    put_heads(&w, r, "correlation, wanted and found", false);
    put_readings(&w, r);
    end(&w);
    for (int i = 0; i < n; i++) line(context, sentence[i]);
    line(context, judge_caveat);
}
