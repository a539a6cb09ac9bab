/* SPDX-License-Identifier: Apache-2.0 */
#include "weights/settings_metadata.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/number.h"

typedef enum { AS_INT, AS_DOUBLE, AS_ACTIVATION, AS_PREDICTION, AS_SPACING } kind;

static const struct { const char *key; kind kind; size_t at; double least, most; } fields[] = {
#define AT(member) offsetof(checkpoint_settings, member)
    { "mien.prediction", AS_PREDICTION, AT(prediction), 0, 0 },
    { "mien.heads", AS_INT, AT(heads), 0, 4096 },
    { "mien.head_width", AS_INT, AT(head_width), 0, 4096 },
    { "mien.groups", AS_INT, AT(groups), 1, 4096 },
    { "mien.vae_groups", AS_INT, AT(vae_groups), 0, 4096 },
    { "mien.text_activation", AS_ACTIVATION, AT(text_quick_gelu), 0, 0 },
    { "mien.text_heads", AS_INT, AT(text_heads), 0, 4096 },
    { "mien.text_skip", AS_INT, AT(text_skip), 0, 8 },
    { "mien.pad_token", AS_INT, AT(pad_token), 0, 1 << 20 },
    { "mien.beta_start", AS_DOUBLE, AT(beta_start), 1e-9, 1 },
    { "mien.beta_end", AS_DOUBLE, AT(beta_end), 1e-9, 1 },
    { "mien.train_steps", AS_INT, AT(train_steps), 1, 100000 },
    { "mien.spacing", AS_SPACING, AT(spacing), 0, 0 },
    { "mien.steps_offset", AS_INT, AT(steps_offset), -1, 1000 },
    { "mien.vae_scale", AS_DOUBLE, AT(vae_scale), 1e-6, 1e6 },
    { "mien.sample_size", AS_INT, AT(sample_size), 0, 4096 },
#undef AT
};

static const char *const predictions[] = { [PREDICT_EPSILON] = "epsilon", [PREDICT_V] = "v_prediction", [PREDICT_UNKNOWN] = "unknown", NULL };
static const char *const spacings[] = { [SPACING_DEFAULT] = "default", [SPACING_LEADING] = "leading", [SPACING_LINSPACE] = "linspace", [SPACING_TRAILING] = "trailing", NULL };
static const char *const activations[] = { "gelu", "quick_gelu", NULL };

size_t settings_fields(void) { return sizeof fields / sizeof *fields; }
const char *settings_key(size_t i) { return fields[i].key; }

bool settings_is_key(const char *key) {
    for (size_t i = 0; i < settings_fields(); i++)
        if (strcmp(fields[i].key, key) == 0) return true;
    return false;
}

static double value_of(const checkpoint_settings *s, size_t i) {
    const void *at = (const char *)s + fields[i].at;
    switch (fields[i].kind) {
    case AS_INT: return *(const int *)at;
    case AS_DOUBLE: return *(const double *)at;
    case AS_ACTIVATION: return *(const bool *)at;
    case AS_PREDICTION: return *(const prediction_type *)at;
    default: return *(const timestep_spacing *)at;
    }
}

static const char *const *words_of(size_t i) {
    return fields[i].kind == AS_ACTIVATION ? activations : fields[i].kind == AS_PREDICTION ? predictions : fields[i].kind == AS_SPACING ? spacings : NULL;
}

bool settings_same(const checkpoint_settings *a, const checkpoint_settings *b, size_t i) {
    double x = value_of(a, i), y = value_of(b, i);
    return !(x < y) && !(x > y);
}

void settings_write(const checkpoint_settings *s, size_t i, char out[SETTING_TEXT]) {
    char number[NUMBER_TEXT];
    const char *const *words = words_of(i);
    if (fields[i].kind == AS_INT) snprintf(number, sizeof number, "%d", (int)value_of(s, i));
    else number_shortest_f64(number, value_of(s, i));   /* 530 would be 5.3e+02 */
    snprintf(out, SETTING_TEXT, "%s", words ? words[(int)value_of(s, i)] : number);
}

/* As JSON has numbers: the same in every locale, and the nearest double. */
static bool parse_number(const char *value, double least, double most, double *out) {
    char list[64];
    json *doc;
    int n = snprintf(list, sizeof list, "[%s]", value);
    if (n >= (int)sizeof list || json_parse("a setting", (const uint8_t *)list, (size_t)n, 1 << 16, &doc) < 0) return false;
    json_at root = json_root(doc), item;
    size_t count;
    bool fits = json_need_array(&root, 1, 1, &count) == 0;
    if (fits) item = json_item(&root, 0);
    fits = fits && json_need_number(&item, least, most, out) == 0;
    json_free(doc);
    return fits;
}

static bool parse_word(const char *text, const char *const words[], int *out) {
    for (int i = 0; words[i]; i++)
        if (strcmp(text, words[i]) == 0) return *out = i, true;
    return false;
}

bool settings_read(checkpoint_settings *s, size_t i, const char *value) {
    void *at = (char *)s + fields[i].at;
    double x = 0;
    int word = 0;
    const char *const *words = words_of(i);
    if (words ? !parse_word(value, words, &word) : !parse_number(value, fields[i].least, fields[i].most, &x)) return false;
    switch (fields[i].kind) {
    case AS_INT: if (x < 0 ? -x != (double)(int)-x : x != (double)(int)x) return false; *(int *)at = (int)x; break;
    case AS_DOUBLE: *(double *)at = x; break;
    case AS_ACTIVATION: *(bool *)at = word; break;
    case AS_PREDICTION: *(prediction_type *)at = (prediction_type)word; break;
    case AS_SPACING: *(timestep_spacing *)at = (timestep_spacing)word; break;
    }
    return true;
}
