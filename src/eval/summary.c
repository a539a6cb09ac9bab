/* SPDX-License-Identifier: Apache-2.0 */
#include "eval/summary.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"

summary_item summary_item_of(const judgement *j, uint64_t cluster) {
    summary_item out = { .cluster = cluster, .wanted = j->wanted, .found = j->found, .matched = j->matched };
    memcpy(out.error, j->error, sizeof out.error);
    return out;
}

typedef struct {
    const summary_item *item;
    size_t n;
    const bootstrap *how;
    double *x;
    uint64_t *cluster;
} work;

/* Over all wanted faces, each as often as it was wanted. */
static int detection_of(work *w, mien_estimate *out) {
    size_t faces = 0, bytes;
    for (size_t i = 0; i < w->n; i++) faces += w->item[i].wanted > 0 ? (size_t)w->item[i].wanted : 0;
    if (__builtin_mul_overflow(faces + 1, sizeof(double), &bytes)) return error_memory(SIZE_MAX);
    double *x = malloc(bytes);
    uint64_t *cluster = malloc(bytes);
    int rc = x && cluster ? 0 : error_memory(bytes);
    size_t k = 0;
    for (size_t i = 0; rc == 0 && i < w->n; i++)
        for (int f = 0; f < w->item[i].wanted; f++) x[k] = f < w->item[i].matched, cluster[k++] = w->item[i].cluster;
    if (rc == 0) rc = statistics_rate(x, cluster, k, w->how, out);
    free(x);
    free(cluster);
    return rc;
}

static int agreement_of(work *w, mien_estimate *out) {
    for (size_t i = 0; i < w->n; i++) w->x[i] = w->item[i].wanted == w->item[i].found;
    return statistics_rate(w->x, w->cluster, w->n, w->how, out);
}

static int errors_of(work *w, summary *out) {
    int rc = 0;
    for (int e = 0; e < ERRORS && rc == 0; e++) {
        for (size_t i = 0; i < w->n; i++) w->x[i] = w->item[i].error[e];
        rc = statistics_mean(w->x, w->cluster, w->n, w->how, &out->mean[e]);
        if (rc == 0) rc = statistics_median(w->x, w->cluster, w->n, w->how, &out->median[e]);
    }
    return rc;
}

int summarize(const summary_item *item, size_t n, const bootstrap *how, summary *out) {
    size_t bytes = (n ? n : 1) * sizeof(double);
    work w = { item, n, how, malloc(bytes), malloc(bytes) };
    int rc = w.x && w.cluster ? 0 : error_memory(bytes);
    *out = (summary){ .pictures = n };
    for (size_t i = 0; rc == 0 && i < n; i++) {
        w.cluster[i] = item[i].cluster;
        out->wanted += (uint64_t)item[i].wanted;
        out->found += (uint64_t)item[i].found;
        out->matched += (uint64_t)item[i].matched;
    }
    if (rc == 0) rc = detection_of(&w, &out->detection);
    if (rc == 0) rc = agreement_of(&w, &out->agreement);
    if (rc == 0) rc = errors_of(&w, out);
    free(w.x);
    free(w.cluster);
    return rc;
}
