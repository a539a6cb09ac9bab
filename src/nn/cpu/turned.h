/* SPDX-License-Identifier: Apache-2.0
 *
 * A weight that the forward pass has packed, laid out as its transpose wants it: panels of inputs are made of panels of outputs, in each run, into scratch. So the gradients of
 * activations need no packing of their own, which would take as much memory as the weight. The numbers are the same bits. */
#ifndef NN_CPU_TURNED_H
#define NN_CPU_TURNED_H

#include "nn/cpu/blocked.h"
#include "nn/device.h"

/* Where the numbers of a packed weight lie: sixteen channels of one kind are a panel, `width` panels side by side a group; in a group words (of f32 a number; of bf16 two neighbours of the
 * other kind) of all its panels follow one another. Bytes. */
typedef struct { size_t panels, width, at, step; } panel_run;       /* step: from a group to the next */
enum { PANEL_RUNS = 4 };
typedef struct {
    size_t outputs, inputs, taps, tap_step;
    nn_type type;
    bool across;                     /* panels are of inputs */
    int n;
    panel_run run[PANEL_RUNS];       /* of all channels, in order */
} panels;

/* Panels of a layout as blocked_pack writes it. */
panels panels_of(const blocked_layout *l, nn_type type);

typedef struct { panels from, to; const void *packed; } turning;

/* For prepare: whether step s shall (kernel_step.pack_once), and can, have w as `to` says made of a packing that is there; fills t. */
bool turning_find(turning *t, const kernel_step *s, const params *store, const tensor *w, const panels *to);
void turning_make(const turning *t, void *to, int threads);
/* Groups [first, first + groups) alone, by this thread; the first one lies at `to`. */
void turning_make_groups(const turning *t, size_t first, size_t groups, void *to);

/* In turned_avx512.c: the part of one group of panels that another has of it. ahead: to where the next one begins, from this one's last tap; stream: past the caches. */
typedef struct { const char *from; char *to; size_t from_width, to_width, from_panels, to_panels, taps, from_tap, to_tap; ptrdiff_t ahead; bool stream; } turned_tile;
void turned_tile_bf16(const turned_tile *t);
void turned_tile_f32(const turned_tile *t);

#endif
