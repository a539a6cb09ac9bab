/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/file.h"
#include "image/png_chunk.h"
#include "image/png_text.h"

#define NEWSCODES "http://cv.iptc.org/newscodes/digitalsourcetype/"

const char png_machine_made[] =
    "<?xpacket begin=\"\xef\xbb\xbf\" id=\"W5M0MpCehiHzreSzNTczkc9d\"?>\n"
    "<x:xmpmeta xmlns:x=\"adobe:ns:meta/\">\n"
    " <rdf:RDF xmlns:rdf=\"http://www.w3.org/1999/02/22-rdf-syntax-ns#\">\n"
    "  <rdf:Description rdf:about=\"\" xmlns:Iptc4xmpExt=\"http://iptc.org/std/Iptc4xmpExt/2008-02-29/\"\n"
    "   Iptc4xmpExt:DigitalSourceType=\"" NEWSCODES "trainedAlgorithmicMedia\"/>\n"
    " </rdf:RDF>\n"
    "</x:xmpmeta>\n"
    "<?xpacket end=\"r\"?>";

/* ---- Writing ---- */

/* Adds s[size], a byte that is no UTF-8 as U+FFFD. s[size] is 0. */
static void add_utf8(text *out, const char *s, size_t size) {
    for (size_t i = 0; i < size;) {
        int n;
        bool wrong = text_code_point(s + i, &n) == 0xfffd && n == 1;
        char *to = text_room(out, 4);
        if (!to) return;
        memcpy(to, wrong ? "\xef\xbf\xbd" : s + i, wrong ? 3 : (size_t)n);
        text_grown(out, wrong ? 3 : (size_t)n);
        i += (size_t)n;
    }
}

int image_encode_generated(const image *img, const char *parameters, bool machine_made, uint8_t **data, size_t *size) {
    text clean = { 0 };
    image_text texts[2];
    int n = 0;
    if (parameters) {
        add_utf8(&clean, parameters, strlen(parameters));
        texts[n++] = (image_text){ PNG_PARAMETERS, clean.data ? clean.data : "" };
    }
    if (machine_made) texts[n++] = (image_text){ PNG_XMP, png_machine_made };
    int rc = text_check(&clean);
    if (rc == 0) rc = image_encode_png(img, texts, n, data, size);
    text_free(&clean);
    return rc;
}

int image_write_png(const char *path, const image *img, const char *parameters, bool machine_made, bool replace) {
    uint8_t *data;
    size_t size;
    int rc = image_encode_generated(img, parameters, machine_made, &data, &size);
    if (rc < 0) return rc;
    rc = replace ? file_save(path, data, size) : file_save_new(path, data, size);
    free(data);
    return rc;
}

/* ---- Reading ---- */

static bool is_utf8(const uint8_t *s, size_t size) {   /* s[size] is 0 */
    for (size_t i = 0; i < size;) {
        int n;
        if (text_code_point((const char *)s + i, &n) == 0xfffd && n == 1) return false;
        i += (size_t)n;
    }
    return true;
}

static void add_latin1(text *out, const uint8_t *s, size_t size) {
    for (size_t i = 0; i < size; i++) {
        if (s[i] < 0x80) text_add(out, (char[]){ (char)s[i], 0 });
        else text_add(out, (char[]){ (char)(0xc0 | s[i] >> 6), (char)(0x80 | (s[i] & 0x3f)), 0 });
    }
}

static int take_value(const png_chunk *c, const uint8_t *value, size_t size, text *out) {
    if (memchr(value, 0, size)) return error_set(ERR_FORMAT, "PNG: a NUL in the text of its %.4s chunk", (const char *)c->type);
    char *whole = malloc(size + 1);
    if (!whole) return error_memory(size + 1);
    memcpy(whole, value, size);
    whole[size] = 0;
    text found = { 0 };
    if (png_chunk_is(c, "iTXt") || is_utf8((uint8_t *)whole, size)) add_utf8(&found, whole, size);
    else add_latin1(&found, value, size);
    text_add(&found, "");   /* so that an empty value has an address, too */
    free(whole);
    int rc = text_check(&found);
    if (rc < 0) text_free(&found);
    else *out = found;
    return rc < 0 ? rc : 1;
}

int png_text_find(const uint8_t *data, size_t size, const char *key, text *out) {
    if (size < 8 || memcmp(data, "\x89PNG\r\n\x1a\n", 8)) return error_set(ERR_FORMAT, "not a PNG");
    png_chunk c;
    for (size_t at = 8; at < size; at += c.length + 12) {
        int rc = png_chunk_head(data, size, at, &c);
        if (rc < 0) return rc;
        if (png_chunk_is(&c, "IEND")) return 0;
        if (!png_chunk_body_whole(data, size, &c)) return error_set(ERR_FORMAT, "PNG: the file is truncated in its %.4s chunk", (const char *)c.type);
        if (!png_chunk_has_key(&c, key)) continue;
        rc = png_chunk_whole(data, size, &c);
        uint8_t *value = NULL;
        size_t n = 0;
        if (rc == 0) rc = png_chunk_value(&c, &value, &n);
        if (rc == 0) rc = take_value(&c, value, n, out);
        free(value);
        return rc;
    }
    return 0;
}

bool png_is_machine_made(const uint8_t *data, size_t size) {
    static const char *const types[] = { NEWSCODES "trainedAlgorithmicMedia", NEWSCODES "compositeWithTrainedAlgorithmicMedia" };
    text xmp = { 0 };
    bool found = false;
    if (png_text_find(data, size, PNG_XMP, &xmp) == 1)
        for (size_t i = 0; i < sizeof types / sizeof *types; i++) found = found || strstr(xmp.data, types[i]);
    text_free(&xmp);
    return found;
}
