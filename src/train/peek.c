/* SPDX-License-Identifier: Apache-2.0 */
#include "train/peek.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "train/batch_item.h"

struct peek {
    mien_iterator *it;
    sample_settings cut;
    bool map, redraw;
    size_t square;                   /* bytes of one picture */
    uint8_t *room;                   /* the map's square, then the photo's */
    uint64_t next;
};

/* Both have to be there, as for the steps. */
static int make(void *context, const dataset *d, const dataset_item *item, uint64_t place, void *room, sample_fault *fault) {
    const peek *p = context;
    (void)place;
    int rc = sample_load(d, item, &p->cut, room, (uint8_t *)room + p->square, fault);
    return rc == 0 && p->redraw ? item_redraw(&p->cut, d, item, room) : rc;
}

int peek_open(const peek_options *o, peek **out) {
    peek *p = calloc(1, sizeof *p);
    if (!p) return error_memory(sizeof *p);
    mien_iterate_options items = o->items;
    items.ahead = items.threads = 1;   /* none starts: items are asked for by name */
    p->cut = (sample_settings){ items.size, items.stretch, items.max_pixels, cpu_level_here() };
    p->map = o->map;
    p->redraw = o->map && o->redraw;
    p->square = (size_t)items.size * (size_t)items.size * 3;
    iterator_maker maker = { .bytes = (2 * p->square + 15) / 16 * 16, .make = make, .context = p };
    int rc = iterator_open_made(&items, &maker, &p->it);
    if (rc == 0 && !(p->room = aligned_alloc(16, maker.bytes))) rc = error_memory(maker.bytes);
    if (rc < 0) peek_close(p);
    else *out = p;
    return rc;
}

void peek_close(peek *p) {
    if (!p) return;
    iterator_close(p->it);
    free(p->room);
    free(p);
}

static int copy(const peek *p, bool map, image *out) {
    int rc = image_new(p->cut.size, p->cut.size, out);
    if (rc == 0) memcpy(out->rgb, map ? p->room : p->room + p->square, p->square);
    return rc;
}

int peek_next(peek *p, image *out, image *photo, mien_item *item) {
    int rc = ERR_FORMAT;
    while (rc < 0 && p->next < iterator_count(p->it)) {
        rc = iterator_sample_chosen(p->it, p->next++, p->room, item);
        if (rc == ERR_MEMORY) return rc;   /* says nothing about the item */
    }
    if (rc < 0) return 0;
    rc = copy(p, p->map, out);
    if (rc == 0 && photo && (rc = copy(p, false, photo)) < 0) image_free(out);
    if (rc < 0) mien_item_free(item);
    return rc < 0 ? rc : 1;
}
