/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/output.h"
#include "base/text.h"
#include "cli/cli.h"
#include "cli/judgement.h"
#include "cli/progress.h"
#include "mien.h"

static const char notes[] =
    "M.json is a landmarks JSON, as `mien annotate --json` writes it, or the map beside it. The pictures were to show its faces\n"
    "at the same places; of another aspect they are taken for what generate makes of such a photo: a part of it. Landmark\n"
    "errors are in distances between the outer eye corners (IOD), gaze and lids in eye widths, poses in degrees: docs/eval.md\n"
    "defines each. With several pictures there are means with 95% intervals, too. Judge and annotator are the same network:\n"
    "what it does not see it neither asks for nor misses.";

typedef struct {
    common_options common;
    mien_judge_options job;
    const char *json;
    int force;
} arguments;

static int parse(arguments *a, int argc, char **argv) {
    mien_judge_options *j = &a->job;
    const option options[] = {
        { "map", 0, OPTION_TEXT, &j->map, 0, 0, "M.json", "what the pictures were to show", NULL },
        { "face", 0, OPTION_INT, &j->face, 1, 100, "K", "only its K-th face was wanted, as of generate --face K", NULL },
        { "max-faces", 0, OPTION_INT, &j->max_faces, 1, 100, "N", "only its first N, as of generate --max-faces N", NULL },
        { "json", 0, OPTION_TEXT, &a->json, 0, 0, "FILE.json", "write all numbers there", NULL },
        { "max-pixels", 0, OPTION_COUNT, &j->max_pixels, 1, 4e9, "N", "refuse pictures with more pixels (default 512000000)", NULL },
        { "force", 'f', OPTION_FLAG, &a->force, 0, 0, NULL, "overwrite FILE.json", NULL },
    };
    const command_help help = {
        "eval", "PICTURE... --map M.json [OPTION...]",
        "Finds the faces of pictures again and measures how far they are from those that were wanted.", options,
        sizeof options / sizeof *options, notes,
    };
    int rest;
    int status = options_parse(&help, &a->common, argc, argv, &rest);
    if (status >= 0) return status;
    int wrong = a->common.wrong;
    if (!j->map || !*j->map) wrong |= misuse(&help, "--map M.json is missing: what the pictures were to show");
    if (rest == argc) wrong |= misuse(&help, "a picture was expected");
    if (j->face && j->max_faces) wrong |= misuse(&help, "--face takes one face, --max-faces the first ones: one of both");
    wrong |= timings_check(&help, &a->common, a->json, NULL);
    if (wrong) return misuse_end(&help);
    j->pictures = (const char *const *)argv + rest;
    j->n_pictures = argc - rest;
    return -1;
}

/* ---- what it prints -------------------------------------------------------------------------------------------------- */

typedef struct { progress shown; const arguments *a; text json; } listener;   /* the progress first: it is the hooks' context */

static void add_picture(text *out, const char *picture, const mien_judgement *j) {
    text_add(out, "\"picture\":");
    text_json_string(out, picture);
    judgement_add(out, j);
}

static void print_event(const char *picture, const mien_judgement *j) {
    text line = { 0 };
    text_add(&line, "{\"event\":\"judged\",");
    add_picture(&line, picture, j);
    if (text_check(&line) == 0) printf("%s}\n", line.data);
    text_free(&line);
}

static void judged(void *context, const char *picture, const mien_judgement *j) {
    listener *l = context;
    char name[4 * 4096], head[200];
    if (l->a->json) {
        text_add(&l->json, l->json.size ? ",\n{" : "{");
        add_picture(&l->json, picture, j);
        text_add(&l->json, "}");
    }
    if (l->a->common.quiet) return;
    progress_clear(&l->shown);
    if (l->a->common.log_json) {
        print_event(picture, j);
    } else {
        judgement_headline(j, head, sizeof head);
        printf("%s: %s\n", text_escape(name, sizeof name, picture), head);
        judgement_print(j);
    }
    fflush(stdout);
}

static void print_end(const arguments *a, const mien_progress *p, const mien_summary *s) {
    if (a->common.quiet) return;
    if (a->common.log_json) {
        text line = { 0 };
        text_printf(&line, "{\"event\":\"summary\",\"failed\":%llu,", (unsigned long long)p->failed);
        judgement_add_summary(&line, s);
        text_add(&line, ",");
        judgement_add_caveat(&line);
        if (text_check(&line) == 0) printf("%s}\n", line.data);
        text_free(&line);
        return;
    }
    if (s->pictures > 1) {
        printf("%llu pictures:\n", (unsigned long long)s->pictures);
        judgement_print_summary(s);
    }
    if (s->pictures) printf("%s\n", mien_judge_caveat());
}

static int save_json(const arguments *a, const text *pictures, const mien_progress *p, const mien_summary *s) {
    text doc = { 0 };
    text_add(&doc, "{\"format\":1,");
    judgement_add_caveat(&doc);
    text_add(&doc, ",\n\"map\":");
    text_json_string(&doc, a->job.map);
    text_printf(&doc, ",\"failed\":%llu,\n\"pictures\":[\n", (unsigned long long)p->failed);
    text_add(&doc, pictures->data ? pictures->data : "");   /* long */
    text_add(&doc, "\n],\n\"summary\":{");
    judgement_add_summary(&doc, s);
    text_add(&doc, "}}\n");
    doc.failed |= pictures->failed;
    int rc = text_check(&doc);
    if (rc == 0) rc = a->force ? file_save(a->json, doc.data, doc.size) : file_save_new(a->json, doc.data, doc.size);
    text_free(&doc);
    return rc;
}

/* ---- the work -------------------------------------------------------------------------------------------------------- */

static int refuse_json(const arguments *a) {
    if (!a->json) return 0;
    int rc = output_refuse(a->json, &(output_rules){ .force = a->force, .inputs = &a->job.map, .n_inputs = 1 });
    const output_rules pictures = { .force = true, .inputs = a->job.pictures, .n_inputs = a->job.n_pictures };
    if (rc == 0) rc = output_refuse(a->json, &pictures);
    return rc;
}

static int run(arguments *a, double begin) {
    listener l = { .a = a };
    mien *m;
    if (refuse_json(a) < 0) return work_failed(&a->common), EXIT_MISUSE;
    mien_options how = { .cpu = cpu_choices[a->common.cpu], .profile = a->common.profile };
    if (mien_open(&how, &m) < 0) return work_failed(&a->common);
    double loaded = clock_seconds();
    mien_progress result = { 0 };
    mien_summary summary = { 0 };
    progress_begin(&l.shown, &a->common, "pictures");
    l.shown.notes = !a->common.quiet;
    a->job.hooks = progress_hooks(&l.shown);
    a->job.judged = judged;
    catch_signals();
    int rc = mien_judge_pictures(m, &a->job, &result, &summary);
    progress_end(&l.shown);
    int status = job_status(&a->common, rc, result.failed);
    if (rc == 0) print_end(a, &result, &summary);
    if (rc == 0 && a->json && save_json(a, &l.json, &result, &summary) < 0) status = work_failed(&a->common);
    timings where = { .load = loaded - begin, .total = clock_seconds() - begin, .images = result.done };
    int failed = rc == MIEN_ERR_USAGE ? 0 : timings_report(&a->common, &where);
    profile_networks(&a->common, m);
    text_free(&l.json);
    mien_close(m);
    return status ? status : failed;
}

/* Pictures that are there are judged by --map; without it they are made of a data set. */
static bool has_word(int argc, char **argv, const char *word) {
    size_t n = strlen(word);
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
        if (strncmp(argv[i], word, n) == 0 && (!argv[i][n] || argv[i][n] == '=')) return true;
    return false;
}

static int judge(int argc, char **argv) {
    double begin = clock_seconds();
    arguments a = { 0 };
    int status = parse(&a, argc, argv);
    return status >= 0 ? status : run(&a, begin);
}

int command_eval(int argc, char **argv) {
    if (has_word(argc, argv, "--map")) return judge(argc, argv);
    int status = command_eval_data(argc, argv);
    if (!has_word(argc, argv, "--help") || status != EXIT_DONE) return status;
    printf("\n");
    return judge(argc, argv);   /* its help, too */
}
