/* SPDX-License-Identifier: Apache-2.0
 *
 * A run's checkpoints: all that a step depends on, to the bit. Each is a folder RUN/checkpoints/step-000123/ with
 *
 *     checkpoint.json                       what belongs to it, with sizes and checksums: the folder counts by it
 *     control.safetensors                   the ControlNet, as `mien generate` takes it
 *     control_average.safetensors           the same of the weights' average, if one is kept
 *     base.safetensors                      the base, if some of it is trained
 *     base_average.safetensors              the same of the weights' average, if one is kept
 *     tokenizer/                            the base's own, if it has one: vocab.json and merges.txt
 *     state.safetensors                     the rest: "m.<name>", "v.<name>" or "moments.<name>", "scales.<name>"; "run.<name>" for what is not about a weight
 *
 * It is written under a hidden name, brought to the disk, and renamed: whatever ends the process, the earlier ones stay
 * as they were. */
#ifndef TRAIN_SAVE_H
#define TRAIN_SAVE_H

#include <limits.h>

#include "mien.h"
#include "nn/tensor.h"
#include "weights/checkpoint.h"

/* A number array that outlives steps, of a trained weight. kind: "weight" (f32), "average" (f32), or the optimiser's
 * own. name: canonical. */
typedef struct {
    const char *name, *kind;
    nn_shape shape;
    stored_type type;                /* as it is saved */
    void *data;
    uint16_t *low;                   /* not NULL: data are bf16, and these the bits that they lack of the f32 that is saved
                                      * (nn/halves.h) */
} save_state;
/* The same of the run: generators, places in the data, the smoothed loss. Bytes as they lie in memory. optional: left
 * as it is where the checkpoint has none of this size. A value "step" of 8 bytes is the step that is done: a checkpoint
 * whose state is of another one than its folder is not whole. */
typedef struct { const char *name; void *data; size_t bytes; bool optional; } save_value;
/* Of control*.safetensors, before what the model had: { "mien.only_mid_control", "true" }. */
typedef struct { const char *key, *value; } save_metadata;

typedef struct {
    const checkpoint *model;         /* what is trained, as it was opened */
    const save_state *states;
    size_t n_states;
    const save_value *values;
    size_t n_values;
    const save_metadata *metadata;
    size_t n_metadata;
    const char *tokenizer;           /* a folder, for a base to be found with; NULL: none of its own */
    mien_dtype dtype;                /* of control*.safetensors and of what is new in base.safetensors: AUTO is F32. Nothing is lost by another: then
                                      * state.safetensors has the f32 */
} save_contents;

typedef struct {
    const char *run;                 /* the folder */
    uint64_t step;                   /* done so far */
    double measure;                  /* the smaller the better: a loss, an error; NaN: unknown. The best one is kept */
    int keep;                        /* the last so many, at least one */
    const mien_hooks *hooks;         /* log only; may be NULL */
} save_options;

/* Writes a checkpoint, and removes those that are no longer kept. On failure all earlier ones are as they were.
 * ERR_FULL: the disk is full. What stands by its name and is no checkpoint is set aside, which hooks are told. */
int  save_write(const save_options *o, const save_contents *what);
/* Bytes that one will take on the disk, to a few thousand; 0 with a message: ERR_*. */
int  save_bytes(const save_contents *what, uint64_t *out);

typedef struct {
    uint64_t step;
    double measure;                  /* NaN: unknown */
    char path[PATH_MAX];
} save_found;
/* The latest that is whole (every byte is read); others are told of. 1; 0: there are none; ERR_FORMAT: there are, and
 * none is whole; ERR_*. */
int  save_find(const char *run, const mien_hooks *hooks, save_found *out);
/* Fills all states and values, whose names, types and sizes must be those that were saved. */
int  save_load(const save_found *found, const save_contents *what);

/* Bytes of the checkpoints that are there. */
uint64_t save_bytes_there(const char *run);

/* What was left half written or half removed, where no other process writes. */
void save_remove_leftovers(const char *run, const mien_hooks *hooks);
/* A file or folder is on the disk as it is in memory. */
int  save_sync(const char *path);

/* ---- checkpoint.json, of hostile bytes ------------------------------------------------------------------------------------- */

enum { SAVE_CONTROL, SAVE_AVERAGE, SAVE_BASE, SAVE_BASE_AVERAGE, SAVE_STATE, SAVE_FILES };
extern const char *const save_names[SAVE_FILES];
typedef struct {
    uint64_t step;
    double measure;
    bool has[SAVE_FILES];
    uint64_t bytes[SAVE_FILES], hash[SAVE_FILES];
} save_list;
int  save_list_read(const char *name, const uint8_t *data, size_t size, save_list *out);

/* A checksum against what disks and copies do, not against people: four lanes over 32-byte blocks, at the speed of
 * memory. Zeroed begins. */
typedef struct { uint64_t lane[4], bytes; uint8_t rest[32]; } save_sum;
void     save_sum_add(save_sum *s, const void *data, size_t size);
uint64_t save_sum_end(save_sum *s);

#endif
