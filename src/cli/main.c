/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "mien.h"

typedef struct {
    const char *name, *about;
    int (*run)(int argc, char **argv);   /* argv[0] is the command's name */
} command;

static const command commands[] = {
    { "annotate", "photos to face maps (and landmarks, and overlays)", command_annotate },
    { "build", "a folder of photos to a data set", command_build },
    { "check", "what is missing, broken or there twice in a data set", command_check },
    { "convert", "a model from one layout to another; a ControlNet to another base", command_convert },
    { "download", "the photos of a data set's list", command_download },
    { "draw", "landmarks JSON to face map", command_draw },
    { "eval", "how far pictures are from the faces they were to show: a report over a data set", command_eval },
    { "generate", "a photo's expression and gaze, and a prompt, to a picture", command_generate },
    { "init", "a new ControlNet for a base, or a new base", command_init },
    { "package", "a data set to a zip without photos, or to tar shards with them", command_package },
    { "preview", "contact sheets and statistics of a data set", command_preview },
    { "pull", "models from the network, or a list of them", command_pull },
    { "synth", "rendered faces with captions: a data set with no rights attached", command_synth },
    { "train", "a ControlNet, a base or a VAE, on a data set of maps and photos", command_train },
    { "info", "what this machine or a file is", command_info },
};
enum { COMMANDS = sizeof commands / sizeof *commands };

static int print_usage(void) {
    printf("Usage: mien COMMAND [OPTION...] [ARGUMENT...]\n\nSteers a generated face by the expression and gaze of a real one.\n\nCommands:\n");
    for (size_t i = 0; i < COMMANDS; i++) printf("  %-12s %s\n", commands[i].name, commands[i].about);
    printf("  %-12s %s\n", "help", "this, or a command's own: mien help COMMAND");
    printf("\n'mien COMMAND --help' lists a command's options.\n"
           "Exit status: 0 done, 1 the work failed, 2 misuse or missing input, 3 done but some items failed, 130 on Ctrl-C.\n");
    return EXIT_DONE;
}

static int print_version(void) {
    printf("mien %s\n", mien_version());
    return EXIT_DONE;
}

static const command *find_command(const char *name) {
    for (size_t i = 0; i < COMMANDS; i++)
        if (strcmp(commands[i].name, name) == 0) return &commands[i];
    return NULL;
}

static int unknown_command(const char *name) {
    const char *names[COMMANDS + 2] = { 0 };
    char all[256] = "";
    for (size_t i = 0; i < COMMANDS; i++) names[i] = commands[i].name;
    names[COMMANDS] = "help";
    for (size_t i = 0; names[i]; i++) snprintf(all + strlen(all), sizeof all - strlen(all), "%s%s", i == 0 ? "" : names[i + 1] ? ", " : " or ", names[i]);
    if (*name == '-') return misuse(NULL, "%s: a command was expected, not an option: %s ('mien help COMMAND' lists its options)", name, all);
    const char *near = nearest(name, names);
    return misuse(NULL, "%s: no such command: %s was expected%s%s%s", name, all, near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
}

static int run(int argc, char **argv) {
    if (argc < 2) {
        misuse(NULL, "a command was expected");
        fprintf(stderr, "Try 'mien --help'.\n");
        return EXIT_MISUSE;
    }
    const char *name = argv[1];
    if (strcmp(name, "--version") == 0 || strcmp(name, "-V") == 0) return print_version();
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0) return print_usage();
    if (strcmp(name, "help") == 0) {
        if (argc == 2) return print_usage();
        if (argc > 3) return misuse(NULL, "help: one command was expected");
        const command *c = find_command(argv[2]);
        return c ? c->run(2, (char *[]){ (char *)c->name, "--help", NULL }) : unknown_command(argv[2]);
    }
    const command *c = find_command(name);
    return c ? c->run(argc - 1, argv + 1) : unknown_command(name);
}

/* A descriptor 0, 1 or 2 that is closed would become the number of the next file, and our words go into it. Each is
 * opened the wrong way round, so that using it fails as it would have. */
static void hold_descriptors(void) {
    for (int fd = 0; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) < 0) _exit(EXIT_WORK_FAILED);
}

/* By default each picture's buffers are mapped anew and given back, which costs 600 page faults a photo. */
static void keep_freed_memory(void) {
    mallopt(M_MMAP_THRESHOLD, 32 << 20);   /* the most that glibc takes */
    mallopt(M_TRIM_THRESHOLD, 64 << 20);
}

int main(int argc, char **argv) {
    hold_descriptors();
    keep_freed_memory();
    signal(SIGXFSZ, SIG_IGN);   /* a file over the limit is an error to report, not a reason to die */
    catch_short_files();
    int status = run(argc, argv);
    if (fflush(stdout) == EOF || ferror(stdout)) {
        perror("mien: standard output");
        if (status == EXIT_DONE) status = EXIT_WORK_FAILED;
    }
    return status;
}
