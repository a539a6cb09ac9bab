/* SPDX-License-Identifier: Apache-2.0 */
#include "eval/match.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "eval/measure.h"

const double match_most = 1;

/* The assignment by shortest augmenting paths (Jonker and Volgenant 1987, in its plain form): n rows, each with a column of its
 * own among the m found faces and n more that stand for "none", at the price `most`. Rows and columns count from 1: column 0
 * holds the row that looks for one. */
typedef struct {
    int n, columns;
    const double *distance;
    int m;
    double most;
    double *row, *column, *least;      /* potentials; the least reduced price of a column so far */
    int *of, *way;                     /* which row has a column; from which column a path came */
    bool *used;
} assignment;

static double price(const assignment *a, int i, int j) {
    double d = j <= a->m ? a->distance[(size_t)(i - 1) * (size_t)a->m + (size_t)(j - 1)] : a->most;
    return d <= a->most ? d : 2 * a->most * (a->n + 1);   /* too far (or no number): dearer than any set of "none" */
}

static int next_column(assignment *a, int from) {
    int i = a->of[from], next = 0;
    double delta = HUGE_VAL;
    a->used[from] = true;
    for (int j = 1; j <= a->columns; j++) {
        if (a->used[j]) continue;
        double reduced = price(a, i, j) - a->row[i] - a->column[j];
        if (reduced < a->least[j]) a->least[j] = reduced, a->way[j] = from;
        if (a->least[j] < delta) delta = a->least[j], next = j;
    }
    for (int j = 0; j <= a->columns; j++) {
        if (a->used[j]) a->row[a->of[j]] += delta, a->column[j] -= delta;
        else a->least[j] -= delta;
    }
    return next;
}

static void add_row(assignment *a, int i) {
    int j = 0;
    a->of[0] = i;
    for (int k = 0; k <= a->columns; k++) a->least[k] = HUGE_VAL, a->used[k] = false;
    do j = next_column(a, j);
    while (a->of[j]);
    while (j) {
        int from = a->way[j];
        a->of[j] = a->of[from];
        j = from;
    }
}

int match_distances(const double *distance, int n, int m, double most, int *pair) {
    size_t rows = (size_t)n + 1, columns = (size_t)n + (size_t)m + 1, numbers;
    if (__builtin_mul_overflow(rows + 2 * columns, sizeof(double), &numbers)) return error_memory(SIZE_MAX);
    assignment a = { .n = n, .columns = n + m, .distance = distance, .m = m, .most = most };
    a.row = calloc(rows + 2 * columns, sizeof *a.row);
    a.of = calloc(2 * columns, sizeof *a.of);
    a.used = calloc(columns, sizeof *a.used);
    int answered = 0, rc = a.row && a.of && a.used ? 0 : error_memory(numbers);
    if (rc == 0) {
        a.column = a.row + rows;
        a.least = a.column + columns;
        a.way = a.of + columns;
        for (int i = 1; i <= n; i++) add_row(&a, i);
        for (int i = 0; i < n; i++) pair[i] = -1;
        for (int j = 1; j <= m; j++)
            if (a.of[j] && price(&a, a.of[j], j) <= most) pair[a.of[j] - 1] = j - 1, answered++;
    }
    free(a.row);
    free(a.of);
    free(a.used);
    return rc < 0 ? rc : answered;
}

int match_faces(const faces *wanted, const faces *found, double most, int *pair) {
    size_t n = (size_t)wanted->count, m = (size_t)found->count, bytes;
    if (__builtin_mul_overflow(n * m, sizeof(double), &bytes)) return error_memory(SIZE_MAX);
    double *distance = malloc(bytes ? bytes : 1);
    if (!distance) return error_memory(bytes);
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < m; j++)
            distance[i * m + j] = measure_distance(&wanted->face[i], &found->face[j], wanted->width, wanted->height);
    int rc = match_distances(distance, wanted->count, found->count, most, pair);
    free(distance);
    return rc;
}
