/* SPDX-License-Identifier: Apache-2.0 */
#include "eval/judge.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/number.h"

const char judge_caveat[] =
    "Judge and annotator are the same network (MediaPipe FaceMesh): what it does not see it neither asks for nor misses.";

/* What counts for the score, each in units of an error that can just be seen. */
static const struct { measure_error kind; double unit; } counted[] = {
    { ERROR_LANDMARKS, 0.05 }, { ERROR_GAZE_X, 0.05 }, { ERROR_GAZE_Y, 0.05 }, { ERROR_POSE, 5 },
    { ERROR_EYE_OPEN, 0.05 }, { ERROR_MOUTH_OPEN, 0.05 }, { ERROR_SMILE, 0.05 }, { ERROR_BROW, 0.05 },
};

static double face_score(const mien_face_judgement *f) {
    double sum = 0;
    int n = 0;
    if (f->answer < 0) return JUDGE_MISSED;
    for (size_t i = 0; i < sizeof counted / sizeof *counted; i++) {
        double e = f->error[counted[i].kind];
        if (isfinite(e)) sum += fmin(e / counted[i].unit, JUDGE_MISSED), n++;
    }
    return n ? sum / n : JUDGE_MISSED;
}

double judge_score(const judgement *j) {
    double sum = 0;
    for (int i = 0; i < j->wanted; i++) sum += face_score(&j->face[i]);
    sum += JUDGE_MISSED * (double)(j->found - j->matched);
    return j->wanted ? sum / j->wanted : sum;
}

static void average(judgement *j) {
    for (int k = 0; k < ERRORS; k++) {
        double sum = 0;
        int n = 0;
        for (int i = 0; i < j->wanted; i++)
            if (j->face[i].answer >= 0 && isfinite(j->face[i].error[k])) sum += j->face[i].error[k], n++;
        j->error[k] = n ? sum / n : NAN;
    }
}

static void judge_face(const faces *wanted, int i, const faces *found, int answer, mien_face_judgement *out) {
    face_measure m;
    out->answer = answer;
    if (answer >= 0) {
        measure_faces(&wanted->face[i], &found->face[answer], wanted->width, wanted->height, &m);
    } else {
        measure_read(&wanted->face[i], wanted->width, wanted->height, &m.wanted);
        for (int k = 0; k < ERRORS; k++) m.error[k] = NAN;
        for (int k = 0; k < READINGS; k++) m.found.value[k] = NAN;
    }
    memcpy(out->error, m.error, sizeof out->error);
    memcpy(out->wanted, m.wanted.value, sizeof out->wanted);
    memcpy(out->found, m.found.value, sizeof out->found);
}

int judge_faces(const faces *wanted, const faces *found, judgement *out) {
    size_t n = wanted->count > 0 ? (size_t)wanted->count : 1;
    judgement j = { .wanted = wanted->count, .found = found->count };
    int *pair = malloc(n * sizeof *pair);
    j.face = calloc(n, sizeof *j.face);
    int rc = pair && j.face ? match_faces(wanted, found, match_most, pair) : error_memory(n * sizeof *j.face);
    if (rc >= 0) {
        j.matched = rc;
        for (int i = 0; i < j.wanted; i++) judge_face(wanted, i, found, pair[i], &j.face[i]);
        average(&j);
        j.score = judge_score(&j);
        *out = j;
    } else {
        free(j.face);
    }
    free(pair);
    return rc < 0 ? rc : 0;
}

face_settings judge_search(const faces *wanted) {
    face_settings how = { .max_faces = 5, .min_confidence = 0.5f };   /* mien_face_defaults */
    if (wanted->count >= how.max_faces) how.max_faces = wanted->count < 100 ? wanted->count + 1 : 100;
    return how;
}

int judge_picture(const face_mesh *mesh, const faces *wanted, const image *picture, judgement *out, faces *found) {
    faces seen;
    face_settings how = judge_search(wanted);
    int rc = face_mesh_find(mesh, picture, &how, NULL, &seen);
    if (rc < 0) return rc;
    rc = judge_faces(wanted, &seen, out);
    if (rc == 0 && found) *found = seen;
    else free(seen.face);
    return rc;
}

void judgement_free(judgement *j) {
    if (!j) return;
    free(j->face);
    *j = (judgement){ 0 };
}

/* ---- as JSON --------------------------------------------------------------------------------------------------------- */

static void add_number(text *out, double x) {
    char digits[NUMBER_TEXT] = "null";
    if (isfinite(x)) number_shortest_f64(digits, x);
    if (isfinite(x) && x == floor(x) && fabs(x) < 1e9) text_printf(out, "%.0f", x);   /* 10, not 1e+01 */
    else text_add(out, digits);
}

static void add_numbers(text *out, const char *name, const measure_about *about, const double *x, int n) {
    text_printf(out, "\"%s\":{", name);
    for (int i = 0; i < n; i++) {
        text_printf(out, "%s\"%s\":", i ? "," : "", about[i].key);
        add_number(out, x[i]);
    }
    text_add(out, "}");
}

void judgement_json(const judgement *j, text *out) {
    text_printf(out, "{\"wanted\":%d,\"found\":%d,\"matched\":%d,\"score\":", j->wanted, j->found, j->matched);
    add_number(out, j->score);
    text_add(out, ",");
    add_numbers(out, "errors", measure_errors, j->error, ERRORS);
    text_add(out, ",\"faces\":[");
    for (int i = 0; i < j->wanted; i++) {
        const mien_face_judgement *f = &j->face[i];
        text_printf(out, "%s{\"answer\":", i ? "," : "");
        if (f->answer < 0) text_add(out, "null");
        else text_printf(out, "%d", f->answer);
        text_add(out, ",");
        add_numbers(out, "errors", measure_errors, f->error, ERRORS);
        text_add(out, ",");
        add_numbers(out, "wanted", measure_readings, f->wanted, READINGS);
        text_add(out, ",");
        add_numbers(out, "found", measure_readings, f->found, READINGS);
        text_add(out, "}");
    }
    text_add(out, "]}");
}
