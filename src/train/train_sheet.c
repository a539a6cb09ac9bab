/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/error.h"
#include "base/file.h"
#include "generate/engine.h"
#include "train/sample_sheet.h"
#include "train/train_inside.h"
#include "train/train_reconstruct.h"

enum { SAMPLES = 4, STEPS = 20 };

/* Above: the map, or of a base or VAE the photo; below: of a map the photo. */
typedef struct { image above, picture, below; mien_item item; } sample;

static void add_states(void *trainer, graph *g) { trainer_add_states(trainer, g); }

engine_options train_engine(const train_job *j) {
    return (engine_options){
        .base = j->o->base,
        .control = j->control,
        .cpu = j->cpu,
        .threads = j->threads,
        .dtype = j->bf16 ? MIEN_DTYPE_BF16 : MIEN_DTYPE_F32,
        .stop = j->o->hooks.stop,
        .checkpoint = j->c,
        .weights = j->t ? trainer_params(j->t) : NULL,
        .begin_graph = j->t ? add_states : NULL,
        .trainer = j->t,
    };
}

engine_shape train_sheet_shape(const train_job *j) {
    bool control = j->o->what == MIEN_TRAIN_CONTROL;
    return (engine_shape){
        .width = j->o->size,
        .height = j->o->size,
        .guidance = true,
        .with = control,
        .without = !control,
        .only_mid = j->o->only_mid_control != 0,
        .many = true,
    };
}

/* All at once: the encoder is in memory before the rest, and not beside it. */
static int encode_texts(engine *e, const sample *s, size_t n) {
    const char *texts[SAMPLES + 1] = { "" };
    for (size_t i = 0; i < n; i++) texts[i + 1] = s[i].item.prompt;
    return engine_texts(e, texts, n + 1);
}

static int make_picture(engine *e, const train_job *j, sample *s) {
    picture_settings how = mien_picture_defaults();
    how.steps = STEPS;
    how.negative = "";
    size_t side = (size_t)j->o->size / 8;
    bool control = j->o->what == MIEN_TRAIN_CONTROL;
    engine_shape shape = train_sheet_shape(j);
    float *latent = malloc(side * side * 4 * sizeof *latent);
    if (!latent) return error_memory(side * side * 4 * sizeof *latent);
    int rc = engine_begin(e, &shape, s->item.prompt, how.negative, control ? &s->above : NULL);
    if (rc == 0) rc = engine_sample(e, &(sample_request){ .how = &how, .seed = (long long)s->item.line }, latent);
    if (rc == 0) rc = engine_decode(e, latent, &s->picture);
    free(latent);
    return rc;
}

int train_sheet_path(const train_job *j, char out[PATH_MAX]) {
    int n = snprintf(out, PATH_MAX, "%s/samples/step-%06llu.png", j->folder.path, (unsigned long long)j->step);
    return n < PATH_MAX ? 0 : error_set(ERR_LIMIT, "%s: too long a path", j->folder.path);
}

static int save_sheet(train_job *j, const sample *s, size_t n, const char *about) {
    sheet_sample shown[SAMPLES];
    char path[PATH_MAX], title[64];
    image sheet;
    uint8_t *png = NULL;
    size_t size = 0;
    bool reads = j->o->what != MIEN_TRAIN_VAE;   /* captions */
    for (size_t i = 0; i < n; i++)
        shown[i] = (sheet_sample){ &s[i].above, s[i].picture.rgb ? &s[i].picture : NULL, reads ? s[i].item.prompt : NULL,
                                   s[i].below.rgb ? &s[i].below : NULL };
    snprintf(title, sizeof title, "step %llu", (unsigned long long)j->step);
    snprintf(path, sizeof path, "%s/samples", j->folder.path);
    int rc = folder_make(path);
    if (rc < 0) return rc;
    if ((rc = train_sheet_path(j, path)) < 0) return rc;
    if ((rc = sample_sheet(shown, n, title, about, &sheet)) < 0) return rc;
    rc = sample_sheet_save(path, &sheet, title, &png, &size);
    if (rc == 0) rc = events_picture(j->events, j->step, (double)time(NULL), "samples", png, size, sheet.width, sheet.height);
    free(png);
    image_free(&sheet);
    return rc;
}

int train_peek(const train_job *j, const volatile int *stop, peek **out) {
    peek_options how = { .items = train_items(j->o), .map = j->o->what == MIEN_TRAIN_CONTROL, .redraw = j->o->redraw != 0 };
    how.items.hooks.stop = stop;
    return peek_open(&how, out);
}

static int take_items(const train_job *j, sample *s, size_t *n) {
    peek *p = NULL;
    bool map = j->o->what == MIEN_TRAIN_CONTROL;
    int rc = train_peek(j, j->o->hooks.stop, &p), more = rc == 0;
    while (more > 0 && *n < SAMPLES)
        if ((more = peek_next(p, &s[*n].above, map ? &s[*n].below : NULL, &s[*n].item)) > 0) ++*n;
    peek_close(p);
    return rc < 0 ? rc : more < 0 ? more : 0;
}

static int generate(const train_job *j, sample *s, size_t n) {
    engine_options how = train_engine(j);
    engine *e = NULL;
    int rc = engine_open(&how, &e);
    if (rc == 0) rc = encode_texts(e, s, n);
    for (size_t i = 0; i < n && rc == 0; i++) rc = make_picture(e, j, &s[i]);
    engine_close(e);
    return rc;
}

/* What a VAE is judged by, on the sheet and as curves. */
static int reconstruct(train_job *j, sample *s, size_t n, char *about, size_t size) {
    reconstructor *r = NULL;
    int rc = reconstructor_open(j, j->o->hooks.stop, &r);
    for (size_t i = 0; i < n && rc == 0; i++) rc = reconstructor_run(r, &s[i].above, &s[i].picture);
    if (rc == 0) {
        event_scalar scalars[] = { { "vae/psnr", reconstructor_psnr(r) }, { "vae/latent_deviation", reconstructor_deviation(r) } };
        snprintf(about, size, "PSNR %.2f dB; latents' deviation %.3g%s", reconstructor_psnr(r), reconstructor_deviation(r),
                 j->o->average > 0 ? "; of the weights themselves, not their average" : "");
        rc = events_scalars(j->events, j->step, (double)time(NULL), scalars, 2);
    }
    reconstructor_close(r);
    return rc;
}

int train_sheet(train_job *j) {
    sample s[SAMPLES];
    size_t n = 0;
    char about[128];
    memset(s, 0, sizeof s);
    picture_settings how = mien_picture_defaults();
    snprintf(about, sizeof about, "%d steps of ddim, guidance %g%s", STEPS, how.cfg, j->o->average > 0 ? ", of the weights themselves, not their average" : "");
    int rc = take_items(j, s, &n);
    /* In the place of what a step takes. */
    trainer_rest(j->t);
    batch_rest(j->batch);
    if (rc == 0 && n) rc = j->o->what == MIEN_TRAIN_VAE ? reconstruct(j, s, n, about, sizeof about) : generate(j, s, n);
    if (rc == 0 && n) rc = save_sheet(j, s, n, about);
    for (size_t i = 0; i < SAMPLES; i++) {
        image_free(&s[i].above);
        image_free(&s[i].picture);
        image_free(&s[i].below);
        mien_item_free(&s[i].item);
    }
    if (rc < 0 && rc != ERR_CANCELLED) {
        train_say(j, MIEN_LOG_WARNING, error_message());
        rc = 0;
    }
    return rc;
}
