/* SPDX-License-Identifier: Apache-2.0
 *
 * The frozen encoders of training: the VAE's half, and the text encoder. Each is planned, and its weights packed, when
 * something is to be encoded, and let go by encoders_rest. Each picture and each prompt is computed alone, so that what
 * comes of it depends on nothing beside it. One thread at a time. */
#ifndef TRAIN_CACHE_ENCODERS_H
#define TRAIN_CACHE_ENCODERS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/cpu.h"
#include "model/tokenizer.h"
#include "weights/checkpoint.h"

typedef enum { ENCODER_VAE, ENCODER_TEXT, ENCODERS } encoder_kind;

typedef struct {
    bool needed[ENCODERS];           /* the model may lack what is not */
    int size;                        /* of pictures: a multiple of the VAE's factor */
    bool bf16;
    int threads;
    cpu_level cpu;
    const volatile int *stop;        /* base/stop.h; may be NULL */
} encoders_options;

typedef struct encoders encoders;

/* c stays open as long as the encoders. No weight is read yet. */
int  encoders_open(const encoders_options *options, checkpoint *c, encoders **out);
void encoders_close(encoders *e);    /* NULL is fine */

size_t encoders_side(const encoders *e);         /* of latents */
size_t encoders_channels(const encoders *e);     /* of latents: 4; 0 if the VAE is not needed */
size_t encoders_width(const encoders *e);        /* of texts; 0 if they are not needed */

/* SHA-256 of the weights, and of the settings that they are computed by: of this network alone, whatever file it came
 * in. (checkpoint_hash is of the UNet's file where the model is a folder: another VAE beside it would not be seen.)
 * Reads all of them. */
int  encoders_hash(const encoders *e, encoder_kind which, char hex[65]);

/* RGB bytes [size,size,3] -> moments [side,side,2 channels]. */
int  encoders_picture(encoders *e, const uint8_t *rgb, float *moments);
/* -> [TOKENS,width], rounded to f16. */
int  encoders_text(encoders *e, const int32_t ids[TOKENS], uint16_t *out);

bool encoders_awake(const encoders *e, encoder_kind which);
void encoders_rest(encoders *e, encoder_kind which);
/* Bytes of memory while it is awake, weights and activations. Counted, not taken. */
int  encoders_bytes(const encoders *e, encoder_kind which, size_t *bytes);
double encoders_seconds(const encoders *e);      /* spent on both, planning included */

/* To nearest, ties to even; what is too large for f16 becomes its largest number. */
uint16_t encoders_half(float x);

#endif
