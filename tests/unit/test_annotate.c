/* SPDX-License-Identifier: Apache-2.0
 *
 * The annotate job and the rest of libmien, as another program uses them: through mien.h alone. What the program does
 * with files is in tests/cli. */
#define _GNU_SOURCE
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "mien.h"
#include "scratch.h"

static mien *m;
static char root[64], *models;

static int open_all(void **state) {
    (void)state;
    const char *folder = getenv("MODELS_DIR");
    models = realpath(folder ? folder : "third_party/models", NULL);
    if (scratch_new(root) < 0) return -1;
    if (models && mien_open(&(mien_options){ .models = models }, &m) < 0) print_message("%s\n", mien_error());
    return chdir(root);
}

static int close_all(void **state) {
    (void)state;
    mien_close(m);
    free(models);
    return chdir("/") < 0 ? -1 : scratch_delete(root);
}

static void need_models(void) {
    if (m) return;
    print_message("the face models are not here (make setup)\n");
    skip();
}

static void make_pictures(const char *folder, int n) {
    char path[128];
    assert_int_equal(mkdir(folder, 0777), 0);
    for (int i = 0; i < n; i++) {
        mien_image img;
        assert_int_equal(mien_image_new(20 + i, 30, &img), 0);
        memset(img.rgb, i, (size_t)img.width * 90);
        snprintf(path, sizeof path, "%s/%d.png", folder, i);
        assert_int_equal(mien_image_save_png(path, &img), 0);
        mien_image_free(&img);
    }
}

typedef struct {
    int calls, failed, stop_after;
    uint64_t last_total, last_over;
    char path[128], message[256];
    pthread_t thread;
    bool elsewhere;           /* progress came from another thread */
    volatile int stop;
} notes;

static void note_progress(void *context, const mien_progress *p) {
    notes *n = context;
    n->calls++;
    n->elsewhere |= !pthread_equal(n->thread, pthread_self());
    n->last_total = p->total;
    n->last_over = p->done + p->skipped + p->failed;
}

static void note_log(void *context, mien_log_kind kind, const char *path, const char *message) {
    notes *n = context;
    if (kind == MIEN_LOG_INFO) return;   /* photos without a face */
    n->failed += kind == MIEN_LOG_ITEM_FAILED;
    snprintf(n->path, sizeof n->path, "%s", path ? path : "");
    snprintf(n->message, sizeof n->message, "%s", message);
    if (n->stop_after && n->failed == n->stop_after) __atomic_store_n(&n->stop, 1, __ATOMIC_RELAXED);
}

static mien_annotate_options job_of(notes *n, const char *const *input, const char *output) {
    *n = (notes){ .thread = pthread_self() };
    return (mien_annotate_options){ .inputs = input, .n_inputs = 1, .output = output, .json = 1, .faces = mien_face_defaults(), 
                                    .hooks = { .progress = note_progress, .log = note_log, .context = n, .stop = &n->stop } };
}

static void test_job(void **state) {
    (void)state;
    need_models();
    make_pictures("in", 12);
    FILE *f = fopen("in/broken.jpg", "w");
    assert_non_null(f);
    fputs("nothing", f);
    fclose(f);
    const char *input = "in";
    notes n;
    mien_annotate_options o = job_of(&n, &input, "out");
    mien_annotate_times times;
    o.times = &times;
    mien_progress p;
    for (int run = 0; run < 2; run++) {
        assert_int_equal(mien_annotate(m, &o, &p), 0);
        assert_int_equal(p.total, 13);
        assert_int_equal(p.done, run ? 0 : 12);
        assert_int_equal(p.skipped, run ? 12 : 0);
        assert_int_equal(p.count[1].n, run ? 0 : 12);
        assert_int_equal(p.failed, 1);
        assert_int_equal(n.failed, run + 1);
        assert_string_equal(n.path, "in/broken.jpg");
        assert_memory_equal(n.message, "not a picture", 13);
        assert_true(n.calls > 0 && !n.elsewhere && n.last_total == 13 && n.last_over == 13);
        assert_true(run ? times.write == 0 : times.decode > 0 && times.find >= times.detect && times.write > 0);
    }
}

/* Zeroed settings are the defaults, in the outputs too. */
static void test_zeroed_settings(void **state) {
    (void)state;
    need_models();
    make_pictures("two", 2);
    const char *input = "two";
    notes n;
    mien_annotate_options o = job_of(&n, &input, "defaults");
    mien_progress p;
    assert_int_equal(mien_annotate(m, &o, &p), 0);
    assert_int_equal(p.done, 2);
    o.faces = (mien_face_settings){ 0 };
    assert_int_equal(mien_annotate(m, &o, &p), 0);
    assert_int_equal(p.skipped, 2);
    o.faces.min_confidence = 0.25f;
    assert_int_equal(mien_annotate(m, &o, &p), 0);
    assert_int_equal(p.done, 2);
}

static size_t load(const char *path, char *out, size_t room) {
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    size_t n = fread(out, 1, room, f);
    fclose(f);
    return n;
}

/* However many threads: the same files. */
static void test_jobs_agree(void **state) {
    (void)state;
    need_models();
    make_pictures("pictures", 30);
    const char *input = "pictures";
    notes n;
    for (int jobs = 1; jobs <= 7; jobs += 6) {
        mien_annotate_options o = job_of(&n, &input, jobs == 1 ? "one" : "seven");
        o.jobs = jobs;
        o.overlay = 1;
        assert_int_equal(mien_annotate(m, &o, NULL), 0);
    }
    static char a[1 << 16], b[1 << 16];
    for (int i = 0; i < 90; i++) {
        char path[64];
        const char *const endings[] = { ".png", ".json", "_overlay.png" };
        snprintf(path, sizeof path, "one/%d%s", i / 3, endings[i % 3]);
        size_t size = load(path, a, sizeof a);
        snprintf(path, sizeof path, "seven/%d%s", i / 3, endings[i % 3]);
        assert_int_equal(load(path, b, sizeof b), size);
        assert_memory_equal(a, b, size);
    }
}

static void test_stop(void **state) {
    (void)state;
    need_models();
    assert_int_equal(mkdir("bad", 0777), 0);
    for (int i = 0; i < 50; i++) {
        char path[64];
        snprintf(path, sizeof path, "bad/%d.png", i);
        FILE *f = fopen(path, "w");
        assert_non_null(f);
        fclose(f);
    }
    const char *input = "bad";
    notes n;
    mien_annotate_options o = job_of(&n, &input, "stopped");
    n.stop_after = 3;
    o.jobs = 2;
    mien_progress p;
    assert_int_equal(mien_annotate(m, &o, &p), MIEN_ERR_CANCELLED);
    assert_in_range(p.failed, 3, 5);
    assert_int_equal(p.total, 50);
}

static void test_refusals(void **state) {
    (void)state;
    assert_int_equal(mien_open(&(mien_options){ .cpu = "z80" }, &m), MIEN_ERR_USAGE);
    mien *none = NULL;
    assert_int_equal(mien_open(&(mien_options){ .models = "/nowhere" }, &none), MIEN_ERR_IO);
    assert_null(none);
    assert_non_null(strstr(mien_error(), "/nowhere"));
    need_models();
    uint8_t pixel[3] = { 0 };
    mien_faces f;
    mien_face_settings s = mien_face_defaults();
    assert_int_equal(mien_find_faces(m, pixel, 0, 1, NULL, &f), MIEN_ERR_USAGE);
    s.max_faces = 101;
    assert_int_equal(mien_find_faces(m, pixel, 1, 1, &s, &f), MIEN_ERR_USAGE);
    s.max_faces = -1;
    assert_int_equal(mien_find_faces(m, pixel, 1, 1, &s, &f), MIEN_ERR_USAGE);
    s = mien_face_defaults();
    s.min_confidence = 0.0f / 0.0f;
    assert_int_equal(mien_find_faces(m, pixel, 1, 1, &s, &f), MIEN_ERR_USAGE);
    assert_int_equal(mien_find_faces(m, pixel, 1, 1, NULL, &f), 0);
    assert_int_equal(f.count, 0);
    mien_faces_free(&f);
    const char *input = "nowhere.jpg";
    notes n;
    mien_annotate_options o = job_of(&n, &input, "never");
    assert_int_equal(mien_annotate(m, &o, NULL), MIEN_ERR_USAGE);
    assert_int_equal(access("never", F_OK), -1);
    o.part = 3, o.parts = 2;
    assert_int_equal(mien_annotate(m, &o, NULL), MIEN_ERR_USAGE);
}

static void test_faces_and_files(void **state) {
    (void)state;
    mien_face *face = calloc(1, sizeof *face);
    face->score = 0.75f;
    for (int i = 0; i < MIEN_LANDMARKS; i++) face->landmarks[i] = (mien_point){ 0.2f + 0.001f * (float)i, 0.9f - 0.0015f * (float)i, 0.01f };
    mien_faces in = { 100, 80, 1, face }, out;
    assert_int_equal(mien_faces_save("faces.json", &in), 0);
    assert_int_equal(mien_faces_load("faces.json", &out), 0);
    assert_memory_equal(out.face, face, sizeof *face);
    mien_image a, b;
    mien_draw_result r;
    assert_int_equal(mien_image_new(50, 40, &a), 0);
    assert_int_equal(mien_draw(&out, 0, &a), 1);
    assert_int_equal(mien_draw_file(&(mien_draw_options){ .faces = "faces.json", .output = "map.png", .width = 50, .height = 40, .min_face = -1 }, &r), 0);
    assert_int_equal(r.drawn, 1);
    assert_int_equal(mien_image_load("map.png", 0, 0, &b), 0);
    assert_int_equal(b.width, 50);
    assert_memory_equal(a.rgb, b.rgb, 50 * 40 * 3);
    assert_int_equal(mien_draw_file(&(mien_draw_options){ .faces = "faces.json", .output = "map.png" }, &r), MIEN_ERR_EXISTS);
    assert_int_equal(mien_image_load("map.png", 0, 1999, &b), MIEN_ERR_LIMIT);
    assert_memory_equal(mien_error(), "map.png: ", 9);
    mien_image_free(&a);
    mien_image_free(&b);
    mien_faces_free(&out);
    mien_faces_free(&in);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_job),  cmocka_unit_test(test_zeroed_settings), cmocka_unit_test(test_jobs_agree),
        cmocka_unit_test(test_stop), cmocka_unit_test(test_refusals),        cmocka_unit_test(test_faces_and_files),
    };
    return cmocka_run_group_tests(tests, open_all, close_all);
}
