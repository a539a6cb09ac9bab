/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "base/clock.h"
#include "base/text.h"
#include "cli/cli.h"
#include "mien.h"

typedef struct { const common_options *common; } printer;

static void print_line(void *context, const char *line) {
    const printer *p = context;
    if (!p->common->log_json) {
        printf("%s\n", line);
        return;
    }
    text t = { 0 };
    text_add(&t, "{\"event\":\"info\",\"message\":");
    text_json_string(&t, line);
    text_add(&t, "}");
    if (text_check(&t) == 0) printf("%s\n", t.data);
    text_free(&t);
}

static int describe_machine(printer *p) {
    mien *m = NULL;
    int rc = mien_open(&(mien_options){ .cpu = cpu_choices[p->common->cpu] }, &m);
    if (rc < 0) work_failed(p->common);
    rc |= mien_describe(m, print_line, p);
    mien_close(m);
    return rc < 0 ? EXIT_WORK_FAILED : EXIT_DONE;
}

int command_info(int argc, char **argv) {
    double begin = clock_seconds();
    const command_help help = {
        "info", "[FILE...]", "Says what this machine computes with, or what files are: photos, maps, landmarks JSON, models, data sets, training runs.", NULL, 0,
        "A FILE may be a folder, too: a diffusers model, a data set, or the RUN of `mien train` or a checkpoint in it; or the name of a model that pull fetched.",
    };
    common_options common;
    int rest;
    int status = options_parse(&help, &common, argc, argv, &rest);
    if (status >= 0) return status;
    if (common.wrong | timings_check(&help, &common, NULL, NULL)) return misuse_end(&help);
    printer p = { &common };
    status = rest == argc ? describe_machine(&p) : EXIT_DONE;
    for (int i = rest; i < argc; i++) {
        int one = job_status(&common, mien_describe_file(argv[i], print_line, &p), 0);
        if (one > status) status = one;      /* a missing file is misuse, whatever else failed */
    }
    timings where = { .total = clock_seconds() - begin, .images = (unsigned long long)(argc - rest) };
    int failed = timings_report(&common, &where);
    return status ? status : failed;
}
