/* SPDX-License-Identifier: Apache-2.0
 *
 * Normal random numbers for a seed, those of PyTorch (docs/exactness.md says what was compared). One
 * generator is one thread's; neither the number of threads nor the CPU changes a bit of what it gives. */
#ifndef DIFFUSION_NOISE_H
#define DIFFUSION_NOISE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum { NOISE_TORCH_CPU, NOISE_TORCH_CUDA, NOISES } noise_kind;

extern const char *const noise_names[NOISES + 1];   /* "torch-cpu", "torch-cuda"; NULL ends them */

/* torch.Generator(...).manual_seed(seed), going on from draw to draw as that does. Plain data: a copy goes on from the same place. A negative
 * seed is its two's complement in 64 bits, as in PyTorch; torch-cpu looks at the lower 32 of them only. */
typedef struct {
    noise_kind kind;
    uint64_t seed;
    uint32_t state[624];     /* torch-cpu: MT19937; words before `at` are used up */
    int at;
    bool has_next;           /* torch-cpu: numbers of draws of fewer than 16 come in pairs, and the second one waits */
    double next;
    uint64_t calls;          /* torch-cuda: draws so far */
} noise_source;

void noise_seed(noise_source *s, noise_kind kind, uint64_t seed);
/* torch.randn(n), n >= 1. Two draws of n/2 are not one of n. */
void noise_normal(noise_source *s, float *out, size_t n);
/* torch.rand(n): uniform in [0,1). torch-cpu only. */
void noise_uniform(noise_source *s, float *out, size_t n);
/* torch.randn([n, channels, h, w]) in our layout, [n, h, w, channels]. ERR_MEMORY. */
int  noise_pictures(noise_source *s, size_t n, size_t h, size_t w, size_t channels, float *out);

#endif
