/* SPDX-License-Identifier: Apache-2.0
 *
 * Landmarks JSON: what is written is read back to the bit, and every broken file is refused where it is broken. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/error.h"
#include "base/json.h"
#include "face/faces_json.h"

static const faces_origin origin = { "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", true, { 5, 0.5f, 0, false, false } };

static void fill(face *f, unsigned seed) {
    f->score = 0.25f + 0.125f * (float)(seed % 5);
    for (int i = 0; i < FACE_LANDMARKS; i++) {
        seed = seed * 1664525u + 1013904223u;
        f->landmarks[i] = (face_point){ (float)(seed >> 8) * 0x1p-24f, (float)(seed & 0xffffff) * 0x1p-23f - 0.5f, (float)(seed >> 9) * -0x1p-27f };
    }
}

static void test_round_trip(void **state) {
    (void)state;
    face two[2];
    fill(&two[0], 1), fill(&two[1], 2);
    faces in = { 640, 480, 2, two }, out;
    faces_origin from;
    text doc = { 0 }, again = { 0 };
    assert_int_equal(faces_json_write(&in, &origin, &doc), 0);
    assert_int_equal(faces_json_read("x.json", (const uint8_t *)doc.data, doc.size, &out, &from), 0);
    assert_int_equal(out.width, 640);
    assert_int_equal(out.height, 480);
    assert_int_equal(out.count, 2);
    assert_memory_equal(out.face, two, sizeof two);
    assert_string_equal(from.sha256, origin.sha256);
    assert_true(from.has_settings);
    assert_int_equal(faces_json_write(&out, &from, &again), 0);
    assert_string_equal(doc.data, again.data);
    free(out.face);
    text_free(&doc);
    text_free(&again);
}

static void test_text_is_stable(void **state) {
    (void)state;
    faces none = { 3, 2, 0, NULL };
    text doc = { 0 };
    faces_origin o = origin;
    o.settings = (faces_settings){ 1, 0.01f, 64, true, true };
    assert_int_equal(faces_json_write(&none, &o, &doc), 0);
    assert_string_equal(doc.data,
                        "{\"format\":1,\"width\":3,\"height\":2,\n"
                        "\"photo\":{\"sha256\":\"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\"},\n"
                        "\"settings\":{\"max_faces\":1,\"min_confidence\":0.01,\"min_face\":64,\"ignore_exif\":true,\"search\":\"auto\"},\n"
                        "\"faces\":[]}\n");
    text_free(&doc);
    face one = { 0 };
    one.score = 1;
    one.landmarks[7] = (face_point){ 0.5f, 0.25f, -1e-5f };
    none = (faces){ 3, 2, 1, &one };
    assert_int_equal(faces_json_write(&none, &(faces_origin){ 0 }, &doc), 0);
    const char *head = "{\"format\":1,\"width\":3,\"height\":2,\n\"faces\":[\n{\"score\":1,\"box\":[0,0,0.5,0.25],\"landmarks\":[[0,0,0],[0,0,0],";
    assert_memory_equal(doc.data, head, strlen(head));
    assert_non_null(strstr(doc.data, "[0.5,0.25,-9.99999975e-06]"));
    text_free(&doc);
    one.landmarks[3].z = 0.0f / 0.0f;
    assert_int_equal(faces_json_write(&none, &(faces_origin){ 0 }, &doc), ERR_FORMAT);
    text_free(&doc);
}

/* A document whose k-th point of one face is `point`. */
static char *with_point(int k, const char *point) {
    text t = { 0 };
    text_add(&t, "{\"format\":1,\"width\":4,\"height\":4,\"faces\":[{\"landmarks\":[");
    for (int i = 0; i < FACE_LANDMARKS; i++) text_printf(&t, "%s%s", i ? "," : "", i == k ? point : "[0.5,0.5,0]");
    text_add(&t, "]}]}");
    return t.data;
}

static void expect_refused(const char *doc, int code, const char *message) {
    faces f;
    assert_int_equal(faces_json_read("x.json", (const uint8_t *)doc, strlen(doc), &f, NULL), code);
    if (strncmp(error_message(), message, strlen(message)) != 0) assert_string_equal(error_message(), message);
}

static void expect_point_refused(int k, const char *point, const char *message) {
    char *doc = with_point(k, point);
    expect_refused(doc, ERR_FORMAT, message);
    free(doc);
}

static void test_refusals(void **state) {
    (void)state;
    expect_refused("", ERR_FORMAT, "x.json: line 1, column 1: ");
    expect_refused("{\"format\":1,\n\"width\" 3}", ERR_FORMAT, "x.json: line 2, column 9: ':' expected near '3'");
    expect_refused("{\"format\":1,\"width\":3,\"width\":3}", ERR_FORMAT, "x.json: line 1, column 29: duplicate object key");
    expect_refused("{\"format\":2}", ERR_UNSUPPORTED, "x.json: format: format 2 is unknown: this program reads format 1");
    expect_refused("{\"format\":1.5}", ERR_FORMAT, "x.json: format: a whole number");
    expect_refused("[]", ERR_FORMAT, "x.json: an object {...} was expected");
    expect_refused("{\"format\":1,\"height\":1,\"faces\":[]}", ERR_FORMAT, "x.json: \"width\" is missing");
    expect_refused("{\"format\":1,\"width\":0,\"height\":1,\"faces\":[]}", ERR_FORMAT, "x.json: width: a whole number from 1 to 1048576 was expected");
    expect_refused("{\"format\":1,\"width\":2.5,\"height\":1,\"faces\":[]}", ERR_FORMAT, "x.json: width: a whole number");
    expect_refused("{\"format\":1,\"width\":1,\"height\":1,\"faces\":{}}", ERR_FORMAT, "x.json: faces: a list [...] was expected");
    expect_refused("{\"format\":1,\"width\":1,\"height\":1,\"faces\":[7]}", ERR_FORMAT, "x.json: faces[0]: an object {...} was expected");
    expect_refused("{\"format\":1,\"width\":1,\"height\":1,\"faces\":[{}]}", ERR_FORMAT, "x.json: faces[0]: \"landmarks\" is missing");
    expect_refused("{\"format\":1,\"width\":1,\"height\":1,\"faces\":[{\"landmarks\":[[0,0,0]]}]}", ERR_FORMAT,
                   "x.json: faces[0].landmarks: 478 values were expected, there are 1");
    expect_refused("{\"format\":1,\"width\":1,\"height\":1,\"faces\":[{\"score\":1.5,\"landmarks\":[]}]}", ERR_FORMAT,
                   "x.json: faces[0].score: a number from 0 to 1 was expected");
    expect_refused("{\"format\":1,\"width\":1,\"height\":1,\"photo\":{\"sha256\":\"xyz\"},\"faces\":[]}", ERR_FORMAT,
                   "x.json: photo.sha256: 64 hexadecimal digits were expected");
    expect_refused("{\"format\":1,\"width\":1,\"height\":1,\"settings\":{\"max_faces\":5},\"faces\":[]}", ERR_FORMAT,
                   "x.json: settings: \"min_confidence\" is missing");
    expect_point_refused(12, "[0.5,\"1\",0]", "x.json: faces[0].landmarks[12][1]: a number was expected");
    expect_point_refused(477, "[0.5,1]", "x.json: faces[0].landmarks[477]: 3 values were expected, there are 2");
    expect_point_refused(3, "[0.5,0,NaN]", "x.json: line 1, column ");
    expect_point_refused(3, "[0.5,0,1e999]", "x.json: line 1, column ");
    expect_point_refused(3, "[0.5,0,1e9]", "x.json: faces[0].landmarks[3][2]: a number from -1e+06 to 1e+06 was expected");
    expect_point_refused(3, "null", "x.json: faces[0].landmarks[3]: a list [...] was expected");
}

static void test_hostile_size(void **state) {
    (void)state;
    size_t n = 8 << 20;
    char *doc = malloc(n + 1);
    assert_non_null(doc);
    memset(doc, '[', n);
    doc[n] = 0;
    expect_refused(doc, ERR_LIMIT, "x.json: would take about");
    memset(doc + 100000, 0, 1);
    expect_refused(doc, ERR_FORMAT, "x.json: line 1, column ");
    free(doc);
}

static void test_bare_list(void **state) {
    (void)state;
    faces f;
    faces_origin from;
    char *doc = with_point(0, "[0.25,2,-0]"), *bare = strstr(doc, "\"width\"") - 1;
    *bare = '{';
    assert_int_equal(faces_json_read("x.json", (const uint8_t *)bare, strlen(bare), &f, &from), 0);
    assert_int_equal(f.count, 1);
    assert_true(f.face[0].score == 1 && f.face[0].landmarks[0].x == 0.25f && f.face[0].landmarks[0].y == 2);
    assert_string_equal(from.sha256, "");
    assert_false(from.has_settings);
    free(f.face);
    free(doc);
}

static void test_fixtures(void **state) {
    (void)state;
    const char *shared = getenv("MIEN_SHARED");
    char path[4096];
    snprintf(path, sizeof path, "%s/fixtures/faces/ref/collage9.json", shared ? shared : "../shared");
    if (access(path, R_OK) < 0) {
        print_message("%s is not here\n", path);
        skip();
    }
    faces f;
    assert_int_equal(faces_json_load(path, &f, NULL), 0);
    assert_int_equal(f.count, 4);
    free(f.face);
}

/* A sound text for which there is no memory is not called broken. */
static void test_little_memory(void **state) {
    (void)state;
#ifdef __SANITIZE_ADDRESS__
    skip();
#endif
    pid_t child = fork();
    if (child == 0) {
        enum { ITEMS = 200000 };
        char *s = malloc(4 * ITEMS + 2);
        json *doc;
        for (size_t i = 0; i < ITEMS; i++) memcpy(s + 1 + 4 * i, "[0],", 4);
        s[0] = '[', s[4 * ITEMS] = ']';
        FILE *f = fopen("/proc/self/statm", "r");
        unsigned long pages;
        if (!f || fscanf(f, "%lu", &pages) != 1) _exit(2);
        fclose(f);
        rlim_t most = pages * (rlim_t)sysconf(_SC_PAGESIZE) + (4 << 20);
        setrlimit(RLIMIT_AS, &(struct rlimit){ most, most });
        _exit(json_parse("it", (const uint8_t *)s, 4 * ITEMS + 1, (size_t)1 << 30, &doc) != ERR_MEMORY);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip), cmocka_unit_test(test_text_is_stable), cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_hostile_size), cmocka_unit_test(test_bare_list),     cmocka_unit_test(test_fixtures),
        cmocka_unit_test(test_little_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
