/* SPDX-License-Identifier: Apache-2.0 */
#include "train/batch_position.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"

void batch_position_write(const batch_position *p, char out[BATCH_POSITION_TEXT]) {
    const mien_position *i = &p->items;
    snprintf(out, BATCH_POSITION_TEXT, "1 %016" PRIx64 " %016" PRIx64 " %016" PRIx64 " %016" PRIx64 " %016" PRIx64 " %016" PRIx64,
             i->seed, i->epoch, i->index, i->data, p->draws, p->row);
}

/* 16 hex digits and what ends them. */
static bool read_number(const char **at, char end, uint64_t *out) {
    static const char digits[] = "0123456789abcdef";
    *out = 0;
    for (int i = 0; i < 16; i++, ++*at) {
        const char *digit = **at ? strchr(digits, **at) : NULL;
        if (!digit) return false;
        *out = *out << 4 | (uint64_t)(digit - digits);
    }
    if (**at != end) return false;
    *at += end != 0;
    return true;
}

int batch_position_read(const char *text, batch_position *out) {
    batch_position p;
    uint64_t *const numbers[] = { &p.items.seed, &p.items.epoch, &p.items.index, &p.items.data, &p.draws, &p.row };
    enum { NUMBERS = sizeof numbers / sizeof *numbers };
    if (strncmp(text, "1 ", 2) != 0) return error_set(ERR_FORMAT, "a position of an unknown format: \"%.40s\"", text);
    text += 2;
    for (int i = 0; i < NUMBERS; i++)
        if (!read_number(&text, i < NUMBERS - 1 ? ' ' : 0, numbers[i]))
            return error_set(ERR_FORMAT, "no position in the data: \"%.40s\"", text);
    *out = p;
    return 0;
}
