/* SPDX-License-Identifier: Apache-2.0
 *
 * Names of the layouts. Goldens: the lists of the real models (tests/reference/model_names.py); and rules for any size. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "weights/names_parts.h"

typedef struct { char ldm[128], ldm_shape[48], diffusers[128], diffusers_shape[48]; } row;
enum { ROWS = 2048 };
static row list[ROWS];
static int rows;

static void load(const char *name) {
    char command[128], line[512];
    snprintf(command, sizeof command, "gzip -dc tests/golden/names/%s.txt.gz", name);
    FILE *f = popen(command, "r");
    assert_non_null(f);
    for (rows = 0; rows < ROWS && fgets(line, sizeof line, f); rows++) {
        row *r = &list[rows];
        if (sscanf(line, "%127s %47s %127s %47s", r->ldm, r->ldm_shape, r->diffusers, r->diffusers_shape) != 4) fail_msg("%s", line);
    }
    assert_int_equal(pclose(f), 0);
    assert_true(rows > 300);
}

typedef struct { name_sources s; name_map map[NAME_SOURCES]; } side;

static void learn(side *x, bool diffusers, bool prefixed) {
    *x = (side){ 0 };
    for (int pass = 0; pass < 2; pass++) {
        for (int i = 0; i < rows; i++) {
            const char *name = diffusers ? list[i].diffusers : list[i].ldm, *rest;
            if (strcmp(name, "-") == 0) continue;
            if (!prefixed) name = diffusers ? strchr(name, '/') + 1 : name + strlen("control_model.");
            if (pass == 0) sources_add(&x->s, name);
            else {
                int k = sources_find(&x->s, name, &rest);
                assert_true(k >= 0);
                ladder_add(&x->map[k].ladder, x->map[k].net, x->map[k].style, rest);
            }
        }
        for (int k = 0; k < x->s.n; k++) {
            if (pass == 0) x->map[k] = (name_map){ .net = x->s.source[k].net, .style = x->s.source[k].style };
            else ladder_end(&x->map[k].ladder, x->map[k].net, x->map[k].style);
        }
    }
}

/* Canonical names of a stored one; how many. */
static int canonical(const side *x, const char *name, char out[3][NAME_MOST], const name_map **m, const char **rest) {
    int k = sources_find(&x->s, name, rest), n = 1;
    if (k < 0) return 0;
    *m = &x->map[k];
    for (int part = 0; part < n && part < 3; part++) {
        n = name_to_canonical(*m, *rest, part, out[part]);
        if (!n) return 0;
    }
    return n;
}

/* Each name has its canonical ones, and they have it. */
static int check_back(const side *x, const char *name, char out[3][NAME_MOST]) {
    const name_map *m;
    const char *rest;
    char back[NAME_MOST];
    int part, n = canonical(x, name, out, &m, &rest);
    for (int i = 0; i < n; i++) {
        assert_true(name_from_canonical(m, out[i], back, &part));
        assert_string_equal(back, rest);
        assert_int_equal(part, n == 3 ? i : -1);
    }
    return n;
}

static void check_list(const char *name, int without, bool prefixed) {
    side a, b;
    char x[3][NAME_MOST], y[3][NAME_MOST];
    int left = 0;
    load(name);
    learn(&a, false, prefixed);
    learn(&b, true, prefixed);
    for (int i = 0; i < rows; i++) {
        const char *ldm = prefixed ? list[i].ldm : list[i].ldm + strlen("control_model.");
        int n = check_back(&a, ldm, x);
        if (strcmp(list[i].diffusers, "-") == 0) {
            left++;
            continue;
        }
        if (!n) fail_msg("%s has no canonical name", ldm);
        const char *diffusers = prefixed ? list[i].diffusers : strchr(list[i].diffusers, '/') + 1;
        assert_int_equal(check_back(&b, diffusers, y), 1);
        int same = 0;
        for (int k = 0; k < n; k++) same += strcmp(x[k], y[0]) == 0;
        if (same != 1) fail_msg("%s is %s, %s is %s", ldm, x[0], diffusers, y[0]);
        /* Only the VAE's attention has shapes of its own in each layout. */
        if (n == 1 && strcmp(list[i].ldm_shape, list[i].diffusers_shape) != 0) assert_true(name_is_token_mix(NETWORK_VAE, x[0]));
    }
    assert_int_equal(left, without);
}

static void test_sd15(void **state) { (void)state, check_list("sd15", 1, true); }            /* position_ids */
static void test_sd21(void **state) { (void)state, check_list("sd21", 12 + 2, true); }       /* the last layer; text_projection, logit_scale */
static void test_control15(void **state) { (void)state, check_list("control15", 0, true), check_list("control15", 0, false); }
static void test_control21(void **state) { (void)state, check_list("control21", 0, true), check_list("control21", 0, false); }

/* ---- any size --------------------------------------------------------------------------------------------------------- */

static char seen[4096][NAME_MOST];
static int n_seen;

__attribute__((format(printf, 2, 3))) static void both_ways(const name_ladder *l, const char *format, ...) {
    char name[NAME_MOST], ldm[NAME_MOST], back[NAME_MOST];
    va_list args;
    va_start(args, format);
    vsnprintf(name, sizeof name, format, args);
    va_end(args);
    if (!unet_name_to_ldm(l, NETWORK_UNET, name, ldm)) fail_msg("%s", name);
    assert_true(unet_name_to_diffusers(l, NETWORK_UNET, ldm, back));
    assert_string_equal(back, name);
    for (int i = 0; i < n_seen; i++) assert_string_not_equal(seen[i], ldm);
    strcpy(seen[n_seen++], ldm);
}

static void test_any_size(void **state) {
    (void)state;
    for (int levels = 1; levels <= NAME_MAX_LEVELS; levels++)
        for (int layers = 1; layers <= 4; layers++) {
            name_ladder l = { .levels = levels }, again = { 0 };
            for (int i = 0; i < levels; i++) l.layers[i] = layers + i % 2, l.attention[i] = (i + layers) % 3 != 0;
            n_seen = 0;
            for (int level = 0; level < levels; level++) {
                for (int i = 0; i < l.layers[level]; i++) {
                    both_ways(&l, "down_blocks.%d.resnets.%d.conv1.weight", level, i);
                    if (l.attention[level]) both_ways(&l, "down_blocks.%d.attentions.%d.transformer_blocks.0.attn1.to_q.weight", level, i);
                }
                int up = levels - 1 - level;
                for (int i = 0; i <= l.layers[up]; i++) {
                    both_ways(&l, "up_blocks.%d.resnets.%d.time_emb_proj.bias", level, i);
                    if (l.attention[up]) both_ways(&l, "up_blocks.%d.attentions.%d.proj_in.weight", level, i);
                }
                if (level + 1 < levels) both_ways(&l, "down_blocks.%d.downsamplers.0.conv.weight", level), both_ways(&l, "up_blocks.%d.upsamplers.0.conv.weight", level);
            }
            for (int i = 0; i < n_seen; i++) ladder_add(&again, NETWORK_UNET, STYLE_LDM, seen[i]);
            ladder_end(&again, NETWORK_UNET, STYLE_LDM);
            assert_int_equal(again.levels, l.levels);
            assert_memory_equal(again.layers, l.layers, sizeof l.layers);
            assert_memory_equal(again.attention, l.attention, sizeof l.attention);
            assert_int_equal(ladder_inputs(&again), ladder_inputs(&l));
        }
}

static void test_strangers(void **state) {
    (void)state;
    const name_map unet = { .net = NETWORK_UNET, .style = STYLE_DIFFUSERS, .ladder = { .levels = 4, .layers = { 2, 2, 2, 2 }, .attention = { 1, 1, 1, 0 } } };
    static const char *const names[] = {
        "", ".", "down_blocks", "down_blocks.", "down_blocks.4.resnets.0.conv1.weight", "down_blocks.0.resnets.2.conv1.weight", "down_blocks.3.attentions.0.norm.weight",
        "down_blocks.99999999999.resnets.0.conv1.weight", "down_blocks.-1.resnets.0.conv1.weight", "down_blocks.00.resnets.0.conv1.weight", "down_blocks.3.downsamplers.0.conv.weight",
        "up_blocks.3.upsamplers.0.conv.weight", "up_blocks.0.resnets.3.conv1.weight", "up_blocks.0.downsamplers.0.conv.weight", "mid_block.resnets.2.conv1.weight",
        "down_blocks.0.resnets.0.conv3.weight", "time_embedding.cond_proj.weight", "controlnet_cond_embedding.conv_in.weight", "%s%s%n",
    };
    char out[NAME_MOST];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (name_to_canonical(&unet, names[i], 0, out)) fail_msg("%s became %s", names[i], out);
    const name_map old = { .net = NETWORK_VAE, .style = STYLE_DIFFUSERS, .ladder = { .levels = 4 } };
    assert_int_equal(name_to_canonical(&old, "decoder.mid_block.attentions.0.query.weight", 0, out), 1);
    assert_string_equal(out, "decoder.mid.attn_1.q.weight");
    assert_int_equal(name_to_canonical(&old, "encoder.mid_block.attentions.0.proj_attn.bias", 0, out), 1);
    assert_string_equal(out, "encoder.mid.attn_1.proj_out.bias");
    assert_true(name_of_ema("input_blocks.1.0.in_layers.0.weight", out));
    assert_string_equal(out, "model_ema.diffusion_modelinput_blocks10in_layers0weight");
    assert_int_equal(name_key_of(out), KEY_EMA);
    assert_int_equal(name_key_of("betas"), KEY_SCHEDULE);
    assert_int_equal(name_key_of("cond_stage_model.transformer.text_model.embeddings.position_ids"), KEY_POSITION_IDS);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sd15), cmocka_unit_test(test_sd21), cmocka_unit_test(test_control15), cmocka_unit_test(test_control21),
        cmocka_unit_test(test_any_size), cmocka_unit_test(test_strangers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
