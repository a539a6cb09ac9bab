/* SPDX-License-Identifier: Apache-2.0
 *
 * What lies in a run's folder beside its checkpoints: settings.json, log.jsonl, the lines of the plan, sheets. (The whole, killed and
 * broken: tests/cli/train_saves.sh.) */
#define _GNU_SOURCE
#include <math.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "fixtures.h"
#include "scratch.h"
#include "train/log.h"
#include "train/plan_lines.h"
#include "train/run_folder.h"
#include "train/sample_sheet.h"
#include "train/save.h"

static char told[4096];
static void say(void *context, mien_log_kind kind, const char *path, const char *message) {
    (void)context, (void)kind, (void)path;
    strncat(told, message, sizeof told - strlen(told) - 1);
    strncat(told, "\n", sizeof told - strlen(told) - 1);
}
static const mien_hooks hooks = { .log = say };

static void put_file(const char *path, const char *s) { assert_int_equal(file_save(path, s, strlen(s)), 0); }

static void expect_file(const char *path, const char *want) {
    uint8_t *data;
    size_t size;
    if (file_load(path, 1 << 20, &data, &size) < 0) fail_msg("%s", error_message());
    data = realloc(data, size + 1);
    data[size] = 0;
    assert_string_equal((char *)data, want);
    free(data);
}

/* ---- settings.json ------------------------------------------------------------------------------------------------------- */

#define HASH_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define HASH_B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define WRITTEN "{\"format\":1,\"kind\":\"train\",\"mien\":\"" MIEN_VERSION "\",\"settings\":{\"batch\":4,\"lr\":1e-05,\"seed\":-9223372036854775808," \
    "\"redraw\":true,\"optimizer\":\"adamw\",\"min-snr\":null},\"free\":{\"steps\":100},\"models\":{\"base\":\"" HASH_A "\"},\"data\":{\"items\":7,\"sha256\":\"" HASH_B "\"}}\n"

static run_settings some_settings(void) {
    run_settings s = { 0 };
    run_settings_integer(&s, "batch", 4, false);
    run_settings_number(&s, "lr", 1e-5, false);
    run_settings_integer(&s, "seed", INT64_MIN, false);
    run_settings_flag(&s, "redraw", true, false);
    run_settings_text(&s, "optimizer", "adamw", false);
    run_settings_text(&s, "min-snr", NULL, false);
    run_settings_integer(&s, "steps", 100, true);
    run_settings_model(&s, "base", HASH_A);
    run_settings_data(&s, 7, HASH_B);
    return s;
}

static void test_settings(void **state) {
    (void)state;
    run_settings s = some_settings(), r;
    text a = { 0 }, b = { 0 }, different = { 0 };
    assert_int_equal(run_settings_write(&s, &a), 0);
    assert_string_equal(a.data, WRITTEN);
    assert_int_equal(run_settings_read("x", (uint8_t *)a.data, a.size, &r), 0);
    assert_int_equal(run_settings_write(&r, &b), 0);
    assert_string_equal(a.data, b.data);
    assert_false(run_settings_differ(&s, &r, &different));
    assert_true(run_settings_same_data(&s, &r));
    run_settings_free(&s), run_settings_free(&r), text_free(&a), text_free(&b), text_free(&different);
}

static void test_settings_differ(void **state) {
    (void)state;
    run_settings there = some_settings(), here = { 0 };
    text different = { 0 };
    run_settings_integer(&here, "batch", 8, false);
    run_settings_number(&here, "lr", 1e-5, false);
    run_settings_integer(&here, "seed", INT64_MIN, false);
    run_settings_flag(&here, "redraw", true, false);
    run_settings_text(&here, "optimizer", "adamw8", false);
    run_settings_flag(&here, "mirror", true, false);
    run_settings_integer(&here, "steps", 200, true);               /* may */
    run_settings_integer(&here, "keep", 2, true);
    run_settings_model(&here, "base", HASH_B);
    run_settings_model(&here, "control", HASH_B);
    run_settings_data(&here, 7, HASH_A);
    assert_true(run_settings_differ(&there, &here, &different));
    assert_string_equal(different.data, "batch is 4 there and 8 here; optimizer is \"adamw\" there and \"adamw8\" here; min-snr is null there and not set here; the base is another model; "
                                        "mirror is not set there and true here; the control is given on one side only");
    assert_false(run_settings_same_data(&there, &here));
    run_settings_free(&there), run_settings_free(&here), text_free(&different);
}

static void test_settings_hostile(void **state) {
    (void)state;
    static const struct { const char *json; int rc; const char *said; } bad[] = {
        { "", ERR_FORMAT, "x: line" },
        { "[]", ERR_FORMAT, "an object {...} was expected" },
        { "{}", ERR_FORMAT, "\"format\" is missing" },
        { "{\"format\":2}", ERR_UNSUPPORTED, "format 2 is unknown" },
        { "{\"format\":1,\"kind\":\"build\"}", ERR_FORMAT, "\"train\" was expected" },
        { "{\"format\":1,\"kind\":\"train\",\"settings\":{\"a\":[1]},\"free\":{},\"models\":{},\"data\":{\"items\":0,\"sha256\":\"\"}}", ERR_FORMAT, "settings.a: a text, a number" },
        { "{\"format\":1,\"kind\":\"train\",\"settings\":{\"a\":1,\"a\":2},\"free\":{}}", ERR_FORMAT, "duplicate" },
        { "{\"format\":1,\"kind\":\"train\",\"settings\":{},\"free\":{},\"models\":{\"base\":\"xyz\"},\"data\":{\"items\":0,\"sha256\":\"\"}}", ERR_FORMAT, "models.base: a SHA-256" },
        { "{\"format\":1,\"kind\":\"train\",\"settings\":{},\"free\":{},\"models\":{},\"data\":{\"items\":-1,\"sha256\":\"\"}}", ERR_FORMAT, "data.items: a whole number" },
        { "{\"format\":1,\"kind\":\"train\",\"settings\":{},\"free\":{},\"models\":{}}", ERR_FORMAT, "\"data\" is missing" },
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        run_settings s;
        int rc = run_settings_read("x", (const uint8_t *)bad[i].json, strlen(bad[i].json), &s);
        if (rc != bad[i].rc || !strstr(error_message(), bad[i].said)) fail_msg("%s: %d, %s", bad[i].json, rc, error_message());
    }
    text many = { 0 };
    text_add(&many, "{\"format\":1,\"kind\":\"train\",\"settings\":{\"a\":0");
    for (int i = 0; i < 1000; i++) text_printf(&many, ",\"a%d\":0", i);
    text_add(&many, "},\"free\":{},\"models\":{},\"data\":{\"items\":0,\"sha256\":\"\"}}");
    run_settings s;
    assert_int_equal(run_settings_read("x", (uint8_t *)many.data, many.size, &s), ERR_LIMIT);
    text_free(&many);
}

/* ---- the folder ------------------------------------------------------------------------------------------------------------ */

static void test_folder(void **state) {
    (void)state;
    run_settings s = some_settings();
    run_folder_options o = { .path = "a/run", .settings = &s, .hooks = &hooks };
    run_folder r, second;
    assert_int_equal(run_folder_open(&o, &r), 0);
    assert_false(r.resumed);
    expect_file("a/run/settings.json", WRITTEN);
    o.resume = true;
    assert_int_equal(run_folder_open(&o, &second), ERR_EXISTS);
    assert_non_null(strstr(error_message(), "a/run: is being written by process "));
    run_folder_close(&r);
    put_file("a/run/.settings.json.mien-tmp-999999999-0", "");
    assert_int_equal(mkdir("a/run/checkpoints", 0777), 0);
    assert_int_equal(mkdir("a/run/checkpoints/.step-000003.mien-tmp-1-0", 0777), 0);
    put_file("a/run/checkpoints/.step-000003.mien-tmp-1-0/control.safetensors", "half");
    put_file("a/run/checkpoints/.step-000003.mien-tmp-1-0/.state.safetensors.mien-tmp-1-4", "half");
    assert_int_equal(mkdir("a/run/checkpoints/.step-000002.mien-tmp-1-0", 0777), 0);
    put_file("a/run/checkpoints/.step-000002.mien-tmp-1-0/state.safetensors", "its removal was begun");
    put_file("a/run/checkpoints/.step-000002.mien-tmp-1-0/notes.txt", "mine");
    assert_int_equal(mkdir("a/run/checkpoints/step-000001", 0777), 0);
    put_file("a/run/checkpoints/step-000001/control.safetensors", "kept by hand");
    assert_int_equal(mkdir("a/run/checkpoints/.step-1.mien-tmp-1-0", 0777), 0);
    put_file("a/run/checkpoints/.step-1.mien-tmp-1-0/control.safetensors", "no name of ours");
    assert_int_equal(run_folder_open(&o, &r), 0);
    assert_true(r.resumed);
    assert_int_equal(access("a/run/.settings.json.mien-tmp-999999999-0", F_OK), -1);
    assert_int_equal(access("a/run/checkpoints/.step-000003.mien-tmp-1-0", F_OK), -1);
    assert_int_equal(access("a/run/checkpoints/.step-000002.mien-tmp-1-0", F_OK), -1);
    assert_int_equal(access("a/run/checkpoints/step-000002.aside-1/state.safetensors", F_OK), -1);
    expect_file("a/run/checkpoints/step-000002.aside-1/notes.txt", "mine");
    expect_file("a/run/checkpoints/step-000001/control.safetensors", "kept by hand");
    expect_file("a/run/checkpoints/.step-1.mien-tmp-1-0/control.safetensors", "no name of ours");
    run_folder_close(&r);
    assert_int_equal(access("a/run/.mien.lock", F_OK), -1);
    /* A run that was killed before it had settings. */
    assert_int_equal(mkdir("early", 0777), 0);
    put_file("early/.settings.json.mien-tmp-999999999-0", "{");
    o.path = "early";
    assert_int_equal(run_folder_open(&o, &r), 0);
    assert_false(r.resumed);
    run_folder_close(&r);
    assert_int_equal(run_folder_room(".", 1, "one byte"), 0);
    assert_int_equal(run_folder_room(".", UINT64_MAX, "all"), ERR_FULL);
    run_settings_free(&s);
}

/* ---- log.jsonl ------------------------------------------------------------------------------------------------------------- */

static void test_log(void **state) {
    (void)state;
    train_log *l;
    assert_int_equal(train_log_open(".", 0, &hooks, &l), 0);
    log_line n = { .step = 1, .epoch = 1, .loss = (double)0.1f, .smoothed = 0.125, .rate = 1e-5, .seconds = 3.25, .images_per_second = 1 / 3.25, .wait = 0.001, .norm = 2, .divergence = 0.5, .exchange = NAN,
                   .peak_bytes = 8000000000 };
    assert_int_equal(train_log_add(l, &n), 0);
    n = (log_line){ .step = 2, .loss = 0.5, .smoothed = NAN, .rate = 0, .seconds = 3, .images_per_second = NAN, .wait = 0, .norm = INFINITY, .divergence = NAN, .exchange = NAN };
    assert_int_equal(train_log_add(l, &n), 0);
    assert_int_equal(train_log_sync(l), 0);
    train_log_close(l);
#define ONE "{\"step\":1,\"epoch\":1,\"loss\":0.10000000149011612,\"smoothed\":0.125,\"lr\":1e-05,\"grad_norm\":2,\"divergence\":0.5,\"seconds\":3.25," \
            "\"images_per_second\":0.30769232,\"wait\":0.001,\"peak_bytes\":8000000000}\n"
#define TWO "{\"step\":2,\"loss\":0.5,\"lr\":0,\"seconds\":3,\"wait\":0}\n"
    expect_file("log.jsonl", ONE TWO);
    *told = 0;
    put_file("log.jsonl", ONE TWO "{\"step\":3}\n{\"step\":4}\n{\"ste");
    assert_int_equal(train_log_open(".", 3, &hooks, &l), 0);
    n.step = 4;
    assert_int_equal(train_log_add(l, &n), 0);
    train_log_close(l);
    expect_file("log.jsonl", ONE TWO "{\"step\":3}\n{\"step\":4,\"loss\":0.5,\"lr\":0,\"seconds\":3,\"wait\":0}\n");
    assert_string_equal(told, "log.jsonl: 1 line behind step 3 cut off: it is computed again\n");
    *told = 0;
    put_file("log.jsonl", "\n[]\n{\"step\":-1}\n{\"step\":1.5}\n{\"step\":99999999999999999999}\n" ONE "{\"step\":2,\"step\":0}\n");
    assert_int_equal(train_log_open(".", 1, &hooks, &l), 0);
    train_log_close(l);
    expect_file("log.jsonl", ONE);
    assert_string_equal(told, "6 lines could not be read and are left out\n");
    struct stat before, after;
    stat("log.jsonl", &before);
    assert_int_equal(train_log_open(".", 1, &hooks, &l), 0);
    train_log_close(l);
    stat("log.jsonl", &after);
    assert_true(before.st_ino == after.st_ino);                    /* nothing to cut: nothing is written */
    assert_int_equal(unlink("log.jsonl"), 0);
    assert_int_equal(symlink("/etc/passwd", "log.jsonl"), 0);
    assert_int_equal(train_log_open(".", 1, &hooks, &l), ERR_IO);
}

static void test_log_full(void **state) {
    (void)state;
    pid_t child = fork();
    if (child == 0) {
        train_log *l;
        log_line n = { .step = 1, .loss = 1.0 / 3, .smoothed = 1.0 / 3, .rate = 1.0 / 3, .norm = 1.0 / 3, .divergence = NAN, .exchange = NAN, .seconds = 1.0 / 3 };
        signal(SIGXFSZ, SIG_IGN);
        if (train_log_open(".", 0, NULL, &l) < 0) _exit(1);
        struct rlimit limit = { 100, 100 };
        if (setrlimit(RLIMIT_FSIZE, &limit) < 0) _exit(2);
        if (train_log_add(l, &n) == 0) _exit(3);
        n = (log_line){ .step = 2, .loss = 0.5, .smoothed = NAN, .norm = NAN, .divergence = NAN, .exchange = NAN };
        _exit(train_log_add(l, &n) == 0 ? 0 : 4);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    expect_file("log.jsonl", "{\"step\":2,\"loss\":0.5,\"lr\":0,\"seconds\":0,\"images_per_second\":0,\"wait\":0}\n");
}

/* ---- checkpoint.json and its sums ------------------------------------------------------------------------------------------- */

static uint64_t sum_in(const uint8_t *x, size_t n, size_t piece) {
    save_sum s = { 0 };
    for (size_t at = 0, k; at < n; at += k) {
        k = n - at < piece ? n - at : piece;
        save_sum_add(&s, x + at, k);
    }
    return save_sum_end(&s);
}

static void test_sum(void **state) {
    (void)state;
    uint8_t x[1000];
    for (size_t i = 0; i < sizeof x; i++) x[i] = (uint8_t)(i * i >> 3);
    for (size_t n = 0; n < 200; n++) {
        uint64_t want = sum_in(x, n, 1000);
        for (size_t piece = 1; piece < 70; piece += 7) assert_true(sum_in(x, n, piece) == want);
        if (n) assert_true(sum_in(x, n - 1, 1000) != want);
    }
    uint64_t want = sum_in(x, sizeof x, 100);
    assert_true(want == 0x36dc755aaf743910);                       /* worked out beside, in Python: what was written once must be read for ever */
    for (size_t bit = 0; bit < 8 * sizeof x; bit++) {
        x[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_true(sum_in(x, sizeof x, 1000) != want);
        x[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    uint8_t zeros[65] = { 0 };
    for (size_t n = 0; n < 65; n++) assert_true(sum_in(zeros, n, 65) != sum_in(zeros, n + 1, 65));
}

static void test_save_list(void **state) {
    (void)state;
    static const char good[] = "{\"format\":1,\"step\":12,\"measure\":null,\"files\":{\"state.safetensors\":{\"bytes\":5,\"sum\":\"00000000000000ff\"}}}";
    save_list l;
    assert_int_equal(save_list_read("x", (const uint8_t *)good, strlen(good), &l), 0);
    assert_true(l.step == 12 && isnan(l.measure) && l.has[SAVE_STATE] && !l.has[SAVE_CONTROL] && l.bytes[SAVE_STATE] == 5 && l.hash[SAVE_STATE] == 255);
    static const char *const bad[] = { "{\"format\":1,\"step\":12,\"measure\":null,\"files\":{}}", "{\"format\":2}",
        "{\"format\":1,\"step\":12,\"measure\":null,\"files\":{\"../../etc/passwd\":{\"bytes\":5,\"sum\":\"00000000000000ff\"}}}",
        "{\"format\":1,\"step\":-12,\"measure\":null,\"files\":{}}", "{\"format\":1,\"step\":1,\"measure\":1e400,\"files\":{}}",
        "{\"format\":1,\"step\":12,\"measure\":null,\"files\":{\"state.safetensors\":{\"bytes\":5,\"sum\":\"ff\"}}}" };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) assert_true(save_list_read("x", (const uint8_t *)bad[i], strlen(bad[i]), &l) < 0);
}

/* ---- the plan, a sheet ------------------------------------------------------------------------------------------------------- */

static void test_plan(void **state) {
    (void)state;
    plan_needs n = { .weights = 1730000000, .states = 5780000000, .activations = 999600, .flops = 110, .flops_again = 10, .trained = 361279120, .checkpoint = 4340000000, .keep = 5,
                     .summed = 1440000000, .cache = 2820000000, .cached = 1000, .cache_kind = "all", .disk_free = 50123456789, .asked = 8000000000, .data = 12345 };
    text t = { 0 };
    plan_lines(&n, &t);
    assert_string_equal(t.data, "weights        1.73 GB   read only\n"
                                "states         5.78 GB   361.3 million trained numbers; 1.44 GB of it gradients that wait to be summed or clipped\n"
                                "activations    1.00 MB   computing some again: +10.0% arithmetic\n"
                                "data           12.3 KB   items being prepared\n"
                                "memory         7.51 GB   of 8.00 GB that --memory gives\n"
                                "checkpoints    30.4 GB   4.34 GB each: the last 5, the best, and the one being written\n"
                                "cache          2.82 GB   all; 1.00 KB of it is there\n"
                                "disk           33.2 GB   50.1 GB free\n");
    assert_true(plan_disk(&n, 0) == 7 * n.checkpoint + n.cache - n.cached);
    assert_true(plan_disk(&n, 8 * n.checkpoint) == n.cache - n.cached);
    text_free(&t);
    assert_true(plan_memory(&n) == n.weights + n.states + n.activations + n.data);
    n = (plan_needs){ .program = 1, .weights = 20, .states = 300, .activations = 4000, .encoders = 50000, .sheets = 600000, .data = 7000000, .keep = 1 };
    assert_true(plan_memory(&n) == 7600321);      /* sheets are made while activations and encoders are let go */
    n.sheets = 0;
    assert_true(plan_memory(&n) == 7054321);
    n.turns = true;
    assert_true(plan_memory(&n) == 7050321);
    plan_lines(&n, &t);
    assert_non_null(strstr(t.data, "program        1 bytes   with its libraries and lists\nstates "));   /* 20 bytes of weights are worth no line */
    assert_non_null(strstr(t.data, "\nencoders       50.0 KB   while the cache lacks something, in turns with activations\n"));
    text_free(&t);
    n.trained = 1000000;
    n.ranks = 4;
    plan_lines(&n, &t);
    assert_non_null(strstr(t.data, "\nexchange       6.00 MB   sent and received in each step by each of 4 ranks\n"));
    text_free(&t);
    /* No more checkpoints than steps make; and more if they take their time. */
    n = (plan_needs){ .tells_steps = true, .steps = 60, .from = 1, .batch = 64, .items = 12, .checkpoint = 1000000, .keep = 5, .due = 1, .minutes = 30 };
    assert_true(plan_disk(&n, 0) == 1000000);
    plan_lines(&n, &t);
    assert_non_null(strstr(t.data, "steps               60   1 are done\nbatch               64   pictures a step, of 12 that there are: each is in it 5.3 times\n"));
    assert_non_null(strstr(t.data, "\ncheckpoints    1.00 MB   1.00 MB each: 1; one more every 30 minutes, up to 7\ndisk           1.00 MB\n"));
    text_free(&t);
    n.steps = n.from = n.due = 0;
    n.items = 64;
    plan_lines(&n, &t);
    assert_non_null(strstr(t.data, "steps        until stopped\nstates"));
    assert_non_null(strstr(t.data, "\ncheckpoints    7.00 MB   1.00 MB each: the last 5, the best, and the one being written\n"));
    text_free(&t);
    n = (plan_needs){ .states = 999, .flops = 5, .keep = 1, .numbers = "bf16", .numbers_by = "as --dtype says", .prediction = "epsilon", .prediction_by = "as the base's metadata say" };
    plan_lines(&n, &t);
    assert_string_equal(t.data, "numbers           bf16   as --dtype says\nprediction     epsilon   as the base's metadata say\nstates       999 bytes   0.0 million trained numbers\nactivations    0 bytes   nothing is computed twice\n"
                                "memory       999 bytes\ncheckpoints    0 bytes   0 bytes each: the last 1, the best, and the one being written\ndisk           0 bytes\n");
    text_free(&t);
}

static void test_sheet(void **state) {
    (void)state;
    image map, picture, sheet, back;
    assert_int_equal(image_new(64, 64, &map), 0);
    assert_int_equal(image_new(512, 384, &picture), 0);
    memset(picture.rgb, 200, (size_t)512 * 384 * 3);
    sheet_sample s[8];
    for (int i = 0; i < 8; i++) s[i] = (sheet_sample){ &map, i == 5 ? NULL : &picture, i % 2 ? "a face, smiling \xff \n looking left, with words that go on and on" : NULL, NULL };
    for (size_t n = 1; n <= 8; n += 7) {
        uint8_t *png;
        size_t size;
        assert_int_equal(sample_sheet(s, n, "step 5000", "loss 0.1", &sheet), 0);
        assert_int_equal(sheet.width, n == 1 ? 296 : 6 * 284 + 12);
        assert_int_equal(sample_sheet_save("s.png", &sheet, "step 5000", &png, &size), 0);
        assert_int_equal(image_decode(png, size, NULL, &back), 0);
        assert_memory_equal(back.rgb, sheet.rgb, (size_t)sheet.width * (size_t)sheet.height * 3);
        /* In the middle of the first tile: the map is black there, the picture grey. */
        const uint8_t *p = sheet.rgb + ((size_t)(44 + 8 + 128) * (size_t)sheet.width + 12 + 8 + 128) * 3;
        assert_int_equal(p[0], 0);
        const uint8_t *q = sheet.rgb + ((size_t)(44 + 8 + 256 + 4 + 128) * (size_t)sheet.width + 12 + 8 + 128) * 3;
        assert_int_equal(q[0], 200);
        image_free(&back), image_free(&sheet), free(png);
    }
    assert_int_equal(sample_sheet(s, 0, "", "", &sheet), ERR_LIMIT);
    image_free(&map), image_free(&picture);
}

static const uint8_t *pixel_at(const image *sheet, int x, int y) { return sheet->rgb + ((size_t)y * (size_t)sheet->width + (size_t)x) * 3; }

/* Fourfold, or by what fits: its pixels are squares. Without captions tiles have no room for them. */
static void test_small_sheet(void **state) {
    (void)state;
    image small, odd, sheet;
    assert_int_equal(image_new(64, 64, &small), 0);
    assert_int_equal(image_new(100, 60, &odd), 0);
    for (int i = 0; i < 3; i++) small.rgb[i] = 250;
    memset(odd.rgb, 200, (size_t)100 * 60 * 3);
    assert_int_equal(sample_sheet(&(sheet_sample){ &small, &odd, "words", NULL }, 1, "step 1", "", &sheet), 0);
    int with = sheet.height, top = 44 + 8, left = 12 + 8;
    image_free(&sheet);
    assert_int_equal(sample_sheet(&(sheet_sample){ &small, &odd, NULL, NULL }, 1, "step 1", "", &sheet), 0);
    assert_true(sheet.height < with);
    assert_int_equal(*pixel_at(&sheet, left, top), 250);
    assert_int_equal(*pixel_at(&sheet, left + 3, top + 3), 250);
    assert_int_equal(*pixel_at(&sheet, left + 4, top), 0);
    assert_int_equal(*pixel_at(&sheet, left + 255, top + 255), 0);
    int middle = top + 256 + 4 + 128, without = sheet.height;
    assert_int_equal(*pixel_at(&sheet, left + 28, middle), 200);        /* 200 x 120 of 256 x 256 */
    assert_int_equal(*pixel_at(&sheet, left + 227, middle + 59), 200);
    assert_int_not_equal(*pixel_at(&sheet, left + 27, middle), 200);
    assert_int_not_equal(*pixel_at(&sheet, left + 28, middle + 60), 200);
    image_free(&sheet);
    /* The photo is a row more, below the picture. */
    assert_int_equal(sample_sheet(&(sheet_sample){ &small, &odd, "words", &odd }, 1, "step 1", "", &sheet), 0);
    assert_int_equal(sheet.height, with + 256 + 4);
    assert_int_equal(*pixel_at(&sheet, left + 28, middle), 200);
    assert_int_equal(*pixel_at(&sheet, left + 28, middle + 256 + 4), 200);
    image_free(&sheet);
    assert_int_equal(sample_sheet(&(sheet_sample){ &small, &odd, NULL, &odd }, 1, "step 1", "", &sheet), 0);
    assert_int_equal(sheet.height, without + 256 + 4);
    image_free(&sheet), image_free(&small), image_free(&odd);
}

int main(void) {
#define T(name) cmocka_unit_test_setup_teardown(name, scratch_enter, scratch_leave)
    const struct CMUnitTest tests[] = { T(test_settings), T(test_settings_differ), T(test_settings_hostile), T(test_folder), T(test_log), T(test_log_full), T(test_sum),
                                        T(test_save_list), T(test_plan), T(test_sheet), T(test_small_sheet) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
