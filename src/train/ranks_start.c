/* SPDX-License-Identifier: Apache-2.0
 *
 * How a process finds out that there are others, and what it may use of the machine that it shares with them. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <limits.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "train/ranks_inside.h"

/* 0: there is no such number from 1 on. */
static int number_in(const char *name) {
    const char *text = getenv(name);
    char *end;
    long n = text && *text >= '0' && *text <= '9' ? strtol(text, &end, 10) : 0;
    return n > 0 && n <= INT_MAX && !*end ? (int)n : 0;
}

/* Open MPI's mpirun; that of MPICH and its kin, and srun with PMI; srun with PMIx, or none. */
int ranks_started(void) {
    static const char *const names[] = { "OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_STEP_NUM_TASKS" };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        int n = number_in(names[i]);
        if (n) return n;
    }
    return 1;
}

int ranks_open(ranks **out) {
    int wanted = ranks_started();
    *out = NULL;
    if (wanted == 1) return 0;
    /* Open MPI's own plugins look for its names among all that are there. It stays: MPI does not begin twice. */
    void *plugin = dlopen(RANKS_PLUGIN, RTLD_NOW | RTLD_GLOBAL | RTLD_NODELETE);
    if (!plugin)
        return error_set(ERR_UNSUPPORTED,
                         "started as one of %d processes, but this build of mien has no MPI, by which they would train together: "
                         "install MPI (Debian: libopenmpi-dev) and build again, or start one process (%s)", wanted, dlerror());
    const ranks_transport *t = dlsym(plugin, RANKS_SYMBOL);
    if (!t || t->version != RANKS_TRANSPORT) return error_set(ERR_UNSUPPORTED, RANKS_PLUGIN " is not that of this mien");
    int rc = ranks_open_on(t, out);
    if (rc < 0 || ranks_count(*out) == wanted) return rc;
    rc = error_set(ERR_UNSUPPORTED,
                   "started as one of %d processes, but MPI knows of %d: "
                   "the mpirun (or srun --mpi) is not that of the MPI that mien was built with", wanted, ranks_count(*out));
    ranks_close(*out);
    *out = NULL;
    return rc;
}

/* ---- cores -------------------------------------------------------------------------------------------------------------- */

typedef struct { char machine[256]; cpu_set_t may; } place;

static void look_around(const place *all, int count, const place *own, ranks_machine *out) {
    cpu_set_t used = own->may, both, starter;
    int sharing = 0;
    *out = (ranks_machine){ 0 };
    for (int k = 0; k < count; k++) {
        if (strcmp(all[k].machine, own->machine) != 0) continue;
        out->ranks++;
        CPU_AND(&both, &all[k].may, &own->may);
        sharing += CPU_COUNT(&both) > 0;
        CPU_OR(&used, &used, &all[k].may);
    }
    out->cores = CPU_COUNT(&own->may) / (sharing > 0 ? sharing : 1);
    if (out->cores < 1) out->cores = 1;
    out->used = CPU_COUNT(&used);
    /* What mpirun itself may use, it could have given away. */
    if (sched_getaffinity(getppid(), sizeof starter, &starter) < 0) starter = used;
    CPU_AND(&both, &starter, &used);
    out->unused = CPU_COUNT(&starter) - CPU_COUNT(&both);
}

int ranks_machine_of(ranks *r, ranks_machine *out) {
    place own, *all = malloc((size_t)r->count * sizeof *all);
    if (!all) return error_memory((size_t)r->count * sizeof *all);
    memset(&own, 0, sizeof own);
    gethostname(own.machine, sizeof own.machine - 1);
    if (sched_getaffinity(0, sizeof own.may, &own.may) < 0) CPU_SET(0, &own.may);
    int rc = ranks_gather(r, &own, sizeof own, all);
    for (int k = 0; k < r->count && rc == 0; k++) all[k].machine[sizeof all[k].machine - 1] = 0;
    if (rc == 0) look_around(all, r->count, &own, out);
    free(all);
    return rc;
}
