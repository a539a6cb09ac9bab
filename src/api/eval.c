/* SPDX-License-Identifier: Apache-2.0
 *
 * mien.h's judging: the work is in eval/. */
#include "api/api.h"
#include "base/error.h"
#include "eval/judge.h"

const mien_measure *mien_reading_at(int i) { return i >= 0 && i < READINGS ? &measure_readings[i] : NULL; }
const mien_measure *mien_measure_at(int i) { return i >= 0 && i < ERRORS ? &measure_errors[i] : NULL; }
const char *mien_judge_caveat(void) { return judge_caveat; }
void mien_judgement_free(mien_judgement *j) { judgement_free(j); }

int mien_judge(const mien *m, const mien_faces *wanted, const mien_image *picture, mien_judgement *out) {
    if (picture->width <= 0 || picture->height <= 0 || !picture->rgb) return error_set(ERR_USAGE, "a picture was expected");
    if (wanted->width <= 0 || wanted->height <= 0 || wanted->count < 0) return error_set(ERR_USAGE, "wanted faces were expected, with the size of their picture");
    image img = { picture->width, picture->height, picture->rgb };
    return judge_picture(m->mesh, wanted, &img, out, NULL);
}
