/* SPDX-License-Identifier: Apache-2.0 */
#include "generate/job_line.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"

int job_check(const generate_job *j) {
    int rc = settings_check(&j->how);
    if (rc == 0 && (j->count < 1 || j->count > JOB_MOST_COUNT)) rc = error_set(ERR_USAGE, "count is %d: 1 to %d is possible", j->count, JOB_MOST_COUNT);
    if (rc == 0 && j->how.seed > INT64_MAX - (j->count - 1))
        rc = error_set(ERR_USAGE, "seed is %lld: the seeds of %d pictures from there on would be too large", j->how.seed, j->count);
    if (rc == 0 && (j->face < 0 || j->face > 100)) rc = error_set(ERR_USAGE, "face is %d: 1 to 100 is possible", j->face);
    if (rc == 0 && (j->max_faces < 1 || j->max_faces > 100)) rc = error_set(ERR_USAGE, "max_faces is %d: 1 to 100 is possible", j->max_faces);
    if (rc == 0 && !j->alone && (j->photo != NULL) + (j->map != NULL) + (j->faces != NULL) != 1)
        rc = error_set(ERR_USAGE, "one of photo, map and faces is needed%s", j->photo || j->map || j->faces ? ", not several" : "");
    return rc;
}

/* ---- the fields ------------------------------------------------------------------------------------------------------ */

typedef struct { generate_job *j; bool own_map; } reader;

static int read_flag(const json_at *at, int *out) {
    bool b;
    int rc = json_need_bool(at, &b);
    if (rc == 0) *out = b;
    return rc;
}

static int read_int(const json_at *at, int least, int most, int *out) {
    long long n;
    int rc = json_need_integer(at, least, most, &n);
    if (rc == 0) *out = (int)n;
    return rc;
}

/* "a, b or c was expected" */
static int not_among(const json_at *at, const char *const *names) {
    char all[256] = "";
    for (size_t i = 0, n = 0; names[i] && n < sizeof all; i++)
        n += (size_t)snprintf(all + n, sizeof all - n, "%s%s", !i ? "" : names[i + 1] ? ", " : " or ", names[i]);
    return json_error(at, ERR_FORMAT, "%s was expected", all);
}

static int read_sampler(const json_at *at, mien_sampler *out) {
    const char *name;
    int rc = json_need_string(at, &name);
    if (rc < 0) return rc;
    return settings_sampler_find(name, NULL, out) ? 0 : not_among(at, sampler_names);
}

static int read_rng(const json_at *at, mien_rng *out) {
    const char *name;
    int rc = json_need_string(at, &name);
    for (int i = 0; rc == 0 && noise_names[i]; i++)
        if (strcmp(name, noise_names[i]) == 0) return *out = (mien_rng)i, 0;
    return rc < 0 ? rc : not_among(at, noise_names);
}

static int read_size(const json_at *at, picture_settings *s) {
    const char *word;
    int used = 0, w, h;
    s->height = 0;
    if (!json_has_text(at)) return read_int(at, SETTINGS_LEAST_SIDE, SETTINGS_MOST_SIDE, &s->width);
    int rc = json_need_string(at, &word);
    if (rc < 0) return rc;
    if (strlen(word) > 9 || word[strspn(word, "0123456789x")] || sscanf(word, "%dx%d%n", &w, &h, &used) != 2 || (size_t)used != strlen(word))
        return json_error(at, ERR_FORMAT, "\"WIDTHxHEIGHT\" or a number was expected");
    s->width = w;
    s->height = h;
    return 0;
}

/* One of photo, map and faces: it stands for whatever the defaults have. */
static int read_source(reader *r, const json_at *at, const char **out) {
    const char *path;
    int rc = json_need_string(at, &path);
    if (rc < 0) return rc;
    if (!*path) return json_error(at, ERR_FORMAT, "a path was expected");
    if (r->own_map) return json_error(at, ERR_FORMAT, "one of photo, map and faces was expected, not several");
    r->own_map = true;
    r->j->photo = r->j->map = r->j->faces = NULL;
    *out = path;
    return 0;
}

static int read_name(const json_at *at, char out[JOB_NAME]) {
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
    const char *name;
    int rc = json_need_string(at, &name);
    if (rc < 0) return rc;
    size_t n = strlen(name);
    if (n > 4 && strcmp(name + n - 4, ".png") == 0) n -= 4;
    if (n < 1 || n > 200 || name[0] == '.' || strspn(name, letters) < n)
        return json_error(at, ERR_FORMAT, "a name of up to 200 of A-Z a-z 0-9 . _ - was expected, without a folder and not beginning with a point");
    memcpy(out, name, n);
    out[n] = 0;
    return 0;
}

static int read_field(void *context, const json_at *at) {
    reader *r = context;
    generate_job *j = r->j;
    picture_settings *s = &j->how;
    const char *k = at->key;
    if (json_is_nothing(at)) return 0;   /* as if it were not there */
    if (!strcmp(k, "prompt")) return json_need_string(at, &s->prompt);
    if (!strcmp(k, "added")) return json_need_string(at, &s->added);
    if (!strcmp(k, "negative")) return json_need_string(at, &s->negative);
    if (!strcmp(k, "sampler")) return read_sampler(at, &s->sampler);
    if (!strcmp(k, "rng")) return read_rng(at, &s->rng);
    if (!strcmp(k, "steps")) return read_int(at, 0, SETTINGS_MOST_STEPS, &s->steps);
    if (!strcmp(k, "cfg")) return json_need_number(at, 0, settings_most_cfg, &s->cfg);
    if (!strcmp(k, "eta")) return json_need_number(at, 0, 1, &s->eta);
    if (!strcmp(k, "strength")) return json_need_number(at, 0, settings_most_strength, &s->strength);
    if (!strcmp(k, "start")) return json_need_number(at, 0, 1, &s->start);
    if (!strcmp(k, "end")) return json_need_number(at, 0, 1, &s->end);
    if (!strcmp(k, "guess")) return read_flag(at, &s->guess);
    if (!strcmp(k, "only_mid_control")) return read_flag(at, &s->only_mid_control);
    if (!strcmp(k, "seed")) return json_need_integer(at, -1, INT64_MAX, &s->seed);
    if (!strcmp(k, "size")) return read_size(at, s);
    if (!strcmp(k, "count")) return read_int(at, 1, JOB_MOST_COUNT, &j->count);
    if (!strcmp(k, "photo")) return read_source(r, at, &j->photo);
    if (!strcmp(k, "map")) return read_source(r, at, &j->map);
    if (!strcmp(k, "faces")) return read_source(r, at, &j->faces);
    if (!strcmp(k, "face")) return read_int(at, 0, 100, &j->face);
    if (!strcmp(k, "max_faces")) return read_int(at, 1, 100, &j->max_faces);
    if (!strcmp(k, "allow_empty")) return read_flag(at, &j->allow_empty);
    if (!strcmp(k, "out")) return read_name(at, j->name);
    return json_error(at, ERR_FORMAT, "there is no such setting");
}

int job_line_read(const char *name, const char *line, size_t size, const generate_job *defaults, generate_job *out) {
    json *doc;
    int rc = json_parse(name, (const uint8_t *)line, size, 16 << 20, &doc);
    if (rc < 0) return rc;
    generate_job j = *defaults;
    j.name[0] = 0;
    j.doc = doc;
    j.how.strings = j.how.note = NULL;
    json_at root = json_root(doc);
    reader r = { .j = &j };
    rc = json_need_object(&root);
    if (rc == 0) rc = json_each_field(&root, read_field, &r);
    if (rc == 0 && !j.how.prompt && j.how.steps) rc = json_error(&root, ERR_FORMAT, "prompt is missing: what to make (\"\" says nothing of it)");
    if (rc == 0 && job_check(&j) < 0) rc = error_prefix("%s", name);
    if (rc < 0) json_free(doc);
    else *out = j;
    return rc;
}

void job_free(generate_job *j) {
    json_free(j->doc);
    j->doc = NULL;
}
