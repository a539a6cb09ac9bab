/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "data/build_item.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/error.h"
#include "base/file.h"
#include "base/hash.h"
#include "data/build_sidecar.h"
#include "face/map.h"

/* ---- names --------------------------------------------------------------------------------------------------------- */

enum { ID_CUT = 180, ID_MOST = 200 };

static bool is_plain(unsigned c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
}

static const char *basename_of(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static size_t stem_length(const char *name) {
    const char *dot = strrchr(name, '.');
    return dot && dot != name ? (size_t)(dot - name) : strlen(name);
}

/* The name without its ending, each character that an id may not have replaced. */
static size_t make_stem(const char *path, bool in_place, char out[ID_MOST + 1]) {
    const char *name = basename_of(path), *end = name + stem_length(name);
    size_t n = 0, most = in_place ? ID_MOST : ID_CUT;
    int bytes;
    for (const char *s = name; s < end && n < most; s += bytes) {
        unsigned c = text_code_point(s, &bytes);
        out[n] = is_plain(c) && !(n == 0 && c == '.') ? (char)c : '_';
        n++;
    }
    out[n] = 0;
    if (in_place && (n != (size_t)(end - name) || memcmp(out, name, n) != 0)) n = 0;   /* its name can't be changed */
    out[n] = 0;
    return n;
}

void build_id(const char *path, int level, bool in_place, char out[INPUTS_NAME]) {
    char stem[ID_MOST + 1], hash[65];
    size_t n = make_stem(path, in_place, stem);
    if (level == 0 || n == 0) {
        memcpy(out, stem, n + 1);
        return;
    }
    uint8_t digest[32];
    sha256(path, strlen(path), digest);
    sha256_hex(digest, hash);
    snprintf(out, INPUTS_NAME, "%.*s-%.*s", ID_CUT, stem, level == 1 ? 8 : 16, hash);
}

/* ---- one photo ------------------------------------------------------------------------------------------------------- */

typedef struct {
    build_worker *w;
    build_run_of *run;
    const inputs_item *input;
    text photo;                    /* its escaped path */
    text old_line;
    json *old_doc;
    build_record old;              /* of an earlier run; photo NULL: none */
    sidecar known;
    photo_work *k;
    build_record r;                /* what is noted in the end */
    int tries;                     /* at making it that something was in the way of */
    bool suspect;                  /* check found its files broken, and they are as they were: all are made anew */
    char source[INPUTS_NAME + 8], target[INPUTS_NAME + 16];
} item;

/* What came of it is no failure of the job; `why` is the last message. */
static build_outcome failed(item *i, build_outcome outcome) {
    snprintf(i->w->why, sizeof i->w->why, "%s", error_message());
    i->r.why = i->w->why;
    return outcome;
}

static int begin(item *i) {
    build_path_escape(i->input->id, &i->photo);
    int rc = text_check(&i->photo);
    if (rc < 0) return rc;
    i->r = (build_record){ .photo = i->photo.data, .run = build_state_run(i->run->state), .in_place = i->run->in_place, .unsafe = -1 };
    if (i->input->stem[0] && !i->input->clash[0]) i->r.id = i->input->stem;
    rc = build_state_find(i->run->state, i->photo.data, &i->old_line);
    if (rc <= 0) return rc;
    return build_line_parse(i->old_line.data, i->old_line.size, &i->old_doc, &i->old);
}

/* ---- what is known of it ----------------------------------------------------------------------------------------------- */

static int ask_list(item *i) {
    char id[ID_MOST + 1];
    const char *name = basename_of(i->input->path);
    size_t n = stem_length(name);
    if (!i->run->list || n > ID_MOST) return 0;
    memcpy(id, name, n);
    id[n] = 0;
    list_item entry;
    pthread_mutex_lock(&i->run->list_mutex);
    int rc = list_table_find(i->run->list, id, &entry);
    if (rc > 0) rc = sidecar_add_list(&i->known, &entry);
    pthread_mutex_unlock(&i->run->list_mutex);
    return rc;
}

static selection_answer ask_selection(item *i) {
    char stem[ID_MOST + 1];
    const selection *s = i->run->selection;
    make_stem(i->input->id, i->run->in_place, stem);
    selection_answer a = selection_asks(s, i->input->stem[0] ? i->input->stem : NULL, i->known.url, i->r.sha256);
    if (!stem[0] || strcmp(stem, i->input->stem) == 0) return a;
    selection_answer b = selection_asks(s, stem, i->known.url, i->r.sha256);   /* a list made before its name was taken twice */
    return a >= EXCLUDED ? a : b >= EXCLUDED ? b : a == SELECTED ? a : b;
}

/* ---- what it is ---------------------------------------------------------------------------------------------------------- */

static int64_t mtime_of(const struct stat *st) { return (int64_t)st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec; }

/* Whether the old line tells all about a photo of these bytes. */
static bool old_is_known(const item *i) {
    const build_record *o = &i->old;
    bool looked_at = o->outcome == BUILD_KEPT || o->outcome == BUILD_SMALL || o->outcome == BUILD_LARGE || o->outcome == BUILD_NO_FACE ||
                     o->outcome == BUILD_SMALL_FACES || o->outcome == BUILD_UNREADABLE;
    if (o->outcome == BUILD_SMALL && i->known.rendered) return false;   /* its sidecar came later */
    return o->photo && looked_at && o->sha256 && o->settings && strcmp(o->settings, i->run->settings) == 0;
}

static bool old_has_bytes(const item *i) { return i->old.photo && i->old.sha256 && i->old.size == i->r.size && i->old.mtime == i->r.mtime; }

/* The photo's hash, read unless its size and time are those of the old line. */
static int need_hash(item *i) {
    if (i->r.sha256) return 0;
    if (old_has_bytes(i)) return i->r.sha256 = i->old.sha256, 0;
    int rc = photo_read(i->k);
    if (rc == 0) i->r.sha256 = i->k->origin.sha256;
    return rc;
}

static int need_bytes(item *i) {
    int rc = i->k->file ? 0 : photo_read(i->k);
    if (rc < 0) return rc;
    i->r.size = (uint64_t)i->k->photo_stat.st_size;
    i->r.mtime = mtime_of(&i->k->photo_stat);
    i->r.sha256 = i->k->origin.sha256;
    return 0;
}

/* ---- its outputs --------------------------------------------------------------------------------------------------------- */

static int name_outputs(item *i) {
    const build_options *o = i->run->options;
    const char *id = i->r.id, *folder = i->run->folder, *name = basename_of(i->input->path);
    snprintf(i->source, sizeof i->source, "%s%s", id, o->maps == MIEN_MAP_JPG ? ".jpg" : ".png");
    if (i->run->in_place) snprintf(i->target, sizeof i->target, "%s", name);
    else snprintf(i->target, sizeof i->target, "%s%.10s", id, name + stem_length(name));
    i->r.source = i->source;
    i->r.target = i->target;
    bool fits = (size_t)snprintf(i->k->path[OUTPUT_MAP], PATH_MAX, "%s/source/%s", folder, i->source) < PATH_MAX &&
                (size_t)snprintf(i->k->path[OUTPUT_JSON], PATH_MAX, "%s/source/%s.json", folder, id) < PATH_MAX &&
                (size_t)snprintf(i->k->path[OUTPUT_OVERLAY], PATH_MAX, "%s/annotated/%s.png", folder, id) < PATH_MAX;
    return fits ? 0 : error_set(ERR_IO, "the output's path is too long");
}

static bool path_of_target(const item *i, char out[PATH_MAX]) {
    return (size_t)snprintf(out, PATH_MAX, "%s/target/%s", i->run->folder, i->target) < PATH_MAX;
}

static bool has_size(const char *path, off_t size) {
    struct stat st;
    return lstat(path, &st) == 0 && S_ISREG(st.st_mode) && (size ? st.st_size == size : st.st_size > 0);
}

static bool picture_is_there(const item *i, output_kind kind) {
    faces_origin origin = { .has_settings = true, .settings = i->w->maker.settings };
    output_seen seen;
    memcpy(origin.sha256, i->r.sha256, 65);
    return output_look(i->k->path[kind], kind, &origin, "", &seen) == 0 && seen.state == OUTPUT_SAME;
}

/* It has no stamp, nor always an end that shows whether it is whole; it is small. */
static bool jpeg_is_there(const item *i) {
    char hash[65];
    return has_size(i->k->path[OUTPUT_MAP], 0) && i->old.map && file_hash(i->k->path[OUTPUT_MAP], hash) > 0 && strcmp(hash, i->old.map) == 0;
}

/* All that the old line says was made is there, as far as can be told without reading it all. */
static bool outputs_are_there(item *i) {
    const build_record *o = &i->old;
    char target[PATH_MAX];
    if (name_outputs(i) < 0 || strcmp(o->source, i->source) != 0 || strcmp(o->target, i->target) != 0 || strcmp(o->id, i->r.id) != 0) return false;
    if (!has_size(i->k->path[OUTPUT_JSON], 0)) return false;
    if (i->run->options->maps == MIEN_MAP_JPG ? !jpeg_is_there(i) : !picture_is_there(i, OUTPUT_MAP)) return false;
    if (i->run->options->overlay && !picture_is_there(i, OUTPUT_OVERLAY)) return false;
    return i->run->in_place || (path_of_target(i, target) && has_size(target, (off_t)i->r.size));
}

/* Whether bytes are what a power failure leaves of a JPEG: nobody's edit. */
static bool is_wreck(const uint8_t *data, size_t size) {
    size_t zeros = 0;
    int width, height;
    while (zeros < size && data[zeros] == 0) zeros++;
    return zeros == size || (size > 2 && data[0] == 0xff && data[1] == 0xd8 && image_verify(data, size, false, NULL, &width, &height) == ERR_FORMAT);
}

/* A JPEG says nothing of itself; the journal knows it. */
static int look_at_jpeg(item *i, output_seen *seen) {
    const char *path = i->k->path[OUTPUT_MAP];
    struct stat st;
    *seen = (output_seen){ .state = OUTPUT_ABSENT };
    if (lstat(path, &st) < 0) return errno == ENOENT ? 0 : error_errno("%s", path);
    seen->state = !S_ISREG(st.st_mode) ? OUTPUT_FOREIGN : st.st_size == 0 ? OUTPUT_STALE : OUTPUT_UNSURE;
    if (seen->state != OUTPUT_UNSURE) return 0;
    uint8_t *data, digest[32];
    size_t size;
    int rc = file_load(path, IMAGE_MAX_BYTES, &data, &size);
    if (rc < 0) return rc;
    sha256(data, size, digest);
    sha256_hex(digest, seen->json);
    bool ours = i->old.map && i->old.source && strcmp(i->old.source, i->source) == 0;
    if (ours && (strcmp(i->old.map, seen->json) == 0 || is_wreck(data, size))) seen->state = OUTPUT_STALE;
    free(data);
    return 0;
}

/* ERR_EXISTS for what is not ours to replace. */
static int look_at_outputs(item *i) {
    photo_work *k = i->k;
    bool jpeg = i->run->options->maps == MIEN_MAP_JPG;
    for (output_kind kind = 0; kind < OUTPUTS; kind++) {
        output_seen *seen = &k->seen[kind];
        int rc = jpeg && kind == OUTPUT_MAP ? look_at_jpeg(i, seen) : output_look(k->path[kind], kind, &k->origin, jpeg ? "" : k->seen[OUTPUT_MAP].json, seen);
        if (rc < 0) return rc;
        bool journaled = kind == OUTPUT_JSON && i->old.landmarks && strcmp(i->old.landmarks, seen->json) == 0;
        if (journaled && seen->state != OUTPUT_FOREIGN && seen->state != OUTPUT_SAME) seen->state = OUTPUT_STALE;
        if (kind == OUTPUT_OVERLAY && !i->run->options->overlay && seen->state != OUTPUT_STALE) {
            k->path[kind][0] = 0;   /* not asked for; but one that would contradict the new map is made again */
            continue;
        }
        if (i->run->options->force && seen->state != OUTPUT_ABSENT && seen->state != OUTPUT_SAME) seen->state = OUTPUT_STALE;
        if (i->suspect && seen->state == OUTPUT_SAME && kind != OUTPUT_JSON) seen->state = OUTPUT_STALE;   /* by its stamp: ours */
        if (seen->state == OUTPUT_FOREIGN) return photo_refuse_foreign(k, kind);
        if (seen->state == OUTPUT_CHANGED) return photo_refuse_changed(k, kind);
    }
    return 0;
}

static int copy_target(const item *i, const char *path, bool replace) {
    int rc = file_link(i->input->path, path, replace);
    if (rc != ERR_UNSUPPORTED) return rc;
    return (replace ? file_save : file_save_new)(path, i->k->file, i->k->file_size);
}

/* Whether a file that lies there holds the photo (1), what build put there of an earlier state of it (2), or something else. */
static int target_holds(const item *i, const char *path, const struct stat *st) {
    char hash[65];
    const struct stat *photo = &i->k->photo_stat;
    if (st->st_dev == photo->st_dev && st->st_ino == photo->st_ino) return 1;
    if (st->st_size == 0) return 2;   /* lost in a power failure */
    int rc = file_hash(path, hash);
    if (rc < 0) return rc;
    if (strcmp(hash, i->r.sha256) == 0) return 1;
    bool ours = i->old.photo && i->old.target && i->old.sha256 && !i->old.in_place && strcmp(i->old.target, i->target) == 0;
    return ours && strcmp(hash, i->old.sha256) == 0 ? 2 : 0;
}

static int place_target(const item *i) {
    char path[PATH_MAX];
    struct stat st;
    if (i->run->in_place) return 0;
    if (!path_of_target(i, path)) return error_set(ERR_IO, "the output's path is too long");
    if (lstat(path, &st) < 0) return errno == ENOENT ? copy_target(i, path, false) : error_errno("%s", path);
    int holds = S_ISREG(st.st_mode) ? target_holds(i, path, &st) : 0;
    if (holds < 0 || holds == 1) return holds < 0 ? holds : 0;
    return holds == 2 ? copy_target(i, path, true) : error_set(ERR_EXISTS, "%s is there and is another file: it is never written over", path);
}

/* ---- deciding -------------------------------------------------------------------------------------------------------- */

/* All that is decided below gives the outcome, or ERR_* that ends the job. */
static int look_at_photo(item *i);

/* Something is in the way: maybe the same files, by another process that does the same photo, in another number of parts. */
static int make_again(item *i) {
    photo_work *k = photo_begin(&i->w->maker, i->input->path);
    if (!k) return error_code();
    k->keep_file = i->k->keep_file;
    photo_end(i->k);
    i->k = k;
    i->r.sha256 = NULL;
    return need_bytes(i) < 0 ? (int)failed(i, BUILD_UNREADABLE) : look_at_photo(i);
}

/* Of the processes that do one photo at once another may win at each of its files, one a try. What was in the way before
 * anything was written is most likely somebody else's, and looked at again for the case that it was half of a set. */
enum { TRIES_LOOKING = 3, TRIES_WRITING = OUTPUTS + 3 };

static int make(item *i) {
    int rc = name_outputs(i), most = TRIES_LOOKING;
    if (rc == 0) rc = look_at_outputs(i);
    if (rc == 0) {
        most = TRIES_WRITING;
        rc = photo_make(i->k);
        if (rc == 0) rc = place_target(i);
    }
    if (rc == ERR_FULL) return rc;
    if (rc == ERR_EXISTS && ++i->tries < most) return make_again(i);
    if (rc < 0) return failed(i, BUILD_NOT_WRITTEN);
    i->r.landmarks = i->k->doc_sha256;
    if (i->k->map_sha256[0]) i->r.map = i->k->map_sha256;
    return BUILD_KEPT;
}

static int count_faces(const item *i) {
    int n = 0;
    for (int f = 0; f < i->k->found.count; f++) n += face_size(&i->k->found.face[f], i->r.width, i->r.height) >= i->run->options->min_face;
    return n;
}

/* The original's filters, in its order. */
static int look_at_photo(item *i) {
    const build_options *o = i->run->options;
    i->r.settings = i->run->settings;
    i->w->turned = image_orientation(i->k->file, i->k->file_size) > 1;
    int rc = photo_decode(i->k);
    if (rc == ERR_FORMAT || rc == ERR_UNSUPPORTED || rc == ERR_LIMIT) return failed(i, BUILD_UNREADABLE);
    if (rc < 0) return i->r.settings = NULL, failed(i, BUILD_UNREADABLE);   /* it may be readable next time */
    i->r.width = i->k->picture.width;
    i->r.height = i->k->picture.height;
    int least = i->r.width < i->r.height ? i->r.width : i->r.height, most = i->r.width + i->r.height - least;
    if (least < o->min_size && !i->known.rendered) return BUILD_SMALL;   /* what was rendered was never larger: it has all that its size can show */
    if (most > o->max_size) return BUILD_LARGE;
    rc = photo_find(i->k);
    if (rc < 0) return i->r.settings = NULL, failed(i, BUILD_UNREADABLE);
    if (i->k->found.count == 0) return BUILD_NO_FACE;
    i->r.faces = count_faces(i);
    return i->r.faces ? make(i) : BUILD_SMALL_FACES;
}

static void take_old(item *i) {
    const build_record *o = &i->old;
    i->r.sha256 = o->sha256;
    i->r.settings = o->settings;
    i->r.width = o->width;
    i->r.height = o->height;
    i->r.faces = o->faces;
    i->r.landmarks = o->landmarks;
    i->r.map = o->map;
    if (o->why) snprintf(i->w->why, sizeof i->w->why, "%s", o->why), i->r.why = i->w->why;
}

/* The photo, which the texts let in. */
static int decide_photo(item *i) {
    bool known = old_is_known(i) && old_has_bytes(i);
    if (!known) {
        if (need_bytes(i) < 0) return i->r.sha256 = NULL, failed(i, BUILD_UNREADABLE);
        known = old_is_known(i) && strcmp(i->old.sha256, i->r.sha256) == 0;
    } else {
        i->r.sha256 = i->old.sha256;
    }
    if (known && i->old.outcome == BUILD_KEPT) {
        known = outputs_are_there(i);
        int rc = known ? rejected_asks(i->run->rejected, i->source, i->target, i->r.sha256) : 0;
        if (rc < 0) return rc;
        i->suspect = rc == REJECTED_FILES;
    }
    if (known && !i->suspect) return take_old(i), (int)i->old.outcome;
    return need_bytes(i) < 0 ? (int)failed(i, BUILD_UNREADABLE) : look_at_photo(i);
}

static int decide(item *i) {
    struct stat st;
    int broken = sidecar_load(i->input->path, &i->known), rc;
    char why[sizeof i->w->why];
    snprintf(why, sizeof why, "%s", broken < 0 ? error_message() : "");
    if (broken == 0 && (rc = ask_list(i)) < 0) return rc;
    i->r.url = i->known.url;
    i->r.nsfw = i->known.nsfw;
    i->r.unsafe = i->known.unsafe;
    if (i->known.has_caption) i->r.prompt = i->known.caption;
    else i->r.prompt = "";
    if (stat(i->input->path, &st) < 0) return error_errno("%s", i->input->path), failed(i, BUILD_UNREADABLE);
    i->r.size = (uint64_t)st.st_size;
    i->r.mtime = mtime_of(&st);
    i->k = photo_begin(&i->w->maker, i->input->path);
    if (!i->k) return error_code();
    i->k->keep_file = !i->run->in_place;
    if (selection_needs_sha256(i->run->selection) && need_hash(i) < 0) return failed(i, BUILD_UNREADABLE);
    selection_answer answer = ask_selection(i);
    i->w->selected = answer != NOT_ONLY;
    if (!i->w->selected) return BUILD_EXCLUDED;
    if (answer != SELECTED) return error_set(0, "%s", selection_word(answer)), failed(i, BUILD_EXCLUDED);
    if (i->input->clash[0]) return error_set(0, "%s has the same name", i->input->clash), failed(i, BUILD_DUPLICATE_NAME);
    if (!i->input->stem[0]) return error_set(0, "its name is no id ([A-Za-z0-9._-], 200 at most): rename it"), failed(i, BUILD_UNFIT_NAME);
    if (broken < 0) return error_set(broken, "%s", why), failed(i, BUILD_BROKEN_SIDECAR);
    if (!sidecar_safe(&i->known, i->run->options->max_unsafe)) return BUILD_NSFW;
    return decide_photo(i);
}

/* Of what is not kept nothing is noted that it does not depend on. */
static void note(item *i, int outcome) {
    build_worker *w = i->w;
    w->outcome = i->r.outcome = (build_outcome)outcome;
    w->line.size = 0;
    if (outcome != BUILD_KEPT) i->r.prompt = NULL;
    build_record_write(&i->r, &w->line);
    if (!i->old.photo) return;
    w->left = i->old.outcome == BUILD_KEPT && outcome != BUILD_KEPT;
    uint64_t run = i->r.run;   /* the line that the old run would have written */
    text again = { 0 };
    i->r.run = i->old.run;
    build_record_write(&i->r, &again);
    w->before = !again.failed && again.size == i->old_line.size && memcmp(again.data, i->old_line.data, again.size) == 0;
    text_free(&again);
    i->r.run = run;
}

int build_item(build_worker *w, const inputs_item *input) {
    item i = { .w = w, .run = w->run, .input = input, .known = SIDECAR_NONE };
    w->selected = true;
    w->before = w->left = w->turned = false;
    w->why[0] = 0;
    int rc = begin(&i);
    if (rc >= 0) rc = decide(&i);
    if (rc >= 0) {
        note(&i, rc);
        rc = text_check(&w->line);
    }
    photo_end(i.k);
    sidecar_free(&i.known);
    json_free(i.old_doc);
    text_free(&i.old_line);
    text_free(&i.photo);
    return rc;
}

build_worker build_worker_of(build_run_of *run) {
    const build_options *o = run->options;
    faces_settings s = {
        .max_faces = o->faces.max_faces, .min_confidence = o->faces.min_confidence, .min_face = o->min_face,
        .ignore_exif = true, .search_auto = o->faces.search == MIEN_SEARCH_AUTO,
    };
    photo_maker maker = { .mesh = run->mesh, .faces = o->faces, .settings = s, .max_pixels = o->max_pixels, .jpeg_maps = o->maps == MIEN_MAP_JPG };
    return (build_worker){ .run = run, .maker = maker };
}

void build_worker_free(build_worker *w) {
    photo_maker_free(&w->maker);
    text_free(&w->line);
}
