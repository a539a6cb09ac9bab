/* SPDX-License-Identifier: Apache-2.0
 *
 * The preview job: contact sheets of some items of a data set, and statistics of all. Parallel over items: whoever draws the last
 * tile of a page encodes and writes it, so no more pages are in memory than there are threads, and one. */
#ifndef DATA_PREVIEW_H
#define DATA_PREVIEW_H

#include "mien.h"

typedef mien_preview_options preview_options;
typedef mien_progress preview_progress;

/* statistics and result may be NULL. */
int preview_run(const preview_options *options, mien_statistics *statistics, preview_progress *result);

#endif
