/* SPDX-License-Identifier: Apache-2.0 */
#include "face/search.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "face/topology.h"

static const float quarter = (float)(M_PI / 2);

static const float least_tile = 80;             /* pixels: a face of a sixth of it is 13 pixels wide */
static const float near_side = 2 / 1.5f, far_side = 5 / 1.5f;   /* of the ROI's side: the face takes a half, a fifth of it */
static const float least_score = 0.3f;          /* of the detector nearby, to count at all */
static const float least_overlap = 0.4f;        /* of ROIs, to be the face that was looked at */
static const float same_face = 0.3f;            /* of ROIs, to be counted once */
static const int turned_patience = 12, tile_patience = 6;        /* runs of the detector */
static const float clear = 0.1f;                /* difference of two turns' scores */
static const float same_turn = 0.88f;           /* cosine of an angle (28 degrees) that is no turning */
static const float sure_score = 0.6f, sure_presence = 0.998f;
static const float most_key_error = 0.13f, most_landmark_error = 0.1f;

/* Where a face may be. */
typedef struct { face_roi roi; float score; } candidate;

enum { MAX_CANDIDATES = 64 };

typedef struct { candidate at[MAX_CANDIDATES]; int n; } candidates;

/* ROIs as upright boxes in pixels, rotation ignored. */
static float roi_overlap(const looker *k, const face_roi *a, const face_roi *b) {
    float w = (float)k->in->width, h = (float)k->in->height;
    face_box p = { (a->cx - a->width / 2) * w, (a->cy - a->height / 2) * h, (a->cx + a->width / 2) * w, (a->cy + a->height / 2) * h };
    face_box q = { (b->cx - b->width / 2) * w, (b->cy - b->height / 2) * h, (b->cx + b->width / 2) * w, (b->cy + b->height / 2) * h };
    return face_box_overlap(p, q);
}

/* Tiles overlap: of several sights of one face the best score stays. Kept in order, best first. */
static void candidate_add(const looker *k, candidates *c, candidate x) {
    if (!isfinite(x.roi.cx + x.roi.cy + x.roi.width + x.roi.rotation)) return;
    for (int i = 0; i < c->n; i++) {
        if (roi_overlap(k, &c->at[i].roi, &x.roi) < same_face) continue;
        if (c->at[i].score >= x.score) return;
        memmove(&c->at[i], &c->at[i + 1], (size_t)(c->n-- - i - 1) * sizeof x);
        i--;
    }
    if (c->n == MAX_CANDIDATES && c->at[--c->n].score >= x.score) {
        c->n++;
        return;
    }
    int i = c->n++;
    for (; i > 0 && c->at[i - 1].score < x.score; i--) c->at[i] = c->at[i - 1];
    c->at[i] = x;
}

static void candidate_remove(const looker *k, candidates *c, const face_roi *roi) {
    int n = 0;
    for (int i = 0; i < c->n; i++)
        if (roi_overlap(k, &c->at[i].roi, roi) < same_face) c->at[n++] = c->at[i];
    c->n = n;
}

static warp_rect rect_of(const look_square *s) { return (warp_rect){ s->cx, s->cy, s->side, s->side, s->rotation }; }

static void look_at(const looker *k, look_square s, float min_score, candidates *c) {
    detection d[DETECTOR_ANCHORS];
    int n = look_detect(k, rect_of(&s), min_score, d);
    for (int i = 0; i < n; i++) candidate_add(k, c, (candidate){ look_roi(k, &s, &d[i]), d[i].score });
}

/* ---- is it one, and which way up? -------------------------------------------------------------------------------- */

/* What is seen near a candidate: the square looked at and what was found in its middle. */
typedef struct { look_square square; detection d; face_roi roi; } sight;

/* Looks at the ROI from nearby (the square's side in ROI sides), turned by `turn` quarters against it; false if nothing stands in the middle. */
static bool look_near(const looker *k, const face_roi *roi, int turn, float side, sight *out) {
    float w = (float)k->in->width, h = (float)k->in->height;
    out->square = (look_square){ roi->cx * w, roi->cy * h, side * roi->width * w, roi->rotation + (float)turn * quarter };
    detection d[DETECTOR_ANCHORS];
    int n = look_detect(k, rect_of(&out->square), least_score, d);
    for (int i = 0; i < n; i++) {   /* best first */
        out->d = d[i];
        out->roi = look_roi(k, &out->square, &d[i]);
        if (roi_overlap(k, roi, &out->roi) > least_overlap) return true;
    }
    return false;
}

static float distance(face_point a, face_point b, float w, float h) { return hypotf((a.x - b.x) * w, (a.y - b.y) * h); }

/* The detector's own eyes, nose and mouth against the landmarks', as a part of its box: the two networks have learned
 * different things, and agree only about faces. */
static float key_error(const looker *k, const sight *s, const face *f) {
    static const int landmark[] = { TOPOLOGY_LEFT_PUPIL, TOPOLOGY_RIGHT_PUPIL, 1, 13 };
    float w = (float)k->in->width, h = (float)k->in->height, c = cosf(s->square.rotation), n = sinf(s->square.rotation), sum = 0;
    for (int i = 0; i < 4; i++) {
        float u = (s->d.key[i].x - 0.5f) * s->square.side, v = (s->d.key[i].y - 0.5f) * s->square.side;
        face_point p = { (s->square.cx + c * u - n * v) / w, (s->square.cy + n * u + c * v) / h, 0 };
        sum += distance(p, f->landmarks[landmark[i]], w, h);
    }
    return sum / 4 / (s->d.width * s->square.side);
}

static float landmark_error(const looker *k, const face *a, const face *b, float size) {
    float w = (float)k->in->width, h = (float)k->in->height, sum = 0;
    for (int i = 0; i < FACE_LANDMARKS; i++) sum += distance(a->landmarks[i], b->landmarks[i], w, h);
    return sum / FACE_LANDMARKS / size;
}

/* Looks at the ROI upright from nearby, again and again until it stays where it is: the first ROI of a face that lies
 * may be half a turn short. Both networks must see a face, and agree about it. */
static bool confirm(const looker *k, face_roi *roi, face *out) {
    face before;
    if (!look_face(k, roi, &before)) return false;
    for (int tries = 0; tries < 3; tries++, before = *out) {
        sight s;
        if (!look_near(k, roi, 0, near_side, &s) || s.d.score < sure_score || !look_face(k, &s.roi, out)) return false;
        float moved = landmark_error(k, &before, out, s.d.width * s.square.side);
        *roi = s.roi;
        if (moved <= most_landmark_error) return out->score >= sure_presence && key_error(k, &s, out) <= most_key_error;
    }
    return false;
}

/* Turns the ROI to where the detector sees the face best. An upside-down face is often found as an upright one, landmarks
 * and all, but with a lower score; from near and from afar together the score is nearly always right. */
static void set_upright(const looker *k, face_roi *roi, float margin) {
    sight s[4], far;
    float score[4];
    int first = 0, second = -1;
    for (int turn = 0; turn < 4; turn++) {
        score[turn] = look_near(k, roi, turn, near_side, &s[turn]) ? s[turn].d.score : 0;
        if (score[turn] > score[first]) second = first, first = turn;
        else if (turn && (second < 0 || score[turn] > score[second])) second = turn;
    }
    if (score[first] < score[second] + clear) {   /* a close race: from afar too */
        int race[2] = { first, second };
        for (int i = 0; i < 2; i++) score[race[i]] += look_near(k, roi, race[i], far_side, &far) ? far.d.score : 0;
        for (int turn = 0; turn < 4; turn++) score[turn] = turn == first || turn == second ? score[turn] / 2 : 0;
        if (score[second] > score[first]) first = second;
    }
    if (first && score[first] > score[0] + margin) *roi = s[first].roi;
}

/* Adds a face, unless it is there already: its ROI goes to roi[out->count]. */
static int face_add(const looker *k, face_roi *roi, const face_roi *at, const face *f, faces *out) {
    for (int i = 0; i < out->count; i++)
        if (roi_overlap(k, &roi[i], at) > same_face) return 0;
    face *more = realloc(out->face, (size_t)(out->count + 1) * sizeof *more);
    if (!more) return error_memory((size_t)(out->count + 1) * sizeof *more);
    roi[out->count] = *at;
    more[out->count++] = *f;
    out->face = more;
    return 0;
}

/* What candidates that fail have cost is what a picture without faces costs: after `patience` runs it ends. */
static int confirm_all(const looker *k, const candidates *c, bool turned, int patience, int max_faces, face_roi *roi, faces *out) {
    int rc = 0;
    for (int i = 0; i < c->n && patience > 0 && out->count < max_faces && rc == 0; i++) {
        face_roi at = c->at[i].roi;
        face f;
        int before = *k->runs;
        if (turned) set_upright(k, &at, 0);
        if (confirm(k, &at, &f)) rc = face_add(k, roi, &at, &f, out);
        else patience -= *k->runs - before;
    }
    return rc;
}

/* ---- where to look ----------------------------------------------------------------------------------------------- */

/* Squares of `side` over the picture, neighbours overlapping by a quarter of it or more. */
static void look_at_tiles(const looker *k, float side, float min_score, candidates *c) {
    float w = (float)k->in->width, h = (float)k->in->height, step = side * 0.75f;
    int across = w > side ? (int)ceilf((w - side) / step - 0.01f) + 1 : 1, down = h > side ? (int)ceilf((h - side) / step - 0.01f) + 1 : 1;
    for (int y = 0; y < down; y++)
        for (int x = 0; x < across; x++) {
            look_square s = { w / 2, h / 2, side, 0 };
            if (across > 1) s.cx = side / 2 + (w - side) * (float)x / (float)(across - 1);
            if (down > 1) s.cy = side / 2 + (h - side) * (float)y / (float)(down - 1);
            look_at(k, s, min_score, c);
        }
}

static void look_turned(const looker *k, float min_score, candidates *c) {
    float w = (float)k->in->width, h = (float)k->in->height;
    for (int turn = 1; turn <= 3; turn++) look_at(k, (look_square){ w / 2, h / 2, w > h ? w : h, (float)turn * quarter }, min_score, c);
}

int search_turned(const looker *k, float min_score, int max_faces, face_roi *roi, faces *out) {
    candidates c = { .n = 0 };
    look_turned(k, min_score, &c);
    for (int i = 0; i < out->count; i++) candidate_remove(k, &c, &roi[i]);
    return confirm_all(k, &c, true, turned_patience, max_faces, roi, out);
}

int search_tiles(const looker *k, float min_score, int max_faces, face_roi *roi, faces *out) {
    float longer = (float)(k->in->width > k->in->height ? k->in->width : k->in->height);
    candidates c = { .n = 0 };
    for (int part = 2; part <= 4; part *= 2)
        if (longer / (float)part >= least_tile) look_at_tiles(k, longer / (float)part, min_score, &c);
    return confirm_all(k, &c, false, tile_patience, max_faces, roi, out);
}

bool search_set_upright(const looker *k, face_roi *roi, face *f) {
    face_roi upright = *roi;
    face better;
    set_upright(k, &upright, 0.03f);
    if (!confirm(k, &upright, &better) || cosf(upright.rotation - roi->rotation) > same_turn) return false;
    *roi = upright;
    *f = better;
    return true;
}
