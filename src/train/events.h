/* SPDX-License-Identifier: Apache-2.0
 *
 * An event file as TensorBoard reads it: records (tensorflow/core/lib/io/record_writer.h: length, its masked CRC-32C,
 * bytes, theirs) of protobuf messages (tensorboard/compat/proto/event.proto and summary.proto), written by hand. */
#ifndef TRAIN_EVENTS_H
#define TRAIN_EVENTS_H

#include <stddef.h>
#include <stdint.h>

typedef struct events events;

/* A new file in the folder, behind all that are there in the order of names, in which TensorBoard reads them: a later
 * start's events of a step replace an earlier one's, and what was there of steps behind `step` (the last that is done;
 * 0: a new run) is dropped. `now`: seconds since 1970. */
int  events_open(const char *folder, uint64_t step, double now, events **out);
/* The folder may be another one by now: 0, the file is in it (it may have been moved along); 1, it is not, and one was made as above; ERR_*: neither, and
 * the old one stays open. */
int  events_follow(events **e, const char *folder, uint64_t step, double now);
/* Numbers of a step under their tags ("train/loss"); NaN is left out. After ERR_FULL nothing of it stays, and the next
 * may be tried. */
typedef struct { const char *tag; double value; } event_scalar;
int  events_scalars(events *e, uint64_t step, double now, const event_scalar *s, size_t n);
/* A picture: the bytes of a PNG. */
int  events_picture(events *e, uint64_t step, double now, const char *tag, const uint8_t *png, size_t size, int width, int height);
void events_close(events *e);            /* NULL is fine */
const char *events_path(const events *e);

/* CRC-32C (Castagnoli) of bytes. */
uint32_t events_crc(const void *data, size_t size);

#endif
