/* SPDX-License-Identifier: Apache-2.0
 *
 * JPEG by libjpeg-turbo, driven as Pillow 13 drives it: a source that suspends at the end of the data, so that a
 * truncated file is told apart from one whose damage libjpeg only warns of. The warnings are ignored, as Pillow does.
 * setjmp's functions keep nothing in variables of their own: it would be lost in the jump. */
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "image/formats.h"
#include "image/jpeg_errors.h"

/* Each scan of a progressive file passes over the whole picture, and a scan costs a dozen bytes. Encoders write about
 * ten, optimisers at most a few dozen. */
#define MAX_SCANS 100
#define MAX_SCANNED 6400000000u   /* scans x pixels: 64 megapixels of 100 scans, 512 megapixels of 12 */

/* A block of 64 pixels takes at least a bit, so a whole file has at most 512 pixels a byte (somewhat more if arithmetic
 * coded). libjpeg makes up what is missing in grey, gigabytes if asked to, and Pillow lets it. */
#define MAX_PIXELS_PER_BYTE 2048
#define SMALL_PIXELS (16 << 20)   /* up to here that is no matter, and we do as Pillow does */

/* ---- Markers, as Pillow walks them before libjpeg does; it refuses some files that libjpeg would take ---- */

enum { M_FIRST = 0xc0, M_JPG = 0xc8, M_RST0 = 0xd0, M_EOI = 0xd9, M_SOS = 0xda, M_APP1 = 0xe1, M_JPG0 = 0xf0, M_JPG13 = 0xfd };

typedef struct { uint8_t marker; const uint8_t *body; size_t size; } segment;

static int truncated(void) { return error_set(ERR_FORMAT, "JPEG: the file is truncated"); }

/* The next marker at or after *at, with its segment (up to SOS; those without a segment have size 0); *at moves behind. */
static int segment_next(const uint8_t *data, size_t size, size_t *at, segment *s) {
    for (; *at + 2 <= size; ++*at) {
        uint8_t marker = data[*at + 1];
        if (data[*at] != 0xff || marker == 0xff || marker == 0) continue;   /* filling, or junk */
        if (marker < M_FIRST) return error_set(ERR_FORMAT, "JPEG: marker ff%02x is unknown", marker);
        *at += 2;
        *s = (segment){ marker, data + *at, 0 };
        if ((marker >= M_RST0 && marker <= M_EOI) || marker == M_JPG || (marker >= M_JPG0 && marker <= M_JPG13)) return 0;
        if (size - *at < 2) return truncated();
        size_t length = (size_t)data[*at] << 8 | data[*at + 1];
        if (length > size - *at) return truncated();
        *s = (segment){ marker, data + *at + 2, length < 2 ? 0 : length - 2 };
        *at += length < 2 ? 2 : length;
        return 0;
    }
    return truncated();
}

static int check_markers(const uint8_t *data, size_t size) {
    segment s = { 0 };
    size_t at = 2;
    int rc = 0;
    while (rc == 0 && s.marker != M_SOS) rc = segment_next(data, size, &at, &s);
    return rc;
}

/* The scans of a file: its markers say it without decoding, as bytes of data never look like one. */
static unsigned count_scans(const uint8_t *data, size_t size) {
    unsigned scans = 0;
    for (size_t at = 2; at + 4 <= size && scans <= MAX_SCANS;) {
        const uint8_t *p = memchr(data + at, 0xff, size - 3 - at);
        if (!p || p[1] == M_EOI) break;
        at = (size_t)(p - data) + 1;
        if (p[1] == 0xff) continue;   /* filling */
        at++;
        if (p[1] < M_FIRST || p[1] == M_JPG || (p[1] >= M_RST0 && p[1] < M_EOI)) continue;
        scans += p[1] == M_SOS;
        at += (size_t)p[2] << 8 | p[3];
    }
    return scans;
}

static int check_scans(const uint8_t *data, size_t size, uint64_t pixels) {
    unsigned scans = count_scans(data, size);
    if (scans > MAX_SCANS) return error_set(ERR_LIMIT, "JPEG: more than %d scans", MAX_SCANS);
    return scans * pixels <= MAX_SCANNED ? 0 : error_set(ERR_LIMIT, "JPEG: %u scans of %llu pixels are too many", scans, (unsigned long long)pixels);
}

/* ---- Decoding ---- */

typedef struct {
    struct jpeg_decompress_struct info;
    jpeg_errors errors;
    struct jpeg_source_mgr source;
    struct jpeg_progress_mgr progress;
    bool verify;    /* an eighth of the size in each direction, and no picture is kept */
    image img;
    uint8_t *row;   /* one row of CMYK, or of what is only verified */
} jpeg_decoder;

static void source_nothing(j_decompress_ptr info) { (void)info; }
static boolean source_suspend(j_decompress_ptr info) { (void)info; return FALSE; }

static void source_skip(j_decompress_ptr info, long n) {
    struct jpeg_source_mgr *source = info->src;
    size_t skip = n < 0 ? 0 : (size_t)n;
    if (skip > source->bytes_in_buffer) skip = source->bytes_in_buffer;
    source->next_input_byte += skip;
    source->bytes_in_buffer -= skip;
}

static void limit_scans(j_common_ptr info) {
    jpeg_decoder *d = (jpeg_decoder *)info;   /* info is its first member */
    if (d->info.input_scan_number <= MAX_SCANS) return;
    d->errors.code = ERR_LIMIT;
    snprintf(d->errors.reason, sizeof d->errors.reason, "more than %d scans", MAX_SCANS);
    longjmp(d->errors.escape, 1);
}

static void decoder_begin(jpeg_decoder *d, const uint8_t *data, size_t size) {
    jpeg_create_decompress(&d->info);
    d->source = (struct jpeg_source_mgr){
        .next_input_byte = data, .bytes_in_buffer = size, .init_source = source_nothing, .fill_input_buffer = source_suspend,
        .skip_input_data = source_skip, .resync_to_restart = jpeg_resync_to_restart, .term_source = source_nothing,
    };
    d->info.src = &d->source;
    d->progress.progress_monitor = limit_scans;
    d->info.progress = &d->progress;
}

/* Pillow's inverse ("CMYK;I") and cmyk2rgb (Convert.c): exact integers. */
static inline uint8_t ink(unsigned stored, unsigned light) {
    unsigned t = (255 - stored) * light + 128;
    unsigned taken = (t + (t >> 8)) >> 8;
    return (uint8_t)(taken > light ? 0 : light - taken);
}

static void cmyk_row(uint8_t *rgb, const uint8_t *cmyk, int width) {
    for (int x = 0; x < width; x++, rgb += 3, cmyk += 4) {
        unsigned light = cmyk[3];   /* 255 - K, K = 255 - stored */
        for (int c = 0; c < 3; c++) rgb[c] = ink(cmyk[c], light);
    }
}

static int read_header(jpeg_decoder *d, const uint8_t *data, size_t size, size_t max_pixels) {
    int rc;
    do rc = jpeg_read_header(&d->info, FALSE);
    while (rc == JPEG_HEADER_TABLES_ONLY);
    if (rc == JPEG_SUSPENDED) return truncated();

    uint64_t pixels = (uint64_t)d->info.image_width * d->info.image_height;
    if (pixels > SMALL_PIXELS && pixels <= max_pixels && pixels / MAX_PIXELS_PER_BYTE > size)
        return error_set(ERR_FORMAT, "JPEG: %ux%u pixels cannot be in %zu bytes", d->info.image_width, d->info.image_height, size);
    if (pixels <= max_pixels && jpeg_has_multiple_scans(&d->info) && (rc = check_scans(data, size, pixels)) < 0) return rc;
    int layers = d->info.num_components;
    if (layers != 1 && layers != 3 && layers != 4) return error_set(ERR_UNSUPPORTED, "JPEG: %d components, only 1, 3 and 4 are known", layers);
    d->info.out_color_space = layers == 4 ? JCS_CMYK : JCS_RGB;   /* grey goes to R, G and B */
    if (layers == 4 || d->verify) {
        d->row = malloc((size_t)d->info.image_width * 4);
        if (!d->row) return error_memory((size_t)d->info.image_width * 4);
    }
    if (!d->verify) return image_claim(d->info.image_width, d->info.image_height, max_pixels, &d->img);
    rc = image_claim_check(d->info.image_width, d->info.image_height, max_pixels);
    if (rc == 0) d->img = (image){ .width = (int)d->info.image_width, .height = (int)d->info.image_height };
    return rc;
}

static int read_rows(jpeg_decoder *d) {
    if (!jpeg_start_decompress(&d->info)) return truncated();
    size_t stride = (size_t)d->img.width * 3;
    while (d->info.output_scanline < d->info.output_height) {
        uint8_t *rgb = d->img.rgb + d->info.output_scanline * stride;
        JSAMPROW row = d->row ? d->row : rgb;
        if (jpeg_read_scanlines(&d->info, &row, 1) != 1) return truncated();
        if (d->row) cmyk_row(rgb, d->row, d->img.width);
    }
    jpeg_finish_decompress(&d->info);   /* may want more data: all rows are here, and Pillow does not mind either */
    return 0;
}

static int decode_guarded(jpeg_decoder *d, const uint8_t *data, size_t size, size_t max_pixels) {
    if (setjmp(d->errors.escape)) return error_set(d->errors.code, "JPEG: %s", d->errors.reason);
    decoder_begin(d, data, size);
    int rc = read_header(d, data, size, max_pixels);
    return rc < 0 ? rc : read_rows(d);
}

/* What can fail is in the markers, in the scans' codes and in how colours and their sampling fit together. Of those, an
 * eighth of the size leaves out nothing (libjpeg doubles a colour's blocks only where that divides the sampling); it
 * saves the transforms, the upsampling and the picture. */
static int verify_rows(jpeg_decoder *d) {
    d->info.scale_num = 1;
    d->info.scale_denom = 8;
    if (!jpeg_start_decompress(&d->info)) return truncated();
    while (d->info.output_scanline < d->info.output_height)
        if (jpeg_read_scanlines(&d->info, &d->row, 1) != 1) return truncated();
    jpeg_finish_decompress(&d->info);
    return 0;
}

static int verify_guarded(jpeg_decoder *d, const uint8_t *data, size_t size, size_t max_pixels, bool header) {
    if (setjmp(d->errors.escape)) return error_set(d->errors.code, "JPEG: %s", d->errors.reason);
    decoder_begin(d, data, size);
    int rc = read_header(d, data, size, max_pixels);
    return rc < 0 || header ? rc : verify_rows(d);
}

int jpeg_verify(const uint8_t *data, size_t size, size_t max_pixels, bool header, image *out) {
    jpeg_decoder d = { .verify = true };
    d.info.err = jpeg_errors_begin(&d.errors);
    int rc = check_markers(data, size);
    if (rc == 0) rc = verify_guarded(&d, data, size, max_pixels, header);
    jpeg_destroy_decompress(&d.info);
    free(d.row);
    if (rc == 0) *out = d.img;
    return rc;
}

int jpeg_decode(const uint8_t *data, size_t size, size_t max_pixels, image *out) {
    jpeg_decoder d = { 0 };
    d.info.err = jpeg_errors_begin(&d.errors);
    int rc = check_markers(data, size);
    if (rc == 0) rc = decode_guarded(&d, data, size, max_pixels);
    jpeg_destroy_decompress(&d.info);
    free(d.row);
    if (rc == 0) *out = d.img;
    else image_free(&d.img);
    return rc;
}

/* ---- Orientation ---- */

/* What the markers before the first scan hold: all Exif pieces joined, and the last XMP packet. */
typedef struct { uint8_t *exif; size_t exif_size; const uint8_t *xmp; size_t xmp_size; } notes;

static void notes_take(notes *n, const uint8_t *body, size_t size) {
    static const char xmp[] = "http://ns.adobe.com/xap/1.0/";   /* its zero belongs to it */
    if (size >= sizeof xmp && !memcmp(body, xmp, sizeof xmp)) {
        n->xmp = body + sizeof xmp;
        n->xmp_size = size - sizeof xmp;
    }
    if (size < 6 || memcmp(body, "Exif\0\0", 6)) return;
    uint8_t *joined = realloc(n->exif, n->exif_size + size - 6 + 1);
    if (!joined) return;
    memcpy(joined + n->exif_size, body + 6, size - 6);
    n->exif = joined;
    n->exif_size += size - 6;
}

int jpeg_orientation(const uint8_t *data, size_t size) {
    notes n = { 0 };
    segment s = { 0 };
    for (size_t at = 2; segment_next(data, size, &at, &s) == 0 && s.marker != M_SOS;)
        if (s.marker == M_APP1) notes_take(&n, s.body, s.size);
    int found = exif_orientation(n.exif, n.exif_size);
    if (!found && n.xmp) found = xmp_orientation(n.xmp, n.xmp_size);
    free(n.exif);
    return found ? found : 1;
}
