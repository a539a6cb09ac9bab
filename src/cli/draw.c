/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "base/clock.h"
#include "base/text.h"
#include "cli/cli.h"
#include "mien.h"

typedef struct {
    common_options common;
    mien_draw_options job;
    int size[2];
} arguments;

static int parse(arguments *a, int argc, char **argv) {
    mien_draw_options *j = &a->job;
    const option options[] = {
        { "output", 'o', OPTION_TEXT, &j->output, 0, 0, "MAP.png", "the file to write", NULL },
        { "size", 0, OPTION_WXH, a->size, 1, 1 << 20, "WxH", "the map's size (default: the photo's)", NULL },
        { "min-face", 0, OPTION_NUMBER, &j->min_face, 0, 1e6, "PIXELS", "draw only faces of at least so many pixels of the photo (default: as annotated)", NULL },
        { "max-pixels", 0, OPTION_COUNT, &j->max_pixels, 1, 4e9, "N", "refuse maps with more pixels (default 512000000)", NULL },
        { "force", 'f', OPTION_FLAG, &j->force, 0, 0, NULL, "overwrite MAP.png", NULL },
    };
    const command_help help = {
        "draw", "FACES.json -o MAP.png [OPTION...]",
        "Draws the control map of a landmarks JSON, as `mien annotate --json` writes it or edited since.", options, sizeof options / sizeof *options, "At the JSON's own size and settings this is the very file that `mien annotate` wrote.",
    };
    int rest;
    int status = options_parse(&help, &a->common, argc, argv, &rest);
    if (status >= 0) return status;
    int wrong = a->common.wrong;
    if (rest + 1 != argc) wrong |= misuse(&help, rest == argc ? "a landmarks JSON was expected" : "one landmarks JSON was expected");
    if (!j->output || !*j->output) wrong |= misuse(&help, "-o MAP.png is missing: the file to write");
    wrong |= timings_check(&help, &a->common, j->output, NULL);
    if (wrong) return misuse_end(&help);
    j->faces = argv[rest];
    j->width = a->size[0];
    j->height = a->size[1];
    return -1;
}

int command_draw(int argc, char **argv) {
    double begin = clock_seconds();
    arguments a = { .job = mien_draw_defaults() };
    int status = parse(&a, argc, argv);
    if (status >= 0) return status;
    mien_draw_result r = { 0 };
    int rc = mien_draw_file(&a.job, &r);
    if (rc < 0) return work_failed(&a.common), rc == MIEN_ERR_USAGE || rc == MIEN_ERR_EXISTS ? EXIT_MISUSE : EXIT_WORK_FAILED;
    char name[4 * 4096];
    text_escape(name, sizeof name, a.job.output);
    if (a.common.log_json && !a.common.quiet)
        printf("{\"event\":\"summary\",\"width\":%d,\"height\":%d,\"faces\":%d,\"drawn\":%d}\n", r.width, r.height, r.faces, r.drawn);
    else if (!a.common.quiet)
        printf("%s: %d x %d, %d of %d face%s drawn\n", name, r.width, r.height, r.drawn, r.faces, r.faces == 1 ? "" : "s");
    timings where = {
        .total = clock_seconds() - begin, .images = 1,
        .part = { { "read", r.read }, { "draw", r.draw }, { "encode", r.encode }, { "write", r.write } }, .n_parts = 4,
    };
    return timings_report(&a.common, &where);
}
