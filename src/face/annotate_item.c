/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "face/annotate_item.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/file.h"

static bool wants(const annotate_options *o, output_kind kind) {
    return kind == OUTPUT_MAP || (kind == OUTPUT_JSON && o->json) || (kind == OUTPUT_OVERLAY && o->overlay);
}

void annotate_suffixes(const annotate_options *o, const char *out[ANNOTATE_OUTPUTS + 1]) {
    for (output_kind i = 0; i < OUTPUTS; i++)
        if (wants(o, i)) *out++ = output_suffix[i];
    *out = NULL;
}

static int name_output(const annotate_options *o, photo_work *k, const char *stem, output_kind kind) {
    bool fits = (size_t)snprintf(k->path[kind], PATH_MAX, "%s/%s%s", o->output, stem, output_suffix[kind]) < PATH_MAX;
    if (!fits) k->path[kind][0] = 0;
    return fits ? 0 : error_set(ERR_IO, "the output's path is too long");
}

static int name_outputs(const annotate_options *o, photo_work *k, const char *stem) {
    int rc = 0;
    for (output_kind i = 0; rc == 0 && i < OUTPUTS; i++)
        if (wants(o, i)) rc = name_output(o, k, stem, i);
    return rc;
}

static int check_places(const annotate_options *o, const photo_work *k) {
    int rc = folder_check_links(o->output, k->path[OUTPUT_MAP]);
    for (output_kind i = 0; rc == 0 && i < OUTPUTS; i++)
        if (k->path[i][0]) rc = photo_refuse_place(k, i);
    return rc;
}

/* ITEM_THERE if all outputs are there and of this photo and these settings; ERR_EXISTS for one that is not ours. */
static int look_for_outputs(photo_work *k, item_result *result) {
    bool all = true;
    for (output_kind i = 0; i < OUTPUTS; i++) {   /* the map first: it vouches for the JSON */
        if (!k->path[i][0]) continue;
        int rc = output_look(k->path[i], i, &k->origin, k->seen[OUTPUT_MAP].json, &k->seen[i]);
        if (rc < 0) return rc;
        output_state s = k->seen[i].state;
        if (s == OUTPUT_FOREIGN) return photo_refuse_foreign(k, i);
        if (s == OUTPUT_CHANGED) return photo_refuse_changed(k, i);
        all = all && s >= OUTPUT_UNSURE;
    }
    *result = all ? ITEM_THERE : ITEM_MADE;
    return 0;
}

/* A JSON or an overlay that an earlier run left, and that this one does not ask for, would contradict the new map: if it is
 * surely ours and of another photo or other settings, it is made again as well. */
static int add_stale(const annotate_options *o, photo_work *k, const char *stem) {
    output_seen map, seen;
    if (k->seen[OUTPUT_MAP].state == OUTPUT_ABSENT) return 0;   /* a new photo: nothing vouches for anything */
    int rc = output_look(k->path[OUTPUT_MAP], OUTPUT_MAP, &k->origin, "", &map);
    for (output_kind i = OUTPUT_JSON; rc == 0 && i < OUTPUTS; i++) {
        if (k->path[i][0] || (rc = name_output(o, k, stem, i)) < 0) continue;
        rc = output_look(k->path[i], i, &k->origin, map.json, &seen);
        if (rc == 0 && seen.state == OUTPUT_STALE) k->seen[i] = seen;
        else k->path[i][0] = 0;
    }
    return rc;
}

static int refuse_clash(const inputs_item *item) {
    if (item->clash_input) return error_set(ERR_EXISTS, "its output would overwrite the input %s", item->clash);
    return error_set(ERR_EXISTS, "would write the same output as %s: neither is done (rename one, or give each an -o of its own)", item->clash);
}

int annotate_item(annotate_worker *w, const inputs_item *item, item_result *result) {
    *result = ITEM_THERE;
    if (item->again) return 0;
    if (item->clash[0]) return refuse_clash(item);
    photo_work *k = photo_begin(&w->maker, item->path);
    if (!k) return error_code();
    *result = ITEM_MADE;
    int rc = name_outputs(w->options, k, item->stem);
    if (rc == 0) rc = photo_read(k);
    if (rc == 0) rc = check_places(w->options, k);
    if (rc == 0 && !w->options->force) rc = look_for_outputs(k, result);
    if (rc == 0 && *result == ITEM_MADE) {
        rc = add_stale(w->options, k, item->stem);
        if (rc == 0) rc = photo_decode(k);
        if (rc == 0) rc = photo_find(k);
        if (rc == 0) rc = photo_make(k);
        if (rc == 0) w->faces = (uint64_t)k->found.count;
    }
    photo_end(k);
    return rc;
}

annotate_worker annotate_worker_of(const face_mesh *mesh, const annotate_options *o) {
    faces_settings s = {
        .max_faces = o->faces.max_faces, .min_confidence = o->faces.min_confidence, .min_face = o->min_face,
        .ignore_exif = o->ignore_exif, .search_auto = o->faces.search == MIEN_SEARCH_AUTO,
    };
    return (annotate_worker){ .options = o, .maker = { .mesh = mesh, .faces = o->faces, .settings = s, .max_pixels = o->max_pixels } };
}

void annotate_worker_free(annotate_worker *w) { photo_maker_free(&w->maker); }
