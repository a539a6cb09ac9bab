/* SPDX-License-Identifier: Apache-2.0
 *
 * The pickle machine on hostile bytes, with PyTorch's hooks. Values are walked: each pointer in them must be good. */
#include <stdlib.h>

#include "weights/torch_values.h"

enum { MOST_STEPS = 20000 };

static size_t walk(const pickle_value *v, int depth, size_t *steps) {
    if (depth > 20 || ++*steps > MOST_STEPS) return 0;
    size_t sum = v->kind;
    const torch_tensor *t = torch_tensor_of(v);
    if (v->kind == PICKLE_TEXT || v->kind == PICKLE_BYTES || v->kind == PICKLE_BIG)
        for (size_t i = 0; i < v->text.size; i++) sum += (uint8_t)v->text.data[i];
    if (v->kind == PICKLE_TUPLE || v->kind == PICKLE_LIST || v->kind == PICKLE_DICT)
        for (size_t i = 0; i < v->list.count; i++) sum += walk(v->list.item[i], depth + 1, steps);
    if (v->kind == PICKLE_OBJECT && v->made_of) sum += v->made_of->global.module_size;
    if (t && t->count > t->storage->length / stored_type_bytes(t->type) && torch_is_whole(t)) abort();
    return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    torch_context c = { 0 };
    pickle_hooks hooks = torch_hooks(&c);
    pickle *p;
    size_t used, steps = 0;
    if (pickle_read("fuzz", data, size, 1 << 22, &hooks, &p, &used) < 0) return 0;
    if (used == 0 || used > size || walk(pickle_result(p), 0, &steps) == SIZE_MAX) abort();
    for (size_t i = 0; i < pickle_globals(p); i++) torch_expects(pickle_global(p, i));
    pickle_free(p);
    return 0;
}
