/* SPDX-License-Identifier: Apache-2.0
 *
 * Which format a file has, by its bytes; a folder is one of its own. */
#define _GNU_SOURCE
#include <endian.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/error.h"
#include "weights/describe.h"
#include "weights/weights_inside.h"

static bool begins(const uint8_t *data, size_t size, const char *with) {
    return size >= strlen(with) && memcmp(data, with, strlen(with)) == 0;
}

static bool is_safetensors(const uint8_t *data, size_t size) {
    uint64_t header;
    if (size < 9) return false;
    memcpy(&header, data, sizeof header);
    return le64toh(header) < 1u << 31 && data[8] == '{';
}

static bool is_named(const char *path) {
    size_t length = strlen(path);
    return length > 12 && strcmp(path + length - 12, ".safetensors") == 0;
}

static bool is_tar(const uint8_t *data, size_t size) { return size > 262 && memcmp(data + 257, "ustar", 5) == 0; }

/* What people have in hand in the place of a model. */
static bool is_mistaken(const uint8_t *data, size_t size) {
    return begins(data, size, "version https://git-lfs") || begins(data, size, "<!") || begins(data, size, "<html") || begins(data, size, "GGUF") || is_tar(data, size);
}

static int refuse(const char *path, const uint8_t *data, size_t size) {
    if (size == 0) return error_set(ERR_FORMAT, "%s: is empty", path);
    if (begins(data, size, "version https://git-lfs"))
        return error_set(ERR_FORMAT, "%s: is a Git LFS pointer: the model itself was not fetched (git lfs pull)", path);
    if (begins(data, size, "<!") || begins(data, size, "<html")) return error_set(ERR_FORMAT, "%s: is a web page, not a model: the download went wrong", path);
    if (is_tar(data, size))
        return error_set(ERR_UNSUPPORTED, "%s: is a tar file, as PyTorch wrote before 0.1.10: load and save it with a newer one", path);
    if (begins(data, size, "GGUF")) return error_set(ERR_UNSUPPORTED, "%s: is a GGUF file; mien reads .safetensors, .ckpt/.pth and diffusers folders", path);
    return error_set(ERR_UNSUPPORTED, "%s: is neither a safetensors file nor a PyTorch checkpoint", path);
}

static int read_bytes(weights *w, const char *path, const char *prefix, const uint8_t *data, size_t size, weights_format *format) {
    *format = WEIGHTS_SAFETENSORS;
    /* By its name too, so that what is wrong with one is told. */
    if (is_safetensors(data, size) || (is_named(path) && size && !is_mistaken(data, size) && !torch_file_is(data, size)))
        return safetensors_read(w, path, prefix, data, size);
    if (!torch_file_is(data, size)) return refuse(path, data, size);
    *format = WEIGHTS_PICKLE;
    /* A page here and there is read (the headers in front of the storages): nothing of what lies between. */
    madvise((void *)data, size, MADV_RANDOM);
    int rc = torch_file_read(w, path, prefix, data, size);
    madvise((void *)data, size, MADV_NORMAL);
    return rc;
}

int weights_read_file(weights *w, const char *path, const char *prefix, weights_format *format) {
    file_map map;
    weights_format found;
    int rc = file_map_open(path, &map);
    if (rc == 0) rc = weights_add_source(w, path, map);
    if (rc == 0) rc = read_bytes(w, path, prefix, map.data, map.size, &found);
    if (rc == 0 && format) *format = found;
    return rc;
}

bool weights_suspect(const char *path) {
    uint8_t head[512];
    struct stat st;
    if (stat(path, &st) < 0) return false;
    if (S_ISDIR(st.st_mode)) return true;
    if (!S_ISREG(st.st_mode)) return false;
    FILE *f = fopen(path, "rb");
    size_t size = f ? fread(head, 1, sizeof head, f) : 0;
    if (f) fclose(f);
    return is_safetensors(head, size) || torch_file_is(head, size) || is_named(path) || is_mistaken(head, size);
}

int weights_open(const char *path, weights **out) {
    weights *w = weights_new(path, WEIGHTS_SAFETENSORS);
    if (!w) return ERR_MEMORY;
    struct stat st;
    bool folder = stat(path, &st) == 0 && S_ISDIR(st.st_mode);
    if (folder) w->format = WEIGHTS_FOLDER;
    int rc = folder ? folder_read(w, path) : weights_read_file(w, path, "", &w->format);
    if (rc == 0) rc = weights_finish(w, path);
    if (rc < 0) weights_close(w);
    else *out = w;
    return rc;
}
