/* SPDX-License-Identifier: Apache-2.0 */
#include "data/preview_statistics.h"

#include <math.h>
#include <stdlib.h>

#include "base/error.h"
#include "face/map.h"

/* ---- a face --------------------------------------------------------------------------------------------------------- */

/* Landmarks, as MediaPipe numbers them. */
enum {
    RIGHT_OUTER = 33, RIGHT_INNER = 133, LEFT_INNER = 362, LEFT_OUTER = 263,   /* eye corners; left and right are the person's own */
    RIGHT_PUPIL = 468, LEFT_PUPIL = 473,                                       /* 468 lies left in the image */
    LIP_ABOVE = 13, LIP_BELOW = 14, MOUTH_RIGHT = 78, MOUTH_LEFT = 308,        /* of the lips' inner edge */
};

/* Points that mirror each other: the person's right, left. Eyes, brows, mouth, and the face's outline from temple to jaw. */
static const int16_t pairs[][2] = { { 33, 263 }, { 105, 334 }, { 70, 300 }, { 61, 291 }, { 127, 356 }, { 234, 454 }, { 132, 361 }, { 172, 397 } };

typedef struct { double x, y, z; } vector;

/* In pixels of the picture; z is in units of its width. */
static vector pixel(const face *f, int i, int width, int height) {
    face_point p = f->landmarks[i];
    return (vector){ (double)p.x * width, (double)p.y * height, (double)p.z * width };
}

static vector minus(vector a, vector b) { return (vector){ a.x - b.x, a.y - b.y, a.z - b.z }; }
static double length(vector v) { return sqrt(v.x * v.x + v.y * v.y + v.z * v.z); }
static double degrees(double radians) { return radians * (180 / 3.14159265358979323846); }
static double ratio(double a, double b) { return b > 0 ? a / b : NAN; }

/* Where the pupil lies between the corners: along their line from right to left, and across it, downward; in widths of the eye. */
static void look_of(vector right, vector left, vector pupil, double *along, double *across) {
    vector e = minus(left, right), p = minus(pupil, (vector){ (right.x + left.x) / 2, (right.y + left.y) / 2, 0 });
    double square = e.x * e.x + e.y * e.y;
    *along = ratio(p.x * e.x + p.y * e.y, square);
    *across = ratio(p.y * e.x - p.x * e.y, square);
}

/* How far the line from a face's right to its left turns into the depth. A turn to the image's right takes the face's left away
 * from the camera, where z grows. */
static double yaw_of(const face *f, int width, int height) {
    vector sum = { 0, 0, 0 };
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        vector d = minus(pixel(f, pairs[i][1], width, height), pixel(f, pairs[i][0], width, height));
        sum = (vector){ sum.x + d.x, sum.y + d.y, sum.z + d.z };
    }
    return length(sum) > 0 ? degrees(atan2(sum.z, hypot(sum.x, sum.y))) : NAN;
}

face_measures preview_measure(const face *f, int width, int height) {
    face_measures m = { .size = face_size(f, width, height), .yaw = yaw_of(f, width, height), .roll = NAN };
    m.share = 100 * m.size / (width < height ? width : height);
    vector right = pixel(f, RIGHT_OUTER, width, height), left = pixel(f, LEFT_OUTER, width, height), eyes = minus(left, right);
    double x[2], y[2];
    look_of(right, pixel(f, RIGHT_INNER, width, height), pixel(f, RIGHT_PUPIL, width, height), &x[0], &y[0]);
    look_of(pixel(f, LEFT_INNER, width, height), left, pixel(f, LEFT_PUPIL, width, height), &x[1], &y[1]);
    m.gaze_x = (x[0] + x[1]) / 2;
    m.gaze_y = (y[0] + y[1]) / 2;
    if (eyes.x != 0 || eyes.y != 0) m.roll = degrees(atan2(eyes.y, eyes.x));
    m.mouth = ratio(length(minus(pixel(f, LIP_ABOVE, width, height), pixel(f, LIP_BELOW, width, height))),
                    length(minus(pixel(f, MOUTH_LEFT, width, height), pixel(f, MOUTH_RIGHT, width, height))));
    return m;
}

/* ---- histograms ----------------------------------------------------------------------------------------------------- */

enum { FINE = 16 };                       /* cells a bin, for the median */
static const double whole = 1e6;          /* sums are kept in millionths */

struct statistics {
    mien_statistics counts;
    uint64_t fine[MIEN_HISTOGRAMS][MIEN_BINS * FINE];
    int64_t sum[MIEN_HISTOGRAMS];
};

/* `exact`: the values are whole numbers, and a cell's lower end is one. */
static const struct { const char *name, *unit; double from, step; int bins; bool exact; } kinds[MIEN_HISTOGRAMS] = {
    [MIEN_SHORT_SIDE] = { "short_side", "pixels", 0, 32, 48, true },
    [MIEN_LONG_SIDE]  = { "long_side", "pixels", 0, 64, 48, true },
    [MIEN_ASPECT]     = { "aspect", "width / height", 0.225, 0.05, 48, false },   /* 1 is the middle of a bin */
    [MIEN_FACES]      = { "faces", "faces", -0.5, 1, 11, true },
    [MIEN_FACE_SIZE]  = { "face_size", "pixels", 0, 16, 48, false },
    [MIEN_FACE_SHARE] = { "face_share", "percent", 0, 2.5, 48, false },
    [MIEN_GAZE_X]     = { "gaze_x", "eye widths", -0.41, 0.02, 41, false },
    [MIEN_GAZE_Y]     = { "gaze_y", "eye widths", -0.41, 0.02, 41, false },
    [MIEN_YAW]        = { "yaw", "degrees", -92, 4, 46, false },
    [MIEN_ROLL]       = { "roll", "degrees", -62, 4, 31, false },
    [MIEN_MOUTH]      = { "mouth", "mouth widths", 0, 0.03125, 48, false },
    [MIEN_PROMPT]     = { "prompt", "characters", 0, 8, 48, true },
};

statistics *statistics_new(void) {
    statistics *s = calloc(1, sizeof *s);
    if (!s) return error_memory(sizeof *s), NULL;
    for (int k = 0; k < MIEN_HISTOGRAMS; k++)
        s->counts.histogram[k] = (mien_histogram){ .name = kinds[k].name, .unit = kinds[k].unit, .from = kinds[k].from, .step = kinds[k].step, .bins = kinds[k].bins };
    return s;
}

void statistics_free(statistics *s) { free(s); }

mien_statistics *statistics_counts(statistics *s) { return &s->counts; }

void statistics_add(statistics *s, mien_histogram_kind kind, double value) {
    mien_histogram *h = &s->counts.histogram[kind];
    if (isnan(value)) return;
    if (!h->count || value < h->least) h->least = value;
    if (!h->count || value > h->most) h->most = value;
    h->count++;
    s->sum[kind] += llround(fmin(fmax(value, -1e6), 1e6) * whole);
    double cell = floor((value - h->from) * FINE / h->step);
    if (cell < 0) h->below++;
    else if (cell >= h->bins * FINE) h->above++;
    else s->fine[kind][(size_t)cell]++, h->bin[(size_t)cell / FINE]++;
}

void statistics_add_face(statistics *s, const face_measures *m) {
    statistics_add(s, MIEN_FACE_SIZE, m->size);
    statistics_add(s, MIEN_FACE_SHARE, m->share);
    statistics_add(s, MIEN_GAZE_X, m->gaze_x);
    statistics_add(s, MIEN_GAZE_Y, m->gaze_y);
    statistics_add(s, MIEN_YAW, m->yaw);
    statistics_add(s, MIEN_ROLL, m->roll);
    statistics_add(s, MIEN_MOUTH, m->mouth);
}

/* The value that half of them do not exceed; the lower one of two. Outside the bins only an end is known. */
static double median_of(const statistics *s, int kind) {
    const mien_histogram *h = &s->counts.histogram[kind];
    uint64_t nth = (h->count + 1) / 2, seen = h->below;
    if (seen >= nth) return h->least;
    for (int i = 0; i < h->bins * FINE; i++) {
        uint64_t n = s->fine[kind][i];
        if (seen + n < nth) {
            seen += n;
            continue;
        }
        double within = kinds[kind].exact ? 0 : ((double)(nth - seen) - 0.5) / (double)n;
        return fmin(fmax(h->from + (i + within) * h->step / FINE, h->least), h->most);
    }
    return h->most;
}

void statistics_finish(statistics *s, mien_statistics *out) {
    for (int k = 0; k < MIEN_HISTOGRAMS; k++) {
        mien_histogram *h = &s->counts.histogram[k];
        if (!h->count) continue;
        h->mean = (double)s->sum[k] / whole / (double)h->count;
        h->median = median_of(s, k);
    }
    *out = s->counts;
}
