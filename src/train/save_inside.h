/* SPDX-License-Identifier: Apache-2.0
 *
 * What writing and reading of checkpoints share. */
#ifndef TRAIN_SAVE_INSIDE_H
#define TRAIN_SAVE_INSIDE_H

#include "base/text.h"
#include "train/save.h"

#define SAVE_FOLDER "checkpoints"
#define SAVE_LIST   "checkpoint.json"
enum { SAVE_LIST_BYTES = 1 << 16, SAVE_NAME = 2 * 256 };

/* ERR_IO where it is too long. */
int  save_path(char out[PATH_MAX], const char *format, ...) __attribute__((format(printf, 2, 3)));
/* A message without the folder that it may begin with. */
const char *save_inner(const char *message, const char *folder);
/* The step of "step-000123"; false for other names. */
bool save_folder_name(const char *name, uint64_t *step);

/* The steps of all folders of such names, in no order; *out is freed by the caller. */
int  save_steps(const char *run, uint64_t **out, size_t *count);

int  save_list_write(const save_list *l, text *out);
int  save_list_load(const char *folder, save_list *out);       /* ERR_IO too where there is none */
/* ERR_FORMAT: a list of another step than its folder's name says. */
int  save_other_step(const char *folder, uint64_t step);
/* The files of a tokenizer; the folder `tokenizer` below a checkpoint's. */
extern const char *const save_tokenizer_files[3];        /* NULL ends them */
#define SAVE_TOKENIZER "tokenizer"
/* Of a whole file, read through once without staying in memory. */
int  save_sum_file(const char *path, uint64_t *bytes, uint64_t *sum);

/* Where a state is kept: SAVE_CONTROL, SAVE_AVERAGE or, exactly or at all only there, SAVE_STATE. */
int  save_place(const save_contents *what, const save_state *s);
/* Its name in there. */
void save_name(int place, const save_state *s, char out[SAVE_NAME]);

/* The n-th hidden name of a checkpoint that is being written, or removed: leftovers by such a name are nobody's. */
int  save_hidden(const char *run, uint64_t step, unsigned n, char out[PATH_MAX]);
/* Removes our files of a folder, checkpoint.json first, and the folder if nothing else is in it. */
void save_remove(const char *path);
/* If something is there by this name, it's the user's: it gets one beside `path`, of a checkpoint, that is free, and
 * hooks (may be NULL) are told. */
int  save_show(const char *there, const char *path, const mien_hooks *hooks);
/* Keeps the last `keep` and the best. */
void save_prune(const char *run, uint64_t last, int keep, const mien_hooks *hooks);

#endif
