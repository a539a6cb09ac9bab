/* SPDX-License-Identifier: Apache-2.0
 *
 * oneDNN's convolution and matrix product behind the kernel contract: conv2d, depthwise_conv2d and linear, alone or with what
 * follows them (a residual, an activation, geglu); f32, and bf16 where the processor has AVX-512 bf16. Nodes flagged `ordered` are
 * left to others.
 *
 * The library is opened when the first such step is prepared, not when the program starts: linked in, it would cost
 * every process 3 ms and 15 MB of relocated pages. It is looked for where the program's (or libmien's) run path says. */
#ifndef NN_CPU_ONEDNN_H
#define NN_CPU_ONEDNN_H

#include "nn/device.h"

/* Adds the kernels to the device. They never run an implementation above the device's level. */
int onednn_add(device *d);

#endif
