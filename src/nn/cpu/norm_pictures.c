/* SPDX-License-Identifier: Apache-2.0 */
#include "nn/cpu/norm_pictures.h"

#include <math.h>
#include <string.h>

void norm_cut(norm_pictures *p, const kernel_step *s, nn_shape x) {
    p->pictures = x.dim[0];
    p->channels = x.dim[x.rank - 1];
    p->pixels = shape_elements(x) / p->pictures / p->channels;
    int threads = threads_for(s, shape_elements(x));
    p->parts = threads <= 1 || p->pictures % (size_t)threads == 0 ? 1 : (size_t)threads;
    if (p->parts > p->pixels) p->parts = p->pixels;
}

size_t norm_part_begin(const norm_pictures *p, size_t part) { return p->pixels * part / p->parts; }
size_t norm_moments_bytes(const norm_pictures *p) { return p->pictures * p->parts * 2 * p->channels * sizeof(double); }
size_t norm_vector_bytes(const tensor *t) { return operand_type(t) == NN_F32 ? 0 : shape_elements(t->shape) * sizeof(float); }

static channel_moments moments_of(const norm_pictures *p, size_t picture, size_t part) {
    double *at = p->moments + (picture * p->parts + part) * 2 * p->channels;
    return (channel_moments){ at, at + p->channels, norm_part_begin(p, part + 1) - norm_part_begin(p, part) };
}

void norm_gather(const norm_pictures *p, size_t picture, size_t part, float *work) {
    channel_moments m = moments_of(p, picture, part);
    size_t pixels = m.count, at = (picture * p->pixels + norm_part_begin(p, part)) * p->channels;
    memset(m.mean, 0, 2 * p->channels * sizeof *m.mean);
    m.count = 0;
    p->l->moments[p->type](element_at(p->x, p->type, at), pixels, p->channels, &m, work);
}

static double addend_of(const norm_pictures *p, size_t picture, size_t c) {
    return p->addend ? (double)number_at(p->addend, p->addend_type, picture * p->addend_step + c) : 0;
}

group_moments norm_group(const norm_pictures *p, size_t picture, size_t first, size_t last) {
    double sum = 0, squares = 0, width = (double)(last - first), count = (double)p->pixels;
    for (size_t part = 0; part < p->parts; part++) {
        channel_moments m = moments_of(p, picture, part);
        for (size_t c = first; c < last; c++) sum += (m.mean[c] + addend_of(p, picture, c)) * (double)m.count;
    }
    double mean = sum / (count * width);
    for (size_t part = 0; part < p->parts; part++) {
        channel_moments m = moments_of(p, picture, part);
        for (size_t c = first; c < last; c++) {
            double d = m.mean[c] + addend_of(p, picture, c) - mean;
            squares += m.squares[c] + d * d * (double)m.count;
        }
    }
    return (group_moments){ mean, 1 / sqrt(squares / (count * width) + (double)p->epsilon) };
}

void norm_vectors(const norm_pictures *p, size_t picture, size_t first, size_t last, group_moments m, const float *gamma, const float *beta, float *centre, float *scale,
                  float *shift) {
    for (size_t c = first; c < last; c++) {
        double exact = m.mean - addend_of(p, picture, c), f = m.factor * (double)gamma[c];
        centre[c] = (float)exact;
        scale[c] = (float)f;
        shift[c] = (float)((double)beta[c] - (exact - (double)centre[c]) * f);
    }
}
