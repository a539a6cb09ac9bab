/* SPDX-License-Identifier: Apache-2.0 */
#include "face/locate.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/own_folder.h"

static int answer(char *path, size_t size, const char *folder) {
    if (strlen(folder) >= size) return error_set(ERR_IO, "%s: the path is too long", folder);
    strcpy(path, folder);
    return 0;
}

int locate_models(const char *chosen, char *path, size_t size) {
    if (chosen) return answer(path, size, chosen);
    const char *variable = getenv("MIEN_MODELS");
    if (variable && *variable) return answer(path, size, variable);

    /* bin/ and lib/, a multi-architecture lib/x86_64-linux-gnu/, build/, and one level below it */
    static const char *const places[] = { "../share/mien/models", "../../share/mien/models", "../third_party/models",
                                          "../../third_party/models" };
    char folder[PATH_MAX];
    /* Any one of the models tells the folder; that the other is missing is said by whoever opens it. */
    if (own_folder_find(places, sizeof places / sizeof *places, "face_detection_short_range.tflite", folder) == 0) return answer(path, size, folder);
    if (own_folder(folder) < 0) return error_set(ERR_IO, "the face models: set MIEN_MODELS, the program cannot find itself");
    return error_set(ERR_IO, "no face models in %s, nor in %s of the build tree (both seen from %s): run `make setup`, or set "
                     "MIEN_MODELS to the folder that has them", places[0], places[2], folder);
}
