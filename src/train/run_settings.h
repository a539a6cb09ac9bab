/* SPDX-License-Identifier: Apache-2.0
 *
 * RUN/settings.json: all that a run's results follow from, so that a resumed run is the same run.
 *
 *     {"format":1,"kind":"train","mien":"0.1.0","settings":{"batch":4,"lr":1e-05, ...},"free":{"checkpoint-every":5000},
 *      "models":{"base":"<SHA-256>","control":"<SHA-256>"},"data":{"items":50000,"sha256":"<of the list>"}} */
#ifndef TRAIN_RUN_SETTINGS_H
#define TRAIN_RUN_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/text.h"

enum { RUN_SETTINGS_MOST = 128, RUN_MODELS_MOST = 8 };

/* free: it changes no step's result (where checkpoints lie, how many steps there shall be), and may differ on resume.
 * json: the value as it stands in the file. */
typedef struct { const char *name, *json; bool free; } run_setting;
typedef struct { const char *what, *hash; } run_model;          /* "base"; lower-case hex */

typedef struct {
    run_setting setting[RUN_SETTINGS_MOST];
    size_t settings;
    run_model model[RUN_MODELS_MOST];
    size_t models;
    uint64_t items;                  /* of the data's list */
    char data_hash[65];              /* of the list: its lines' bytes, in order; "" if there is none */
    arena memory;
} run_settings;                      /* zeroed is empty */

/* Names are the command line's, without dashes, and are copied; one comes once. ERR_MEMORY, ERR_LIMIT. */
int  run_settings_number(run_settings *s, const char *name, double x, bool free);
int  run_settings_integer(run_settings *s, const char *name, long long x, bool free);
int  run_settings_flag(run_settings *s, const char *name, bool x, bool free);
int  run_settings_text(run_settings *s, const char *name, const char *x, bool free);    /* NULL is null */
int  run_settings_model(run_settings *s, const char *what, const char hash[65]);
void run_settings_data(run_settings *s, uint64_t items, const char hash[65]);
void run_settings_free(run_settings *s);

/* One line. */
int  run_settings_write(const run_settings *s, text *out);
/* Hostile bytes; name is what errors call them. On failure there is nothing to free. ERR_UNSUPPORTED: another format. */
int  run_settings_read(const char *name, const uint8_t *data, size_t size, run_settings *out);

/* Appends what of settings and models differs, for a person: "batch is 4 there and 8 here; ...". True if anything does
 * (free settings aside). */
bool run_settings_differ(const run_settings *there, const run_settings *here, text *out);
bool run_settings_same_data(const run_settings *a, const run_settings *b);

#endif
