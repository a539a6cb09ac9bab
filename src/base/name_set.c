/* SPDX-License-Identifier: Apache-2.0 */
#include "base/name_set.h"

#include <assert.h>
#include <stdlib.h>

#include "base/error.h"

/* A slot: the hash's upper half, and the place / 16 + 1; 0 is empty. The first slot to look at follows from the upper
 * half alone, so the set can grow without reading any name. */
static size_t first_slot(size_t room, uint64_t slot) { return (size_t)(((slot >> 32) * (uint64_t)room) >> 32); }

static void put(uint64_t *slots, size_t room, uint64_t slot) {
    size_t i = first_slot(room, slot);
    while (slots[i]) i = i + 1 == room ? 0 : i + 1;
    slots[i] = slot;
}

static int grow(name_set *s) {
    size_t room = s->room ? s->room + s->room / 2 : 1024;
    if (room > (size_t)1 << 31) return error_set(ERR_LIMIT, "more than %zu output names", s->used);
    uint64_t *slots = calloc(room, sizeof *slots);
    if (!slots) return error_memory(room * sizeof *slots);
    for (size_t i = 0; i < s->room; i++)
        if (s->slots[i]) put(slots, room, s->slots[i]);
    free(s->slots);
    s->slots = slots;
    s->room = room;
    return 0;
}

int name_set_add(name_set *s, uint64_t hash, uint64_t place, name_set_same *same, void *context, uint64_t *found) {
    assert(place % 16 == 0);
    if (place / 16 >= UINT32_MAX) return error_set(ERR_LIMIT, "too many inputs: their list would be larger than 64 GB");
    int rc = s->used + s->used / 3 >= s->room ? grow(s) : 0;   /* three quarters full */
    if (rc < 0) return rc;
    if (name_set_find(s, hash, same, context, found)) return 0;
    put(s->slots, s->room, (hash >> 32 << 32) | (place / 16 + 1));
    s->used++;
    *found = place;
    return 0;
}

bool name_set_find(const name_set *s, uint64_t hash, name_set_same *same, void *context, uint64_t *found) {
    if (!s->room) return false;
    for (size_t i = first_slot(s->room, hash); s->slots[i]; i = i + 1 == s->room ? 0 : i + 1) {
        *found = ((s->slots[i] & UINT32_MAX) - 1) * 16;
        if (s->slots[i] >> 32 == hash >> 32 && same(context, *found)) return true;
    }
    return false;
}

void name_set_free(name_set *s) {
    free(s->slots);
    *s = (name_set){0};
}
