/* SPDX-License-Identifier: Apache-2.0
 *
 * Inside the diffusion room: the two generators behind noise.h. */
#ifndef DIFFUSION_NOISE_INSIDE_H
#define DIFFUSION_NOISE_INSIDE_H

#include "diffusion/noise.h"

void noise_torch_cpu_seed(noise_source *s);
void noise_torch_cpu_normal(noise_source *s, float *out, size_t n);
void noise_torch_cpu_uniform(noise_source *s, float *out, size_t n);

void noise_torch_cuda_normal(noise_source *s, float *out, size_t n);

/* Philox 4x32 with 10 rounds (Salmon et al. 2011). */
void noise_philox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]);

#endif
