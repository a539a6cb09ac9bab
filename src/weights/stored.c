/* SPDX-License-Identifier: Apache-2.0
 *
 * The types that tensors are stored in. */
#include <string.h>

#include "base/error.h"
#include "weights/weights_inside.h"

static const struct { const char *name; size_t bytes; } types[STORED_TYPES] = {
    [STORED_F32] = { "F32", 4 },   [STORED_F16] = { "F16", 2 },   [STORED_BF16] = { "BF16", 2 }, [STORED_F64] = { "F64", 8 },
    [STORED_I64] = { "I64", 8 },   [STORED_I32] = { "I32", 4 },   [STORED_I16] = { "I16", 2 },   [STORED_I8] = { "I8", 1 },
    [STORED_U64] = { "U64", 8 },   [STORED_U32] = { "U32", 4 },   [STORED_U16] = { "U16", 2 },   [STORED_U8] = { "U8", 1 },
    [STORED_BOOL] = { "BOOL", 1 }, [STORED_F8_E4M3] = { "F8_E4M3", 1 }, [STORED_F8_E5M2] = { "F8_E5M2", 1 },
};

size_t stored_type_bytes(stored_type type) { return types[type].bytes; }
const char *stored_type_name(stored_type type) { return types[type].name; }

bool stored_type_parse(const char *name, size_t length, stored_type *type) {
    for (int i = 0; i < STORED_TYPES; i++)
        if (strlen(types[i].name) == length && memcmp(types[i].name, name, length) == 0) return *type = (stored_type)i, true;
    return false;
}

int stored_bytes(const char *what, const stored_tensor *t, size_t *bytes) {
    size_t n = stored_type_bytes(t->type);
    bool empty = false, overflow = false;
    for (int i = 0; i < t->rank; i++) {
        empty |= t->dim[i] == 0;
        overflow |= __builtin_mul_overflow(n, t->dim[i] ? t->dim[i] : 1, &n);
    }
    if (overflow || n > SIZE_MAX / 2) return error_set(ERR_FORMAT, "%s: tensor \"%.200s\": its shape has more numbers than there can be", what, t->name);
    *bytes = empty ? 0 : n;
    return 0;
}
