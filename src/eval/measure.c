/* SPDX-License-Identifier: Apache-2.0 */
#include "eval/measure.h"

#include <math.h>

#include "eval/measure_inside.h"
#include "face/topology.h"

const double measure_closed = 0.15;

const measure_about measure_readings[READINGS] = {
    { "yaw", "yaw", "degrees", 1 }, { "pitch", "pitch", "degrees", 1 }, { "roll", "roll", "degrees", 1 },
    { "gaze_x_left", "gaze across, left eye", "eye widths", 3 }, { "gaze_x_right", "gaze across, right eye", "eye widths", 3 },
    { "gaze_y_left", "gaze up, left eye", "eye widths", 3 }, { "gaze_y_right", "gaze up, right eye", "eye widths", 3 },
    { "eye_open_left", "left eye's opening", "eye widths", 3 }, { "eye_open_right", "right eye's opening", "eye widths", 3 },
    { "mouth_open", "mouth's opening", "IOD", 3 }, { "smile", "mouth's corners", "IOD", 3 },
    { "brow_left", "left brow", "IOD", 3 }, { "brow_right", "right brow", "IOD", 3 },
};

const measure_about measure_errors[ERRORS] = {
    { "landmarks", "landmarks", "IOD", 4 }, { "oval", "  oval", "IOD", 4 }, { "brows", "  brows", "IOD", 4 },
    { "eyes", "  eyes", "IOD", 4 },
    { "mouth", "  mouth", "IOD", 4 }, { "irises", "  irises", "IOD", 4 },
    { "gaze_x", "gaze across", "eye widths", 4 }, { "gaze_y", "gaze up", "eye widths", 4 },
    { "pose", "head pose", "degrees", 2 }, { "yaw", "  yaw", "degrees", 2 }, { "pitch", "  pitch", "degrees", 2 },
    { "roll", "  roll", "degrees", 2 },
    { "eye_open", "eyes' opening", "eye widths", 4 }, { "mouth_open", "mouth's opening", "IOD", 4 },
    { "smile", "mouth's corners", "IOD", 4 },
    { "brow", "brows' height", "IOD", 4 },
};

/* ---- which points ---------------------------------------------------------------------------------------------------- */

enum { LEFT_CORNER = 33, RIGHT_CORNER = 263, OUTER = 7, INNER = 6, LIDS = 3, LIPS = 3, BROW = 10 };

/* One eye. outer, inner: beside its corners, outside of the lids. */
typedef struct {
    int16_t corner[2], outer[OUTER], inner[INNER], upper[LIDS], lower[LIDS], brow[BROW], iris;
} eye_points;

static const eye_points eyes[MEASURE_EYES] = {
    { { 33, 133 }, { 35, 31, 113, 226, 130, 25, 247 }, { 244, 189, 233, 112, 243, 190 }, { 160, 159, 158 }, { 144, 145, 153 },
      { 46, 53, 52, 65, 55, 70, 63, 105, 66, 107 }, TOPOLOGY_LEFT_PUPIL },
    { { 362, 263 }, { 265, 261, 342, 446, 359, 255, 467 }, { 464, 413, 453, 341, 463, 414 }, { 385, 386, 387 }, { 380, 374, 373 },
      { 276, 283, 282, 295, 285, 300, 293, 334, 296, 336 }, TOPOLOGY_RIGHT_PUPIL },
};
static const int16_t upper_lip[LIPS] = { 82, 13, 312 }, lower_lip[LIPS] = { 87, 14, 317 };
static const int16_t mouth_corners[2] = { 61, 291 }, mouth_middle[2] = { 13, 14 };

/* Which of the map's groups (face/topology.h) make a part; 0 ends them, by number from 1. */
static const struct { measure_error part; int8_t group[3]; } parts[] = {
    { ERROR_OVAL, { 1 } }, { ERROR_BROWS, { 3, 5 } }, { ERROR_EYES, { 2, 4 } }, { ERROR_MOUTH, { 6 } },
};

/* ---- readings -------------------------------------------------------------------------------------------------------- */

static double distance3(const face *f, int i, int j, int width, int height) {
    double a[3], b[3];
    measure_place(f, i, width, height, a);
    measure_place(f, j, width, height, b);
    return sqrt((a[0] - b[0]) * (a[0] - b[0]) + (a[1] - b[1]) * (a[1] - b[1]) + (a[2] - b[2]) * (a[2] - b[2]));
}

static double eye_distance(const face *f, int width, int height) { return distance3(f, LEFT_CORNER, RIGHT_CORNER, width, height); }

/* A face as its head sees it: lengths in pixels of the picture, along the head's axes. */
typedef struct { const face *f; int width, height; head_pose pose; } headed;

static void in_head(const headed *h, int i, double out[3]) {
    double at[3];
    measure_place(h->f, i, h->width, h->height, at);
    measure_in_head(&h->pose, at, out);
    for (int k = 0; k < 3; k++) out[k] *= h->pose.scale;
}

static void mean_of(const headed *h, const int16_t *points, int n, double out[3]) {
    double at[3];
    out[0] = out[1] = out[2] = 0;
    for (int i = 0; i < n; i++) {
        in_head(h, points[i], at);
        for (int k = 0; k < 3; k++) out[k] += at[k] / n;
    }
}

static double height_over(const headed *h, const int16_t *upper, const int16_t *lower, int n) {
    double a[3], b[3];
    mean_of(h, upper, n, a);
    mean_of(h, lower, n, b);
    return a[1] - b[1];
}

static void read_eye(const headed *h, int e, double iod, face_reading *out) {
    const eye_points *p = &eyes[e];
    double iris[3], outer[3], inner[3], brow[3], *v = out->value;
    double width = distance3(h->f, p->corner[0], p->corner[1], h->width, h->height);
    in_head(h, p->iris, iris);
    mean_of(h, p->outer, OUTER, outer);
    mean_of(h, p->inner, INNER, inner);
    mean_of(h, p->brow, BROW, brow);
    v[READ_BROW_0 + e] = (brow[1] - (outer[1] + inner[1]) / 2) / iod;
    if (!(width > 0)) return;
    v[READ_GAZE_X_0 + e] = (iris[0] - (outer[0] + inner[0]) / 2) / width;
    v[READ_GAZE_Y_0 + e] = (iris[1] - (outer[1] + inner[1]) / 2) / width;
    v[READ_EYE_OPEN_0 + e] = height_over(h, p->upper, p->lower, LIDS) / width;
}

void measure_read(const face *f, int width, int height, face_reading *out) {
    headed h = { .f = f, .width = width, .height = height };
    double iod = eye_distance(f, width, height), corners[3], middle[3], *v = out->value;
    for (int i = 0; i < READINGS; i++) v[i] = NAN;
    if (!measure_pose(f, width, height, &h.pose) || !(iod > 0)) return;
    measure_angles(&h.pose, &v[READ_YAW], &v[READ_PITCH], &v[READ_ROLL]);
    for (int e = 0; e < MEASURE_EYES; e++) read_eye(&h, e, iod, out);
    mean_of(&h, mouth_corners, 2, corners);
    mean_of(&h, mouth_middle, 2, middle);
    v[READ_MOUTH_OPEN] = height_over(&h, upper_lip, lower_lip, LIPS) / iod;
    v[READ_SMILE] = (corners[1] - middle[1]) / iod;
}

/* ---- errors ---------------------------------------------------------------------------------------------------------- */

/* The mean of |difference| over the eyes in which it is known, and asked for. */
static double of_eyes(const double *wanted, const double *found, const bool asked[MEASURE_EYES]) {
    double sum = 0;
    int n = 0;
    for (int e = 0; e < MEASURE_EYES; e++)
        if (asked[e] && isfinite(wanted[e]) && isfinite(found[e])) sum += fabs(found[e] - wanted[e]), n++;
    return n ? sum / n : NAN;
}

static double of_angle(double wanted, double found) { return fabs(remainder(found - wanted, 360)); }

static double of_pose(const double *w, const double *f) {
    double a[3][3], b[3][3];
    if (!isfinite(w[READ_YAW]) || !isfinite(f[READ_YAW])) return NAN;
    measure_rotation(w[READ_YAW], w[READ_PITCH], w[READ_ROLL], a);
    measure_rotation(f[READ_YAW], f[READ_PITCH], f[READ_ROLL], b);
    return measure_rotation_angle((const double(*)[3])a, (const double(*)[3])b);
}

void measure_compare(const face_reading *wanted, const face_reading *found, double error[ERRORS]) {
    static const bool both[MEASURE_EYES] = { true, true };
    const double *w = wanted->value, *f = found->value;
    bool open[MEASURE_EYES];
    for (int e = 0; e < MEASURE_EYES; e++) open[e] = w[READ_EYE_OPEN_0 + e] >= measure_closed;
    for (int i = 0; i < ERRORS; i++) error[i] = NAN;
    error[ERROR_GAZE_X] = of_eyes(w + READ_GAZE_X_0, f + READ_GAZE_X_0, open);
    error[ERROR_GAZE_Y] = of_eyes(w + READ_GAZE_Y_0, f + READ_GAZE_Y_0, open);
    error[ERROR_POSE] = of_pose(w, f);
    error[ERROR_YAW] = of_angle(w[READ_YAW], f[READ_YAW]);
    error[ERROR_PITCH] = of_angle(w[READ_PITCH], f[READ_PITCH]);
    error[ERROR_ROLL] = of_angle(w[READ_ROLL], f[READ_ROLL]);
    error[ERROR_EYE_OPEN] = of_eyes(w + READ_EYE_OPEN_0, f + READ_EYE_OPEN_0, both);
    error[ERROR_MOUTH_OPEN] = fabs(f[READ_MOUTH_OPEN] - w[READ_MOUTH_OPEN]);
    error[ERROR_SMILE] = fabs(f[READ_SMILE] - w[READ_SMILE]);
    error[ERROR_BROW] = of_eyes(w + READ_BROW_0, f + READ_BROW_0, both);
}

static double apart(const face *a, const face *b, int i, int width, int height) {
    const face_point *p = &a->landmarks[i], *q = &b->landmarks[i];
    return hypot(((double)p->x - (double)q->x) * width, ((double)p->y - (double)q->y) * height);
}

double measure_distance(const face *wanted, const face *found, int width, int height) {
    double sum = 0, iod = eye_distance(wanted, width, height);
    for (int i = 0; i < FACE_LANDMARKS; i++) sum += apart(wanted, found, i, width, height);
    sum /= FACE_LANDMARKS * iod;
    return iod > 0 && isfinite(sum) ? sum : HUGE_VAL;
}

/* Each point once, though lines begin where others end. */
static void part_of(const int8_t *groups, bool in[FACE_LANDMARKS]) {
    for (int g = 0; groups[g]; g++) {
        const int16_t *p = topology_groups[groups[g] - 1].points;
        for (int i = 0; p[i] != TOPOLOGY_END || p[i + 1] != TOPOLOGY_END; i++)
            if (p[i] != TOPOLOGY_END) in[p[i]] = true;
    }
}

static double part_error(const face *wanted, const face *found, const bool in[FACE_LANDMARKS], int width, int height) {
    double sum = 0, iod = eye_distance(wanted, width, height);
    int n = 0;
    for (int i = 0; i < FACE_LANDMARKS; i++)
        if (in[i]) sum += apart(wanted, found, i, width, height), n++;
    return n && iod > 0 ? sum / n / iod : NAN;
}

void measure_faces(const face *wanted, const face *found, int width, int height, face_measure *out) {
    bool irises[FACE_LANDMARKS] = { false };
    double all = measure_distance(wanted, found, width, height);
    measure_read(wanted, width, height, &out->wanted);
    measure_read(found, width, height, &out->found);
    measure_compare(&out->wanted, &out->found, out->error);
    out->error[ERROR_LANDMARKS] = isfinite(all) ? all : NAN;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        bool in[FACE_LANDMARKS] = { false };
        part_of(parts[i].group, in);
        out->error[parts[i].part] = part_error(wanted, found, in, width, height);
    }
    for (int i = TOPOLOGY_MESH; i < FACE_LANDMARKS; i++) irises[i] = true;
    out->error[ERROR_IRISES] = part_error(wanted, found, irises, width, height);
}
