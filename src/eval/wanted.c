/* SPDX-License-Identifier: Apache-2.0 */
#include "eval/wanted.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "base/hash.h"
#include "data/face_match.h"
#include "face/faces_json.h"
#include "face/map.h"
#include "generate/size.h"
#include "generate/window.h"
#include "image/image.h"
#include "image/png_text.h"

static bool is_json(const uint8_t *data, size_t size) {
    size_t i = 0;
    while (i < size && strchr(" \t\r\n", data[i]) && data[i]) i++;
    return i < size && data[i] == '{';
}

void wanted_leave_out_small(faces *f, const faces_origin *origin) {
    double least = origin->has_settings ? origin->settings.min_face : 0;
    int n = 0;
    for (int i = 0; i < f->count; i++)
        if (!(least > 0) || face_size(&f->face[i], f->width, f->height) >= least)
            memmove(&f->face[n++], &f->face[i], sizeof *f->face);
    f->count = n;
}

/* ---- of a map -------------------------------------------------------------------------------------------------------- */

static int beside(const char *map, char out[PATH_MAX]) {
    const char *slash = strrchr(map, '/'), *name = slash ? slash + 1 : map, *dot = strrchr(name, '.');
    size_t stem = dot && dot > name ? (size_t)(dot - map) : strlen(map);
    int n = snprintf(out, PATH_MAX, "%.*s.json", (int)stem, map);
    return n < PATH_MAX ? 0 : error_set(ERR_USAGE, "%s: is too long a path", map);
}

/* Whether the map's stamp names just that JSON. */
static bool stamped(const uint8_t *map, size_t size, const uint8_t *json, size_t json_size) {
    uint8_t digest[32];
    char hex[65], told[65] = "";
    text stamp = { 0 };
    if (png_text_find(map, size, FACES_STAMP_KEY, &stamp) == 1 && stamp.data) faces_stamp_json(stamp.data, told);
    text_free(&stamp);
    sha256(json, json_size, digest);
    sha256_hex(digest, hex);
    return strcmp(hex, told) == 0;
}

static int drawn(const char *path, const uint8_t *map, size_t size, const faces *f, bool *same) {
    image picture;
    int rc = image_decode(map, size, NULL, &picture);
    if (rc < 0) return error_prefix("%s", path);
    rc = face_match_drawn(&picture, size > 1 && map[0] == 0xff && map[1] == 0xd8, f, 0, same);
    image_free(&picture);
    return rc;
}

static int load_beside(const char *path, const uint8_t *map, size_t size, faces *out) {
    char name[PATH_MAX];
    uint8_t *json;
    size_t json_size;
    faces_origin origin;
    bool same = true;
    int rc = beside(path, name);
    if (rc < 0) return rc;
    if (access(name, F_OK) < 0)
        return error_set(ERR_USAGE, "%s: a map does not tell its landmarks, and %s, where `mien annotate --json` writes them, is not "
                         "there", path, name);
    rc = file_load(name, FACES_MOST_BYTES, &json, &json_size);
    if (rc < 0) return rc;
    rc = faces_json_read(name, json, json_size, out, &origin);
    if (rc == 0) {
        wanted_leave_out_small(out, &origin);
        if (!stamped(map, size, json, json_size)) rc = drawn(path, map, size, out, &same);
        if (rc == 0 && !same) rc = error_set(ERR_USAGE, "%s: %s is of another map: drawn again it is not this one", path, name);
        if (rc < 0) free(out->face), *out = (faces){ 0 };
    }
    free(json);
    return rc;
}

int wanted_load(const char *path, faces *out, bool *map) {
    uint8_t *data;
    size_t size;
    faces_origin origin;
    *out = (faces){ 0 };
    int rc = file_load(path, IMAGE_MAX_BYTES, &data, &size);
    if (rc < 0) return rc;
    bool json = is_json(data, size);
    if (!json) rc = load_beside(path, data, size, out);
    else if (size > FACES_MOST_BYTES) rc = error_set(ERR_LIMIT, "%s: more than %d bytes", path, FACES_MOST_BYTES);
    else rc = faces_json_read(path, data, size, out, &origin);
    if (rc == 0 && json) wanted_leave_out_small(out, &origin);
    if (rc == 0 && map) *map = !json;
    free(data);
    return rc;
}

/* ---- of a picture ---------------------------------------------------------------------------------------------------- */

int wanted_choose(faces *f, int face, int max_faces) {
    if (face > f->count)
        return error_set(ERR_USAGE, "face %d was asked for, but there %s %d", face, f->count == 1 ? "is" : "are", f->count);
    if (face > 0) {
        memmove(f->face, f->face + face - 1, sizeof *f->face);
        f->count = 1;
    } else if (max_faces > 0 && max_faces < f->count) {
        f->count = max_faces;
    }
    return 0;
}

bool wanted_fit(faces *f, int width, int height) {
    picture_size size = { width, height }, none = { 0 }, usual;
    bool known = size_choose(none, width < height ? width : height, f->width, f->height, false, &usual) == 0;
    bool by_default = known && usual.width == width && usual.height == height;
    if (size_stretches(by_default ? none : size, size, f->width, f->height)) return false;
    window_apply(window_choose(f, size), f);
    return true;
}
