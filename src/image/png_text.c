/* SPDX-License-Identifier: Apache-2.0
 *
 * What a PNG says in words: our own settings, and the orientation that cameras and converters leave. */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "image/formats.h"
#include "image/png_chunk.h"

bool image_png_text(const uint8_t *data, size_t size, const char *key, char *out, size_t out_size) {
    if (size < 8 || memcmp(data, "\x89PNG\r\n\x1a\n", 8)) return false;
    png_chunk c;
    for (size_t at = 8; png_chunk_head(data, size, at, &c) == 0 && png_chunk_whole(data, size, &c) == 0; at += c.length + 12) {
        if (png_chunk_is(&c, "IDAT")) return false;
        if (!png_chunk_is(&c, "tEXt")) continue;
        size_t n = 0;
        uint8_t *value = png_chunk_text(&c, key, &n);
        if (!value) continue;
        bool fits = n < out_size && !memchr(value, 0, n);   /* half an answer would be a wrong one */
        if (fits) {
            memcpy(out, value, n);
            out[n] = 0;
        }
        free(value);
        return fits;
    }
    return false;
}

/* ---- Orientation ---- */

static int hex_digit(uint8_t c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* ImageMagick's "Raw profile type exif": three lines of heading, then hexadecimal digits. Decoded in place. */
static int raw_profile_orientation(uint8_t *text, size_t size) {
    size_t at = 0, n = 0;
    for (int line = 0; line < 3; line++) {
        const uint8_t *end = memchr(text + at, '\n', size - at);
        if (!end) return 0;
        at = (size_t)(end - text) + 1;
    }
    for (int high = -1; at < size; at++) {
        int digit = hex_digit(text[at]);
        if (digit < 0) continue;
        if (high < 0) high = digit;
        else {
            text[n++] = (uint8_t)(high << 4 | digit);
            high = -1;
        }
    }
    return exif_orientation(text, n);
}

typedef struct { int exif, profile, xmp; bool has_exif; } clues;   /* 0: no answer */

static void clues_take(clues *k, const png_chunk *c) {
    size_t n = 0;
    uint8_t *value;
    if (png_chunk_is(c, "eXIf")) {
        k->has_exif = true;
        k->exif = exif_orientation(c->body, c->length);
    } else if ((value = png_chunk_text(c, "Raw profile type exif", &n))) {
        k->profile = raw_profile_orientation(value, n);
        free(value);
    } else if ((value = png_chunk_text(c, "XML:com.adobe.xmp", &n))) {
        k->xmp = xmp_orientation(value, n);
        free(value);
    }
}

int png_orientation(const uint8_t *data, size_t size) {
    clues k = { 0 };
    png_chunk c;
    for (size_t at = 8; png_chunk_head(data, size, at, &c) == 0 && !png_chunk_is(&c, "IEND"); at += c.length + 12) {
        if (!png_chunk_body_whole(data, size, &c)) break;
        clues_take(&k, &c);
    }
    int found = k.has_exif ? k.exif : k.profile;
    if (!found) found = k.xmp;
    return found ? found : 1;
}
