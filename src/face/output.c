/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "face/output.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "base/hash.h"
#include "image/image.h"

enum { HEAD = 4096 };                                /* where an output says what it was made from */

const char *const output_suffix[OUTPUTS] = { ".png", ".json", "_overlay.png" };
const char *const output_stamp[OUTPUTS] = { "map", NULL, "overlay" };

/* The first bytes of an output and its last. */
typedef struct { uint8_t head[HEAD + 1], tail[12]; size_t head_size; } output_ends;

/* 1 for a closer look; 0 if *state is known: absent, no file or a link, a file without bytes; or ERR_IO. */
static int read_ends(const char *path, output_ends *e, output_state *state) {
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
    if (fd < 0) {
        if (errno != ENOENT && errno != ELOOP) return error_errno("%s", path);
        *state = errno == ENOENT ? OUTPUT_ABSENT : OUTPUT_FOREIGN;
        return 0;
    }
    struct stat st;
    *state = fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) ? OUTPUT_FOREIGN : OUTPUT_STALE;
    bool look = *state == OUTPUT_STALE && st.st_size > 0;
    ssize_t n = look ? pread(fd, e->head, HEAD, 0) : 0;
    if (n >= (ssize_t)sizeof e->tail && pread(fd, e->tail, sizeof e->tail, st.st_size - (off_t)sizeof e->tail) < 0) n = -1;
    int rc = n < 0 ? error_errno("%s", path) : look;
    close(fd);
    e->head_size = n < 0 ? 0 : (size_t)n;
    e->head[e->head_size] = 0;
    return rc;
}

static void look_at_picture(const output_ends *e, output_kind kind, const faces_origin *origin, output_seen *out) {
    static const uint8_t end[12] = { 0, 0, 0, 0, 'I', 'E', 'N', 'D', 0xae, 0x42, 0x60, 0x82 };
    char stamp[1024];
    out->state = OUTPUT_FOREIGN;
    if (!image_png_text(e->head, e->head_size, FACES_STAMP_KEY, stamp, sizeof stamp) || strncmp(stamp, "{\"format\":", 10) != 0) return;
    faces_stamp_json(stamp, out->json);
    text want = { 0 };
    faces_stamp(origin, out->json, output_stamp[kind], false, 0, 0, &want);
    bool same = want.data && strcmp(stamp, want.data) == 0 && memcmp(e->tail, end, sizeof end) == 0;
    text_free(&want);
    out->state = same ? OUTPUT_SAME : OUTPUT_STALE;
}

static bool same_origin(const faces_origin *a, const faces_origin *b) {
    return strcmp(a->sha256, b->sha256) == 0 && a->settings.max_faces == b->settings.max_faces &&
           a->settings.min_confidence == b->settings.min_confidence && a->settings.min_face == b->settings.min_face &&
           a->settings.ignore_exif == b->settings.ignore_exif && a->settings.search_auto == b->settings.search_auto;
}

/* What the map vouches for is told by its first lines; else it has to be read. */
static output_state json_state(const char *path, const output_ends *e, const uint8_t *data, size_t size, const faces_origin *origin, bool vouched) {
    text want = { 0 };
    faces_origin_lines(origin, &want);
    const char *line = strchr((const char *)e->head, '\n');
    bool same = line && want.data && strncmp(line + 1, want.data, want.size) == 0;
    text_free(&want);
    if (vouched) return same ? OUTPUT_SAME : OUTPUT_STALE;
    faces f;
    faces_origin from;
    if (faces_json_read(path, data, size, &f, &from) < 0) return strncmp((const char *)e->head, "{\"format\":1,\"width\":", 20) ? OUTPUT_FOREIGN : OUTPUT_CHANGED;
    free(f.face);
    if (!from.sha256[0] || !from.has_settings) return OUTPUT_FOREIGN;
    return same_origin(&from, origin) ? OUTPUT_UNSURE : OUTPUT_CHANGED;
}

static int look_at_json(const char *path, const output_ends *e, const faces_origin *origin, const char *vouched, output_seen *out) {
    uint8_t *data, digest[32];
    size_t size;
    int rc = file_load(path, FACES_MOST_BYTES, &data, &size);
    if (rc == ERR_LIMIT) return out->state = OUTPUT_FOREIGN, 0;
    if (rc < 0) return rc;
    sha256(data, size, digest);
    sha256_hex(digest, out->json);
    out->state = json_state(path, e, data, size, origin, strcmp(out->json, vouched) == 0);
    free(data);
    return 0;
}

int output_look(const char *path, output_kind kind, const faces_origin *origin, const char *vouched, output_seen *out) {
    output_ends e = { .tail = { 0 } };
    *out = (output_seen){ 0 };
    int rc = read_ends(path, &e, &out->state);
    if (rc <= 0) return rc;
    if (kind == OUTPUT_JSON) return look_at_json(path, &e, origin, vouched, out);
    look_at_picture(&e, kind, origin, out);
    return 0;
}
