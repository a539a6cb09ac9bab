/* SPDX-License-Identifier: Apache-2.0
 *
 * Normal random numbers for a seed, equal to PyTorch's (../shared/spec/sampling.md, "Noise"): any number of threads, any layout of ours,
 * the same numbers. */
#ifndef DIFFUSION_NOISE_H
#define DIFFUSION_NOISE_H

#include <stddef.h>
#include <stdint.h>

typedef enum { NOISE_TORCH_CPU, NOISE_TORCH_CUDA } noise_kind;

/* One generator: torch.Generator(...).manual_seed(seed). Plain data: a copy goes on from the same place. */
typedef struct {
    noise_kind kind;
    uint64_t seed;
    uint32_t state[624];     /* MT19937 */
    int at;
    uint64_t calls;          /* Philox: the offset */
} noise_source;

void noise_seed(noise_source *s, noise_kind kind, uint64_t seed);
/* The next n values of torch.randn(n), n >= 1. */
void noise_normal(noise_source *s, float *out, size_t n);
/* The next n values of torch.rand(n): uniform in 0..1. torch-cpu only. */
void noise_uniform(noise_source *s, float *out, size_t n);
/* torch.randn([n, channels, h, w]) laid out as ours, [n, h, w, channels]. ERR_MEMORY. */
int  noise_pictures(noise_source *s, size_t n, size_t h, size_t w, size_t channels, float *out);

#endif
