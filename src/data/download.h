/* SPDX-License-Identifier: Apache-2.0
 *
 * The download job: the photos of metadata.json to target/<id>.jpg, whatever they are. What became of each item is appended
 * to the journal `download` (data/journal.h), a line an attempt that came to an end:
 *     {"id", "url", "status": "ok" or a reason's name, "http": 200, "width", "height", "bytes", "sha256", "seconds", "time"}
 * and where they apply "note" (ok: "rescaled: ...", "was there"), "why", "final_url". A file counts as done if it is there and its last
 * line says ok; a file without a line (killed between the two, or fetched by another tool) is checked and gets one. */
#ifndef DATA_DOWNLOAD_H
#define DATA_DOWNLOAD_H

#include <stdbool.h>

#include "mien.h"

typedef mien_download_options download_options;

const char *const *download_reasons(void);             /* as mien_download_reasons */
bool download_reason_known(const char *name);
bool download_contact_fits(const char *contact);       /* for a header; NULL is fine */

/* The options make sense: mien_download has looked. *result (may be NULL) and the options' times are filled in any case. */
int download_run(const download_options *options, mien_progress *result);

#endif
