/* SPDX-License-Identifier: Apache-2.0 */
#include "generate/parameters.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/error.h"
#include "base/number.h"
#include "generate/job_line.h"

/* ---- writing --------------------------------------------------------------------------------------------------------- */

/* Control characters too: PNG's texts have none, and none comes back. */
static bool is_blank(char c) { return (unsigned char)c <= ' ' || c == 127; }

static void add_line(text *out, const char *s) {
    size_t n = strlen(s);
    char *to = text_room(out, n);
    if (!to) return;
    for (size_t i = 0; i < n; i++) to[i] = is_blank(s[i]) ? ' ' : s[i];
    text_grown(out, n);
}

static void add_number(text *out, const char *name, double x) {
    char digits[NUMBER_TEXT];
    number_shortest_f64(digits, x);
    text_printf(out, ", %s: %s", name, digits);
}

static void add_control(const picture_record *r, text *out) {
    text_add(out, ", ControlNet 0: \"Module: mediapipe_face, Model: control");
    if (*r->how.control_hash) text_printf(out, " [%s]", r->how.control_hash);
    add_number(out, "Weight", r->how.strength);
    add_number(out, "Guidance Start", r->how.start);
    add_number(out, "Guidance End", r->how.end);
    text_printf(out, ", Control Mode: %s", r->how.guess ? "Guess" : "Balanced");
    if (r->how.only_mid_control) text_add(out, ", Only Mid Control: True");
    if (*r->map) text_printf(out, ", Map: %s", r->map);
    text_add(out, "\"");
}

void parameters_write(const picture_record *r, text *out) {
    const char *schedule, *label = settings_sampler_label(r->how.sampler, &schedule);
    text prompt = { 0 };
    settings_prompt(&r->how, &prompt);
    add_line(out, prompt.data ? prompt.data : "");
    out->failed |= prompt.failed;
    text_free(&prompt);
    text_add(out, "\n");
    if (r->how.negative && *r->how.negative) {
        text_add(out, "Negative prompt: ");
        add_line(out, r->how.negative);
        text_add(out, "\n");
    }
    text_printf(out, "Steps: %d, Sampler: %s", r->how.steps, label);
    if (schedule) text_printf(out, ", Schedule type: %s", schedule);
    add_number(out, "CFG scale", r->how.cfg);
    text_printf(out, ", Seed: %lld, Size: %dx%d", r->how.seed, r->how.width, r->how.height);
    if (*r->how.base_hash) text_printf(out, ", Model hash: %s", r->how.base_hash);
    if (r->how.eta != 0) add_number(out, "Eta", r->how.eta);
    text_printf(out, ", RNG: %s, Precision: %s", r->how.rng == MIEN_RNG_TORCH_CUDA ? "NV" : "CPU", r->how.dtype == MIEN_DTYPE_BF16 ? "bf16" : "f32");
    if (r->how.prediction != MIEN_PREDICTION_AUTO) text_printf(out, ", Prediction: %s", r->how.prediction == MIEN_PREDICTION_V ? "v" : "epsilon");
    if (!r->alone) add_control(r, out);
    if (r->best_of) text_printf(out, ", Best of: %d, First seed: %lld, Place: %d", r->best_of, r->first_seed, r->place);
    text_printf(out, ", Version: mien %s", MIEN_VERSION);
}

/* ---- reading --------------------------------------------------------------------------------------------------------- */

typedef struct { const char *at; size_t size; } span;

static bool span_is(span s, const char *word) { return s.size == strlen(word) && strncasecmp(s.at, word, s.size) == 0; }
static bool span_begins(span s, const char *word) { return s.size >= strlen(word) && memcmp(s.at, word, strlen(word)) == 0; }

static span trimmed(span s) {
    while (s.size && is_blank(s.at[0])) s.at++, s.size--;
    while (s.size && is_blank(s.at[s.size - 1])) s.size--;
    return s;
}

/* "key: value, key: "va, lue", ..."; a value in quotes may have \" and \\ in it. False at the end. */
static bool next_pair(span *rest, span *key, span *value) {
    *rest = trimmed(*rest);
    const char *colon = rest->size ? memchr(rest->at, ':', rest->size) : NULL;
    if (!colon) return false;
    *key = trimmed((span){ rest->at, (size_t)(colon - rest->at) });
    span v = trimmed((span){ colon + 1, rest->size - (size_t)(colon + 1 - rest->at) });
    size_t n = 0;
    bool quoted = v.size && v.at[0] == '"';
    if (quoted) {
        for (n = 1; n < v.size && v.at[n] != '"'; n++)
            if (v.at[n] == '\\' && n + 1 < v.size) n++;
        *value = (span){ v.at + 1, n - 1 };
        if (n < v.size) n++;
    } else {
        while (n < v.size && v.at[n] != ',') n++;
        *value = trimmed((span){ v.at, n });
    }
    while (n < v.size && v.at[n] != ',') n++;
    if (n < v.size) n++;
    *rest = (span){ v.at + n, v.size - n };
    return true;
}

static bool number_of(span s, double least, double most, double *out) {
    char digits[64], *end;
    if (!s.size || s.size >= sizeof digits || !memchr("0123456789.-", s.at[0], 12)) return false;
    memcpy(digits, s.at, s.size);
    digits[s.size] = 0;
    if (strlen(digits) != s.size || strpbrk(digits, "xXnNpP")) return false;
    errno = 0;
    double x = strtod(digits, &end);
    if (errno || *end || !(x >= least && x <= most)) return false;
    *out = x;
    return true;
}

static bool whole_of(span s, double least, double most, int *out) {
    double x;
    if (!number_of(s, least, most, &x) || x != floor(x)) return false;
    *out = (int)x;
    return true;
}

static bool seed_of(span s, long long *out) {
    char digits[24], *end;
    if (!s.size || s.size >= sizeof digits || s.at[0] < '0' || s.at[0] > '9') return false;
    memcpy(digits, s.at, s.size);
    digits[s.size] = 0;
    errno = 0;
    long long x = strtoll(digits, &end, 10);
    if (errno || (size_t)(end - digits) != s.size) return false;
    *out = x;
    return true;
}

static bool size_of(span s, int *width, int *height) {
    const char *x = s.size ? memchr(s.at, 'x', s.size) : NULL;
    if (!x) return false;
    int w, h;
    span left = { s.at, (size_t)(x - s.at) }, right = { x + 1, s.size - (size_t)(x + 1 - s.at) };
    if (!whole_of(left, SETTINGS_LEAST_SIDE, SETTINGS_MOST_SIDE, &w) || !whole_of(right, SETTINGS_LEAST_SIDE, SETTINGS_MOST_SIDE, &h) || w % 8 || h % 8) return false;
    *width = w;
    *height = h;
    return true;
}

/* Up to ten hex digits; the rest of a longer hash is cut off. */
static bool hash_of(span s, char out[11]) {
    size_t n = 0;
    while (n < s.size && n < 10 && s.at[n] && strchr("0123456789abcdef", s.at[n])) n++;
    if (n < 8) return false;
    memcpy(out, s.at, n);
    out[n] = 0;
    return true;
}

/* What could not be taken over, for a person. */
static bool note(text *notes, const char *what, span value) {
    char raw[64], safe[256];
    size_t n = value.size < sizeof raw - 1 ? value.size : sizeof raw - 1;
    memcpy(raw, value.at, n);
    raw[n] = 0;
    text_printf(notes, "%s%s \"%s\"", notes->size ? ", " : "", what, text_escape(safe, sizeof safe, raw));
    return true;
}

static void take_control(picture_record *r, span value, text *notes) {
    span key, v;
    while (next_pair(&value, &key, &v)) {
        const char *open = v.size ? memchr(v.at, '[', v.size) : NULL;
        bool fine = true;
        if (span_is(key, "Model") && open) hash_of((span){ open + 1, v.size - (size_t)(open + 1 - v.at) }, r->how.control_hash);
        else if (span_is(key, "Weight")) fine = number_of(v, 0, settings_most_strength, &r->how.strength);
        else if (span_is(key, "Guidance Start")) fine = number_of(v, 0, 1, &r->how.start);
        else if (span_is(key, "Guidance End")) fine = number_of(v, 0, 1, &r->how.end);
        else if (span_is(key, "Control Mode")) r->how.guess = span_is(v, "Guess");
        else if (span_is(key, "Only Mid Control")) r->how.only_mid_control = span_is(v, "True");
        else if (span_is(key, "Map")) hash_of(v, r->map);
        if (!fine) note(notes, "its control's", v);
    }
    if (r->how.start <= r->how.end) return;
    note(notes, "its control's", (span){ "start behind its end", 20 });
    r->how.start = 0, r->how.end = 1;
}

static bool find_value(span line, const char *name, span *out) {
    span key, value;
    while (next_pair(&line, &key, &value))
        if (span_is(key, name)) return *out = value, true;
    return false;
}

static void copy_word(span s, char out[64]) {
    size_t n = s.size < 63 ? s.size : 63;
    memcpy(out, s.at, n);
    out[n] = 0;
}

static void take_sampler(picture_record *r, span line, text *notes) {
    span name, schedule;
    char label[64], kind[64];
    if (!find_value(line, "Sampler", &name)) return;
    copy_word(name, label);
    bool has = find_value(line, "Schedule type", &schedule);
    if (has) copy_word(schedule, kind);
    if (!settings_sampler_find(label, has ? kind : NULL, &r->how.sampler)) note(notes, "its sampler", name);
}

static void take_settings(picture_record *r, span line, text *notes) {
    span rest = line, key, v;
    take_sampler(r, line, notes);
    while (next_pair(&rest, &key, &v)) {
        bool fine = true;
        if (span_is(key, "Steps")) fine = whole_of(v, 0, SETTINGS_MOST_STEPS, &r->how.steps);
        else if (span_is(key, "CFG scale")) fine = number_of(v, 0, settings_most_cfg, &r->how.cfg);
        else if (span_is(key, "Seed")) fine = seed_of(v, &r->how.seed);
        else if (span_is(key, "Size")) fine = size_of(v, &r->how.width, &r->how.height);
        else if (span_is(key, "Model hash")) hash_of(v, r->how.base_hash);
        else if (span_is(key, "Eta") || span_is(key, "Eta DDIM")) fine = number_of(v, 0, 1, &r->how.eta);
        else if (span_is(key, "RNG")) r->how.rng = span_is(v, "CPU") ? MIEN_RNG_TORCH_CPU : MIEN_RNG_TORCH_CUDA;
        else if (span_is(key, "Precision")) r->how.dtype = span_is(v, "bf16") ? MIEN_DTYPE_BF16 : span_is(v, "f32") ? MIEN_DTYPE_F32 : MIEN_DTYPE_AUTO;
        else if (span_is(key, "Prediction")) r->how.prediction = span_is(v, "v") ? MIEN_PREDICTION_V : span_is(v, "epsilon") ? MIEN_PREDICTION_EPSILON : MIEN_PREDICTION_AUTO;
        else if (span_is(key, "Best of")) whole_of(v, 1, JOB_MOST_COUNT, &r->best_of);
        else if (span_is(key, "First seed")) seed_of(v, &r->first_seed);
        else if (span_is(key, "Place")) whole_of(v, 1, JOB_MOST_COUNT, &r->place);
        else if (span_is(key, "ControlNet 0") || span_is(key, "ControlNet")) take_control(r, v, notes);
        if (!fine) note(notes, "its", (span){ key.at, v.size ? (size_t)(v.at + v.size - key.at) : key.size });
    }
    if (r->how.sampler != MIEN_DDIM && r->how.sampler != MIEN_DDIM_ORIGINAL) r->how.eta = 0;
}

/* The last line, where it is one of settings. */
static bool settings_line(span all, span *before, span *line) {
    size_t at = all.size;
    while (at > 0 && all.at[at - 1] != '\n') at--;
    *line = trimmed((span){ all.at + at, all.size - at });
    *before = (span){ all.at, at };
    return span_begins(*line, "Steps: ");
}

static void split_prompts(span all, span *prompt, span *negative) {
    static const char mark[] = "Negative prompt:";
    *prompt = all;
    *negative = (span){ all.at, 0 };
    for (size_t at = 0; at < all.size; at++) {
        span here = { all.at + at, all.size - at };
        if ((at == 0 || all.at[at - 1] == '\n') && span_begins(here, mark)) {
            *prompt = (span){ all.at, at };
            *negative = (span){ here.at + sizeof mark - 1, here.size - (sizeof mark - 1) };
            break;
        }
    }
    *prompt = trimmed(*prompt);
    *negative = trimmed(*negative);
}

/* A copy of a prompt, terminated; control characters, which no prompt needs, become blanks. */
static char *put_text(char *to, span s, const char **out) {
    for (size_t i = 0; i < s.size; i++) to[i] = is_blank(s.at[i]) ? ' ' : s.at[i];
    to[s.size] = 0;
    *out = to;
    return to + s.size + 1;
}

int parameters_read(const char *data, size_t size, picture_record *out) {
    if (size > PARAMETERS_MOST) return error_set(ERR_LIMIT, "its parameters are a text of %zu bytes", size);
    span before, line, prompt, negative;
    if (!settings_line(trimmed((span){ data, size }), &before, &line)) return error_set(ERR_FORMAT, "its parameters are not such as mien writes: no line \"Steps: ...\"");
    split_prompts(before, &prompt, &negative);
    if (prompt.size > SETTINGS_MOST_TEXT || negative.size > SETTINGS_MOST_TEXT) return error_set(ERR_LIMIT, "a prompt is longer than %d bytes", SETTINGS_MOST_TEXT);
    picture_record r = { .how = settings_defaults() };
    text notes = { 0 };
    r.how.added = "";
    take_settings(&r, line, &notes);
    r.how.strings = malloc(prompt.size + negative.size + 2);
    if (!r.how.strings || notes.failed) {
        free(r.how.strings);
        text_free(&notes);
        return error_memory(size);
    }
    put_text(put_text(r.how.strings, prompt, &r.how.prompt), negative, &r.how.negative);
    r.how.note = notes.data;
    *out = r;
    return 0;
}
