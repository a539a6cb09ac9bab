/* SPDX-License-Identifier: Apache-2.0 */
#include "face/faces_json.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/number.h"

enum { FORMAT = 1 };
static const size_t most_memory = (size_t)256 << 20;   /* of the parsed document; 1000 faces take 180 MB */
static const double most_coordinate = 1e6;             /* far outside any picture; keeps every sum finite */

/* ---- writing ------------------------------------------------------------------------------------------------------- */

static void add_photo(const faces_origin *o, text *out) { text_printf(out, "\"photo\":{\"sha256\":\"%s\"}", o->sha256); }

static void add_settings(const faces_settings *s, text *out) {
    char confidence[NUMBER_TEXT], face[NUMBER_TEXT];
    number_shortest_f32(confidence, s->min_confidence);
    number_shortest_f64(face, s->min_face);
    text_printf(out, "\"settings\":{\"max_faces\":%d,\"min_confidence\":%s,\"min_face\":%s,\"ignore_exif\":%s,\"search\":\"%s\"}", s->max_faces,
                confidence, face, s->ignore_exif ? "true" : "false", s->search_auto ? "auto" : "none");
}

void faces_origin_lines(const faces_origin *o, text *out) {
    if (o->sha256[0]) add_photo(o, out), text_add(out, ",\n");
    if (o->has_settings) add_settings(&o->settings, out), text_add(out, ",\n");
}

static const char json_key[] = ",\"landmarks\":{\"sha256\":\"";

void faces_stamp(const faces_origin *o, const char *json, const char *kind, bool resized, int width, int height, text *out) {
    if (!o->sha256[0] || !o->has_settings) return;
    text_printf(out, "{\"format\":%d,\"kind\":\"%s\",", FORMAT, kind);
    if (resized) text_printf(out, "\"size\":[%d,%d],", width, height);
    add_photo(o, out);
    text_add(out, ",");
    add_settings(&o->settings, out);
    if (*json) text_printf(out, "%s%s\"}", json_key, json);
    text_add(out, "}");
}

void faces_stamp_json(const char *stamp, char json[65]) {
    const char *at = strstr(stamp, json_key);
    if (at) at += sizeof json_key - 1;
    size_t n = at && strspn(at, "0123456789abcdef") == 64 ? 64 : 0;
    memcpy(json, at ? at : "", n);
    json[n] = 0;
}

static char *put_f32(char *at, float x) {
    at += number_f32(at, x);
    if (x != 0 || !signbit(x)) return at;
    memcpy(at, ".0", 2);   /* "-0" alone would be read as an integer, which has no minus zero */
    return at + 2;
}

static char *put_text(char *at, const char *s) {
    size_t n = strlen(s);
    memcpy(at, s, n);
    return at + n;
}

static bool finite_face(const face *f) {
    for (int i = 0; i < FACE_LANDMARKS; i++)
        if (!isfinite(f->landmarks[i].x) || !isfinite(f->landmarks[i].y) || !isfinite(f->landmarks[i].z)) return false;
    return isfinite(f->score);
}

static void add_face(const face *f, text *out) {
    const face_point *p = f->landmarks;
    float x0 = p->x, x1 = p->x, y0 = p->y, y1 = p->y;
    for (int i = 1; i < FACE_LANDMARKS; i++) {
        x0 = p[i].x < x0 ? p[i].x : x0, x1 = p[i].x > x1 ? p[i].x : x1;
        y0 = p[i].y < y0 ? p[i].y : y0, y1 = p[i].y > y1 ? p[i].y : y1;
    }
    char *begin = text_room(out, 512 + FACE_LANDMARKS * 64), *at = begin;
    if (!at) return;
    at = put_f32(put_text(at, "{\"score\":"), f->score);
    at = put_f32(put_text(at, ",\"box\":["), x0);
    at = put_f32(put_text(at, ","), y0);
    at = put_f32(put_text(at, ","), x1 - x0);
    at = put_f32(put_text(at, ","), y1 - y0);
    at = put_text(at, "],\"landmarks\":[");
    for (int i = 0; i < FACE_LANDMARKS; i++) {
        at = put_f32(put_text(at, i ? ",[" : "["), p[i].x);
        at = put_f32(put_text(at, ","), p[i].y);
        at = put_f32(put_text(at, ","), p[i].z);
        at = put_text(at, "]");
    }
    at = put_text(at, "]}");
    text_grown(out, (size_t)(at - begin));
}

int faces_json_write(const faces *f, const faces_origin *origin, text *out) {
    for (int i = 0; i < f->count; i++)
        if (!finite_face(&f->face[i])) return error_set(ERR_FORMAT, "face %d has a landmark that is not a number", i);
    text_printf(out, "{\"format\":%d,\"width\":%d,\"height\":%d,\n", FORMAT, f->width, f->height);
    faces_origin_lines(origin, out);
    text_add(out, "\"faces\":[");
    for (int i = 0; i < f->count; i++) {
        text_add(out, i ? ",\n" : "\n");
        add_face(&f->face[i], out);
    }
    text_add(out, f->count ? "\n]}\n" : "]}\n");
    return text_check(out);
}

/* ---- reading ------------------------------------------------------------------------------------------------------- */

static int read_point(const json_at *at, face_point *p) {
    double v[3];
    size_t n;
    int rc = json_need_array(at, 3, 3, &n);
    for (size_t i = 0; rc == 0 && i < 3; i++) {
        json_at number = json_item(at, i);
        rc = json_need_number(&number, -most_coordinate, most_coordinate, &v[i]);
    }
    if (rc == 0) *p = (face_point){ (float)v[0], (float)v[1], (float)v[2] };
    return rc;
}

static int read_face(const json_at *at, face *f) {
    json_at score, landmarks;
    double s = 1;
    size_t n;
    int rc = json_need_object(at);
    if (rc == 0 && json_field(at, "score", &score) && !json_is_nothing(&score)) rc = json_need_number(&score, 0, 1, &s);
    if (rc == 0) rc = json_need_field(at, "landmarks", &landmarks);
    if (rc == 0) rc = json_need_array(&landmarks, FACE_LANDMARKS, FACE_LANDMARKS, &n);
    for (size_t i = 0; rc == 0 && i < FACE_LANDMARKS; i++) {
        json_at point = json_item(&landmarks, i);
        rc = read_point(&point, &f->landmarks[i]);
    }
    f->score = (float)s;
    return rc;
}

static int read_faces(const json_at *root, faces *f) {
    json_at list;
    size_t n;
    int rc = json_need_field(root, "faces", &list);
    if (rc == 0) rc = json_need_array(&list, 0, FACES_MOST, &n);
    if (rc < 0 || n == 0) return rc;
    f->face = malloc(n * sizeof *f->face);
    if (!f->face) return error_memory(n * sizeof *f->face);
    for (; rc == 0 && (size_t)f->count < n; f->count++) {
        json_at one = json_item(&list, (size_t)f->count);
        rc = read_face(&one, &f->face[f->count]);
    }
    return rc;
}

static int read_size(const json_at *root, const char *key, int *out) {
    json_at at;
    long long n = 0;
    int rc = json_need_field(root, key, &at);
    if (rc == 0) rc = json_need_integer(&at, 1, FACES_MOST_SIDE, &n);
    *out = (int)n;
    return rc;
}

static int read_photo(const json_at *at, faces_origin *o) {
    json_at hash;
    const char *s;
    int rc = json_need_object(at);
    if (rc < 0 || !json_field(at, "sha256", &hash)) return rc;
    rc = json_need_string(&hash, &s);
    if (rc < 0) return rc;
    if (strlen(s) != 64 || strspn(s, "0123456789abcdef") != 64) return json_error(&hash, ERR_FORMAT, "64 hexadecimal digits were expected");
    memcpy(o->sha256, s, 65);
    return 0;
}

static int read_settings(const json_at *at, faces_origin *o) {
    faces_settings s;
    json_at field;
    long long n = 0;
    double confidence = 0;
    const char *search = "";
    int rc = json_need_object(at);
    if (rc == 0) rc = json_need_field(at, "max_faces", &field);
    if (rc == 0) rc = json_need_integer(&field, 1, FACES_MOST, &n);
    if (rc == 0) rc = json_need_field(at, "min_confidence", &field);
    if (rc == 0) rc = json_need_number(&field, 0, 1, &confidence);
    if (rc == 0) rc = json_need_field(at, "min_face", &field);
    if (rc == 0) rc = json_need_number(&field, 0, FACES_MOST_SIDE, &s.min_face);
    if (rc == 0) rc = json_need_field(at, "ignore_exif", &field);
    if (rc == 0) rc = json_need_bool(&field, &s.ignore_exif);
    if (rc == 0) rc = json_need_field(at, "search", &field);
    if (rc == 0) rc = json_need_string(&field, &search);
    if (rc < 0) return rc;
    s.search_auto = strcmp(search, "auto") == 0;
    if (!s.search_auto && strcmp(search, "none") != 0) return json_error(&field, ERR_FORMAT, "\"none\" or \"auto\" was expected");
    s.max_faces = (int)n;
    s.min_confidence = (float)confidence;
    o->settings = s;
    o->has_settings = true;
    return 0;
}

/* Lists made elsewhere name the photo's format there. */
static int read_format(const json_at *root, bool *ours) {
    static const char *const pictures[] = { "JPEG", "MPO", "PNG", "WEBP", "BMP", "GIF" };
    json_at at;
    long long format = 0;
    const char *word = "";
    *ours = false;
    if (!json_field(root, "format", &at)) return 0;
    if (json_has_text(&at)) {
        int rc = json_need_string(&at, &word);
        for (size_t i = 0; rc == 0 && i < sizeof pictures / sizeof *pictures; i++)
            if (strcmp(word, pictures[i]) == 0) return 0;
        return rc < 0 ? rc : json_error(&at, ERR_UNSUPPORTED, "format \"%.40s\" is unknown: this program reads format %d", word, FORMAT);
    }
    *ours = true;
    int rc = json_need_integer(&at, 0, INT32_MAX, &format);
    return rc < 0 || format == FORMAT ? rc : json_error(&at, ERR_UNSUPPORTED, "format %lld is unknown: this program reads format %d", format, FORMAT);
}

static int read_document(const json_at *root, faces *f, faces_origin *o) {
    json_at at;
    bool ours = false;
    int rc = json_need_object(root);
    if (rc == 0) rc = read_format(root, &ours);
    if (rc == 0) rc = read_size(root, "width", &f->width);
    if (rc == 0) rc = read_size(root, "height", &f->height);
    if (rc == 0 && ours && json_field(root, "photo", &at)) rc = read_photo(&at, o);
    if (rc == 0 && ours && json_field(root, "settings", &at)) rc = read_settings(&at, o);
    return rc < 0 ? rc : read_faces(root, f);
}

int faces_json_at(const json_at *at, faces *f, faces_origin *origin) {
    faces read = { 0 };
    faces_origin from = { 0 };
    int rc = read_document(at, &read, &from);
    if (rc < 0) {
        free(read.face);
        return rc;
    }
    *f = read;
    if (origin) *origin = from;
    return 0;
}

int faces_json_read(const char *name, const uint8_t *data, size_t size, faces *f, faces_origin *origin) {
    json *doc;
    int rc = json_parse(name, data, size, most_memory, &doc);
    if (rc < 0) return rc;
    json_at root = json_root(doc);
    rc = faces_json_at(&root, f, origin);
    json_free(doc);
    return rc;
}

int faces_json_load(const char *path, faces *f, faces_origin *origin) {
    uint8_t *data;
    size_t size;
    int rc = file_load(path, FACES_MOST_BYTES, &data, &size);
    if (rc < 0) return rc;
    rc = faces_json_read(path, data, size, f, origin);
    free(data);
    return rc;
}
