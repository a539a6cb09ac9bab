/* SPDX-License-Identifier: Apache-2.0 */
#include "base/part.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>

#include "base/error.h"

uint64_t part_hash(const char *id) {
    uint64_t h = 0xcbf29ce484222325u;                                /* FNV-1a, then the finaliser of MurmurHash3: */
    for (const unsigned char *s = (const unsigned char *)id; *s; s++) h = (h ^ *s) * 0x100000001b3u;
    h = (h ^ (h >> 33)) * 0xff51afd7ed558ccdu;                       /* FNV alone leaves the high bits of short names alike */
    h = (h ^ (h >> 33)) * 0xc4ceb9fe1a85ec53u;
    return h ^ (h >> 33);
}

bool part_has(const char *id, int part, int parts) {
    return parts <= 0 || part_hash(id) % (uint64_t)parts == (uint64_t)(part - 1);
}

static bool number_in(const char *name, long least, long most, long *out) {
    const char *text = getenv(name);
    if (!text || !*text) return false;
    char *end;
    errno = 0;
    *out = strtol(text, &end, 10);
    return errno == 0 && *end == 0 && *out >= least && *out <= most;
}

/* Arrays may begin anywhere and be stepped (--array=10-30:5); from a list of odd ids nobody can tell which is whose. */
static int slurm_part(long count, int *part, int *parts) {
    long id, first, last, step = 1;
    number_in("SLURM_ARRAY_TASK_STEP", 1, INT_MAX, &step);
    if (!number_in("SLURM_ARRAY_TASK_ID", 0, INT_MAX, &id) || !number_in("SLURM_ARRAY_TASK_MIN", 0, id, &first) ||
        !number_in("SLURM_ARRAY_TASK_MAX", id, INT_MAX, &last) || (id - first) % step || (last - first) / step + 1 != count)
        return error_set(ERR_USAGE, "this Slurm array's task ids are not evenly spaced: give --part I/N");
    *part = (int)((id - first) / step) + 1;
    *parts = (int)count;
    return 1;
}

int part_from_environment(int *part, int *parts) {
    long rank, count;
    if (number_in("OMPI_COMM_WORLD_SIZE", 2, INT_MAX, &count) && number_in("OMPI_COMM_WORLD_RANK", 0, count - 1, &rank)) {
        *part = (int)rank + 1;
        *parts = (int)count;
        return 1;
    }
    return number_in("SLURM_ARRAY_TASK_COUNT", 2, INT_MAX, &count) ? slurm_part(count, part, parts) : 0;
}
