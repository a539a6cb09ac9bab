/* SPDX-License-Identifier: Apache-2.0
 *
 * What the sub-commands share: one file a command, each with its option table, its help and a call into mien.h. */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include <stdbool.h>
#include <stddef.h>

#include "mien.h"

enum { EXIT_DONE = 0, EXIT_WORK_FAILED = 1, EXIT_MISUSE = 2, EXIT_SOME_FAILED = 3, EXIT_STOPPED = 128 /* + the signal */ };

/* ---- options ------------------------------------------------------------------------------------------------------- */

typedef enum {
    OPTION_FLAG,      /* int: set to 1 */
    OPTION_INT,       /* int within least..most */
    OPTION_COUNT,     /* size_t within least..most */
    OPTION_LONG,      /* long long within least..most */
    OPTION_BYTES,     /* size_t within least..most: "3G" */
    OPTION_SIZE,      /* int[2]: "640x480", or "512" (then the second is 0) */
    OPTION_NUMBER,    /* double within least..most */
    OPTION_TEXT,      /* const char * */
    OPTION_CHOICE,    /* int: which of choices */
    OPTION_WXH,       /* int[2]: "640x480" */
    OPTION_I_OF_N,    /* int[2]: "2/8" */
    OPTION_RANGE,     /* double[2] within least..most, the first not more than the second: "0.5:0.8", or "0.6" for both */
    OPTION_MAYBE,     /* const char *: "" without a value, which is one of choices: --x, --x=VALUE, or --x VALUE */
} option_kind;

typedef struct {
    const char *name;
    char letter;                       /* 0: none */
    option_kind kind;
    void *value;
    double least, most;
    const char *argument, *help;       /* as --help shows them */
    const char *const *choices;        /* ends with NULL */
} option;

typedef struct {
    const char *name, *usage, *about;  /* usage: what follows "mien NAME "; if that begins with an option, it takes nothing but options */
    const option *options;
    size_t n_options;
    const char *notes;                 /* shown below the options; may be NULL */
} command_help;

/* The options of every command. */
typedef struct {
    int quiet, log_json, profile;
    int jobs;                          /* 0: all cores */
    int cpu;                           /* index into cpu_choices */
    const char *timings;
    int wrong;                         /* something was; it has been said */
} common_options;

extern const char *const cpu_choices[];

/* Reads the options and moves them before the other arguments: these begin at argv[*rest]. -1 to go on, or the exit
 * status after --help. Everything that is wrong is said, here (common->wrong) and then by the command, before it ends
 * with misuse_end. */
int options_parse(const command_help *c, common_options *common, int argc, char **argv, int *rest);
/* "mien NAME: ..." on stderr (c NULL: "mien: ..."). Both return EXIT_MISUSE. */
int misuse(const command_help *c, const char *format, ...) __attribute__((format(printf, 2, 3)));
int misuse_end(const command_help *c);
/* The one of `names` that `word` was probably meant to be, or NULL. */
const char *nearest(const char *word, const char *const *names);

/* ---- running ------------------------------------------------------------------------------------------------------- */

/* Ctrl-C and SIGTERM set stop_signal, which other threads read (base/stop.h), to the signal's number; a second one, of
 * either kind, kills. catch_signals_saying: the first one says that, a line for stderr. */
extern volatile int stop_signal;
void catch_signals(void);
void catch_signals_saying(const char *line);
void stop_says(const char *line);                 /* from now on */
/* SIGBUS, by which a mapped file that got shorter shows itself, says so and ends the program (short_file.c). */
void catch_short_files(void);

/* Where the time went. Parts may overlap: they are sums over threads. */
typedef struct { const char *name; double seconds; } timing;
typedef struct {
    double load, total;
    unsigned long long images;
    timing part[12];
    int n_parts;
    const char *series;                /* a part of which each time is told: "steps"; NULL: none */
    const double *each;
    size_t n_each;
} timings;

/* --timings FILE: refused before any work if it is there and is not such a file of ours, cannot be written, or is the
 * command's output or in its output folder (may be NULL). 0, or EXIT_MISUSE. */
int timings_check(const command_help *c, const common_options *common, const char *output, const char *output_folder);
/* Does what --profile and --timings ask for. 0, or EXIT_WORK_FAILED. */
int timings_report(const common_options *common, const timings *t);

/* What the networks' kernels took, for --profile. m may be NULL. */
void profile_networks(const common_options *common, const mien *m);
/* The times of a job that makes maps of photos; `load`, `total` and `images` are left to the caller. */
timings timings_of_photos(const mien_annotate_times *t);

/* Says mien_error(), if there is one; returns EXIT_WORK_FAILED. */
int work_failed(const common_options *common);
/* The exit status of a job that returned rc, with so many items failed. Says mien_error() if the job failed. */
int job_status(const common_options *common, int rc, unsigned long long failed);
/* The same of a job with a single output, begun at `begin` (clock_seconds): an output that is there is misuse. Writes the --timings. */
int single_output_end(const common_options *common, int rc, double begin);

/* ---- commands ------------------------------------------------------------------------------------------------------ */

int command_annotate(int argc, char **argv);
int command_build(int argc, char **argv);
int command_check(int argc, char **argv);
int command_convert(int argc, char **argv);
int command_download(int argc, char **argv);
int command_draw(int argc, char **argv);
int command_eval(int argc, char **argv);
int command_eval_data(int argc, char **argv);   /* eval without --map */
int command_generate(int argc, char **argv);
int command_info(int argc, char **argv);
int command_init(int argc, char **argv);
int command_train(int argc, char **argv);
int command_package(int argc, char **argv);
int command_preview(int argc, char **argv);
int command_pull(int argc, char **argv);
int command_synth(int argc, char **argv);

#endif
