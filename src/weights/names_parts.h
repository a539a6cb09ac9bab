/* SPDX-License-Identifier: Apache-2.0
 *
 * Within the name maps: reading and writing pieces of names. */
#ifndef WEIGHTS_NAMES_PARTS_H
#define WEIGHTS_NAMES_PARTS_H

#include "weights/names.h"

/* Moves *s past `word` if it begins with that. */
bool name_skip(const char **s, const char *word);
/* Moves *s past "<number>." of at most three digits, none of them a leading zero. */
bool name_number(const char **s, int *n);
/* printf into out; false if it does not fit. */
bool name_write(char out[NAME_MOST], const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Beginnings of names that differ between two layouts; a pair is taken where the name goes on with '.' or ends. */
typedef struct { const char *a, *b; } name_pair;
/* Writes `tail` with its beginning replaced, from a to b (or back); false if no pair has it. */
bool name_exchange(const name_pair *pairs, size_t n, bool back, const char *tail, char out[NAME_MOST]);

bool unet_name_to_ldm(const name_ladder *l, network net, const char *name, char out[NAME_MOST]);
bool unet_name_to_diffusers(const name_ladder *l, network net, const char *name, char out[NAME_MOST]);
bool unet_name_is_ldm(const name_ladder *l, network net, const char *name);
void unet_ladder_add(name_ladder *l, name_style style, const char *name);
void unet_ladder_end(name_ladder *l, name_style style);

bool vae_name_to_ldm(const name_ladder *l, const char *name, char out[NAME_MOST]);
bool vae_name_to_diffusers(const name_ladder *l, const char *name, char out[NAME_MOST]);
bool vae_name_is_ldm(const char *name);
void vae_ladder_add(name_ladder *l, name_style style, const char *name);

bool text_name_is_hf(const char *name);
int  text_name_from_openclip(const char *name, int part, char out[NAME_MOST]);
bool text_name_to_openclip(const char *name, char out[NAME_MOST], int *part);

#endif
