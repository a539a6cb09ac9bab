/* SPDX-License-Identifier: Apache-2.0 */
#include "face/mesh.h"

#include <stdlib.h>

#include "base/error.h"

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

const networks *face_mesh_networks(const face_mesh *m) { return m->nets; }

/* The ROIs of a picture, at most max_faces of them. */
static int find_rois(const networks *n, runner *r, const image *in, const face_settings *s, face_times *times, face_roi roi[DETECTOR_ANCHORS]) {
    const float *regressors, *logits;
    detection d[DETECTOR_ANCHORS];
    runner_detect(n, r, in, detector_letterbox(in->width, in->height), times, &regressors, &logits);
    int count = detector_suppress(d, detector_decode(regressors, logits, s->min_confidence, d));
    detector_to_picture(d, count, in->width, in->height);
    if (count > s->max_faces) count = s->max_faces;
    for (int i = 0; i < count; i++) roi[i] = roi_from_detection(&d[i], in->width, in->height);
    return roi_associate(roi, count);
}

/* The face of an ROI; false if the network sees none there. */
static bool find_face(const networks *n, runner *r, const image *in, const face_roi *roi, face_times *times, face *out) {
    const float *outputs[LANDMARKS_OUTPUTS];
    runner_landmarks(n, r, in, landmarks_rect(roi, in->width, in->height), times, outputs);
    out->score = landmarks_presence(outputs[OUT_FLAG]);
    if (!(out->score > landmarks_presence_limit)) return false;
    landmarks_merge(outputs, out->landmarks);
    landmarks_to_picture(out->landmarks, roi);
    return true;
}

static int find(const networks *n, runner *r, const image *in, const face_settings *s, face_times *times, faces *out) {
    face_roi roi[DETECTOR_ANCHORS];
    int count = find_rois(n, r, in, s, times, roi);
    if (count == 0) return 0;
    out->face = calloc((size_t)count, sizeof *out->face);
    if (!out->face) return error_memory((size_t)count * sizeof *out->face);
    for (int i = 0; i < count; i++)
        if (find_face(n, r, in, &roi[i], times, &out->face[out->count])) out->count++;
    if (out->count == 0) {
        free(out->face);
        out->face = NULL;
    }
    return 0;
}

int face_mesh_find(const face_mesh *m, const image *picture, const face_settings *settings, face_times *times, faces *out) {
    double start = face_clock();
    runner *r = runner_take(m->nets);
    if (!r) return ERR_MEMORY;
    faces found = { picture->width, picture->height, 0, NULL };
    int rc = find(m->nets, r, picture, settings, times, &found);
    runner_give(m->nets, r);
    if (times) times->total += face_clock() - start;
    if (rc == 0) *out = found;
    return rc;
}
