/* SPDX-License-Identifier: Apache-2.0
 *
 * What mien_train refuses before anything is opened. */
#include <limits.h>

#include "fixtures.h"
#include "mien.h"

static mien_train_options usual(void) {
    mien_train_options o = mien_train_defaults();
    o.base = "no/base", o.data = "no/data", o.output = "no/run";
    return o;
}

/* Before anything is looked for: none of these paths is there. */
static void refused(const mien_train_options *o, const char *word) {
    assert_int_equal(mien_train(o, NULL), MIEN_ERR_USAGE);
    if (!strstr(mien_error(), word)) fail_msg("%s: \"%s\" was expected", mien_error(), word);
}

static void test_refused(void **state) {
    (void)state;
    for (int k = 0; k < 12; k++) {
        mien_train_options o = usual();
        static const char *const words[] = { "keep", "keep", "keep", "dtype", "dtype", "cache", "cache", "schedule", "schedule", "optimizer", "epochs", "steps" };
        switch (k) {
        case 0: o.keep = 0; break;
        case 1: o.keep = -3; break;
        case 2: o.keep = INT_MAX; break;
        case 3: o.dtype = (mien_dtype)-1; break;
        case 4: o.dtype = (mien_dtype)9; break;
        case 5: o.cache = (mien_train_cache)-1; break;
        case 6: o.cache = (mien_train_cache)3; break;
        case 7: o.schedule = (mien_rate)-1, o.steps = 1; break;
        case 8: o.schedule = (mien_rate)3, o.steps = 1; break;
        case 9: o.optimizer = (mien_optimizer)2; break;
        case 10: o.epochs = UINT64_MAX / 2; break;
        case 11: o.steps = UINT64_MAX; break;
        }
        refused(&o, words[k]);
    }
}

/* What is of another target is refused by the name of its field. */
static void test_other_targets(void **state) {
    (void)state;
    for (int k = 0; k < 13; k++) {
        mien_train_options o = usual();
        static const char *const words[] = { "control: ", "only_mid_control: ", "unlock_decoder: ", "redraw: ", "freeze_text: ", "crop: ", "measure_scale: ", "vae_loss: ", "kl_weight: ",
                                             "min_snr: ", "noise_offset: ", "prompt_dropout: ", "prediction: " };
        o.what = k < 4 || k > 8 ? MIEN_TRAIN_VAE : k == 4 ? MIEN_TRAIN_CONTROL : MIEN_TRAIN_BASE;
        switch (k) {
        case 0: o.control = "no/control"; break;
        case 1: o.only_mid_control = 1; break;
        case 2: o.unlock_decoder = 1; break;
        case 3: o.redraw = 1; break;
        case 4: o.freeze_text = 1; break;
        case 5: o.crop = 64; break;
        case 6: o.measure_scale = 1; break;
        case 7: o.vae_loss = MIEN_VAE_MSE; break;
        case 8: o.kl_weight = 1; break;
        case 9: o.min_snr = 5; break;
        case 10: o.noise_offset = 0.1; break;
        case 11: o.prompt_dropout = 0.1; break;
        case 12: o.prediction = MIEN_PREDICTION_V; break;
        }
        refused(&o, words[k]);
        refused(&o, k == 4 ? "the training of a ControlNet" : o.what == MIEN_TRAIN_VAE ? "the training of a VAE" : "the training of a base");
    }
}

int main(void) {
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_refused), cmocka_unit_test(test_other_targets) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
