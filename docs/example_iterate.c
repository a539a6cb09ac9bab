/* SPDX-License-Identifier: Apache-2.0
 *
 * One epoch of a data set in batches, as training takes it, with libmien:
 *     cc example_iterate.c $(pkg-config --cflags --libs mien) && ./a.out DIR */
#include <mien.h>
#include <stdio.h>

enum { BATCH = 4, SIZE = 512 };
static float hint[BATCH][SIZE][SIZE][3], target[BATCH][SIZE][SIZE][3];   /* the map in 0..1, the photo in -1..1 */

int main(int argc, char **argv) {
    mien_iterator *it;
    mien_item item[BATCH];
    mien_progress p;
    int n;
    if (argc != 2 || mien_iterator_open(&(mien_iterate_options){ .data = argv[1], .size = SIZE, .seed = 7, .epochs = 1 }, &it))
        return fprintf(stderr, "%s\n", argc == 2 ? mien_error() : "usage: example_iterate DIR"), 1;
    while ((n = mien_iterator_next(it, BATCH, &hint[0][0][0][0], &target[0][0][0][0], item)) > 0)
        for (int i = 0; i < n; mien_item_free(&item[i++]))
            printf("%s: \"%s\", its first pixel %.3f %.3f %.3f\n", item[i].id, item[i].prompt, target[i][0][0][0], target[i][0][0][1], target[i][0][0][2]);
    mien_iterator_progress(it, &p);
    printf("%llu items, %llu left out\n", (unsigned long long)p.done, (unsigned long long)p.failed);
    mien_iterator_close(it);
    return n < 0 ? fprintf(stderr, "%s\n", mien_error()), 1 : 0;
}
