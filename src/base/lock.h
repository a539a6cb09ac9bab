/* SPDX-License-Identifier: Apache-2.0
 *
 * Who writes to a folder: one process, or several that each do a part of one job. The lock is flock's, so it ends with
 * its owner however that ends; a lock file that is left behind means nothing. */
#ifndef BASE_LOCK_H
#define BASE_LOCK_H

#include <stdbool.h>

typedef struct {
    int folder, part;      /* descriptors, or -1 */
    char *folder_path, *part_path;
    bool missing;          /* this file system has no locks: nothing is held */
} folder_lock;

/* Locks a folder that exists, through hidden files in it. parts 0: alone. parts > 0: part 1..parts of that many, beside
 * other parts but not beside the same one, nor beside one that is alone. ERR_EXISTS names the process that holds it. */
int  folder_lock_take(const char *folder, int part, int parts, folder_lock *out);
void folder_lock_release(folder_lock *lock);   /* also fine on one that was never taken, if set to FOLDER_UNLOCKED */

#define FOLDER_UNLOCKED ((folder_lock){ .folder = -1, .part = -1 })

#endif
