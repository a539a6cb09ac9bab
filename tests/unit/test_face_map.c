/* SPDX-License-Identifier: Apache-2.0 */
#include "fixtures.h"

#include <dirent.h>
#include <math.h>

#include "face/map.h"
#include "face/topology.h"
#include "faces.h"

static int compared, with_faces;

/* The published function's map from its own landmarks: equal bytes. */
static void check_map(const char *folder, const char *stem) {
    char what[600];
    snprintf(what, sizeof what, "%s/%s", folder, stem);
    json_t *j = fixture_json(fixture_path("faces/%s.json", what));
    const char *png = fixture_path("faces/%s.png", what);
    if (access(png, R_OK) == 0) {
        faces all = fixture_faces(j);
        image want = fixture_image(png), got = { all.width, all.height, calloc((size_t)all.width * (size_t)all.height, 3) };
        assert_int_equal(want.width, got.width);
        assert_int_equal(want.height, got.height);
        double least = strcmp(folder, "ref_min64") == 0 ? 64 : 0;
        int drawn = face_map_draw(&all, least, &got), large = 0;
        for (int k = 0; k < all.count; k++) {
            double size = json_number_value(json_object_get(json_array_get(json_object_get(j, "faces"), (size_t)k), "size_px"));
            assert_true(fabs(face_size(&all.face[k], all.width, all.height) - size) < 1e-6 * (size + 1));
            large += size >= least;
        }
        assert_int_equal(drawn, large);
        expect_equal_bytes(what, got.rgb, want.rgb, (size_t)got.width * (size_t)got.height * 3);
        with_faces += all.count;
        compared++;
        image_free(&got);
        image_free(&want);
        free(all.face);
    }
    json_decref(j);
}

static void test_maps_of_fixtures(void **state) {
    (void)state;
    fixtures_or_skip();
    for (int f = 0; f < FIXTURE_FOLDERS; f++) {
        DIR *dir = opendir(fixture_path("faces/%s", fixture_folders[f]));
        assert_non_null(dir);
        for (struct dirent *e; (e = readdir(dir));) {
            char *dot = strrchr(e->d_name, '.');
            if (!dot || strcmp(dot, ".json") != 0) continue;
            *dot = 0;
            check_map(fixture_folders[f], e->d_name);
        }
        closedir(dir);
    }
    print_message("%d maps of %d faces equal\n", compared, with_faces);
    assert_true(compared > 50);
}

/* A face that needs no fixture: points on a spiral, some outside. */
static face spiral(dice *d) {
    face f = { .score = 1 };
    double cx = dice_unit(d), cy = dice_unit(d), r = 0.1 + dice_unit(d) * 0.5;
    for (int i = 0; i < FACE_LANDMARKS; i++)
        f.landmarks[i] = (face_point){ (float)(cx + r * cos(i * 0.7) * i / 478), (float)(cy + r * sin(i * 0.7) * i / 478), 0 };
    return f;
}

/* One number for 40 such maps, recorded when all fixture maps were equal. */
static void test_golden(void **state) {
    (void)state;
    dice d = { 99 };
    uint64_t sum = 0;
    for (int k = 0; k < 40; k++) {
        face two[2] = { spiral(&d), spiral(&d) };
        image canvas = { dice_between(&d, 1, 300), dice_between(&d, 1, 300), NULL };
        canvas.rgb = calloc((size_t)canvas.width * (size_t)canvas.height, 3);
        faces all = { canvas.width, canvas.height, 2, two };
        assert_int_equal(face_map_draw(&all, 0, &canvas), 2);
        sum = sum * 31 + fnv1a(canvas.rgb, (size_t)canvas.width * (size_t)canvas.height * 3);
        free(canvas.rgb);
    }
    assert_int_equal(sum, 0xc50399a55d641ea8ULL);
}

/* The pupils' negative slices and the last row and column. */
static void test_pupils_at_the_edge(void **state) {
    (void)state;
    const struct { float x; int from, to; } cases[] = {
        { 0, 0, 0 }, { 0.15f, 0, 0 }, { 0.2f, 0, 4 }, { 0.45f, 2, 6 }, { 0.95f, 7, 10 }, { 1, 0, 0 }, { -0.01f, 0, 0 }, { NAN, 0, 0 },
    };
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        uint8_t rgb[10 * 10 * 3] = { 0 };
        image canvas = { 10, 10, rgb };
        face f;
        for (int i = 0; i < FACE_LANDMARKS; i++) f.landmarks[i] = (face_point){ -1, -1, 0 };
        f.landmarks[TOPOLOGY_LEFT_PUPIL] = (face_point){ cases[k].x, 0.5f, 0 };
        faces all = { 10, 10, 1, &f };
        face_map_draw(&all, 0, &canvas);
        for (int x = 0; x < 10; x++) assert_int_equal(rgb[(5 * 10 + x) * 3], x >= cases[k].from && x < cases[k].to ? 250 : 0);
    }
    uint8_t tiny[3 * 2 * 3] = { 0 };   /* 3x2: the slices wrap to 1..2 and 0..2 */
    image canvas = { 3, 2, tiny };
    face f;
    for (int i = 0; i < FACE_LANDMARKS; i++) f.landmarks[i] = (face_point){ -1, -1, 0 };
    f.landmarks[TOPOLOGY_RIGHT_PUPIL] = (face_point){ 0, 0, 0 };
    faces all = { 3, 2, 1, &f };
    face_map_draw(&all, 0, &canvas);
    for (int i = 0; i < 6; i++) assert_int_equal(tiny[i * 3 + 2], i % 3 == 1 ? 250 : 0);
}

static void test_topology(void **state) {
    (void)state;
    const int edges[] = { 36, 16, 8, 16, 8, 40 };
    for (int g = 0; g < TOPOLOGY_GROUPS; g++) {
        int n = 0;
        for (const int16_t *p = topology_groups[g].points; *p != TOPOLOGY_END; p += 2)
            for (; p[1] != TOPOLOGY_END; p++, n++) assert_in_range(p[1], 0, TOPOLOGY_MESH - 1);
        assert_int_equal(n, edges[g]);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_maps_of_fixtures), cmocka_unit_test(test_golden), cmocka_unit_test(test_pupils_at_the_edge),
        cmocka_unit_test(test_topology),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
