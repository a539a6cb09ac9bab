/* SPDX-License-Identifier: Apache-2.0
 *
 * What a mirror shows: the table of the 478 points against the topology's lists and against real faces, colours of maps, words of captions. */
#include "face/faces_json.h"
#include "face/map.h"
#include "face/mirror.h"
#include "face/topology.h"
#include "faces.h"
#include "train/mirror.h"

static void test_table(void **state) {
    (void)state;
    int table[FACE_LANDMARKS], alone = 0;
    face_mirror_table(table);
    for (int i = 0; i < FACE_LANDMARKS; i++) {
        assert_in_range(table[i], 0, FACE_LANDMARKS - 1);
        assert_int_equal(table[table[i]], i);
        assert_int_equal(table[i] < TOPOLOGY_MESH, i < TOPOLOGY_MESH);
        alone += table[i] == i;
    }
    assert_int_equal(alone, 28);
    for (int i = 0; i < TOPOLOGY_EYE; i++) assert_int_equal(table[topology_left_eye[i]], topology_right_eye[i]);
    assert_int_equal(table[TOPOLOGY_LEFT_PUPIL], TOPOLOGY_RIGHT_PUPIL);
}

static bool has_line(const topology_group *g, int a, int b) {
    for (const int16_t *p = g->points; *p != TOPOLOGY_END; p += 2)
        for (; p[1] != TOPOLOGY_END; p++)
            if ((p[0] == a && p[1] == b) || (p[0] == b && p[1] == a)) return true;
    return false;
}

/* Each drawn line's mirror image is drawn, in the group of the other side. */
static void test_lines(void **state) {
    (void)state;
    static const int other[TOPOLOGY_GROUPS] = { 0, 3, 4, 1, 2, 5 };
    int table[FACE_LANDMARKS];
    face_mirror_table(table);
    for (int k = 0; k < TOPOLOGY_GROUPS; k++) {
        const topology_group *g = &topology_groups[k], *m = &topology_groups[other[k]];
        assert_int_equal(g->colour.r, m->colour.b);
        assert_int_equal(g->colour.g, m->colour.g);
        for (const int16_t *p = g->points; *p != TOPOLOGY_END; p += 2)
            for (; p[1] != TOPOLOGY_END; p++)
                if (!has_line(m, table[p[0]], table[p[1]])) fail_msg("%s: %d to %d has no mirror image, %d to %d", g->name, p[0], p[1], table[p[0]], table[p[1]]);
    }
    assert_int_equal(topology_left_pupil.r, topology_right_pupil.b);
    assert_int_equal(topology_left_pupil.b, topology_right_pupil.r);
}

/* ---- real faces -------------------------------------------------------------------------------------------------------------- */

typedef struct { double at[FACE_LANDMARKS][3]; } cloud;

/* The points of a face in pixels around their mean, of unit size; in the mirror those of the other side, x negated. */
static void place(const faces *all, const face *f, const int *table, bool mirrored, cloud *out) {
    double mean[3] = { 0 }, size = 0;
    for (int i = 0; i < FACE_LANDMARKS; i++) {
        const face_point *p = &f->landmarks[mirrored ? table[i] : i];
        double x = (double)p->x * all->width;
        double at[3] = { mirrored ? -x : x, (double)p->y * all->height, (double)p->z * all->width };
        for (int c = 0; c < 3; c++) out->at[i][c] = at[c], mean[c] += at[c] / FACE_LANDMARKS;
    }
    for (int i = 0; i < FACE_LANDMARKS; i++)
        for (int c = 0; c < 3; c++) out->at[i][c] -= mean[c], size += out->at[i][c] * out->at[i][c];
    for (int i = 0; i < FACE_LANDMARKS; i++)
        for (int c = 0; c < 3; c++) out->at[i][c] /= sqrt(size / FACE_LANDMARKS);
}

/* The rotation nearest to m: the mean of it and its inverse, transposed, again and again (Higham 1986). */
static void nearest_rotation(double m[3][3]) {
    for (int step = 0; step < 60; step++) {
        double c[3][3], det = 0;
        for (int i = 0; i < 3; i++)
            for (int j = 0; j < 3; j++) {
                int a = (i + 1) % 3, b = (i + 2) % 3, d = (j + 1) % 3, e = (j + 2) % 3;
                c[i][j] = m[a][d] * m[b][e] - m[a][e] * m[b][d];
            }
        for (int j = 0; j < 3; j++) det += m[0][j] * c[0][j];
        for (int i = 0; i < 9; i++) (&m[0][0])[i] = ((&m[0][0])[i] + (&c[0][0])[i] / det) / 2;
    }
}

static void turn_like(cloud *m, const cloud *z) {
    double r[3][3] = { { 0 } };
    for (int i = 0; i < FACE_LANDMARKS; i++)
        for (int a = 0; a < 3; a++)
            for (int b = 0; b < 3; b++) r[a][b] += m->at[i][a] * z->at[i][b];
    nearest_rotation(r);
    for (int i = 0; i < FACE_LANDMARKS; i++) {
        double was[3];
        memcpy(was, m->at[i], sizeof was);
        for (int b = 0; b < 3; b++) m->at[i][b] = was[0] * r[0][b] + was[1] * r[1][b] + was[2] * r[2][b];
    }
}

/* sum[i][j] += how far the way from point i to j agrees with that of their mirror images, once the mirrored face is turned like the face. */
static void add_face(const faces *all, const face *f, const int *table, double (*sum)[FACE_LANDMARKS]) {
    static cloud z, m;
    place(all, f, table, false, &z);
    place(all, f, table, true, &m);
    turn_like(&m, &z);
    for (int i = 0; i < FACE_LANDMARKS; i++)
        for (int j = 0; j < i; j++)
            for (int c = 0; c < 3; c++) sum[i][j] += (z.at[i][c] - z.at[j][c]) * (m.at[i][c] - m.at[j][c]);
}

/* Were two points paired with each other's partners, the squares of the distances between partners would grow by twice that sum: no two may be exchanged. It
 * does not matter that no face is quite symmetrical, nor where it looks. */
static void test_faces(void **state) {
    (void)state;
    static double sum[FACE_LANDMARKS][FACE_LANDMARKS];
    static const char *const stems[] = { "neutral_source", "happy_source", "screaming_source", "sideways_source", "sideways_mirror", "collage4", "collage9", "neutral_rot20", "wide", "tall",
                                         "close", "overlap" };
    fixtures_or_skip();
    int table[FACE_LANDMARKS], n = 0;
    face_mirror_table(table);
    for (size_t k = 0; k < sizeof stems / sizeof *stems; k++) {
        const char *path = fixture_path("faces/ref/%s.json", stems[k]);
        json_t *j = fixture_json(path);
        faces all = fixture_faces(j);
        for (int i = 0; i < all.count; i++, n++) add_face(&all, &all.face[i], table, sum);
        free(all.face);
        json_decref(j);
    }
    assert_true(n >= 8);
    for (int i = 0; i < FACE_LANDMARKS; i++)
        for (int j = 0; j < i; j++)
            if (!(sum[i][j] > 0)) fail_msg("points %d and %d seem to have each other's partners, %d and %d (%.3g)", i, j, table[i], table[j], sum[i][j] / n);
}

/* A face that was found in a photo, drawn, is what the photo's mirror image would be drawn as: the map in the mirror, but for the thickness of lines. */
static void test_drawn(void **state) {
    (void)state;
    fixtures_or_skip();
    json_t *j = fixture_json(fixture_path("faces/ref/neutral_source.json"));
    faces all = fixture_faces(j);
    image plain, turned;
    enum { SIDE = 512 };
    assert_int_equal(image_new(SIDE, SIDE, &plain), 0);
    assert_int_equal(image_new(SIDE, SIDE, &turned), 0);
    assert_int_equal(face_map_draw(&all, 0, &plain), 1);
    face_mirror(&all);
    assert_int_equal(face_map_draw(&all, 0, &turned), 1);
    face_map_mirror(plain.rgb, SIDE, SIDE);
    assert_true(face_map_is(&plain));
    size_t drawn = 0, missed = 0;
    for (int y = 1; y < SIDE - 1; y++)
        for (int x = 1; x < SIDE - 1; x++) {
            const uint8_t *c = turned.rgb + 3 * (y * SIDE + x);
            if (!(c[0] | c[1] | c[2])) continue;
            bool near = false;
            for (int k = 0; k < 9; k++) near |= memcmp(c, plain.rgb + 3 * ((y + k / 3 - 1) * SIDE + x + k % 3 - 1), 3) == 0;
            drawn++;
            missed += !near;
        }
    if (drawn < 1000 || missed > drawn / 100) fail_msg("%zu of %zu drawn pixels have none of their colour at their place in the mirror", missed, drawn);
    image_free(&plain);
    image_free(&turned);
    free(all.face);
    json_decref(j);
}

/* ---- pixels and words -------------------------------------------------------------------------------------------------------- */

static void test_pixels(void **state) {
    (void)state;
    uint8_t rgb[2 * 3 * 3], was[sizeof rgb];
    for (size_t i = 0; i < sizeof rgb; i++) was[i] = rgb[i] = (uint8_t)(10 * i + 1);
    face_photo_mirror(rgb, 3, 2);
    for (int y = 0; y < 2; y++)
        for (int x = 0; x < 3; x++) expect_equal_bytes("pixel", rgb + 3 * (3 * y + x), was + 3 * (3 * y + 2 - x), 3);
    face_photo_mirror(rgb, 3, 2);
    expect_equal_bytes("twice", rgb, was, sizeof rgb);
    face_map_mirror(rgb, 3, 2);
    assert_int_equal(rgb[0], was[8]);
    assert_int_equal(rgb[1], was[7]);
    face_map_mirror(rgb, 3, 2);
    expect_equal_bytes("twice", rgb, was, sizeof rgb);
}

static void test_words(void **state) {
    (void)state;
    static const char *const pairs[][2] = {
        { "", "" },
        { "looking left", "looking right" },
        { "Left eye, RIGHT hand; left-handed", "Right eye, LEFT hand; right-handed" },
        { "leftover bright copyright left_1 alright right2", "leftover bright copyright left_1 alright right2" },
        { "(left)/(right)left's", "(right)/(left)right's" },
        { "\xc3\xa9left left\xc3\xa9 left \xff right", "\xc3\xa9left left\xc3\xa9 right \xff left" },
        { "100% %s left %d", "100% %s right %d" },
    };
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        for (int way = 0; way < 2; way++) {
            char *got = mirror_words(pairs[i][way]);
            assert_non_null(got);
            if (strcmp(got, pairs[i][!way])) fail_msg("\"%s\" became \"%s\", not \"%s\"", pairs[i][way], got, pairs[i][!way]);
            free(got);
        }
    char *odd = mirror_words("lEFT LEft");
    assert_string_equal(odd, "right RIGHT");
    free(odd);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table), cmocka_unit_test(test_lines),  cmocka_unit_test(test_faces),
        cmocka_unit_test(test_drawn), cmocka_unit_test(test_pixels), cmocka_unit_test(test_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
