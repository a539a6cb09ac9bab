/* SPDX-License-Identifier: Apache-2.0 */
#include "generate/settings.h"

#include <string.h>
#include <strings.h>

#include "base/error.h"

_Static_assert((int)MIEN_DDIM == SAMPLER_DDIM && (int)MIEN_DDIM_ORIGINAL == SAMPLER_DDIM_ORIGINAL && (int)MIEN_EULER == SAMPLER_EULER &&
                   (int)MIEN_EULER_A == SAMPLER_EULER_A && (int)MIEN_DPMPP_2M == SAMPLER_DPMPP_2M && (int)MIEN_UNIPC == SAMPLER_UNIPC &&
                   (int)MIEN_DPMPP_2M_KARRAS == SAMPLER_DPMPP_2M_KARRAS && (int)MIEN_SAMPLERS == SAMPLERS,
               "mien.h's samplers are the room's");
_Static_assert((int)MIEN_RNG_TORCH_CPU == NOISE_TORCH_CPU && (int)MIEN_RNG_TORCH_CUDA == NOISE_TORCH_CUDA, "mien.h's kinds of noise are the room's");

const double settings_most_cfg = 100, settings_most_strength = 2;

picture_settings settings_defaults(void) {
    return (picture_settings){
        .prompt = "", .added = "best quality, extremely detailed",
        .negative = "longbody, lowres, bad anatomy, bad hands, missing fingers, extra digit, fewer digits, cropped, worst quality, low quality",
        .sampler = MIEN_DDIM, .steps = 20, .cfg = 9, .strength = 1, .end = 1, .seed = -1,
    };
}

static int check_text(const char *what, const char *s) {
    if (!s || strnlen(s, SETTINGS_MOST_TEXT + 1) <= SETTINGS_MOST_TEXT) return 0;
    return error_set(ERR_USAGE, "the %s is longer than %d bytes", what, SETTINGS_MOST_TEXT);
}

static int check_number(const char *what, double x, double least, double most) {
    return x >= least && x <= most ? 0 : error_set(ERR_USAGE, "%s is %g: %g to %g is possible", what, x, least, most);
}

static int check_side(int side) {
    if (side >= SETTINGS_LEAST_SIDE && side <= SETTINGS_MOST_SIDE && side % 8 == 0) return 0;
    int low = side - ((side % 8) + 8) % 8;
    if (low < SETTINGS_LEAST_SIDE) low = SETTINGS_LEAST_SIDE;
    if (low > SETTINGS_MOST_SIDE - 8) low = SETTINGS_MOST_SIDE - 8;
    return error_set(ERR_USAGE, "size: a side of %d pixels: multiples of 8 from %d to %d are possible, such as %d or %d", side, SETTINGS_LEAST_SIDE,
                     SETTINGS_MOST_SIDE, low, low + 8);
}

int settings_check(const picture_settings *s) {
    int rc = check_text("prompt", s->prompt);
    if (rc == 0) rc = check_text("added prompt", s->added);
    if (rc == 0) rc = check_text("negative prompt", s->negative);
    if (rc == 0 && (s->sampler < 0 || s->sampler >= MIEN_SAMPLERS)) rc = error_set(ERR_USAGE, "sampler %d: there is none of that number", (int)s->sampler);
    if (rc == 0 && s->rng != MIEN_RNG_TORCH_CPU && s->rng != MIEN_RNG_TORCH_CUDA) rc = error_set(ERR_USAGE, "rng %d: there is none of that number", (int)s->rng);
    if (rc == 0) rc = check_number("steps", s->steps, 0, SETTINGS_MOST_STEPS);
    if (rc == 0) rc = check_number("cfg", s->cfg, 0, settings_most_cfg);
    if (rc == 0) rc = check_number("eta", s->eta, 0, 1);
    if (rc == 0) rc = check_number("strength", s->strength, 0, settings_most_strength);
    if (rc == 0) rc = check_number("start", s->start, 0, 1);
    if (rc == 0) rc = check_number("end", s->end, 0, 1);
    if (rc == 0 && s->start > s->end) rc = error_set(ERR_USAGE, "the control starts at %g, behind its end at %g", s->start, s->end);
    if (rc == 0 && s->eta > 0 && s->sampler != MIEN_DDIM && s->sampler != MIEN_DDIM_ORIGINAL)
        rc = error_set(ERR_USAGE, "eta is for ddim and ddim_original: %s has none", sampler_names[s->sampler]);
    if (rc == 0 && s->width) rc = check_side(s->width);
    if (rc == 0 && s->height) rc = check_side(s->height);
    if (rc == 0 && !s->width && s->height) rc = error_set(ERR_USAGE, "size: a height without a width");
    return rc;
}

void settings_prompt(const picture_settings *s, text *out) {
    bool prompt = s->prompt && *s->prompt, added = s->added && *s->added;
    text_add(out, prompt ? s->prompt : "");
    if (prompt && added) text_add(out, ", ");
    text_add(out, added ? s->added : "");
}

/* ---- names ----------------------------------------------------------------------------------------------------------- */

static const struct { const char *label, *schedule; } labels[MIEN_SAMPLERS] = {
    [MIEN_DDIM] = { "DDIM", NULL }, [MIEN_DDIM_ORIGINAL] = { "DDIM original", NULL }, [MIEN_EULER] = { "Euler", NULL },
    [MIEN_EULER_A] = { "Euler a", NULL }, [MIEN_DPMPP_2M] = { "DPM++ 2M", NULL }, [MIEN_DPMPP_2M_KARRAS] = { "DPM++ 2M", "Karras" },
    [MIEN_UNIPC] = { "UniPC", NULL },
};

const char *settings_sampler_label(mien_sampler kind, const char **schedule) {
    *schedule = labels[kind].schedule;
    return labels[kind].label;
}

bool settings_sampler_find(const char *label, const char *schedule, mien_sampler *out) {
    bool karras = schedule && strcasecmp(schedule, "Karras") == 0;
    if (schedule && !karras && strcasecmp(schedule, "Automatic") != 0 && strcasecmp(schedule, "Uniform") != 0 && strcasecmp(schedule, "Normal") != 0) return false;
    if (strcasecmp(label, "DPM++ 2M Karras") == 0) return *out = MIEN_DPMPP_2M_KARRAS, true;
    for (int i = 0; i < MIEN_SAMPLERS; i++) {
        bool named = strcasecmp(label, sampler_names[i]) == 0, labelled = strcasecmp(label, labels[i].label) == 0;
        if (named && !karras) return *out = (mien_sampler)i, true;
        if (labelled && karras == (labels[i].schedule != NULL)) return *out = (mien_sampler)i, true;
    }
    return false;
}

int settings_bf16(mien_dtype asked, cpu_level cap, bool *bf16) {
    cpu_level here = cpu_level_here();
    bool able = here >= CPU_AVX512_BF16 && cap >= CPU_AVX512_BF16;
    if (asked == MIEN_DTYPE_BF16 && !able)
        return error_set(ERR_UNSUPPORTED, "bf16 needs a processor with AVX-512 bf16, and this one has %s%s: f32 works", cpu_level_name(here), here > cap ? " (capped lower)" : "");
    *bf16 = able && asked != MIEN_DTYPE_F32;
    return 0;
}
