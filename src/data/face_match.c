/* SPDX-License-Identifier: Apache-2.0 */
#include "data/face_match.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/error.h"
#include "face/faces_json.h"
#include "face/map.h"
#include "face/topology.h"

enum { LEAST_FACE = 64 };          /* pixels: what the original draws from */

double face_eye_distance(const face *f, int width, int height) {
    const face_point *a = &f->landmarks[TOPOLOGY_LEFT_PUPIL], *b = &f->landmarks[TOPOLOGY_RIGHT_PUPIL];
    double dx = ((double)a->x - b->x) * width, dy = ((double)a->y - b->y) * height, dz = ((double)a->z - b->z) * width;
    return sqrt(dx * dx + dy * dy + dz * dz);
}

/* ---- by landmarks -------------------------------------------------------------------------------------------------- */

/* How far apart two faces' points are in the mean, in pixels. */
static double mean_distance(const face *a, const face *b, int width, int height) {
    double sum = 0;
    for (int i = 0; i < FACE_LANDMARKS; i++) {
        const face_point *p = &a->landmarks[i], *q = &b->landmarks[i];
        sum += hypot(((double)p->x - q->x) * width, ((double)p->y - q->y) * height);
    }
    return sum / FACE_LANDMARKS;
}

static double most_off(double eyes) { return fmax(FACE_MATCH_MOST * eyes, 1); }

void face_match_landmarks(const faces *mapped, double min_face, const faces *found, face_match *out) {
    *out = (face_match){ 0 };
    bool taken[FACES_MOST] = { false };
    int matched = 0, width = found->width, height = found->height;
    for (int i = 0; i < mapped->count; i++) {
        const face *f = &mapped->face[i];
        bool drawn = !(min_face > 0) || face_size(f, mapped->width, mapped->height) >= min_face;
        double eyes = face_eye_distance(f, width, height), best = HUGE_VAL;
        int which = -1;
        for (int k = 0; k < found->count && k < FACES_MOST; k++) {
            double d = taken[k] ? HUGE_VAL : mean_distance(f, &found->face[k], width, height);
            if (d < best) best = d, which = k;
        }
        bool same = which >= 0 && best <= most_off(eyes);
        if (same) taken[which] = true, matched++;
        if (!drawn) continue;
        out->mapped++;
        out->missing += !same;
        out->off = fmax(out->off, eyes > 0 ? best / eyes : best);
    }
    out->more = found->count - matched;
}

/* ---- by the map's colours ------------------------------------------------------------------------------------------ */

/* A pupil is a square of 4 x 4 pixels, the centre right of and below its middle. JPEG keeps its brightness, but blurs its
 * colour, and its neighbours, the lines of the eye, are of nearly the same: they are less red, or less blue, than green. */
enum { PUPIL = 4, DARK = 48, MOST_PUPILS = 200 };
typedef struct { double x, y; } place;
typedef struct { place at[MOST_PUPILS]; int n; } places;
typedef struct { int channel, grey, landmark; } pupil_kind;   /* channel: the one that tells; grey: of its colour */
typedef struct { uint8_t grey; int8_t tint; } shade;          /* tint: by how much that channel exceeds green */
typedef struct { const shade *at; int width, height; pupil_kind kind; } shades;

static int grey_of(const uint8_t *p) { return (77 * p[0] + 150 * p[1] + 29 * p[2]) >> 8; }

static shade shade_of(const uint8_t *p, const pupil_kind *kind) {
    int grey = grey_of(p), tint = p[kind->channel] - p[1];
    if (grey < DARK || p[1] <= p[2 - kind->channel]) return (shade){ 0 };   /* green lies between the other two */
    return (shade){ (uint8_t)grey, (int8_t)(tint < -64 ? -64 : tint > 64 ? 64 : tint) };
}

/* How much like a pupil a square is; below 0: not at all. */
static int likeness(const shades *s, int x, int y) {
    int grey = 0, tint = 0, most = s->kind.grey;
    for (int j = 0; j < PUPIL; j++)
        for (int i = 0; i < PUPIL; i++) {
            shade p = s->at[(size_t)(y + j) * (size_t)s->width + (size_t)(x + i)];
            grey += p.grey < most ? p.grey : most;
            tint += p.tint;
        }
    const int pixels = PUPIL * PUPIL, least_tint = 4;
    return 5 * grey < 4 * pixels * most || tint < pixels * least_tint ? -1 : grey + 2 * tint;
}

/* A square that no overlapping one surpasses; of equal ones the first. */
static bool is_peak(const shades *s, int x, int y, int like) {
    for (int j = y - PUPIL + 1; j < y + PUPIL; j++)
        for (int i = x - PUPIL + 1; i < x + PUPIL; i++) {
            if (j < 0 || i < 0 || j > s->height - PUPIL || i > s->width - PUPIL) continue;
            int other = likeness(s, i, j);
            if (other > like || (other == like && (j < y || (j == y && i < x)))) return false;
        }
    return true;
}

static int find_pupils(const image *map, const pupil_kind *kind, places *out) {
    size_t n = (size_t)map->width * (size_t)map->height;
    out->n = 0;
    shade *all = malloc(n * sizeof *all);
    if (!all) return error_memory(n * sizeof *all);
    for (size_t i = 0; i < n; i++) all[i] = shade_of(map->rgb + 3 * i, kind);
    const shades s = { all, map->width, map->height, *kind };
    for (int y = 0; y <= map->height - PUPIL; y++)
        for (int x = 0; x <= map->width - PUPIL && out->n < MOST_PUPILS; x++) {
            if (!all[(size_t)y * (size_t)map->width + (size_t)x].grey) continue;
            int like = likeness(&s, x, y);
            /* The square was put where its centre's fraction of a pixel was cut off. */
            if (like >= 0 && is_peak(&s, x, y, like)) out->at[out->n++] = (place){ x + PUPIL / 2 + 0.5, y + PUPIL / 2 + 0.5 };
        }
    free(all);
    return 0;
}

/* Counts the pupils of one colour that no found face has there. */
static void match_pupils(const image *map, double unsure, const places *pupils, int landmark, const faces *found, bool *shown, face_match *out) {
    for (int i = 0; i < pupils->n; i++) {
        double best = HUGE_VAL;
        bool same = false;
        for (int k = 0; k < found->count && k < FACES_MOST; k++) {
            const face_point *p = &found->face[k].landmarks[landmark];
            double eyes = face_eye_distance(&found->face[k], map->width, map->height);
            double d = hypot((double)p->x * map->width - pupils->at[i].x, (double)p->y * map->height - pupils->at[i].y);
            if (d <= FACE_MATCH_MOST * eyes + unsure) same = shown[k] = true;
            best = fmin(best, eyes > 0 ? d / eyes : d);
        }
        out->mapped++;
        out->missing += !same;
        out->off = fmax(out->off, best);
    }
}

static bool is_empty(const image *map) {
    size_t n = (size_t)map->width * (size_t)map->height;
    for (size_t i = 0; i < n; i++)
        if (map->rgb[3 * i + 1] > 96) return false;   /* all lines are greener */
    return true;
}

/* ---- by drawing again ---------------------------------------------------------------------------------------------- */

int face_match_drawn(const image *map, bool lossy, const faces *f, double min_face, bool *same) {
    enum { LINE = 64 };            /* all lines are brighter than 100; JPEG keeps that apart from black, but not their colours */
    image drawn;
    int rc = image_new(map->width, map->height, &drawn);
    if (rc == 0) rc = face_map_draw(f, min_face, &drawn);
    if (rc < 0) return rc;
    size_t n = (size_t)map->width * (size_t)map->height, lit = 0, differ = 0;
    for (size_t i = 0; i < n; i++) {
        int want = grey_of(drawn.rgb + 3 * i), got = grey_of(map->rgb + 3 * i);
        lit += want > LINE;
        differ += abs(want - got) > LINE;
    }
    image_free(&drawn);
    *same = differ <= (lossy ? lit / 10 : lit / 50);
    return 0;
}

/* What JPEG makes of a small eye can look like a pupil, or a pupil like the eye. Of the photo that the map was drawn from, the faces found
 * give that very map. */
static int draw_again(const image *map, bool lossy, const faces *found, bool *shown, face_match *out) {
    static const double least[] = { LEAST_FACE, 0 };
    bool same = false;
    for (int i = 0; !same && i < 2; i++) {
        int rc = face_match_drawn(map, lossy, found, least[i], &same);
        if (rc < 0) return rc;
    }
    if (!same) return 0;
    out->missing = 0;
    out->off = 0;
    out->unknown = false;
    for (int k = 0; k < found->count && k < FACES_MOST; k++) shown[k] = true;
    return 0;
}

int face_match_map(const image *map, bool lossy, const faces *found, face_match *out) {
    places pupils;
    bool shown[FACES_MOST] = { false };
    *out = (face_match){ 0 };
    static const pupil_kind kinds[] = { { 0, 193, TOPOLOGY_LEFT_PUPIL }, { 2, 148, TOPOLOGY_RIGHT_PUPIL } };
    for (int i = 0; i < 2; i++) {
        int rc = find_pupils(map, &kinds[i], &pupils);
        if (rc < 0) return rc;
        match_pupils(map, lossy ? 2 : 1, &pupils, kinds[i].landmark, found, shown, out);
    }
    out->unknown = !out->mapped && !is_empty(map);
    int rc = out->unknown || (out->missing && out->off < 0.5) ? draw_again(map, lossy, found, shown, out) : 0;
    if (rc < 0) return rc;
    for (int k = 0; k < found->count && k < FACES_MOST; k++)
        out->more += !shown[k] && face_size(&found->face[k], found->width, found->height) >= LEAST_FACE;
    return 0;
}

