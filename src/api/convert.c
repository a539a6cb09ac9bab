/* SPDX-License-Identifier: Apache-2.0
 *
 * The public library's models as files: looks whether options make sense, and hands them to the room weights. */
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "api/api.h"
#include "base/error.h"
#include "mien.h"
#include "model/shapes.h"
#include "model/tokenizer.h"
#include "model/tokenizer_learn.h"
#include "weights/convert.h"

static int check_dtype(mien_dtype dtype) {
    return dtype >= MIEN_DTYPE_AUTO && dtype <= MIEN_DTYPE_F16 ? 0 : error_set(ERR_USAGE, "dtype %d: there is none of that number", (int)dtype);
}

int mien_convert(const mien_convert_options *o, mien_convert_result *result) {
    mien_convert_result unused;
    if (!o->input || !*o->input || !o->output || !*o->output) return error_set(ERR_USAGE, "an input and an output are needed");
    if (o->to < MIEN_LAYOUT_LDM || o->to > MIEN_LAYOUT_DIFFUSERS) return error_set(ERR_USAGE, "layout %d: there is none of that number", (int)o->to);
    if (o->prediction < MIEN_PREDICTION_AUTO || o->prediction > MIEN_PREDICTION_V)
        return error_set(ERR_USAGE, "prediction %d: there is none of that number", (int)o->prediction);
    int rc = check_dtype(o->dtype);
    char vocabulary[PATH_MAX];
    bool there = o->to == MIEN_LAYOUT_DIFFUSERS && tokenizer_locate(vocabulary, sizeof vocabulary) == 0;
    mien_convert_options how = *o;
    char input[MIEN_PATH];
    if (rc == 0) rc = api_model(&how.input, input);
    return rc < 0 ? rc : convert_run(&how, there ? vocabulary : NULL, shapes_check, result ? result : &unused);
}

int mien_transfer(const mien_transfer_options *o, mien_convert_result *result) {
    mien_convert_result unused;
    if (!o->controlled || !*o->controlled || !o->from || !*o->from || !o->onto || !*o->onto || !o->output || !*o->output)
        return error_set(ERR_USAGE, "a controlled model, two bases and an output are needed");
    mien_transfer_options how = *o;
    char controlled[MIEN_PATH], from[MIEN_PATH], onto[MIEN_PATH];
    int rc = check_dtype(o->dtype);
    if (rc == 0) rc = api_model(&how.controlled, controlled);
    if (rc == 0) rc = api_model(&how.from, from);
    if (rc == 0) rc = api_model(&how.onto, onto);
    return rc < 0 ? rc : transfer_run(&how, shapes_check, result ? result : &unused);
}

mien_init_options mien_init_defaults(void) { return (mien_init_options){ .layout = MIEN_LAYOUT_CONTROL }; }

static void tell_learnt(void *context, size_t tokens, size_t entries) {
    const mien_hooks *h = context;
    char line[100];
    snprintf(line, sizeof line, "the tokenizer has learnt %zu tokens of %zu", tokens, entries);
    if (h->log) h->log(h->context, MIEN_LOG_INFO, NULL, line);
}

static int learn_tokenizer(const char *captions, size_t tokens, const mien_hooks *hooks, text *merges) {
    const tokenizer_watch watch = { hooks->stop, tell_learnt, (void *)hooks };
    return tokenizer_learn_file(captions, tokens, &watch, merges);
}

int mien_init(const mien_init_options *o, mien_init_result *result) {
    mien_init_result unused;
    bool scratch = o->scratch && *o->scratch;
    if (scratch == (o->base && *o->base) || !o->output || !*o->output) return error_set(ERR_USAGE, "a base or a folder of configs, and an output are needed");
    if (o->captions && !scratch) return error_set(ERR_USAGE, "captions are for a base from scratch: they teach its tokenizer");
    if (o->layout != MIEN_LAYOUT_LDM && o->layout != MIEN_LAYOUT_CONTROL) return error_set(ERR_USAGE, "layout %d: LDM or CONTROL is possible", (int)o->layout);
    mien_init_options how = *o;
    char base[MIEN_PATH];
    int rc = check_dtype(o->dtype);
    if (rc == 0 && scratch) return init_scratch_run(&how, learn_tokenizer, result ? result : &unused);
    if (rc == 0) rc = api_model(&how.base, base);
    return rc < 0 ? rc : init_run(&how, shapes_check, result ? result : &unused);
}
