/* SPDX-License-Identifier: Apache-2.0
 *
 * WebP by libwebp: lossy, lossless, and of an animation the first frame on a black canvas (alpha is dropped, so
 * Pillow's transparent one is black too). libwebpdemux judges the container, as in Pillow. */
#include <stdlib.h>
#include <string.h>

#include <webp/decode.h>
#include <webp/demux.h>

#include "base/error.h"
#include "image/formats.h"

static uint32_t le24(const uint8_t *p) { return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16; }

/* The canvas as the header claims it, looked at before libwebp allocates anything for it. */
int webp_header(const uint8_t *data, size_t size, size_t max_pixels, image *out) {
    int width = 0, height = 0;
    uint64_t w, h;
    if (size >= 30 && !memcmp(data + 12, "VP8X", 4)) {
        w = (uint64_t)le24(data + 24) + 1;
        h = (uint64_t)le24(data + 27) + 1;
    } else {
        if (!WebPGetInfo(data, size, &width, &height)) return error_set(ERR_FORMAT, "WebP: broken or truncated");
        w = (uint64_t)width;
        h = (uint64_t)height;
    }
    int rc = image_claim_check(w, h, max_pixels);
    if (rc == 0) *out = (image){ .width = (int)w, .height = (int)h };
    return rc;
}

/* Frames with alpha are decoded with it, though it is thrown away: a broken alpha plane makes a broken picture. */
static uint8_t *decode_with_alpha(const WebPIterator *frame, uint8_t *rgb, size_t stride) {
    int width, height;
    uint8_t *rgba = WebPDecodeRGBA(frame->fragment.bytes, frame->fragment.size, &width, &height);
    if (!rgba) return NULL;
    if (width != frame->width || height != frame->height) {
        WebPFree(rgba);
        return NULL;
    }
    for (int y = 0; y < height; y++) {
        const uint8_t *in = rgba + (size_t)y * (size_t)width * 4;
        uint8_t *out = rgb + (size_t)y * stride;
        for (int x = 0; x < width; x++, in += 4, out += 3) memcpy(out, in, 3);
    }
    WebPFree(rgba);
    return rgb;
}

static int decode_frame(const WebPIterator *frame, image *img) {
    int width, height;
    size_t stride = (size_t)img->width * 3, offset = (size_t)frame->y_offset * stride + (size_t)frame->x_offset * 3;
    bool inside = frame->x_offset >= 0 && frame->y_offset >= 0 && frame->width <= img->width - frame->x_offset &&
                  frame->height <= img->height - frame->y_offset;
    if (!inside || !WebPGetInfo(frame->fragment.bytes, frame->fragment.size, &width, &height) || width != frame->width ||
        height != frame->height)
        return error_set(ERR_FORMAT, "WebP: a frame that does not fit its canvas");
    uint8_t *rgb = img->rgb + offset;
    uint8_t *done = frame->has_alpha ? decode_with_alpha(frame, rgb, stride)
        : WebPDecodeRGBInto(frame->fragment.bytes, frame->fragment.size, rgb, stride * (size_t)img->height - offset, (int)stride);
    return done ? 0 : error_set(ERR_FORMAT, "WebP: broken picture data");
}

int webp_decode(const uint8_t *data, size_t size, size_t max_pixels, image *out) {
    image claim;
    int rc = webp_header(data, size, max_pixels, &claim);
    if (rc < 0) return rc;
    WebPDemuxer *demux = WebPDemux(&(WebPData){ data, size });
    if (!demux) return error_set(ERR_FORMAT, "WebP: broken or truncated");

    image img = { 0 };
    WebPIterator frame;
    rc = image_claim(WebPDemuxGetI(demux, WEBP_FF_CANVAS_WIDTH), WebPDemuxGetI(demux, WEBP_FF_CANVAS_HEIGHT), max_pixels, &img);
    if (rc == 0) {
        if (WebPDemuxGetFrame(demux, 1, &frame)) {
            rc = decode_frame(&frame, &img);
            WebPDemuxReleaseIterator(&frame);
        } else {
            rc = error_set(ERR_FORMAT, "WebP: there is no picture in it");
        }
    }
    WebPDemuxDelete(demux);
    if (rc == 0) *out = img;
    else image_free(&img);
    return rc;
}

static int chunk_orientation(const WebPDemuxer *demux, const char *name, int (*read)(const uint8_t *data, size_t size)) {
    WebPChunkIterator chunk;
    int found = 0;
    if (WebPDemuxGetChunk(demux, name, 1, &chunk)) {
        found = read(chunk.chunk.bytes, chunk.chunk.size);
        WebPDemuxReleaseChunkIterator(&chunk);
    }
    return found;
}

int webp_orientation(const uint8_t *data, size_t size) {
    WebPDemuxer *demux = WebPDemux(&(WebPData){ data, size });
    if (!demux) return 1;
    int found = chunk_orientation(demux, "EXIF", exif_orientation);
    if (!found) found = chunk_orientation(demux, "XMP ", xmp_orientation);
    WebPDemuxDelete(demux);
    return found ? found : 1;
}
