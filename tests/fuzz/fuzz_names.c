/* SPDX-License-Identifier: Apache-2.0
 *
 * Names of tensors from hostile bytes, one a line: whatever gets a canonical name has it again on the way back. */
#include <stdlib.h>
#include <string.h>

#include "weights/names.h"
#include "weights/settings_metadata.h"

enum { MOST = 200 };

static void try_way_back(const name_map *m, const char *canonical) {
    char stored[NAME_MOST], again[NAME_MOST];
    int part;
    if (!name_from_canonical(m, canonical, stored, &part)) return;
    int n = name_to_canonical(m, stored, part < 0 ? 0 : part, again);
    if (!n) {   /* long names may not fit, and HF's own names are taken as they are */
        if (strlen(stored) + 40 < NAME_MOST) abort();
        return;
    }
    if (strcmp(again, canonical) != 0) abort();
}

/* What a setting's text becomes is what it is written as. */
static void try_setting(const char *value) {
    for (size_t i = 0; i < settings_fields(); i++) {
        checkpoint_settings a = { 0 }, b = { 0 };
        char again[SETTING_TEXT];
        if (!settings_read(&a, i, value)) continue;
        settings_write(&a, i, again);
        if (!settings_read(&b, i, again) || !settings_same(&a, &b, i)) abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char *text = malloc(size + 1), *line[MOST], *rest = text;
    int n = 0;
    if (!text) return 0;
    memcpy(text, data, size);
    text[size] = 0;
    while (rest && n < MOST) line[n++] = strsep(&rest, "\n");
    name_sources s = { 0 };
    name_map map[NAME_SOURCES] = { 0 };
    const char *name;
    for (int i = 0; i < n; i++) sources_add(&s, line[i]);
    for (int k = 0; k < s.n; k++) map[k] = (name_map){ .net = s.source[k].net, .style = s.source[k].style };
    for (int i = 0; i < n; i++) {
        int k = sources_find(&s, line[i], &name);
        if (k >= 0) ladder_add(&map[k].ladder, map[k].net, map[k].style, name);
    }
    for (int k = 0; k < s.n; k++) ladder_end(&map[k].ladder, map[k].net, map[k].style);
    for (int i = 0; i < n; i++) {
        char canonical[NAME_MOST], ema[NAME_MOST];
        int k = sources_find(&s, line[i], &name);
        int parts = k >= 0 ? name_to_canonical(&map[k], name, 0, canonical) : 0;
        for (int p = 0; p < parts; p++)
            if (name_to_canonical(&map[k], name, p, canonical)) try_way_back(&map[k], canonical);
        try_setting(line[i]);
        name_key_of(line[i]);
        name_of_ema(line[i], ema);
    }
    free(text);
    return 0;
}
