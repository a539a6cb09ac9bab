/* SPDX-License-Identifier: Apache-2.0
 *
 * Settings in a PNG from anywhere. The bytes are a PNG, or become one: what follows a first byte of 1 are chunks, [type][length, 2 bytes][body],
 * framed here with their right checksums; after a 2 they are what a picture is written with, which must be read back. */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "image/png_text.h"

static uint32_t crc32_of(const uint8_t *data, size_t size) {
    uint32_t crc = 0xffffffff;
    for (size_t i = 0; i < size; i++) {
        crc ^= data[i];
        for (int k = 0; k < 8; k++) crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
    }
    return ~crc;
}

static void put32(uint8_t *p, uint32_t v) { for (int i = 0; i < 4; i++) p[i] = (uint8_t)(v >> (24 - 8 * i)); }

static void look(const uint8_t *data, size_t size) {
    text found = { 0 };
    error_set(0, "%s", "");
    int rc = png_text_find(data, size, PNG_PARAMETERS, &found);
    if (rc == 1 ? !found.data || strlen(found.data) != found.size : found.data != NULL) abort();
    if (rc < 0 && !error_message()[0]) abort();
    for (size_t i = 0; i < found.size;) {
        int n;
        if (text_code_point(found.data + i, &n) == 0xfffd && n == 1) abort();   /* not UTF-8 */
        i += (size_t)n;
    }
    text_free(&found);
    png_is_machine_made(data, size);
}

static void look_at_chunks(const uint8_t *data, size_t size) {
    static const char types[8][5] = { "tEXt", "iTXt", "zTXt", "IHDR", "IDAT", "IEND", "iCCP", "eXIf" };
    uint8_t *png = malloc(8 + size * 5 + 12), *to = png;
    if (!png) return;
    memcpy(to, "\x89PNG\r\n\x1a\n", 8), to += 8;
    while (size >= 3) {
        size_t length = (size_t)data[1] << 8 | data[2];
        if (length > size - 3) length = size - 3;
        put32(to, (uint32_t)length);
        memcpy(to + 4, types[data[0] & 7], 4);
        memcpy(to + 8, data + 3, length);
        put32(to + 8 + length, crc32_of(to + 4, length + 4));
        to += length + 12, data += length + 3, size -= length + 3;
    }
    look(png, (size_t)(to - png));
    free(png);
}

static void write_and_look(const uint8_t *data, size_t size) {
    char *words = malloc(size + 1);
    if (!words) return;
    memcpy(words, data, size);
    words[size] = 0;
    uint8_t rgb[3] = { 1, 2, 3 }, *png;
    size_t png_size;
    text found = { 0 };
    if (image_encode_generated(&(image){ 1, 1, rgb }, words, size & 1, &png, &png_size) == 0) {
        if (png_text_find(png, png_size, PNG_PARAMETERS, &found) != 1 || found.size < strlen(words)) abort();
        if (png_is_machine_made(png, png_size) != (size & 1)) abort();
        text_free(&found);
        free(png);
    }
    free(words);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size && data[0] == 1) look_at_chunks(data + 1, size - 1);
    else if (size && data[0] == 2) write_and_look(data + 1, size - 1);
    else look(data, size);
    return 0;
}
