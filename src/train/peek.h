/* SPDX-License-Identifier: Apache-2.0
 *
 * A few items that are trained with, as they are cut, for what is made of them now and then: in the data's order,
 * whatever the steps are at. */
#ifndef TRAIN_PEEK_H
#define TRAIN_PEEK_H

#include "data/iterate.h"
#include "image/image.h"

typedef struct {
    mien_iterate_options items;      /* complete, as data/iterate.h wants it */
    bool map;                        /* maps are shown, and not photos: */
    bool redraw;                     /* drawn anew */
} peek_options;

typedef struct peek peek;

int  peek_open(const peek_options *o, peek **out);
void peek_close(peek *p);            /* NULL is fine */
/* 1, with all of them the caller's to free; 0: no other can be used; ERR_*. What training leaves out is left out. photo, beside a map:
 * what that is of; NULL: not wanted. */
int  peek_next(peek *p, image *out, image *photo, mien_item *item);

#endif
