/* SPDX-License-Identifier: Apache-2.0 */
#include <unistd.h>

#include "api/api.h"
#include "base/error.h"
#include "weights/pull.h"

int api_model(const char **path, char room[MIEN_PATH]) {
    if (!*path || access(*path, F_OK) == 0 || !pull_known(*path)) return 0;
    int there = pull_find(*path, room);
    if (there == 0) return error_set(ERR_USAGE, "%s: there is no such file, and the model of that name was not pulled yet (mien pull %s)", *path, *path);
    if (there > 0) *path = room;
    return there < 0 ? there : 0;
}
