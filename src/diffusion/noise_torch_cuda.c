/* SPDX-License-Identifier: Apache-2.0
 *
 * torch.randn with a CUDA generator: element i is the first normal number of Philox subsequence i, a draw's place in it is the draw's
 * number. That holds while a draw has no more elements than the GPU has resident threads (an A100 221,184, a T4 40,960); above, PyTorch lays threads out
 * by the GPU it runs on, and so numbers depend on that. Not compared with a GPU yet. */
#include <math.h>

#include "diffusion/noise_inside.h"

void noise_philox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]) {
    uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3], k0 = key[0], k1 = key[1];
    for (int round = 0; round < 10; round++) {
        uint64_t p0 = (uint64_t)c0 * 0xd2511f53u, p1 = (uint64_t)c2 * 0xcd9e8d57u;
        c0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
        c1 = (uint32_t)p1;
        c2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c3 = (uint32_t)p0;
        k0 += 0x9e3779b9u;
        k1 += 0xbb67ae85u;
    }
    out[0] = c0, out[1] = c1, out[2] = c2, out[3] = c3;
}

void noise_torch_cuda_normal(noise_source *s, float *out, size_t n) {
    const uint32_t key[2] = { (uint32_t)s->seed, (uint32_t)(s->seed >> 32) };
    for (size_t i = 0; i < n; i++) {
        uint32_t counter[4] = { (uint32_t)s->calls, (uint32_t)(s->calls >> 32), (uint32_t)i, (uint32_t)((uint64_t)i >> 32) }, r[4];
        noise_philox(counter, key, r);
        /* cuRAND's transform: u in (0,1], v in (0, 2 pi]. */
        float u = fmaf((float)r[0], 0x1p-32f, 0x1p-33f);
        float v = fmaf((float)r[1], 0x1p-32f * 6.2831855f, 0x1p-33f * 6.2831855f);
        out[i] = (float)(sqrt(-2.0 * log(u)) * sin(v));
    }
    s->calls++;
}
