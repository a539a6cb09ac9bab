/* SPDX-License-Identifier: Apache-2.0
 *
 * Settings as metadata of a safetensors file ("mien.heads": "4"), where config files have no place: what differs from the
 * family's is written, so that a model that went from a folder into a file is still the same model. */
#ifndef WEIGHTS_SETTINGS_METADATA_H
#define WEIGHTS_SETTINGS_METADATA_H

#include "weights/checkpoint.h"

enum { SETTING_TEXT = 48 };

size_t      settings_fields(void);
const char *settings_key(size_t i);                                        /* "mien.heads" */
bool        settings_is_key(const char *key);
/* The value of field i as text. */
void        settings_write(const checkpoint_settings *s, size_t i, char out[SETTING_TEXT]);
bool        settings_read(checkpoint_settings *s, size_t i, const char *value);   /* false: it makes no sense, and s is as it was */
bool        settings_same(const checkpoint_settings *a, const checkpoint_settings *b, size_t i);

#endif
