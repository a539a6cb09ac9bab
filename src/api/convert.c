/* SPDX-License-Identifier: Apache-2.0
 *
 * The public library's models as files: looks whether options make sense, and hands them to the room weights. */
#include <limits.h>
#include <stdbool.h>
#include <string.h>

#include "api/api.h"
#include "base/error.h"
#include "mien.h"
#include "model/shapes.h"
#include "model/tokenizer.h"
#include "weights/convert.h"

static int check_type(mien_store_type type) {
    return type >= MIEN_STORE_AS_IS && type <= MIEN_STORE_BF16 ? 0 : error_set(ERR_USAGE, "type %d: there is none of that number", (int)type);
}

int mien_convert(const mien_convert_options *o, mien_convert_result *result) {
    mien_convert_result unused;
    if (!o->input || !*o->input || !o->output || !*o->output) return error_set(ERR_USAGE, "an input and an output are needed");
    if (o->to < MIEN_LAYOUT_LDM || o->to > MIEN_LAYOUT_DIFFUSERS) return error_set(ERR_USAGE, "layout %d: there is none of that number", (int)o->to);
    if (o->prediction && strcmp(o->prediction, "epsilon") != 0 && strcmp(o->prediction, "v") != 0)
        return error_set(ERR_USAGE, "prediction is \"%s\": epsilon or v is possible", o->prediction);
    int rc = check_type(o->type);
    char vocabulary[PATH_MAX];
    bool there = o->to == MIEN_LAYOUT_DIFFUSERS && tokenizer_locate(vocabulary, sizeof vocabulary) == 0;
    mien_convert_options how = *o;
    char input[4096];
    if (rc == 0) rc = api_model(&how.input, input);
    return rc < 0 ? rc : convert_run(&how, there ? vocabulary : NULL, shapes_check, result ? result : &unused);
}

int mien_transfer(const mien_transfer_options *o, mien_convert_result *result) {
    mien_convert_result unused;
    if (!o->controlled || !*o->controlled || !o->from || !*o->from || !o->onto || !*o->onto || !o->output || !*o->output)
        return error_set(ERR_USAGE, "a controlled model, two bases and an output are needed");
    mien_transfer_options how = *o;
    char controlled[4096], from[4096], onto[4096];
    int rc = check_type(o->type);
    if (rc == 0) rc = api_model(&how.controlled, controlled);
    if (rc == 0) rc = api_model(&how.from, from);
    if (rc == 0) rc = api_model(&how.onto, onto);
    return rc < 0 ? rc : transfer_run(&how, shapes_check, result ? result : &unused);
}

int mien_init(const mien_init_options *o, mien_init_result *result) {
    mien_init_result unused;
    if (!o->base || !*o->base || !o->output || !*o->output) return error_set(ERR_USAGE, "a base and an output are needed");
    if (o->layout != MIEN_LAYOUT_LDM && o->layout != MIEN_LAYOUT_CONTROL) return error_set(ERR_USAGE, "layout %d: LDM or CONTROL is possible", (int)o->layout);
    mien_init_options how = *o;
    char base[4096];
    int rc = check_type(o->type);
    if (rc == 0) rc = api_model(&how.base, base);
    return rc < 0 ? rc : init_run(&how, shapes_check, result ? result : &unused);
}
