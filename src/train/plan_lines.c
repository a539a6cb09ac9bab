/* SPDX-License-Identifier: Apache-2.0 */
#include "train/plan_lines.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

void plan_size(char out[32], uint64_t bytes) {
    static const char *const units[] = { "bytes", "KB", "MB", "GB", "TB" };
    double x = (double)bytes;
    int k = 0;
    while (k < 4 && x >= 999.5) x /= 1000, k++;
    snprintf(out, 32, k == 0 || x >= 99.95 ? "%.0f %s" : x >= 9.995 ? "%.1f %s" : "%.2f %s", x, units[k]);
}

static uint64_t larger(uint64_t a, uint64_t b) { return a > b ? a : b; }

uint64_t plan_memory(const plan_needs *n) {
    uint64_t step = n->turns ? larger(n->activations, n->encoders) : n->activations + n->encoders;
    return n->program + n->weights + n->states + n->data + larger(step, n->sheets);
}

static uint64_t most_checkpoints(const plan_needs *n) { return (uint64_t)n->keep + 2; }

uint64_t plan_checkpoints(const plan_needs *n) {
    uint64_t most = most_checkpoints(n);
    return n->due && n->due < most ? n->due : most;
}

uint64_t plan_disk(const plan_needs *n, uint64_t there) {
    uint64_t most = n->checkpoint * plan_checkpoints(n), cache = n->cache > n->cached ? n->cache - n->cached : 0;
    return (most > there ? most - there : 0) + cache;
}

static void word_line(text *out, const char *what, const char *word, const char *note) {
    text_printf(out, "%-12s %9s%s%s\n", what, word, *note ? "   " : "", note);
}

static void line(text *out, const char *what, uint64_t bytes, const char *note) {
    char size[32];
    plan_size(size, bytes);
    word_line(out, what, size, note);
}

static void step_lines(const plan_needs *n, text *out) {
    char word[32] = "until stopped", note[96] = "";
    if (!n->tells_steps) return;
    if (n->steps) snprintf(word, sizeof word, "%" PRIu64, n->steps);
    if (n->from) snprintf(note, sizeof note, "%" PRIu64 " are done", n->from);
    word_line(out, "steps", word, note);
    if (n->batch <= n->items || !n->items) return;
    snprintf(word, sizeof word, "%" PRIu64, n->batch);
    snprintf(note, sizeof note, "pictures a step, of %" PRIu64 " that there are: each is in it %.1f times", n->items, (double)n->batch / (double)n->items);
    word_line(out, "batch", word, note);
}

static void choice_lines(const plan_needs *n, text *out) {
    if (n->numbers) word_line(out, "numbers", n->numbers, n->numbers_by);
    if (n->prediction) word_line(out, "prediction", n->prediction, n->prediction_by);
}

static void memory_lines(const plan_needs *n, text *out) {
    char note[128], size[32];
    if (n->program) line(out, "program", n->program, "with its libraries and lists");
    /* Where all is trained, a few constants are left. */
    if (n->weights > plan_memory(n) / 1000) line(out, "weights", n->weights, "read only");
    plan_size(size, n->summed);
    snprintf(note, sizeof note, "%.1f million trained numbers%s%s%s", (double)n->trained / 1e6,
             n->summed ? "; " : "", n->summed ? size : "", n->summed ? " of it gradients that wait to be summed or clipped" : "");
    line(out, "states", n->states, note);
    double rest = n->flops - n->flops_again;
    if (n->flops_again > 0 && rest > 0)
        snprintf(note, sizeof note, "computing some again: +%.1f%% arithmetic", 100 * n->flops_again / rest);
    else
        snprintf(note, sizeof note, "nothing is computed twice");
    line(out, "activations", n->activations, note);
    const char *turns = n->turns ? "while the cache lacks something, in turns with activations" : "while the cache lacks something";
    if (n->encoders) line(out, "encoders", n->encoders, turns);
    if (n->sheets) line(out, "sheets", n->sheets, "now and then, in the place of activations and encoders");
    if (n->data) line(out, "data", n->data, "items being prepared");
    *note = 0;
    plan_size(size, n->asked);
    if (n->asked) snprintf(note, sizeof note, "of %s that --memory gives", size);
    line(out, "memory", plan_memory(n), note);
}

static void disk_lines(const plan_needs *n, text *out) {
    char note[128], size[32], total[32];
    uint64_t checkpoints = plan_checkpoints(n), most = most_checkpoints(n);
    plan_size(size, n->checkpoint);
    if (checkpoints == most) snprintf(note, sizeof note, "%s each: the last %d, the best, and the one being written", size, n->keep);
    else if (n->minutes > 0)
        snprintf(note, sizeof note, "%s each: %" PRIu64 "; one more every %.3g minutes, up to %" PRIu64, size, checkpoints, n->minutes, most);
    else snprintf(note, sizeof note, "%s each: %" PRIu64, size, checkpoints);
    line(out, "checkpoints", n->checkpoint * checkpoints, note);
    plan_size(size, n->cached);
    snprintf(note, sizeof note, "%s%s%s%s", n->cache_kind ? n->cache_kind : "", n->cached ? "; " : "", n->cached ? size : "", n->cached ? " of it is there" : "");
    if (n->cache) line(out, "cache", n->cache, note);
    plan_size(total, n->disk_free);
    if (n->disk_free) snprintf(note, sizeof note, "%s free", total);
    else *note = 0;
    line(out, "disk", n->checkpoint * checkpoints + n->cache, note);
}

/* Each sends its share of the gradients to all, and all of theirs to each: train/ranks_sums.c. */
static void exchange_line(const plan_needs *n, text *out) {
    char note[96];
    uint64_t count = (uint64_t)n->ranks;
    if (n->ranks < 2) return;
    snprintf(note, sizeof note, "sent and received in each step by each of %d ranks", n->ranks);
    line(out, "exchange", n->trained * sizeof(float) / count * (count - 1) * 2, note);
}

void plan_lines(const plan_needs *n, text *out) {
    step_lines(n, out);
    choice_lines(n, out);
    memory_lines(n, out);
    disk_lines(n, out);
    exchange_line(n, out);
}
