/* SPDX-License-Identifier: Apache-2.0
 *
 * What lies beside a rendered picture: <id>.json, a sidecar as `mien build` reads it, with all that is known of the picture
 * under "synth" (docs/formats.md).
 *
 *     {"caption": "...", "NSFW": "UNLIKELY",
 *     "synth": {"format":1,"renderer":1,"draw":1,"seed":7,"number":42,"settings":"0123456789abcdef",
 *     "file":"7-000042.png","sha256":"...","width":256,"height":256,"identity":42,
 *     "words":{"person":"woman",...},
 *     "face":{"sex":-0.6,...},
 *     "truth":{...},
 *     "sum":"..."}}
 *
 * It vouches for the picture (sha256), and "sum", the SHA-256 of all bytes before it, for itself: so a run knows what is done,
 * and what somebody edited. */
#ifndef SYNTH_SIDECAR_H
#define SYNTH_SIDECAR_H

#include <stdbool.h>
#include <stdint.h>

#include "base/text.h"
#include "synth/draw.h"

typedef struct {
    uint64_t seed, number;
    char settings[17];          /* a hash of all that the picture follows from besides */
    const char *file;           /* the picture's name */
    char sha256[65];
    int width, height;
} synth_origin;

void synth_sidecar_write(const synth_origin *origin, const synth_draw *d, const synth_truth *truth, const char *caption,
    text *out);

typedef enum {
    SYNTH_ABSENT,
    SYNTH_FOREIGN,            /* not of this job */
    SYNTH_LOST,               /* it has no bytes: a power failure */
    SYNTH_OTHER,              /* ours, by other settings or another version */
    SYNTH_SAME,               /* of this seed, number, settings and version */
} synth_sidecar_state;

typedef struct {
    synth_sidecar_state state;
    bool edited;                /* of OTHER and SAME: not as it was written */
    char file[256], sha256[65]; /* of the picture that it is about */
} synth_seen;

/* 0 or ERR_*; nothing of a file that is there and is no such sidecar is an error. */
int synth_sidecar_look(const char *path, const synth_origin *origin, synth_seen *out);
/* The same of bytes. */
void synth_sidecar_read(const uint8_t *data, size_t size, const synth_origin *origin, synth_seen *out);

#endif
