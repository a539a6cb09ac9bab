/* SPDX-License-Identifier: Apache-2.0 */
#include "base/output.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"

/* The folder that a path lies in, malloc'd. */
static char *folder_of(const char *path) {
    char *copy = strdup(path);
    if (!copy) return error_memory(strlen(path)), NULL;
    for (size_t k = strlen(copy); k > 1 && copy[k - 1] == '/'; k--) copy[k - 1] = 0;
    char *slash = strrchr(copy, '/');
    if (slash) slash[slash == copy] = 0;
    else strcpy(copy, *copy ? "." : "");
    return copy;
}

bool output_lies_in(const char *path, const char *root) {
    char *own = realpath(path, NULL), *outer = realpath(root, NULL), *folder = own ? NULL : folder_of(path);
    if (folder) own = realpath(folder, NULL);
    size_t n = outer ? strlen(outer) : 0;
    bool within = own && outer && strncmp(own, outer, n) == 0 && (n == 1 || own[n] == '/' || own[n] == 0);
    free(folder);
    free(own);
    free(outer);
    return within;
}

static int refuse_inputs(const char *path, const struct stat *out, const output_rules *r) {
    for (int i = 0; i < r->n_inputs; i++) {
        const char *input = r->inputs[i];
        struct stat in;
        if (!input || stat(input, &in) < 0) continue;
        bool same = out && in.st_dev == out->st_dev && in.st_ino == out->st_ino;
        if (same || file_same_place(path, input)) return error_set(ERR_USAGE, "%s: is an input", path);
        if (!r->apart) continue;
        if (S_ISDIR(in.st_mode) && output_lies_in(path, input)) return error_set(ERR_USAGE, "%s: lies in the input %s", path, input);
        if (out && S_ISDIR(out->st_mode) && output_lies_in(input, path)) return error_set(ERR_USAGE, "%s: the input %s lies in it", path, input);
    }
    return 0;
}

static int refuse_parent(const char *path) {
    char *folder = folder_of(path);
    struct stat st;
    if (!folder) return error_code();
    int rc = 0;
    if (stat(folder, &st) < 0) rc = errno == ENOENT ? error_set(ERR_USAGE, "%s: the folder is not there", path) : (error_errno("%s", folder), ERR_USAGE);
    else if (!S_ISDIR(st.st_mode)) rc = error_set(ERR_USAGE, "%s: is not a folder", folder);
    else if (access(folder, W_OK | X_OK) < 0) rc = error_set(ERR_USAGE, "%s: nothing can be written there: %s", path, strerror(errno));
    free(folder);
    return rc;
}

int output_refuse(const char *path, const output_rules *r) {
    struct stat out, link;
    bool there = stat(path, &out) == 0, nothing = errno == ENOENT || errno == ENOTDIR;
    if (!there && !nothing) return error_errno("%s", path), ERR_USAGE;
    int rc = refuse_inputs(path, there ? &out : NULL, r);
    if (rc < 0) return rc;
    if (there && !r->folder && S_ISDIR(out.st_mode)) return error_set(ERR_USAGE, "%s: is a folder", path);
    if (there && r->folder && !S_ISDIR(out.st_mode)) return error_set(ERR_USAGE, "%s: is not a folder", path);
    if (there && !r->folder && !S_ISREG(out.st_mode)) return error_set(ERR_USAGE, "%s: is not a regular file", path);
    if (!r->force && there) return error_set(ERR_EXISTS, "%s: is there already (--force overwrites it)", path);
    if (!r->force && lstat(path, &link) == 0) return error_set(ERR_EXISTS, "%s: is a link to nothing (--force overwrites it)", path);
    return refuse_parent(path);
}
