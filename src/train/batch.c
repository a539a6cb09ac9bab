/* SPDX-License-Identifier: Apache-2.0 */
#include "train/batch.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "model/clip.h"
#include "nn/tensor.h"
#include "train/batch_noising.h"
#include "train/replay.h"

/* An encoder that so many items in a row had no need of is let go; it would take seconds to wake it again. */
enum { IDLE = 64 };

typedef struct {
    float *latent, *time, *context, *hint, *target, *weight, *picture, *posterior;
    int32_t *ids;
    item_draws *draws;
} arrays;

struct batch_source {
    batch_options options;
    checkpoint *c;
    tokenizer *t;
    encoders *e;                     /* NULL: nothing is encoded */
    cache *kept;
    noising noise;
    item_maker maker;
    mien_iterator *it;
    replay *r;
    uint64_t row;
    uint8_t *rooms;                  /* [batch] */
    arrays x;
    mien_item *items;
    int n_items;
    uint64_t idle[ENCODERS], encoded[ENCODERS], not_kept;
    bool full;                       /* nothing more is kept */
    double waited;                   /* for items of the replay */
    void (*begin)(void *context);    /* encoders take turns with the rest */
    void *begin_context;
};

static void say(const batch_source *b, const char *message) {
    const mien_hooks *h = &b->options.items.hooks;
    if (h->log) h->log(h->context, MIEN_LOG_WARNING, NULL, message);
}

/* ---- opening ------------------------------------------------------------------------------------------------------------- */

static int check(const batch_options *o) {
    if (o->batch < 1 || o->batch > 4096) return error_set(ERR_USAGE, "a batch of %d: 1 to 4096", o->batch);
    if (o->redraw && !(o->wants & ITEM_HINT)) return error_set(ERR_USAGE, "there are no maps to be drawn");
    if (!(o->prompt_dropout >= 0 && o->prompt_dropout <= 1))
        return error_set(ERR_USAGE, "a prompt dropout of %g: 0 to 1", o->prompt_dropout);
    if (o->crop && (!(o->wants & ITEM_PICTURE) || o->crop < 8 || o->crop > o->items.size || o->crop % 8))
        return error_set(ERR_USAGE, "a crop of %d pixels: a multiple of 8, up to the size, for pictures alone", o->crop);
    if ((o->keep_latents || o->keep_texts) && !o->cache) return error_set(ERR_USAGE, "a folder is needed for the cache");
    if (!o->replay) return 0;
    const char *with = o->crop                 ? "cropping"
                       : o->prompt_dropout > 0 ? "prompt dropout"
                       : o->mirror             ? "mirroring"
                       : o->noise_offset != 0  ? "noise offset"
                                               : NULL;
    if (with) return error_set(ERR_USAGE, "%s: a replay has all draws, so there can be no %s with it", o->replay, with);
    return o->items.ranks > 1 ? error_set(ERR_USAGE, "%s: a replay is for one process", o->replay) : 0;
}

static int open_encoders(batch_source *b) {
    const batch_options *o = &b->options;
    bool vae = o->wants & ITEM_LATENT, text = o->wants & ITEM_TEXT;
    encoders_options how = {
        .needed = { vae, text },
        .size = o->crop ? o->crop : o->items.size,
        .bf16 = o->bf16,
        .threads = o->threads,
        .cpu = o->cpu,
        .stop = o->items.hooks.stop,
    };
    return encoders_open(&how, b->c, &b->e);
}

static int open_tokenizer(batch_source *b) {
    if (!(b->options.wants & (ITEM_TEXT | ITEM_TOKENS))) return 0;
    clip_config clip;
    int rc = clip_tokenizer(b->c, &b->t);
    if (rc == 0) rc = clip_configure(b->c, &clip);
    return rc < 0 ? rc : clip_takes(b->c, &clip, b->t);
}

static int open_cache(batch_source *b) {
    const batch_options *o = &b->options;
    size_t places = encoders_side(b->e) * encoders_side(b->e);
    const char *computed = o->bf16 ? "bf16" : "f32";
    cache_shelf shelves[CACHE_PARTS] = {
        [CACHE_LATENTS] = {
            .kept = o->keep_latents && o->wants & ITEM_LATENT,
            .computed = computed,
            .type = CACHE_ENTRY_F32,
            .count = 2 * places * encoders_channels(b->e),
        },
        [CACHE_TEXTS] = {
            .kept = o->keep_texts && o->wants & ITEM_TEXT,
            .computed = computed,
            .type = CACHE_ENTRY_F16,
            .count = TOKENS * encoders_width(b->e),
        },
    };
    int rc = 0;
    if (shelves[CACHE_LATENTS].kept) rc = encoders_hash(b->e, ENCODER_VAE, shelves[CACHE_LATENTS].model);
    if (rc == 0 && shelves[CACHE_TEXTS].kept) rc = encoders_hash(b->e, ENCODER_TEXT, shelves[CACHE_TEXTS].model);
    return rc < 0 ? rc : cache_open(o->cache, shelves, &b->kept);
}

static int open_noise(batch_source *b) {
    const checkpoint_settings *s = checkpoint_settings_of(b->c);
    noising_settings how = { s->beta_start, s->beta_end, s->train_steps, b->options.predicts_v, s->vae_scale,
                             b->options.min_snr, b->options.noise_offset };
    return noising_new(&how, &b->noise);
}

/* With a VAE to be trained there is none of ours: its latents are those of Stable Diffusion. */
static size_t channels_of(const batch_source *b) { return b->options.wants & ITEM_LATENT ? encoders_channels(b->e) : 4; }

static int open_items(batch_source *b) {
    const batch_options *o = &b->options;
    const checkpoint_settings *s = checkpoint_settings_of(b->c);
    if (channels_of(b) > ITEM_CHANNELS)
        return error_set(ERR_UNSUPPORTED, "latents of %zu channels: at most %d", channels_of(b), ITEM_CHANNELS);
    b->maker = (item_maker){
        .wants = o->wants,
        .cut = { o->items.size, o->items.stretch, o->items.max_pixels, cpu_level_here() },
        .crop = o->crop,
        .redraw = o->redraw,
        .draws = { s->train_steps, o->prompt_dropout, o->mirror },
        .seed = o->items.seed,
        .t = b->t, .pad = s->pad_token, .cache = b->kept,
        .side = encoders_side(b->e), .channels = channels_of(b), .width = encoders_width(b->e),
    };
    int rc = item_lay_out(&b->maker);
    return rc < 0 ? rc : iterator_open_made(&o->items, &(iterator_maker){ b->maker.at.bytes, item_make, &b->maker }, &b->it);
}

static int open_replay(batch_source *b) {
    replay_shape shape = { (size_t)b->options.batch, b->maker.channels, b->maker.side, b->maker.side,
                           iterator_lines(b->it), b->noise.set.train_steps };
    return b->options.replay ? replay_open(b->options.replay, &shape, &b->r) : 0;
}

static int new_array(void *out, bool wanted, size_t batch, size_t count, size_t size) {
    size_t bytes;
    if (!wanted) return 0;
    if (__builtin_mul_overflow(batch, count, &bytes) || __builtin_mul_overflow(bytes, size, &bytes)) return error_memory(SIZE_MAX);
    void *memory = calloc(1, bytes);
    memcpy(out, &memory, sizeof memory);
    return memory ? 0 : error_memory(bytes);
}

/* Numbers of a picture. */
static size_t picture_count(const batch_source *b) {
    size_t side = (size_t)item_side(&b->maker);
    return side * side * 3;
}

static size_t square_of(const batch_source *b) { return (size_t)b->options.items.size * (size_t)b->options.items.size * 3; }
static size_t places_of(const batch_source *b) { return b->maker.side * b->maker.side * b->maker.channels; }

static int new_arrays(batch_source *b) {
    unsigned wants = b->options.wants;
    bool latent = wants & ITEM_LATENT, picture = wants & ITEM_PICTURE, text = wants & ITEM_TEXT;
    size_t n = (size_t)b->options.batch, square = square_of(b), places = places_of(b);
    arrays *x = &b->x;
    int rc = new_array(&x->latent, latent, n, places, sizeof(float));
    if (rc == 0) rc = new_array(&x->target, latent, n, places, sizeof(float));
    if (rc == 0) rc = new_array(&x->context, text, n, TOKENS * b->maker.width, sizeof(float));
    if (rc == 0) rc = new_array(&x->hint, wants & ITEM_HINT, n, square, sizeof(float));
    if (rc == 0) rc = new_array(&x->picture, picture, n, picture_count(b), sizeof(float));
    if (rc == 0) rc = new_array(&x->posterior, picture, n, places, sizeof(float));
    if (rc == 0) rc = new_array(&x->ids, wants & (ITEM_TEXT | ITEM_TOKENS), n, TOKENS, sizeof(int32_t));
    if (rc == 0) rc = new_array(&x->time, true, n, 1, sizeof(float));
    if (rc == 0) rc = new_array(&x->weight, true, n, 1, sizeof(float));
    if (rc == 0) rc = new_array(&x->draws, true, n, 1, sizeof(item_draws));
    if (rc == 0) rc = new_array(&b->items, true, n, 1, sizeof(mien_item));
    return rc < 0 ? rc : new_array(&b->rooms, true, n, b->maker.at.bytes, 1);
}

int batch_open(const batch_options *options, checkpoint *c, batch_source **out) {
    int rc = check(options);
    batch_source *b = rc == 0 ? calloc(1, sizeof *b) : NULL;
    if (!b) return rc < 0 ? rc : error_memory(sizeof *b);
    b->options = *options;
    b->c = c;
    rc = open_encoders(b);
    if (rc == 0) rc = open_tokenizer(b);
    if (rc == 0) rc = open_cache(b);
    if (rc == 0) rc = open_noise(b);
    if (rc == 0) rc = open_items(b);
    if (rc == 0) rc = open_replay(b);
    if (rc == 0) rc = new_arrays(b);
    if (rc < 0) batch_close(b);
    else *out = b;
    return rc;
}

static void forget_items(batch_source *b) {
    while (b->n_items) mien_item_free(&b->items[--b->n_items]);
}

void batch_close(batch_source *b) {
    if (!b) return;
    iterator_close(b->it);           /* its threads use the rest */
    forget_items(b);
    replay_close(b->r);
    noising_free(&b->noise);
    cache_close(b->kept);
    encoders_close(b->e);
    tokenizer_close(b->t);
    const arrays *x = &b->x;
    void *all[] = { x->latent, x->time, x->context, x->hint, x->target, x->weight, x->picture, x->posterior, x->ids, x->draws,
                    b->items, b->rooms };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) free(all[i]);
    free(b);
}

/* ---- what the cache lacked ------------------------------------------------------------------------------------------------- */

static void keep(batch_source *b, cache_part part, const char *name, const void *numbers) {
    if (!cache_keeps(b->kept, part)) return;
    if (b->full || cache_keep(b->kept, part, name, numbers) < 0) {
        if (!b->not_kept++) say(b, error_message());
        b->full |= error_code() == ERR_FULL;
    }
}

/* Whether it was found meanwhile: two items of one batch may be the same picture, or have the same prompt. */
static bool found_by_now(const batch_source *b, cache_part part, const char *name, void *numbers) {
    return cache_keeps(b->kept, part) && cache_find(b->kept, part, name, numbers);
}

static void count_idle(batch_source *b, encoder_kind which, bool used) {
    b->idle[which] = used ? 0 : b->idle[which] + 1;
    if (b->idle[which] >= IDLE && encoders_awake(b->e, which)) encoders_rest(b->e, which);
}

static void begin_turn(const batch_source *b) {
    if (b->begin && !encoders_awake(b->e, ENCODER_VAE) && !encoders_awake(b->e, ENCODER_TEXT)) b->begin(b->begin_context);
}

static int complete_moments(batch_source *b, item_head *h, float *moments) {
    bool lacks = !h->has_moments && !found_by_now(b, CACHE_LATENTS, h->latent, moments);
    count_idle(b, ENCODER_VAE, lacks);
    if (!lacks) return 0;
    begin_turn(b);
    int rc = encoders_picture(b->e, (uint8_t *)h + b->maker.at.photo, moments);
    if (rc < 0) return rc;
    b->encoded[ENCODER_VAE]++;
    keep(b, CACHE_LATENTS, h->latent, moments);
    return 0;
}

static int complete_text(batch_source *b, item_head *h, uint16_t *numbers) {
    bool lacks = !h->has_text && !found_by_now(b, CACHE_TEXTS, h->text, numbers);
    count_idle(b, ENCODER_TEXT, lacks);
    if (!lacks) return 0;
    begin_turn(b);
    int rc = encoders_text(b->e, h->ids, numbers);
    if (rc < 0) return rc;
    b->encoded[ENCODER_TEXT]++;
    keep(b, CACHE_TEXTS, h->text, numbers);
    return 0;
}

/* ---- a micro-batch --------------------------------------------------------------------------------------------------------- */

static int put_latent(batch_source *b, size_t i, item_head *h) {
    const item_layout *at = &b->maker.at;
    uint8_t *room = (uint8_t *)h;
    size_t places = b->maker.side * b->maker.side, c = b->maker.channels;
    float *moments = (float *)(room + at->moments), *x = b->x.latent + i * places * c, *target = b->x.target + i * places * c;
    int rc = complete_moments(b, h, moments);
    if (rc < 0) return rc;
    noising_latent(&b->noise, places, c, moments, (const float *)(room + at->posterior), x);
    noising_apply(&b->noise, h->draws.timestep, places, c, x, (float *)(room + at->noise), h->offset, x, target);
    return 0;
}

static int put_text(batch_source *b, size_t i, item_head *h) {
    uint16_t *numbers = (uint16_t *)((uint8_t *)h + b->maker.at.text);
    size_t count = TOKENS * b->maker.width;
    int rc = complete_text(b, h, numbers);
    if (rc == 0) nn_widen(b->x.context + i * count, numbers, NN_F16, count);
    return rc;
}

static int put_item(batch_source *b, size_t i, item_head *h) {
    const item_layout *at = &b->maker.at;
    unsigned wants = b->options.wants;
    uint8_t *room = (uint8_t *)h;
    size_t square = square_of(b), places = places_of(b);
    int rc = wants & ITEM_LATENT ? put_latent(b, i, h) : 0;
    if (rc == 0 && wants & ITEM_TEXT) rc = put_text(b, i, h);
    if (rc < 0) return rc;
    if (wants & ITEM_HINT) sample_hint(room + at->hint, square, b->x.hint + i * square);
    if (wants & ITEM_PICTURE) sample_photo(room + at->photo, picture_count(b), b->x.picture + i * picture_count(b));
    if (wants & ITEM_PICTURE) memcpy(b->x.posterior + i * places, room + at->posterior, places * sizeof(float));
    if (wants & (ITEM_TEXT | ITEM_TOKENS)) memcpy(b->x.ids + i * TOKENS, h->ids, sizeof h->ids);
    b->x.time[i] = (float)h->draws.timestep;
    b->x.weight[i] = noising_weight(&b->noise, h->draws.timestep);
    b->x.draws[i] = h->draws;
    return 0;
}

static item_head *room_of(const batch_source *b, size_t i) { return (item_head *)(b->rooms + i * b->maker.at.bytes); }

/* The row's items, with its draws. */
static int read_row(batch_source *b) {
    double begin = clock_seconds();
    int rc = 0;
    if (b->row >= replay_rows(b->r)) return 0;
    for (int i = 0; i < b->options.batch && rc == 0; i++) {
        size_t k = (size_t)i;
        item_head *h = room_of(b, k);
        rc = iterator_sample_made(b->it, replay_item(b->r, b->row, k), h, &b->items[k]);
        if (rc < 0) break;
        b->n_items++;
        h->draws.timestep = replay_timestep(b->r, b->row, k);
        bool latent = b->options.wants & ITEM_LATENT;
        replay_normals(b->r, b->row, k, (float *)((uint8_t *)h + b->maker.at.posterior),
                       latent ? (float *)((uint8_t *)h + b->maker.at.noise) : NULL);
    }
    b->waited += clock_seconds() - begin;
    return rc < 0 ? rc : b->options.batch;
}

static int read_items(batch_source *b) {
    int got = iterator_next_made(b->it, b->options.batch, b->rooms, b->items);
    if (got > 0) b->n_items = got;
    return got;
}

int batch_next(batch_source *b, micro_batch *out) {
    mien_position before = iterator_position(b->it);
    forget_items(b);
    int rc = b->r ? read_row(b) : read_items(b);
    if (rc >= 0 && rc < b->options.batch) return 0;
    for (int i = 0; i < b->options.batch && rc >= 0; i++) rc = put_item(b, (size_t)i, room_of(b, (size_t)i));
    if (b->begin) batch_rest(b);
    if (rc < 0) {
        forget_items(b);
        if (!b->r) iterator_restore(b->it, &before);
        return rc;
    }
    b->row += b->r != NULL;
    const arrays *x = &b->x;
    *out = (micro_batch){
        .n = b->options.batch,
        .latent = x->latent,
        .time = x->time,
        .context = x->context,
        .hint = x->hint,
        .target = x->target,
        .weight = x->weight,
        .picture = x->picture,
        .posterior = x->posterior,
        .ids = x->ids,
        .items = b->items,
        .draws = x->draws,
    };
    return 1;
}

void batch_rest(batch_source *b) {
    if (!b->e) return;
    for (int i = 0; i < ENCODERS; i++)
        if (encoders_awake(b->e, (encoder_kind)i)) encoders_rest(b->e, (encoder_kind)i);
}

void batch_take_turns(batch_source *b, void (*begin)(void *context), void *context) {
    b->begin = begin;
    b->begin_context = context;
}

/* ---- positions ------------------------------------------------------------------------------------------------------------- */

batch_position batch_position_of(const batch_source *b) {
    return (batch_position){ iterator_position(b->it), b->maker.seed, b->row };
}

int batch_restore(batch_source *b, const batch_position *p, bool changed_is_fine) {
    mien_position at = p->items;
    if (b->r && p->row > replay_rows(b->r)) return error_set(ERR_USAGE, "%s: it has no row %" PRIu64, b->options.replay, p->row);
    bool other = at.data != iterator_position(b->it).data;
    if (other && !changed_is_fine)
        return error_set(ERR_USAGE,
                         "%s: the data, or the lists of --only and --exclude, are not those that the run was left with "
                         "(--data-changed ok goes on all the same)",
                         b->options.items.data);
    if (other) {
        at.data = 0;
        if (at.index >= iterator_count(b->it)) at.index = 0, at.epoch++;
    }
    int rc = iterator_restore(b->it, &at);
    if (rc < 0) return rc;
    b->maker.seed = p->draws;        /* its threads have ended: they begin with the next item that is asked for */
    b->row = p->row;
    return 0;
}

/* ---- what it tells ------------------------------------------------------------------------------------------------------ */

uint64_t batch_items(const batch_source *b) { return iterator_count(b->it); }
uint64_t batch_rows(const batch_source *b) { return b->r ? replay_rows(b->r) : 0; }

void batch_progress_of(const batch_source *b, batch_progress *out) {
    *out = (batch_progress){
        .encoding = encoders_seconds(b->e),
        .pictures = b->encoded[ENCODER_VAE],
        .texts = b->encoded[ENCODER_TEXT],
        .not_kept = b->not_kept,
    };
    iterator_progress(b->it, &out->items);
    out->waited = b->waited + out->items.seconds;
}

int batch_needed(const batch_source *b, batch_needs *out) {
    const batch_options *o = &b->options;
    *out = (batch_needs){ .memory = ((size_t)o->items.ahead + (size_t)o->batch) * b->maker.at.bytes };
    int rc = cache_measure(b->kept, iterator_lines(b->it), o->mirror, &out->disk);
    bool kept[ENCODERS] = { cache_keeps(b->kept, CACHE_LATENTS), cache_keeps(b->kept, CACHE_TEXTS) };
    bool used[ENCODERS] = { o->wants & ITEM_LATENT, o->wants & ITEM_TEXT };
    for (int i = 0; i < ENCODERS && rc == 0; i++) {
        size_t bytes = 0;
        bool all_there = kept[i] && !cache_space_needed(&out->disk);
        if (used[i] && !all_there) rc = encoders_bytes(b->e, (encoder_kind)i, &bytes);
        out->encoders += bytes;
    }
    return rc;
}
