/* SPDX-License-Identifier: Apache-2.0
 *
 * Kernels for an autoencoder's posterior: posterior_sample, posterior_kl, and their gradients. Sums are cut by shape alone. */
#ifndef NN_CPU_POSTERIOR_H
#define NN_CPU_POSTERIOR_H

#include "nn/device.h"

const kernel *posterior_kernels(cpu_level level, size_t *n);   /* level: AVX2 or above */

#endif
