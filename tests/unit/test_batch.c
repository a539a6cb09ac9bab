/* SPDX-License-Identifier: Apache-2.0
 *
 * Training's data: bits that depend on nothing but seed and place, the cache, positions, ranks, replays. Small pictures, an encoder of random weights. */
#include <signal.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "face/faces_json.h"
#include "face/map.h"
#include "face/mirror.h"
#include "faces.h"
#include "models.h"
#include "scratch.h"
#include "train/batch.h"
#include "train/mirror.h"
#include "weights/safetensors_write.h"

enum { SIDE = 32, SQUARE = SIDE * SIDE * 3, LATENT = SIDE / 8, PLACES = LATENT * LATENT * 4, ITEMS = 10, MOST = 8 };

static char root[64], tree[1024];
static checkpoint *model, *other_model;
static size_t width;

/* ---- a data set -------------------------------------------------------------------------------------------------------------- */

static void put_bytes(const char *path, const void *data, size_t size) {
    if (file_save(path, data, size) < 0) fail_msg("%s", error_message());
}

static void put_png(const char *path, const image *img) {
    uint8_t *data;
    size_t size;
    if (image_encode_png(img, NULL, 0, &data, &size) < 0) fail_msg("%s", error_message());
    put_bytes(path, data, size);
    free(data);
}

/* Some face: points by formula around the middle. */
static face some_face(uint64_t seed) {
    dice d = { seed * 7 + 1 };
    face f = { .score = 1 };
    for (int i = 0; i < FACE_LANDMARKS; i++) f.landmarks[i] = (face_point){ (float)(0.1 + 0.8 * dice_unit(&d)), (float)(0.1 + 0.8 * dice_unit(&d)), 0 };
    return f;
}

static void put_faces(const char *path, int w, int h, uint64_t seed) {
    face one = some_face(seed);
    faces all = { w, h, 1, &one };
    faces_origin origin = { .sha256 = "" };
    text out = { 0 };
    if (faces_json_write(&all, &origin, &out) < 0) fail_msg("%s", error_message());
    put_bytes(path, out.data, out.size);
    text_free(&out);
}

/* ITEMS lines of pictures of several shapes; lines 3 and 7 are of no use. Line 9's photo is line 2's. */
static void make_set(const char *folder) {
    static const char *const captions[] = { "\"a face looking left\"", "null", "\"Right\"", "\"the same\"" };
    char path[128];
    text lines = { 0 };
    for (int i = 0; i < ITEMS; i++) {
        int w = 40 + 4 * (i % 3), h = i % 2 ? 40 : 56, like = i == 9 ? 2 : i;
        image map, photo;
        text_printf(&lines, "{\"source\": \"source/%d.png\", \"target\": \"target/%d.png\", \"prompt\": %s}\n", i, i, captions[i % 4]);
        snprintf(path, sizeof path, "%s/source/%d.json", folder, i);
        if (like == 2) w = 48, h = 56;
        put_faces(path, w, h, (uint64_t)like);
        assert_int_equal(image_new(w, h, &map), 0);
        assert_int_equal(image_new(w, h, &photo), 0);
        face one = some_face((uint64_t)like);
        face_map_draw(&(faces){ w, h, 1, &one }, 0, &map);
        dice d = { (uint64_t)like + 1 };
        for (int k = 0; k < 3 * w * h; k++) photo.rgb[k] = (uint8_t)(k % 251 / 2 + (int)(dice_u32(&d) % 100));
        snprintf(path, sizeof path, "%s/source/%d.png", folder, i);
        if (i != 3) put_png(path, &map);
        snprintf(path, sizeof path, "%s/target/%d.png", folder, i);
        if (i == 7) put_bytes(path, "no picture", 10);
        else put_png(path, &photo);
        image_free(&map);
        image_free(&photo);
    }
    snprintf(path, sizeof path, "%s/source/3.json", folder);
    unlink(path);
    snprintf(path, sizeof path, "%s/prompt.jsonl", folder);
    put_bytes(path, lines.data, lines.size);
    text_free(&lines);
}

static int begin(void **state) {
    const char *clip = getenv("CLIP_DIR");
    char vocabulary[PATH_MAX];
    if (!realpath(clip ? clip : "third_party/clip", vocabulary) || !getcwd(tree, sizeof tree) || models_begin(state) < 0 || scratch_new(root) < 0) return -1;
    setenv("MIEN_MODELS", vocabulary, 1);
    model = model_opened(model_made("model", "sd1", "--parts vae,text --context 64"), NULL, CHECKPOINT_VAE | CHECKPOINT_TEXT);
    other_model = model_opened(model_made("other", "sd1", "--parts vae,text --context 64 --seed 3"), NULL, CHECKPOINT_VAE | CHECKPOINT_TEXT);
    if (chdir(root) < 0 || folder_make("set/source") < 0 || folder_make("set/target") < 0) return -1;
    make_set("set");
    return 0;
}

static int end(void **state) {
    checkpoint_close(model);
    checkpoint_close(other_model);
    return chdir(tree) < 0 || scratch_delete(root) < 0 ? -1 : models_end(state);
}

/* ---- what comes ---------------------------------------------------------------------------------------------------------------- */

static batch_options usual(void) {
    return (batch_options){ .items = { .data = "set", .size = SIDE, .seed = 5, .ranks = 1, .threads = 2, .ahead = 4, .max_pixels = 1 << 20 }, .batch = 2,
                            .wants = ITEM_HINT | ITEM_LATENT | ITEM_TEXT, .cpu = CPU_BEST, .threads = 1 };
}

static batch_source *opened(const batch_options *o) {
    batch_source *b;
    if (batch_open(o, model, &b) < 0) fail_msg("%s", error_message());
    return b;
}

/* A stretch of training: all numbers of it. */
typedef struct { int n; float *latent, *time, *context, *hint, *target, *weight; uint64_t line[MOST * 2 * ITEMS]; item_draws draws[MOST * 2 * ITEMS]; } stretch;

static void append(float **to, size_t at, const float *from, size_t count) {
    *to = realloc(*to, (at + count) * sizeof **to);
    memcpy(*to + at, from, count * sizeof **to);
}

static void stretch_free(stretch *s) {
    free(s->latent), free(s->time), free(s->context), free(s->hint), free(s->target), free(s->weight);
    *s = (stretch){ 0 };
}

static void take(batch_source *b, int micro_batches, stretch *s) {
    for (int k = 0; k < micro_batches; k++) {
        micro_batch m;
        int rc = batch_next(b, &m);
        if (rc != 1) fail_msg("micro-batch %d: %d: %s", k, rc, rc < 0 ? error_message() : "it ended");
        size_t n = (size_t)m.n, at = (size_t)s->n, text = TOKENS * width;
        if (!width) fail_msg("no width");
        append(&s->latent, at * PLACES, m.latent, n * PLACES);
        append(&s->target, at * PLACES, m.target, n * PLACES);
        append(&s->hint, at * SQUARE, m.hint, n * SQUARE);
        append(&s->context, at * text, m.context, n * text);
        append(&s->time, at, m.time, n);
        append(&s->weight, at, m.weight, n);
        for (size_t i = 0; i < n; i++) s->line[at + i] = m.items[i].line, s->draws[at + i] = m.draws[i];
        s->n += m.n;
    }
}

static stretch taken(const batch_options *o, int micro_batches, batch_progress *p) {
    stretch s = { 0 };
    batch_source *b = opened(o);
    take(b, micro_batches, &s);
    if (p) batch_progress_of(b, p);
    batch_close(b);
    return s;
}

static void expect_same(const char *what, const stretch *got, const stretch *want, int from) {
    size_t n = (size_t)got->n, at = (size_t)from;
    assert_int_equal(got->n, want->n - from);
    for (size_t i = 0; i < n; i++)
        if (got->line[i] != want->line[at + i]) fail_msg("%s: item %zu is line %d, not %d", what, i, (int)got->line[i], (int)want->line[at + i]);
    expect_equal_bits(what, got->time, want->time + at, n);
    expect_equal_bits(what, got->weight, want->weight + at, n);
    expect_equal_bits(what, got->hint, want->hint + at * SQUARE, n * SQUARE);
    expect_equal_bits(what, got->context, want->context + at * TOKENS * width, n * TOKENS * width);
    expect_equal_bits(what, got->latent, want->latent + at * PLACES, n * PLACES);
    expect_equal_bits(what, got->target, want->target + at * PLACES, n * PLACES);
}

static batch_options lively(void) {
    batch_options o = usual();
    o.mirror = o.redraw = true;
    o.prompt_dropout = 0.3;
    o.min_snr = 5;
    o.noise_offset = 0.05;
    return o;
}

/* ---- tests ---------------------------------------------------------------------------------------------------------------------- */

static void test_threads(void **state) {
    (void)state;
    static const struct { int threads, ahead; } ways[] = { { 1, 1 }, { 3, 2 }, { 5, 16 } };
    batch_options o = lively();
    stretch want = taken(&o, 12, NULL);
    bool dropped = false, mirrored = false;
    for (int i = 0; i < want.n; i++) {
        dropped |= want.draws[i].dropped;
        mirrored |= want.draws[i].mirrored;
        assert_true(want.line[i] != 3 && want.line[i] != 7);
        assert_true(want.time[i] == (float)want.draws[i].timestep);
    }
    assert_true(dropped && mirrored);
    for (size_t k = 0; k < sizeof ways / sizeof *ways; k++) {
        o.items.threads = ways[k].threads;
        o.items.ahead = ways[k].ahead;
        stretch got = taken(&o, 12, NULL);
        expect_same("threads", &got, &want, 0);
        stretch_free(&got);
    }
    stretch_free(&want);
}

/* Two ranks of two items have, together, what one of four has. */
static void test_ranks(void **state) {
    (void)state;
    batch_options o = lively();
    char path[] = "only.txt";
    put_bytes(path, "0\n1\n2\n4\n5\n6\n8\n9\n", 16);   /* none is left out on the way */
    o.items.only = path;
    o.batch = 4;
    stretch whole = taken(&o, 6, NULL), part[2];
    o.batch = 2;
    o.items.ranks = 2;
    for (int r = 0; r < 2; r++) {
        o.items.rank = r;
        part[r] = taken(&o, 6, NULL);
    }
    for (int i = 0; i < whole.n; i++) {
        const stretch *p = &part[i % 2];
        size_t k = (size_t)i / 2;
        assert_int_equal(p->line[k], whole.line[i]);
        expect_equal_bits("ranks", p->latent + k * PLACES, whole.latent + (size_t)i * PLACES, PLACES);
        expect_equal_bits("ranks", p->hint + k * SQUARE, whole.hint + (size_t)i * SQUARE, SQUARE);
        expect_equal_bits("ranks", p->target + k * PLACES, whole.target + (size_t)i * PLACES, PLACES);
    }
    stretch_free(&whole), stretch_free(&part[0]), stretch_free(&part[1]);
}

static void test_cache(void **state) {
    (void)state;
    batch_options o = lively();
    batch_progress p;
    batch_needs needs;
    stretch want = taken(&o, 12, &p);
    assert_int_equal(p.pictures, 24);
    assert_int_equal(p.texts, 24);
    assert_true(p.items.failed > 0 && p.encoding > 0);
    o.keep_latents = true;
    o.cache = "kept/below";
    for (int both = 0; both < 2; both++) {
        o.keep_texts = both;
        batch_source *b = opened(&o);
        assert_int_equal(batch_needed(b, &needs), 0);
        assert_int_equal(needs.disk.all, 2 * ITEMS * (4096 + (both ? 12288 : 0)));
        assert_true(needs.disk.free > 0 && needs.encoders > 0 && needs.memory > 0);
        assert_true(both || cache_space_needed(&needs.disk) == needs.disk.all);
        batch_close(b);
        stretch cold = taken(&o, 12, &p);
        expect_same("cold", &cold, &want, 0);
        if (!both) assert_in_range(p.pictures, 8, 16);   /* the photo that is there twice was encoded once */
        stretch warm = taken(&o, 12, &p);
        expect_same("warm", &warm, &want, 0);
        assert_int_equal(p.pictures, 0);
        assert_int_equal(p.texts, both ? 0 : 24);
        assert_int_equal(p.not_kept, 0);
        stretch_free(&cold), stretch_free(&warm);
    }
    /* Many at a time are found and lacked in turns; then broken ones are made anew. */
    batch_source *b = opened(&o);
    assert_int_equal(batch_needed(b, &needs), 0);
    assert_true(needs.disk.there > 0 && needs.disk.there < needs.disk.all);
    batch_close(b);
    assert_int_equal(system("n=0; for f in $(find kept -type f); do n=$((n + 1)); case $((n % 4)) in 0) rm $f;; 1) truncate -s 100 $f;; 2) printf x | dd of=$f bs=1 seek=70 conv=notrunc 2>&-;; esac; done;"
                            "touch kept/below/.item.mien-tmp-999999999-2; touch -d '2 hours ago' kept/below/.item.mien-tmp-999999999-1"),
                     0);
    stretch mended = taken(&o, 12, &p), again;
    expect_same("mended", &mended, &want, 0);
    assert_true(p.pictures > 4);
    assert_int_not_equal(access("kept/below/.item.mien-tmp-999999999-1", F_OK), 0);
    assert_int_equal(access("kept/below/.item.mien-tmp-999999999-2", F_OK), 0);   /* of another machine's process, as far as we know */
    again = taken(&o, 12, &p);
    expect_same("once more", &again, &want, 0);
    assert_int_equal(p.pictures + p.texts, 0);
    stretch_free(&mended), stretch_free(&again);
    /* Another model's, another type's and another size's are others. */
    checkpoint *first = model;
    model = other_model;
    stretch changed = taken(&o, 12, &p);
    assert_in_range(p.pictures, 8, 16);
    assert_memory_not_equal(changed.latent, want.latent, PLACES * sizeof(float));
    stretch_free(&changed);
    model = first;
    stretch_free(&want);
}

/* Killed at any moment, there are whole items in the cache, and they are right. */
static void test_kills(void **state) {
    (void)state;
    batch_options o = lively();
    batch_progress p;
    stretch want = taken(&o, 12, NULL);
    o.cache = "killed";
    o.keep_latents = o.keep_texts = true;
    for (int k = 0; k < 6; k++) {
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            taken(&o, 200, NULL);
            _exit(0);
        }
        usleep((useconds_t)(5000 << k));
        kill(child, SIGKILL);
        assert_int_equal(waitpid(child, NULL, 0), child);
    }
    /* What they left half written is taken for another machine's until it is an hour old. */
    assert_int_equal(system("mkdir -p killed; find killed -name '.*' -exec touch -d '2 hours ago' {} +"), 0);
    stretch got = taken(&o, 12, &p);
    expect_same("after kills", &got, &want, 0);
    assert_int_equal(system("test -z \"$(find killed -type f ! -size 576c ! -size 9920c; find killed -name '.*')\""), 0);
    stretch_free(&want), stretch_free(&got);
}

static void stop_at_warning(void *context, mien_log_kind kind, const char *path, const char *message) {
    (void)path, (void)message;
    if (kind == MIEN_LOG_WARNING) *(volatile int *)context = 1;
}

static void test_stopped(void **state) {
    (void)state;
    volatile int stop = 0;
    batch_options o = lively();
    micro_batch m;
    o.items.hooks.stop = &stop;
    batch_source *b = opened(&o);
    assert_int_equal(batch_next(b, &m), 1);
    batch_position before = batch_position_of(b);
    stop = 1;
    assert_int_equal(batch_next(b, &m), ERR_CANCELLED);
    batch_position after = batch_position_of(b);
    assert_memory_equal(&before, &after, sizeof before);
    batch_close(b);
    /* In the middle of a micro-batch, when its first picture has been encoded and could not be kept. */
    stop = 0;
    put_bytes("file", "x", 1);
    o.cache = "file/below";
    o.keep_latents = true;
    o.items.hooks.log = stop_at_warning;
    o.items.hooks.context = (void *)&stop;
    b = opened(&o);
    before = batch_position_of(b);
    assert_int_equal(batch_next(b, &m), ERR_CANCELLED);
    after = batch_position_of(b);
    assert_memory_equal(&before, &after, sizeof before);
    stop = 0;
    stretch want = { 0 }, got = { 0 };
    take(b, 4, &got);
    batch_close(b);
    o = lively();
    want = taken(&o, 4, NULL);
    expect_same("after a stop", &got, &want, 0);
    stretch_free(&want), stretch_free(&got);
}

static void test_space(void **state) {
    (void)state;
    cache_space s = { .all = 1000, .there = 300, .free = 1000 };
    assert_int_equal(cache_space_check(&s, "f", 300), 0);
    assert_int_equal(cache_space_check(&s, "f", 301), ERR_FULL);
    assert_int_equal(cache_space_check(&s, "f", UINT64_MAX), ERR_FULL);
    s.free = 699;
    assert_int_equal(cache_space_check(&s, "f", 0), ERR_FULL);
    assert_non_null(strstr(error_message(), "--cache none"));
    uint64_t here, below;
    assert_int_equal(cache_disk_free(".", &here), 0);
    assert_int_equal(cache_disk_free("not/yet/there", &below), 0);
    assert_int_equal(cache_disk_free("/not/there", &below), 0);
    assert_true(here > 0 && below > 0);
}

/* What cannot be kept is no reason to stop; it is told once. */
static atomic_int warnings;
static void count_warning(void *context, mien_log_kind kind, const char *path, const char *message) {
    (void)context, (void)path, (void)message;
    warnings += kind == MIEN_LOG_WARNING;
}

static void test_nowhere_to_keep(void **state) {
    (void)state;
    batch_options o = lively();
    batch_progress p;
    stretch want = taken(&o, 6, NULL);
    put_bytes("file", "x", 1);
    o.cache = "file/below";
    o.keep_latents = o.keep_texts = true;
    o.items.hooks.log = count_warning;
    warnings = 0;
    stretch got = taken(&o, 6, &p);
    expect_same("not kept", &got, &want, 0);
    assert_int_equal(p.not_kept, p.pictures + p.texts);
    assert_int_equal(warnings, 1);
    stretch_free(&got), stretch_free(&want);
}

static void test_resume(void **state) {
    (void)state;
    batch_options o = lively();
    o.cache = "resumed";
    o.keep_latents = true;
    stretch want = taken(&o, 12, NULL);
    for (int k = 0; k <= 10; k += 5) {
        char line[BATCH_POSITION_TEXT];
        batch_position p;
        stretch before = { 0 }, after = { 0 };
        batch_source *b = opened(&o);
        take(b, k, &before);
        p = batch_position_of(b);
        batch_position_write(&p, line);
        batch_close(b);
        batch_options other = o;
        other.items.seed = 99;   /* the position has the seeds */
        b = opened(&other);
        memset(&p, 0, sizeof p);
        assert_int_equal(batch_position_read(line, &p), 0);
        if (batch_restore(b, &p, false) < 0) fail_msg("%s", error_message());
        take(b, 12 - k, &after);
        expect_same("resumed", &after, &want, 2 * k);
        /* And back again, while its threads are busy. */
        assert_int_equal(batch_restore(b, &p, false), 0);
        stretch_free(&after);
        take(b, 12 - k, &after);
        expect_same("again", &after, &want, 2 * k);
        p.items.data ^= 1;
        assert_int_equal(batch_restore(b, &p, false), ERR_USAGE);
        p.items.index = 1000;
        assert_int_equal(batch_restore(b, &p, true), 0);
        assert_int_equal(batch_position_of(b).items.epoch, p.items.epoch + 1);
        batch_close(b);
        stretch_free(&before), stretch_free(&after);
    }
    stretch_free(&want);
}

/* Without a control the same items come, with the same latents; of the map its size alone is looked at. */
static void test_without_maps(void **state) {
    (void)state;
    batch_options o = lively();
    o.redraw = false;
    batch_source *with = opened(&o);
    o.wants = ITEM_LATENT | ITEM_TOKENS;
    batch_source *without = opened(&o);
    for (int k = 0; k < 6; k++) {
        micro_batch a, b;
        assert_int_equal(batch_next(with, &a), 1);
        assert_int_equal(batch_next(without, &b), 1);
        assert_null(b.hint);
        assert_null(b.context);
        for (int i = 0; i < 2; i++) assert_int_equal(a.items[i].line, b.items[i].line);
        expect_equal_bits("latent", b.latent, a.latent, 2 * PLACES);
        assert_memory_equal(a.ids, b.ids, 2 * TOKENS * sizeof *a.ids);
    }
    batch_close(with);
    batch_close(without);
}

static void test_position_text(void **state) {
    (void)state;
    static const batch_position p = { { 1, UINT64_MAX, 3, 0x123456789abcdef0 }, 5, 6 };
    static const char *const wrong[] = { "", "1", "1 ", "2 0000000000000001", "1 000000000000000g" };
    char line[BATCH_POSITION_TEXT], cut[BATCH_POSITION_TEXT];
    batch_position q;
    batch_position_write(&p, line);
    assert_int_equal(batch_position_read(line, &q), 0);
    assert_memory_equal(&p, &q, sizeof p);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) assert_int_equal(batch_position_read(wrong[i], &q), ERR_FORMAT);
    for (size_t n = 0; n < strlen(line); n++) {
        snprintf(cut, sizeof cut, "%.*s", (int)n, line);
        assert_int_equal(batch_position_read(cut, &q), ERR_FORMAT);
    }
    strcat(line, "0");
    assert_int_equal(batch_position_read(line, &q), ERR_FORMAT);
}

/* ---- mirrors and maps ------------------------------------------------------------------------------------------------------------ */

/* A square of an item as bytes. */
static void bytes_of(const float *x, bool picture, uint8_t out[SQUARE]) {
    for (int i = 0; i < SQUARE; i++) out[i] = (uint8_t)lrintf(picture ? (x[i] + 1) * 127.5f : x[i] * 255);
}

/* The same places with and without a mirror: every number of the mirrored ones is that of the plain ones, reflected. */
static void test_mirrored(void **state) {
    (void)state;
    for (int redraw = 0; redraw < 2; redraw++) {
        batch_options o = usual();
        o.wants = ITEM_HINT | ITEM_PICTURE | ITEM_TOKENS;
        o.redraw = redraw;
        batch_source *plain = opened(&o);
        o.mirror = true;
        batch_source *turned = opened(&o);
        micro_batch a, b;
        int seen = 0;
        for (int k = 0; k < 8; k++) {
            assert_int_equal(batch_next(plain, &a), 1);
            assert_int_equal(batch_next(turned, &b), 1);
            for (int i = 0; i < 2; i++) {
                uint8_t pa[SQUARE], pb[SQUARE], ha[SQUARE], hb[SQUARE];
                assert_int_equal(a.items[i].line, b.items[i].line);
                assert_int_equal(a.draws[i].timestep, b.draws[i].timestep);
                expect_equal_bits("posterior", a.posterior + i * PLACES, b.posterior + i * PLACES, PLACES);
                bytes_of(a.picture + i * SQUARE, true, pa), bytes_of(b.picture + i * SQUARE, true, pb);
                bytes_of(a.hint + i * SQUARE, false, ha), bytes_of(b.hint + i * SQUARE, false, hb);
                bool words = a.items[i].line % 4 == 0 || a.items[i].line % 4 == 2;
                assert_int_equal(memcmp(a.ids + i * TOKENS, b.ids + i * TOKENS, TOKENS * sizeof *a.ids) != 0, words && b.draws[i].mirrored);
                if (b.draws[i].mirrored) face_photo_mirror(pa, SIDE, SIDE);
                expect_equal_bytes("photo", pb, pa, SQUARE);
                if (b.draws[i].mirrored && redraw) continue;
                if (b.draws[i].mirrored) face_map_mirror(ha, SIDE, SIDE);
                expect_equal_bytes("map", hb, ha, SQUARE);
                seen += b.draws[i].mirrored;
            }
        }
        assert_true(seen > 2 || redraw);
        batch_close(plain);
        batch_close(turned);
    }
}

/* Where a window of a square lies, as y SIDE + x; -1: nowhere. */
static int place_of(const float *window, const float *square, int crop) {
    for (int y = 0; y + crop <= SIDE; y++)
        for (int x = 0; x + crop <= SIDE; x++) {
            int row = 0;
            while (row < crop && !memcmp(window + row * crop * 3, square + ((y + row) * SIDE + x) * 3, (size_t)crop * 3 * sizeof *window)) row++;
            if (row == crop) return y * SIDE + x;
        }
    return -1;
}

/* Windows are of the squares that there would be without them, mirrored or not; all other choices stay as they are; and another start finds the same ones. */
static void test_cropped(void **state) {
    (void)state;
    enum { CROP = 24, SPAN = SIDE - CROP };
    batch_options o = usual();
    o.wants = ITEM_PICTURE | ITEM_TOKENS;
    o.mirror = true;
    batch_source *whole = opened(&o);
    o.crop = CROP;
    batch_source *cut = opened(&o), *again = NULL;
    micro_batch a, b;
    batch_position middle;
    int low = SIDE, high = 0, aslant = 0, kept[2] = { 0, 0 };
    for (int k = 0; k < 24; k++) {
        if (k == 20) middle = batch_position_of(cut);
        assert_int_equal(batch_next(whole, &a), 1);
        assert_int_equal(batch_next(cut, &b), 1);
        for (int i = 0; i < 2; i++) {
            assert_true(a.items[i].line == b.items[i].line && a.draws[i].timestep == b.draws[i].timestep && a.draws[i].mirrored == b.draws[i].mirrored);
            int at = place_of(b.picture + i * CROP * CROP * 3, a.picture + i * SQUARE, CROP);
            assert_in_range(at, 0, SPAN * SIDE + SPAN);
            int x = at % SIDE;
            low = x < low ? x : low, high = x > high ? x : high, aslant += x != at / SIDE;
            if (k == 20) kept[i] = at;
        }
    }
    assert_true(low <= 1 && high >= SPAN - 1 && aslant > 24);   /* 48 windows, 9 x 9 places */
    again = opened(&o);
    assert_int_equal(batch_restore(again, &middle, false), 0);
    batch_close(whole);
    o.crop = 0;
    whole = opened(&o);
    assert_int_equal(batch_restore(whole, &middle, false), 0);
    assert_int_equal(batch_next(again, &b), 1);
    assert_int_equal(batch_next(whole, &a), 1);
    for (int i = 0; i < 2; i++) assert_int_equal(place_of(b.picture + i * CROP * CROP * 3, a.picture + i * SQUARE, CROP), kept[i]);
    batch_close(whole), batch_close(cut), batch_close(again);
    static const int odd[] = { 20, 40, 4 };
    for (int i = 0; i < 3; i++) {
        o.crop = odd[i];
        assert_int_equal(batch_open(&o, model, &whole), ERR_USAGE);
    }
    o.crop = CROP, o.wants = ITEM_LATENT;
    assert_int_equal(batch_open(&o, model, &whole), ERR_USAGE);
}

/* A redrawn map is drawn at the size that the photo is resized to, and cut where the photo is; of the mirrored face, at the mirrored place. */
static void test_redrawn(void **state) {
    (void)state;
    batch_options o = usual();
    o.wants = ITEM_HINT | ITEM_PICTURE | ITEM_TOKENS;
    o.redraw = o.mirror = true;
    batch_source *b = opened(&o);
    int mirrored = 0;
    for (int k = 0; k < 8; k++) {
        micro_batch m;
        assert_int_equal(batch_next(b, &m), 1);
        for (int i = 0; i < 2; i++) {
            int line = (int)m.items[i].line, w = line == 2 || line == 9 ? 48 : 40 + 4 * (line % 3), h = line % 2 && line != 9 ? 40 : 56, shorter = w < h ? w : h;
            int fw = 1 + (int)(w * ((double)SIDE / shorter)), fh = 1 + (int)(h * ((double)SIDE / shorter)), x = (fw - SIDE) / 2;
            image whole;
            face one = some_face(line == 9 ? 2 : (uint64_t)line);
            faces all = { w, h, 1, &one };
            uint8_t got[SQUARE];
            assert_int_equal(image_new(fw, fh, &whole), 0);
            if (m.draws[i].mirrored) face_mirror(&all), x = fw - SIDE - x;
            face_map_draw(&all, 0, &whole);
            bytes_of(m.hint + i * SQUARE, false, got);
            for (int y = 0; y < SIDE; y++) expect_equal_bytes("row", got + 3 * SIDE * y, whole.rgb + 3 * ((y + (fh - SIDE) / 2) * fw + x), 3 * SIDE);
            image_free(&whole);
            mirrored += m.draws[i].mirrored;
        }
    }
    assert_in_range(mirrored, 3, 13);
    batch_close(b);
}

/* ---- replays ---------------------------------------------------------------------------------------------------------------------- */

static void put_replay(const char *path, const int64_t *items, const int64_t *timesteps, const float *noise, const float *posterior, size_t rows, size_t wide) {
    const stored_tensor t[] = {
        { .name = "items", .type = STORED_I64, .rank = 2, .dim = { rows, 2 }, .data = items, .bytes = rows * 16 },
        { .name = "timesteps", .type = STORED_I64, .rank = 2, .dim = { rows, 2 }, .data = timesteps, .bytes = rows * 16 },
        { .name = "noise", .type = STORED_F32, .rank = 5, .dim = { rows, 2, 4, LATENT, wide }, .data = noise, .bytes = rows * 2 * 16 * LATENT * wide },
        { .name = "posterior", .type = STORED_F32, .rank = 5, .dim = { rows, 2, 4, LATENT, LATENT }, .data = posterior, .bytes = rows * 8 * PLACES },
    };
    safetensors_writer *w;
    assert_int_equal(safetensors_create(path, &w), 0);
    for (int i = 0; i < 4; i++) assert_int_equal(safetensors_declare(w, &t[i]), 0);
    assert_int_equal(safetensors_begin(w), 0);
    for (size_t i = 0; i < 4; i++) assert_int_equal(safetensors_write(w, t[safetensors_at(w, i)].data, t[safetensors_at(w, i)].bytes), 0);
    assert_int_equal(safetensors_commit(w, true), 0);
}

static void expect_refused(const batch_options *o, int code, const char *why) {
    batch_source *b;
    assert_int_equal(batch_open(o, model, &b), code);
    if (!strstr(error_message(), why)) fail_msg("\"%s\" does not say \"%s\"", error_message(), why);
}

static void test_replay(void **state) {
    (void)state;
    enum { ROWS = 3, DRAWN = ROWS * 2 * PLACES };
    int64_t items[ROWS * 2] = { 0, 9, 2, 2, 8, 1 }, timesteps[ROWS * 2] = { 0, 999, 500, 1, 20, 700 };
    float noise[DRAWN], posterior[DRAWN];
    noise_source s;
    noise_seed(&s, NOISE_TORCH_CPU, 1);
    noise_normal(&s, noise, DRAWN);
    noise_normal(&s, posterior, DRAWN);
    put_replay("draws.safetensors", items, timesteps, noise, posterior, ROWS, LATENT);
    batch_options o = usual();
    o.replay = "draws.safetensors";
    o.cache = "replayed";
    o.keep_latents = o.keep_texts = true;
    batch_source *b = opened(&o);
    assert_int_equal(batch_rows(b), ROWS);
    stretch all = { 0 }, rest = { 0 };
    micro_batch m;
    take(b, 1, &all);
    batch_position p = batch_position_of(b);
    take(b, ROWS - 1, &all);
    assert_int_equal(batch_next(b, &m), 0);
    assert_int_equal(batch_restore(b, &p, false), 0);
    take(b, ROWS - 1, &rest);
    expect_same("from a row on", &rest, &all, 2);
    for (int i = 0; i < ROWS * 2; i++) {
        assert_int_equal(all.line[i], items[i]);
        assert_true(all.time[i] == (float)timesteps[i]);
        for (int k = 0; k < PLACES; k++) assert_true(all.target[i * PLACES + k] == noise[i * PLACES + k % 4 * LATENT * LATENT + k / 4]);
    }
    /* Rows 0 and 1 have photos 9 and 2, which are one: what they differ by is timestep and draws alone. */
    expect_equal_bits("text of a line that is there twice", all.hint + SQUARE, all.hint + 2 * SQUARE, SQUARE);
    batch_close(b);
    stretch_free(&all), stretch_free(&rest);

    o.prompt_dropout = 0.1;
    expect_refused(&o, ERR_USAGE, "there can be no prompt dropout with it");
    o.prompt_dropout = 0, o.mirror = true;
    expect_refused(&o, ERR_USAGE, "no mirroring");
    o.mirror = false, o.noise_offset = 0.1;
    expect_refused(&o, ERR_USAGE, "no noise offset");
    o.noise_offset = 0, o.batch = 3;
    expect_refused(&o, ERR_FORMAT, "items is [3,2] I64, and should be [S,3] I64");
    o.batch = 2;
    items[3] = ITEMS;
    put_replay("draws.safetensors", items, timesteps, noise, posterior, ROWS, LATENT);
    expect_refused(&o, ERR_FORMAT, "items[1,1] is 10, and should be 0 to 9");
    items[3] = 0, timesteps[4] = 1000;
    put_replay("draws.safetensors", items, timesteps, noise, posterior, ROWS, LATENT);
    expect_refused(&o, ERR_FORMAT, "timesteps[2,0] is 1000, and should be 0 to 999");
    timesteps[4] = 0;
    put_replay("draws.safetensors", items, timesteps, noise, posterior, ROWS, LATENT - 1);
    expect_refused(&o, ERR_FORMAT, "noise is [3,2,4,4,3] F32, and should be [S,2,4,4,4] F32");
    noise[ROWS * PLACES] = INFINITY;
    put_replay("draws.safetensors", items, timesteps, noise, posterior, ROWS, LATENT);
    expect_refused(&o, ERR_FORMAT, "noise[1,1] has a number that is not finite");
    noise[ROWS * PLACES] = 0, posterior[DRAWN - 1] = NAN;
    put_replay("draws.safetensors", items, timesteps, noise, posterior, ROWS, LATENT);
    expect_refused(&o, ERR_FORMAT, "posterior[2,1] has a number that is not finite");
    posterior[DRAWN - 1] = 0;
    /* An item that cannot be used is an error where the items are asked for by number. */
    items[0] = 7;
    put_replay("draws.safetensors", items, timesteps, noise, posterior, ROWS, LATENT);
    b = opened(&o);
    assert_int_equal(batch_next(b, &m), ERR_FORMAT);
    assert_int_equal(batch_position_of(b).row, 0);
    batch_close(b);
}

static void test_refused(void **state) {
    (void)state;
    batch_options o = usual();
    o.prompt_dropout = 1.5;
    expect_refused(&o, ERR_USAGE, "a prompt dropout of 1.5");
    o = usual();
    o.batch = 0;
    expect_refused(&o, ERR_USAGE, "a batch of 0");
    o = usual();
    o.items.size = 36;
    expect_refused(&o, ERR_USAGE, "a multiple of 8");
    o = usual();
    o.items.data = "nothing";
    expect_refused(&o, ERR_USAGE, "nothing");
}

/* ---- numbers ---------------------------------------------------------------------------------------------------------------------- */

static void test_half(void **state) {
    (void)state;
    for (uint32_t h = 0; h < 0x10000; h++) {
        uint32_t magnitude = h & 0x7fff;
        if (magnitude >= 0x7c00) continue;
        assert_int_equal(encoders_half(nn_f16_to_f32((uint16_t)h)), h);
        if (magnitude == 0x7bff) continue;
        float low = nn_f16_to_f32((uint16_t)h), high = nn_f16_to_f32((uint16_t)(h + 1)), middle = (low + high) / 2;   /* exact */
        assert_int_equal(encoders_half(middle), h + (h & 1));
        assert_int_equal(encoders_half(nextafterf(middle, low)), h);
        assert_int_equal(encoders_half(nextafterf(middle, high)), h + 1);
    }
    assert_int_equal(encoders_half(1e6f), 0x7bff);
    assert_int_equal(encoders_half(-INFINITY), 0xfbff);
    assert_int_equal(encoders_half(NAN) & 0x7e00, 0x7e00);
}

static void test_entries(void **state) {
    (void)state;
    const float x[3] = { 1, 2, 3 };
    uint8_t bytes[CACHE_ENTRY_HEADER + sizeof x];
    const void *got;
    cache_entry e = { "model f32 name", CACHE_ENTRY_F32, 3 }, other = e;
    cache_entry_write(&e, x, bytes);
    assert_int_equal(cache_entry_read(&e, bytes, sizeof bytes, &got), 0);
    assert_memory_equal(got, x, sizeof x);
    other.name = "model f32 another";
    assert_int_equal(cache_entry_read(&other, bytes, sizeof bytes, &got), ERR_FORMAT);
    for (size_t n = 0; n < sizeof bytes; n++) assert_int_equal(cache_entry_read(&e, bytes, n, &got), ERR_FORMAT);
    for (size_t n = 0; n < sizeof bytes; n++) {
        if (n >= 24 && n < 32) continue;   /* nothing stands there yet */
        bytes[n] ^= 4;
        assert_int_equal(cache_entry_read(&e, bytes, sizeof bytes, &got), ERR_FORMAT);
        bytes[n] ^= 4;
    }
}

static int begin_width(void **state) {
    int rc = begin(state);
    if (rc < 0) return rc;
    encoders *e;
    if (encoders_open(&(encoders_options){ .needed = { true, true }, .size = SIDE, .threads = 1, .cpu = CPU_BEST }, model, &e) < 0) return print_error("%s\n", error_message()), -1;
    width = encoders_width(e);
    encoders_close(e);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_threads),  cmocka_unit_test(test_ranks),  cmocka_unit_test(test_cache),         cmocka_unit_test(test_nowhere_to_keep),
        cmocka_unit_test(test_kills),    cmocka_unit_test(test_stopped), cmocka_unit_test(test_space),
        cmocka_unit_test(test_resume),   cmocka_unit_test(test_position_text), cmocka_unit_test(test_mirrored), cmocka_unit_test(test_redrawn), cmocka_unit_test(test_cropped),
        cmocka_unit_test(test_replay),   cmocka_unit_test(test_refused), cmocka_unit_test(test_without_maps), cmocka_unit_test(test_half),          cmocka_unit_test(test_entries),
    };
    return cmocka_run_group_tests(tests, begin_width, end);
}
