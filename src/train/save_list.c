/* SPDX-License-Identifier: Apache-2.0
 *
 * checkpoint.json:
 * {"format":1,"step":123,"measure":0.0123,"files":{"state.safetensors":{"bytes":n,"sum":"0123456789abcdef"}, ...}} */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/number.h"
#include "train/save_inside.h"

enum { FORMAT = 1, MEMORY = 1 << 18 };

const char *const save_names[SAVE_FILES] = {
    "control.safetensors", "control_average.safetensors", "base.safetensors", "base_average.safetensors", "state.safetensors",
};

int save_list_write(const save_list *l, text *out) {
    char number[NUMBER_TEXT] = "null";
    if (isfinite(l->measure)) number_shortest_f64(number, l->measure);
    text_printf(out, "{\"format\":%d,\"step\":%" PRIu64 ",\"measure\":%s,\"files\":{", FORMAT, l->step, number);
    const char *before = "";
    for (int i = 0; i < SAVE_FILES; i++) {
        if (!l->has[i]) continue;
        text_printf(out, "%s\"%s\":{\"bytes\":%" PRIu64 ",\"sum\":\"%016" PRIx64 "\"}", before, save_names[i],
                    l->bytes[i], l->hash[i]);
        before = ",";
    }
    text_add(out, "}}\n");
    return text_check(out);
}

static int read_sum(const json_at *at, uint64_t *out) {
    const char *s;
    int rc = json_need_string(at, &s);
    if (rc < 0) return rc;
    if (strlen(s) != 16 || strspn(s, "0123456789abcdef") != 16) return json_error(at, ERR_FORMAT, "16 hex digits were expected");
    *out = strtoull(s, NULL, 16);
    return 0;
}

static int take_file(void *context, const json_at *file) {
    save_list *l = context;
    json_at at;
    long long bytes = 0;
    int k = 0;
    while (k < SAVE_FILES && strcmp(file->key, save_names[k]) != 0) k++;
    if (k == SAVE_FILES) return json_error(file, ERR_FORMAT, "is no file of a checkpoint");
    int rc = json_need_object(file);
    if (rc == 0) rc = json_need_field(file, "bytes", &at);
    if (rc == 0) rc = json_need_integer(&at, 0, INT64_MAX, &bytes);
    if (rc == 0) rc = json_need_field(file, "sum", &at);
    if (rc == 0) rc = read_sum(&at, &l->hash[k]);
    l->bytes[k] = (uint64_t)bytes;
    l->has[k] = true;
    return rc;
}

static int read_root(const json_at *root, save_list *l) {
    json_at at;
    long long n;
    int rc = json_need_object(root);
    if (rc == 0) rc = json_need_field(root, "format", &at);
    if (rc == 0) rc = json_need_integer(&at, 1, INT64_MAX, &n);
    if (rc == 0 && n != FORMAT)
        return json_error(&at, ERR_UNSUPPORTED, "format %lld is unknown: this mien writes and reads %d", n, FORMAT);
    if (rc == 0) rc = json_need_field(root, "step", &at);
    if (rc == 0) rc = json_need_integer(&at, 0, INT64_MAX, &n);
    if (rc < 0) return rc;
    l->step = (uint64_t)n;
    l->measure = NAN;
    rc = json_need_field(root, "measure", &at);
    if (rc == 0 && !json_is_nothing(&at)) rc = json_need_number(&at, -1e300, 1e300, &l->measure);
    if (rc == 0) rc = json_need_field(root, "files", &at);
    if (rc == 0) rc = json_need_object(&at);
    if (rc == 0) rc = json_each_field(&at, take_file, l);
    return rc == 0 && !l->has[SAVE_STATE] ? json_error(&at, ERR_FORMAT, "state.safetensors is missing") : rc;
}

int save_list_read(const char *name, const uint8_t *data, size_t size, save_list *out) {
    json *doc;
    *out = (save_list){ 0 };
    int rc = json_parse(name, data, size, MEMORY, &doc);
    if (rc < 0) return rc;
    json_at root = json_root(doc);
    rc = read_root(&root, out);
    json_free(doc);
    return rc;
}

int save_list_load(const char *folder, save_list *out) {
    char path[PATH_MAX];
    uint8_t *data;
    size_t size;
    int rc = save_path(path, "%s/" SAVE_LIST, folder);
    if (rc == 0) rc = file_load(path, SAVE_LIST_BYTES, &data, &size);
    if (rc < 0) return rc;
    rc = save_list_read(path, data, size, out);
    free(data);
    return rc;
}

/* ---- checksums ------------------------------------------------------------------------------------------------------------ */

/* splitmix64's finaliser: every bit of what comes in reaches every bit of what comes out. */
static uint64_t mix(uint64_t x) {
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ULL;
    x = (x ^ x >> 27) * 0x94d049bb133111ebULL;
    return x ^ x >> 31;
}

/* Each word goes through an odd factor and a rotation, both one to one: one changed word always changes its lane. */
static void add_block(save_sum *s, const uint8_t *p) {
    for (int k = 0; k < 4; k++) {
        uint64_t word;
        memcpy(&word, p + 8 * k, sizeof word);
        uint64_t x = (s->lane[k] ^ word) * 0x9e3779b97f4a7c15ULL;
        s->lane[k] = x << 29 | x >> 35;
    }
}

void save_sum_add(save_sum *s, const void *data, size_t size) {
    const uint8_t *p = data;
    size_t have = s->bytes % 32;
    s->bytes += size;
    if (have) {
        size_t n = size < 32 - have ? size : 32 - have;
        memcpy(s->rest + have, p, n);
        p += n, size -= n;
        if (have + n < 32) return;
        add_block(s, s->rest);
    }
    for (; size >= 32; p += 32, size -= 32) add_block(s, p);
    if (size) memcpy(s->rest, p, size);
}

uint64_t save_sum_end(save_sum *s) {
    size_t have = s->bytes % 32;
    if (have) {
        memset(s->rest + have, 0, 32 - have);
        add_block(s, s->rest);
    }
    uint64_t x = mix(s->bytes + 1);
    for (uint64_t k = 0; k < 4; k++) x = mix(x ^ mix(s->lane[k] + k));
    return x;
}

int save_sum_file(const char *path, uint64_t *bytes, uint64_t *sum) {
    enum { BLOCK = 1 << 20 };
    save_sum s = { 0 };
    ssize_t n = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW), rc = 0;
    if (fd < 0) return error_errno("%s", path);
    uint8_t *block = malloc(BLOCK);
    if (!block) rc = error_memory(BLOCK);
    while (rc == 0 && ((n = read(fd, block, BLOCK)) > 0 || (n < 0 && errno == EINTR)))
        if (n > 0) save_sum_add(&s, block, (size_t)n);
    if (rc == 0 && n < 0) rc = error_errno("%s", path);
    free(block);
    close(fd);
    *bytes = s.bytes;
    *sum = save_sum_end(&s);
    return rc;
}
