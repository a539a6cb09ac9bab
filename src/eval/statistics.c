/* SPDX-License-Identifier: Apache-2.0 */
#include "eval/statistics.h"

#include <math.h>
#include <stdlib.h>

#include "base/error.h"

enum { USUAL_DRAWS = 2000 };
static const double usual_level = 0.95;

/* ---- values by clusters ---------------------------------------------------------------------------------------------- */

/* Sums over a cluster's values, or over many clusters'; x and y about their means, which keeps small differences. */
typedef struct { double n, x, y, xx, yy, xy; } moments;

typedef struct { double x; size_t cluster; } ranked;

typedef struct {
    size_t n, clusters;
    double mean_x, mean_y;
    moments *of;                   /* [clusters] */
    ranked *by_size;               /* [n], for the median */
    uint32_t *weight;              /* [clusters]: how often each is taken */
} values;

typedef double statistic(const values *v);

typedef struct { uint64_t cluster; size_t at; double x, y; } entry;

static int by_cluster(const void *a, const void *b) {
    const entry *p = a, *q = b;
    if (p->cluster != q->cluster) return p->cluster < q->cluster ? -1 : 1;
    return (p->at > q->at) - (p->at < q->at);
}

static int by_size(const void *a, const void *b) {
    const ranked *p = a, *q = b;
    if (p->x != q->x) return p->x < q->x ? -1 : 1;
    return (p->cluster > q->cluster) - (p->cluster < q->cluster);
}

static void values_free(values *v) {
    free(v->of);
    free(v->by_size);
    free(v->weight);
}

static void add(moments *m, double x, double y) {
    m->n++;
    m->x += x;
    m->y += y;
    m->xx += x * x;
    m->yy += y * y;
    m->xy += x * y;
}

static void fill(values *v, entry *all) {
    qsort(all, v->n, sizeof *all, by_cluster);
    for (size_t i = 0; i < v->n; i++) v->mean_x += all[i].x / (double)v->n, v->mean_y += all[i].y / (double)v->n;
    for (size_t i = 0; i < v->n; i++) {
        if (i == 0 || all[i].cluster != all[i - 1].cluster) v->clusters++;
        add(&v->of[v->clusters - 1], all[i].x - v->mean_x, all[i].y - v->mean_y);
        v->by_size[i] = (ranked){ all[i].x, v->clusters - 1 };
    }
    qsort(v->by_size, v->n, sizeof *v->by_size, by_size);
}

/* Those that are there: of a pair, both. */
static int gather(const double *x, const double *y, const uint64_t *cluster, size_t n, values *out) {
    size_t room = n ? n : 1;
    *out = (values){ 0 };
    entry *all = calloc(room, sizeof *all);
    out->of = calloc(room, sizeof *out->of);
    out->by_size = calloc(room, sizeof *out->by_size);
    out->weight = calloc(room, sizeof *out->weight);
    int rc = all && out->of && out->by_size && out->weight ? 0 : error_memory(room * sizeof *all);
    for (size_t i = 0; rc == 0 && i < n; i++)
        if (isfinite(x[i]) && (!y || isfinite(y[i]))) all[out->n++] = (entry){ cluster ? cluster[i] : i, i, x[i], y ? y[i] : 0 };
    if (rc == 0) fill(out, all);
    else values_free(out);
    free(all);
    return rc;
}

/* ---- statistics ------------------------------------------------------------------------------------------------------ */

static moments sum(const values *v) {
    moments s = { 0 };
    for (size_t c = 0; c < v->clusters; c++) {
        const moments *m = &v->of[c];
        double w = v->weight[c];
        s.n += w * m->n;
        s.x += w * m->x;
        s.y += w * m->y;
        s.xx += w * m->xx;
        s.yy += w * m->yy;
        s.xy += w * m->xy;
    }
    return s;
}

static double mean_of(const values *v) {
    moments s = sum(v);
    return v->mean_x + s.x / s.n;
}

static double difference_of(const values *v) {
    moments s = sum(v);
    return v->mean_x - v->mean_y + (s.x - s.y) / s.n;
}

static double ratio_of(const values *v) {
    moments s = sum(v);
    return (v->mean_x + s.x / s.n) / (v->mean_y + s.y / s.n);
}

static double correlation_of(const values *v) {
    moments s = sum(v);
    double xx = s.xx - s.x * s.x / s.n, yy = s.yy - s.y * s.y / s.n, xy = s.xy - s.x * s.y / s.n;
    return xx > 0 && yy > 0 ? fmax(-1, fmin(xy / sqrt(xx * yy), 1)) : NAN;
}

static double slope_of(const values *v) {
    moments s = sum(v);
    double xx = s.xx - s.x * s.x / s.n, xy = s.xy - s.x * s.y / s.n;
    return xx > 0 ? xy / xx : NAN;
}

/* The middle one, or the mean of the two in the middle. */
static double median_of(const values *v) {
    uint64_t all = 0, before = 0;
    double low = NAN;
    for (size_t i = 0; i < v->n; i++) all += v->weight[v->by_size[i].cluster];
    for (size_t i = 0; i < v->n; i++) {
        before += v->weight[v->by_size[i].cluster];
        if (isnan(low) && 2 * before >= all && before) low = v->by_size[i].x;
        if (2 * before > all) return (low + v->by_size[i].x) / 2;
    }
    return low;
}

/* ---- the bootstrap --------------------------------------------------------------------------------------------------- */

static uint64_t next_number(uint64_t *state) {   /* splitmix64 */
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static void take_all(values *v) {
    for (size_t c = 0; c < v->clusters; c++) v->weight[c] = 1;
}

static void draw(values *v, uint64_t *state) {
    for (size_t c = 0; c < v->clusters; c++) v->weight[c] = 0;
    for (size_t c = 0; c < v->clusters; c++) v->weight[(next_number(state) >> 32) * v->clusters >> 32]++;   /* fewer than 2^32 */
}

static double normal(double z) { return erfc(-z / sqrt(2)) / 2; }

/* Of the normal distribution, by halving: it is asked for a few times. */
static double quantile_of_normal(double p) {
    double low = -40, high = 40;
    for (int i = 0; i < 100; i++) {
        double middle = (low + high) / 2;
        if (normal(middle) < p) low = middle;
        else high = middle;
    }
    return (low + high) / 2;
}

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Of n sorted numbers, between the two that are nearest. */
static double quantile(const double *x, size_t n, double p) {
    double at = fmax(0, fmin(p * (double)(n + 1) - 1, (double)(n - 1)));
    size_t i = (size_t)at;
    return i + 1 < n ? x[i] + (at - (double)i) * (x[i + 1] - x[i]) : x[n - 1];
}

/* Efron's acceleration, of the statistic without each cluster in turn; NaN if that cannot be told. */
static double acceleration(values *v, statistic *of) {
    double mean = 0, two = 0, three = 0, *each = malloc(v->clusters * sizeof *each);
    if (!each) return NAN;
    take_all(v);
    for (size_t c = 0; c < v->clusters; c++) {
        v->weight[c] = 0;
        each[c] = of(v);
        v->weight[c] = 1;
        mean += each[c] / (double)v->clusters;
    }
    for (size_t c = 0; c < v->clusters; c++) {
        double d = mean - each[c];
        two += d * d;
        three += d * d * d;
    }
    free(each);
    return two > 0 ? three / (6 * pow(two, 1.5)) : NAN;
}

/* Where the interval's ends are among the draws: BCa, or the plain share. */
static double end_of(double share, double bias, double acceleration) {
    double z = bias + quantile_of_normal(share), p = normal(bias + z / (1 - acceleration * z));
    return isfinite(p) ? p : share;
}

static double bias_of(const double *drawn, size_t n, double value) {
    double below = 0;
    for (size_t i = 0; i < n; i++) below += drawn[i] < value ? 1 : drawn[i] == value ? 0.5 : 0;
    return quantile_of_normal(below / (double)n);
}

static int interval(values *v, statistic *of, const bootstrap *how, double level, estimate *out) {
    size_t draws = how && how->draws > 0 ? (size_t)how->draws : USUAL_DRAWS, n = 0;
    uint64_t state = how ? how->seed : 0;
    double *drawn = calloc(draws, sizeof *drawn), tail = (1 - level) / 2;
    if (!drawn) return error_memory(draws * sizeof *drawn);
    for (size_t i = 0; i < draws; i++) {
        draw(v, &state);
        double x = of(v);
        if (isfinite(x)) drawn[n++] = x;
    }
    if (n) {
        qsort(drawn, n, sizeof *drawn, by_value);
        double bias = bias_of(drawn, n, out->value), a = acceleration(v, of);
        bool plain = !(fabs(bias) < 8) || isnan(a);   /* all draws on one side, or no jackknife */
        out->low = quantile(drawn, n, plain ? tail : end_of(tail, bias, a));
        out->high = quantile(drawn, n, plain ? 1 - tail : end_of(1 - tail, bias, a));
    }
    free(drawn);
    return 0;
}

static double level_of(const bootstrap *how) { return how && how->level > 0 && how->level < 1 ? how->level : usual_level; }

static int estimate_of(statistic *of, const double *x, const double *y, const uint64_t *cluster, size_t n, const bootstrap *how,
                       estimate *out) {
    values v;
    *out = (estimate){ .value = NAN, .low = NAN, .high = NAN };
    int rc = gather(x, y, cluster, n, &v);
    if (rc < 0) return rc;
    out->n = v.n;
    out->clusters = v.clusters;
    take_all(&v);
    if (v.n) out->value = of(&v);
    if (v.clusters > 1 && isfinite(out->value)) rc = interval(&v, of, how, level_of(how), out);
    values_free(&v);
    return rc;
}

/* ---- as they are asked for ------------------------------------------------------------------------------------------- */

int statistics_mean(const double *x, const uint64_t *cluster, size_t n, const bootstrap *how, estimate *out) {
    return estimate_of(mean_of, x, NULL, cluster, n, how, out);
}

int statistics_median(const double *x, const uint64_t *cluster, size_t n, const bootstrap *how, estimate *out) {
    return estimate_of(median_of, x, NULL, cluster, n, how, out);
}

int statistics_rate(const double *x, const uint64_t *cluster, size_t n, const bootstrap *how, estimate *out) {
    int rc = estimate_of(mean_of, x, NULL, cluster, n, how, out);
    if (rc < 0 || !out->clusters) return rc;
    double trials = (double)out->clusters, p = out->value, z = quantile_of_normal((1 + level_of(how)) / 2), zz = z * z / trials;
    double middle = (p + zz / 2) / (1 + zz), half = z * sqrt(p * (1 - p) / trials + zz / (4 * trials)) / (1 + zz);
    out->low = fmin(fmax(0, middle - half), out->low);
    out->high = fmax(fmin(1, middle + half), out->high);
    return 0;
}

int statistics_difference(const double *a, const double *b, const uint64_t *cluster, size_t n, const bootstrap *how, estimate *out) {
    return estimate_of(difference_of, a, b, cluster, n, how, out);
}

int statistics_ratio(const double *a, const double *b, const uint64_t *cluster, size_t n, const bootstrap *how, estimate *out) {
    return estimate_of(ratio_of, a, b, cluster, n, how, out);
}

int statistics_correlation(const double *x, const double *y, const uint64_t *cluster, size_t n, const bootstrap *how, estimate *out) {
    return estimate_of(correlation_of, x, y, cluster, n, how, out);
}

int statistics_slope(const double *x, const double *y, const uint64_t *cluster, size_t n, const bootstrap *how, estimate *out) {
    return estimate_of(slope_of, x, y, cluster, n, how, out);
}

bool statistics_overlap(const estimate *a, const estimate *b) { return !(a->low > b->high || b->low > a->high); }
