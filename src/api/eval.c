/* SPDX-License-Identifier: Apache-2.0
 *
 * mien.h's judging: the work is in eval/. */
#include <sys/stat.h>

#include "api/api.h"
#include "base/error.h"
#include "eval/judge.h"
#include "eval/judge_pictures.h"

const mien_measure *mien_reading_at(int i) { return i >= 0 && i < READINGS ? &measure_readings[i] : NULL; }
const mien_measure *mien_measure_at(int i) { return i >= 0 && i < ERRORS ? &measure_errors[i] : NULL; }
const char *mien_judge_caveat(void) { return judge_caveat; }
void mien_judgement_free(mien_judgement *j) { judgement_free(j); }

int mien_judge(const mien *m, const mien_faces *wanted, const mien_image *picture, mien_judgement *out) {
    if (picture->width <= 0 || picture->height <= 0 || !picture->rgb) return error_set(ERR_USAGE, "a picture was expected");
    if (wanted->width <= 0 || wanted->height <= 0 || wanted->count < 0)
        return error_set(ERR_USAGE, "wanted faces were expected, with the size of their picture");
    image img = { picture->width, picture->height, picture->rgb };
    return judge_picture(m->mesh, wanted, &img, out, NULL);
}

int mien_judgement_json(const mien_judgement *j, char **json) {
    text out = { 0 };
    judgement_json(j, &out);
    int rc = text_check(&out);
    if (rc < 0) text_free(&out);
    else *json = out.data;
    return rc;
}

static int need_file(const char *path) {
    struct stat st;
    return stat(path, &st) == 0 ? 0 : (error_errno("%s", path), ERR_USAGE);
}

int mien_judge_pictures(const mien *m, const mien_judge_options *o, mien_progress *result, mien_summary *summary) {
    if (result) *result = (mien_progress){ 0 };
    if (!o->map || !*o->map) return error_set(ERR_USAGE, "landmarks are needed: what the pictures were to show");
    if (o->n_pictures < 1) return error_set(ERR_USAGE, "a picture to judge is needed");
    if (o->face < 0 || o->max_faces < 0) return error_set(ERR_USAGE, "face and max_faces are numbers from 0 on");
    int rc = need_file(o->map);
    for (int i = 0; rc == 0 && i < o->n_pictures; i++) rc = need_file(o->pictures[i]);
    return rc < 0 ? rc : judge_pictures(m->mesh, o, result, summary);
}
