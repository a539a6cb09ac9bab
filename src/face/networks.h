/* SPDX-License-Identifier: Apache-2.0
 *
 * The two face networks, read and planned once, run by many threads: each takes a runner for one picture and gives it
 * back. Only this file knows that they are graphs. */
#ifndef FACE_NETWORKS_H
#define FACE_NETWORKS_H

#include "face/landmarks.h"
#include "nn/plan.h"

typedef struct networks networks;
typedef struct runner runner;      /* the memory of one run */

/* Seconds of the stages, added up. */
typedef struct {
    double letterbox, detect, crop, landmarks, total;
    unsigned detections, crops;       /* runs of each network */
} face_times;

/* Opens face_detection_short_range.tflite and face_landmark_with_attention.tflite of a folder, for at most level `cap`. */
int  networks_open(const char *folder, cpu_level cap, networks **out);
void networks_close(networks *n);   /* all runners have been given back */

const plan   *networks_detector(const networks *n);
const plan   *networks_landmarks(const networks *n);
const device *networks_device(const networks *n);

/* Made on demand and kept; NULL without memory. */
runner *runner_take(const networks *n);
void    runner_give(const networks *n, runner *r);
int     runner_check(const runner *r);      /* 0, or the code of the first run that failed since it was taken (message set again) */

/* From here on runs are timed, kernel by kernel; before the first runner is taken. */
void networks_profile(networks *n);
/* The times of all runners that have been given back, added up into new profiles that the caller frees. 0 or ERR_*. */
int  networks_profile_sum(const networks *n, plan_profile **detector, plan_profile **landmarks);

/* The outputs are valid until the runner's next run, and undefined if it failed. `times` may be NULL. */
void runner_detect(const networks *n, runner *r, const image *in, warp_rect rect, face_times *times, const float **regressors,
                   const float **logits);
void runner_landmarks(const networks *n, runner *r, const image *in, warp_rect rect, face_times *times, const float *out[LANDMARKS_OUTPUTS]);

#endif
