/* SPDX-License-Identifier: Apache-2.0
 *
 * Kept items, positions and captions of training, of hostile bytes. The first byte says which. */
#include <stdlib.h>
#include <string.h>

#include "train/batch_position.h"
#include "train/cache_entry.h"
#include "train/mirror.h"

static void entry(const uint8_t *data, size_t size) {
    const void *numbers;
    cache_entry e = { "fuzz", CACHE_ENTRY_F16, size > CACHE_ENTRY_HEADER ? (size - CACHE_ENTRY_HEADER) / 2 : 0 };
    if (cache_entry_read(&e, data, size, &numbers) < 0) return;
    if ((const uint8_t *)numbers + cache_entry_bytes(&e) != data + size) abort();
    uint8_t *again = malloc(size);
    if (!again) return;
    cache_entry_write(&e, numbers, again);
    memset(again + 24, 0, 8);
    if (memcmp(again, data, 24) != 0 || memcmp(again + 32, data + 32, size - 32) != 0) abort();
    free(again);
}

static void position(const char *text) {
    batch_position p;
    char again[BATCH_POSITION_TEXT];
    if (batch_position_read(text, &p) < 0) return;
    batch_position_write(&p, again);
    if (strcmp(again, text) != 0) abort();
}

/* Three times is once: what is in an odd case ("lEFT") has become usual by then. */
static void words(const char *text) {
    char *once = mirror_words(text), *twice = once ? mirror_words(once) : NULL, *thrice = twice ? mirror_words(twice) : NULL;
    if (!thrice || strcmp(once, thrice) != 0) abort();
    free(once), free(twice), free(thrice);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0) return 0;
    if (data[0] % 3 == 0) {
        entry(data + 1, size - 1);
        return 0;
    }
    char *text = calloc(size, 1);
    if (!text) return 0;
    memcpy(text, data + 1, size - 1);
    (data[0] % 3 == 1 ? position : words)(text);
    free(text);
    return 0;
}
