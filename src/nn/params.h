/* SPDX-License-Identifier: Apache-2.0
 *
 * Parameters in the form a device's kernels read them: packed once, shared by every plan that uses them. A packed block
 * is named by the parameter's data (its address in the mapped checkpoint), type, shape and the layout's tag, so two plans over the
 * same file share it. The address is the name: a checkpoint stays mapped as long as the params live (its pages may be
 * dropped). Changed only while plans are made (one thread at a time), read-only afterwards. */
#ifndef NN_PARAMS_H
#define NN_PARAMS_H

#include "nn/graph.h"

typedef struct params params;
params *params_new(void);
/* One that only counts: plans made with it can tell plan_bytes, and it params_bytes; nothing is packed, and they do not run. To ask
 * what a model will take before gigabytes are read. */
params *params_new_counting(void);
void    params_free(params *p);     /* after all plans that use it */
size_t  params_bytes(const params *p);
bool    params_counts(const params *p);

/* From here on, packed(context, data, bytes) is told of each parameter that has been packed, with its stored bytes: whoever mapped them
 * may let their pages go. Another plan that wants it in another form reads it again. */
typedef void params_packed(void *context, const void *data, size_t bytes);
void    params_on_packed(params *p, params_packed *packed, void *context);

/* The packed block of `t` under `tag` (say everything the layout depends on: "ohwi16/pad32"); made by pack(dst, t,
 * context) on first use. 64-byte aligned, zeroed before pack. NULL, with a message, without memory or if pack returned
 * ERR_*: then nothing is kept. */
typedef int params_packer(void *dst, const tensor *t, const void *context);
const void *params_pack(params *p, const tensor *t, const char *tag, size_t bytes, params_packer *pack, const void *context);

/* What a kernel says of the form of a block that it has packed, so that others can make theirs of it: copied. 0, or ERR_MEMORY. */
int  params_describe(params *p, const tensor *t, const void *packed, const void *description, size_t bytes);
/* A block of t that was described, with its description; or NULL. */
const void *params_described(const params *p, const tensor *t, const void **description);

/* t will be packed soon: its pages are read meanwhile, if they are not in memory and it is not packed yet. */
void params_expect(const params *p, const tensor *t);

/* All of t's elements as plain f32. */
const float *params_f32(params *p, const tensor *t);

#endif
