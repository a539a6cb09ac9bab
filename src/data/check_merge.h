/* SPDX-License-Identifier: Apache-2.0
 *
 * What parts of download and build have done becomes one: their journals, and from these prompt.jsonl and metadata.json. */
#ifndef DATA_CHECK_MERGE_H
#define DATA_CHECK_MERGE_H

#include "mien.h"

/* The folder is locked by the caller, alone. */
int check_merge(const char *folder, const mien_hooks *hooks, mien_check_result *result);

#endif
