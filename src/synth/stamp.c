/* SPDX-License-Identifier: Apache-2.0 */
#include "synth/stamp.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/text.h"
#include "image/png_text.h"

static const char xmp[] =
    "<?xpacket begin=\"\xef\xbb\xbf\" id=\"W5M0MpCehiHzreSzNTczkc9d\"?>\n"
    "<x:xmpmeta xmlns:x=\"adobe:ns:meta/\">\n"
    " <rdf:RDF xmlns:rdf=\"http://www.w3.org/1999/02/22-rdf-syntax-ns#\">\n"
    "  <rdf:Description rdf:about=\"\" xmlns:Iptc4xmpExt=\"http://iptc.org/std/Iptc4xmpExt/2008-02-29/\"\n"
    "   Iptc4xmpExt:DigitalSourceType=\"http://cv.iptc.org/newscodes/digitalsourcetype/algorithmicMedia\"/>\n"
    " </rdf:RDF>\n"
    "</x:xmpmeta>\n"
    "<?xpacket end=\"r\"?>";

/* ---- JPEG ------------------------------------------------------------------------------------------------------------ */

static void add_segment(text *out, unsigned char marker, const char *begin, size_t begin_size, const char *value, size_t size) {
    size_t length = 2 + begin_size + size;   /* far below 65536: both texts are short */
    unsigned char *to = (unsigned char *)text_room(out, length + 2);
    if (!to) return;
    unsigned char head[4] = { 0xff, marker, (unsigned char)(length >> 8), (unsigned char)length };
    memcpy(to, head, 4);
    memcpy(to + 4, begin, begin_size);
    memcpy(to + 4 + begin_size, value, size);
    text_grown(out, length + 2);
}

static void add_bytes(text *out, const uint8_t *data, size_t size) {
    char *to = text_room(out, size);
    if (!to) return;
    memcpy(to, data, size);
    text_grown(out, size);
}

/* Between the JFIF header, which libjpeg writes first, and all the rest. */
static int add_to_jpeg(const char *words, uint8_t **data, size_t *size) {
    static const char name[] = "http://ns.adobe.com/xap/1.0/";   /* its NUL belongs to it */
    enum { SOI = 2, JFIF = 18 };
    if (*size < SOI + JFIF || (*data)[3] != 0xe0 || (*data)[5] != JFIF - 2 || strlen(words) > 60000)
        return error_set(ERR_FORMAT, "JPEG: no place for what it says of itself");
    text out = { 0 };
    add_bytes(&out, *data, SOI + JFIF);
    add_segment(&out, 0xe1, name, sizeof name, xmp, sizeof xmp - 1);
    add_segment(&out, 0xfe, "", 0, words, strlen(words));
    add_bytes(&out, *data + SOI + JFIF, *size - SOI - JFIF);
    int rc = text_check(&out);
    if (rc < 0) return text_free(&out), rc;
    free(*data);
    *data = (uint8_t *)out.data;
    *size = out.size;
    return 0;
}

/* ---- both ------------------------------------------------------------------------------------------------------------ */

int synth_encode(const image *img, mien_picture_format format, int quality, const char *words, uint8_t **data, size_t *size) {
    const image_text texts[] = { { PNG_PARAMETERS, words }, { PNG_XMP, xmp } };
    if (format == MIEN_PICTURE_PNG) return image_encode_png(img, texts, words ? 2 : 0, data, size);
    int rc = image_encode_jpeg(img, quality, data, size);
    if (rc == 0 && words && (rc = add_to_jpeg(words, data, size)) < 0) {
        free(*data);
        *data = NULL;
    }
    return rc;
}
