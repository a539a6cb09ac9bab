/* SPDX-License-Identifier: Apache-2.0 */
#include "face/redraw.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/output.h"
#include "face/faces_json.h"
#include "face/map.h"
#include "image/image.h"

/* Everything that can be known before the work. */
static int check(const redraw_options *o) {
    struct stat in;
    if (stat(o->faces, &in) < 0) return error_errno("%s", o->faces), ERR_USAGE;
    if ((o->width == 0) != (o->height == 0) || o->width < 0 || o->height < 0 || o->width > FACES_MOST_SIDE || o->height > FACES_MOST_SIDE)
        return error_set(ERR_USAGE, "%d x %d: sides are 1 to %d", o->width, o->height, FACES_MOST_SIDE);
    size_t most = o->max_pixels ? o->max_pixels : IMAGE_MAX_PIXELS;
    if ((size_t)o->width * (size_t)o->height > most) return error_set(ERR_USAGE, "%d x %d is more than %zu pixels", o->width, o->height, most);
    return output_refuse(o->output, &(output_rules){ .force = o->force, .inputs = &o->faces, .n_inputs = 1 });
}

/* Whether the output takes the place of annotate's map beside the JSON. There it would vouch that the JSON is as mien wrote
 * it (face/output.h), which nobody can know here: such a map does not name the JSON. */
static bool is_annotates(const redraw_options *o) {
    size_t n = strlen(o->faces);
    char *map = n > 5 && strcmp(o->faces + n - 5, ".json") == 0 ? strdup(o->faces) : NULL;
    if (!map) return false;
    strcpy(map + n - 5, ".png");
    bool same = file_same_place(map, o->output);
    free(map);
    return same;
}

static int load(const redraw_options *o, faces *f, faces_origin *origin, char json[65]) {
    uint8_t *data, digest[32];
    size_t size;
    int rc = file_load(o->faces, FACES_MOST_BYTES, &data, &size);
    if (rc < 0) return rc;
    sha256(data, size, digest);
    if (!is_annotates(o)) sha256_hex(digest, json);
    rc = faces_json_read(o->faces, data, size, f, origin);
    free(data);
    return rc;
}

int redraw(const redraw_options *o, redraw_result *result) {
    *result = (redraw_result){ 0 };
    int rc = check(o);
    if (rc < 0) return rc;
    double begin = clock_seconds();
    faces f = { 0 };
    faces_origin origin;
    char json[65] = "";
    rc = load(o, &f, &origin, json);
    if (rc < 0) return rc;
    double read = clock_seconds();

    image map = { 0 };
    text stamp = { 0 };
    uint8_t *data = NULL;
    size_t size = 0, most = o->max_pixels ? o->max_pixels : IMAGE_MAX_PIXELS;
    int width = o->width ? o->width : f.width, height = o->height ? o->height : f.height, drawn = 0;
    if (o->min_face >= 0) origin.settings.min_face = o->min_face;
    if ((size_t)width * (size_t)height > most) rc = error_set(ERR_LIMIT, "%s: %d x %d is more than %zu pixels", o->faces, width, height, most);
    if (rc == 0) rc = image_new(width, height, &map);
    if (rc == 0) drawn = rc = face_map_draw(&f, origin.settings.min_face, &map);
    double draw = clock_seconds();

    if (rc >= 0) {
        faces_stamp(&origin, json, "map", width != f.width || height != f.height, width, height, &stamp);
        rc = text_check(&stamp);
    }
    image_text tag = { FACES_STAMP_KEY, stamp.data };
    if (rc == 0) rc = image_encode_png(&map, &tag, stamp.data != NULL, &data, &size);
    double encode = clock_seconds();
    if (rc == 0) rc = o->force ? file_save(o->output, data, size) : file_save_new(o->output, data, size);
    *result = (redraw_result){ width, height, f.count, drawn, read - begin, draw - read, encode - draw, clock_seconds() - encode };
    free(data);
    text_free(&stamp);
    image_free(&map);
    free(f.face);
    return rc;
}
