/* SPDX-License-Identifier: Apache-2.0
 *
 * What a picture's file says about how it was made: the "parameters" text that AUTOMATIC1111's program writes and other programs read.
 *
 *     a portrait, best quality
 *     Negative prompt: lowres
 *     Steps: 20, Sampler: DDIM, CFG scale: 9, Seed: 1, Size: 512x512, Model hash: 0123456789, RNG: CPU, Precision: bf16,
 *     ControlNet 0: "Module: mediapipe_face, Model: control [0123456789], Weight: 1, Guidance Start: 0, Guidance End: 1,
 *     Control Mode: Balanced, Map: 0123456789", Version: mien 0.1.0          (one line, this and the two above)
 *
 * A picture that the base made alone has nothing of a ControlNet.
 * A picture that was kept as one of the best of several has "Best of: 8, First seed: 1, Place: 1" before the version.
 *
 * No path and no name stands in it. Map: the first digits of the SHA-256 of the control map, by which a later run knows it again. */
#ifndef GENERATE_PARAMETERS_H
#define GENERATE_PARAMETERS_H

#include <stddef.h>
#include <stdint.h>

#include "generate/settings.h"

enum { PARAMETERS_MOST = 256 << 10 };   /* bytes of such a text that is read */

typedef struct {
    picture_settings how;     /* width and height are the picture's; with the short hashes */
    char map[11];             /* "": unknown */
    int best_of, place;       /* it was kept of so many, being at that place from 1 on; best_of 0: it was not chosen */
    long long first_seed;     /* theirs began there */
    bool alone;               /* the base made it by itself: nothing is written of a control. Not read */
} picture_record;

/* Line ends and control characters in prompts become blanks, which are the same to the tokenizer, or nearly. */
void parameters_write(const picture_record *r, text *out);
/* Of hostile bytes. What is not told is as settings_defaults, prompts apart, which are empty. out->how.strings is to be freed
 * (mien_picture_settings_free), also out->how.note. ERR_FORMAT if it is no such text. */
int  parameters_read(const char *data, size_t size, picture_record *out);

#endif
