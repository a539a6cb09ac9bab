/* SPDX-License-Identifier: Apache-2.0
 *
 * How judgements show themselves: `mien eval --map` and `mien generate --check`. */
#ifndef CLI_JUDGEMENT_H
#define CLI_JUDGEMENT_H

#include "base/text.h"
#include "mien.h"

/* One picture's, as lines that begin with two blanks, without its name. */
void judgement_print(const mien_judgement *j);
/* "1 of 1 face found, 1 more; score 0.83" */
void judgement_headline(const mien_judgement *j, char *out, size_t size);
/* Of several pictures. */
void judgement_print_summary(const mien_summary *s);

/* ,"judgement":{...} */
void judgement_add(text *out, const mien_judgement *j);
/* "pictures":3,"wanted":3,...,"detection":{"value":...},...,"errors":{"landmarks":{"mean":{...},"median":{...}},...} */
void judgement_add_summary(text *out, const mien_summary *s);
/* That judge and annotator are one network: "caveat":"..." */
void judgement_add_caveat(text *out);

#endif
