/* SPDX-License-Identifier: Apache-2.0
 *
 * Photos through a model's VAE, there and back: the means of their posteriors, decoded. What it loses no picture of that model
 * has. */
#ifndef EVAL_VAE_H
#define EVAL_VAE_H

#include "base/cpu.h"
#include "image/image.h"
#include "weights/checkpoint.h"

typedef struct {
    const checkpoint *c;
    cpu_level cpu;
    int threads;
    bool bf16;
    size_t memory;                  /* the most to use; 0: any */
    const volatile int *stop;
} vae_round_options;

typedef struct vae_round vae_round;

bool vae_round_possible(const checkpoint *c);      /* there is an encoder */
int  vae_round_open(const vae_round_options *o, vae_round **out);
void vae_round_close(vae_round *v);                /* NULL is fine */
/* Of any size in multiples of 8; of the same as the last one it is quicker. The caller frees *out. ERR_LIMIT if memory does not
 * suffice. */
int  vae_round_run(vae_round *v, const image *photo, image *out);

#endif
