/* SPDX-License-Identifier: Apache-2.0
 *
 * make_photos DIR COUNT [--size WxH] [--face PICTURE] [--faces-every N] [--captions json|txt] [--first N] [--folders N]
 *
 * Makes JPEG photos for tests and benches: 000000000.jpg, ..., each with other bytes. With --face every N-th (default each)
 * shows that picture, moved, scaled and dimmed a little by its number, and the others are without; smooth noise lies
 * behind. The same arguments always make the same bytes. */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/file.h"
#include "base/text.h"
#include "image/image.h"

typedef struct {
    const char *folder, *face, *captions;
    int count, first, width, height, faces_every, folders;
} arguments;

static _Noreturn void die(const char *message) {
    fprintf(stderr, "make_photos: %s\n", message);
    exit(1);
}

static uint32_t mix(uint64_t x) {   /* splitmix64 */
    x += 0x9E3779B97F4A7C15u;
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
    return (uint32_t)(x >> 32);
}

/* Enlarged noise: as much detail as a photo has, roughly. */
static image background(int number, int width, int height) {
    image small, out;
    if (image_new(24, 24, &small) < 0) die(error_message());
    for (int i = 0; i < 24 * 24 * 3; i++) small.rgb[i] = (uint8_t)(60 + mix((uint64_t)number * 4096 + (uint64_t)i) % 120);
    if (image_resize(&small, width, height, RESIZE_BICUBIC, CPU_BEST, &out) < 0) die(error_message());
    image_free(&small);
    for (size_t i = 0; i < (size_t)width * (size_t)height * 3; i++) {
        int v = out.rgb[i] + (int)(mix(i * 7919 + (uint64_t)number) % 13) - 6;
        out.rgb[i] = (uint8_t)(v < 0 ? 0 : v > 255 ? 255 : v);
    }
    return out;
}

static void add_face(image *out, const image *face, int number) {
    uint32_t r = mix((uint64_t)number);
    int least = out->width < out->height ? out->width : out->height;
    int side = least * (int)(70 + r % 30) / 100;
    image scaled;
    if (image_resize(face, side, (int)((int64_t)side * face->height / face->width), RESIZE_BICUBIC, CPU_BEST, &scaled) < 0) die(error_message());
    int x0 = out->width > side ? (int)(mix(r) % (uint32_t)(out->width - side + 1)) : 0;
    int y0 = out->height > scaled.height ? (int)(mix(r + 1) % (uint32_t)(out->height - scaled.height + 1)) : 0;
    int dim = 220 + (int)(mix(r + 2) % 36);
    for (int y = 0; y < scaled.height && y0 + y < out->height; y++)
        for (int x = 0; x < 3 * side; x++)
            out->rgb[((size_t)(y0 + y) * (size_t)out->width + (size_t)x0) * 3 + (size_t)x] =
                (uint8_t)(scaled.rgb[(size_t)y * (size_t)side * 3 + (size_t)x] * dim / 255);
    image_free(&scaled);
}

static void save(const char *folder, int number, const char *suffix, const void *data, size_t size) {
    char path[4096];
    snprintf(path, sizeof path, "%s/%09d%s", folder, number, suffix);
    if (file_save(path, data, size) < 0) die(error_message());
}

static void make(const arguments *a, const image *face, int number) {
    char folder[4000];
    if (a->folders) snprintf(folder, sizeof folder, "%s/%02d", a->folder, number % a->folders);
    else snprintf(folder, sizeof folder, "%s", a->folder);
    if (folder_make(folder) < 0) die(error_message());
    image img = background(number, a->width, a->height);
    if (face && number % a->faces_every == 0) add_face(&img, face, number);
    uint8_t *data;
    size_t size;
    if (image_encode_jpeg(&img, 90, &data, &size) < 0) die(error_message());
    save(folder, number, ".jpg", data, size);
    free(data);
    image_free(&img);
    if (!a->captions) return;
    text t = { 0 };
    if (strcmp(a->captions, "json") == 0)
        text_printf(&t, "{\"caption\": \"picture number %d\", \"url\": \"http://example.com/%09d.jpg\", \"NSFW\": \"UNLIKELY\"}\n", number, number);
    else
        text_printf(&t, "picture number %d\n", number);
    save(folder, number, strcmp(a->captions, "json") == 0 ? ".json" : ".txt", t.data, t.size);
    text_free(&t);
}

int main(int argc, char **argv) {
    arguments a = { .width = 512, .height = 512, .faces_every = 1 };
    if (argc < 3) die("DIR COUNT [--size WxH] [--face PICTURE] [--faces-every N] [--captions json|txt] [--first N] [--folders N]");
    a.folder = argv[1], a.count = atoi(argv[2]);
    for (int i = 3; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--size") == 0 && sscanf(argv[i + 1], "%dx%d", &a.width, &a.height) == 2) continue;
        if (strcmp(argv[i], "--face") == 0) a.face = argv[i + 1];
        else if (strcmp(argv[i], "--faces-every") == 0) a.faces_every = atoi(argv[i + 1]);
        else if (strcmp(argv[i], "--captions") == 0) a.captions = argv[i + 1];
        else if (strcmp(argv[i], "--first") == 0) a.first = atoi(argv[i + 1]);
        else if (strcmp(argv[i], "--folders") == 0) a.folders = atoi(argv[i + 1]);
        else die(argv[i]);
    }
    if (a.width < 1 || a.height < 1 || a.faces_every < 1) die("sizes and --faces-every are at least 1");
    image face = { 0 };
    if (a.face) {
        uint8_t *data;
        size_t size;
        if (file_load(a.face, IMAGE_MAX_BYTES, &data, &size) < 0 || image_decode(data, size, NULL, &face) < 0) die(error_message());
        free(data);
    }
    for (int i = 0; i < a.count; i++) make(&a, a.face ? &face : NULL, a.first + i);
    image_free(&face);
    return 0;
}
