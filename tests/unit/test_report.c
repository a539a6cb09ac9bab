/* SPDX-License-Identifier: Apache-2.0
 *
 * The report of planted journals: shifts and gazes of known size become the numbers that they are, whatever order the lines
 * stand in and however many parts wrote them; and what journals and settings may not say. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "eval/eval_settings.h"
#include "eval/report.h"
#include "fixtures.h"
#include "scratch.h"

/* Items 5 and 6 cannot be used; item 3 has no face without control. */
enum { ITEMS = 7, SEEDS = 2, KNOWN = 5, NO_FACE = 3, SIDE = 512 };
static face_point drawn[FACE_LANDMARKS];

static int load_face(void **unused) {
    (void)unused;
    float *p = fixture_f32("tests/golden/drawn_face.f32", 3 * FACE_LANDMARKS);
    for (int i = 0; i < FACE_LANDMARKS; i++) drawn[i] = (face_point){ p[3 * i], p[3 * i + 1], p[3 * i + 2] };
    free(p);
    return 0;
}

/* ---- what is planted ------------------------------------------------------------------------------------------------- */

static double iod(void) {
    double x = (double)(drawn[263].x - drawn[33].x), y = (double)(drawn[263].y - drawn[33].y),
        z = (double)(drawn[263].z - drawn[33].z);
    return sqrt(x * x + y * y + z * z);
}

/* Each item's wanted face looks another way. */
static double wanted_gaze(int item) { return 0.004 * (item - 2); }

static face face_of(int item, double shift, double gaze) {
    face f = { .score = 1 };
    for (int i = 0; i < FACE_LANDMARKS; i++) {
        double x = (double)drawn[i].x * 0.5 + 0.2 + shift * 0.5 * iod() + (i >= 468 ? wanted_gaze(item) + gaze : 0);
        f.landmarks[i] = (face_point){ (float)x, (float)((double)drawn[i].y * 0.5 + 0.2), (float)((double)drawn[i].z * 0.5) };
    }
    return f;
}

/* In IOD: of pictures with control, of photos, of pictures without control, which are beyond the reach of one. */
static double shift_of(eval_kind kind, int item, int k) {
    return kind == EVAL_CONTROL ? 0.02 * (1 + item) + 0.01 * k : kind == EVAL_PHOTO ? 0.02 : 2.0 + 0.1 * item;
}
static double gaze_of(eval_kind kind, int item, int k) {
    return kind == EVAL_CONTROL ? 0.001 * (1 + k) : kind == EVAL_PHOTO ? 0.0005 : -2 * wanted_gaze(item) + 0.008;
}

typedef struct { evaluation v; eval_options o; eval_item item[ITEMS]; char ids[ITEMS][16]; uint8_t state[ITEMS][1 + 2 * SEEDS]; } planted;

static void set_out(planted *p, const char *folder) {
    memset(p, 0, sizeof *p);
    p->o = (eval_options){ .output = folder, .count = ITEMS, .seeds = SEEDS };
    p->v = (evaluation){ .o = &p->o, .item = p->item, .n = ITEMS, .seeds = SEEDS, .has = { true, true, true } };
    text_add(&p->v.settings,
             "{\"format\":1,\"kind\":\"eval\",\"mien\":\"0\",\"settings\":{\"count\":7},\"models\":{\"base\":\"0123456789\"}}\n");
    for (int i = 0; i < ITEMS; i++) {
        snprintf(p->ids[i], sizeof p->ids[i], "item%d", i);
        p->item[i] = (eval_item){ .line = (uint64_t)(10 + 3 * ((i * 4) % ITEMS)), .id = p->ids[i], .state = p->state[i],
                                  .mine = true };
    }
}

typedef struct { text line[ITEMS * (2 + 2 * SEEDS) + 8]; int n; } lines;

static void add(lines *l, const eval_record *r) { assert_int_equal(eval_record_write(r, &l->line[l->n++]), 0); }

static void plant_picture(lines *l, const planted *p, int i, eval_kind kind, int k) {
    face f = face_of(i, shift_of(kind, i, k), gaze_of(kind, i, k));
    eval_record r = { .what = EVAL_LINE_PICTURE, .line = p->item[i].line, .kind = kind,
                      .seed = eval_seed(&p->v, &p->item[i], kind, k), .faces = { SIDE, SIDE, 1, &f } };
    if (kind == EVAL_FREE && i == NO_FACE) r.faces = (faces){ SIDE, SIDE, 0, NULL };
    if (kind == EVAL_CONTROL && i == 0 && k == 1) {
        r.what = EVAL_LINE_FAILED;
        r.id = p->ids[i];
        r.why = "the numbers ran over";
    }
    add(l, &r);
}

static void plant(lines *l, const planted *p) {
    memset(l, 0, sizeof *l);
    for (int i = 0; i < ITEMS; i++) {
        face f = face_of(i, 0, 0);
        if (i < KNOWN)
            add(l, &(eval_record){ .what = EVAL_LINE_ITEM, .line = p->item[i].line, .id = p->ids[i], .prompt = "a \"face\" <b>",
                                   .map = "0123456789", .width = SIDE, .height = SIDE,
                                   .from_photo = i == 1, .faces = { SIDE, SIDE, 1, &f } });
        else add(l, &(eval_record){ .what = EVAL_LINE_FAILED, .line = p->item[i].line, .id = p->ids[i], .kind = EVAL_KINDS,
                                    .why = "its map is not there" });
        for (int k = 0; k < SEEDS && i < KNOWN; k++) {
            plant_picture(l, p, i, EVAL_CONTROL, k);
            plant_picture(l, p, i, EVAL_FREE, k);
        }
        if (i < KNOWN) plant_picture(l, p, i, EVAL_PHOTO, 0);
    }
    text_add(&l->line[l->n++], "{\"remark\":\"of a later version\"}");
    text_add(&l->line[l->n++],
             "{\"picture\":\"control\",\"line\":4000,\"seed\":1,\"faces\":{\"format\":1,\"width\":1,\"height\":1,\"faces\":[]}}");
}

static void lines_free(lines *l) {
    for (int i = 0; i < l->n; i++) text_free(&l->line[i]);
}

/* In `parts` journals, forward or backward. */
static void write_journals(const lines *l, const char *folder, int parts, bool backward) {
    for (int part = 1; part <= (parts ? parts : 1); part++) {
        journal *j;
        assert_int_equal(journal_open(folder, EVAL_JOURNAL, parts ? part : 0, parts, &j), 0);
        for (int i = 0; i < l->n; i++) {
            int at = backward ? l->n - 1 - i : i;
            if (!parts || at % parts == part - 1) assert_int_equal(journal_append(j, &l->line[at]), 0);
        }
        journal_close(j);
    }
}

/* ---- numbers --------------------------------------------------------------------------------------------------------- */

static void expect_number(const char *what, double got, double want, double bound) {
    if (!(fabs(got - want) <= bound)) fail_msg("%s: %.9g, %.9g was expected", what, got, want);
}

static double measured(int i, eval_kind kind, int k, measure_error m) {
    face wanted = face_of(i, 0, 0), found = face_of(i, shift_of(kind, i, k), gaze_of(kind, i, k));
    face_measure out;
    measure_faces(&wanted, &found, SIDE, SIDE, &out);
    return out.error[m];
}

/* The mean over what was planted. */
static double mean_of(eval_kind kind, measure_error m) {
    double sum = 0;
    int n = 0;
    for (int i = 0; i < KNOWN; i++)
        for (int k = 0; k < (kind == EVAL_PHOTO ? 1 : SEEDS); k++) {
            if ((kind == EVAL_FREE && i == NO_FACE) || (kind == EVAL_CONTROL && i == 0 && k == 1)) continue;
            sum += measured(i, kind, k, m), n++;
        }
    return sum / n;
}

static void check_groups(const report *r) {
    const report_group *c = &r->group[GROUP_CONTROL], *f = &r->group[GROUP_FREE], *p = &r->group[GROUP_PHOTO];
    assert_int_equal(c->pictures, KNOWN * SEEDS - 1);
    assert_int_equal(f->pictures, KNOWN * SEEDS);
    assert_int_equal(p->pictures, KNOWN);
    assert_int_equal(p->faces, KNOWN);
    expect_number("control answered", c->answered.value, 1, 0);
    expect_number("free detected", f->detected.value, 0.8, 1e-12);
    expect_number("free answered", f->answered.value, 0, 0);
    expect_number("free agrees", f->agree.value, 0.8, 1e-12);
    for (int m = 0; m < ERRORS; m++)
        for (int g = 0; g < GROUP_OTHERS; g++)
            expect_number(measure_errors[m].key, r->group[g].mean[m].value, mean_of((eval_kind)g, (measure_error)m), 1e-9);
    /* Shifts of the whole face are landmark errors of just that, irises aside: 1e-3 of it for their gaze. */
    expect_number("photos' landmarks", p->mean[ERROR_OVAL].value, 0.02, 1e-4);
    expect_number("free landmarks", f->mean[ERROR_OVAL].value, (2.0 + 2.1 + 2.2 + 2.4) / 4, 1e-3);
    expect_number("control's landmarks", c->mean[ERROR_OVAL].value,
                  (0.02 + 0.04 + 0.05 + 0.06 + 0.07 + 0.08 + 0.09 + 0.10 + 0.11) / 9, 1e-4);
    assert_int_equal(c->mean[ERROR_OVAL].clusters, KNOWN);
    assert_true(c->mean[ERROR_OVAL].low < c->mean[ERROR_OVAL].value && c->mean[ERROR_OVAL].value < c->mean[ERROR_OVAL].high);
}

static void check_ratios(const report *r) {
    double a = 0, b = 0;
    for (int i = 0; i < KNOWN; i++)
        for (int k = 0; k < SEEDS; k++) {
            if (i == NO_FACE || (i == 0 && k == 1)) continue;   /* both must be there */
            a += measured(i, EVAL_CONTROL, k, ERROR_GAZE_X), b += measured(i, EVAL_FREE, k, ERROR_GAZE_X);
        }
    expect_number("gaze to free", r->against[GROUP_FREE].ratio[ERROR_GAZE_X].value, a / b, 1e-9);
    expect_number("oval to photos", r->against[GROUP_PHOTO].ratio[ERROR_OVAL].value, (0.62 / 9) / 0.02, 1e-2);
    assert_false(r->against[GROUP_FREE].overlap[ERROR_OVAL]);
    assert_int_equal(r->judged, GROUP_CONTROL);
}

/* With the wanted faces of all others. */
static void check_others(const report *r) {
    double sum = 0;
    int n = 0;
    for (int i = 0; i < KNOWN; i++)
        for (int k = 0; k < SEEDS; k++) {
            if (i == 0 && k == 1) continue;
            double of = 0;
            for (int o = 0; o < KNOWN; o++) {
                face other = face_of(o, 0, 0), found = face_of(i, shift_of(EVAL_CONTROL, i, k), gaze_of(EVAL_CONTROL, i, k));
                face_reading a, b;
                double error[ERRORS];
                if (o == i) continue;
                measure_read(&other, SIDE, SIDE, &a);
                measure_read(&found, SIDE, SIDE, &b);
                measure_compare(&a, &b, error);
                of += error[ERROR_GAZE_X];
            }
            sum += of / (KNOWN - 1), n++;
        }
    expect_number("others' gaze", r->group[GROUP_OTHERS].mean[ERROR_GAZE_X].value, sum / n, 1e-6);
    assert_true(isnan(r->group[GROUP_OTHERS].mean[ERROR_OVAL].value));
    assert_true(r->group[GROUP_OTHERS].mean[ERROR_GAZE_X].value > 2 * r->group[GROUP_CONTROL].mean[ERROR_GAZE_X].value);
}

/* The wanted gazes differ, and those without control look the other way. */
static void check_readings(const report *r) {
    assert_true(r->group[GROUP_CONTROL].correlation[READ_GAZE_X_0].value > 0.9);
    expect_number("photos' correlation", r->group[GROUP_PHOTO].correlation[READ_GAZE_X_1].value, 1, 1e-6);
    assert_true(r->group[GROUP_FREE].correlation[READ_GAZE_X_0].value < -0.9);
    expect_number("photos' slope", r->group[GROUP_PHOTO].slope[READ_GAZE_X_0].value, 1, 1e-3);
}

static void test_numbers(void **state) {
    planted p;
    lines l;
    report r;
    (void)state;
    char folder[64];
    assert_int_equal(scratch_new(folder), 0);
    set_out(&p, folder);
    plant(&l, &p);
    write_journals(&l, folder, 0, false);
    assert_int_equal(report_make(&p.v, &r), 0);
    assert_int_equal(r.measured, KNOWN);
    assert_int_equal(r.left_out, ITEMS - KNOWN);
    assert_int_equal(r.failed, 1);
    assert_int_equal(r.from_photo, 1);
    check_groups(&r);
    check_ratios(&r);
    check_others(&r);
    check_readings(&r);
    report_free(&r);
    lines_free(&l);
    text_free(&p.v.settings);
    scratch_delete(folder);
}

static void report_of(int parts, bool backward, bool twice, text *out) {
    planted p;
    lines l;
    report r;
    char folder[64];
    assert_int_equal(scratch_new(folder), 0);
    set_out(&p, folder);
    plant(&l, &p);
    write_journals(&l, folder, parts, backward);
    if (twice) write_journals(&l, folder, 0, false);
    assert_int_equal(report_make(&p.v, &r), 0);
    assert_int_equal(report_json(&r, out), 0);
    report_free(&r);
    lines_free(&l);
    text_free(&p.v.settings);
    scratch_delete(folder);
}

static void test_order(void **state) {
    text want = { 0 };
    (void)state;
    report_of(0, false, false, &want);
    for (int i = 0; i < 4; i++) {
        text got = { 0 };
        report_of(i == 1 ? 3 : i == 2 ? 2 : 0, i > 0, i == 3, &got);
        assert_string_equal(got.data, want.data);
        text_free(&got);
    }
    assert_non_null(strstr(want.data, "a \\\"face\\\" <b>"));
    assert_non_null(strstr(want.data, "\"left_out\":\"its map is not there\""));
    assert_non_null(strstr(want.data, judge_caveat));
    text_free(&want);
}

/* What is known of each picture, for whoever goes on. */
static void test_state(void **state) {
    planted p;
    lines l;
    (void)state;
    char folder[64];
    assert_int_equal(scratch_new(folder), 0);
    set_out(&p, folder);
    plant(&l, &p);
    write_journals(&l, folder, 2, true);
    assert_int_equal(eval_look(&p.v), 0);
    for (int i = 0; i < ITEMS; i++) {
        assert_int_equal(p.item[i].known, i < KNOWN);
        assert_int_equal(p.item[i].failed, i >= KNOWN);
        for (size_t s = 0; s < 1 + 2 * SEEDS; s++)
            assert_int_equal(p.state[i][s], i >= KNOWN ? PICTURE_MISSING : i == 0 && s == eval_slot(&p.v, EVAL_CONTROL, 1)
                             ? PICTURE_FAILED : PICTURE_MEASURED);
    }
    lines_free(&l);
    text_free(&p.v.settings);
    scratch_delete(folder);
}

/* ---- what must not be ------------------------------------------------------------------------------------------------ */

static int read_line(const char *line) {
    json *doc;
    eval_record r = { .what = EVAL_LINE_OTHER };
    int rc = json_parse("line", (const uint8_t *)line, strlen(line), 1 << 20, &doc);
    if (rc < 0) return rc;
    json_at root = json_root(doc);
    rc = eval_record_read(&root, false, &r);
    free(r.faces.face);
    json_free(doc);
    return rc < 0 ? rc : (int)r.what;
}

#define NONE "\"faces\":{\"format\":1,\"width\":8,\"height\":8,\"faces\":[]}"

static void test_hostile_lines(void **state) {
    (void)state;
    assert_int_equal(read_line("{\"picture\":\"free\",\"line\":1,\"seed\":2," NONE "}"), EVAL_LINE_PICTURE);
    assert_int_equal(read_line("{\"failed\":\"item\",\"line\":1,\"item\":\"x\",\"why\":\"y\"}"), EVAL_LINE_FAILED);
    assert_int_equal(read_line("{\"mark\":\"begin\"}"), EVAL_LINE_OTHER);
    static const char *const wrong[] = {
        "{\"picture\":\"item\",\"line\":1,\"seed\":2," NONE "}", "{\"picture\":\"free\",\"line\":0,\"seed\":2," NONE "}",
            "{\"picture\":\"free\",\"line\":1,\"seed\":-1," NONE "}",
        "{\"picture\":\"free\",\"line\":1,\"seed\":2}", "{\"picture\":7,\"line\":1,\"seed\":2," NONE "}",
            "{\"failed\":\"control\",\"line\":1,\"item\":\"x\",\"why\":\"y\"}",
        "{\"item\":\"x\",\"line\":1,\"from\":\"photo\",\"prompt\":\"\",\"width\":0,\"height\":8,\"map\":\"\"," NONE "}",
        "{\"item\":\"x\",\"line\":1,\"from\":\"photo\",\"prompt\":\"\",\"width\":8,\"height\":8,\"map\":\"0123456789a\"," NONE "}",
        "{\"picture\":\"free\",\"line\":1,\"seed\":2,\"faces\":{\"format\":2,\"width\":8,\"height\":8,\"faces\":[]}}",
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) assert_true(read_line(wrong[i]) < 0);
}

static int compare(const char *there, const char *here) {
    text ours = { 0 };
    text_add(&ours, here);
    int rc = eval_settings_compare("settings.json", there, strlen(there), &ours);
    text_free(&ours);
    return rc;
}

#define HEAD "{\"format\":1,\"kind\":\"eval\",\"mien\":\"1\",\"settings\":"
#define TAIL ",\"models\":{\"base\":\"0\"},\"data\":{\"items\":2}}"

static void test_settings(void **state) {
    (void)state;
    assert_int_equal(compare(HEAD "{\"steps\":20,\"cfg\":9,\"guess\":false}" TAIL,
                             HEAD "{\"steps\":20,\"cfg\":9.0,\"guess\":false}" TAIL), 0);
    assert_int_equal(compare(HEAD "{\"steps\":20}" TAIL, HEAD "{\"steps\":30}" TAIL), ERR_USAGE);
    assert_non_null(strstr(error_message(), "steps is 20 there and 30 here"));
    assert_int_equal(compare(HEAD "{}" TAIL, HEAD "{\"steps\":30}" TAIL), ERR_USAGE);
    assert_int_equal(compare(HEAD "{}" ",\"models\":{\"base\":\"1\"},\"data\":{\"items\":2}}", HEAD "{}" TAIL), ERR_USAGE);
    assert_int_equal(compare("{\"format\":1,\"kind\":\"train\",\"settings\":{}}", HEAD "{}" TAIL), ERR_USAGE);
    assert_int_equal(compare("{\"format\":2,\"kind\":\"eval\",\"settings\":{}}", HEAD "{}" TAIL), ERR_UNSUPPORTED);
    assert_true(compare("[]", HEAD "{}" TAIL) < 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numbers), cmocka_unit_test(test_order), cmocka_unit_test(test_state),
            cmocka_unit_test(test_hostile_lines), cmocka_unit_test(test_settings),
    };
    return cmocka_run_group_tests(tests, load_face, NULL);
}
