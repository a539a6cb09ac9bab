/* SPDX-License-Identifier: Apache-2.0
 *
 * The operations of TFLite that the face networks are made of, each as nodes of nn. What the file says of its options
 * and integer constants is checked here; shapes of activations are the business of nn's own rules. */
#include "base/error.h"
#include "nn/ops.h"
#include "tflite/reader.h"

static const int32_t max_stride = 1024, max_kernel = 1024;

static tensor *activate(operation *o, tensor *x, uint8_t activation) {
    if (activation == ACTIVATION_NONE) return x;
    if (activation == ACTIVATION_RELU) return relu(o->r->g, x);
    static const char *const names[] = { "NONE", "RELU", "RELU_N1_TO_1", "RELU6", "TANH", "SIGN_BIT" };
    return reader_fail(o->r, ERR_UNSUPPORTED, "fused activation %s (%u) is not supported",
                       activation < 6 ? names[activation] : "unknown", activation);
}

/* ---- windows: convolutions and pooling --------------------------------------------------------------------------- */

typedef struct { int stride; size_t kernel_h, kernel_w; conv2d_attr attr; } window;

/* Stride and padding of a window over x. The options of all three operations start with padding, stride_w, stride_h. */
static bool read_window(operation *o, const tensor *x, size_t kernel_h, size_t kernel_w, window *out) {
    flatbuffer *f = &o->r->file;
    uint8_t padding = fb_u8(f, o->options, 0, PADDING_SAME);
    int32_t stride_w = fb_i32(f, o->options, 1, 0), stride_h = fb_i32(f, o->options, 2, 0);
    if (f->rc) return false;
    if (x->shape.rank != 4) return reader_fail(o->r, ERR_FORMAT, "its input has %d dimensions, not 4", x->shape.rank);
    if (stride_w != stride_h || stride_w < 1 || stride_w > max_stride)
        return reader_fail(o->r, ERR_UNSUPPORTED, "stride %d x %d; equal ones of 1 to %d are supported", stride_h, stride_w, max_stride);
    if (kernel_h < 1 || kernel_w < 1 || kernel_h > (size_t)max_kernel || kernel_w > (size_t)max_kernel)
        return reader_fail(o->r, ERR_UNSUPPORTED, "kernel %zu x %zu; 1 to %d are supported", kernel_h, kernel_w, max_kernel);
    if (padding != PADDING_SAME && padding != PADDING_VALID) return reader_fail(o->r, ERR_FORMAT, "unknown padding %u", padding);
    *out = (window){
        .stride = stride_w, .kernel_h = kernel_h, .kernel_w = kernel_w,
        .attr = { .stride = stride_w, .weights = WEIGHTS_OHWI },
    };
    if (padding == PADDING_VALID) return true;
    conv2d_same_padding(x->shape.dim[1], (int)kernel_h, stride_w, &out->attr.pad_top, &out->attr.pad_bottom);
    conv2d_same_padding(x->shape.dim[2], (int)kernel_w, stride_w, &out->attr.pad_left, &out->attr.pad_right);
    return true;
}

/* Dilation stands in fields first and first + 1. */
static bool check_dilation(operation *o, unsigned first) {
    flatbuffer *f = &o->r->file;
    int32_t w = fb_i32(f, o->options, first, 1), h = fb_i32(f, o->options, first + 1, 1);
    if (w == 1 && h == 1) return !f->rc;
    return reader_fail(o->r, ERR_UNSUPPORTED, "dilation %d x %d; 1 is supported", h, w);
}

typedef tensor *convolution(graph *g, tensor *x, tensor *w, tensor *bias, conv2d_attr attr);

static tensor *build_any_conv(operation *o, convolution *build, unsigned activation_field, unsigned dilation_field) {
    bool has_bias = o->n_in > 2 && o->in[2] >= 0;
    tensor *x = operation_value(o, 0), *w = operation_constant(o, 1), *bias = has_bias ? operation_constant(o, 2) : NULL;
    window win;
    if (!x || !w || (has_bias && !bias) || !check_dilation(o, dilation_field)) return NULL;
    if (w->shape.rank != 4) return reader_fail(o->r, ERR_FORMAT, "its weights have %d dimensions, not 4", w->shape.rank);
    if (!read_window(o, x, w->shape.dim[1], w->shape.dim[2], &win)) return NULL;
    return activate(o, build(o->r->g, x, w, bias, win.attr), fb_u8(&o->r->file, o->options, activation_field, ACTIVATION_NONE));
}

static tensor *build_conv(operation *o) {
    return build_any_conv(o, conv2d, 3, 4);
}

static tensor *build_depthwise_conv(operation *o) {
    int32_t multiplier = fb_i32(&o->r->file, o->options, 3, 0);
    if (multiplier != 1) return reader_fail(o->r, ERR_UNSUPPORTED, "depth multiplier %d; 1 is supported", multiplier);
    return build_any_conv(o, depthwise_conv2d, 4, 5);
}

static tensor *build_max_pool(operation *o) {
    flatbuffer *f = &o->r->file;
    tensor *x = operation_value(o, 0);
    int32_t w = fb_i32(f, o->options, 3, 0), h = fb_i32(f, o->options, 4, 0);
    window win;
    if (!x) return NULL;
    if (w != h || w < 1) return reader_fail(o->r, ERR_UNSUPPORTED, "window %d x %d; square ones are supported", h, w);
    if (!read_window(o, x, (size_t)h, (size_t)w, &win)) return NULL;
    if (win.attr.pad_top || win.attr.pad_left || win.attr.pad_bottom || win.attr.pad_right)
        return reader_fail(o->r, ERR_UNSUPPORTED, "padding is not supported here");
    return activate(o, max_pool2d(o->r->g, x, h, win.stride), fb_u8(f, o->options, 5, ACTIVATION_NONE));
}

/* ---- pointwise --------------------------------------------------------------------------------------------------- */

static tensor *build_relu(operation *o) {
    tensor *x = operation_value(o, 0);
    return x ? relu(o->r->g, x) : NULL;
}

static tensor *build_prelu(operation *o) {
    tensor *x = operation_value(o, 0), *alpha = operation_constant(o, 1);
    return x && alpha ? prelu(o->r->g, x, alpha) : NULL;
}

/* Both operands commute; nn wants the one that is broadcast, or constant, second. */
static tensor *build_pair(operation *o, tensor *(*build)(graph *g, tensor *a, tensor *b)) {
    tensor *a = operation_either(o, 0), *b = a ? operation_either(o, 1) : NULL;
    if (!a || !b) return NULL;
    if (a->kind == TENSOR_PARAM || (b->kind != TENSOR_PARAM && shape_elements(a->shape) < shape_elements(b->shape))) {
        tensor *first = a;
        a = b;
        b = first;
    }
    if (a->kind == TENSOR_PARAM) return reader_fail(o->r, ERR_UNSUPPORTED, "both inputs are constants");
    return activate(o, build(o->r->g, a, b), fb_u8(&o->r->file, o->options, 0, ACTIVATION_NONE));
}

static tensor *build_add(operation *o) { return build_pair(o, add); }
static tensor *build_mul(operation *o) { return build_pair(o, mul); }

/* ---- shapes ------------------------------------------------------------------------------------------------------ */

static tensor *build_pad(operation *o) {
    int32_t pad[NN_MAX_RANK * 2];
    tensor *x = operation_value(o, 0);
    size_t n = x ? operation_integers(o, 1, pad) : 0;
    if (!n) return NULL;
    int rank = x->shape.rank;
    if (n != (size_t)rank * 2) return reader_fail(o->r, ERR_FORMAT, "%zu paddings for %d dimensions", n, rank);
    for (size_t i = 0; i < n - 1; i++)
        if (pad[i])
            return reader_fail(o->r, ERR_UNSUPPORTED, "padding before or of dimension %zu; only behind the channels is supported", i / 2);
    if (pad[n - 1] < 1) return reader_fail(o->r, ERR_UNSUPPORTED, "padding of %d channels", pad[n - 1]);
    return pad_channels(o->r->g, x, (size_t)pad[n - 1]);
}

/* The wanted shape is a constant input or an option; one -1 in it stands for what is left. The file's shape of the
 * output must be that, which read_operation checks; so a -1 is simply taken from there. */
static tensor *build_reshape(operation *o) {
    flatbuffer *f = &o->r->file;
    int32_t want[NN_MAX_RANK * 2];
    tensor *x = operation_value(o, 0);
    if (!x) return NULL;
    fb_vector option = fb_get_vector(f, o->options, 0, 4);
    size_t n = option.count;
    if (o->n_in > 1) n = operation_integers(o, 1, want);
    else
        for (size_t i = 0; i < n && i < NN_MAX_RANK; i++) want[i] = fb_at_i32(f, option, i);
    if (f->rc) return NULL;
    nn_shape to = o->result.shape;
    if (n != (size_t)to.rank) return reader_fail(o->r, ERR_FORMAT, "%zu dimensions are asked for, its output has %d", n, to.rank);
    int open = 0;
    for (size_t i = 0; i < n; i++) {
        open += want[i] == -1;
        if ((want[i] != -1 && (want[i] < 1 || (size_t)want[i] != to.dim[i])) || open > 1)
            return reader_fail(o->r, ERR_FORMAT, "%d is asked for dimension %zu, its output has %zu", want[i], i, to.dim[i]);
    }
    return reshape(o->r->g, x, to);
}

static tensor *build_concat(operation *o) {
    flatbuffer *f = &o->r->file;
    tensor *parts[NN_MAX_IN];
    int32_t axis = fb_i32(f, o->options, 0, 0);
    for (int i = 0; i < o->n_in; i++)
        if (!(parts[i] = operation_value(o, i))) return NULL;
    if (axis < -parts[0]->shape.rank || axis >= parts[0]->shape.rank)
        return reader_fail(o->r, ERR_FORMAT, "axis %d of %d dimensions", axis, parts[0]->shape.rank);
    return activate(o, concat(o->r->g, parts, o->n_in, axis), fb_u8(f, o->options, 1, ACTIVATION_NONE));
}

/* One dimension of a slice, Python's rules: negative counts from the end, then both ends are cut to the dimension. */
static size_t slice_end(int32_t at, size_t n) {
    int64_t x = at < 0 ? (int64_t)at + (int64_t)n : at;
    return x < 0 ? 0 : x > (int64_t)n ? n : (size_t)x;
}

static tensor *build_strided_slice(operation *o) {
    flatbuffer *f = &o->r->file;
    int32_t numbers[3][NN_MAX_RANK * 2], *begin = numbers[0], *end = numbers[1], *step = numbers[2];
    size_t from[NN_MAX_RANK] = { 0 };
    tensor *x = operation_value(o, 0);
    if (!x) return NULL;
    nn_shape to = { .rank = x->shape.rank };
    for (int i = 0; i < 3; i++) {
        size_t n = operation_integers(o, i + 1, numbers[i]);
        if (!n) return NULL;
        if (n != (size_t)to.rank) return reader_fail(o->r, ERR_UNSUPPORTED, "%zu numbers in input %d for %d dimensions", n, i + 1, to.rank);
    }
    int32_t begin_mask = fb_i32(f, o->options, 0, 0), end_mask = fb_i32(f, o->options, 1, 0);
    for (unsigned field = 2; field < 5; field++)
        if (fb_i32(f, o->options, field, 0))
            return reader_fail(o->r, ERR_UNSUPPORTED, "ellipsis, new axis and shrink axis masks are not supported");
    if (fb_u8(f, o->options, 5, 0)) return reader_fail(o->r, ERR_UNSUPPORTED, "ends as offsets are not supported");
    for (int d = 0; d < to.rank; d++) {
        size_t n = x->shape.dim[d], last = end_mask >> d & 1 ? n : slice_end(end[d], n);
        from[d] = begin_mask >> d & 1 ? 0 : slice_end(begin[d], n);
        if (step[d] != 1) return reader_fail(o->r, ERR_UNSUPPORTED, "stride %d; 1 is supported", step[d]);
        if (last <= from[d]) return reader_fail(o->r, ERR_FORMAT, "nothing is left of dimension %d", d);
        to.dim[d] = last - from[d];
    }
    return slice(o->r->g, x, from, to);
}

/* Adds nothing: whoever reads the result takes the float16 constant itself as a parameter. */
static tensor *build_dequantize(operation *o) {
    tensor_info info;
    if (o->in[0] < 0) return reader_fail(o->r, ERR_FORMAT, "input 0 is missing");
    if (!reader_tensor(o->r, (size_t)o->in[0], &info)) return NULL;
    if (info.type != TYPE_FLOAT16 || !info.constant)
        return reader_fail(o->r, ERR_UNSUPPORTED, "only constants of type FLOAT16 are supported, tensor %d is %s", o->in[0], tflite_type_name(info.type));
    if (!shape_equal(info.shape, o->result.shape)) return reader_fail(o->r, ERR_FORMAT, "its input and output differ in shape");
    o->r->state[o->out].widened = true;
    o->r->state[o->out].source = (size_t)o->in[0];
    return NULL;
}

/* Versions above these bring quantised types or more dimensions, or have not been looked at. */
static const operation_kind kinds[] = {
    /* code, last version, type of its options, fewest and most inputs */
    { 0, 1, 11, 2, 2, build_add },
    { 2, 1, 10, 2, NN_MAX_IN, build_concat },
    { 3, 1, 1, 2, 3, build_conv },
    { 4, 1, 2, 2, 3, build_depthwise_conv },
    { 6, 3, 0, 1, 1, build_dequantize },
    { 17, 1, 5, 1, 1, build_max_pool },
    { 18, 1, 21, 2, 2, build_mul },
    { 19, 1, 0, 1, 1, build_relu },
    { 22, 1, 17, 1, 2, build_reshape },
    { 34, 1, 0, 2, 2, build_pad },
    { 45, 1, 32, 4, 4, build_strided_slice },
    { 54, 1, 0, 2, 2, build_prelu },
};

const operation_kind *tflite_operation_kind(int32_t code) {
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (kinds[i].code == code) return &kinds[i];
    return NULL;
}
