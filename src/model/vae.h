/* SPDX-License-Identifier: Apache-2.0
 *
 * The autoencoder of Stable Diffusion (ldm's AutoencoderKL, f = 8): pictures in -1..1, latents as the VAE has them (before the
 * factor 0.18215). Any width and depth. */
#ifndef MODEL_VAE_H
#define MODEL_VAE_H

#include "model/param.h"

typedef struct {
    size_t channels, latent_channels;   /* of the finest level; of the latent: 4 */
    int levels, encoder_blocks, decoder_blocks, groups;   /* encoder_blocks 0: there is no encoder */
    int factor;                         /* pixels a latent: 2^(levels - 1) */
} vae_config;

/* The decoder must be there. */
int vae_configure(const checkpoint *c, vae_config *out);
/* [N,h,w,4] -> [N,factor*h,factor*w,3] */
tensor *vae_decode_build(graph *g, const checkpoint *c, const vae_config *f, tensor *latent);
/* [N,H,W,3] -> moments [N,H/factor,W/factor,8]: mean, then the logarithm of the variance */
tensor *vae_encode_build(graph *g, const checkpoint *c, const vae_config *f, tensor *picture);

#endif
