/* SPDX-License-Identifier: Apache-2.0
 *
 * Folders of a test's own, in TMPDIR (or /tmp), that are gone when it is over. */
#ifndef TESTS_SCRATCH_H
#define TESTS_SCRATCH_H

/* Makes a new folder. 0, or -1. */
int scratch_new(char folder[64]);
/* Removes a folder with all that is in it; links in it are not followed. 0, or -1. */
int scratch_delete(const char *folder);

/* The same as set-up and tear-down of cmocka, for tests that run in such a folder. */
int scratch_enter(void **state);
int scratch_leave(void **state);
const char *scratch_folder(void);   /* the one that was entered */

#endif
