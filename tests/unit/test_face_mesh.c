/* SPDX-License-Identifier: Apache-2.0
 *
 * The whole way from pixels to faces and maps, against everything the reference found: equal bits, equal bytes. */
#include "faces.h"

#include <dirent.h>
#include <limits.h>
#include <pthread.h>

#include "face/map.h"
#include "face/mesh.h"

static face_mesh *mesh;

static int open_mesh(void **state) {
    (void)state;
    const char *folder = getenv("MODELS_DIR"), *level = getenv("FACE_CPU");
    cpu_level cpu = CPU_BEST;
    if (level && !cpu_level_parse(level, &cpu)) fail_msg("no level %s", level);
    if (face_mesh_open(folder ? folder : "third_party/models", cpu, &mesh) < 0) fail_msg("%s", error_message());
    return 0;
}

static int close_mesh(void **state) {
    (void)state;
    face_mesh_close(mesh);
    return 0;
}

static int photos, found, maps, published;

/* The map in the original's repository, at the settings that it was made with. */
static void check_published(const char *stem, const faces *got) {
    image map = fixture_image(fixture_path("faces/repo_annotations/%.*s_annotation.png", (int)strcspn(stem, "_"), stem)), canvas;
    assert_int_equal(image_new(map.width, map.height, &canvas), 0);
    face_map_draw(got, 0, &canvas);
    expect_equal_bytes(stem, canvas.rgb, map.rgb, (size_t)map.width * (size_t)map.height * 3);
    image_free(&canvas);
    image_free(&map);
    published++;
}

static void check_photo(const char *folder, const char *stem) {
    char what[600];
    snprintf(what, sizeof what, "%s/%s", folder, stem);
    json_t *j = fixture_json(fixture_path("faces/%s.json", what));
    image photo = fixture_photo(stem);
    faces want = fixture_faces(j), got;
    face_settings s = { (int)fixture_number(j, "max_faces", 0), fixture_number(j, "min_detection_confidence", 0), MIEN_SEARCH_NONE };
    if (face_mesh_find(mesh, &photo, &s, NULL, &got) < 0) fail_msg("%s: %s", what, error_message());
    if (got.count != want.count) fail_msg("%s: %d faces, not %d", what, got.count, want.count);
    assert_int_equal(got.width, want.width);
    assert_int_equal(got.height, want.height);
    for (int k = 0; k < got.count; k++) {
        if (!isnan(want.face[k].score)) expect_equal_bits(what, &got.face[k].score, &want.face[k].score, 1);
        expect_equal_bits(what, &got.face[k].landmarks[0].x, &want.face[k].landmarks[0].x, FACE_LANDMARKS * 3);
    }
    const char *png = fixture_path("faces/%s.png", what);
    if (access(png, R_OK) == 0) {
        image map = fixture_image(png), canvas;
        assert_int_equal(image_new(photo.width, photo.height, &canvas), 0);
        face_map_draw(&got, strcmp(folder, "ref_min64") == 0 ? 64 : 0, &canvas);
        expect_equal_bytes(what, canvas.rgb, map.rgb, (size_t)map.width * (size_t)map.height * 3);
        image_free(&canvas);
        image_free(&map);
        maps++;
    }
    if (strcmp(folder, "ref_conf001") == 0) check_published(stem, &got);
    found += got.count;
    photos++;
    free(got.face);
    free(want.face);
    image_free(&photo);
    json_decref(j);
}

static void test_all_fixtures(void **state) {
    (void)state;
    fixtures_or_skip();
    const char *only = getenv("FACE_ONLY");
    for (int f = 0; f < FIXTURE_FOLDERS; f++) {
        DIR *dir = opendir(fixture_path("faces/%s", fixture_folders[f]));
        assert_non_null(dir);
        for (struct dirent *e; (e = readdir(dir));) {
            char *dot = strrchr(e->d_name, '.');
            if (!dot || strcmp(dot, ".json") != 0) continue;
            *dot = 0;
            if (!only || strstr(e->d_name, only)) check_photo(fixture_folders[f], e->d_name);
        }
        closedir(dir);
    }
    print_message("%d runs, %d faces, %d maps, %d of them published: all equal\n", photos, found, maps, published);
    assert_true(only || (photos == 75 && published == 4));
}

/* Without photos: a drawn face as MediaPipe 0.10.21 found it (tests/reference/drawn_face.py), equal bits at every level. */
static void test_drawn_face(void **state) {
    (void)state;
    image img = drawn_face();
    assert_int_equal(fnv1a(img.rgb, 320 * 320 * 3), 0x49f7253c72368670ULL);
    float *want = fixture_f32("tests/golden/drawn_face.f32", FACE_LANDMARKS * 3);
    const char *folder = getenv("MODELS_DIR");
    for (cpu_level level = CPU_REFERENCE; level <= CPU_AVX512 && level <= cpu_level_here(); level++) {
        face_mesh *m;
        faces got;
        face_settings s = { 5, 0.5f, MIEN_SEARCH_NONE };
        assert_int_equal(face_mesh_open(folder ? folder : "third_party/models", level, &m), 0);
        assert_int_equal(face_mesh_find(m, &img, &s, NULL, &got), 0);
        assert_int_equal(got.count, 1);
        expect_equal_bits(cpu_level_name(level), &got.face[0].landmarks[0].x, want, FACE_LANDMARKS * 3);
        free(got.face);
        face_mesh_close(m);
    }
    free(want);
    image_free(&img);
}

/* One mesh, several threads: each gets the same faces. */
static const char *const shared_stems[] = { "collage4", "neutral_quarter", "tiny40" };
typedef struct { image photo; faces want; int rc; } job;

static void *run_job(void *context) {
    job *j = context;
    for (int k = 0; k < 2 && j->rc == 0; k++) {
        faces got;
        face_times times = { 0 };
        face_settings s = { 5, 0.5f, MIEN_SEARCH_NONE };
        j->rc = face_mesh_find(mesh, &j->photo, &s, &times, &got);
        if (j->rc < 0) break;
        bool same = got.count == j->want.count && times.total >= times.detect && times.detect > 0;
        if (same && got.count) same = memcmp(got.face, j->want.face, (size_t)got.count * sizeof *got.face) == 0;
        if (!same) j->rc = 1;
        free(got.face);
    }
    return NULL;
}

static void test_threads(void **state) {
    (void)state;
    fixtures_or_skip();
    enum { N = 3 };
    job jobs[N] = { 0 };
    pthread_t threads[N];
    for (int i = 0; i < N; i++) {
        jobs[i].photo = fixture_photo(shared_stems[i]);
        face_settings s = { 5, 0.5f, MIEN_SEARCH_NONE };
        assert_int_equal(face_mesh_find(mesh, &jobs[i].photo, &s, NULL, &jobs[i].want), 0);
    }
    for (int i = 0; i < N; i++) assert_int_equal(pthread_create(&threads[i], NULL, run_job, &jobs[i]), 0);
    for (int i = 0; i < N; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(jobs[i].rc, 0);
        image_free(&jobs[i].photo);
        free(jobs[i].want.face);
    }
}

static void test_wrong_models(void **state) {
    (void)state;
    face_mesh *m = NULL;
    assert_int_equal(face_mesh_open("/nonexistent", CPU_REFERENCE, &m), ERR_IO);
    assert_non_null(strstr(error_message(), "/nonexistent/face_detection_short_range.tflite"));
    char folder[] = "/tmp/mien-test-XXXXXX", from[PATH_MAX + 64], to[PATH_MAX];
    assert_non_null(mkdtemp(folder));
    const char *models = getenv("MODELS_DIR");
    assert_non_null(realpath(models ? models : "third_party/models", from));
    strcat(from, "/face_landmark_with_attention.tflite");   /* a sound model, but the other one */
    snprintf(to, sizeof to, "%s/face_detection_short_range.tflite", folder);
    assert_int_equal(symlink(from, to), 0);
    assert_int_equal(face_mesh_open(folder, CPU_REFERENCE, &m), ERR_FORMAT);
    assert_non_null(strstr(error_message(), "is not MediaPipe's short-range face detector"));
    assert_null(m);
    unlink(to);
    rmdir(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_all_fixtures), cmocka_unit_test(test_drawn_face), cmocka_unit_test(test_threads), cmocka_unit_test(test_wrong_models) };
    return cmocka_run_group_tests(tests, open_mesh, close_mesh);
}
