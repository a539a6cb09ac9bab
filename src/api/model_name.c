/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include <unistd.h>

#include "api/api.h"
#include "base/error.h"
#include "generate/own_model.h"
#include "weights/pull.h"

int api_model(const char **path, char room[MIEN_PATH]) {
    if (!*path || access(*path, F_OK) == 0 || !pull_known(*path)) return 0;
    int there = pull_find(*path, room);
    if (there == 0) return error_set(ERR_USAGE, "%s: there is no such file, and the model of that name was not pulled yet (mien pull %s)", *path, *path);
    if (there > 0) *path = room;
    return there < 0 ? there : 0;
}

static int take_own(const char **base, const char **control, const mien_hooks *hooks, char base_room[MIEN_PATH], char control_room[MIEN_PATH]) {
    bool named = *base && **base;
    if (named && (strcmp(*base, OWN_MODEL) != 0 || access(*base, F_OK) == 0)) return 0;
    int rc = own_model_find(false, base_room, MIEN_PATH);
    if (rc == 0 && control && !*control) rc = own_model_find(true, control_room, MIEN_PATH);
    if (rc < 0) return rc;
    if (!named && hooks->log) hooks->log(hooks->context, MIEN_LOG_INFO, base_room, "no base was named: this is " OWN_MODEL ", the small model that comes with mien");
    *base = base_room;
    if (control && !*control) *control = control_room;
    return 0;
}

int api_base(const char **base, const char **control, const mien_hooks *hooks, char base_room[MIEN_PATH], char control_room[MIEN_PATH]) {
    int rc = take_own(base, control, hooks, base_room, control_room);
    if (rc == 0) rc = api_model(base, base_room);
    return rc < 0 || !control ? rc : api_model(control, control_room);
}
