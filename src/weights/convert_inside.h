/* SPDX-License-Identifier: Apache-2.0
 *
 * What convert, transfer and init share. */
#ifndef WEIGHTS_CONVERT_INSIDE_H
#define WEIGHTS_CONVERT_INSIDE_H

#include "base/text.h"
#include "mien.h"
#include "weights/checkpoint_inside.h"
#include "weights/tensor_list.h"

#define EXTRA_FILE   "mien_extra.safetensors"   /* in a diffusers folder: what has no place in it */
#define EXTRA_PREFIX "mien_extra."              /* in one file: what has a place in a folder only; the stored name follows */
#define FORMAT_KEY   "mien.format"              /* metadata: the version of all that begins with "mien." */

/* ---- how a job tells of itself ------------------------------------------------------------------------------------------- */

typedef struct {
    const mien_hooks *hooks;
    mien_progress progress;          /* in megabytes */
    size_t bytes, total;
    double begin, told;
} convert_job;

void convert_begin(convert_job *j, const mien_hooks *hooks);
/* For tensor_list_target.moved. */
void convert_moved(void *j, size_t bytes);
void convert_end(convert_job *j);
void convert_log(const convert_job *j, mien_log_kind kind, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* ---- outputs ---------------------------------------------------------------------------------------------------------------- */

/* Refuses an output that is one of the inputs (NULL ones are none), that is a file named like PyTorch's (.ckpt), that
 * cannot be written, or that is there and not `force`d. folder: it is to be one. */
int convert_output_check(const char *output, bool folder, bool force, const char *const inputs[], int n);

/* Of networks (CHECKPOINT_*) of which no tensor is missing: what fits is as it should be, what can't be told is a warning. */
int convert_check_shapes(const convert_job *j, const checkpoint *c, unsigned networks, checkpoint_shapes shapes);

/* The name of a stored tensor's like in the original's layout; bare files get the prefix. False: too long. */
bool convert_ldm_name(const name_source *from, int family, network net, const char *rest, const char *canonical,
                      char out[2 * NAME_MOST]);

/* The type that a tensor is written in: `wish`, or its own if that is MIEN_DTYPE_AUTO or it holds no such numbers. */
stored_type convert_output_type(stored_type own, mien_dtype wish);

/* A file's metadata but for settings and the tokenizer, which follow from what is written. */
int convert_carry(tensor_list *l, const weights *w);
/* Settings that differ from the family's (s NULL: none, they have config files), then what metadata the input has, format
 * and version. */
int convert_output_metadata(tensor_list *l, const checkpoint *c, const checkpoint_settings *s);
int convert_output_save(const tensor_list *l, const char *path, bool replace, uint64_t seed, convert_job *j);

/* ---- diffusers' config files -------------------------------------------------------------------------------------------- */

int convert_config_unet(const checkpoint *c, network net, text *out);   /* UNet or ControlNet */
int convert_config_vae(const checkpoint *c, text *out);
int convert_config_text(const checkpoint *c, int layers, text *out);
int convert_config_scheduler(const checkpoint_settings *s, text *out);
int convert_config_index(const checkpoint *c, bool tokenizer, text *out);

#endif
