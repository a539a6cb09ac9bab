/* SPDX-License-Identifier: Apache-2.0 */
#include "generate/own_model.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/own_folder.h"

int own_model_find(bool control, char *path, size_t size) {
    static const char *const places[] = { "../share/mien/models/tiny", "../../share/mien/models/tiny", "../models/tiny", "../../models/tiny" };
    const char *file = control ? OWN_MODEL "-control.safetensors" : OWN_MODEL ".safetensors", *variable = getenv("MIEN_MODELS");
    char folder[PATH_MAX];
    int n = variable && *variable ? snprintf(path, size, "%s/tiny/%s", variable, file) : 0;
    if (n > 0 && (size_t)n < size && access(path, R_OK) == 0) return 0;
    if (own_folder_find(places, sizeof places / sizeof *places, file, folder) < 0)
        return error_set(ERR_USAGE, "%s%s, the small model that comes with mien, is not there: %s is neither in %s nor in %s of the build tree, and MIEN_MODELS is no folder with tiny/ in it that "
                         "has it; name another model by --base", OWN_MODEL, control ? "'s ControlNet" : "", file, places[0], places[2]);
    n = snprintf(path, size, "%s/%s", folder, file);
    return n >= 0 && (size_t)n < size ? 0 : error_set(ERR_IO, "%s: the path is too long", folder);
}

picture_settings own_model_settings(void) {
    picture_settings s = settings_defaults();
    s.added = s.negative = "";
    s.cfg = 3;
    return s;
}
