/* SPDX-License-Identifier: Apache-2.0
 *
 * The job that makes of a data set what can be passed on: a zip without photos, or tar shards with them. */
#ifndef DATA_PACKAGE_H
#define DATA_PACKAGE_H

#include "mien.h"

/* The options make sense: mien_package has looked. *result (may be NULL) is filled in any case. */
int package_run(const mien_package_options *options, mien_progress *result);

#endif
