/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/generate.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "cli/progress.h"

static const char *const searches[] = { "none", "auto", NULL };
static const char *const dtypes[] = { "auto", "bf16", "f32", NULL };
static const char *const predictions[] = { "auto", "epsilon", "v", NULL };

static const char notes[] =
    "Models are .safetensors, .ckpt or diffusers folders of Stable Diffusion 1.x or 2.x; without --control the base must hold the ControlNet too.\n"
    "With neither --control nor --photo, --map or --faces the base makes the picture alone, square, and no face steers it.\n"
    "Without --base mien-tiny is taken, a small model of drawn faces at 256x256. A model that carries a tokenizer of its own, as it does, knows the words of its\n"
    "captions alone: then nothing is added to the prompt, the negative one is empty and --cfg is 3, unless said otherwise.\n"
    "The map is drawn from the photo's best face, or those that --face or --max-faces take, at the picture's size: by default the photo's aspect\n"
    "with a short side of 512 (768 for a model that was trained so). --map takes one that is there, which `mien annotate` or `mien draw` made.\n"
    "--count N writes OUT.png, OUT-2.png, ... with seeds SEED, SEED+1, ... The seed is random if none is given, and printed.\n"
    "--batch takes jobs from a file of JSON lines, such as {\"photo\":\"a.jpg\",\"prompt\":\"...\",\"seed\":1,\"out\":\"first\"}, and -o is a folder then;\n"
    "what a line does not tell is as the options say, a line that fails is told of in the end, and pictures that are there are not made again.\n"
    "--check judges each picture as `mien eval --map` does, and --count 8 --keep-best 1 writes OUT.png alone, which is the one of eight whose score is\n"
    "lowest (docs/eval.md). Judge and annotator are the same network. With --map the landmarks must lie beside the map, as annotate --json writes them.\n"
    "Pictures carry their settings (`mien info` shows them, --like takes them over) and the mark that a machine made them, but no path and no\n"
    "name; --no-metadata leaves both out. The control steers expression and gaze, not identity.";

static int parse(generate_arguments *a, int argc, char **argv) {
    mien_generate_options *j = &a->job;
    mien_picture_settings *s = &j->picture;
    const option options[] = {
        { "base", 0, OPTION_TEXT, &j->base, 0, 0, "SD", "the Stable Diffusion model: a file, a folder, or the name of a model that pull fetched (default: mien-tiny, which comes with mien)", NULL },
        { "control", 0, OPTION_TEXT, &j->control, 0, 0, "CONTROL", "the ControlNet (default: the one in the base's file; mien-tiny's with it)", NULL },
        { "photo", 0, OPTION_TEXT, &j->photo, 0, 0, "PHOTO", "whose face steers the picture", NULL },
        { "map", 0, OPTION_TEXT, &j->map, 0, 0, "MAP.png", "a control map instead", NULL },
        { "faces", 0, OPTION_TEXT, &j->faces, 0, 0, "FACES.json", "landmarks instead", NULL },
        { "prompt", 'p', OPTION_TEXT, &s->prompt, 0, 0, "TEXT", "what to make", NULL },
        { "added", 0, OPTION_TEXT, &s->added, 0, 0, "TEXT", "added behind it (default \"best quality, extremely detailed\")", NULL },
        { "negative", 0, OPTION_TEXT, &s->negative, 0, 0, "TEXT", "what not to make (default: the original's list)", NULL },
        { "output", 'o', OPTION_TEXT, &j->output, 0, 0, "OUT.png", "the picture to write; with --batch a folder", NULL },
        { "batch", 0, OPTION_TEXT, &j->batch, 0, 0, "JOBS.jsonl", "many jobs, one a line", NULL },
        { "steps", 0, OPTION_INT, &s->steps, 0, 1000, "N", "steps of the sampler (default 20); 0: load, encode and decode only", NULL },
        { "sampler", 0, OPTION_CHOICE, &a->sampler, 0, 0, NULL, "the way from noise to picture (default ddim)", mien_sampler_names() },
        { "cfg", 0, OPTION_NUMBER, &s->cfg, 0, 100, "X", "guidance: how much the prompt counts (default 9; 1: none)", NULL },
        { "strength", 0, OPTION_NUMBER, &s->strength, 0, 2, "X", "how much the control counts (default 1)", NULL },
        { "start", 0, OPTION_NUMBER, &s->start, 0, 1, "X", "the fraction of the steps from which the control acts (default 0)", NULL },
        { "end", 0, OPTION_NUMBER, &s->end, 0, 1, "X", "the fraction up to which it acts (default 1)", NULL },
        { "guess", 0, OPTION_FLAG, &s->guess, 0, 0, NULL, "guess mode: the map says more than the prompt", NULL },
        { "only-mid-control", 0, OPTION_FLAG, &s->only_mid_control, 0, 0, NULL, "the control acts on the middle block alone", NULL },
        { "eta", 0, OPTION_NUMBER, &s->eta, 0, 1, "X", "noise added at each step of ddim (default 0)", NULL },
        { "seed", 0, OPTION_LONG, &s->seed, -1, 0x1p63, "N", "of the noise (default -1: a random one)", NULL },
        { "rng", 0, OPTION_CHOICE, &a->rng, 0, 0, NULL, "whose noise a seed means (default torch-cpu)", mien_rng_names() },
        { "count", 'n', OPTION_INT, &j->count, 1, 10000, "N", "how many pictures (default 1)", NULL },
        { "size", 0, OPTION_SIZE, a->size, 64, 2048, "512|WxH", "short side, or both; multiples of 8 (default: by the photo)", NULL },
        { "face", 0, OPTION_INT, &j->face, 1, 100, "K", "take the K-th face that is found", NULL },
        { "max-faces", 0, OPTION_INT, &j->search.max_faces, 1, 100, "N", "take up to N faces, best first (default 1)", NULL },
        { "min-confidence", 0, OPTION_NUMBER, &a->confidence, 0, 1, "X", "believe a face's detection from X on (default 0.5)", NULL },
        { "search", 0, OPTION_CHOICE, &a->search, 0, 0, NULL, "auto: look closer and turned where no upright face is found", searches },
        { "allow-empty", 0, OPTION_FLAG, &j->allow_empty, 0, 0, NULL, "no face is no failure: the map is empty", NULL },
        { "like", 0, OPTION_TEXT, &a->like, 0, 0, "PICTURE.png", "settings as in that picture; other options change them", NULL },
        { "preview", 0, OPTION_INT, &j->preview, 1, 1000, "N", "write OUT.preview.png, rough, every N steps", NULL },
        { "save-map", 0, OPTION_TEXT, &j->save_map, 0, 0, "MAP.png", "write the control map too", NULL },
        { "check", 0, OPTION_FLAG, &j->check, 0, 0, NULL, "find the faces again, and tell how far they are from those that were wanted", NULL },
        { "keep-best", 0, OPTION_INT, &j->keep_best, 1, 100, "K", "of --count pictures keep the K that obey most, the best first; the others are not written", NULL },
        { "no-metadata", 0, OPTION_FLAG, &j->no_metadata, 0, 0, NULL, "pictures tell neither settings nor that a machine made them", NULL },
        { "dtype", 0, OPTION_CHOICE, &a->dtype, 0, 0, NULL, "numbers to compute with (default: as --like, else bf16 where the processor has it)", dtypes },
        { "memory", 0, OPTION_BYTES, &j->memory, 1e6, 1e15, "SIZE", "use no more, such as 3G (default: what is free)", NULL },
        { "prediction", 0, OPTION_CHOICE, &a->prediction, 0, 0, NULL, "what the model predicts (default: as it says, or as it looks)", predictions },
        { "force", 'f', OPTION_FLAG, &j->force, 0, 0, NULL, "overwrite what is there", NULL },
    };
    const command_help help = {
        "generate", "[--photo PHOTO] --prompt TEXT -o OUT.png [--base SD] [--control CONTROL] [OPTION...]",
        "Makes a picture by Stable Diffusion and a ControlNet, steered by the expression and gaze of a photo's face.", options, sizeof options / sizeof *options, notes,
    };
    int rest;
    int status = options_parse(&help, &a->common, argc, argv, &rest);
    if (status >= 0) return status;
    int wrong = a->common.wrong;
    if (!j->output && !(j->batch == NULL && s->steps == 0)) wrong |= misuse(&help, "-o is missing: %s", j->batch ? "the folder to write pictures to" : "the picture to write");
    int maps = (j->photo != NULL) + (j->map != NULL) + (j->faces != NULL);
    if (maps > 1) wrong |= misuse(&help, "one of --photo, --map and --faces was expected, not several");
    if (maps == 0 && !j->batch && j->control)
        wrong |= misuse(&help, "--photo PHOTO is missing (or --map or --faces): whose face steers the picture; without --control the base makes one alone");
    const char *of_map = maps || j->batch || j->control ? NULL : j->face ? "--face" : j->search.max_faces ? "--max-faces" : j->allow_empty ? "--allow-empty"
                         : j->save_map ? "--save-map" : j->keep_best ? "--keep-best" : j->check ? "--check" : NULL;
    if (of_map) wrong |= misuse(&help, "%s: without --photo, --map or --faces there is no map", of_map);
    if (!s->prompt && !a->like && !j->batch && s->steps) wrong |= misuse(&help, "--prompt TEXT is missing: what to make (--prompt '' says nothing of it)");
    if (j->keep_best && !j->batch && j->keep_best > (j->count ? j->count : 1)) wrong |= misuse(&help, "--keep-best %d: of --count %d pictures", j->keep_best, j->count ? j->count : 1);
    if (j->batch && j->save_map) wrong |= misuse(&help, "--save-map: a batch saves no maps");
    if (j->output && !j->batch && !generate_is_png(j->output)) wrong |= misuse(&help, "-o %s: a name that ends in .png was expected", j->output);
    if (j->output && j->batch && generate_is_png(j->output)) wrong |= misuse(&help, "-o %s: with --batch it is a folder, and that is the name of a picture", j->output);
    if (j->save_map && !generate_is_png(j->save_map)) wrong |= misuse(&help, "--save-map %s: a name that ends in .png was expected", j->save_map);
    if (a->common.timings && generate_is_png(a->common.timings)) wrong |= misuse(&help, "--timings %s: the name is one of a picture", a->common.timings);
    wrong |= timings_check(&help, &a->common, j->batch ? NULL : j->output, j->batch ? j->output : NULL);
    return wrong ? misuse_end(&help) : -1;
}

/* The options as they stand before the command line: the defaults, or a picture's settings. */
static void set_out(generate_arguments *a, const mien_picture_settings *s) {
    *a = (generate_arguments){ .job.picture = *s, .sampler = (int)s->sampler, .rng = (int)s->rng, .size = { s->width, s->height },
                               .dtype = -1, .confidence = (double)mien_face_defaults().min_confidence };
}

static void take_over(generate_arguments *a) {
    mien_generate_options *j = &a->job;
    j->picture.sampler = (mien_sampler)a->sampler;
    j->picture.rng = (mien_rng)a->rng;
    j->picture.width = a->size[0];
    j->picture.height = a->size[1];
    j->search.search = a->search ? MIEN_SEARCH_AUTO : MIEN_SEARCH_NONE;
    j->search.min_confidence = (float)a->confidence;
    if (a->dtype >= 0) j->dtype = (mien_dtype)a->dtype, j->picture.dtype = MIEN_DTYPE_AUTO;   /* said: not the picture's, then */
    j->prediction = (mien_prediction)a->prediction;
    j->jobs = a->common.jobs;
    j->cpu = cpu_choices[a->common.cpu];
}

int command_generate(int argc, char **argv) {
    double begin = clock_seconds();
    generate_arguments a;
    mien_picture_settings like = mien_picture_defaults();
    like.prompt = NULL;   /* none was said yet */
    set_out(&a, &like);
    int status = parse(&a, argc, argv);
    if (status < 0 && a.like) {   /* once more, over the picture's settings */
        if (mien_picture_settings_load(a.like, &like) < 0) return work_failed(&a.common), EXIT_MISUSE;
        set_out(&a, &like);
        status = parse(&a, argc, argv);
    }
    if (status < 0 && !a.like) {   /* over what suits the model */
        mien_picture_settings suits = mien_picture_defaults_of(a.job.base);
        suits.prompt = NULL;
        set_out(&a, &suits);
        status = parse(&a, argc, argv);
    }
    if (status < 0) {
        a.job.like = a.like;
        take_over(&a);
        status = generate_job_run(&a, like.note, begin);
    }
    mien_picture_settings_free(&like);
    return status;
}
