/* SPDX-License-Identifier: Apache-2.0 */
#include "face/ops.h"

#include <math.h>
#include <string.h>

#include "base/error.h"
#include "face/flexbuffer.h"
#include "face/sample.h"

static bool is_matrix(const tensor *t) { return t->type == NN_F32 && shape_equal(t->shape, shape3(1, 4, 4)); }

static int result(node *n, nn_shape shape) {
    n->out[0]->type = NN_F32;
    n->out[0]->shape = shape;
    return 0;
}

/* ---- landmarks -> matrix ----------------------------------------------------------------------------------------- */

static int matrix_shape(node *n) {
    const landmarks_matrix_attr *a = n->attr;
    const nn_shape s = n->in[0]->shape;
    if (n->in[0]->type != NN_F32 || s.rank != 3 || s.dim[0] != 1 || s.dim[2] != 3)
        return error_set(ERR_FORMAT, "Landmarks2TransformMatrix: the landmarks are not 1xNx3 f32");
    bool fits = a->left >= 0 && (size_t)a->left < s.dim[1] && a->right >= 0 && (size_t)a->right < s.dim[1] && a->n_subset >= 1 &&
                a->n_subset <= FACE_MAX_SUBSET && a->width >= 1 && a->height >= 1;
    for (int i = 0; fits && i < a->n_subset; i++) fits = a->subset[i] >= 0 && (size_t)a->subset[i] < s.dim[1];
    if (!fits) return error_set(ERR_FORMAT, "Landmarks2TransformMatrix: options that do not fit %zu landmarks", s.dim[1]);
    return result(n, shape3(1, 4, 4));
}

/* f32 throughout. The patch is the bounds of the subset, seen turned so that left-right lies level, enlarged. */
static void matrix_reference(const node *n, const void *const in[], void *const out[]) {
    const landmarks_matrix_attr *a = n->attr;
    const float (*p)[3] = in[0];
    float *m = out[0];
    float rotation = a->angle - atan2f(p[a->right][1] - p[a->left][1], p[a->right][0] - p[a->left][0]);
    float c = cosf(rotation), s = sinf(rotation);
    float left = INFINITY, right = -INFINITY, top = INFINITY, bottom = -INFINITY;
    for (int i = 0; i < a->n_subset; i++) {
        const float *q = p[a->subset[i]];
        float x = c * q[0] - s * q[1], y = s * q[0] + c * q[1];
        left = fminf(left, x), right = fmaxf(right, x);
        top = fminf(top, y), bottom = fmaxf(bottom, y);
    }
    float mx = (left + right) / 2, my = (top + bottom) / 2;
    float gx = c * mx + s * my, gy = -s * mx + c * my;
    float w = (float)a->width, h = (float)a->height;
    float kx = a->scale_x * (right - left) / w, ky = a->scale_y * (bottom - top) / h;
    const float rows[16] = {
        c * kx,  s * ky, 0, c * kx * (-w / 2) + s * ky * (-h / 2) + gx,
        -s * kx, c * ky, 0, -s * kx * (-w / 2) + c * ky * (-h / 2) + gy,
        0, 0, 1, 0, 0, 0, 0, 1,
    };
    memcpy(m, rows, sizeof rows);
}

const op op_landmarks_matrix = {
    .name = "landmarks_matrix", .attr_bytes = sizeof(landmarks_matrix_attr),
    .shape = matrix_shape, .reference = matrix_reference,
};

tensor *landmarks_matrix(graph *g, tensor *landmarks, const landmarks_matrix_attr *attr) {
    return graph_apply(g, &op_landmarks_matrix, attr, &landmarks, 1, 0);
}

/* ---- feature map, matrix -> patch -------------------------------------------------------------------------------- */

typedef struct { int width, height; } patch_attr;

static int patch_shape(node *n) {
    const patch_attr *a = n->attr;
    const nn_shape s = n->in[0]->shape;
    const size_t most = 1 << 15;   /* coordinates stay exact in f32 and fit an int */
    if (n->in[0]->type != NN_F32 || s.rank != 4 || s.dim[0] != 1 || s.dim[1] > most || s.dim[2] > most || !is_matrix(n->in[1]) ||
        a->width < 1 || a->height < 1 || a->width > (int)most || a->height > (int)most)
        return error_set(ERR_FORMAT, "TransformTensorBilinear: operands other than 1xHxWxC and 1x4x4 f32, or sizes beyond %zu", most);
    return result(n, shape4(1, (size_t)a->height, (size_t)a->width, s.dim[3]));
}

static sample_view plain_view(const nn_shape s) { return (sample_view){ s.dim[1], s.dim[2], s.dim[3], s.dim[2] * s.dim[3], s.dim[3] }; }

static void patch_reference(const node *n, const void *const in[], void *const out[]) {
    sample_run(sample_pixel, in[0], plain_view(n->in[0]->shape), in[1], out[0], plain_view(n->out[0]->shape));
}

static double patch_flops(const node *n) { return 6.0 * (double)shape_elements(n->out[0]->shape); }

const op op_sample_patch = {
    .name = "sample_patch", .attr_bytes = sizeof(patch_attr),
    .shape = patch_shape, .reference = patch_reference, .flops = patch_flops,
};

tensor *sample_patch(graph *g, tensor *features, tensor *matrix, int width, int height) {
    patch_attr a = { width, height };
    return graph_apply(g, &op_sample_patch, &a, (tensor *[]){ features, matrix }, 2, 0);
}

/* ---- points, matrix -> points ------------------------------------------------------------------------------------ */

static int points_shape(node *n) {
    const nn_shape s = n->in[0]->shape;
    if (n->in[0]->type != NN_F32 || s.rank != 3 || s.dim[0] != 1 || s.dim[2] != 2 || !is_matrix(n->in[1]))
        return error_set(ERR_FORMAT, "TransformLandmarks: operands other than 1xNx2 and 1x4x4 f32");
    return result(n, s);
}

static void points_reference(const node *n, const void *const in[], void *const out[]) {
    const float *p = in[0], *m = in[1];
    float *q = out[0];
    for (size_t i = 0; i < n->in[0]->shape.dim[1]; i++, p += 2, q += 2) {
        q[0] = m[0] * p[0] + m[1] * p[1] + m[3];
        q[1] = m[4] * p[0] + m[5] * p[1] + m[7];
    }
}

const op op_transform_landmarks = { .name = "transform_landmarks", .shape = points_shape, .reference = points_reference };

tensor *transform_landmarks(graph *g, tensor *points, tensor *matrix) {
    return graph_apply(g, &op_transform_landmarks, NULL, (tensor *[]){ points, matrix }, 2, 0);
}

/* ---- as the model file states them ------------------------------------------------------------------------------- */

/* The patch's size: within reason, so that the shape rules need not think of overflow. */
static bool patch_size(const flex_map *m, int *width, int *height) {
    int64_t w, h;
    if (!flex_int(m, "output_width", &w) || !flex_int(m, "output_height", &h)) return false;
    if (w < 1 || h < 1 || w > 1 << 15 || h > 1 << 15) return false;
    *width = (int)w;
    *height = (int)h;
    return true;
}

static bool read_matrix_options(const uint8_t *options, size_t size, landmarks_matrix_attr *a) {
    flex_map m;
    int64_t left, right, subset[FACE_MAX_SUBSET];
    double scale_x, scale_y, angle;
    if (!flex_map_open(options, size, &m) || !patch_size(&m, &a->width, &a->height)) return false;
    if (!flex_int(&m, "left_rotation_idx", &left) || !flex_int(&m, "right_rotation_idx", &right)) return false;
    if (!flex_float(&m, "scale_x", &scale_x) || !flex_float(&m, "scale_y", &scale_y)) return false;
    if (!flex_float(&m, "target_rotation_radians", &angle)) return false;
    a->n_subset = flex_ints(&m, "subset_idxs", subset, FACE_MAX_SUBSET);
    const int64_t most = 1 << 20;   /* of an index; the shape rule knows the true limit */
    if (a->n_subset < 1 || left < 0 || right < 0 || left > most || right > most) return false;
    for (int i = 0; i < a->n_subset; i++) {
        if (subset[i] < 0 || subset[i] > most) return false;
        a->subset[i] = (int)subset[i];
    }
    a->left = (int)left, a->right = (int)right;
    a->scale_x = (float)scale_x, a->scale_y = (float)scale_y, a->angle = (float)angle;
    return true;
}

static tensor *refuse(graph *g, const char *why) {
    graph_fail(g, error_set(ERR_FORMAT, "%s", why));
    return NULL;
}

static tensor *build_matrix(graph *g, tensor *const in[], int n_in, const uint8_t *options, size_t size) {
    landmarks_matrix_attr a = { 0 };
    if (n_in != 1) return refuse(g, "it wants one input");
    if (!read_matrix_options(options, size, &a)) return refuse(g, "options missing, broken or out of range");
    return landmarks_matrix(g, in[0], &a);
}

static tensor *build_patch(graph *g, tensor *const in[], int n_in, const uint8_t *options, size_t size) {
    flex_map m;
    patch_attr a;
    if (n_in != 2) return refuse(g, "it wants two inputs");
    if (!flex_map_open(options, size, &m) || !patch_size(&m, &a.width, &a.height)) return refuse(g, "options missing, broken or out of range");
    return sample_patch(g, in[0], in[1], a.width, a.height);
}

static tensor *build_points(graph *g, tensor *const in[], int n_in, const uint8_t *options, size_t size) {
    (void)options, (void)size;
    if (n_in != 2) return refuse(g, "it wants two inputs");
    return transform_landmarks(g, in[0], in[1]);
}

const tflite_custom face_customs[FACE_CUSTOMS] = {
    { "Landmarks2TransformMatrix", 2, build_matrix },
    { "TransformTensorBilinear", 2, build_patch },
    { "TransformLandmarks", 2, build_points },
};
