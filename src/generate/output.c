/* SPDX-License-Identifier: Apache-2.0 */
#include "generate/output.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "base/output.h"
#include "image/png_text.h"

#define PREVIEW "A rough preview by mien"   /* as its parameters: nothing that anybody would take over */

/* ---- names ----------------------------------------------------------------------------------------------------------- */

static size_t stem_of(const char *path) {
    size_t n = strlen(path);
    return n > 4 && path[n - 4] == '.' && path[n - 5] != '/' ? n - 4 : n;
}

static int make_path(const char *path, const char *suffix, char out[PATH_MAX]) {
    int n = snprintf(out, PATH_MAX, "%.*s%s.png", (int)stem_of(path), path, suffix);
    return n < PATH_MAX ? 0 : error_set(ERR_USAGE, "%s: is too long a path", path);
}

int output_path(const char *first, int k, char out[PATH_MAX]) {
    char suffix[16] = "";
    if (k == 0) return (size_t)snprintf(out, PATH_MAX, "%s", first) < PATH_MAX ? 0 : error_set(ERR_USAGE, "%s: is too long a path", first);
    snprintf(suffix, sizeof suffix, "-%d", k + 1);
    return make_path(first, suffix, out);
}

int output_preview_path(const char *picture, char out[PATH_MAX]) { return make_path(picture, ".preview", out); }

/* ---- what is there --------------------------------------------------------------------------------------------------- */

/* The text of that key: 1, 0 or ERR_*. */
static int load_parameters(const char *path, text *out) {
    uint8_t *data;
    size_t size;
    int rc = file_load(path, IMAGE_MAX_BYTES, &data, &size);
    if (rc < 0) return rc;
    rc = png_text_find(data, size, PNG_PARAMETERS, out);
    free(data);
    return rc < 0 ? error_prefix("%s", path) : rc;
}

static bool is_preview(const char *path) {
    text words = { 0 };
    bool ours = load_parameters(path, &words) == 1 && words.data && strcmp(words.data, PREVIEW) == 0;
    text_free(&words);
    return ours;
}

int output_refuse_picture(const char *path, bool force, bool preview, const char *const inputs[], int n) {
    return output_refuse(path, &(output_rules){ .force = force || (preview && is_preview(path)), .inputs = inputs, .n_inputs = n });
}

char *output_parameters(const char *path) {
    text words = { 0 };
    int rc = load_parameters(path, &words);
    if (rc == 1) return words.data;
    text_free(&words);
    if (rc == 0) error_set(ERR_FORMAT, "%s: tells no settings: a PNG by mien was expected", path);
    return NULL;
}

int output_read(const char *path, picture_record *r, char **words) {
    struct stat st;
    if (lstat(path, &st) < 0) return errno == ENOENT ? 0 : error_errno("%s", path);
    if (!r) return 1;
    char *text = output_parameters(path);
    if (!text || parameters_read(text, strlen(text), r) < 0) {
        free(text);
        return error_set(ERR_EXISTS, "%s is there and tells nothing of mien's settings (--force overwrites it)", path);
    }
    if (words) *words = text;
    else free(text);
    return 1;
}

/* ---- writing --------------------------------------------------------------------------------------------------------- */

int output_write(const char *path, const image *picture, const char *parameters, bool replace) {
    return image_write_png(path, picture, parameters, parameters != NULL, replace);
}

int output_write_preview(const char *path, const image *picture) { return image_write_png(path, picture, PREVIEW, true, true); }
