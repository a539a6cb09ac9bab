/* SPDX-License-Identifier: Apache-2.0
 *
 * The job that renders faces into a folder: <seed>-<number>.png and beside it <seed>-<number>.json (synth/sidecar.h).
 *
 * There is no state beside the files. A picture is written before its sidecar, each aside and renamed; so a sidecar vouches for
 * a picture that is there, and a picture without one is made again: if the bytes are the same, it was ours. What is ours by
 * other settings is replaced; what is not ours, or was edited, fails that item unless forced. */
#ifndef SYNTH_SYNTH_H
#define SYNTH_SYNTH_H

#include "mien.h"

/* The options make sense: mien_synth has looked. 0 if the job came to its end (see result->failed), ERR_USAGE, ERR_EXISTS if
 * another process writes there, ERR_FULL, ERR_CANCELLED. */
int synth_run(const mien_synth_options *options, mien_progress *result);

#endif
