/* SPDX-License-Identifier: Apache-2.0 */
#include "nn/plan_text.h"

#include <stdio.h>

void plan_profile_tell(const plan_profile *t, const char *name, void (*line)(void *context, const char *text), void *context) {
    plan_profile_row row[64];
    char text[256];
    size_t n = plan_profile_rows(t, row, sizeof row / sizeof *row), runs = plan_profile_runs(t);
    double each = runs ? 1 / (double)runs : 0, total = 0;
    for (size_t i = 0; i < n; i++) total += row[i].seconds;
    snprintf(text, sizeof text, "%-28s %6zu runs %9.4f ms %9s %9s", name, runs, total * each * 1e3, "GFLOP/s", "GB/s");
    line(context, text);
    for (size_t i = 0; i < n && runs; i++) {
        double rate = row[i].seconds > 0 ? 1e-9 / row[i].seconds : 0;
        snprintf(text, sizeof text, "  %-26s %5d steps %9.4f ms %9.1f %9.1f", row[i].kernel, row[i].steps, row[i].seconds * each * 1e3, row[i].flops * rate,
                 row[i].bytes * rate);
        line(context, text);
    }
}
