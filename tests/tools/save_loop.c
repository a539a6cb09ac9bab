/* SPDX-License-Identifier: Apache-2.0
 *
 * save_loop BASE CONTROL RUN STEPS [--resume] [--unlock] [--average] [--bf16] [--eight] [--keep N] [--seed N] [--data N] [--data-changed]
 *
 * A training run without the training: every step sets all states to numbers that follow from the step, logs it and writes a checkpoint. Begun
 * again with --resume (--eight: adamw8's states, of weights in two halves), it first sees that what the checkpoint gave is to the bit what that step had. "resumed N" at the start of a resumed one,
 * "planned BYTES" of a checkpoint, then "begun N" and "saved N" or "failed N: why" for each. Exit status 4: what was loaded is not what was saved. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "nn/halves.h"
#include "nn/update.h"
#include "train/events.h"
#include "train/log.h"
#include "train/run_folder.h"
#include "train/sample_sheet.h"
#include "train/save.h"

enum { STATES = 8192 };
static save_state states[STATES];
static size_t n_states;

static const char *base, *control, *folder;
static long steps, keep = 3, seed, items = 100;
static int resume, unlock, averages, bf16, eight, data_changed;

static void say(void *context, mien_log_kind kind, const char *path, const char *message) {
    (void)context, (void)kind;
    fprintf(stderr, "%s%s%s\n", path ? path : "", path ? ": " : "", message);
}
static const mien_hooks hooks = { .log = say };

static int failed(const char *what) {
    fprintf(stderr, "save_loop: %s: %s\n", what, error_message());
    return error_code() == ERR_USAGE ? 2 : 1;
}

/* What state k is after a step: any bits, NaNs and all. */
static uint32_t bits_of(size_t k, size_t i, uint64_t step) {
    uint64_t x = (k + 1) * 0x9e3779b97f4a7c15ULL + (i + 1) * 0xbf58476d1ce4e5b9ULL + (step + (uint64_t)seed) * 0x94d049bb133111ebULL;
    x = (x ^ x >> 29) * 0xbf58476d1ce4e5b9ULL;
    return (uint32_t)(x >> 32);
}

static float number_of(size_t k, size_t i, uint64_t step) { return (float)(int32_t)bits_of(k, i, step) * 0x1p-36f; }

static void set_one(const save_state *s, size_t k, size_t i, uint64_t step) {
    float x = number_of(k, i, step);
    if (s->low) halves_split(&x, (uint16_t *)s->data + i, s->low + i, 1);
    else if (s->type == STORED_U8) ((uint8_t *)s->data)[i] = (uint8_t)bits_of(k, i, step);
    else ((float *)s->data)[i] = x;
}

static int right(const save_state *s, size_t k, size_t i, uint64_t step) {
    float want = number_of(k, i, step), x;
    if (s->type == STORED_U8) return ((uint8_t *)s->data)[i] == (uint8_t)bits_of(k, i, step);
    if (s->low) halves_join(&x, (uint16_t *)s->data + i, s->low + i, 1);
    else x = ((float *)s->data)[i];
    return memcmp(&x, &want, sizeof want) == 0;
}

static void set_all(uint64_t step) {
    for (size_t k = 0; k < n_states; k++)
        for (size_t i = 0, n = shape_elements(states[k].shape); i < n; i++) set_one(&states[k], k, i, step);
}

static int all_right(uint64_t step) {
    for (size_t k = 0; k < n_states; k++)
        for (size_t i = 0, n = shape_elements(states[k].shape); i < n; i++) {
            if (right(&states[k], k, i, step)) continue;
            fprintf(stderr, "save_loop: %s of %s differs at %zu\n", states[k].kind, states[k].name, i);
            return 0;
        }
    return 1;
}

static int keep_one(const parameter *p, const char *kind, nn_shape shape, stored_type type, int halves) {
    size_t n = shape_elements(shape);
    if (n_states == STATES) return error_memory(0);
    save_state *s = &states[n_states++];
    *s = (save_state){ .name = p->name, .kind = kind, .shape = shape, .type = type, .data = calloc(n, sizeof(float)), .low = halves ? calloc(n, sizeof(uint16_t)) : NULL };
    return s->data && (s->low || !halves) ? 0 : error_memory(n * sizeof(float));
}

static int keep_all(const parameter *p) {
    size_t n = shape_elements(p->shape);
    int rc = keep_one(p, "weight", p->shape, STORED_F32, eight && p->shape.rank > 1);
    if (rc == 0) rc = eight ? keep_one(p, "moments", shape2(2, n), STORED_U8, 0) : keep_one(p, "m", p->shape, STORED_F32, 0);
    if (rc == 0) rc = eight ? keep_one(p, "scales", shape2(2, adamw8_scales(n)), STORED_F32, 0) : keep_one(p, "v", p->shape, STORED_F32, 0);
    return rc == 0 && averages ? keep_one(p, "average", p->shape, STORED_F32, 0) : rc;
}

static int make_states(const checkpoint *c) {
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < checkpoint_count(c); i++) {
        const parameter *p = checkpoint_parameter(c, i);
        bool decoder = strncmp(p->name, "unet.output_blocks.", 19) == 0 || strncmp(p->name, "unet.out.", 9) == 0;
        if (strncmp(p->name, "control.", 8) != 0 && !(unlock && decoder)) continue;
        rc = keep_all(p);
    }
    return rc;
}

static int tell_settings(run_settings *s) {
    char hash[65];
    memset(hash, 'a', 64), hash[64] = 0;
    int rc = run_settings_integer(s, "seed", seed, false);
    if (rc == 0) rc = run_settings_flag(s, "unlock-decoder", unlock, false);
    if (rc == 0) rc = run_settings_integer(s, "steps", steps, true);
    if (rc == 0) rc = run_settings_model(s, "control", hash);
    run_settings_data(s, (uint64_t)items, hash);
    return rc;
}

/* A sheet of one map and one picture whose brightness is the step's. */
static int add_sheet(events *e, uint64_t step) {
    image map, picture, sheet;
    char path[4096], title[64];
    uint8_t *png;
    size_t size;
    if (image_new(64, 64, &map) < 0 || image_new(64, 64, &picture) < 0) return ERR_MEMORY;
    memset(picture.rgb, (int)(step % 200 + 50), 64 * 64 * 3);
    snprintf(title, sizeof title, "step %llu", (unsigned long long)step);
    snprintf(path, sizeof path, "%s/sheet.png", folder);
    int rc = sample_sheet(&(sheet_sample){ &map, &picture, "a face", NULL }, 1, title, "", &sheet);
    if (rc == 0 && (rc = sample_sheet_save(path, &sheet, title, &png, &size)) == 0) {
        rc = events_picture(e, step, 1.7e9 + (double)step, "samples", png, size, sheet.width, sheet.height);
        free(png);
    }
    image_free(&map), image_free(&picture), image_free(&sheet);
    return rc;
}

static double measure_of(uint64_t step) { return (double)(step * 7 % 11); }

static int run(const checkpoint *c) {
    uint64_t position[3] = { 0 };
    uint64_t done = 0;
    save_value values[] = { { "position", position, sizeof position, false }, { "step", &done, sizeof done, false } };
    const save_metadata mid = { "mien.only_mid_control", "true" };
    save_contents what = { .model = c, .states = states, .n_states = n_states, .values = values, .n_values = 2, .metadata = &mid, .n_metadata = averages,
                           .dtype = bf16 ? MIEN_DTYPE_BF16 : MIEN_DTYPE_AUTO };
    save_found found = { 0 };
    train_log *log;
    events *e;
    int there = save_find(folder, &hooks, &found), status = 0;
    if (there < 0) return failed("finding");
    if (there && save_load(&found, &what) < 0) return failed("loading");
    if (there && (!all_right(found.step) || position[2] != found.step * 3 || done != found.step || found.measure != measure_of(found.step))) return 4;
    if (there) printf("resumed %llu\n", (unsigned long long)found.step);
    uint64_t bytes;
    if (save_bytes(&what, &bytes) < 0) return failed("bytes");
    printf("planned %llu\n", (unsigned long long)bytes);
    if (train_log_open(folder, found.step, &hooks, &log) < 0) return failed("log");
    if (events_open(folder, found.step, 1.7e9, &e) < 0) return failed("events");
    for (uint64_t step = found.step + 1; step <= (uint64_t)steps; step++) {
        printf("begun %llu\n", (unsigned long long)step), fflush(stdout);
        set_all(step);
        position[2] = step * 3;
        done = step;
        log_line line = { .step = step, .loss = 1.0 / (double)step, .smoothed = NAN, .rate = 1e-5, .seconds = 0.5, .images_per_second = 2, .wait = 0, .norm = NAN };
        if (train_log_add(log, &line) < 0 || train_log_sync(log) < 0) failed("log");
        event_scalar s = { "train/loss", line.loss };
        if (events_scalars(e, step, 1.7e9 + (double)step, &s, 1) < 0 || add_sheet(e, step) < 0) failed("events");
        int rc = save_write(&(save_options){ .run = folder, .step = step, .measure = measure_of(step), .keep = (int)keep, .hooks = &hooks }, &what);
        if (rc < 0) printf("failed %llu: %s\n", (unsigned long long)step, error_message()), status = 1;
        else printf("saved %llu\n", (unsigned long long)step);
        fflush(stdout);
    }
    events_close(e);
    train_log_close(log);
    return status;
}

int main(int argc, char **argv) {
    if (argc < 5) return 2;
    base = argv[1], control = argv[2], folder = argv[3], steps = strtol(argv[4], NULL, 10);
    for (int i = 5; i < argc; i++) {
        if (strcmp(argv[i], "--resume") == 0) resume = 1;
        else if (strcmp(argv[i], "--unlock") == 0) unlock = 1;
        else if (strcmp(argv[i], "--average") == 0) averages = 1;
        else if (strcmp(argv[i], "--bf16") == 0) bf16 = 1;
        else if (strcmp(argv[i], "--eight") == 0) eight = 1;
        else if (strcmp(argv[i], "--data-changed") == 0) data_changed = 1;
        else if (i + 1 < argc && strcmp(argv[i], "--keep") == 0) keep = strtol(argv[++i], NULL, 10);
        else if (i + 1 < argc && strcmp(argv[i], "--seed") == 0) seed = strtol(argv[++i], NULL, 10);
        else if (i + 1 < argc && strcmp(argv[i], "--data") == 0) items = strtol(argv[++i], NULL, 10);
        else return 2;
    }
    checkpoint *c = NULL;
    run_settings s = { 0 };
    run_folder r;
    run_folder_options o = { .path = folder, .resume = resume, .data_changed = data_changed, .settings = &s, .hooks = &hooks };
    int status;
    if (checkpoint_open(base, control, CHECKPOINT_UNET | CHECKPOINT_CONTROL, &c) < 0 || make_states(c) < 0 || tell_settings(&s) < 0) status = failed("models");
    else if (run_folder_open(&o, &r) < 0) status = failed("run");
    else {
        status = run(c);
        run_folder_close(&r);
    }
    run_settings_free(&s);
    checkpoint_close(c);
    for (size_t i = 0; i < n_states; i++) free(states[i].data), free(states[i].low);
    return status;
}
