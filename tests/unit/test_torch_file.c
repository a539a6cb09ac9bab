/* SPDX-License-Identifier: Apache-2.0
 *
 * Checkpoints of PyTorch: every tensor of tests/golden/weights/ has the bytes that torch.load gives (tests/reference/
 * make_weights_golden.py), what is malicious runs nothing, and broken files are refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/error.h"
#include "base/hash.h"
#include "weights/weights_inside.h"

#define GOLDEN "tests/golden/weights/"

static weights *open_golden(const char *file) {
    char path[256];
    weights *w;
    snprintf(path, sizeof path, GOLDEN "%s", file);
    if (weights_open(path, &w) < 0) fail_msg("%s", error_message());
    return w;
}

static void shape_of(const stored_tensor *t, char out[256]) {
    size_t n = 0;
    if (t->rank == 0) strcpy(out, "-");
    for (int i = 0; i < t->rank; i++) n += (size_t)snprintf(out + n, 256 - n, "%s%zu", i ? "x" : "", t->dim[i]);
}

static void check_tensor(const char *file, const weights *w, size_t i, const char *line) {
    char name[64], type[16], shape[256], hash[32], got[256], hex[65];
    uint8_t digest[32];
    assert_int_equal(sscanf(line, "%63s %15s %255s %31s", name, type, shape, hash), 4);
    /* safetensors may keep its tensors in another order */
    const stored_tensor *t = weights_format_of(w) == WEIGHTS_SAFETENSORS ? weights_find(w, name) : weights_tensor(w, i);
    if (!t || strcmp(t->name, name)) fail_msg("%s: %s, and not %s", file, t ? t->name : "nothing", name);
    assert_ptr_equal(weights_find(w, name), t);
    shape_of(t, got);
    if (strcmp(got, shape) || strcmp(stored_type_name(t->type), type)) fail_msg("%s: %s is %s %s, and not %s %s", file, name, stored_type_name(t->type), got, type, shape);
    sha256(t->data, t->bytes, digest);
    sha256_hex(digest, hex);
    if (strncmp(hex, hash, 16)) fail_msg("%s: %s has other bytes", file, name);
}

static void check_refused(const char *line) {
    char file[64], path[256];
    int n;
    weights *w;
    assert_int_equal(sscanf(line, "%63s %n", file, &n), 1);
    snprintf(path, sizeof path, GOLDEN "%s", file);
    if (weights_open(path, &w) == 0) fail_msg("%s was not refused", file);
    if (!strstr(error_message(), line + n)) fail_msg("\"%s\", and not \"%s\"", error_message(), line + n);
}

static void test_golden(void **state) {
    (void)state;
    FILE *f = fopen(GOLDEN "tensors.txt", "r");
    assert_non_null(f);
    char line[512], file[64] = "";
    weights *w = NULL;
    size_t i = 0, files = 0, tensors = 0, refused = 0;
    for (;;) {
        bool more = fgets(line, sizeof line, f);
        line[strcspn(line, "\n")] = 0;
        bool other = !more || strncmp(line, "file ", 5) == 0 || strncmp(line, "refused ", 8) == 0;
        if (other && w) {
            if (i != weights_count(w)) fail_msg("%s: %zu tensors, and not %zu", file, weights_count(w), i);
            weights_close(w);
            w = NULL;
        }
        if (!more) break;
        if (strncmp(line, "file ", 5) == 0) w = open_golden(strcpy(file, line + 5)), i = 0, files++;
        else if (other) check_refused(line + 8), refused++;
        else check_tensor(file, w, i++, line), tensors++;
    }
    fclose(f);
    assert_int_equal(access("mien-was-here", F_OK), -1);
    if (files < 26 || tensors < 120 || refused < 6) fail_msg("%zu files, %zu tensors, %zu refused: the list is not whole", files, tensors, refused);
}

static bool has_note(const weights *w, const char *what) {
    for (size_t i = 0; i < weights_notes(w); i++)
        if (strstr(weights_note(w, i), what)) return true;
    return false;
}

static void test_notes(void **state) {
    (void)state;
    static const char *const evil[][2] = { { "evil_system.pth", "names posix.system, which no model needs" }, { "evil_system_legacy.pth", "names posix.system," },
                                           { "evil_eval.pth", "names __builtin__.eval," }, { "evil_eval_legacy.pth", "names __builtin__.eval," },
                                           { "evil_nested_call.pth", "names __builtin__.eval," }, { "evil_nested_call_legacy.pth", "names __builtin__.eval," } };
    for (size_t i = 0; i < sizeof evil / sizeof *evil; i++) {
        weights *w = open_golden(evil[i][0]);
        if (!has_note(w, evil[i][1])) fail_msg("%s: no note of %s, but %s", evil[i][0], evil[i][1], weights_notes(w) ? weights_note(w, 0) : "none");
        assert_true(has_note(w, "mien runs nothing"));
        weights_close(w);
    }
    static const char *const lightning[] = { "lightning.ckpt", "lightning_legacy.ckpt", "lightning_4.ckpt" };
    for (size_t i = 0; i < 3; i++) {
        weights *w = open_golden(lightning[i]);
        assert_true(has_note(w, "left out what is no tensor: pytorch_lightning.callbacks.model_checkpoint.ModelCheckpoint"));
        assert_true(has_note(w, "numpy"));
        assert_int_equal(weights_notes(w), 1);
        assert_string_equal(weights_metadata(w, "global_step"), "470000");
        assert_string_equal(weights_metadata(w, "pytorch-lightning_version"), "1.4.2");
        assert_null(weights_metadata(w, "callbacks"));
        weights_close(w);
    }
    weights *w = open_golden("every.pth");
    assert_int_equal(weights_notes(w), 0);
    assert_int_equal(weights_format_of(w), WEIGHTS_PICKLE);
    weights_close(w);
    w = open_golden("module.pth");
    assert_string_equal(weights_metadata(w, "lr"), "1e-05");
    assert_string_equal(weights_metadata(w, "done"), "true");
    weights_close(w);
}

/* Tensors that share a storage share their bytes; those in order are not copied. */
static void test_shared(void **state) {
    (void)state;
    static const char *const files[] = { "every.pth", "every_legacy.pth" };
    for (size_t i = 0; i < 2; i++) {
        weights *w = open_golden(files[i]);
        const uint8_t *slice = weights_find(w, "slice")->data, *shared = weights_find(w, "shared")->data;
        assert_ptr_equal(shared, slice + 4 * sizeof(float));
        weights_drop(w, weights_find(w, "turned")->data, weights_find(w, "turned")->bytes);   /* memory of our own: stays */
        const float *turned = weights_find(w, "turned")->data;
        assert_true(turned[0] != 0 || turned[1] != 0);
        weights_close(w);
    }
}

/* Every file of the goldens, cut at many places and with bytes changed: an error or tensors that can be read, never a crash. */
static void try_bytes(const uint8_t *data, size_t size) {
    weights *w = weights_new("x", WEIGHTS_PICKLE);
    uint8_t *copy = malloc(size ? size : 1);
    assert_true(w && copy);
    memcpy(copy, data, size);
    if (torch_file_is(copy, size) && torch_file_read(w, "x", "", copy, size) == 0 && weights_finish(w, "x") == 0) {
        unsigned sum = 0;
        for (size_t i = 0; i < weights_count(w); i++)
            for (size_t k = 0; k < weights_tensor(w, i)->bytes; k++) sum += ((const uint8_t *)weights_tensor(w, i)->data)[k];
        assert_true(sum + 1 > 0);
    }
    weights_close(w);
    free(copy);
}

static void test_broken(void **state) {
    (void)state;
    static const char *const files[] = { "few_3.pth", "few_legacy_3.pth", "few_legacy_1.pth", "deflated.pth", "views.pth", "lightning_4.ckpt" };
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char path[256];
        uint8_t *data;
        size_t size;
        snprintf(path, sizeof path, GOLDEN "%s", files[i]);
        assert_int_equal(file_load(path, 1 << 20, &data, &size), 0);
        for (size_t n = 0; n < size; n += 3) try_bytes(data, n);
        for (size_t n = 0; n < size; n++) {
            uint8_t was = data[n];
            data[n] = (uint8_t)(was ^ 1 << n % 8);
            try_bytes(data, size);
            data[n] = n % 2 ? 0xff : 0;
            try_bytes(data, size);
            data[n] = was;
        }
        free(data);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_golden), cmocka_unit_test(test_notes), cmocka_unit_test(test_shared), cmocka_unit_test(test_broken) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
