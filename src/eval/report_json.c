/* SPDX-License-Identifier: Apache-2.0
 *
 * report.json. No time and no path is in it: the same pictures give the same bytes. */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/number.h"
#include "eval/report.h"

enum { FORMAT = 1 };

static void put_value(text *out, double x) {
    char number[NUMBER_TEXT];
    if (!isfinite(x)) {
        text_add(out, "null");
        return;
    }
    number_shortest_f64(number, x + 0.0);
    text_add(out, number);
}

static void put_estimate(text *out, const char *key, const estimate *e) {
    text_printf(out, "\"%s\":{\"value\":", key);
    put_value(out, e->value);
    text_add(out, ",\"low\":");
    put_value(out, e->low);
    text_add(out, ",\"high\":");
    put_value(out, e->high);
    text_printf(out, ",\"n\":%zu,\"items\":%zu}", e->n, e->clusters);
}

static void put_text(text *out, const char *key, const char *s) {
    text_printf(out, "\"%s\":", key);
    text_json_exact(out, s);
}

/* ---- parts ----------------------------------------------------------------------------------------------------------- */

static void put_group(const report *r, int g, text *out) {
    const report_group *group = &r->group[g];
    text_printf(out, "\"%s\":{\"pictures\":%zu,\"faces\":%zu", group_word[g], group->pictures, group->faces);
    if (g != GROUP_OTHERS) {
        text_add(out, ",\n "), put_estimate(out, "detected", &group->detected);
        text_add(out, ",\n "), put_estimate(out, "answered", &group->answered);
        text_add(out, ",\n "), put_estimate(out, "count_agrees", &group->agree);
        text_add(out, ",\n "), put_estimate(out, "score", &group->score);
    }
    text_add(out, ",\n \"errors\":{");
    for (int m = g == GROUP_OTHERS ? ERROR_GAZE_X : 0, first = m; m < ERRORS; m++) {
        text_printf(out, "%s\n  \"%s\":{", m > first ? "," : "", measure_errors[m].key);
        put_estimate(out, "mean", &group->mean[m]);
        text_add(out, ",");
        put_estimate(out, "median", &group->median[m]);
        text_add(out, "}");
    }
    text_add(out, "}");
    for (int m = 0; m < READINGS && g != GROUP_OTHERS; m++) {
        text_printf(out, "%s\n  \"%s\":{", m ? "," : ",\n \"readings\":{", measure_readings[m].key);
        put_estimate(out, "correlation", &group->correlation[m]);
        text_add(out, ",");
        put_estimate(out, "slope", &group->slope[m]);
        text_add(out, "}");
    }
    text_add(out, g != GROUP_OTHERS ? "}}" : "}");
}

static void put_groups(const report *r, text *out) {
    bool first = true;
    text_add(out, "\"groups\":{");
    for (int g = 0; g < GROUPS; g++) {
        if (!r->group[g].pictures) continue;
        text_add(out, first ? "\n" : ",\n");
        put_group(r, g, out);
        first = false;
    }
    text_add(out, "}");
}

static void put_ratios(const report *r, text *out) {
    bool first = true;
    text_printf(out, "\"judged\":\"%s\",\n\"against\":{", group_word[r->judged]);
    for (int g = 0; g < GROUPS; g++) {
        if (g == (int)r->judged || !r->group[g].pictures) continue;
        text_printf(out, "%s\n\"%s\":{", first ? "" : ",", group_word[g]);
        for (int m = g == GROUP_OTHERS ? ERROR_GAZE_X : 0, from = m; m < ERRORS; m++) {
            text_printf(out, "%s\n \"%s\":{", m > from ? "," : "", measure_errors[m].key);
            put_estimate(out, "ratio", &r->against[g].ratio[m]);
            text_printf(out, ",\"intervals_overlap\":%s}", r->against[g].overlap[m] ? "true" : "false");
        }
        text_add(out, "}");
        first = false;
    }
    text_add(out, "}");
}

static void put_picture(const report *r, const report_item *i, eval_kind kind, int k, text *out) {
    const report_picture *p = &i->picture[eval_slot(r->v, kind, k)];
    text_printf(out, "{\"kind\":\"%s\"", eval_kind_word[kind]);
    if (kind != EVAL_PHOTO) text_printf(out, ",\"seed\":%lld", eval_seed(r->v, i->item, kind, k));
    if (!p->there) {
        text_add(out, ","), put_text(out, "failed", p->why ? p->why : "");
        text_add(out, "}");
        return;
    }
    text_printf(out, ",\"found\":%d,\"matched\":%d,\"score\":", p->j.found, p->j.matched);
    put_value(out, p->j.score);
    for (int m = 0; m < ERRORS; m++) {
        text_printf(out, ",\"%s\":", measure_errors[m].key);
        put_value(out, p->j.error[m]);
    }
    text_add(out, "}");
}

static void put_item(const report *r, const report_item *i, text *out) {
    eval_kind kind;
    int k;
    bool first = true;
    text_add(out, "{"), put_text(out, "item", i->item->id);
    text_printf(out, ",\"line\":%" PRIu64 ",", i->item->line + 1);
    if (!i->known) {
        put_text(out, "left_out", i->why ? i->why : "");
        text_add(out, "}");
        return;
    }
    put_text(out, "prompt", i->prompt);
    text_printf(out, ",\"width\":%d,\"height\":%d,\"wanted\":%d,\"from\":\"%s\",\"pictures\":[", i->width, i->height,
                i->wanted.count, i->from_photo ? "photo" : "landmarks");
    for (size_t s = 0; s < eval_slots(r->v); s++) {
        if (!eval_slot_used(r->v, s, &kind, &k)) continue;
        text_add(out, first ? "\n " : ",\n ");
        put_picture(r, i, kind, k, out);
        first = false;
    }
    text_add(out, "]}");
}

/* ---- all of it ------------------------------------------------------------------------------------------------------- */

/* What stands in settings.json behind its head: {"format":1,"kind":"eval","mien":"...", SETTINGS}. */
static void put_settings(const report *r, text *out) {
    const char *from = strstr(r->v->settings.data, "\"settings\":"), *end = strrchr(r->v->settings.data, '}');
    if (from && end) text_printf(out, "%.*s", (int)(end - from), from);
}

int report_json(const report *r, text *out) {
    char sentence[REPORT_SENTENCES][REPORT_SENTENCE];
    int n = report_sentences(r, sentence);
    text_printf(out, "{\"format\":%d,\"kind\":\"eval report\",\"mien\":\"" MIEN_VERSION "\",\n", FORMAT);
    put_text(out, "caveat", judge_caveat);
    text_add(out, ",\n");
    put_settings(r, out);
    text_printf(out, ",\n\"items\":%zu,\"measured\":%zu,\"left_out\":%zu,\"failed_pictures\":%zu", r->n, r->measured, r->left_out,
                r->failed);
    text_printf(out, ",\"landmarks_found_on_photos\":%zu,\n\"seen\":[", r->from_photo);
    for (int i = 0; i < n; i++) {
        text_add(out, i ? ",\n " : "\n ");
        text_json_exact(out, sentence[i]);
    }
    text_add(out, "],\n");
    put_ratios(r, out);
    text_add(out, ",\n");
    put_groups(r, out);
    text_add(out, ",\n\"each\":[");
    for (size_t i = 0; i < r->n; i++) {
        text_add(out, i ? ",\n" : "\n");
        put_item(r, &r->item[i], out);
    }
    text_add(out, "\n]}\n");
    return text_check(out);
}
