/* SPDX-License-Identifier: Apache-2.0
 *
 * What is drawn of a rendered face, what its caption says, and its sidecar. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/hash.h"
#include "data/build_sidecar.h"
#include "mien.h"
#include "synth/caption.h"
#include "synth/chance.h"
#include "synth/draw.h"
#include "synth/sidecar.h"
#include "train/mirror.h"

enum { MANY = 4000 };

static const synth_draw_settings usual = { 256, 256, 35, 20, 25, 0.42, 0.66, 0, SYNTH_SURROUNDINGS_ANY };

static synth_draw drawn(uint64_t seed, uint64_t number, const synth_draw_settings *s) {
    synth_draw d;
    memset(&d, 0, sizeof d);
    synth_draw_face(seed, number, s, &d);
    return d;
}

static char *captioned(uint64_t seed, uint64_t number, const synth_draw *d) {
    text out = { 0 };
    synth_caption(seed, number, &usual, d, &out);
    assert_int_equal(text_check(&out), 0);
    return out.data;
}

/* ---- chance ------------------------------------------------------------------------------------------------------------ */

static void test_chance(void **state) {
    (void)state;
    chance a = chance_begin(7, 1, "x"), b = chance_begin(7, 1, "x");
    chance others[3] = { chance_begin(8, 1, "x"), chance_begin(7, 2, "x"), chance_begin(7, 1, "y") };
    uint64_t first = chance_bits(&a);
    assert_true(first == chance_bits(&b));
    for (int i = 0; i < 3; i++) assert_true(first != chance_bits(&others[i]));
    double sum = 0, squares = 0;
    int counts[3] = { 0 };
    for (int i = 0; i < 100000; i++) {
        double x = chance_bell(&a);
        assert_true(x >= -3 && x <= 3);
        sum += x, squares += x * x;
        counts[chance_pick(&a, (const double[]){ 1, 0, 3 }, 3)]++;
    }
    assert_true(sum / 1e5 > -0.02 && sum / 1e5 < 0.02 && squares / 1e5 > 0.98 && squares / 1e5 < 1.02);
    assert_true(counts[1] == 0 && counts[0] > 24000 && counts[0] < 26000);
}

/* ---- draws ------------------------------------------------------------------------------------------------------------- */

static void test_limits(void **state) {
    (void)state;
    const synth_draw_settings all[] = {
        usual, { 512, 256, 45, 35, 90, 0.2, 1, 5, SYNTH_SURROUNDINGS_PLAIN },
        { 16, 4096, 0, 0, 0, 0.6, 0.6, 1, SYNTH_SURROUNDINGS_ANY },
    };
    for (size_t k = 0; k < sizeof all / sizeof *all; k++)
        for (uint64_t i = 1; i <= MANY; i++) {
            synth_draw d = drawn(3, i, &all[k]);
            const synth_face *f = &d.face;
            synth_face held = *f;
            assert_int_equal(synth_face_check(&held), 0);
            assert_memory_equal(&held, f, sizeof held);   /* nothing was outside */
            assert_true(f->yaw >= -all[k].yaw && f->yaw <= all[k].yaw && f->pitch >= -all[k].pitch && f->pitch <= all[k].pitch &&
                f->roll >= -all[k].roll && f->roll <= all[k].roll);
            assert_true(f->size >= (float)all[k].face_least && f->size <= (float)all[k].face_most);
            assert_true(f->mouth == 0 || f->mouth >= 0.15f);
            for (int side = 0; side < 2; side++) assert_true(f->eyes[side] == 0 || f->eyes[side] >= 0.35f);
            float apart = f->gaze_x[0] - f->gaze_x[1];
            /* eyes meet before the face, or far away */
            assert_true(apart >= 0 && apart < 3.3f && f->gaze_y[0] == f->gaze_y[1]);
            if (k == 1) assert_true(f->background == SYNTH_BACKGROUND_PLAIN && d.identity >= 1 && d.identity <= 5);
        }
}

/* The very numbers, which are to be the same on every machine: whoever changes them raises SYNTH_DRAW. */
static void test_golden(void **state) {
    (void)state;
    sha256_state s;
    uint8_t digest[32];
    char hex[65];
    sha256_begin(&s);
    for (uint64_t i = 1; i <= 200; i++) {
        synth_draw d = drawn(7, i, &usual);
        sha256_add(&s, &d.face, sizeof d.face);
        char *caption = captioned(7, i, &d);
        sha256_add(&s, caption, strlen(caption) + 1);
        free(caption);
    }
    sha256_end(&s, digest);
    sha256_hex(digest, hex);
    assert_int_equal(SYNTH_DRAW, 7);
    assert_string_equal(hex, "f4ed4b41e4204f13ca4e95b3acf6519864cb4e1d5a598498edd2d93c020926df");
}

static void test_independent(void **state) {
    (void)state;
    synth_draw a = drawn(7, 42, &usual), b = drawn(7, 42, &usual), other = drawn(7, 43, &usual), seed = drawn(8, 42, &usual);
    assert_memory_equal(&a, &b, sizeof a);
    assert_true(memcmp(&a, &other, sizeof a) != 0 && memcmp(&a, &seed, sizeof a) != 0);
    /* A setting changes its own group alone. */
    synth_draw_settings narrow = usual;
    narrow.yaw = 5, narrow.surroundings = SYNTH_SURROUNDINGS_PLAIN;
    b = drawn(7, 42, &narrow);
    assert_true(a.face.mouth == b.face.mouth && a.face.smile == b.face.smile && a.face.nose_width == b.face.nose_width &&
        a.face.seed == b.face.seed && a.face.yaw != b.face.yaw);
    assert_true(a.face.pitch == b.face.pitch && a.background_paint == b.background_paint);
}

/* All that belongs to a person is in the struct before the expression. */
static bool same_person(const synth_face *a, const synth_face *b) { return memcmp(a, b, offsetof(synth_face, mouth)) == 0; }

static void test_identities(void **state) {
    (void)state;
    synth_draw_settings few = usual;
    few.identities = 3;
    synth_draw who[4];
    int seen[4] = { 0 };
    for (uint64_t i = 1; i <= 200; i++) {
        synth_draw d = drawn(7, i, &few);
        assert_true(d.identity >= 1 && d.identity <= 3);
        if (!seen[d.identity]++) who[d.identity] = d;
        assert_true(same_person(&d.face, &who[d.identity].face));
    }
    assert_true(seen[1] > 30 && seen[2] > 30 && seen[3] > 30);
    assert_false(same_person(&who[1].face, &who[2].face));
}

/* Every part of the ranges is drawn, and no two things always together. */
static void test_spread(void **state) {
    (void)state;
    int women = 0, open = 0, wide = 0, smiles = 0, frowns = 0, closed = 0, winks = 0, left = 0, up = 0, raised = 0, lowered = 0;
    int far = 0, hair[SYNTH_HAIRS] = { 0 };
    double xy = 0, xx = 0, yy = 0, mx = 0, my = 0;
    for (uint64_t i = 1; i <= MANY; i++) {
        synth_draw d = drawn(11, i, &usual);
        const synth_face *f = &d.face;
        women += d.woman, open += f->mouth > 0, wide += f->mouth > 0.6f, smiles += f->smile > 0.4f, frowns += f->smile < -0.2f;
        closed += f->eyes[0] == 0 && f->eyes[1] == 0, winks += (f->eyes[0] == 0) != (f->eyes[1] == 0);
        left += f->gaze_x[0] < -12, up += f->gaze_y[0] > 8, raised += f->brows[0] > 0.5f, lowered += f->brows[0] < -0.5f,
            far += f->yaw > 20;
        hair[f->hair]++;
        mx += (double)f->mouth, my += (double)f->smile, xy += (double)f->mouth * (double)f->smile;
        xx += (double)f->mouth * (double)f->mouth, yy += (double)f->smile * (double)f->smile;
    }
    const int counts[] = { women, open, smiles, MANY - open };
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) assert_in_range(counts[i], MANY / 4, 3 * MANY / 4);
    const int rarer[] = { wide, frowns, closed, winks, left, up, raised, lowered, far };
    for (size_t i = 0; i < sizeof rarer / sizeof *rarer; i++) assert_in_range(rarer[i], MANY / 60, MANY / 2);
    for (int i = 0; i < SYNTH_HAIRS; i++) assert_true(hair[i] > MANY / 60);
    mx /= MANY, my /= MANY;
    double r2 = (xy / MANY - mx * my) * (xy / MANY - mx * my) / ((xx / MANY - mx * mx) * (yy / MANY - my * my));
    assert_true(r2 < 0.1);
}

/* ---- captions ------------------------------------------------------------------------------------------------------------ */

static bool says(const char *caption, const char *words) { return strstr(caption, words) != NULL; }

static void expect_true_words(const char *caption, const synth_draw *d) {
    const synth_face *f = &d->face;
    float x = f->yaw + (f->gaze_x[0] + f->gaze_x[1]) / 2, y = f->pitch + f->gaze_y[0];
    const struct { const char *words; bool holds; } rules[] = {
        { "woman", d->woman }, { "man", true }, { "young", f->age < 0.3f },
        { "old ", f->age > 0.6f || says(caption, "old eyes") }, { "laughing", f->mouth > 0.3f && f->smile > 0.3f },
        { "smiling", f->smile > 0.3f }, { "sad", f->smile < 0 }, { "surprised", f->brows[0] > 0.3f && f->mouth > 0.2f },
        { "angry", f->brows[0] < -0.3f },
        { "winking", (f->eyes[0] == 0) != (f->eyes[1] == 0) }, { "eyes closed", f->eyes[0] == 0 && f->eyes[1] == 0 },
        { "mouth open", f->mouth > 0.2f },
        { "mouth wide open", f->mouth > 0.5f }, { "mouth closed", f->mouth == 0 },
        { "brows raised", f->brows[0] > 0.4f && f->brows[1] > 0.4f }, { "brows lowered", f->brows[0] < -0.4f },
        { "turned left", f->yaw < -8 }, { "turned right", f->yaw > 8 }, { "tilted left", f->roll < -5 },
        { "tilted right", f->roll > 5 }, { "head up", f->pitch > 5 }, { "head down", f->pitch < -5 },
        { "looking left", x < -5 }, { "looking right", x > 5 }, { "looking up", y > 2 || x * f->roll < 0 },
        { "looking down", y < -2 || x * f->roll > 0 },
        { "at the camera", x > -12 && x < 12 && y > -12 && y < 12 }, { "glasses", f->glasses != SYNTH_GLASSES_NONE },
        { "a beard", f->beard == SYNTH_BEARD_FULL },
        { "moustache", f->beard == SYNTH_BEARD_MOUSTACHE }, { "bald", f->hair == SYNTH_HAIR_BALD },
        { "bun", f->hair == SYNTH_HAIR_BUN }, { "red hair", d->hair_colour == SYNTH_RED_HAIR },
        { "blue eyes", d->eye_colour == SYNTH_BLUE_EYES }, { "plain", f->background == SYNTH_BACKGROUND_PLAIN },
        { "dark skin", d->skin == SYNTH_DARK_SKIN },
        { "striped shirt", f->clothes == SYNTH_CLOTHES_STRIPES },
    };
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
        if (says(caption, rules[i].words) && !rules[i].holds) fail_msg("\"%s\": not %s", caption, rules[i].words);
    if (says(caption, " man") && !says(caption, "woman")) assert_false(d->woman);
}

static void test_captions_are_true(void **state) {
    (void)state;
    int empty = 0, gaze = 0, different = 0;
    char *before = NULL;
    for (uint64_t i = 1; i <= MANY; i++) {
        synth_draw d = drawn(5, i, &usual);
        char *caption = captioned(5, i, &d);
        expect_true_words(caption, &d);
        for (const char *s = caption; *s; s++)
            assert_true((*s >= 'a' && *s <= 'z') || *s == ' ' || *s == ',' || *s == '-' || (*s == '3' && s[1] == 'd'));
        assert_false(says(caption, "  ") || says(caption, " ,") || says(caption, ",,"));
        assert_true(strlen(caption) < 300);
        empty += !*caption, gaze += says(caption, "looking");
        different += !before || strcmp(before, caption) != 0;
        free(before);
        before = caption;
    }
    free(before);
    assert_in_range(empty, MANY / 200, MANY / 20);
    assert_in_range(gaze, MANY / 4, MANY);
    assert_true(different > MANY * 9 / 10);
}

/* The caption of the mirrored face is that of the face with left and right swapped: so training may mirror. */
static void test_mirrored(void **state) {
    (void)state;
    int sided = 0;
    for (uint64_t i = 1; i <= MANY; i++) {
        synth_draw d = drawn(6, i, &usual), m = d;
        synth_face *f = &m.face;
        f->yaw = -f->yaw, f->roll = -f->roll, f->offset_x = -f->offset_x, f->key_azimuth = -f->key_azimuth;
        for (int k = 0; k < 2; k++) {
            f->eyes[k] = d.face.eyes[1 - k], f->brows[k] = d.face.brows[1 - k];
            f->gaze_x[k] = -d.face.gaze_x[1 - k], f->gaze_y[k] = d.face.gaze_y[1 - k];
        }
        char *caption = captioned(6, i, &d), *mirror = captioned(6, i, &m), *swapped = mirror_words(caption);
        assert_string_equal(mirror, swapped);
        sided += strcmp(caption, swapped) != 0;
        free(caption);
        free(mirror);
        free(swapped);
    }
    assert_true(sided > MANY / 3);
}

static void test_few_words(void **state) {
    (void)state;
    static char known[400][20];
    int words = 0;
    for (uint64_t i = 1; i <= MANY; i++) {
        synth_draw d = drawn(4, i, &usual);
        char *caption = captioned(4, i, &d), *rest = NULL;
        for (char *w = strtok_r(caption, " ,", &rest); w; w = strtok_r(NULL, " ,", &rest)) {
            int k = 0;
            while (k < words && strcmp(known[k], w) != 0) k++;
            assert_true(strlen(w) < 20 && k < 400);
            if (k == words) strcpy(known[words++], w);
        }
        free(caption);
    }
    assert_in_range(words, 80, 160);
}

/* ---- sidecars ------------------------------------------------------------------------------------------------------------ */

static text sidecar_of(uint64_t number, synth_origin *origin) {
    synth_draw d = drawn(7, number, &usual);
    synth_truth truth = { .cm = 8.25f, .turn = { 1, 0, 0, 0, 1, 0, 0, 0, 1 }, .ahead = { { 468, 1, 2, 3 }, { 473, 4, 5, 6 } } };
    for (int i = 0; i < SYNTH_POINTS; i++) truth.point[i] = (synth_point){ i, 0.1f * (float)i, 128, 80 };
    *origin = (synth_origin){
        .seed = 7, .number = number, .settings = "0123456789abcdef", .file = "7-000042.png", .width = 256, .height = 256,
    };
    memset(origin->sha256, 'a', 64);
    text out = { 0 };
    synth_sidecar_write(origin, &d, &truth, "a \"smiling\" woman", &out);
    assert_int_equal(text_check(&out), 0);
    return out;
}

static synth_seen look(const text *doc, const synth_origin *origin) {
    synth_seen seen;
    synth_sidecar_read((const uint8_t *)doc->data, doc->size, origin, &seen);
    return seen;
}

static void test_sidecar(void **state) {
    (void)state;
    synth_origin origin, other;
    text doc = sidecar_of(42, &origin);
    synth_seen seen = look(&doc, &origin);
    assert_int_equal(seen.state, SYNTH_SAME);
    assert_false(seen.edited);
    assert_string_equal(seen.file, "7-000042.png");
    assert_string_equal(seen.sha256, origin.sha256);
    other = origin, other.number = 43;
    assert_int_equal(look(&doc, &other).state, SYNTH_OTHER);
    other = origin, memcpy(other.settings, "fedc", 4);
    assert_int_equal(look(&doc, &other).state, SYNTH_OTHER);
    char *word = strstr(doc.data, "woman");
    word[0] = 'W';
    seen = look(&doc, &origin);
    assert_int_equal(seen.state, SYNTH_SAME);
    assert_true(seen.edited);
    doc.size--;   /* the newline */
    assert_true(look(&doc, &origin).state == SYNTH_SAME && look(&doc, &origin).edited);
    for (size_t n = doc.size - 1; n > 0; n -= n > 97 ? 97 : n) {
        text part = { .data = doc.data, .size = n };
        assert_int_equal(look(&part, &origin).state, SYNTH_FOREIGN);
    }
    static const char *const strange[] = { "7-000043.png", "anna.png", "7-000042.txt", "7-000042x.png", "7-000042.png.png" };
    for (size_t i = 0; i < sizeof strange / sizeof *strange; i++) {   /* a file that mien would replace or remove */
        other = origin, other.file = strange[i];
        synth_draw d = drawn(7, 42, &usual);
        synth_truth truth = { .ahead = { { .landmark = 468 }, { .landmark = 473 } } };
        for (int k = 0; k < SYNTH_POINTS; k++) truth.point[k].landmark = k;
        text forged = { 0 };
        synth_sidecar_write(&other, &d, &truth, "forged", &forged);
        assert_int_equal(look(&forged, &origin).state, SYNTH_FOREIGN);
        text_free(&forged);
    }
    synth_sidecar_read((const uint8_t *)"", 0, &origin, &seen);
    assert_int_equal(seen.state, SYNTH_LOST);
    text_free(&doc);
}

/* What build makes of it. */
static void test_build_reads_it(void **state) {
    (void)state;
    synth_origin origin;
    text doc = sidecar_of(42, &origin);
    sidecar s;
    assert_int_equal(sidecar_parse("x.json", (const uint8_t *)doc.data, doc.size, &s), 0);
    assert_string_equal(s.caption, "a \"smiling\" woman");
    assert_true(sidecar_safe(&s, 0.1) && s.rendered && !s.url);
    sidecar_free(&s);
    const char *plain = "{\"caption\": \"x\", \"synth\": true}";
    assert_int_equal(sidecar_parse("x.json", (const uint8_t *)plain, strlen(plain), &s), 0);
    assert_false(s.rendered);
    sidecar_free(&s);
    text_free(&doc);
}

/* ---- the options --------------------------------------------------------------------------------------------------------- */

static void test_options(void **state) {
    (void)state;
    mien_synth_options good = mien_synth_defaults();
    good.output = "/nowhere/at/all", good.count = 1;
    mien_synth_options bad[12];
    for (int i = 0; i < 12; i++) bad[i] = good;
    bad[0].output = "", bad[1].count = 0, bad[2].first = 0, bad[3].width = 15, bad[4].height = 4097, bad[5].yaw = 46,
        bad[6].face_least = 0.7, bad[7].face_most = 1.1;
    bad[8].quality = 0, bad[9].part = 3, bad[9].parts = 2, bad[10].cpu = "z80", bad[11].roll = (double)(0 * __builtin_inf());
    for (int i = 0; i < 12; i++) {
        mien_progress p;
        assert_int_equal(mien_synth(&bad[i], &p), MIEN_ERR_USAGE);
        assert_true(*mien_error() && p.total == 0);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_options),
        cmocka_unit_test(test_chance), cmocka_unit_test(test_limits), cmocka_unit_test(test_golden),
        cmocka_unit_test(test_independent),
        cmocka_unit_test(test_identities), cmocka_unit_test(test_spread), cmocka_unit_test(test_captions_are_true),
        cmocka_unit_test(test_mirrored),
        cmocka_unit_test(test_few_words), cmocka_unit_test(test_sidecar), cmocka_unit_test(test_build_reads_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
