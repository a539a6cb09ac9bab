/* SPDX-License-Identifier: Apache-2.0
 *
 * JPEG written by libjpeg's defaults, which are Pillow's: 4:2:0, JFIF header, standard Huffman tables. */
#include <stdlib.h>

#include <jerror.h>

#include "base/error.h"
#include "image/image.h"
#include "image/jpeg_errors.h"

typedef struct {
    struct jpeg_compress_struct info;
    jpeg_errors errors;
    struct jpeg_destination_mgr destination;
    uint8_t *data;
    size_t size, room;
} jpeg_encoder;

/* Doubles the buffer; libjpeg calls it when the last byte of it has been written. */
static boolean destination_grow(j_compress_ptr info) {
    jpeg_encoder *e = (jpeg_encoder *)info;   /* info is its first member */
    size_t room = e->room ? e->room * 2 : 1 << 16;
    uint8_t *data = realloc(e->data, room);
    if (!data) ERREXIT1(info, JERR_OUT_OF_MEMORY, 0);
    e->destination.next_output_byte = data + e->room;
    e->destination.free_in_buffer = room - e->room;
    e->data = data;
    e->room = room;
    return TRUE;
}

static void destination_begin(j_compress_ptr info) { destination_grow(info); }

static void destination_end(j_compress_ptr info) {
    jpeg_encoder *e = (jpeg_encoder *)info;
    e->size = e->room - e->destination.free_in_buffer;
}

static int encode_guarded(jpeg_encoder *e, const image *img, int quality) {
    if (setjmp(e->errors.escape)) return error_set(e->errors.code, "JPEG: %s", e->errors.reason);
    jpeg_create_compress(&e->info);
    e->destination = (struct jpeg_destination_mgr){
        .init_destination = destination_begin, .empty_output_buffer = destination_grow, .term_destination = destination_end,
    };
    e->info.dest = &e->destination;
    e->info.image_width = (JDIMENSION)img->width;
    e->info.image_height = (JDIMENSION)img->height;
    e->info.input_components = 3;
    e->info.in_color_space = JCS_RGB;
    jpeg_set_defaults(&e->info);
    jpeg_set_quality(&e->info, quality, TRUE);
    jpeg_start_compress(&e->info, TRUE);
    while (e->info.next_scanline < e->info.image_height) {
        JSAMPROW row = img->rgb + (size_t)e->info.next_scanline * (size_t)img->width * 3;
        jpeg_write_scanlines(&e->info, &row, 1);
    }
    jpeg_finish_compress(&e->info);
    return 0;
}

int image_encode_jpeg(const image *img, int quality, uint8_t **data, size_t *size) {
    if (quality < 1 || quality > 100) return error_set(ERR_USAGE, "JPEG: quality %d is not in 1..100", quality);
    jpeg_encoder e = { 0 };
    e.info.err = jpeg_errors_begin(&e.errors);
    int rc = encode_guarded(&e, img, quality);
    jpeg_destroy_compress(&e.info);
    if (rc < 0) {
        free(e.data);
        return rc;
    }
    *data = e.data;
    *size = e.size;
    return 0;
}
