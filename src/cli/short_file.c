/* SPDX-License-Identifier: Apache-2.0
 *
 * Models are mapped into memory. If such a file gets shorter while it is in use, or its disk fails, the kernel tells of it by SIGBUS, to whichever
 * thread reads the page. No read can be taken back there, so the program ends, as it would with any file that it could not read: one line, status 1.
 * Outputs are renamed when they are whole, and the next run removes what was begun. Only functions that a signal handler may call are used. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"

static bool hex(const char **at, uintptr_t *out) {
    const char *s = *at;
    for (*out = 0; (*s >= '0' && *s <= '9') || (*s >= 'a' && *s <= 'f'); s++) *out = *out << 4 | (uintptr_t)(*s <= '9' ? *s - '0' : *s - 'a' + 10);
    bool any = s > *at;
    *at = s;
    return any;
}

/* "<begin>-<end> r--p ... /path" */
static const char *path_if_at(const char *line, uintptr_t address) {
    uintptr_t begin, end;
    if (!hex(&line, &begin) || *line++ != '-' || !hex(&line, &end) || address < begin || address >= end) return NULL;
    return strchr(line, '/');
}

/* The file that is mapped there, for people; false if none is. */
static bool file_at(uintptr_t address, char *line, size_t room) {
    char block[1024];
    size_t used = 0;
    int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
    ssize_t n;
    while (fd >= 0 && (n = read(fd, block, sizeof block)) > 0)
        for (ssize_t i = 0; i < n; i++) {
            if (block[i] != '\n') {
                if (used + 1 < room) line[used++] = block[i] < ' ' || block[i] == 127 ? '?' : block[i];
                continue;
            }
            line[used] = 0;
            used = 0;
            const char *path = path_if_at(line, address);
            if (path) return memmove(line, path, strlen(path) + 1), true;
        }
    return false;
}

static void say(const char *s) {
    if (write(STDERR_FILENO, s, strlen(s)) < 0) return;
}

static void end_here(int number, siginfo_t *info, void *context) {
    static char line[4400];   /* a thread's stack may be small; the first one in ends the program */
    (void)context;
    if (info->si_code != BUS_ADRERR) {   /* something else is wrong: as if nobody listened */
        signal(number, SIG_DFL);
        return;
    }
    say("mien: ");
    say(file_at((uintptr_t)info->si_addr, line, sizeof line) ? line : "a file");
    say(": was cut short, or could not be read, while it was in use\n");
    _exit(EXIT_WORK_FAILED);
}

void catch_short_files(void) {
    struct sigaction a = { .sa_sigaction = end_here, .sa_flags = SA_SIGINFO };
    sigfillset(&a.sa_mask);
    sigaction(SIGBUS, &a, NULL);
}
