/* SPDX-License-Identifier: Apache-2.0
 *
 * As in torch 2.9's torch/_utils.py (_rebuild_*) and torch/serialization.py (persistent_load). */
#include "weights/torch_values.h"

#include <string.h>

#include "base/error.h"

/* The storages' classes, by their names without "Storage", and the dtypes as torch names them. */
static const struct { const char *class, *dtype; stored_type type; } types[] = {
    { "Float", "float32", STORED_F32 },   { "Half", "float16", STORED_F16 },  { "BFloat16", "bfloat16", STORED_BF16 }, { "Double", "float64", STORED_F64 },
    { "Long", "int64", STORED_I64 },      { "Int", "int32", STORED_I32 },     { "Short", "int16", STORED_I16 },        { "Char", "int8", STORED_I8 },
    { "Byte", "uint8", STORED_U8 },       { "Bool", "bool", STORED_BOOL },    { "", "uint16", STORED_U16 },            { "", "uint32", STORED_U32 },
    { "", "uint64", STORED_U64 },         { "", "float8_e4m3fn", STORED_F8_E4M3 }, { "", "float8_e5m2", STORED_F8_E5M2 },
};
enum { KNOWN_TYPES = sizeof types / sizeof *types };

static bool same(const char *a, size_t n, const char *b) { return strlen(b) == n && memcmp(a, b, n) == 0; }

static bool ends(const char *a, size_t n, const char *with) { return n >= strlen(with) && memcmp(a + n - strlen(with), with, strlen(with)) == 0; }

static bool of_module(const pickle_value *v, const char *module) {
    return v->kind == PICKLE_GLOBAL && same(v->global.module, v->global.module_size, module);
}

static int fault(const pickle *p, const char *what) { return pickle_wrong(p, ERR_FORMAT, what), ERR_FORMAT; }

static bool get_size(const pickle_value *v, size_t *out) {
    if (v->kind != PICKLE_INTEGER || v->integer < 0) return false;
    *out = (size_t)v->integer;
    return true;
}

/* ---- storages --------------------------------------------------------------------------------------------------------------- */

static bool is_untyped(const pickle_value *class) {
    return pickle_is_global(class, "torch.storage", "UntypedStorage") || pickle_is_global(class, "torch", "UntypedStorage");
}

/* torch.FloatStorage; torch.cuda.HalfStorage in older files. */
static bool storage_type(const pickle_value *class, stored_type *type) {
    if (is_untyped(class)) return *type = STORED_U8, true;
    if (!of_module(class, "torch") && !of_module(class, "torch.cuda")) return false;
    const char *name = class->global.name;
    size_t n = class->global.name_size, ending = strlen("Storage");
    for (size_t i = 0; i < KNOWN_TYPES; i++)
        if (*types[i].class && ends(name, n, "Storage") && same(name, n - ending, types[i].class)) return *type = types[i].type, true;
    return false;
}

/* ("storage", class, key, place, elements) and in files before 1.6 (..., view), view None or (key, offset, elements). */
static int load_storage(torch_context *c, pickle *p, const pickle_value *id, pickle_value **out) {
    pickle_value *const *item = id->list.item;
    size_t n = id->list.count, elements;
    stored_type type;
    if (n < 5 || item[2]->kind != PICKLE_TEXT || !get_size(item[4], &elements)) return fault(p, "a storage that is not described as PyTorch does");
    if (!storage_type(item[1], &type)) return c->unknown++, 0;
    torch_storage *s = pickle_memory(p, 1, sizeof *s);
    pickle_value *v = pickle_new(p, PICKLE_CUSTOM);
    if (!s || !v) return error_code();
    *s = (torch_storage){ .key = item[2]->text.data, .key_size = item[2]->text.size, .type = type, .element = stored_type_bytes(type), .next = c->storages };
    if (__builtin_mul_overflow(elements, s->element, &s->bytes) || s->bytes > SIZE_MAX / 2) return fault(p, "a storage larger than can be");
    s->length = s->bytes;
    if (n > 5 && item[5]->kind == PICKLE_TUPLE) {
        const pickle_value *view = item[5];
        size_t begin, length;
        if (view->list.count != 3 || !get_size(view->list.item[1], &begin) || !get_size(view->list.item[2], &length) || begin > elements || length > elements - begin)
            return fault(p, "a view of a storage that reaches out of it");
        s->begin = begin * s->element;
        s->length = length * s->element;
    }
    c->storages = s;
    c->count++;
    v->custom.tag = TORCH_STORAGE;
    v->custom.data = s;
    *out = v;
    return 1;
}

static int load_persistent(void *context, pickle *p, const pickle_value *id, pickle_value **out) {
    if (id->kind != PICKLE_TUPLE || id->list.count < 1) return fault(p, "a persistent id that PyTorch does not make");
    return pickle_is_text(id->list.item[0], "storage") ? load_storage(context, p, id, out) : 0;   /* "module": the source of a class */
}

/* ---- tensors ---------------------------------------------------------------------------------------------------------------- */

static bool dtype_of(const pickle_value *v, stored_type *type) {
    if (!of_module(v, "torch")) return false;
    for (size_t i = 0; i < KNOWN_TYPES; i++)
        if (same(v->global.name, v->global.name_size, types[i].dtype)) return *type = types[i].type, true;
    return false;
}

static bool is_list(const pickle_value *v) { return v->kind == PICKLE_TUPLE || v->kind == PICKLE_LIST; }

/* Sizes and strides; the last element must lie within the storage. */
static int read_shape(const pickle *p, torch_tensor *t, const pickle_value *size, const pickle_value *stride) {
    size_t last = t->offset, end, step;
    bool empty = false, bad = false;
    if (!is_list(size) || !is_list(stride) || size->list.count != stride->list.count) return fault(p, "a tensor without a proper shape");
    if (size->list.count > STORED_MAX_RANK) return pickle_wrong(p, ERR_UNSUPPORTED, "a tensor of more than 8 dimensions");
    t->count = 1;
    for (size_t i = 0; i < size->list.count; i++) {
        if (!get_size(size->list.item[i], &t->size[i]) || !get_size(stride->list.item[i], &t->stride[i])) return fault(p, "a tensor without a proper shape");
        empty |= t->size[i] == 0;
        bad |= __builtin_mul_overflow(t->count, t->size[i], &t->count);
        bad |= t->size[i] && (__builtin_mul_overflow(t->size[i] - 1, t->stride[i], &step) || __builtin_add_overflow(last, step, &last));
        t->rank++;
    }
    if (empty) {
        t->count = 0;
        return 0;
    }
    if (bad || __builtin_add_overflow(last, 1, &end) || __builtin_mul_overflow(end, stored_type_bytes(t->type), &end) || end > t->storage->length)
        return fault(p, "a tensor that reaches out of its storage");
    return 0;
}

/* (storage, offset, size, stride, ...); NULL dtype: the storage's. */
static int rebuild(torch_context *c, pickle *p, const pickle_value *arguments, const pickle_value *dtype, pickle_value **out) {
    pickle_value *const *item = arguments->list.item;
    const pickle_value *storage = item[0];
    stored_type type;
    if (storage->kind != PICKLE_CUSTOM || storage->custom.tag != TORCH_STORAGE) return 0;   /* of an unknown type: its storage was counted */
    torch_storage *s = storage->custom.data;
    if (dtype && !dtype_of(dtype, &type)) return c->unknown++, 0;
    torch_tensor *t = pickle_memory(p, 1, sizeof *t);
    pickle_value *v = pickle_new(p, PICKLE_CUSTOM);
    if (!t || !v) return error_code();
    *t = (torch_tensor){ .storage = s, .type = dtype ? type : s->type };
    if (!get_size(item[1], &t->offset)) return fault(p, "a tensor without a proper offset");
    int rc = read_shape(p, t, item[2], item[3]);
    if (rc < 0) return rc;
    v->custom.tag = TORCH_TENSOR;
    v->custom.data = t;
    *out = v;
    return 1;
}

/* Conjugate and negative views say so in a last dictionary. No model has them. */
static bool is_plain(const pickle_value *arguments, size_t at) {
    return arguments->list.count <= at || arguments->list.item[at]->kind != PICKLE_DICT || arguments->list.item[at]->list.count == 0;
}

/* OrderedDict(), defaultdict(list), dict([(key, value), ...]): what is put into it follows, or comes as pairs. */
static int make_dict(pickle *p, const pickle_value *arguments, pickle_value **out) {
    pickle_value *v = pickle_new(p, PICKLE_DICT);
    if (!v) return error_code();
    const pickle_value *pairs = arguments->list.count == 1 ? arguments->list.item[0] : NULL;
    for (size_t i = 0; pairs && pairs->kind == PICKLE_LIST && i < pairs->list.count; i++) {
        const pickle_value *pair = pairs->list.item[i];
        if (!is_list(pair) || pair->list.count != 2) return fault(p, "a dictionary of what are no pairs");
        int rc = pickle_append(p, v, pair->list.item[0]);
        if (rc == 0) rc = pickle_append(p, v, pair->list.item[1]);
        if (rc < 0) return rc;
    }
    *out = v;
    return 1;
}

static int given(pickle_value *v, pickle_value **out) { return *out = v, 1; }

static int call_global(void *context, pickle *p, const pickle_value *global, const pickle_value *arguments, pickle_value **out) {
    pickle_value *const *item = arguments->list.item;
    size_t n = arguments->list.count;
    if (of_module(global, "torch._utils")) {
        if (pickle_is_global(global, "torch._utils", "_rebuild_tensor_v2") && n >= 4) return is_plain(arguments, 6) ? rebuild(context, p, arguments, NULL, out) : 0;
        if (pickle_is_global(global, "torch._utils", "_rebuild_tensor") && n >= 4) return rebuild(context, p, arguments, NULL, out);
        if (pickle_is_global(global, "torch._utils", "_rebuild_tensor_v3") && n >= 7) return is_plain(arguments, 7) ? rebuild(context, p, arguments, item[6], out) : 0;
        if (pickle_is_global(global, "torch._utils", "_rebuild_parameter") && n >= 1) return given(item[0], out);
        if (pickle_is_global(global, "torch._utils", "_rebuild_parameter_with_state") && n >= 1) return given(item[0], out);
        return 0;
    }
    /* A tensor with attributes: (function, class, its arguments, attributes). */
    if (pickle_is_global(global, "torch._tensor", "_rebuild_from_type_v2") && n >= 3 && item[2]->kind == PICKLE_TUPLE && of_module(item[0], "torch._utils"))
        return call_global(context, p, item[0], item[2], out);
    if (pickle_is_global(global, "torch", "Size") && n == 1 && is_list(item[0])) return given(item[0], out);
    if (of_module(global, "collections") && (pickle_is_global(global, "collections", "OrderedDict") || pickle_is_global(global, "collections", "defaultdict")))
        return make_dict(p, arguments, out);
    if (pickle_is_global(global, "builtins", "dict") || pickle_is_global(global, "__builtin__", "dict")) return make_dict(p, arguments, out);
    return 0;
}

pickle_hooks torch_hooks(torch_context *c) { return (pickle_hooks){ call_global, load_persistent, c }; }

const torch_tensor *torch_tensor_of(const pickle_value *v) {
    return v->kind == PICKLE_CUSTOM && v->custom.tag == TORCH_TENSOR ? v->custom.data : NULL;
}

bool torch_expects(const pickle_value *g) {
    static const char *const builtins[] = { "dict", "list", "tuple", "set", "frozenset", "int", "float", "str", "bytes", "bytearray", "bool", "complex", "slice", "object" };
    if (of_module(g, "torch") || of_module(g, "torch.cuda")) {
        stored_type type;
        return ends(g->global.name, g->global.name_size, "Storage") || dtype_of(g, &type) || pickle_is_global(g, "torch", "Size") ||
               pickle_is_global(g, "torch", "device") || pickle_is_global(g, "torch", "Tensor");
    }
    if (of_module(g, "torch._utils")) return g->global.name_size > 9 && memcmp(g->global.name, "_rebuild_", 9) == 0;
    if (of_module(g, "torch._tensor") || of_module(g, "torch.storage") || of_module(g, "torch.nn.parameter") || of_module(g, "collections")) return true;
    for (size_t i = 0; i < sizeof builtins / sizeof *builtins; i++)
        if (pickle_is_global(g, "builtins", builtins[i]) || pickle_is_global(g, "__builtin__", builtins[i])) return true;
    return false;
}

/* ---- bytes ------------------------------------------------------------------------------------------------------------------ */

bool torch_is_whole(const torch_tensor *t) {
    size_t step = 1;
    for (int i = t->rank; i-- > 0;) {
        if (t->size[i] != 1 && t->stride[i] != step) return t->count == 0;
        step *= t->size[i];
    }
    return true;
}

void torch_copy(const torch_tensor *t, uint8_t *out) {
    size_t each = stored_type_bytes(t->type), at[STORED_MAX_RANK] = { 0 }, place = t->offset;
    const uint8_t *from = t->storage->data + t->storage->begin;
    for (size_t i = 0; i < t->count; i++) {
        memcpy(out + i * each, from + place * each, each);
        for (int k = t->rank; k-- > 0;) {
            place += t->stride[k];
            if (++at[k] < t->size[k]) break;
            place -= t->stride[k] * at[k];
            at[k] = 0;
        }
    }
}
