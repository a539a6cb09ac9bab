/* SPDX-License-Identifier: Apache-2.0 */
#include "generate/keep.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"

static void drop(kept_picture *p) {
    image_free(&p->picture);
    free(p->judgement.face);
    *p = (kept_picture){ 0 };
}

int keeper_begin(keeper *k, int most) {
    size_t bytes = (size_t)most * sizeof *k->best;
    *k = (keeper){ .most = most, .best = calloc((size_t)most, sizeof *k->best) };
    return k->best ? 0 : error_memory(bytes);
}

void keeper_offer(keeper *k, const mien_picture *what, image *picture, mien_judgement *judgement) {
    kept_picture one = { .picture = *picture, .judgement = *judgement, .what = *what };
    int at = 0;
    *picture = (image){ 0 };
    *judgement = (mien_judgement){ 0 };
    while (at < k->n && k->best[at].judgement.score <= one.judgement.score) at++;
    if (at == k->most) {
        drop(&one);
        return;
    }
    if (k->n == k->most) drop(&k->best[--k->n]);
    memmove(&k->best[at + 1], &k->best[at], (size_t)(k->n - at) * sizeof *k->best);
    k->best[at] = one;
    k->n++;
}

void keeper_end(keeper *k) {
    while (k->n) drop(&k->best[--k->n]);
    free(k->best);
    *k = (keeper){ 0 };
}
