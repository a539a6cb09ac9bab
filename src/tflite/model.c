/* SPDX-License-Identifier: Apache-2.0
 *
 * Walks the file: header, tables, inputs, operations in their order, outputs. Every tensor and operation of the file is
 * looked at a fixed number of times, so the time is linear in its size. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "tflite/reader.h"

/* The planner compares the lifetimes of all tensors with each other; the largest face network has 712 operations. */
static const size_t max_operations = 4096;

/* The schema's field numbers. */
enum { MODEL_VERSION, MODEL_CODES, MODEL_SUBGRAPHS, MODEL_DESCRIPTION, MODEL_BUFFERS };
enum { CODE_OLD_BUILTIN, CODE_CUSTOM, CODE_VERSION, CODE_BUILTIN };
enum { SUBGRAPH_TENSORS, SUBGRAPH_INPUTS, SUBGRAPH_OUTPUTS, SUBGRAPH_OPERATORS };
enum { OPERATOR_CODE, OPERATOR_INPUTS, OPERATOR_OUTPUTS, OPERATOR_OPTIONS_TYPE, OPERATOR_OPTIONS, OPERATOR_CUSTOM_OPTIONS,
       OPERATOR_LARGE_OPTIONS = 9 };

void *reader_fail(reader *r, int code, const char *format, ...) {
    if (r->file.rc) return NULL;
    char text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    r->file.rc = error_set(code, "%s", text);
    return NULL;
}

bool reader_failed(const reader *r) {
    return r->file.rc || graph_failed(r->g);
}

/* ---- operations -------------------------------------------------------------------------------------------------- */

static bool read_inputs(operation *o, fb_table t, int min_in, int max_in) {
    reader *r = o->r;
    fb_vector in = fb_get_vector(&r->file, t, OPERATOR_INPUTS, 4);
    if (r->file.rc) return false;
    if (in.count < (size_t)min_in || in.count > (size_t)max_in)
        return reader_fail(r, ERR_UNSUPPORTED, "%zu inputs; %d to %d are supported", in.count, min_in, max_in);
    o->n_in = (int)in.count;
    for (int i = 0; i < o->n_in; i++) {
        o->in[i] = fb_at_i32(&r->file, in, (size_t)i);
        if (o->in[i] < -1 || (o->in[i] >= 0 && (size_t)o->in[i] >= r->tensors.count))
            return reader_fail(r, ERR_FORMAT, "input %d is tensor %d of %zu", i, o->in[i], r->tensors.count);
    }
    return true;
}

static bool read_output(operation *o, fb_table t) {
    reader *r = o->r;
    fb_vector out = fb_get_vector(&r->file, t, OPERATOR_OUTPUTS, 4);
    if (r->file.rc) return false;
    if (out.count != 1) return reader_fail(r, ERR_UNSUPPORTED, "%zu outputs; 1 is supported", out.count);
    int32_t i = fb_at_i32(&r->file, out, 0);
    if (i < 0 || (size_t)i >= r->tensors.count) return reader_fail(r, ERR_FORMAT, "the output is tensor %d of %zu", i, r->tensors.count);
    o->out = (size_t)i;
    if (!reader_tensor(r, o->out, &o->result)) return false;
    if (r->state[o->out].made || r->state[o->out].widened || o->result.constant)
        return reader_fail(r, ERR_FORMAT, "tensor %zu (%.80s) is written a second time", o->out, o->result.name);
    if (o->result.type != TYPE_FLOAT32)
        return reader_fail(r, ERR_UNSUPPORTED, "the output, tensor %zu (%.80s), is of type %s, not FLOAT32", o->out, o->result.name,
                           tflite_type_name(o->result.type));
    return true;
}

/* All options together cannot be larger than the file unless operations share them; then a small file could ask for a
 * lot of work. */
static bool read_custom_options(operation *o, fb_table t) {
    reader *r = o->r;
    fb_vector bytes = fb_get_vector(&r->file, t, OPERATOR_CUSTOM_OPTIONS, 1);
    if (fb_u64(&r->file, t, OPERATOR_LARGE_OPTIONS, 0) > 1)
        return reader_fail(r, ERR_UNSUPPORTED, "options behind the FlatBuffer are not supported");
    if (bytes.count > r->file.size - r->option_bytes)
        return reader_fail(r, ERR_LIMIT, "the options of all operations exceed the file");
    r->option_bytes += bytes.count;
    o->custom_options = bytes.count ? r->file.data + bytes.at : NULL;
    o->custom_size = bytes.count;
    return !r->file.rc;
}

static tensor *build_custom(operation *o, fb_table t, const char *name, int32_t version) {
    reader *r = o->r;
    const tflite_custom *c = NULL;
    for (size_t i = 0; i < r->n_custom && !c; i++)
        if (!strcmp(r->custom[i].name, name) && r->custom[i].version == version) c = &r->custom[i];
    if (!c) return reader_fail(r, ERR_UNSUPPORTED, "this custom operation, version %d, is not supported", version);
    if (!read_inputs(o, t, 1, NN_MAX_IN) || !read_output(o, t) || !read_custom_options(o, t)) return NULL;
    tensor *in[NN_MAX_IN];
    for (int i = 0; i < o->n_in; i++)
        if (!(in[i] = operation_value(o, i))) return NULL;
    return c->build(r->g, in, o->n_in, o->custom_options, o->custom_size);
}

static tensor *build_builtin(operation *o, fb_table t, int32_t code, int32_t version) {
    reader *r = o->r;
    const operation_kind *k = tflite_operation_kind(code);
    if (!k) return reader_fail(r, ERR_UNSUPPORTED, "this operation (%d) is not supported", code);
    if (version < 1 || version > k->last_version)
        return reader_fail(r, ERR_UNSUPPORTED, "version %d is not supported; 1 to %d are", version, k->last_version);
    if (!read_inputs(o, t, k->min_in, k->max_in) || !read_output(o, t)) return NULL;
    uint8_t options = fb_u8(&r->file, t, OPERATOR_OPTIONS_TYPE, 0);
    if (k->options && options && options != k->options)
        return reader_fail(r, ERR_FORMAT, "its options are of another operation (%u)", options);
    if (k->options && options) o->options = fb_subtable(&r->file, t, OPERATOR_OPTIONS);
    return r->file.rc ? NULL : k->build(o);
}

/* Adds operation i to the graph. Its name for messages comes back in *name. */
static void read_operation(reader *r, size_t i, const char **name) {
    flatbuffer *f = &r->file;
    operation o = { .r = r };
    fb_table t = fb_at_table(f, r->operators, i);
    uint32_t index = fb_u32(f, t, OPERATOR_CODE, 0);
    fb_table c = fb_at_table(f, r->codes, index);
    /* Older files have the code in a byte; newer ones repeat it there as far as it fits. */
    int32_t old = (int8_t)fb_u8(f, c, CODE_OLD_BUILTIN, 0), code = fb_i32(f, c, CODE_BUILTIN, 0), version = fb_i32(f, c, CODE_VERSION, 1);
    if (old > code) code = old;
    *name = code == OPERATION_CUSTOM ? fb_string(f, c, CODE_CUSTOM) : tflite_operation_name(code);
    if (f->rc) return;

    tensor *made = code == OPERATION_CUSTOM ? build_custom(&o, t, *name, version) : build_builtin(&o, t, code, version);
    if (reader_failed(r) || r->state[o.out].widened) return;
    if (!made) {
        reader_fail(r, ERR_UNSUPPORTED, "nothing was made of it");
        return;
    }
    if (made->type != NN_F32 || !shape_equal(made->shape, o.result.shape)) {
        char want[80], got[80];
        reader_fail(r, ERR_FORMAT, "the file says %s for its output, it computes %s", shape_text(o.result.shape, want, sizeof want),
                    shape_text(made->shape, got, sizeof got));
        return;
    }
    char *name_copy = graph_memory(r->g, sizeof(safe_name), 1);
    if (!name_copy) return;
    made->name = strcpy(name_copy, reader_name(o.result.name).text);
    r->state[o.out].made = made;
}

static void read_operations(reader *r) {
    for (size_t i = 0; i < r->operators.count; i++) {
        const char *name = "";
        read_operation(r, i, &name);
        if (!r->file.rc && graph_check(r->g) == 0) continue;
        r->file.rc = error_prefix("operation %zu (%.80s)", i, name);
        return;
    }
}

/* ---- inputs, outputs, all of it ---------------------------------------------------------------------------------- */

static bool check_io_count(reader *r, fb_vector list, const char *what) {
    if (list.count >= 1 && list.count <= TFLITE_MAX_IO) return true;
    return reader_fail(r, ERR_LIMIT, "%zu %s of the model; 1 to %d are supported", list.count, what, TFLITE_MAX_IO);
}

static void read_graph_inputs(reader *r, fb_vector list, tflite_io *io) {
    if (!check_io_count(r, list, "inputs")) return;
    for (size_t k = 0; k < list.count; k++) {
        tensor_info info;
        int32_t i = fb_at_i32(&r->file, list, k);
        if (!reader_tensor(r, i < 0 ? SIZE_MAX : (size_t)i, &info)) return;
        if (info.type != TYPE_FLOAT32 || info.constant || r->state[i].made) {
            reader_fail(r, ERR_UNSUPPORTED, "input %zu, tensor %d (%.80s), is constant, or not FLOAT32, or there twice", k, i, info.name);
            return;
        }
        io->inputs[k] = r->state[i].made = graph_input(r->g, reader_name(info.name).text, NN_F32, info.shape);
    }
    io->n_inputs = (int)list.count;
}

static void read_graph_outputs(reader *r, fb_vector list, tflite_io *io) {
    if (!check_io_count(r, list, "outputs")) return;
    for (size_t k = 0; k < list.count; k++) {
        int32_t i = fb_at_i32(&r->file, list, k);
        tensor *t = i >= 0 && (size_t)i < r->tensors.count ? r->state[i].made : NULL;
        if (!t || t->kind != TENSOR_VALUE || t->output) {
            reader_fail(r, ERR_FORMAT, "output %zu, tensor %d, is not the result of an operation, or there twice", k, i);
            return;
        }
        io->outputs[k] = graph_output(r->g, t);
    }
    io->n_outputs = (int)list.count;
}

static void read_model(reader *r, fb_table model, tflite_io *io) {
    flatbuffer *f = &r->file;
    uint32_t version = fb_u32(f, model, MODEL_VERSION, 0);
    fb_vector subgraphs = fb_get_vector(f, model, MODEL_SUBGRAPHS, 4);
    r->codes = fb_get_vector(f, model, MODEL_CODES, 4);
    r->buffers = fb_get_vector(f, model, MODEL_BUFFERS, 4);
    if (f->rc) return;
    if (version != 3) reader_fail(r, ERR_UNSUPPORTED, "schema version %u; 3 is supported", version);
    if (subgraphs.count != 1) reader_fail(r, ERR_UNSUPPORTED, "%zu subgraphs; 1 is supported", subgraphs.count);
    if (f->rc) return;

    fb_table s = fb_at_table(f, subgraphs, 0);
    fb_vector inputs = fb_get_vector(f, s, SUBGRAPH_INPUTS, 4), outputs = fb_get_vector(f, s, SUBGRAPH_OUTPUTS, 4);
    r->tensors = fb_get_vector(f, s, SUBGRAPH_TENSORS, 4);
    r->operators = fb_get_vector(f, s, SUBGRAPH_OPERATORS, 4);
    if (r->operators.count > max_operations)
        reader_fail(r, ERR_LIMIT, "%zu operations; at most %zu are supported", r->operators.count, max_operations);
    if (f->rc) return;
    r->state = calloc(r->tensors.count + 1, sizeof *r->state);
    if (!r->state) {
        f->rc = error_memory((unsigned long long)r->tensors.count * sizeof *r->state);
        return;
    }
    graph_set_ordered(r->g, true);
    read_graph_inputs(r, inputs, io);
    if (!reader_failed(r)) read_operations(r);
    if (!reader_failed(r)) read_graph_outputs(r, outputs, io);
    graph_set_ordered(r->g, false);
}

int tflite_read(const uint8_t *data, size_t size, const tflite_custom *custom, size_t n_custom, graph *g, tflite_io *io) {
    reader r = { .g = g, .custom = custom, .n_custom = n_custom };
    tflite_io found = { 0 };
    if (graph_failed(g)) return graph_check(g);
    fb_table model = fb_open(&r.file, data, size, "TFL3");
    if (!r.file.rc) read_model(&r, model, &found);
    free(r.state);
    if (r.file.rc) return graph_fail(g, r.file.rc);
    int rc = graph_check(g);
    if (!rc) *io = found;
    return rc;
}
