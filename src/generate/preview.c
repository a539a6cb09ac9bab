/* SPDX-License-Identifier: Apache-2.0 */
#include "generate/preview.h"

/* The linear map from Stable Diffusion 1's latent to colours that Keturn fitted (discuss.huggingface.co, "Decoding latents to RGB without
 * upscaling", 2022); 2.x has the same autoencoder but for its decoder. */
static const float to_rgb[4][3] = { { 0.298f, 0.207f, 0.208f }, { 0.187f, 0.286f, 0.173f }, { -0.158f, 0.189f, 0.264f }, { -0.184f, -0.271f, -0.473f } };

static uint8_t byte_of(float x) {
    float v = (x / 2 + 0.5f) * 255;
    return v >= 255 ? 255 : v > 0 ? (uint8_t)v : 0;
}

int preview_of_latent(const float *latent, size_t h, size_t w, cpu_level cpu, image *out) {
    image small;
    int rc = image_new((int)w, (int)h, &small);
    if (rc < 0) return rc;
    for (size_t i = 0; i < h * w; i++)
        for (int c = 0; c < 3; c++) {
            float sum = 0;
            for (int k = 0; k < 4; k++) sum += latent[4 * i + (size_t)k] * to_rgb[k][c];
            small.rgb[3 * i + (size_t)c] = byte_of(sum);
        }
    rc = image_resize(&small, (int)w * 8, (int)h * 8, RESIZE_BICUBIC, cpu, out);
    image_free(&small);
    return rc;
}
