/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/judgement.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/number.h"

/* ---- for a person ---------------------------------------------------------------------------------------------------- */

static const char *number(char *to, size_t size, double x, int digits) {
    if (isfinite(x)) snprintf(to, size, "%.*f", digits, x);
    else snprintf(to, size, "-");
    return to;
}

static void print_face(const mien_face_judgement *f) {
    char a[32], b[32];
    if (f->answer >= 0)
        for (int i = 0; i < MIEN_MEASURES; i++) {
            const mien_measure *m = mien_measure_at(i);
            printf("  %-30s %9s  %s\n", m->title, number(a, sizeof a, f->error[i], m->digits), m->unit);
        }
    printf("  %-30s %9s %9s\n", "", "wanted", "found");
    for (int i = 0; i < MIEN_READINGS; i++) {
        const mien_measure *m = mien_reading_at(i);
        number(a, sizeof a, f->wanted[i], m->digits);
        number(b, sizeof b, f->found[i], m->digits);
        printf("  %-30s %9s %9s  %s\n", m->title, a, b, m->unit);
    }
}

void judgement_headline(const mien_judgement *j, char *out, size_t size) {
    int more = j->found - j->matched;
    int n = snprintf(out, size, "%d of %d face%s found", j->matched, j->wanted, j->wanted == 1 ? "" : "s");
    if (more && n > 0 && (size_t)n < size)
        n += snprintf(out + n, size - (size_t)n, ", and %d that %s not wanted there", more, more == 1 ? "was" : "were");
    if (n > 0 && (size_t)n < size) snprintf(out + n, size - (size_t)n, "; score %.2f", j->score);
}

void judgement_print(const mien_judgement *j) {
    for (int i = 0; i < j->wanted; i++) {
        const mien_face_judgement *f = &j->face[i];
        if (j->wanted > 1) printf("  face %d: %s\n", i + 1, f->answer < 0 ? "not found" : "");
        print_face(f);
    }
}

static void print_estimate(const char *title, const mien_estimate *e, double scale, int digits, const char *unit) {
    char v[32], l[32], h[32];
    number(v, sizeof v, scale * e->value, digits);
    number(l, sizeof l, scale * e->low, digits);
    number(h, sizeof h, scale * e->high, digits);
    printf("  %-30s %9s  %9s .. %-9s %s\n", title, v, l, h, unit);
}

void judgement_print_summary(const mien_summary *s) {
    printf("  %-30s %9s  95%% interval\n", "", "mean");
    print_estimate("faces found", &s->detection, 100, 1, "% of those wanted");
    print_estimate("as many as wanted", &s->agreement, 100, 1, "% of the pictures");
    for (int i = 0; i < MIEN_MEASURES; i++) {
        const mien_measure *m = mien_measure_at(i);
        print_estimate(m->title, &s->mean[i], 1, m->digits, m->unit);
    }
}

/* ---- as JSON --------------------------------------------------------------------------------------------------------- */

void judgement_add(text *out, const mien_judgement *j) {
    char *json = NULL;
    if (mien_judgement_json(j, &json) < 0) {
        out->failed = true;
        return;
    }
    text_add(out, ",\"judgement\":");
    text_add(out, json);
    free(json);
}

static void add_number(text *out, const char *name, double x) {
    char digits[NUMBER_TEXT] = "null";
    if (isfinite(x)) number_shortest_f64(digits, x);
    if (isfinite(x) && x == floor(x) && fabs(x) < 1e9) text_printf(out, "\"%s\":%.0f", name, x);   /* 10, not 1e+01 */
    else text_printf(out, "\"%s\":%s", name, digits);
}

static void add_estimate(text *out, const char *name, const mien_estimate *e) {
    text_printf(out, "\"%s\":{", name);
    add_number(out, "value", e->value);
    text_add(out, ",");
    add_number(out, "low", e->low);
    text_add(out, ",");
    add_number(out, "high", e->high);
    text_printf(out, ",\"n\":%zu,\"clusters\":%zu}", e->n, e->clusters);
}

void judgement_add_summary(text *out, const mien_summary *s) {
    text_printf(out, "\"pictures\":%" PRIu64 ",\"wanted\":%" PRIu64 ",\"found\":%" PRIu64 ",\"matched\":%" PRIu64 ",",
                s->pictures, s->wanted, s->found, s->matched);
    add_estimate(out, "detection", &s->detection);
    text_add(out, ",");
    add_estimate(out, "agreement", &s->agreement);
    text_add(out, ",\"errors\":{");
    for (int i = 0; i < MIEN_MEASURES; i++) {
        text_printf(out, "%s\"%s\":{", i ? "," : "", mien_measure_at(i)->key);
        add_estimate(out, "mean", &s->mean[i]);
        text_add(out, ",");
        add_estimate(out, "median", &s->median[i]);
        text_add(out, "}");
    }
    text_add(out, "}");
}

void judgement_add_caveat(text *out) {
    text_add(out, "\"caveat\":");
    text_json_string(out, mien_judge_caveat());
}
