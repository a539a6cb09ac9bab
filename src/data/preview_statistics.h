/* SPDX-License-Identifier: Apache-2.0
 *
 * What a data set is made of, counted: histograms whose sums are whole numbers, so that the order in which threads bring their
 * items changes nothing. And what is measured of a face, from its landmarks alone. */
#ifndef DATA_PREVIEW_STATISTICS_H
#define DATA_PREVIEW_STATISTICS_H

#include <stdbool.h>

#include "face/face.h"

/* As mien.h says of mien_histogram_kind. What cannot be told (an eye without width) is NAN. */
typedef struct { double size, share, gaze_x, gaze_y, yaw, roll, mouth; } face_measures;
face_measures preview_measure(const face *f, int width, int height);

typedef struct statistics statistics;
statistics *statistics_new(void);                          /* NULL: ERR_MEMORY */
void statistics_free(statistics *s);
void statistics_add(statistics *s, mien_histogram_kind kind, double value);   /* NAN is left out */
void statistics_add_face(statistics *s, const face_measures *m);
mien_statistics *statistics_counts(statistics *s);         /* its plain numbers are the caller's to count up */
void statistics_finish(statistics *s, mien_statistics *out);   /* with means and medians */

#endif
