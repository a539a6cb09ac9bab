/* SPDX-License-Identifier: Apache-2.0
 *
 * report.html: one file, no script, pictures inside. Whatever text comes from outside is escaped. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/file.h"
#include "data/sample.h"
#include "eval/report.h"
#include "face/map.h"

enum { SHOWN_SIDE = 256, JPEG_QUALITY = 85 };

static const char style[] =
    ":root{color-scheme:light dark;--ink:#1d1f22;--soft:#5d646c;--line:#d5d9de;--paper:#fff;--tint:#f3f5f7}\n"
    "@media(prefers-color-scheme:dark){:root{--ink:#e6e8ea;--soft:#9aa3ad;--line:#3a4047;--paper:#16181b;--tint:#1f2327}}\n"
    "*{box-sizing:border-box}\n"
    "body{margin:0 auto;padding:1.2rem;max-width:72rem;background:var(--paper);color:var(--ink);font:16px/1.5 system-ui,sans-serif}\n"
    "h1{font-size:1.5rem;margin:.2rem 0 .6rem}h2{font-size:1.15rem;margin:2rem 0 .6rem}\n"
    "p,ul{margin:.4rem 0}ul{padding-left:1.2rem}.soft{color:var(--soft);font-size:.9rem}\n"
    ".wide{overflow-x:auto}\n"
    "table{border-collapse:collapse;font-size:.88rem;font-variant-numeric:tabular-nums}\n"
    "th,td{text-align:left;padding:.25rem .9rem .25rem 0;border-bottom:1px solid var(--line);white-space:nowrap;vertical-align:top}\n"
    "th{font-weight:600}td small{color:var(--soft)}.in{padding-left:1.2rem}\n"
    "article{border-top:1px solid var(--line);padding:.8rem 0}\n"
    "article h3{font-size:1rem;margin:0 0 .2rem;overflow-wrap:anywhere}\n"
    ".row{display:flex;flex-wrap:wrap;gap:.6rem;margin-top:.5rem}\n"
    "figure{margin:0;width:min(172px,calc(50% - .3rem))}\n"
    "figure img{display:block;width:100%;height:auto;background:var(--tint);border-radius:4px}\n"
    "figcaption{font-size:.8rem;color:var(--soft)}\n"
    ".none{aspect-ratio:1;background:var(--tint);border-radius:4px;display:grid;place-items:center;font-size:.8rem;color:var(--soft);padding:.5rem;text-align:center}\n";

/* ---- text ------------------------------------------------------------------------------------------------------------ */

static void put_escaped(text *out, const char *s) {
    size_t room = 4 * strlen(s) + 1;
    char *plain = malloc(room);
    if (!plain) {
        out->failed = true;
        return;
    }
    text_escape(plain, room, s);
    for (const char *c = plain; *c; c++) {
        if (*c == '&') text_add(out, "&amp;");
        else if (*c == '<') text_add(out, "&lt;");
        else if (*c == '>') text_add(out, "&gt;");
        else if (*c == '"') text_add(out, "&quot;");
        else if (*c == '\'') text_add(out, "&#39;");
        else text_printf(out, "%c", *c);
    }
    free(plain);
}

static void put_marked(text *out, const estimate *e, double scale, int digits, const char *mark) {
    if (!isfinite(e->value)) {
        text_add(out, "<td>&ndash;</td>");
        return;
    }
    text_printf(out, "<td>%.*f", digits, scale * e->value);
    if (isfinite(e->low) && isfinite(e->high))
        text_printf(out, " <small>%.*f to %.*f</small>", digits, scale * e->low, digits, scale * e->high);
    text_printf(out, "%s</td>", mark);
}

static void put_estimate(text *out, const estimate *e, double scale, int digits) { put_marked(out, e, scale, digits, ""); }

/* ---- tables ---------------------------------------------------------------------------------------------------------- */

static void put_heads(const report *r, bool others, text *out) {
    text_add(out, "<div class=wide><table><thead><tr><th></th>");
    for (int g = 0; g < GROUPS; g++)
        if (r->group[g].pictures && (others || g != GROUP_OTHERS)) text_printf(out, "<th>%s</th>", group_title[g]);
}

static void put_rates(const report *r, text *out) {
    static const char *const title[] = { "pictures with a face, %", "wanted faces at their places, %",
                                         "as many faces as wanted, %", "score" };
    for (int row = 0; row < 4; row++) {
        text_printf(out, "<tr><td>%s</td>", title[row]);
        for (int g = 0; g < GROUPS; g++) {
            const report_group *group = &r->group[g];
            const estimate *e[] = { &group->detected, &group->answered, &group->agree, &group->score };
            if (!group->pictures) continue;
            if (g == GROUP_OTHERS) text_add(out, "<td>&ndash;</td>");
            else put_estimate(out, e[row], row < 3 ? 100 : 1, row < 3 ? 1 : 2);
        }
        text_add(out, "</tr>\n");
    }
}

static void put_title(const measure_about *about, text *out) {
    bool inner = about->title[0] == ' ';
    text_printf(out, "<tr><td%s>%s", inner ? " class=in" : "", about->title + (inner ? 2 : 0));
}

static void put_errors(const report *r, text *out) {
    put_heads(r, true, out);
    text_add(out, "</tr></thead><tbody>\n");
    put_rates(r, out);
    for (int m = 0; m < ERRORS; m++) {
        put_title(&measure_errors[m], out);
        text_printf(out, ", %s</td>", measure_errors[m].unit);
        for (int g = 0; g < GROUPS; g++)
            if (r->group[g].pictures) put_estimate(out, &r->group[g].mean[m], 1, measure_errors[m].digits);
        text_add(out, "</tr>\n");
    }
    text_add(out, "</tbody></table></div>\n");
}

static void put_ratios(const report *r, text *out) {
    text_printf(out, "<h2>Errors %s, as multiples</h2><p class=soft>Over the faces that both have. An asterisk: the intervals of "
                     "the two means do not overlap.</p>\n", group_title[r->judged]);
    text_add(out, "<div class=wide><table><thead><tr><th></th>");
    for (int g = 0; g < GROUPS; g++)
        if (g != (int)r->judged && r->group[g].pictures) text_printf(out, "<th>of %s</th>", group_title[g]);
    text_add(out, "</tr></thead><tbody>\n");
    for (int m = 0; m < ERRORS; m++) {
        put_title(&measure_errors[m], out);
        for (int g = 0; g < GROUPS; g++) {
            if (g == (int)r->judged || !r->group[g].pictures) continue;
            put_marked(out, &r->against[g].ratio[m], 1, 2, r->against[g].overlap[m] ? "" : " *");
        }
        text_add(out, "</tr>\n");
    }
    text_add(out, "</tbody></table></div>\n");
}

static void put_readings(const report *r, text *out) {
    put_heads(r, false, out);
    text_add(out, "</tr></thead><tbody>\n");
    for (int m = 0; m < READINGS; m++) {
        text_printf(out, "<tr><td>%s</td>", measure_readings[m].title);
        for (int g = 0; g < GROUP_OTHERS; g++)
            if (r->group[g].pictures) put_estimate(out, &r->group[g].correlation[m], 1, 2);
        text_add(out, "</tr>\n");
    }
    text_add(out, "</tbody></table></div>\n");
}

/* ---- pictures -------------------------------------------------------------------------------------------------------- */

static void put_base64(text *out, const uint8_t *data, size_t size) {
    static const char digit[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char *to = text_room(out, (size + 2) / 3 * 4);
    if (!to) return;
    for (size_t i = 0; i < size; i += 3, to += 4) {
        uint32_t v = (uint32_t)data[i] << 16 | (i + 1 < size ? (uint32_t)data[i + 1] << 8 : 0) | (i + 2 < size ? data[i + 2] : 0);
        to[0] = digit[v >> 18];
        to[1] = digit[v >> 12 & 63];
        to[2] = i + 1 < size ? digit[v >> 6 & 63] : '=';
        to[3] = i + 2 < size ? digit[v & 63] : '=';
    }
    text_grown(out, (size + 2) / 3 * 4);
}

/* Shrunk to what is shown; over it, the faces that were found. */
static int put_picture(const image *picture, const faces *over, cpu_level cpu, const char *caption, text *out) {
    int longer = picture->width > picture->height ? picture->width : picture->height;
    int part = longer > SHOWN_SIDE ? SHOWN_SIDE : longer;
    int width = picture->width * part / longer, height = picture->height * part / longer;
    image small = { 0 };
    uint8_t *jpeg = NULL;
    size_t size;
    int rc = image_resize(picture, width > 0 ? width : 1, height > 0 ? height : 1, RESIZE_LANCZOS, cpu, &small);
    if (rc == 0 && over && (rc = face_map_draw(over, 0, &small)) > 0) rc = 0;
    if (rc == 0) rc = image_encode_jpeg(&small, JPEG_QUALITY, &jpeg, &size);
    if (rc == 0) {
        text_printf(out, "<img width=%d height=%d alt=\"", small.width, small.height);
        put_escaped(out, caption);
        text_add(out, "\" src=\"data:image/jpeg;base64,");
        put_base64(out, jpeg, size);
        text_add(out, "\">");
    }
    free(jpeg);
    image_free(&small);
    return rc;
}

/* A failure is shown in the picture's place, unless memory is the reason. */
static int put_figure(int rc, const image *picture, const faces *over, cpu_level cpu, const char *caption, text *out) {
    text_add(out, "<figure>");
    if (rc == 0) rc = put_picture(picture, over, cpu, caption, out);
    if (rc < 0) {
        text_add(out, "<div class=none>");
        put_escaped(out, rc == ERR_EXISTS ? "not kept" : error_message());
        text_add(out, "</div>");
    }
    text_add(out, "<figcaption>");
    put_escaped(out, caption);
    text_add(out, "</figcaption></figure>\n");
    return rc == ERR_MEMORY ? rc : 0;
}

/* A picture of the report's folder. ERR_EXISTS where none is kept. */
static int load_kept(const evaluation *v, const eval_item *i, eval_kind kind, int k, image *out) {
    char name[NAME_MAX + 32], path[PATH_MAX];
    uint8_t *data;
    size_t size;
    if (!eval_picture_name(v, i, kind, k, name)) return ERR_EXISTS;
    if ((size_t)snprintf(path, sizeof path, "%s/%s", v->o->output, name) >= sizeof path) return ERR_EXISTS;
    if (file_load(path, IMAGE_MAX_BYTES, &data, &size) < 0) return error_set(ERR_IO, "%s is not there", name);
    int rc = image_decode(data, size, NULL, out);
    free(data);
    return rc;
}

/* ---- which items ----------------------------------------------------------------------------------------------------- */

/* The faces that were found in the first pictures of the items that are shown: they are read again, since all would be many. */
typedef struct {
    const report *r;
    const report_item **shown;
    faces (*found)[EVAL_KINDS];
    int n;
} gallery;

static double score_of(const report *r, const report_item *i) {
    const report_picture *p = &i->picture[eval_slot(r->v, (eval_kind)r->judged, 0)];
    return p->there && isfinite(p->j.score) ? p->j.score : HUGE_VAL;
}

typedef struct { double score; size_t at; } ranked;

static int by_score(const void *a, const void *b) {
    const ranked *x = a, *y = b;
    if (x->score != y->score) return x->score < y->score ? -1 : 1;
    return (x->at > y->at) - (x->at < y->at);
}

/* From the most obedient to the least, evenly. */
static int choose(gallery *g, int most) {
    const report *r = g->r;
    ranked *rank = malloc((r->n + 1) * sizeof *rank);
    size_t n = 0;
    if (!rank) return error_memory(r->n * sizeof *rank);
    for (size_t i = 0; i < r->n; i++)
        if (r->item[i].known) rank[n++] = (ranked){ score_of(r, &r->item[i]), i };
    qsort(rank, n, sizeof *rank, by_score);
    g->n = n < (size_t)most ? (int)n : most;
    g->shown = calloc((size_t)g->n + 1, sizeof *g->shown);
    g->found = calloc((size_t)g->n + 1, sizeof *g->found);
    int rc = g->shown && g->found ? 0 : error_memory((size_t)g->n * sizeof *g->found);
    for (int i = 0; i < g->n && rc == 0; i++)
        g->shown[i] = &r->item[rank[g->n > 1 ? (size_t)i * (n - 1) / (size_t)(g->n - 1) : 0].at];
    free(rank);
    return rc;
}

static int note_found(void *context, const json_at *line) {
    gallery *g = context;
    eval_record of;
    if (eval_record_read(line, false, &of) < 0) return error_code();
    for (int i = 0; i < g->n && of.what == EVAL_LINE_PICTURE; i++) {
        const eval_item *item = g->shown[i]->item;
        faces *to = &g->found[i][of.kind];
        if (item->line != of.line || eval_seed(g->r->v, item, of.kind, 0) != of.seed || to->face) continue;
        *to = of.faces;
        of.faces = (faces){ 0 };
    }
    free(of.faces.face);
    return 0;
}

static void gallery_free(gallery *g) {
    for (int i = 0; i < g->n && g->found; i++)
        for (int k = 0; k < EVAL_KINDS; k++) free(g->found[i][k].face);
    free(g->shown);
    free(g->found);
}

/* ---- an item --------------------------------------------------------------------------------------------------------- */

static void caption_of(const report *r, const report_item *i, eval_kind kind, char *out, size_t size) {
    const report_picture *p = &i->picture[eval_slot(r->v, kind, 0)];
    if (!p->there) snprintf(out, size, "%s: failed", group_title[kind]);
    else if (!p->j.matched) snprintf(out, size, "%s: no face at the wanted place", group_title[kind]);
    else snprintf(out, size, "%s: landmarks %.3f, score %.2f", group_title[kind], p->j.error[ERROR_LANDMARKS], p->j.score);
}

static int put_made(evaluation *v, const gallery *g, int i, eval_kind kind, text *out) {
    char caption[160];
    image picture = { 0 };
    const faces *found = &g->found[i][kind];
    if (!v->has[kind]) return 0;
    int rc = load_kept(v, g->shown[i]->item, kind, 0, &picture);
    caption_of(g->r, g->shown[i], kind, caption, sizeof caption);
    int failed = put_figure(rc, &picture, NULL, v->cpu, caption, out);
    if (failed == 0 && rc == 0 && kind == (eval_kind)g->r->judged)
        failed = put_figure(0, &picture, found, v->cpu, "landmarks that were found", out);
    image_free(&picture);
    return failed;
}

static int put_item(evaluation *v, const gallery *g, int i, text *out) {
    const report_item *one = g->shown[i];
    ready_item ready;
    image photo = { 0 };
    text_add(out, "<article><h3>");
    put_escaped(out, *one->item->id ? one->item->id : "?");
    text_printf(out, " <span class=soft>line %" PRIu64, one->item->line + 1);
    if (v->has[g->r->judged]) text_printf(out, ", seed %lld", eval_seed(v, one->item, (eval_kind)g->r->judged, 0));
    text_add(out, "</span></h3><p class=soft>");
    put_escaped(out, one->prompt);
    text_add(out, "</p><div class=row>\n");
    int rc = ready_item_make(v, (eval_item *)one->item, &ready);
    if (rc < 0) {
        rc = put_figure(rc, NULL, NULL, v->cpu, "map and photo", out);
    } else {
        rc = put_figure(0, &ready.map.picture, NULL, v->cpu, "map", out);
        int loaded = rc == 0 ? ready_item_photo(v, &ready, &photo) : rc;
        if (rc == 0) rc = put_figure(loaded, &photo, NULL, v->cpu, "photo", out);
        image_free(&photo);
        ready_item_free(&ready);
    }
    for (int kind = 0; kind < EVAL_KINDS && rc == 0; kind++) rc = put_made(v, g, i, (eval_kind)kind, out);
    text_add(out, "</div></article>\n");
    return rc;
}

static int put_gallery(evaluation *v, const report *r, text *out) {
    gallery g = { .r = r };
    if (v->o->show <= 0 || !r->measured) return 0;
    int rc = choose(&g, v->o->show);
    if (rc == 0) rc = journal_read(v->o->output, EVAL_JOURNAL, note_found, &g);
    text_printf(out, "<h2>Pictures</h2><p class=soft>%d of %zu items, from the most obedient to the least; the first seed of "
                     "each.</p>\n", g.n, r->measured);
    for (int i = 0; i < g.n && rc == 0; i++) rc = put_item(v, &g, i, out);
    gallery_free(&g);
    return rc;
}

/* ---- the page -------------------------------------------------------------------------------------------------------- */

static void put_left_out(const report *r, text *out) {
    if (!r->left_out && !r->failed) return;
    text_add(out, "<h2>Not measured</h2><ul>\n");
    for (size_t i = 0; i < r->n; i++) {
        const report_item *one = &r->item[i];
        if (!one->known) {
            text_printf(out, "<li>line %" PRIu64 " ", one->item->line + 1);
            put_escaped(out, one->item->id);
            text_add(out, ": ");
            put_escaped(out, one->why ? one->why : "");
            text_add(out, "</li>\n");
        }
        for (size_t s = 0; s < eval_slots(r->v) && one->known; s++) {
            if (!one->picture[s].failed) continue;
            text_printf(out, "<li>line %" PRIu64 " ", one->item->line + 1);
            put_escaped(out, one->item->id);
            text_add(out, ", a picture: ");
            put_escaped(out, one->picture[s].why ? one->picture[s].why : "");
            text_add(out, "</li>\n");
        }
    }
    text_add(out, "</ul>\n");
}

static void put_settings(evaluation *v, text *out) {
    const picture_settings *s = &v->o->picture;
    text_printf(out, "<p class=soft>Base %s", v->base_hash);
    if (v->has[EVAL_CONTROL]) text_printf(out, ", ControlNet %s", v->control_hash);
    text_printf(out, "; %d step%s of %s, guidance %g, strength %g, from %g to %g%s", s->steps, s->steps == 1 ? "" : "s",
                sampler_names[s->sampler], s->cfg, s->strength, s->start, s->end, s->guess ? ", guess mode" : "");
    text_printf(out, "; %s; seed %lld, %d picture%s of each item; mien " MIEN_VERSION ".</p>\n", engine_bf16(v->e) ? "bf16" : "f32",
                s->seed, v->seeds, v->seeds == 1 ? "" : "s");
    if (*s->added || *s->negative) {
        text_add(out, "<p class=soft>Added to captions: ");
        put_escaped(out, *s->added ? s->added : "nothing");
        text_add(out, ". Negative prompt: ");
        put_escaped(out, *s->negative ? s->negative : "none");
        text_add(out, ".</p>\n");
    }
}

int report_html(evaluation *v, const report *r, text *out) {
    char sentence[REPORT_SENTENCES][REPORT_SENTENCE];
    int n = report_sentences(r, sentence);
    text_add(out, "<!doctype html>\n<html lang=en><head><meta charset=utf-8>"
                  "<meta name=viewport content=\"width=device-width,initial-scale=1\">\n"
                  "<meta http-equiv=Content-Security-Policy content=\"default-src 'none'; img-src data:; "
                  "style-src 'unsafe-inline'\">\n<title>mien eval</title>\n<style>\n");
    text_add(out, style);
    text_add(out, "</style></head><body>\n<h1>How well the pictures obey</h1>\n");
    put_settings(v, out);
    text_printf(out, "<p>%zu item%s measured", r->measured, r->measured == 1 ? "" : "s");
    if (r->left_out) text_printf(out, ", %zu left out", r->left_out);
    if (r->failed) text_printf(out, ", %zu picture%s failed", r->failed, r->failed == 1 ? "" : "s");
    if (r->from_photo)
        text_printf(out, "; of %zu the wanted faces were found on the photo, since no landmarks lie beside the map",
                    r->from_photo);
    text_add(out, ".</p>\n<ul>\n");
    for (int i = 0; i < n; i++) {
        text_add(out, "<li>");
        put_escaped(out, sentence[i]);
        text_add(out, "</li>\n");
    }
    text_add(out, "</ul>\n<p class=soft>");
    put_escaped(out, judge_caveat);
    text_add(out, "</p>\n<h2>Errors</h2><p class=soft>Means, and their 95% intervals. Of pictures without control "
                  "faces are compared wherever they are.</p>\n");
    put_errors(r, out);
    put_ratios(r, out);
    text_add(out, "<h2>Wanted and found</h2><p class=soft>Correlations of what is read off the wanted face and off "
                  "the one that was found.</p>\n");
    put_readings(r, out);
    int rc = put_gallery(v, r, out);
    put_left_out(r, out);
    text_add(out, "</body></html>\n");
    return rc < 0 ? rc : text_check(out);
}
