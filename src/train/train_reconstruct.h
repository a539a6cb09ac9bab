/* SPDX-License-Identifier: Apache-2.0
 *
 * Photos through the VAE that is trained, for sheets and for what they say of it. */
#ifndef TRAIN_TRAIN_RECONSTRUCT_H
#define TRAIN_TRAIN_RECONSTRUCT_H

#include "image/image.h"
#include "train/train_inside.h"

typedef struct reconstructor reconstructor;

/* stop: base/stop.h; may be NULL. */
int  reconstructor_open(const train_job *j, const volatile int *stop, reconstructor **out);
void reconstructor_close(reconstructor *r);      /* NULL is fine */
/* photo: of the training's size. out may be NULL; else it is the caller's to free. */
int  reconstructor_run(reconstructor *r, const image *photo, image *out);

/* What one would take, of a j->t that counts. */
int  reconstructor_needs(const train_job *j, engine_share *out);

/* Of all that it was given: the peak signal-to-noise ratio in decibels, and the standard deviation of its latents' samples. */
double reconstructor_psnr(const reconstructor *r);
double reconstructor_deviation(const reconstructor *r);

#endif
