/* SPDX-License-Identifier: Apache-2.0
 *
 * REPORT/settings.json: all that a report's pictures follow from, so that what goes on is the same evaluation.
 *
 *     {"format":1,"kind":"eval","mien":"0.1.0","settings":{"count":100,"seeds":1,"steps":20,...},
 *      "models":{"base":"0123456789","control":"0123456789"},"data":{"lines":N,"fingerprint":"...","items":100,"chosen":"..."}} */
#ifndef EVAL_EVAL_SETTINGS_H
#define EVAL_EVAL_SETTINGS_H

#include "base/text.h"

/* Where there is none yet, it is written; where there is one it must say the same, version apart: ERR_USAGE names the first
 * difference. */
int eval_settings_hold(const char *folder, const text *ours);
/* The same of bytes that were read, hostile ones; name is what errors call them. */
int eval_settings_compare(const char *name, const char *data, size_t size, const text *ours);

#endif
