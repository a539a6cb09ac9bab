/* SPDX-License-Identifier: Apache-2.0 */
#include "diffusion/noise.h"

#include <assert.h>
#include <stdlib.h>

#include "base/error.h"
#include "diffusion/noise_inside.h"

const char *const noise_names[NOISES + 1] = { "torch-cpu", "torch-cuda", NULL };

void noise_seed(noise_source *s, noise_kind kind, uint64_t seed) {
    *s = (noise_source){ .kind = kind, .seed = seed };
    if (kind == NOISE_TORCH_CPU) noise_torch_cpu_seed(s);
}

void noise_normal(noise_source *s, float *out, size_t n) {
    if (s->kind == NOISE_TORCH_CPU) noise_torch_cpu_normal(s, out, n);
    else noise_torch_cuda_normal(s, out, n);
}

void noise_uniform(noise_source *s, float *out, size_t n) {
    assert(s->kind == NOISE_TORCH_CPU);
    noise_torch_cpu_uniform(s, out, n);
}

int noise_pictures(noise_source *s, size_t n, size_t h, size_t w, size_t channels, float *out) {
    size_t place, count, bytes;
    if (__builtin_mul_overflow(h, w, &place) || __builtin_mul_overflow(place, n, &count) || __builtin_mul_overflow(count, channels, &count) ||
        __builtin_mul_overflow(count, sizeof *out, &bytes))
        return error_memory(SIZE_MAX);
    float *planes = malloc(bytes ? bytes : 1);   /* [n,channels,h,w] */
    if (!planes) return error_memory(bytes);
    noise_normal(s, planes, count);
    for (size_t i = 0; i < n; i++)
        for (size_t c = 0; c < channels; c++)
            for (size_t p = 0; p < place; p++) out[(i * place + p) * channels + c] = planes[(i * channels + c) * place + p];
    free(planes);
    return 0;
}
