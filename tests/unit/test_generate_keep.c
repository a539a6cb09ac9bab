/* SPDX-License-Identifier: Apache-2.0
 *
 * --keep-best with a judge whose scores are planted: which pictures are written, under which names, and what a later run takes
 * for done. The model is a small random one. */
#include <math.h>
#include <sys/stat.h>

#include "base/error.h"
#include "generate/generate.h"
#include "generate/keep.h"
#include "generate/output.h"
#include "models.h"

enum { COUNT = 6 };

/* The score of the n-th picture that is judged. */
typedef struct { const double *score; int judged; } planted;

static int judge(void *context, const faces *wanted, const image *picture, mien_judgement *out) {
    planted *p = context;
    assert_true(wanted->count == 1 && picture->width == 64);
    *out = (mien_judgement){ .wanted = 1, .score = p->score[p->judged++ % COUNT], .face = calloc(1, sizeof *out->face) };
    assert_non_null(out->face);
    return 0;
}

static int unknown(void *context, const char *map, faces *out) {
    (void)context, (void)map, (void)out;
    return error_set(ERR_USAGE, "its landmarks are not known");
}

static char base[256], control[256], face_file[256], out[256], jobs[256], batch_folder[256];

static void write_file(const char *path, const char *words) {
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(words, f);
    fclose(f);
}

static int begin(void **state) {
    const char *clip = getenv("CLIP_DIR");
    setenv("MIEN_MODELS", clip ? clip : "third_party/clip", 1);
    if (models_begin(state) < 0) return -1;
    snprintf(base, sizeof base, "%s", model_made("sd1", "sd1", ""));
    snprintf(control, sizeof control, "%s", model_made("control1", "control1", ""));
    snprintf(face_file, sizeof face_file, "%s/f.json", models_folder);
    snprintf(out, sizeof out, "%s/out.png", models_folder);
    snprintf(jobs, sizeof jobs, "%s/jobs.jsonl", models_folder);
    snprintf(batch_folder, sizeof batch_folder, "%s/batch", models_folder);
    mien_face f = { .score = 1 };
    float *p = fixture_f32("tests/golden/drawn_face.f32", 3 * FACE_LANDMARKS);
    for (int i = 0; i < FACE_LANDMARKS; i++) f.landmarks[i] = (mien_point){ p[3 * i], p[3 * i + 1], p[3 * i + 2] };
    free(p);
    return mien_faces_save(face_file, &(mien_faces){ 320, 320, 1, &f });
}

static generate_options options_of(int keep) {
    generate_options o = { .base = base, .control = control, .faces = face_file, .output = out, .picture = mien_picture_defaults(), .dtype = MIEN_DTYPE_F32, .jobs = 1,
                           .count = COUNT, .keep_best = keep, .check = 1 };
    o.picture.prompt = "x";
    o.picture.steps = 1;
    o.picture.cfg = 1;
    o.picture.width = 64;
    o.picture.seed = 100;
    return o;
}

/* How many were judged; the code in *rc. */
static int run(const generate_options *o, const double *score, generate_result *r, int *rc) {
    planted p = { score, 0 };
    generate_judge j = { .wanted = unknown, .judge = judge, .context = &p };
    *rc = generate_run(o, CPU_BEST, &j, r);
    free(r->steps);
    return p.judged;
}

static long long seed_at(const char *path, int *place) {
    picture_record r;
    char *words;
    int there = output_read(path, &r, &words);
    if (there <= 0) return there == 0 ? -1 : -2;
    long long seed = r.how.seed;
    if (place) *place = r.place;
    assert_true(r.place == 0 || (r.best_of == COUNT && r.first_seed == 100));
    free(words);
    mien_picture_settings_free(&r.how);
    return seed;
}

static const char *at(const char *folder, const char *name) {
    static char ring[4][512];
    static int next;
    char *path = ring[next++ & 3];
    snprintf(path, sizeof *ring, "%s/%s", folder, name);
    return path;
}

/* 103 and 101 are best; of the equal 100 and 105 the earlier is third. */
static const double scores[COUNT] = { 3, 1.5, 9, 0.5, 7, 3 };

static void test_best(void **unused) {
    (void)unused;
    generate_options o = options_of(3);
    generate_result r;
    int rc, place;
    assert_int_equal(run(&o, scores, &r, &rc), COUNT);
    if (rc < 0) fail_msg("%s", error_message());
    assert_int_equal(r.pictures, 3);
    assert_int_equal(seed_at(out, &place), 103);
    assert_int_equal(place, 1);
    assert_int_equal(seed_at(at(models_folder, "out-2.png"), &place), 101);
    assert_int_equal(place, 2);
    assert_int_equal(seed_at(at(models_folder, "out-3.png"), &place), 100);
    assert_int_equal(seed_at(at(models_folder, "out-4.png"), NULL), -1);

    /* The very picture that its seed gives by itself. */
    generate_options alone = options_of(0);
    alone.output = at(models_folder, "alone.png");
    alone.count = 1;
    alone.picture.seed = 101;
    alone.no_metadata = 1;
    assert_int_equal(run(&alone, scores, &r, &rc), 1);
    assert_int_equal(rc, 0);
    image a = fixture_image(alone.output), b = fixture_image(at(models_folder, "out-2.png"));
    expect_equal_bytes("seed 101", b.rgb, a.rgb, 64 * 64 * 3);
    image_free(&a);
    image_free(&b);

    assert_int_equal(run(&o, scores, &r, &rc), 0);   /* what is there is refused, before any work */
    assert_int_equal(rc, ERR_EXISTS);
}

static void test_batch(void **unused) {
    (void)unused;
    generate_options o = options_of(2);
    generate_result r;
    int rc;
    write_file(jobs, "{\"out\":\"a\"}\n{\"out\":\"b\",\"count\":1}\n");
    o.batch = jobs;
    o.output = batch_folder;
    assert_int_equal(run(&o, scores, &r, &rc), COUNT + 1);
    if (rc < 0 || r.failed) fail_msg("%s", error_message());
    assert_int_equal(r.pictures, 3);
    assert_int_equal(seed_at(at(batch_folder, "a.png"), NULL), 103);
    assert_int_equal(seed_at(at(batch_folder, "a-2.png"), NULL), 101);
    assert_int_equal(seed_at(at(batch_folder, "a-3.png"), NULL), -1);

    assert_int_equal(run(&o, scores, &r, &rc), 0);   /* all there */
    assert_true(rc == 0 && r.pictures == 0 && r.skipped == 3);

    /* One of them is gone: all candidates are made again, and it alone is written. */
    struct stat before, after;
    assert_int_equal(unlink(at(batch_folder, "a-2.png")), 0);
    assert_int_equal(stat(at(batch_folder, "a.png"), &before), 0);
    assert_int_equal(run(&o, scores, &r, &rc), COUNT);
    assert_true(rc == 0 && r.pictures == 1 && r.skipped == 2);
    assert_int_equal(stat(at(batch_folder, "a.png"), &after), 0);
    assert_true(before.st_ino == after.st_ino);
    assert_int_equal(seed_at(at(batch_folder, "a-2.png"), NULL), 101);

    o.picture.seed = -1;                             /* a random seed that was: the files tell it */
    assert_int_equal(run(&o, scores, &r, &rc), 0);
    assert_true(rc == 0 && r.skipped == 3);

    o.picture.seed = 100;
    o.keep_best = 0;                                 /* the first of all is not the best of them */
    assert_int_equal(run(&o, scores, &r, &rc), 0);
    assert_true(rc == 0 && r.failed == COUNT + 1);
}

static void test_unknown(void **unused) {
    (void)unused;
    generate_options o = options_of(1);
    generate_result r;
    int rc;
    o.faces = NULL;
    o.map = at(models_folder, "m.png");
    o.output = at(models_folder, "none.png");
    mien_image black;
    assert_int_equal(mien_image_new(64, 64, &black), 0);
    assert_int_equal(mien_image_save_png(o.map, &black), 0);
    mien_image_free(&black);
    assert_int_equal(run(&o, scores, &r, &rc), 0);
    assert_int_equal(rc, ERR_USAGE);
    assert_string_equal(error_message(), "its landmarks are not known");
}

int main(void) {
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_best), cmocka_unit_test(test_batch), cmocka_unit_test(test_unknown) };
    return cmocka_run_group_tests(tests, begin, models_end);
}
