/* SPDX-License-Identifier: Apache-2.0
 *
 * What our decoders make of files, for compare_images.py: paths on stdin, one line of answer each:
 * "ok W H SHA256" or "no CODE message". `--exif`: with the EXIF orientation applied; `--max-pixels N`. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/file.h"
#include "base/hash.h"
#include "image/image.h"

static void dump(const char *path, const image_options *options) {
    uint8_t *data, digest[32];
    size_t size;
    char hex[65];
    image img;
    int rc = file_load(path, IMAGE_MAX_BYTES, &data, &size);
    if (rc == 0) {
        rc = image_decode(data, size, options, &img);
        free(data);
    }
    if (rc < 0) {
        printf("no %d %s\n", rc, error_message());
        return;
    }
    sha256(img.rgb, (size_t)img.width * (size_t)img.height * 3, digest);
    sha256_hex(digest, hex);
    printf("ok %d %d %s\n", img.width, img.height, hex);
    image_free(&img);
}

int main(int argc, char **argv) {
    image_options options = { 0 };
    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "--exif")) options.apply_exif = true;
        if (!strcmp(argv[i], "--max-pixels") && i + 1 < argc) options.max_pixels = strtoull(argv[++i], NULL, 10);
    }
    char path[4096];
    while (fgets(path, sizeof path, stdin)) {
        path[strcspn(path, "\n")] = 0;
        dump(path, &options);
        fflush(stdout);
    }
    return 0;
}
