/* SPDX-License-Identifier: Apache-2.0 */
#include "train/rates.h"

#include <assert.h>
#include <math.h>
#include <stddef.h>

const char *const rate_names[RATE_SHAPES + 1] = { "constant", "linear", "cosine", NULL };

double rate_at(const rate_schedule *s, uint64_t step) {
    assert(step > 0);
    if (step < s->warmup) return s->base * ((double)step / (double)s->warmup);
    uint64_t begin = s->warmup ? s->warmup : 1;
    if (s->shape == RATE_CONSTANT || step <= begin) return s->base;
    if (step >= s->steps) return s->base * s->floor;
    double t = (double)(step - begin) / (double)(s->steps - begin);
    double part = s->shape == RATE_LINEAR ? 1 - t : 0.5 * (1 + cos(3.14159265358979323846 * t));
    return s->base * (s->floor + (1 - s->floor) * part);
}

double average_decay(double most, uint64_t step) {
    assert(step > 0);
    double n = (double)(step - 1), d = (1 + n) / (10 + n);
    return d < most ? d : most;
}

void smooth_add(smooth *s, double x, double decay) {
    s->sum = decay * s->sum + (1 - decay) * x;
    s->weight = decay * s->weight + (1 - decay);
}

double smooth_value(const smooth *s) { return s->weight > 0 ? s->sum / s->weight : NAN; }
