/* SPDX-License-Identifier: Apache-2.0 */
#include "face/mesh.h"

#include <math.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/error.h"
#include "face/search.h"

struct face_mesh { networks *nets; };

int face_mesh_open(const char *folder, cpu_level cap, face_mesh **out) {
    face_mesh *m = calloc(1, sizeof *m);
    if (!m) return error_memory(sizeof *m);
    int rc = networks_open(folder, cap, &m->nets);
    if (rc < 0) face_mesh_close(m);
    else *out = m;
    return rc;
}

void face_mesh_close(face_mesh *m) {
    if (!m) return;
    networks_close(m->nets);
    free(m);
}

void face_mesh_profile(face_mesh *m) { networks_profile(m->nets); }

const networks *face_mesh_networks(const face_mesh *m) { return m->nets; }

/* The ROIs of a picture, at most max_faces of them. */
static int find_rois(const looker *k, const face_settings *s, face_roi roi[DETECTOR_ANCHORS]) {
    int width = k->in->width, height = k->in->height;
    detection d[DETECTOR_ANCHORS];
    int count = look_detect(k, detector_letterbox(width, height), s->min_confidence, d);
    detector_to_picture(d, count, width, height);
    if (count > s->max_faces) count = s->max_faces;
    for (int i = 0; i < count; i++) roi[i] = roi_from_detection(&d[i], width, height);
    return roi_associate(roi, count);
}

static int find(const looker *k, const face_settings *s, face_roi roi[DETECTOR_ANCHORS], faces *out) {
    int count = find_rois(k, s, roi);
    if (count == 0) return 0;
    out->face = calloc((size_t)count, sizeof *out->face);
    if (!out->face) return error_memory((size_t)count * sizeof *out->face);
    for (int i = 0; i < count; i++)
        if (look_face(k, &roi[i], &out->face[out->count])) roi[out->count++] = roi[i];
    return 0;
}

/* Sets the faces upright; looks on if there are none, or if most of them lie: then it is the picture that is turned. */
static int find_again(const looker *k, const face_settings *s, face_roi *roi, faces *out) {
    int lie = 0;
    for (int i = 0; i < out->count; i++) {
        search_set_upright(k, &roi[i], &out->face[i]);
        lie += cosf(roi[i].rotation) < 0.5f;
    }
    if (out->count && lie * 2 <= out->count) return 0;
    int rc = search_turned(k, s->min_confidence, s->max_faces, roi, out);
    return rc < 0 || out->count ? rc : search_tiles(k, s->min_confidence, s->max_faces, roi, out);
}

int face_mesh_find(const face_mesh *m, const image *picture, const face_settings *settings, face_times *times, faces *out) {
    double start = clock_seconds();
    int runs = 0;
    looker k = { m->nets, runner_take(m->nets), picture, times, &runs };
    if (!k.r) return error_code();
    faces found = { picture->width, picture->height, 0, NULL };
    face_roi roi[DETECTOR_ANCHORS];
    int rc = find(&k, settings, roi, &found);
    if (rc == 0 && settings->search == MIEN_SEARCH_AUTO) rc = find_again(&k, settings, roi, &found);
    if (rc == 0) rc = runner_check(k.r);
    runner_give(m->nets, k.r);
    if (times) times->total += clock_seconds() - start;
    if (rc < 0 || found.count == 0) {
        free(found.face);
        found.face = NULL;
    }
    if (rc == 0) *out = found;
    return rc;
}
