/* SPDX-License-Identifier: Apache-2.0
 *
 * What a machine computes with, and what a file is: lines for a person. */
#define _GNU_SOURCE
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "api/api.h"
#include "base/cpu.h"
#include "base/error.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/number.h"
#include "base/parallel.h"
#include "base/text.h"
#include "data/dataset.h"
#include "face/faces_json.h"
#include "face/map.h"
#include "image/image.h"
#include "image/png_text.h"
#include "model/shapes.h"
#include "nn/plan_text.h"
#include "train/run_describe.h"
#include "weights/describe.h"

typedef struct { void (*line)(void *context, const char *text); void *context; } listener;

__attribute__((format(printf, 2, 3))) static void tell(const listener *l, const char *format, ...) {
    char raw[2 * MIEN_PATH], text[4 * sizeof raw];   /* a line may have a path in it */
    va_list args;
    va_start(args, format);
    vsnprintf(raw, sizeof raw, format, args);
    va_end(args);
    l->line(l->context, text_escape(text, sizeof text, raw));
}

/* Which kernels serve a network, with how many steps each: first seen, first told. */
static void tell_plan(const listener *l, const char *name, const plan *p) {
    size_t n = plan_steps(p);
    tell(l, "%s: %zu steps, %.1f M multiply-adds, %.1f MB of workspace", name, n, plan_flops(p) * 0.5e-6, (double)plan_bytes(p) * 1e-6);
    for (size_t i = 0; i < n; i++) {
        const kernel_step *s = plan_step(p, i);
        size_t count = 0;
        bool before = false;
        for (size_t k = 0; k < n; k++) {
            const kernel_step *o = plan_step(p, k);
            bool same = strcmp(o->kernel->name, s->kernel->name) == 0 && strcmp(o->info, s->info) == 0;
            before |= same && k < i;
            count += same;
        }
        if (!before) tell(l, "  %3zu x %s%s%s", count, s->kernel->name, s->info[0] ? " " : "", s->info);
    }
}

int mien_profile(const mien *m, void (*line)(void *context, const char *text), void *context) {
    plan_profile *detector, *landmarks;
    int rc = networks_profile_sum(face_mesh_networks(m->mesh), &detector, &landmarks);
    if (rc < 0) return rc;
    plan_profile_tell(detector, "face detector", line, context);
    plan_profile_tell(landmarks, "face landmarks", line, context);
    plan_profile_free(detector);
    plan_profile_free(landmarks);
    return 0;
}

int mien_describe(const mien *m, void (*line)(void *context, const char *text), void *context) {
    listener l = { line, context };
    tell(&l, "mien %s", mien_version());
    tell(&l, "processor: %s, %d cores", cpu_level_name(cpu_level_here()), parallel_cores());
    if (!m) return 0;
    const networks *n = face_mesh_networks(m->mesh);
    tell(&l, "kernels: up to %s", cpu_level_name(device_level(networks_device(n))));
    tell_plan(&l, "face detector", networks_detector(n));
    tell_plan(&l, "face landmarks", networks_landmarks(n));
    return 0;
}

/* ---- files --------------------------------------------------------------------------------------------------------- */

static void tell_settings(const listener *l, const faces_settings *s) {
    char confidence[NUMBER_TEXT], size[NUMBER_TEXT];
    number_shortest_f32(confidence, s->min_confidence);
    number_shortest_f64(size, s->min_face);
    tell(l, "  settings: max faces %d, min confidence %s, min face %s, EXIF %s, search %s", s->max_faces, confidence, size,
         s->ignore_exif ? "ignored" : "applied", s->search_auto ? "auto" : "none");
}

static int tell_faces(const listener *l, const char *path, const uint8_t *data, size_t size) {
    faces f;
    faces_origin o;
    int rc = faces_json_read(path, data, size, &f, &o);
    if (rc < 0) return rc;
    tell(l, "%s: landmarks JSON, %d x %d, %d face%s", path, f.width, f.height, f.count, f.count == 1 ? "" : "s");
    for (int i = 0; i < f.count; i++)
        tell(l, "  face %d: score %.3f, %.0f pixels", i, (double)f.face[i].score, face_size(&f.face[i], f.width, f.height));
    if (o.sha256[0]) tell(l, "  photo: sha256 %s", o.sha256);
    if (o.has_settings) tell_settings(l, &o.settings);
    free(f.face);
    return 0;
}

/* Of a photo that is not stored as it is meant to be seen. */
static void tell_orientation(const listener *l, const uint8_t *data, size_t size, const image *upright) {
    static const char *const turns[9] = { [2] = "mirrored", [3] = "turned by 180 degrees", [4] = "upside down and mirrored",
        [5] = "mirrored and turned by 90 degrees", [6] = "turned by 90 degrees", [7] = "mirrored and turned by 90 degrees", [8] = "turned by 90 degrees" };
    int o = image_orientation(data, size);
    if (o == 1) return;
    tell(l, "  EXIF orientation %d: stored %s, as %d x %d; annotate turns it upright, data sets leave it so", o, turns[o], o < 5 ? upright->width : upright->height,
         o < 5 ? upright->height : upright->width);
}

/* The settings of a generated picture, line by line as they stand there. */
static void tell_parameters(const listener *l, const uint8_t *data, size_t size) {
    text words = { 0 };
    if (png_text_find(data, size, PNG_PARAMETERS, &words) != 1) return;
    char *escaped = malloc(4 * words.size + 8);
    for (char *line = words.data, *next; escaped && line; line = next) {
        if ((next = strchr(line, '\n'))) *next++ = 0;
        memcpy(escaped, "  ", 2);
        text_escape(escaped + 2, 4 * words.size + 6, line);
        if (*line) l->line(l->context, escaped);
    }
    free(escaped);
    text_free(&words);
}

static int tell_picture(const listener *l, const char *path, const uint8_t *data, size_t size) {
    char stamp[1024], hex[65];
    uint8_t digest[32];
    image img;
    int rc = image_decode(data, size, &(image_options){ .apply_exif = true }, &img);
    if (rc < 0) return error_prefix("%s", path);
    sha256(data, size, digest);
    sha256_hex(digest, hex);
    tell(l, "%s: %s picture, %d x %d", path, image_format_name(data, size), img.width, img.height);
    tell_orientation(l, data, size, &img);
    tell(l, "  sha256 %s", hex);
    bool stamped = image_png_text(data, size, FACES_STAMP_KEY, stamp, sizeof stamp);
    if (face_map_is(&img)) tell(l, "  a control map: black but for a map's colours%s", stamped ? "" : "; by which settings it was made does not stand in it");
    if (stamped) tell(l, "  made by mien: %s", stamp);
    tell_parameters(l, data, size);
    if (png_is_machine_made(data, size)) tell(l, "  made by a machine that was trained (XMP: trainedAlgorithmicMedia)");
    image_free(&img);
    return 0;
}

static void tell_line(void *context, const char *line) { tell(context, "%s", line); }

/* A list of objects, a line each: prompt.jsonl, a journal. */
static bool is_lines(const uint8_t *data, size_t size) {
    const uint8_t *end = memchr(data, '\n', size);
    if (!end || end == data) return false;
    uint8_t last = end[-1] == '\r' && end - data > 1 ? end[-2] : end[-1];
    return last == '}' && end + 1 < data + size && end[1] == '{';
}

static int tell_json(const listener *l, const char *path, const uint8_t *data, size_t size) {
    int rc = run_describe_file(path, data, size, tell_line, (void *)l);
    if (rc != 0) return rc < 0 ? rc : 0;
    if (is_lines(data, size)) return error_set(ERR_UNSUPPORTED, "%s: lines of JSON: of such files only the log of a training run is known here", path);
    return tell_faces(l, path, data, size);
}

/* 1 if the folder is a data set, 0 if not, ERR_MEMORY. */
static int tell_dataset(const listener *l, const char *path) {
    enum { SHOWN = 3 };
    dataset *d;
    int rc = dataset_open(path, &d);
    if (rc < 0) return rc == ERR_MEMORY ? rc : 0;
    uint64_t n = dataset_count(d);
    tell(l, "%s: a data set, %llu %s in %s", path, (unsigned long long)n, dataset_is_shards(d) ? "items" : "lines",
         dataset_is_shards(d) ? "shards" : "prompt.jsonl");
    for (uint64_t i = 0; i < n && i < SHOWN; i++) {
        dataset_item item;
        if (dataset_read(d, i, &item) < 0) tell(l, "  line %llu: %s", (unsigned long long)i + 1, dataset_line_fault(d, i));
        else tell(l, "  %.100s: map %.100s, photo %.100s, \"%.200s\"", item.id, item.source, item.target, item.prompt), dataset_item_free(&item);
    }
    tell(l, "  `mien check --data` looks at all of it, `mien preview --data` shows it");
    dataset_close(d);
    return 1;
}

static bool is_events(const uint8_t *data, size_t size) {
    static const char mark[] = "brain.Event:2";   /* in the first record of such a file */
    return size > 12 + sizeof mark && memmem(data, size < 64 ? size : 64, mark, sizeof mark - 1);
}

int mien_describe_file(const char *path, void (*line)(void *context, const char *text), void *context) {
    listener l = { line, context };
    uint8_t *data;
    size_t size, at = 0;
    char room[MIEN_PATH];
    int rc = api_model(&path, room);
    if (rc < 0) return rc;
    if (access(path, F_OK) < 0) return error_errno("%s", path), ERR_USAGE;
    if ((rc = run_describe_folder(path, tell_line, &l)) != 0) return rc < 0 ? rc : 0;
    if (access(path, X_OK) == 0 && (rc = tell_dataset(&l, path)) != 0) return rc < 0 ? rc : 0;
    if (weights_suspect(path)) return weights_describe(path, shapes_check, tell_line, &l);
    rc = file_load(path, IMAGE_MAX_BYTES, &data, &size);
    if (rc < 0) return rc;
    while (at < size && memchr(" \t\r\n", data[at], 4)) at++;
    if (image_format_name(data, size)) rc = tell_picture(&l, path, data, size);
    else if (at < size && data[at] == '{') rc = tell_json(&l, path, data, size);
    else if (is_events(data, size)) tell(&l, "%s: the events of a training run, %zu bytes: TensorBoard shows them", path, size);
    else rc = error_set(ERR_UNSUPPORTED, "%s: neither a picture nor landmarks JSON nor a model", path);
    free(data);
    return rc;
}
