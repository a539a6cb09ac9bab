/* SPDX-License-Identifier: Apache-2.0 */
#include "synth/sidecar.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/error.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/number.h"

enum { MOST_BYTES = 1 << 20, MOST_MEMORY = 16 << 20, FORMAT = 1 };
static const char sum_begin[] = ",\n\"sum\":\"";

static void hash_of(const void *data, size_t size, char out[65]) {
    uint8_t digest[32];
    sha256(data, size, digest);
    sha256_hex(digest, out);
}

/* ---- writing --------------------------------------------------------------------------------------------------------- */

static void add_number(text *out, float x) {
    char number[NUMBER_TEXT];
    number_shortest_f32(number, x);
    text_add(out, number);
}

static void add_numbers(text *out, const float *x, int n) {
    if (n > 1) text_add(out, "[");
    for (int i = 0; i < n; i++) {
        if (i) text_add(out, ",");
        add_number(out, x[i]);
    }
    if (n > 1) text_add(out, "]");
}

static void add_face(text *out, const synth_face *face) {
    size_t n;
    const synth_parameter *p = synth_parameters(&n);
    text_add(out, "\"face\":{");
    for (size_t i = 0; i < n; i++, p++) {
        const char *member = (const char *)face + p->offset;
        text_printf(out, "%s\"%s\":", i ? "," : "", p->name);
        if (p->type == SYNTH_FLOAT) {
            add_numbers(out, (const float *)(const void *)member, p->count);
        } else if (p->type == SYNTH_KIND) {
            int kind;
            memcpy(&kind, member, sizeof kind);
            text_printf(out, "\"%s\"", p->kinds[kind]);
        } else {
            uint32_t seed;
            memcpy(&seed, member, sizeof seed);
            text_printf(out, "%" PRIu32, seed);
        }
    }
    text_add(out, "},\n");
}

static void add_point(text *out, const synth_point *p) { add_numbers(out, (const float[]){ p->x, p->y, p->depth }, 3); }

static void add_truth(text *out, const synth_truth *t) {
    text_add(out, "\"truth\":{\"cm\":");
    add_number(out, t->cm);
    text_add(out, ",\"turn\":");
    add_numbers(out, t->turn, 9);
    text_add(out, ",\"ahead\":{");
    for (int i = 0; i < 2; i++) text_printf(out, "%s\"%d\":", i ? "," : "", t->ahead[i].landmark), add_point(out, &t->ahead[i]);
    text_add(out, "},\"points\":{");
    for (int i = 0; i < SYNTH_POINTS; i++)
        text_printf(out, "%s\"%d\":", i ? "," : "", t->point[i].landmark), add_point(out, &t->point[i]);
    text_add(out, "}}");
}

void synth_sidecar_write(const synth_origin *o, const synth_draw *d, const synth_truth *truth, const char *caption, text *out) {
    char sum[65];
    text_add(out, "{\"caption\": ");
    text_json_exact(out, caption);
    text_add(out, ", \"NSFW\": \"UNLIKELY\",\n");
    text_printf(out, "\"synth\": {\"format\":%d,\"renderer\":%d,\"draw\":%d,", FORMAT, SYNTH_RENDERER, SYNTH_DRAW);
    text_printf(out, "\"seed\":%" PRIu64 ",\"number\":%" PRIu64 ",\"settings\":\"%s\",\n", o->seed, o->number, o->settings);
    text_add(out, "\"file\":");
    text_json_exact(out, o->file);
    text_printf(out, ",\"sha256\":\"%s\",\"width\":%d,\"height\":%d,\"identity\":%" PRIu64 ",\n", o->sha256, o->width, o->height,
        d->identity);
    const char *const words[][2] = {
        { "person", d->woman ? "woman" : "man" }, { "hair", synth_hair_words[d->hair_colour] }, { "eyes", synth_eye_words[d->eye_colour] },
        { "skin", synth_skin_words[d->skin] }, { "background", synth_paint_words[d->background_paint] },
        { "clothes", synth_paint_words[d->clothes_paint] },
    };
    text_add(out, "\"words\":{");
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        text_printf(out, "%s\"%s\":\"%s\"", i ? "," : "", words[i][0], words[i][1]);
    text_add(out, "},\n");
    add_face(out, &d->face);
    add_truth(out, truth);
    if (!out->data) return;
    hash_of(out->data, out->size, sum);
    text_printf(out, "%s%s\"}}\n", sum_begin, sum);
}

/* ---- reading --------------------------------------------------------------------------------------------------------- */

static bool is_edited(const uint8_t *data, size_t size) {
    enum { TAIL = sizeof sum_begin - 1 + 64 + 4 };
    char sum[65];
    if (size < TAIL || memcmp(data + size - TAIL, sum_begin, sizeof sum_begin - 1) != 0 ||
        memcmp(data + size - 4, "\"}}\n", 4) != 0) return true;
    hash_of(data, size - TAIL, sum);
    return memcmp(sum, data + size - 68, 64) != 0;
}

static bool integer_is(const json_at *object, const char *key, uint64_t want) {
    json_at at;
    long long x;
    return json_field(object, key, &at) && json_need_integer(&at, 0, INT64_MAX, &x) == 0 && (uint64_t)x == want;
}

static bool read_text(const json_at *object, const char *key, char *out, size_t room) {
    json_at at;
    const char *s;
    return json_field(object, key, &at) && json_has_text(&at) && json_need_string(&at, &s) == 0 &&
        (size_t)snprintf(out, room, "%s", s) < room;
}

/* This item's picture, of either format: whatever a sidecar names may be replaced and removed, and anybody can write one. */
static bool name_is_own(const char *name, const char *own) {
    const char *dot = strrchr(own, '.');
    size_t stem = dot ? (size_t)(dot - own) : strlen(own);
    return strncmp(name, own, stem) == 0 && (strcmp(name + stem, ".png") == 0 || strcmp(name + stem, ".jpg") == 0);
}

static void read_document(const json_at *root, const synth_origin *o, synth_seen *out) {
    json_at synth;
    char settings[17];
    out->state = SYNTH_FOREIGN;
    if (json_need_object(root) < 0 || !json_field(root, "synth", &synth) || json_need_object(&synth) < 0 ||
        !integer_is(&synth, "format", FORMAT)) return;
    if (!read_text(&synth, "file", out->file, sizeof out->file) || !name_is_own(out->file, o->file) ||
        !read_text(&synth, "sha256", out->sha256, sizeof out->sha256)) return;
    bool same = integer_is(&synth, "renderer", SYNTH_RENDERER) && integer_is(&synth, "draw", SYNTH_DRAW) &&
                integer_is(&synth, "seed", o->seed) && integer_is(&synth, "number", o->number) &&
                read_text(&synth, "settings", settings, sizeof settings) && strcmp(settings, o->settings) == 0 &&
                strcmp(out->file, o->file) == 0;
    out->state = same ? SYNTH_SAME : SYNTH_OTHER;
}

void synth_sidecar_read(const uint8_t *data, size_t size, const synth_origin *o, synth_seen *out) {
    json *doc;
    *out = (synth_seen){ .state = size ? SYNTH_FOREIGN : SYNTH_LOST };
    if (!size || json_parse("sidecar", data, size, MOST_MEMORY, &doc) < 0) return;
    json_at root = json_root(doc);
    read_document(&root, o, out);
    out->edited = is_edited(data, size);
    json_free(doc);
}

int synth_sidecar_look(const char *path, const synth_origin *o, synth_seen *out) {
    uint8_t *data;
    size_t size;
    struct stat st;
    *out = (synth_seen){ .state = SYNTH_ABSENT };
    if (lstat(path, &st) < 0) return errno == ENOENT ? 0 : error_errno("%s", path);
    out->state = SYNTH_FOREIGN;
    if (!S_ISREG(st.st_mode)) return 0;
    int rc = file_load(path, MOST_BYTES, &data, &size);
    if (rc == ERR_LIMIT) return 0;
    if (rc < 0) return rc;
    synth_sidecar_read(data, size, o, out);
    free(data);
    return 0;
}
