/* SPDX-License-Identifier: Apache-2.0
 *
 * Event files, read back by a reader that knows the framing and protobuf's wire format and nothing else of ours. (TensorBoard itself reads them in
 * tests/reference/tensorboard_reads.py.) */
#include <math.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "base/text.h"
#include "fixtures.h"
#include "scratch.h"
#include "train/events.h"

/* ---- a reader ---------------------------------------------------------------------------------------------------------- */

typedef struct { const uint8_t *p; size_t n; } bytes;
typedef struct { int field, kind; uint64_t number; bytes block; } piece;

/* CRC-32C a bit at a time. */
static uint32_t slow_crc(bytes b) {
    uint32_t c = ~0u;
    for (size_t i = 0; i < b.n; i++)
        for (int k = 0; k < 8; k++) c = c >> 1 ^ ((c ^ (uint32_t)(b.p[i] >> k)) & 1 ? 0x82f63b78u : 0);
    return ~c;
}

static uint64_t little(const uint8_t *p, int n) {
    uint64_t x = 0;
    while (n--) x = x << 8 | p[n];
    return x;
}

static uint32_t masked(bytes b) {
    uint32_t c = slow_crc(b);
    return (c >> 15 | c << 17) + 0xa282ead8u;
}

static bool next_record(bytes *file, bytes *out) {
    if (!file->n) return false;
    assert_true(file->n >= 16);
    uint64_t size = little(file->p, 8);
    assert_int_equal(little(file->p + 8, 4), masked((bytes){ file->p, 8 }));
    assert_true(size <= file->n - 16);
    *out = (bytes){ file->p + 12, size };
    assert_int_equal(little(file->p + 12 + size, 4), masked(*out));
    file->p += 16 + size, file->n -= 16 + size;
    return true;
}

static uint64_t varint(bytes *b) {
    uint64_t x = 0;
    for (int k = 0; k < 70; k += 7) {
        assert_true(b->n > 0);
        uint8_t c = *b->p++;
        b->n--;
        x |= (uint64_t)(c & 127) << k;
        if (c < 128) return x;
    }
    fail_msg("a varint of more than 10 bytes");
    return 0;
}

static bool next_piece(bytes *b, piece *out) {
    if (!b->n) return false;
    uint64_t key = varint(b);
    *out = (piece){ .field = (int)(key >> 3), .kind = (int)(key & 7) };
    size_t fixed = out->kind == 1 ? 8 : out->kind == 5 ? 4 : 0;
    if (out->kind == 0) out->number = varint(b);
    else {
        uint64_t n = fixed ? fixed : varint(b);
        assert_true((fixed || out->kind == 2) && n <= b->n);
        out->block = (bytes){ b->p, n };
        out->number = fixed ? little(b->p, (int)n) : 0;
        b->p += n, b->n -= n;
    }
    return true;
}

/* Events as text: "1.5 s7 [loss=0.5 picture=3x2:4]". */
static void tell_value(bytes b, text *out) {
    piece p, q;
    while (next_piece(&b, &p)) {
        if (p.field == 1) text_printf(out, "%.*s", (int)p.block.n, (const char *)p.block.p);
        else if (p.field == 2) {
            uint32_t bits = (uint32_t)p.number;
            float x;
            memcpy(&x, &bits, 4);
            text_printf(out, "=%g ", (double)x);
        } else if (p.field == 4) {
            uint64_t dim[4] = { 0 };
            bytes i = p.block;
            while (next_piece(&i, &q)) dim[q.field - 1] = q.field < 4 ? q.number : q.block.n;
            text_printf(out, "=%dx%d/%d:%d ", (int)dim[0], (int)dim[1], (int)dim[2], (int)dim[3]);
        } else fail_msg("field %d of a value", p.field);
    }
}

static void tell_event(bytes b, text *out) {
    piece p, q;
    while (next_piece(&b, &p)) {
        if (p.field == 1) {
            double x;
            memcpy(&x, &p.number, 8);
            text_printf(out, "%g ", x);
        } else if (p.field == 2) text_printf(out, "s%d ", (int)p.number);
        else if (p.field == 3) text_printf(out, "%.*s ", (int)p.block.n, (const char *)p.block.p);
        else if (p.field == 5) {
            text_add(out, "[");
            for (bytes s = p.block; next_piece(&s, &q);) tell_value(q.block, out);
            text_add(out, "]");
        } else if (p.field == 7) {
            assert_true(next_piece(&p.block, &q) && q.field == 1);
            text_printf(out, "session %d", (int)q.number);
        } else fail_msg("field %d of an event", p.field);
    }
    text_add(out, "\n");
}

static void expect_events(const char *path, const char *want) {
    size_t size;
    uint8_t *data = fixture_bytes(path, &size);
    bytes file = { data, size }, record;
    text got = { 0 };
    while (next_record(&file, &record)) tell_event(record, &got);
    assert_string_equal(got.data, want);
    text_free(&got);
    free(data);
}

/* ---- tests --------------------------------------------------------------------------------------------------------------- */

/* RFC 3720, B.4. */
static void test_crc(void **state) {
    (void)state;
    uint8_t x[32] = { 0 };
    assert_int_equal(events_crc(x, 32), 0x8a9136aa);
    memset(x, 0xff, 32);
    assert_int_equal(events_crc(x, 32), 0x62a8ab43);
    for (int i = 0; i < 32; i++) x[i] = (uint8_t)i;
    assert_int_equal(events_crc(x, 32), 0x46dd794e);
    assert_int_equal(events_crc("123456789", 9), 0xe3069283);
    assert_int_equal(events_crc(NULL, 0), 0);
}

static void test_file(void **state) {
    (void)state;
    events *e;
    assert_int_equal(events_open(".", 0, 1.5, &e), 0);
    assert_string_equal(events_path(e), "./events.out.tfevents.0000000001.mien");
    const event_scalar s[] = { { "loss", 0.5 }, { "nothing", NAN }, { "lr", 1e-5 } };
    assert_int_equal(events_scalars(e, 7, 2.5, s, 3), 0);
    assert_int_equal(events_scalars(e, 8, 2.5, s + 1, 1), 0);
    uint8_t png[300] = { 1, 2, 3 };
    assert_int_equal(events_picture(e, 300, 3, "sheet", png, sizeof png, 640, 20), 0);
    char path[256];
    snprintf(path, sizeof path, "%s", events_path(e));
    events_close(e);
    expect_events(path, "1.5 brain.Event:2 \n1.5 s1 session 1\n2.5 s7 [loss=0.5 lr=1e-05 ]\n3 s300 [sheet=20x640/3:300 ]\n");
}

/* A start behind another is behind it in the order of names too, whatever the clock says. */
static void test_again(void **state) {
    (void)state;
    events *e;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(events_open(".", i ? 40 : 0, 100 - i, &e), 0);
        char want[64];
        snprintf(want, sizeof want, "./events.out.tfevents.%010d.mien", 100 + i);
        assert_string_equal(events_path(e), want);
        events_close(e);
    }
    expect_events("events.out.tfevents.0000000101.mien", "99 brain.Event:2 \n99 s41 session 1\n");
    assert_int_equal(events_open("gone", 0, 1, &e), ERR_IO);
}

static void test_full(void **state) {
    (void)state;
    events *e;
    assert_int_equal(events_open(".", 0, 1, &e), 0);
    pid_t child = fork();
    if (child == 0) {
        uint8_t png[1000] = { 0 };
        const event_scalar s = { "loss", 0.5 };
        signal(SIGXFSZ, SIG_IGN);
        struct rlimit limit = { 500, 500 };
        if (setrlimit(RLIMIT_FSIZE, &limit) < 0) _exit(1);
        if (events_picture(e, 1, 1, "sheet", png, sizeof png, 2, 2) == 0) _exit(2);
        _exit(events_scalars(e, 2, 2, &s, 1) == 0 ? 0 : 3);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    events_close(e);
    expect_events("events.out.tfevents.0000000001.mien", "1 brain.Event:2 \n1 s1 session 1\n2 s2 [loss=0.5 ]\n");
}

int main(void) {
#define T(name) cmocka_unit_test_setup_teardown(name, scratch_enter, scratch_leave)
    const struct CMUnitTest tests[] = { T(test_crc), T(test_file), T(test_again), T(test_full) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
