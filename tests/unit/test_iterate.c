/* SPDX-License-Identifier: Apache-2.0
 *
 * The iterator through mien.h: its numbers against the original's formulae on Pillow (tests/reference/make_iterate_golden.py),
 * its order, its positions, and what it leaves out. */
#define _GNU_SOURCE
#include <sys/stat.h>

#include "base/archive.h"
#include "base/hash.h"
#include "data/dataset.h"
#include "data/iterate.h"
#include "data/order.h"
#include "data/selection.h"
#include "data/shard_name.h"
#include "fixtures.h"
#include "mien.h"
#include "scratch.h"

static char root[64], tree[1024];   /* where the data sets are made; where the goldens are */

static int enter(void **state) {
    (void)state;
    if (!getcwd(tree, sizeof tree) || scratch_new(root) < 0 || chdir(root) < 0) return -1;
    return folder_make("set/source") < 0 || folder_make("set/target") < 0 ? -1 : 0;
}

static int leave(void **state) {
    (void)state;
    return chdir(tree) < 0 ? -1 : scratch_delete(root);
}

/* ---- making data sets ---------------------------------------------------------------------------------------------- */

static void put_text(const char *path, const char *s) {
    if (file_save(path, s, strlen(s)) < 0) fail_msg("%s", error_message());
}

static void put_picture(const char *path, int width, int height, int value) {
    mien_image img;
    assert_int_equal(mien_image_new(width, height, &img), 0);
    memset(img.rgb, value, (size_t)width * (size_t)height * 3);
    if (mien_image_save_png(path, &img) < 0) fail_msg("%s", mien_error());
    mien_image_free(&img);
}

static mien_iterator *open_or_fail(const mien_iterate_options *o) {
    mien_iterator *it;
    if (mien_iterator_open(o, &it) < 0) fail_msg("%s", mien_error());
    return it;
}

enum { SIDE = 4, NUMBERS = SIDE * SIDE * 3, MOST = 64 };

/* n lines; the picture of line i has the value i in all pixels. Each seventh line is of no use, in turns because of the
 * line, the map, the photo, and their shapes. Returns how many are of use. */
static int make_set(int n) {
    text lines = { 0 };
    int good = 0;
    for (int i = 0; i < n; i++) {
        char path[64];
        int wrong = i % 7 == 3 ? i / 7 % 5 : -1;
        good += wrong < 0;
        if (wrong == 0) text_add(&lines, "{\"source\": 5}\n");
        else text_printf(&lines, "{\"source\": \"source/%d.png\", \"target\": \"target/%d.png\", \"prompt\": %s}\n", i, i, i % 2 ? "null" : "\"a face\"");
        snprintf(path, sizeof path, "set/source/%d.png", i);
        if (wrong == 1) put_text(path, "no picture");
        else if (wrong != 2) put_picture(path, 5, 6, i);
        snprintf(path, sizeof path, "set/target/%d.png", i);
        if (wrong != 3) put_picture(path, wrong == 4 ? 6 : 5, 6, i);
    }
    put_text("set/prompt.jsonl", lines.data);
    text_free(&lines);
    return good;
}

/* Takes n items one batch after the other and writes their lines down; every number is checked. Returns how many came. */
static int take(mien_iterator *it, int n, int batch, uint64_t *line, uint64_t *epoch) {
    static float hint[MOST * NUMBERS], target[MOST * NUMBERS];
    mien_item item[MOST];
    int taken = 0;
    while (taken < n) {
        int want = batch < n - taken ? batch : n - taken, got = mien_iterator_next(it, want, hint, target, item);
        if (got < 0) fail_msg("%s", mien_error());
        for (int i = 0; i < got; i++, taken++) {
            char id[32];
            line[taken] = item[i].line;
            if (epoch) epoch[taken] = item[i].epoch;
            snprintf(id, sizeof id, "%d", (int)item[i].line);
            assert_string_equal(item[i].id, id);
            assert_string_equal(item[i].prompt, item[i].line % 2 ? "an image" : "a face");
            for (int k = 0; k < NUMBERS; k++) {
                assert_true(hint[i * NUMBERS + k] == (float)item[i].line / 255.0f);
                assert_true(target[i * NUMBERS + k] == (float)item[i].line / 127.5f - 1.0f);
            }
            mien_item_free(&item[i]);
        }
        if (got < want) break;
    }
    return taken;
}

/* ---- numbers ------------------------------------------------------------------------------------------------------- */

static void put_golden_picture(const char *name, const char *folder, char file[64]) {
    int w, h;
    char path[1200];
    if (strchr(name, '.')) {
        size_t size;
        snprintf(path, sizeof path, "%s/tests/golden/image/%s", tree, name);
        uint8_t *data = fixture_bytes(path, &size);
        snprintf(file, 64, "%s", name);
        snprintf(path, sizeof path, "set/%s/%s", folder, file);
        assert_int_equal(file_save(path, data, size), 0);
        free(data);
        return;
    }
    assert_int_equal(sscanf(name, "%dx%d", &w, &h), 2);
    mien_image img;
    assert_int_equal(mien_image_new(w, h, &img), 0);
    uint32_t x = (uint32_t)(w * h);
    for (int i = 0; i < 3 * w * h; i++) img.rgb[i] = (uint8_t)((x = x * 1664525u + 1013904223u) >> 24);
    snprintf(file, 64, "%s.png", name);
    snprintf(path, sizeof path, "set/%s/%s", folder, file);
    assert_int_equal(mien_image_save_png(path, &img), 0);
    mien_image_free(&img);
}

static void hash_of(const float *x, size_t n, char hex[65]) {
    uint8_t digest[32];
    sha256(x, n * sizeof *x, digest);
    sha256_hex(digest, hex);
}

static void test_numbers(void **state) {
    (void)state;
    char path[1200], source[64], target[64], file[64], want_hint[65], want_photo[65], got[65];
    int size, n = 0;
    snprintf(path, sizeof path, "%s/tests/golden/iterate.txt", tree);
    FILE *table = fopen(path, "r");
    assert_non_null(table);
    for (; fscanf(table, "%d %63s %63s %64s %64s", &size, source, target, want_hint, want_photo) == 5; n++) {
        text line = { 0 };
        text_add(&line, "{\"source\": \"source/");
        put_golden_picture(source, "source", file);
        text_printf(&line, "%s\", \"target\": \"target/", file);
        put_golden_picture(target, "target", file);
        text_printf(&line, "%s\"}", file);
        put_text("set/prompt.jsonl", line.data);
        text_free(&line);
        mien_iterator *it = open_or_fail(&(mien_iterate_options){ .data = "set", .size = size, .epochs = 1, .stretch = 1, .threads = 1, .ahead = 1 });
        size_t numbers = (size_t)size * (size_t)size * 3;
        float *hint = malloc(2 * numbers * sizeof *hint);
        mien_item item;
        if (mien_iterator_next(it, 1, hint, hint + numbers, &item) != 1) fail_msg("%s, %s: nothing came: %s", source, target, mien_error());
        if (n == 0) {
            snprintf(path, sizeof path, "%s/tests/golden/iterate.f32", tree);
            float *want = fixture_f32(path, 2 * numbers);
            expect_equal_bits("the first", hint, want, 2 * numbers);
            free(want);
        }
        hash_of(hint, numbers, got);
        if (strcmp(got, want_hint)) fail_msg("size %d, source %s: the hint's bytes are not the original's", size, source);
        hash_of(hint + numbers, numbers, got);
        if (strcmp(got, want_photo)) fail_msg("size %d, source %s, target %s: the target's bytes are not the original's", size, source, target);
        mien_item_free(&item);
        free(hint);
        mien_iterator_close(it);
    }
    fclose(table);
    assert_int_equal(n, 28);
}

/* ---- order --------------------------------------------------------------------------------------------------------- */

static void test_order(void **state) {
    (void)state;
    enum { LARGEST = 5000 };
    static uint8_t seen[LARGEST];
    for (uint64_t n = 1; n <= LARGEST; n += n < 300 ? 1 : 997) {
        order o = order_of(n, n * 3, n % 5);
        memset(seen, 0, sizeof seen);
        for (uint64_t i = 0; i < n; i++) {
            uint64_t at = order_at(&o, i);
            assert_true(at < n);
            assert_false(seen[at]++);
        }
    }
    for (uint64_t n = UINT64_MAX; n > 1; n = n / 3) {
        order o = order_of(n, 1, 2);
        for (uint64_t i = 0; i < 20; i++) assert_true(order_at(&o, n - 1 - i % n) < n);
    }
    /* Never others: a resumed training goes by them. */
    static const uint64_t want[] = { 820605, 808084, 502527, 106204, 496249, 592343, 970998, 448642 };
    order o = order_of(1000000, 42, 7);
    for (uint64_t i = 0; i < 8; i++)
        if (order_at(&o, i) != want[i]) fail_msg("item %d is %llu", (int)i, (unsigned long long)order_at(&o, i));
}

/* Each item comes to each place about equally often, and is followed by each other one about equally often. */
static void test_order_is_even(void **state) {
    (void)state;
    enum { N = 10, ROUNDS = 20000 };
    static int at[N][N], after[N][N];
    for (int round = 0; round < ROUNDS; round++) {
        order o = order_of(N, (uint64_t)(round % 200), (uint64_t)(round / 200));
        for (uint64_t i = 0; i < N; i++) {
            at[i][order_at(&o, i)]++;
            if (i) after[order_at(&o, i - 1)][order_at(&o, i)]++;
        }
    }
    for (int i = 0; i < N; i++)
        for (int k = 0; k < N; k++) {
            assert_in_range(at[i][k], ROUNDS / N * 85 / 100, ROUNDS / N * 115 / 100);   /* 7 deviations */
            if (i != k) assert_in_range(after[i][k], ROUNDS / N * 85 / 100, ROUNDS / N * 115 / 100);
        }
}

static void expect_lines(const char *what, const uint64_t *got, const uint64_t *want, int n) {
    for (int i = 0; i < n; i++)
        if (got[i] != want[i]) fail_msg("%s: item %d is line %d, not %d", what, i, (int)got[i], (int)want[i]);
}

static void test_threads(void **state) {
    (void)state;
    enum { LINES = 60, ITEMS = 3 * LINES };
    int good = make_set(LINES);
    uint64_t want[ITEMS], got[ITEMS], epoch[ITEMS];
    static const struct { int threads, ahead, batch; } ways[] = { { 1, 1, 1 }, { 1, 16, 7 }, { 2, 3, 1 }, { 5, 2, 64 }, { 9, 40, 13 } };
    for (size_t w = 0; w < sizeof ways / sizeof *ways; w++) {
        mien_iterator *it = open_or_fail(
            &(mien_iterate_options){ .data = "set", .size = SIDE, .seed = 5, .epochs = 3, .threads = ways[w].threads, .ahead = ways[w].ahead });
        assert_int_equal(mien_iterator_count(it), LINES);
        assert_int_equal(take(it, ITEMS, ways[w].batch, got, epoch), 3 * good);
        assert_int_equal(take(it, ITEMS, 2, got + 3 * good, NULL), 0);
        if (w) expect_lines("threads", got, want, 3 * good);
        else memcpy(want, got, sizeof want);
        mien_iterator_close(it);
    }
    /* Every epoch has each line of use once, in an order of its own. */
    for (int e = 0; e < 3; e++) {
        uint64_t seen = 0;
        for (int i = e * good; i < (e + 1) * good; i++) {
            assert_int_equal(epoch[i], e);
            assert_int_not_equal(want[i] % 7, 3);
            assert_false(seen >> want[i] & 1);
            seen |= 1ull << want[i];
        }
        assert_true(memcmp(want, want + (e + 1) % 3 * good, (size_t)good * sizeof *want) || (e + 1) % 3 == 0);
    }
    mien_iterator *it = open_or_fail(&(mien_iterate_options){ .data = "set", .size = SIDE, .in_order = 1, .epochs = 1 });
    assert_int_equal(take(it, ITEMS, 9, got, NULL), good);
    for (int i = 1; i < good; i++) assert_true(got[i] > got[i - 1]);
    mien_iterator_close(it);
}

static void test_ranks(void **state) {
    (void)state;
    enum { LINES = 30, ITEMS = 4 * LINES };
    int good = make_set(LINES);
    uint64_t whole[ITEMS], got[ITEMS];
    mien_iterator *it = open_or_fail(&(mien_iterate_options){ .data = "set", .size = SIDE, .seed = 9, .epochs = 4 });
    assert_int_equal(take(it, ITEMS, 8, whole, NULL), 4 * good);
    mien_iterator_close(it);
    for (int ranks = 2; ranks <= 7; ranks++) {
        int times[LINES] = { 0 }, all = 0;
        for (int rank = 0; rank < ranks; rank++) {
            mien_progress p;
            it = open_or_fail(&(mien_iterate_options){ .data = "set", .size = SIDE, .seed = 9, .epochs = 4, .rank = rank, .ranks = ranks });
            int n = take(it, ITEMS, 3, got, NULL), at = 0;
            mien_iterator_progress(it, &p);
            assert_int_equal(p.total, (ITEMS - rank - 1) / ranks + 1);
            assert_int_equal(p.done + p.failed, p.total);
            mien_iterator_close(it);
            for (int i = 0; i < n; i++) {   /* in the order of the whole */
                while (at < 4 * good && whole[at] != got[i]) at++;
                assert_true(at++ < 4 * good);
                times[got[i]]++;
            }
            all += n;
        }
        assert_int_equal(all, 4 * good);
        for (int i = 0; i < LINES; i++) assert_int_equal(times[i], i % 7 == 3 ? 0 : 4);
    }
}

/* ---- positions ----------------------------------------------------------------------------------------------------- */

static void test_positions(void **state) {
    (void)state;
    enum { LINES = 20, ITEMS = 3 * LINES };
    int good = 3 * make_set(LINES);
    uint64_t want[ITEMS], got[ITEMS];
    mien_position at[ITEMS + 1];
    mien_iterate_options o = { .data = "set", .size = SIDE, .seed = 77, .epochs = 3, .rank = 0, .ranks = 1 };
    mien_iterator *it = open_or_fail(&o);
    for (int i = 0; i < good; i++) {
        at[i] = mien_iterator_position(it);
        assert_int_equal(take(it, 1, 1, want + i, NULL), 1);
    }
    at[good] = mien_iterator_position(it);
    o.seed = 1;   /* the position has it */
    mien_iterator *other = open_or_fail(&o);
    for (int i = good; i >= 0; i -= 5) {
        mien_iterator *from = i % 2 ? it : other;
        if (mien_iterator_restore(from, &at[i]) < 0) fail_msg("%s", mien_error());
        mien_position again = mien_iterator_position(from);
        assert_memory_equal(&again, &at[i], sizeof again);
        assert_int_equal(take(from, ITEMS, 1 + i % 6, got, NULL), good - i);
        expect_lines("restored", got, want + i, good - i);
    }
    /* While its threads are busy, and twice in a row. */
    for (int i = 0; i < 20; i++) {
        assert_int_equal(mien_iterator_restore(it, &at[i]), 0);
        assert_int_equal(take(it, i % 3, 1, got, NULL), i % 3);
    }
    static const mien_position hostile[] = { { 1, 0, LINES, 0 }, { 1, 0, UINT64_MAX, 0 }, { 1, UINT64_MAX, 0, 0 }, { 1, UINT64_MAX / LINES, 19, 0 } };
    mien_position before = mien_iterator_position(it);
    for (size_t i = 0; i < sizeof hostile / sizeof *hostile; i++) assert_int_equal(mien_iterator_restore(it, &hostile[i]), MIEN_ERR_USAGE);
    mien_position other_data = at[3];
    other_data.data ^= 1;
    assert_int_equal(mien_iterator_restore(it, &other_data), MIEN_ERR_USAGE);
    assert_non_null(strstr(mien_error(), "set: the data or lists are not those"));
    mien_position after = mien_iterator_position(it);
    assert_memory_equal(&before, &after, sizeof after);
    other_data.data = 0;
    assert_int_equal(mien_iterator_restore(it, &other_data), 0);
    assert_int_equal(take(it, 4, 4, got, NULL), 4);
    expect_lines("unlooked", got, want + 3, 4);
    /* Beyond the last epoch nothing comes. */
    assert_int_equal(mien_iterator_restore(it, &(mien_position){ 77, 3, 0, 0 }), 0);
    assert_int_equal(take(it, 1, 1, got, NULL), 0);
    mien_iterator_close(it);
    mien_iterator_close(other);

    /* Without end, near the end of all numbers; and by other ranks. */
    it = open_or_fail(&(mien_iterate_options){ .data = "set", .size = SIDE, .seed = 77 });
    assert_int_equal(mien_iterator_restore(it, &(mien_position){ 77, (uint64_t)1 << 58, 5, 0 }), 0);
    assert_int_equal(take(it, 30, 30, got, NULL), 30);
    mien_iterator_close(it);
    it = open_or_fail(&(mien_iterate_options){ .data = "set", .size = SIDE, .seed = 77, .rank = 2, .ranks = 3 });
    assert_int_equal(mien_iterator_restore(it, &(mien_position){ 77, 0, 4, 0 }), 0);
    assert_int_equal(mien_iterator_position(it).index, 5);
    mien_iterator_close(it);
}

/* ---- what is left out ---------------------------------------------------------------------------------------------- */

typedef struct { int n, stop_at; char message[64][256]; volatile int stop; } notes;   /* stops when there are stop_at */

static void note(void *context, mien_log_kind kind, const char *path, const char *message) {
    notes *n = context;
    assert_int_equal(kind, MIEN_LOG_ITEM_FAILED);
    assert_null(path);
    if (n->n < 64) snprintf(n->message[n->n], sizeof *n->message, "%s", message);
    if (++n->n == n->stop_at) n->stop = 1;
}

static void test_left_out(void **state) {
    (void)state;
    enum { LINES = 35 };
    int good = make_set(LINES);
    uint64_t got[4 * LINES];
    notes n = { 0 };
    mien_iterator *it =
        open_or_fail(&(mien_iterate_options){ .data = "set", .size = SIDE, .epochs = 2, .in_order = 1, .hooks = { .log = note, .context = &n } });
    assert_int_equal(take(it, 4 * LINES, 10, got, NULL), 2 * good);
    static const char *const want[] = { "set/prompt.jsonl, line 4: source: a string was expected", "set/source/10.png: not a picture: neither",
                                        "set/source/17.png: No such file", "set/target/24.png: No such file", "set/target/31.png: 6x6 pixels, while its map has 5x6" };
    assert_int_equal(n.n, 5);   /* in the first of the two epochs */
    for (int i = 0; i < 5; i++)
        if (strncmp(n.message[i], want[i], strlen(want[i]))) fail_msg("%s", n.message[i]);
    mien_progress p;
    mien_iterator_progress(it, &p);
    assert_int_equal(p.total, 2 * LINES);
    assert_int_equal(p.done, 2 * good);
    assert_int_equal(p.failed, 10);
    assert_string_equal(p.count[0].name, "missing");
    assert_int_equal(p.count[0].n, 4);
    assert_string_equal(p.count[1].name, "broken");
    assert_int_equal(p.count[1].n, 4);
    assert_string_equal(p.count[2].name, "mismatched");
    assert_int_equal(p.count[2].n, 2);
    mien_iterator_close(it);
    it = open_or_fail(&(mien_iterate_options){ .data = "set", .size = SIDE, .epochs = 1, .stretch = 1 });
    assert_int_equal(take(it, 4 * LINES, 10, got, NULL), good + 1);
    mien_iterator_close(it);
}

static void test_nothing_of_use(void **state) {
    (void)state;
    mien_iterator *it = NULL;
    float hint[NUMBERS], target[NUMBERS];
    mien_item item;
    assert_int_equal(mien_iterator_open(&(mien_iterate_options){ 0 }, &it), MIEN_ERR_USAGE);
    assert_int_equal(mien_iterator_open(&(mien_iterate_options){ .data = "nowhere" }, &it), MIEN_ERR_USAGE);
    put_text("set/prompt.jsonl", "");
    assert_int_equal(mien_iterator_open(&(mien_iterate_options){ .data = "set" }, &it), MIEN_ERR_USAGE);
    assert_non_null(strstr(mien_error(), "nothing in the data set"));
    put_text("set/prompt.jsonl", "\n{}\n\n");
    static const mien_iterate_options wrong[] = {
        { .size = -1 }, { .size = 8193 }, { .rank = 1 }, { .rank = 3, .ranks = 3 }, { .ranks = -1 }, { .threads = 257 }, { .ahead = -2 }, { .epochs = UINT64_MAX },
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        mien_iterate_options o = wrong[i];
        o.data = "set";
        assert_int_equal(mien_iterator_open(&o, &it), MIEN_ERR_USAGE);
    }
    assert_null(it);
    for (int in_order = 0; in_order < 2; in_order++) {
        it = open_or_fail(&(mien_iterate_options){ .data = "set", .size = SIDE, .in_order = in_order });
        assert_int_equal(mien_iterator_next(it, 1, hint, target, &item), MIEN_ERR_FORMAT);
        assert_non_null(strstr(mien_error(), "no item that can be used"));
        assert_int_equal(mien_iterator_next(it, 1, hint, target, &item), MIEN_ERR_FORMAT);
        assert_int_equal(mien_iterator_next(it, -1, hint, target, &item), MIEN_ERR_USAGE);
        assert_int_equal(mien_iterator_next(it, 0, NULL, NULL, NULL), 0);
        mien_iterator_close(it);
    }
    it = open_or_fail(&(mien_iterate_options){ .data = "set", .size = SIDE, .epochs = 5 });
    assert_int_equal(mien_iterator_next(it, 1, hint, target, &item), MIEN_ERR_FORMAT);
    mien_iterator_close(it);
    it = open_or_fail(&(mien_iterate_options){ .data = "set", .size = SIDE, .epochs = 1 });
    assert_int_equal(mien_iterator_next(it, 1, hint, target, &item), 0);
    mien_iterator_close(it);
    mien_iterator_close(NULL);
    mien_item_free(NULL);
}

static void test_stop(void **state) {
    (void)state;
    make_set(20);
    notes n = { 0 };
    uint64_t want[12], got[12];
    float hint[NUMBERS * 12], target[NUMBERS * 12];
    mien_item item[12];
    mien_iterator *it = open_or_fail(&(mien_iterate_options){ .data = "set", .size = SIDE, .hooks = { .stop = &n.stop } });
    mien_position begin = mien_iterator_position(it);
    assert_int_equal(take(it, 12, 12, want, NULL), 12);
    assert_int_equal(mien_iterator_restore(it, &begin), 0);
    assert_int_equal(take(it, 5, 5, got, NULL), 5);
    n.stop = 1;
    mien_position before = mien_iterator_position(it);
    assert_int_equal(mien_iterator_next(it, 7, hint, target, item), MIEN_ERR_CANCELLED);
    mien_position after = mien_iterator_position(it);
    assert_memory_equal(&before, &after, sizeof after);
    n.stop = 0;
    assert_int_equal(take(it, 7, 3, got + 5, NULL), 7);
    expect_lines("after a stop", got, want, 12);
    mien_iterator_close(it);

    /* In the middle of a batch: what it had until then comes again. */
    notes m = { .stop_at = 2 };
    it = open_or_fail(&(mien_iterate_options){ .data = "set", .size = SIDE, .in_order = 1, .hooks = { .log = note, .context = &m, .stop = &m.stop } });
    assert_int_equal(take(it, 2, 2, got, NULL), 2);
    before = mien_iterator_position(it);
    assert_int_equal(mien_iterator_next(it, 12, hint, target, item), MIEN_ERR_CANCELLED);
    assert_int_equal(m.n, 2);
    after = mien_iterator_position(it);
    assert_memory_equal(&before, &after, sizeof after);
    m.stop = 0;
    mien_progress p;
    mien_iterator_progress(it, &p);
    assert_int_equal(p.done, 2);
    assert_int_equal(p.failed, 0);
    assert_int_equal(take(it, 10, 10, got + 2, NULL), 10);
    for (int i = 0; i < 12; i++) assert_int_equal(got[i], i + (i >= 3) + (i >= 9));
    mien_iterator_close(it);
}

static void test_sample(void **state) {
    (void)state;
    make_set(20);
    float hint[NUMBERS], target[NUMBERS];
    mien_item item;
    mien_iterator *it = open_or_fail(&(mien_iterate_options){ .data = "set", .size = SIDE });
    mien_position before = mien_iterator_position(it);
    for (int line = 0; line < 20; line++) {
        int rc = mien_iterator_sample(it, (uint64_t)line, hint, target, &item);
        if (line % 7 == 3) {
            assert_true(rc < 0);
            continue;
        }
        if (rc < 0) fail_msg("%s", mien_error());
        assert_int_equal(item.line, line);
        assert_string_equal(item.prompt, line % 2 ? "an image" : "a face");
        for (int k = 0; k < NUMBERS; k++) assert_true(hint[k] == (float)line / 255.0f && target[k] == (float)line / 127.5f - 1.0f);
        mien_item_free(&item);
    }
    assert_int_equal(mien_iterator_sample(it, 20, hint, target, &item), MIEN_ERR_USAGE);
    mien_position after = mien_iterator_position(it);
    assert_memory_equal(&before, &after, sizeof after);
    mien_iterator_close(it);
}

static void put_sha(char *out, int line) {
    char path[64];
    size_t size;
    uint8_t digest[32];
    snprintf(path, sizeof path, "set/target/%d.png", line);
    uint8_t *data = fixture_bytes(path, &size);
    sha256(data, size, digest);
    sha256_hex(digest, out);
    free(data);
}

static void expect_epoch(const mien_iterate_options *o, uint64_t count, const char *lines) {
    uint64_t got[64];
    text t = { 0 };
    mien_iterator *it = open_or_fail(o);
    assert_int_equal(mien_iterator_count(it), count);
    int n = take(it, 64, 5, got, NULL);
    text_add(&t, "");
    for (int i = 0; i < n; i++) text_printf(&t, "%d ", (int)got[i]);
    assert_string_equal(t.data, lines);
    text_free(&t);
    mien_iterator_close(it);
}

/* The same, asked for one by one, whatever the order; "-" is one that is left out. */
static void expect_chosen(const mien_iterate_options *options, const char *lines) {
    uint8_t room[2 * NUMBERS];
    mien_iterate_options o = *options;
    mien_item item;
    text t = { 0 };
    mien_iterator *it = NULL;
    o.in_order = 0;
    it = open_or_fail(&o);
    for (uint64_t i = 0; i < mien_iterator_count(it); i++) {
        if (iterator_sample_chosen(it, i, room, &item) < 0) {
            text_add(&t, "- ");
            continue;
        }
        text_printf(&t, "%d ", (int)item.line);
        mien_item_free(&item);
    }
    assert_string_equal(t.data, lines);
    text_free(&t);
    mien_iterator_close(it);
}

static void test_selection(void **state) {
    (void)state;
    enum { LINES = 20 };
    make_set(LINES);
    mien_iterator *it = open_or_fail(&(mien_iterate_options){ .data = "set" });
    mien_position all = mien_iterator_position(it);
    mien_iterator_close(it);
    mien_iterate_options o = { .data = "set", .size = SIDE, .in_order = 1, .epochs = 1, .only = "only.txt" };
    put_text("only.txt", "# some\n1\n5\n11\n10\n19\n");
    expect_epoch(&o, 5, "1 5 11 19 ");   /* 10 is broken */
    expect_chosen(&o, "1 5 - 11 19 ");
    it = open_or_fail(&o);
    assert_int_equal(mien_iterator_restore(it, &all), MIEN_ERR_USAGE);
    mien_iterator_close(it);

    char hash[65], list[200];
    put_sha(hash, 7);
    snprintf(list, sizeof list, "1\n%s\n", hash);
    put_text("only.txt", list);
    expect_epoch(&o, LINES - 1, "1 7 ");      /* any may be it: the photos say */
    expect_chosen(&o, "- 1 - - - - 7 - - - - - - - - - - - - ");
    it = open_or_fail(&o);
    uint64_t got[LINES];
    mien_progress p;
    assert_int_equal(take(it, LINES, 3, got, NULL), 2);
    mien_iterator_progress(it, &p);
    assert_string_equal(p.count[3].name, "not_selected");
    assert_int_equal(p.done + p.failed + p.count[3].n, LINES - 1);
    mien_iterator_close(it);

    put_text("set/metadata.json", "{\"4\": {\"url\": \"https://a.example.com/x\"}, \"5\": {\"url\": \"http://example.org/y\"}}");
    put_text("exclude.txt", "example.com\nhttp://example.org/y\n0\n2\n");
    o.only = NULL, o.exclude = "exclude.txt";
    expect_epoch(&o, LINES - 4, "1 6 7 8 9 11 12 13 14 15 16 18 19 ");
    put_text("only.txt", "none-of-them\n");
    o.only = "only.txt";
    assert_int_equal(mien_iterator_open(&o, &it), MIEN_ERR_USAGE);
    assert_non_null(strstr(mien_error(), "nothing in the data set that is selected"));
    o.only = "not-there.txt";
    assert_true(mien_iterator_open(&o, &it) < 0);

    /* What was removed for good stays away without any list. */
    o.only = o.exclude = NULL;
    put_sha(hash, 8);
    assert_int_equal(selection_remember("set", "1", NULL, NULL), 0);
    assert_int_equal(selection_remember("set", "elsewhere", "https://a.example.com/x", hash), 0);
    expect_epoch(&o, LINES, "0 2 5 6 7 9 11 12 13 14 15 16 18 19 ");
    expect_chosen(&o, "0 - 2 - - 5 6 7 - 9 - 11 12 13 14 15 16 - 18 19 ");
}

static void add_url(archive_writer *a, int i) {
    char id[32], name[64], metadata[64];
    text json = { 0 };
    snprintf(id, sizeof id, "%d", i);
    snprintf(name, sizeof name, "%d.json", i);
    snprintf(metadata, sizeof metadata, "{\"url\":\"https://a.example.com/%d\"}", i);
    assert_int_equal(shard_json_write(id, metadata, NULL, 0, &json), 0);
    assert_int_equal(archive_add(a, name, json.data, json.size), 0);
    text_free(&json);
}

/* The same from tar shards: what is of use of set/, one shard after the other. */
static void test_shards(void **state) {
    (void)state;
    enum { LINES = 40 };
    int good = make_set(LINES), at = 0;
    uint64_t line[LINES], got[2 * LINES];
    archive_writer *a = NULL;
    assert_int_equal(folder_make("shards"), 0);
    for (int i = 0; i < LINES; i++) {
        char name[64];
        size_t size;
        if (i % 10 == 0) {
            if (a && archive_finish(a, 0) < 0) fail_msg("%s", mien_error());
            snprintf(name, sizeof name, "shards/%05d.tar", i / 10);
            if (archive_create(name, ARCHIVE_TAR, &a) < 0) fail_msg("%s", mien_error());
        }
        if (i % 7 == 3) continue;
        line[at++] = (uint64_t)i;
        for (int part = 0; part < 2; part++) {
            snprintf(name, sizeof name, "set/%s/%d.png", part ? "source" : "target", i);
            uint8_t *data = fixture_bytes(name, &size);
            snprintf(name, sizeof name, part ? "%d.map.png" : "%d.png", i);
            assert_int_equal(archive_add(a, name, data, size), 0);
            free(data);
        }
        snprintf(name, sizeof name, "%d.txt", i);
        if (i % 2 == 0) assert_int_equal(archive_add(a, name, "a face", 6), 0);
        if (i % 4 == 0) add_url(a, i);
    }
    if (archive_finish(a, 0) < 0) fail_msg("%s", mien_error());
    mien_iterator *it = open_or_fail(&(mien_iterate_options){ .data = "shards", .size = SIDE, .epochs = 2, .seed = 4, .threads = 3 });
    assert_int_equal(mien_iterator_count(it), good);
    float hint[NUMBERS], target[NUMBERS];
    mien_item item;
    mien_position half = { 0 };
    for (int i = 0; i < 2 * good; i++) {
        if (i == good) half = mien_iterator_position(it);
        if (mien_iterator_next(it, 1, hint, target, &item) != 1) fail_msg("%s", mien_error());
        got[i] = item.line;
        char id[32];
        snprintf(id, sizeof id, "%d", (int)line[item.line]);
        assert_string_equal(item.id, id);
        assert_string_equal(item.prompt, line[item.line] % 2 ? "an image" : "a face");
        for (int k = 0; k < NUMBERS; k++) assert_true(hint[k] == (float)line[item.line] / 255.0f && target[k] == (float)line[item.line] / 127.5f - 1.0f);
        mien_item_free(&item);
    }
    assert_int_equal(mien_iterator_restore(it, &half), 0);
    assert_int_equal(mien_iterator_next(it, 1, hint, target, &item), 1);
    assert_int_equal(item.line, got[good]);
    mien_item_free(&item);
    mien_iterator_close(it);

    /* A shard says itself where its photos are from. */
    put_text("hosts", "example.com\n");
    it = open_or_fail(&(mien_iterate_options){ .data = "shards", .size = SIDE, .in_order = 1, .epochs = 1, .exclude = "hosts" });
    for (int i = 0; i < good; i++) {
        if (line[i] % 4 == 0) continue;
        assert_int_equal(mien_iterator_next(it, 1, hint, target, &item), 1);
        assert_int_equal(item.line, i);
        mien_item_free(&item);
    }
    assert_int_equal(mien_iterator_next(it, 1, hint, target, &item), 0);
    mien_iterator_close(it);
}

/* Pictures and lines vanish, change and grow under its hands. */
static void test_changes_while_open(void **state) {
    (void)state;
    make_set(30);
    float hint[NUMBERS], target[NUMBERS];
    mien_item item;
    mien_iterator *it = open_or_fail(&(mien_iterate_options){ .data = "set", .size = SIDE, .seed = 3 });
    for (int i = 0; i < 300; i++) {
        char path[64];
        snprintf(path, sizeof path, "set/%s/%d.png", i % 2 ? "source" : "target", i % 29);
        if (i % 5 == 0) unlink(path);
        else if (i % 5 == 1) (void)!truncate(path, 30);
        else put_picture(path, 5, 6, i % 29);
        if (i == 150) assert_int_equal(truncate("set/prompt.jsonl", 700), 0);
        if (mien_iterator_next(it, 1, hint, target, &item) == 1) mien_item_free(&item);
    }
    mien_iterator_close(it);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_order_is_even),
        cmocka_unit_test_setup_teardown(test_numbers, enter, leave),
        cmocka_unit_test_setup_teardown(test_threads, enter, leave),
        cmocka_unit_test_setup_teardown(test_ranks, enter, leave),
        cmocka_unit_test_setup_teardown(test_positions, enter, leave),
        cmocka_unit_test_setup_teardown(test_left_out, enter, leave),
        cmocka_unit_test_setup_teardown(test_nothing_of_use, enter, leave),
        cmocka_unit_test_setup_teardown(test_stop, enter, leave),
        cmocka_unit_test_setup_teardown(test_sample, enter, leave),
        cmocka_unit_test_setup_teardown(test_selection, enter, leave),
        cmocka_unit_test_setup_teardown(test_shards, enter, leave),
        cmocka_unit_test_setup_teardown(test_changes_while_open, enter, leave),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
