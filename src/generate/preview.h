/* SPDX-License-Identifier: Apache-2.0
 *
 * A rough look at a latent without the decoder: each of its pixels is nearly a colour. */
#ifndef GENERATE_PREVIEW_H
#define GENERATE_PREVIEW_H

#include <stddef.h>

#include "base/cpu.h"
#include "image/image.h"

/* latent [h,w,4], scaled as the UNet has it. The picture is 8 times as large; the caller frees it. */
int preview_of_latent(const float *latent, size_t h, size_t w, cpu_level cpu, image *out);

#endif
