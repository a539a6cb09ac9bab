/* SPDX-License-Identifier: Apache-2.0
 *
 * Schedules and runs against tests/golden/sampler.txt (tests/reference/make_sampler_golden.py says what is in it). */
#include "fixtures.h"

#include <math.h>

#include "diffusion/noise.h"
#include "diffusion/sampler_inside.h"

enum { N = 8 };

/* Torch's square root of f32 is not always the nearest number, so sigmas differ by one unit in the last place here and there, and a run of
 * 100 steps by some times that. Measured: at most 3.1e-6 of the largest value. */
static const double run_bound = 6e-6, sigma_bound = 1.5e-7;

static int index_of(const char *name, const char *const *names) {
    for (int i = 0; names[i]; i++)
        if (strcmp(name, names[i]) == 0) return i;
    fail_msg("what is %s?", name);
    return -1;
}

static const char *const spacings[] = { "default", "leading", "linspace", "trailing", NULL };

static sampler_settings settings_of(const char *kind, const char *spacing, int steps) {
    return (sampler_settings){ .kind = (sampler_kind)index_of(kind, sampler_names), .steps = steps,
                               .spacing = (sampler_spacing)index_of(spacing, spacings), .steps_offset = -1 };
}

static uint64_t fnv1a_more(uint64_t h, float value) {
    uint8_t bytes[sizeof value];
    memcpy(bytes, &value, sizeof value);
    for (size_t i = 0; i < sizeof bytes; i++) h = (h ^ bytes[i]) * 0x100000001b3ULL;
    return h;
}

static void expect_close(const char *line, const char *what, double got, double want, double bound) {
    if (!(fabs(got - want) <= bound * fabs(want))) fail_msg("%s is %.9g, not %.9g: %s", what, got, want, line);
}

/* ---- Schedules ---- */

static void check_alphas(const char *line) {
    double start, end;
    int steps;
    unsigned long long betas_hash, alphas_hash;
    assert_int_equal(sscanf(line, "alphas %lf %lf %d %llx %llx", &start, &end, &steps, &betas_hash, &alphas_hash), 5);
    float betas[1000], alphas[1000];
    schedule_alphas(start, end, steps, betas, alphas);
    if (fnv1a(betas, (size_t)steps * 4) != betas_hash) fail_msg("betas: %s", line);
    if (fnv1a(alphas, (size_t)steps * 4) != alphas_hash) fail_msg("alphas_cumprod: %s", line);
}

typedef struct { int count; uint64_t timesteps, alphas; double sigmas, initial; } schedule_sums;

static void add_schedule(sampler *s, schedule_sums *sums) {
    sums->count += sampler_steps(s);
    sums->initial += (double)sampler_initial_scale(s);
    for (int i = 0; i < sampler_steps(s); i++) {
        sums->timesteps = fnv1a_more(sums->timesteps, sampler_timestep(s, i));
        if (s->ddim) sums->alphas = fnv1a_more(fnv1a_more(sums->alphas, s->ddim[i].alpha), s->ddim[i].alpha_previous);
        else sums->sigmas += (double)s->sigmas[i];
    }
}

static void check_schedule(const char *line) {
    char kind[32], spacing[16];
    int offset, from, to;
    unsigned long long timesteps, alphas;
    schedule_sums want, got = { .timesteps = fnv1a("", 0), .alphas = fnv1a("", 0) };
    assert_int_equal(sscanf(line, "schedule %31s %15s %d %d %d %d %llx %llx %lf %lf", kind, spacing, &offset, &from, &to, &want.count, &timesteps,
                            &alphas, &want.sigmas, &want.initial), 10);
    for (int steps = from; steps <= to; steps++) {
        sampler_settings set = settings_of(kind, spacing, steps);
        set.steps_offset = offset;
        sampler *s = sampler_new(&set, 0);
        if (s) add_schedule(s, &got);
        sampler_free(s);
    }
    if (got.count != want.count || got.timesteps != timesteps) fail_msg("%d timesteps, or others: %s", got.count, line);
    if (got.alphas != alphas) fail_msg("other alphas: %s", line);
    expect_close(line, "the sum of sigmas", got.sigmas, want.sigmas, sigma_bound);
    expect_close(line, "the first noise's factor", got.initial, want.initial, sigma_bound);
}

static void check_refused(const char *line) {
    char kind[32];
    int steps;
    assert_int_equal(sscanf(line, "refused %31s %d", kind, &steps), 2);
    sampler_settings set = settings_of(kind, "default", steps);
    if (sampler_new(&set, 0)) fail_msg("not refused: %s", line);
    assert_non_null(strstr(error_message(), "1000 of 1000"));
}

/* ---- Runs ---- */

/* The same operations in the same order as the script's. */
static void model(const float *u, float t, float *out) {
    for (int k = 0; k < N; k++) {
        float pattern = ((float)k - 3.5f) * 0.0625f, w = 0.5f + t * 0.0005f;
        out[k] = (u[k] * w) / (1.0f + 0.125f * (u[k] * u[k])) + pattern;
    }
}

static const float first_noise[N] = { 1.5f, -0.75f, 0.3125f, -2.25f, 0.0625f, 0.9375f, -1.125f, 1.875f };

static void begin(const sampler *s, float *x) {
    for (int k = 0; k < N; k++) x[k] = first_noise[k] * sampler_initial_scale(s);
}

static void go_on(sampler *s, int i, noise_source *g, float *x) {
    float scaled[N], output[N], noise[N];
    sampler_scale_input(s, i, x, scaled, N);
    model(scaled, sampler_timestep(s, i), output);
    bool wants = sampler_wants_noise(s, i);
    if (wants) noise_normal(g, noise, N);
    sampler_step(s, i, x, output, wants ? noise : NULL, N);
}

typedef struct { char kind[32], prediction[16], spacing[16]; double eta; int steps, step; float x[N]; } golden_run;

static void parse_run(const char *line, golden_run *r) {
    int at;
    assert_int_equal(sscanf(line, "run %31s %15s %15s %lf %d %d%n", r->kind, r->prediction, r->spacing, &r->eta, &r->steps, &r->step, &at), 6);
    char *end;
    const char *p = line + at;
    for (int k = 0; k < N; k++, p = end) {
        r->x[k] = strtof(p, &end);
        assert_true(end != p);
    }
}

static double check_run(const char *line) {
    golden_run r;
    parse_run(line, &r);
    sampler_settings set = settings_of(r.kind, r.spacing, r.steps);
    set.eta = r.eta;
    set.predicts_v = r.prediction[0] == 'v';
    sampler *s = sampler_new(&set, N);
    if (!s) fail_msg("%s: %s", error_message(), line);
    noise_source g;
    noise_seed(&g, NOISE_TORCH_CPU, 9);
    float x[N], most = 0;
    double worst = 0;
    begin(s, x);
    for (int i = 0; i <= r.step; i++) go_on(s, i, &g, x);
    for (int k = 0; k < N; k++) {
        most = fmaxf(most, fabsf(r.x[k]));
        worst = fmax(worst, fabs((double)x[k] - (double)r.x[k]));
    }
    sampler_free(s);
    worst /= (double)most;
    if (!(worst <= run_bound)) fail_msg("differs by %.2g of the largest value: %s", worst, line);
    return worst;
}

/* ---- The file ---- */

static int each_line(const char *word, void (*check)(const char *line)) {
    FILE *f = fopen("tests/golden/sampler.txt", "r");
    assert_non_null(f);
    char line[512];
    int n = 0;
    while (fgets(line, sizeof line, f))
        if (strncmp(line, word, strlen(word)) == 0) check(line), n++;
    fclose(f);
    return n;
}

static double worst_run;
static void check_run_too(const char *line) { worst_run = fmax(worst_run, check_run(line)); }

static void test_alphas(void **state) { (void)state; assert_int_equal(each_line("alphas", check_alphas), 4); }
static void test_schedules(void **state) { (void)state; assert_int_equal(each_line("schedule", check_schedule), 7 * 10 + 6 * 6 + 5 + 5 * 4); }
static void test_refused(void **state) { (void)state; assert_int_equal(each_line("refused", check_refused), 5); }
static void test_runs(void **state) {
    (void)state;
    assert_int_equal(each_line("run", check_run_too), 2 * (12 * 6 + 11 + 6 * 6 + 7 + 2 * (4 + 15)));
    print_message("worst: %.2g of the largest value\n", worst_run);
}

/* ---- What no reference says ---- */

/* A step must not depend on what was sampled before: one sampler serves picture after picture. */
static void test_again(void **state) {
    (void)state;
    for (int kind = 0; kind < SAMPLERS; kind++) {
        sampler_settings set = { .kind = (sampler_kind)kind, .steps = 5, .steps_offset = -1, .eta = 0.3 };
        sampler *s = sampler_new(&set, N);
        assert_non_null(s);
        float x[2][N];
        for (int turn = 0; turn < 2; turn++) {
            noise_source g;
            noise_seed(&g, NOISE_TORCH_CPU, 9);
            begin(s, x[turn]);
            for (int i = 0; i < sampler_steps(s); i++) go_on(s, i, &g, x[turn]);
        }
        expect_equal_bits(sampler_names[kind], x[1], x[0], N);
        sampler_free(s);
    }
}

/* A UNet that is right about noise and data: every sampler sees the data at once. */
static void test_denoised(void **state) {
    (void)state;
    for (int kind = 0; kind < SAMPLERS; kind++)
        for (int v = 0; v < 2; v++) {
            sampler_settings set = { .kind = (sampler_kind)kind, .steps = 10, .steps_offset = -1, .predicts_v = v };
            sampler *s = sampler_new(&set, N);
            assert_non_null(s);
            float alpha = s->ddim ? s->ddim[0].root_alpha : vp_of_sigma(s->sigmas[0]).alpha, sigma = sqrtf(1 - alpha * alpha);
            float x[N], output[N], seen[N];
            for (int k = 0; k < N; k++) {
                float data = 0.25f * (float)(k - 4), noise = first_noise[k];
                x[k] = (alpha * data + sigma * noise) / (s->family->by_sigma ? alpha : 1);
                output[k] = v ? alpha * noise - sigma * data : noise;
            }
            sampler_step(s, 0, x, output, sampler_wants_noise(s, 0) ? first_noise : NULL, N);
            sampler_denoised(s, seen, N);
            for (int k = 0; k < N; k++)
                if (fabsf(seen[k] - 0.25f * (float)(k - 4)) > 1e-4f) fail_msg("%s: %g at %d", sampler_names[kind], (double)seen[k], k);
            sampler_free(s);
        }
}

static void expect_no_sampler(sampler_settings set, const char *words) {
    sampler *s = sampler_new(&set, N);
    if (s) fail_msg("taken, and should not: %s", words);
    if (!strstr(error_message(), words)) fail_msg("\"%s\" does not say \"%s\"", error_message(), words);
}

static void test_nonsense(void **state) {
    (void)state;
    const sampler_settings good = { .kind = SAMPLER_DDIM, .steps = 20, .steps_offset = -1 };
    sampler_settings set = good;
    set.steps = 0, expect_no_sampler(set, "from 1 to 1000");
    set.steps = 1001, expect_no_sampler(set, "from 1 to 1000");
    set.steps = 1000, expect_no_sampler(set, "past the last of training, 999");
    set = good, set.eta = NAN, expect_no_sampler(set, "eta is");
    set = good, set.eta = 1.5, expect_no_sampler(set, "eta is 1.5");
    set = good, set.beta_start = 0.5, expect_no_sampler(set, "from beta 0.5");
    set = good, set.beta_end = NAN, expect_no_sampler(set, "from beta");
    set = good, set.train_steps = 1000000000, expect_no_sampler(set, "training steps");
    set = good, set.steps_offset = 1000, expect_no_sampler(set, "steps_offset");
    set = good, set.steps_offset = 60, expect_no_sampler(set, "past the last");
    set = good, set.kind = SAMPLERS, expect_no_sampler(set, "no such sampler");
    set = good, set.kind = SAMPLER_DDIM_ORIGINAL, set.steps = 501, expect_no_sampler(set, "fails");
    set = good, set.kind = SAMPLER_UNIPC, set.steps = 1000, expect_no_sampler(set, "fall on one timestep");
    set.kind = SAMPLER_DPMPP_2M, expect_no_sampler(set, "fall on one timestep");
    assert_null(sampler_new(&good, SIZE_MAX / 2));
    assert_int_equal(error_code(), ERR_MEMORY);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_alphas), cmocka_unit_test(test_schedules), cmocka_unit_test(test_refused), cmocka_unit_test(test_runs),
        cmocka_unit_test(test_again), cmocka_unit_test(test_denoised), cmocka_unit_test(test_nonsense),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
