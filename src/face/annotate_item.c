/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "face/annotate_item.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/file.h"
#include "base/hash.h"
#include "face/map.h"
#include "image/image.h"

enum { HEAD = 4096 };                                /* where an output says what it was made from */

/* ---- what is there already ----------------------------------------------------------------------------------------- */

typedef enum { OUTPUT_MAP, OUTPUT_JSON, OUTPUT_OVERLAY, OUTPUTS = ANNOTATE_OUTPUTS } output_kind;

static const char *const suffixes[OUTPUTS] = { ".png", ".json", "_overlay.png" };
static const char *const stamp_kind[OUTPUTS] = { "map", NULL, "overlay" };

typedef enum { ABSENT, FOREIGN, OTHER, SAME } output_state;   /* OTHER: ours, of another photo or other settings */

/* The first bytes of an output and its last. */
typedef struct { uint8_t head[HEAD + 1], tail[12]; size_t head_size; } output_ends;

/* ABSENT also for a file without bytes, as a power failure leaves; FOREIGN for what is no file, or a link; else OTHER, for
 * a closer look; or ERR_IO. */
static int read_ends(const char *path, output_ends *e) {
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
    if (fd < 0) return errno == ENOENT ? ABSENT : errno == ELOOP ? FOREIGN : error_errno("%s", path);
    struct stat st;
    int found = fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) ? FOREIGN : st.st_size == 0 ? ABSENT : OTHER;
    ssize_t n = found == OTHER ? pread(fd, e->head, HEAD, 0) : 0;
    if (n >= (ssize_t)sizeof e->tail && pread(fd, e->tail, sizeof e->tail, st.st_size - (off_t)sizeof e->tail) < 0) n = -1;
    if (n < 0) found = error_errno("%s", path);
    close(fd);
    e->head_size = n < 0 ? 0 : (size_t)n;
    e->head[e->head_size] = 0;
    return found;
}

static output_state picture_state(const output_ends *e, output_kind kind, const faces_origin *origin) {
    static const uint8_t end[12] = { 0, 0, 0, 0, 'I', 'E', 'N', 'D', 0xae, 0x42, 0x60, 0x82 };
    char stamp[1024];
    if (!image_png_text(e->head, e->head_size, FACES_STAMP_KEY, stamp, sizeof stamp) || strncmp(stamp, "{\"format\":", 10) != 0) return FOREIGN;
    text want = { 0 };
    faces_stamp(origin, stamp_kind[kind], false, 0, 0, &want);
    bool same = want.data && strcmp(stamp, want.data) == 0 && memcmp(e->tail, end, sizeof end) == 0;
    text_free(&want);
    return same ? SAME : OTHER;
}

static bool same_origin(const faces_origin *a, const faces_origin *b) {
    return strcmp(a->sha256, b->sha256) == 0 && a->settings.max_faces == b->settings.max_faces &&
           a->settings.min_confidence == b->settings.min_confidence && a->settings.min_face == b->settings.min_face &&
           a->settings.ignore_exif == b->settings.ignore_exif && a->settings.search_auto == b->settings.search_auto;
}

/* As we wrote it, the first lines tell; what others formatted anew has to be read. */
static output_state json_state(const char *path, const output_ends *e, const faces_origin *origin) {
    text want = { 0 };
    faces_origin_lines(origin, &want);
    const char *line = strchr((const char *)e->head, '\n');
    bool same = line && want.data && strncmp(line + 1, want.data, want.size) == 0 && memcmp(e->tail + 9, "]}\n", 3) == 0;
    text_free(&want);
    if (same) return SAME;
    faces f;
    faces_origin from;
    if (faces_json_load(path, &f, &from) < 0) return strncmp((const char *)e->head, "{\"format\":1,\"width\":", 20) ? FOREIGN : OTHER;
    free(f.face);
    if (!from.sha256[0] || !from.has_settings) return FOREIGN;
    return same_origin(&from, origin) ? SAME : OTHER;
}

static int output_look(const char *path, output_kind kind, const faces_origin *origin) {
    output_ends e = { .tail = { 0 } };
    int found = read_ends(path, &e);
    if (found != OTHER) return found;
    return kind == OUTPUT_JSON ? json_state(path, &e, origin) : picture_state(&e, kind, origin);
}

/* ---- making them --------------------------------------------------------------------------------------------------- */

typedef struct {
    annotate_worker *w;
    const char *photo;
    char path[OUTPUTS][PATH_MAX];      /* "": not wanted */
    struct stat photo_stat;
    faces_origin origin;
    uint8_t *file;                     /* the photo's bytes */
    size_t file_size;
    image picture, map;
    faces found;
} work;

static bool wants(const annotate_options *o, output_kind kind) {
    return kind == OUTPUT_MAP || (kind == OUTPUT_JSON && o->json) || (kind == OUTPUT_OVERLAY && o->overlay);
}

void annotate_suffixes(const annotate_options *o, const char *out[ANNOTATE_OUTPUTS + 1]) {
    for (output_kind i = 0; i < OUTPUTS; i++)
        if (wants(o, i)) *out++ = suffixes[i];
    *out = NULL;
}

static int name_outputs(work *k, const char *stem) {
    const annotate_options *o = k->w->options;
    for (output_kind i = 0; i < OUTPUTS; i++) {
        k->path[i][0] = 0;
        if (wants(o, i) && (size_t)snprintf(k->path[i], PATH_MAX, "%s/%s%s", o->output, stem, suffixes[i]) >= PATH_MAX)
            return error_set(ERR_IO, "the output's path is too long");
    }
    return 0;
}

/* The photo itself can be what lies at an output's name: by links, or a folder that is mounted twice. */
static int refuse_photo(const work *k, output_kind kind) {
    struct stat st;
    if (stat(k->path[kind], &st) < 0 || st.st_dev != k->photo_stat.st_dev || st.st_ino != k->photo_stat.st_ino) return 0;
    return error_set(ERR_EXISTS, "%s is the photo: it would be overwritten by its own %s", k->path[kind], kind == OUTPUT_JSON ? "landmarks" : "map");
}

static int check_places(const work *k) {
    int rc = folder_check_links(k->w->options->output, k->path[OUTPUT_MAP]);
    for (output_kind i = 0; rc == 0 && i < OUTPUTS; i++)
        if (k->path[i][0]) rc = refuse_photo(k, i);
    return rc;
}

/* ITEM_THERE if all outputs are there and of this photo and these settings; ERR_EXISTS for one that is not ours. */
static int look_for_outputs(work *k, item_result *result) {
    bool all = true;
    for (output_kind i = 0; i < OUTPUTS; i++) {
        if (!k->path[i][0]) continue;
        int s = output_look(k->path[i], i, &k->origin);
        if (s < 0) return s;
        if (s == FOREIGN) return error_set(ERR_EXISTS, "%s is there and was not made by mien (--force overwrites it)", k->path[i]);
        all = all && s == SAME;
    }
    *result = all ? ITEM_THERE : ITEM_MADE;
    return 0;
}

/* The folder of an output, made unless it was the last one too. */
static int make_folder(annotate_worker *w, const char *path) {
    size_t n = (size_t)(strrchr(path, '/') - path);
    if (w->folder && strlen(w->folder) == n && memcmp(w->folder, path, n) == 0) return 0;
    char *folder = strndup(path, n);
    if (!folder) return error_memory(n);
    int rc = folder_make(folder);
    free(w->folder);
    w->folder = rc < 0 ? (free(folder), NULL) : folder;
    return rc;
}

static int save(work *k, output_kind kind, const void *data, size_t size) {
    double begin = clock_seconds();
    int rc = make_folder(k->w, k->path[kind]);
    if (rc == 0) rc = refuse_photo(k, kind);
    if (rc == 0) rc = file_save(k->path[kind], data, size);
    k->w->times.write += clock_seconds() - begin;
    return rc;
}

static int save_json(work *k) {
    double begin = clock_seconds();
    text doc = { 0 };
    int rc = faces_json_write(&k->found, &k->origin, &doc);
    k->w->times.encode += clock_seconds() - begin;
    if (rc == 0) rc = save(k, OUTPUT_JSON, doc.data, doc.size);
    text_free(&doc);
    return rc;
}

static int save_picture(work *k, output_kind kind, const image *img) {
    double begin = clock_seconds();
    text stamp = { 0 };
    faces_stamp(&k->origin, stamp_kind[kind], false, 0, 0, &stamp);
    image_text tag = { FACES_STAMP_KEY, stamp.data };
    uint8_t *data = NULL;
    size_t size;
    int rc = text_check(&stamp);
    if (rc == 0) rc = image_encode_png(img, &tag, 1, &data, &size);
    k->w->times.encode += clock_seconds() - begin;
    if (rc == 0) rc = save(k, kind, data, size);
    text_free(&stamp);
    free(data);
    return rc;
}

static int draw(work *k, image *canvas) {
    double begin = clock_seconds();
    int rc = face_map_draw(&k->found, k->w->settings.min_face, canvas);
    k->w->times.draw += clock_seconds() - begin;
    return rc < 0 ? rc : 0;
}

/* The map comes last. Whatever a kill leaves undone, the next run finds missing or of other origin, and makes anew. */
static int make_outputs(work *k) {
    int width = k->picture.width, height = k->picture.height;
    int rc = k->path[OUTPUT_JSON][0] ? save_json(k) : 0;
    if (rc == 0 && k->path[OUTPUT_OVERLAY][0] && (rc = draw(k, &k->picture)) == 0) rc = save_picture(k, OUTPUT_OVERLAY, &k->picture);
    image_free(&k->picture);   /* large photos should not be held twice */
    if (rc == 0) rc = image_new(width, height, &k->map);
    if (rc == 0) rc = draw(k, &k->map);
    return rc < 0 ? rc : save_picture(k, OUTPUT_MAP, &k->map);
}

static int read_photo(work *k) {
    double begin = clock_seconds();
    uint8_t digest[32];
    int rc = stat(k->photo, &k->photo_stat) < 0 ? error_errno("%s", k->photo) : file_load(k->photo, IMAGE_MAX_BYTES, &k->file, &k->file_size);
    if (rc == 0) {
        sha256(k->file, k->file_size, digest);
        sha256_hex(digest, k->origin.sha256);
    }
    k->w->times.read += clock_seconds() - begin;
    return rc;
}

static int find_faces(work *k) {
    const annotate_options *o = k->w->options;
    double begin = clock_seconds();
    image_options how = { .apply_exif = !o->ignore_exif, .max_pixels = o->max_pixels };
    int rc = image_decode(k->file, k->file_size, &how, &k->picture);
    free(k->file);
    k->file = NULL;
    double decoded = clock_seconds();
    k->w->times.decode += decoded - begin;
    if (rc < 0) return rc;
    if (k->picture.width > FACES_MOST_SIDE || k->picture.height > FACES_MOST_SIDE)
        return error_set(ERR_LIMIT, "%d x %d: a side longer than %d pixels", k->picture.width, k->picture.height, FACES_MOST_SIDE);
    face_times stages = { 0 };
    rc = face_mesh_find(k->w->mesh, &k->picture, &o->faces, &stages, &k->found);
    annotate_times *t = &k->w->times;
    t->find += clock_seconds() - decoded;
    t->detect += stages.letterbox + stages.detect;
    t->landmarks += stages.crop + stages.landmarks;
    return rc;
}

static int refuse_clash(const inputs_item *item) {
    if (item->clash_input) return error_set(ERR_EXISTS, "its output would overwrite the input %s", item->clash);
    return error_set(ERR_EXISTS, "would write the same output as %s: neither is done", item->clash);
}

int annotate_item(annotate_worker *w, const inputs_item *item, item_result *result) {
    *result = ITEM_THERE;
    if (item->again) return 0;
    if (item->clash[0]) return refuse_clash(item);
    work *k = calloc(1, sizeof *k);
    if (!k) return error_memory(sizeof *k);
    k->w = w;
    k->photo = item->path;
    k->origin.has_settings = true;
    k->origin.settings = w->settings;
    *result = ITEM_MADE;
    int rc = name_outputs(k, item->stem);
    if (rc == 0) rc = read_photo(k);
    if (rc == 0) rc = check_places(k);
    if (rc == 0 && !w->options->force) rc = look_for_outputs(k, result);
    if (rc == 0 && *result == ITEM_MADE) {
        rc = find_faces(k);
        if (rc == 0) rc = make_outputs(k);
        if (rc == 0) w->faces = (uint64_t)k->found.count;
    }
    free(k->found.face);
    image_free(&k->picture);
    image_free(&k->map);
    free(k->file);
    free(k);
    return rc;
}

annotate_worker annotate_worker_of(const face_mesh *mesh, const annotate_options *o) {
    faces_settings s = {
        .max_faces = o->faces.max_faces, .min_confidence = o->faces.min_confidence, .min_face = o->min_face,
        .ignore_exif = o->ignore_exif, .search_auto = o->faces.search == MIEN_SEARCH_AUTO,
    };
    return (annotate_worker){ .mesh = mesh, .options = o, .settings = s };
}

void annotate_worker_free(annotate_worker *w) {
    free(w->folder);
    w->folder = NULL;
}
