/* SPDX-License-Identifier: Apache-2.0
 *
 * mien.h's rendered faces: the options are looked at here, the work is in synth/. */
#include "synth/synth.h"

#include <stdbool.h>

#include "api/api.h"
#include "base/cpu.h"
#include "base/error.h"
#include "synth/head.h"

mien_synth_options mien_synth_defaults(void) {
    return (mien_synth_options){
        .first = 1, .width = 256, .height = 256, .yaw = 35, .pitch = 20, .roll = 25, .face_least = 0.42, .face_most = 0.66,
        .quality = 95,
    };
}

/* Written so that NaN is outside. */
static int check(const char *name, double x, double least, double most) {
    return x >= least && x <= most ? 0 : error_set(ERR_USAGE, "%s is %g: %g to %g is possible", name, x, least, most);
}

int mien_synth(const mien_synth_options *o, mien_progress *result) {
    static const uint64_t most = (uint64_t)1 << 53;   /* what JSON's readers hold exactly */
    cpu_level level;
    if (result) *result = (mien_progress){ 0 };
    if (!o->output || !*o->output) return error_set(ERR_USAGE, "an output is needed: a folder");
    if (!o->count) return error_set(ERR_USAGE, "count is 0: nothing to render");
    if (o->seed > most || o->first < 1 || o->first > most || o->count > most - o->first || o->identities > most)
        return error_set(ERR_USAGE, "seed, first, count and identities are at most 2^53, first at least 1");
    if (o->format != MIEN_PICTURE_PNG && o->format != MIEN_PICTURE_JPG)
        return error_set(ERR_USAGE, "format %d: there is none of that number", (int)o->format);
    if (o->cpu && !cpu_level_parse(o->cpu, &level)) return error_set(ERR_USAGE, "%s: no such processor level", o->cpu);
    int rc = api_part(o->part, o->parts);
    if (rc == 0) rc = check("width", o->width, SYNTH_LEAST, SYNTH_MOST);
    if (rc == 0) rc = check("height", o->height, SYNTH_LEAST, SYNTH_MOST);
    if (rc == 0) rc = check("yaw", o->yaw, 0, 45);
    if (rc == 0) rc = check("pitch", o->pitch, 0, 35);
    if (rc == 0) rc = check("roll", o->roll, 0, 90);
    if (rc == 0) rc = check("the least face", o->face_least, 0.2, 1);
    if (rc == 0) rc = check("the most of a face", o->face_most, o->face_least, 1);
    if (rc == 0) rc = check("quality", o->quality, 1, 100);
    return rc < 0 ? rc : synth_run(o, result);
}
