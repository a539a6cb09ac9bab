/* SPDX-License-Identifier: Apache-2.0
 *
 * What the file says of a tensor, and an operation's inputs as tensors of the graph. */
#include "base/error.h"
#include "base/text.h"
#include "tflite/reader.h"

/* Far above any face network (147,456), far below what could hurt: 256 MiB of float32. */
static const size_t max_elements = (size_t)1 << 26;
/* Tensors may share a buffer, and each is packed by itself: a small file must not become a large graph. */
static const size_t max_sharing = 4;

/* The schema's field numbers. */
enum { TENSOR_SHAPE, TENSOR_TYPE, TENSOR_BUFFER, TENSOR_NAME, TENSOR_QUANTIZATION, TENSOR_IS_VARIABLE, TENSOR_SPARSITY,
       TENSOR_SHAPE_SIGNATURE };
enum { BUFFER_DATA, BUFFER_OFFSET };

safe_name reader_name(const char *name) {
    safe_name s;
    text_escape(s.text, sizeof s.text, name);
    return s;
}

static bool read_shape(reader *r, fb_table t, size_t i, tensor_info *out) {
    flatbuffer *f = &r->file;
    fb_vector shape = fb_get_vector(f, t, TENSOR_SHAPE, 4), fixed = fb_get_vector(f, t, TENSOR_SHAPE_SIGNATURE, 4);
    if (f->rc) return false;
    if (shape.count < 1 || shape.count > NN_MAX_RANK)
        return reader_fail(r, ERR_UNSUPPORTED, "tensor %zu (%.80s): %zu dimensions; 1 to %d are supported", i, out->name, shape.count,
                           NN_MAX_RANK);
    if (fixed.element && fixed.count != shape.count)
        return reader_fail(r, ERR_FORMAT, "tensor %zu (%.80s): its shape and shape signature differ in rank", i, out->name);
    out->shape.rank = (int)shape.count;
    out->elements = 1;
    for (size_t d = 0; d < shape.count; d++) {
        int32_t n = fb_at_i32(f, shape, d);
        if (n == -1 || (fixed.element && fb_at_i32(f, fixed, d) != n))
            return reader_fail(r, ERR_UNSUPPORTED, "tensor %zu (%.80s): dynamic shapes are not supported", i, out->name);
        if (n < 1) return reader_fail(r, ERR_FORMAT, "tensor %zu (%.80s): dimension %zu is %d", i, out->name, d, n);
        out->shape.dim[d] = (size_t)n;
        if (out->elements > max_elements / (size_t)n)
            return reader_fail(r, ERR_LIMIT, "tensor %zu (%.80s): more than %zu elements", i, out->name, max_elements);
        out->elements *= (size_t)n;
    }
    return true;
}

static bool read_constant(reader *r, fb_table t, size_t i, tensor_info *out) {
    flatbuffer *f = &r->file;
    uint32_t index = fb_u32(f, t, TENSOR_BUFFER, 0);
    if (index >= r->buffers.count)
        return reader_fail(r, ERR_FORMAT, "tensor %zu (%.80s): buffer %u of %zu", i, out->name, index, r->buffers.count);
    fb_table buffer = fb_at_table(f, r->buffers, index);
    if (fb_u64(f, buffer, BUFFER_OFFSET, 0) > 1)
        return reader_fail(r, ERR_UNSUPPORTED, "tensor %zu (%.80s): data behind the FlatBuffer is not supported", i, out->name);
    fb_vector data = fb_get_vector(f, buffer, BUFFER_DATA, 1);
    if (f->rc || !data.count) return !f->rc;
    size_t bytes = out->elements * (out->type == TYPE_FLOAT16 ? 2 : 4);
    if (data.count != bytes)
        return reader_fail(r, ERR_FORMAT, "tensor %zu (%.80s): its buffer holds %zu bytes, its shape needs %zu", i, out->name,
                           data.count, bytes);
    out->constant = f->data + data.at;
    return true;
}

bool reader_tensor(reader *r, size_t i, tensor_info *out) {
    flatbuffer *f = &r->file;
    *out = (tensor_info){ 0 };
    if (i >= r->tensors.count) return reader_fail(r, ERR_FORMAT, "tensor %zu of %zu", i, r->tensors.count);
    fb_table t = fb_at_table(f, r->tensors, i);
    out->name = fb_string(f, t, TENSOR_NAME);
    out->type = fb_u8(f, t, TENSOR_TYPE, TYPE_FLOAT32);
    if (f->rc) return false;
    if (out->type > TYPE_INT32)
        return reader_fail(r, ERR_UNSUPPORTED, "tensor %zu (%.80s): type %s (%u) is not supported", i, out->name,
                           tflite_type_name(out->type), out->type);
    if (fb_u8(f, t, TENSOR_IS_VARIABLE, 0) || fb_has(f, t, TENSOR_SPARSITY))
        return reader_fail(r, ERR_UNSUPPORTED, "tensor %zu (%.80s): variable and sparse tensors are not supported", i, out->name);
    return read_shape(r, t, i, out) && read_constant(r, t, i, out) && !f->rc;
}

/* ---- an operation's inputs --------------------------------------------------------------------------------------- */

/* The index of input i, or SIZE_MAX if it is not given. */
static size_t input_index(operation *o, int i) {
    if (i < o->n_in && o->in[i] >= 0) return (size_t)o->in[i];
    reader_fail(o->r, ERR_FORMAT, "input %d is missing", i);
    return SIZE_MAX;
}

static tensor *param_of(operation *o, size_t i) {
    reader *r = o->r;
    tensor_info info;
    size_t source = r->state[i].widened ? r->state[i].source : i;
    tensor_state *state = &r->state[source];
    if (!reader_tensor(r, source, &info) || state->made) return r->file.rc ? NULL : state->made;
    if (info.type == TYPE_INT32 || (info.type == TYPE_FLOAT16 && source == i))
        return reader_fail(r, ERR_UNSUPPORTED, "tensor %zu (%.80s): a constant of type %s where float32 is needed", i, info.name,
                           tflite_type_name(info.type));
    r->constant_bytes += info.elements * (info.type == TYPE_FLOAT16 ? 2 : 4);
    if (r->constant_bytes > max_sharing * r->file.size)
        return reader_fail(r, ERR_LIMIT, "tensors share buffers: the constants come to more than %zu times the file", max_sharing);
    return state->made = graph_param(r->g, reader_name(info.name).text, info.type == TYPE_FLOAT16 ? NN_F16 : NN_F32, info.shape, info.constant);
}

static tensor *input_as(operation *o, int i, bool value, bool constant) {
    reader *r = o->r;
    tensor_info info;
    size_t index = input_index(o, i);
    if (index == SIZE_MAX || !reader_tensor(r, index, &info)) return NULL;
    if (r->state[index].widened || info.constant) {
        if (constant) return param_of(o, index);
        return reader_fail(r, ERR_UNSUPPORTED, "input %d, tensor %zu (%.80s), is a constant", i, index, info.name);
    }
    if (!r->state[index].made)
        return reader_fail(r, ERR_FORMAT, "input %d, tensor %zu (%.80s), is not written by an operation before", i, index, info.name);
    if (value) return r->state[index].made;
    return reader_fail(r, ERR_UNSUPPORTED, "input %d, tensor %zu (%.80s), is not a constant", i, index, info.name);
}

tensor *operation_value(operation *o, int i) { return input_as(o, i, true, false); }
tensor *operation_constant(operation *o, int i) { return input_as(o, i, false, true); }
tensor *operation_either(operation *o, int i) { return input_as(o, i, true, true); }

size_t operation_integers(operation *o, int i, int32_t out[NN_MAX_RANK * 2]) {
    reader *r = o->r;
    tensor_info info;
    size_t index = input_index(o, i);
    if (index == SIZE_MAX || !reader_tensor(r, index, &info)) return 0;
    if (info.type != TYPE_INT32 || !info.constant || info.elements > NN_MAX_RANK * 2) {
        reader_fail(r, ERR_UNSUPPORTED, "input %d, tensor %zu (%.80s), is not a constant of up to %d int32", i, index, info.name,
                    NN_MAX_RANK * 2);
        return 0;
    }
    fb_vector numbers = { (size_t)(info.constant - r->file.data), info.elements, 4 };
    for (size_t k = 0; k < info.elements; k++) out[k] = fb_at_i32(&r->file, numbers, k);
    return info.elements;
}
