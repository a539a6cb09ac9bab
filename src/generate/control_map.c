/* SPDX-License-Identifier: Apache-2.0 */
#include "generate/control_map.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/file.h"
#include "base/hash.h"
#include "face/faces_json.h"
#include "face/locate.h"
#include "face/map.h"
#include "generate/window.h"

enum { SEARCH_AT_LEAST = 10 };   /* faces, so that one can say how many there are, and take another */

void map_maker_free(map_maker *m) {
    face_mesh_close(m->mesh);
    m->mesh = NULL;
}

static int load_image(const char *path, image *out) {
    uint8_t *data;
    size_t size;
    int rc = file_load(path, IMAGE_MAX_BYTES, &data, &size);
    if (rc < 0) return rc;
    rc = image_decode(data, size, &(image_options){ .apply_exif = true }, out);
    free(data);
    return rc < 0 ? error_prefix("%s", path) : 0;
}

static int open_mesh(map_maker *m) {
    char folder[4096];
    if (m->mesh) return 0;
    int rc = locate_models(m->models, folder, sizeof folder);
    return rc < 0 ? rc : face_mesh_open(folder, m->cpu, &m->mesh);
}

static int find_faces(map_maker *m, const generate_job *j, faces *out) {
    image photo;
    int rc = open_mesh(m);
    if (rc == 0) rc = load_image(j->photo, &photo);
    if (rc < 0) return rc;
    face_settings how = m->search;
    how.max_faces = SEARCH_AT_LEAST;
    if (how.max_faces < j->max_faces) how.max_faces = j->max_faces;
    if (how.max_faces < j->face) how.max_faces = j->face;
    rc = photo.width > FACES_MOST_SIDE || photo.height > FACES_MOST_SIDE
             ? error_set(ERR_LIMIT, "%d x %d: a side longer than %d pixels", photo.width, photo.height, FACES_MOST_SIDE)
             : face_mesh_find(m->mesh, &photo, &how, NULL, out);
    image_free(&photo);
    return rc < 0 ? error_prefix("%s", j->photo) : 0;
}

/* ---- which of them --------------------------------------------------------------------------------------------------- */

static int no_face(const generate_job *j, const char *path) {
    if (j->allow_empty) return 0;
    return error_set(ERR_UNSUPPORTED, "%s: no face was found, so nothing would steer the picture (--search auto looks closer and turned, a lower --min-confidence believes "
                     "more; --allow-empty goes on with an empty map)", path);
}

static void middle(const face *f, int width, int height, int *x, int *y) {
    double sx = 0, sy = 0;
    for (int i = 0; i < FACE_LANDMARKS; i++) sx += (double)f->landmarks[i].x, sy += (double)f->landmarks[i].y;
    *x = (int)(sx / FACE_LANDMARKS * width);
    *y = (int)(sy / FACE_LANDMARKS * height);
}

static void tell_choice(const map_maker *m, const faces *f, int first, int taken, const char *path) {
    char line[256];
    int x, y;
    const face *one = &f->face[first];
    middle(one, f->width, f->height, &x, &y);
    if (taken == 1)
        snprintf(line, sizeof line, "%d faces were found: number %d is taken, %.0f pixels in size at %d, %d (--face takes another, --max-faces more)", f->count, first + 1,
                 face_size(one, f->width, f->height), x, y);
    else snprintf(line, sizeof line, "%d faces were found: the first %d are taken", f->count, taken);
    if (m->say) m->say(m->context, path, line);
}

/* Leaves those that are taken at the beginning. */
static int choose_faces(const map_maker *m, const generate_job *j, const char *path, faces *f) {
    if (j->face > f->count && f->count)
        return error_set(ERR_USAGE, "%s: face %d was asked for, but %d %s found", path, j->face, f->count, f->count == 1 ? "was" : "were");
    if (!f->count) return no_face(j, path);
    int first = j->face ? j->face - 1 : 0, taken = j->face || j->max_faces == 1 ? 1 : j->max_faces < f->count ? j->max_faces : f->count;
    if (taken < f->count) tell_choice(m, f, first, taken, path);
    memmove(f->face, f->face + first, (size_t)taken * sizeof *f->face);
    f->count = taken;
    return 0;
}

/* ---- the map --------------------------------------------------------------------------------------------------------- */

static picture_size asked(const generate_job *j) { return (picture_size){ j->how.width, j->how.height }; }

/* A photo of another aspect is cut, not stretched. */
static void cut(const map_maker *m, picture_size size, const char *path, faces *f) {
    char line[256];
    photo_window w = window_choose(f, size);
    snprintf(line, sizeof line, "it is of another aspect than the picture, whose map shows %.0f x %.0f pixels of its %d x %d, from %.0f, %.0f on", w.width, w.height, f->width,
             f->height, w.x, w.y);
    if (m->say) m->say(m->context, path, line);
    window_apply(w, f);
}

static int draw(const map_maker *m, const generate_job *j, int usual, const char *path, faces *f, image *out) {
    picture_size size;
    int rc = choose_faces(m, j, path, f);
    if (rc == 0) rc = size_choose(asked(j), usual, f->width, f->height, false, &size);
    if (rc == 0) rc = image_new(size.width, size.height, out);
    if (rc < 0) return rc;
    if (!size_stretches(asked(j), size, f->width, f->height)) cut(m, size, path, f);
    rc = face_map_draw(f, 0, out);
    if (rc < 0) image_free(out);
    return rc < 0 ? rc : 0;
}

/* The share of a picture that no map has: neither dark nor strongly coloured with green in it, as all of a map's colours are. Of maps saved
 * as JPEG, at whatever quality and size, it was 4% at most; of photos of faces 12% at least, but for one all in the dark. */
static double strange_share(const image *p) {
    size_t n = (size_t)p->width * (size_t)p->height, strange = 0;
    for (size_t i = 0; i < n; i++) {
        const uint8_t *c = p->rgb + 3 * i;
        int most = c[0] > c[1] ? c[0] : c[1], least = c[0] < c[1] ? c[0] : c[1];
        most = c[2] > most ? c[2] : most;
        least = c[2] < least ? c[2] : least;
        strange += most > 40 && (5 * c[1] < 3 * most || 5 * least > 3 * most);
    }
    return (double)strange / (double)n;
}

/* A warning alone: another ControlNet's maps may be of other colours. */
static void look_at_map(const map_maker *m, const char *path, const image *map) {
    char line[200];
    double strange = strange_share(map);
    if (strange < 0.08 || !m->warn) return;
    snprintf(line, sizeof line, "does not look like a map of a face: %.0f%% of it is neither black nor of a map's colours; if it is a photo, --photo makes a map of it", 100 * strange);
    m->warn(m->context, path, line);
}

static int take_map(const map_maker *m, const generate_job *j, int usual, image *out) {
    image map;
    picture_size size;
    int rc = load_image(j->map, &map);
    if (rc < 0) return rc;
    look_at_map(m, j->map, &map);
    rc = size_choose(asked(j), usual, map.width, map.height, true, &size);
    if (rc < 0) error_prefix("%s", j->map);
    else rc = image_resize_nearest(&map, size.width, size.height, out);
    image_free(&map);
    return rc;
}

/* Of a face that lies outside the part that is shown, or of a map that was saved empty. */
static void look_for_lines(const map_maker *m, const char *path, const image *map) {
    size_t n = (size_t)map->width * (size_t)map->height * 3, i = 0;
    while (i < n && !map->rgb[i]) i++;
    if (i == n && m->warn) m->warn(m->context, path, "the map is empty: no line of a face lies in the picture, so nothing will steer it");
}

static void hash_map(control_map *c) {
    char head[32], hex[65];
    uint8_t digest[32];
    sha256_state s;
    sha256_begin(&s);
    sha256_add(&s, head, (size_t)snprintf(head, sizeof head, "%dx%d\n", c->picture.width, c->picture.height));
    sha256_add(&s, c->picture.rgb, (size_t)c->picture.width * (size_t)c->picture.height * 3);
    sha256_end(&s, digest);
    sha256_hex(digest, hex);
    memcpy(c->hash, hex, 10);
    c->hash[10] = 0;
}

/* Nothing but the picture's size: square, unless both sides are asked for. */
static int lay_empty(const generate_job *j, int usual, image *out) {
    picture_size size;
    int rc = size_choose(asked(j), usual, 1, 1, false, &size);
    return rc == 0 ? image_new(size.width, size.height, out) : rc;
}

int control_map_make(map_maker *m, const generate_job *j, int usual, control_map *out) {
    faces f = { 0 };
    const char *path = j->photo ? j->photo : j->faces;
    int rc;
    if (j->alone) return lay_empty(j, usual, &out->picture);
    if (j->map) {
        rc = take_map(m, j, usual, &out->picture);
    } else {
        rc = j->photo ? find_faces(m, j, &f) : faces_json_load(j->faces, &f, NULL);
        if (rc == 0) rc = draw(m, j, usual, path, &f, &out->picture);
        if (rc == 0) out->wanted = f;
        else free(f.face);
    }
    if (rc == 0 && !j->allow_empty) look_for_lines(m, j->map ? j->map : path, &out->picture);
    if (rc == 0) hash_map(out);
    return rc;
}
