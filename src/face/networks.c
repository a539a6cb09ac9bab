/* SPDX-License-Identifier: Apache-2.0 */
#include "face/networks.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/file.h"
#include "face/ops.h"

/* A model file as a plan. */
typedef struct {
    file_map file;     /* the graph's constants live here */
    graph *g;
    tflite_io io;
    plan *p;
} network;

struct runner {
    runner *next;
    workspace *w;      /* serves both plans, one at a time */
    plan_profile *detector, *landmarks;   /* NULL: not timed */
    int failure;
    char message[256];
};

/* The part that changes while the rest is shared. */
typedef struct {
    pthread_mutex_t lock;
    runner *idle;
} runner_pool;

struct networks {
    device *dev;
    params *weights;
    network detector, landmarks;
    size_t workspace_bytes;
    bool profile;
    runner_pool *pool;
};

/* Inputs and outputs as they must be: how many numbers each. */
static bool io_fits(const tflite_io *io, size_t input, const size_t *outputs, int n) {
    bool fits = io->n_inputs == 1 && io->n_outputs == n && shape_elements(io->inputs[0]->shape) == input && io->inputs[0]->type == NN_F32;
    for (int i = 0; fits && i < n; i++) fits = shape_elements(io->outputs[i]->shape) == outputs[i] && io->outputs[i]->type == NN_F32;
    return fits;
}

static int network_read(network *net, const char *path) {
    int rc = file_map_open(path, &net->file);
    if (rc < 0) return rc;
    net->g = graph_new();
    if (!net->g) return error_code();
    rc = tflite_read(net->file.data, net->file.size, face_customs, FACE_CUSTOMS, net->g, &net->io);
    return rc < 0 ? error_prefix("%s", path) : 0;
}

static int network_plan(network *net, const networks *n) {
    net->p = plan_new(net->g, n->dev, n->weights, &(plan_options){ .threads = 1 });
    return net->p ? 0 : error_code();
}

static void network_close(network *net) {
    plan_free(net->p);
    graph_free(net->g);
    file_map_close(&net->file);
}

static int open_detector(networks *n, const char *path) {
    const size_t outputs[] = { DETECTOR_ANCHORS * DETECTOR_NUMBERS, DETECTOR_ANCHORS };
    int rc = network_read(&n->detector, path);
    if (rc < 0) return rc;
    if (!io_fits(&n->detector.io, DETECTOR_SIDE * DETECTOR_SIDE * 3, outputs, 2))
        return error_set(ERR_FORMAT, "%s: is not MediaPipe's short-range face detector", path);
    return network_plan(&n->detector, n);
}

static int open_landmarks(networks *n, const char *path) {
    size_t outputs[LANDMARKS_OUTPUTS];
    for (int i = 0; i < LANDMARKS_OUTPUTS; i++) outputs[i] = (size_t)landmarks_count[i];
    int rc = network_read(&n->landmarks, path);
    if (rc < 0) return rc;
    if (!io_fits(&n->landmarks.io, LANDMARKS_SIDE * LANDMARKS_SIDE * 3, outputs, LANDMARKS_OUTPUTS))
        return error_set(ERR_FORMAT, "%s: is not MediaPipe's face landmark network with attention", path);
    return network_plan(&n->landmarks, n);
}

static int open_all(networks *n, const char *folder, cpu_level cap) {
    n->pool = calloc(1, sizeof *n->pool);
    if (!n->pool) return error_memory(sizeof *n->pool);
    pthread_mutex_init(&n->pool->lock, NULL);
    n->dev = device_cpu(cap);
    n->weights = params_new();
    if (!n->dev || !n->weights) return error_code();
    arena call = { 0 };
    char *detector = arena_printf(&call, "%s/face_detection_short_range.tflite", folder);
    char *landmarks = arena_printf(&call, "%s/face_landmark_with_attention.tflite", folder);
    int rc = detector && landmarks ? face_ops_add_kernels(n->dev) : error_code();
    if (rc == 0) rc = open_detector(n, detector);
    if (rc == 0) rc = open_landmarks(n, landmarks);
    arena_free(&call);
    if (rc < 0) return rc;
    size_t a = plan_bytes(n->detector.p), b = plan_bytes(n->landmarks.p);
    n->workspace_bytes = a > b ? a : b;
    return 0;
}

int networks_open(const char *folder, cpu_level cap, networks **out) {
    networks *n = calloc(1, sizeof *n);
    if (!n) return error_memory(sizeof *n);
    int rc = open_all(n, folder, cap);
    if (rc < 0) networks_close(n);
    else *out = n;
    return rc;
}

static void runner_free(runner *r) {
    workspace_free(r->w);
    plan_profile_free(r->detector);
    plan_profile_free(r->landmarks);
    free(r);
}

void networks_close(networks *n) {
    if (!n) return;
    for (runner *r = n->pool ? n->pool->idle : NULL, *next; r; r = next) {
        next = r->next;
        runner_free(r);
    }
    if (n->pool) pthread_mutex_destroy(&n->pool->lock);
    free(n->pool);
    network_close(&n->detector);
    network_close(&n->landmarks);
    params_free(n->weights);
    device_free(n->dev);
    free(n);
}

const plan   *networks_detector(const networks *n) { return n->detector.p; }
const plan   *networks_landmarks(const networks *n) { return n->landmarks.p; }
const device *networks_device(const networks *n) { return n->dev; }

runner *runner_take(const networks *n) {
    pthread_mutex_lock(&n->pool->lock);
    runner *r = n->pool->idle;
    if (r) n->pool->idle = r->next;
    pthread_mutex_unlock(&n->pool->lock);
    if (r) return r->failure = 0, r;
    r = calloc(1, sizeof *r);
    if (!r) return error_memory(sizeof *r), NULL;
    r->w = workspace_new(n->workspace_bytes);
    if (n->profile) {
        r->detector = plan_profile_new(n->detector.p);
        r->landmarks = plan_profile_new(n->landmarks.p);
    }
    if (r->w && (!n->profile || (r->detector && r->landmarks))) return r;
    runner_free(r);
    return NULL;
}

void runner_give(const networks *n, runner *r) {
    if (!r) return;
    pthread_mutex_lock(&n->pool->lock);
    r->next = n->pool->idle;
    n->pool->idle = r;
    pthread_mutex_unlock(&n->pool->lock);
}

int runner_check(const runner *r) { return r->failure ? error_set(r->failure, "%s", r->message) : 0; }

void networks_profile(networks *n) { n->profile = true; }

int networks_profile_sum(const networks *n, plan_profile **detector, plan_profile **landmarks) {
    *detector = plan_profile_new(n->detector.p);
    *landmarks = plan_profile_new(n->landmarks.p);
    if (!*detector || !*landmarks) {
        plan_profile_free(*detector);
        plan_profile_free(*landmarks);
        return ERR_MEMORY;
    }
    pthread_mutex_lock(&n->pool->lock);
    for (const runner *r = n->pool->idle; r; r = r->next) {
        if (!r->detector) continue;
        plan_profile_add(*detector, r->detector);
        plan_profile_add(*landmarks, r->landmarks);
    }
    pthread_mutex_unlock(&n->pool->lock);
    return 0;
}

/* Warps into the network's input and runs it, timing both. */
static void run(const networks *n, const network *net, runner *r, const image *in, warp_rect rect, warp_border border, warp_target target,
                plan_profile *profile, double *warp_seconds, double *run_seconds) {
    double start = clock_seconds();
    image_warp(in, rect, border, target, device_level(n->dev), plan_tensor(net->p, r->w, net->io.inputs[0]));
    double middle = clock_seconds();
    int rc = plan_run(net->p, r->w, &(plan_run_options){ .profile = profile });
    if (rc < 0 && !r->failure) {
        r->failure = rc;
        strncpy(r->message, error_message(), sizeof r->message - 1);
    }
    *warp_seconds += middle - start;
    *run_seconds += clock_seconds() - middle;
}

void runner_detect(const networks *n, runner *r, const image *in, warp_rect rect, face_times *times, const float **regressors,
                   const float **logits) {
    face_times unused = { 0 }, *t = times ? times : &unused;
    const network *net = &n->detector;
    run(n, net, r, in, rect, WARP_ZERO, detector_target(), r->detector, &t->letterbox, &t->detect);
    t->detections++;
    *regressors = plan_tensor(net->p, r->w, net->io.outputs[0]);
    *logits = plan_tensor(net->p, r->w, net->io.outputs[1]);
}

void runner_landmarks(const networks *n, runner *r, const image *in, warp_rect rect, face_times *times, const float *out[LANDMARKS_OUTPUTS]) {
    face_times unused = { 0 }, *t = times ? times : &unused;
    const network *net = &n->landmarks;
    run(n, net, r, in, rect, WARP_REPLICATE, landmarks_target(), r->landmarks, &t->crop, &t->landmarks);
    t->crops++;
    for (int i = 0; i < LANDMARKS_OUTPUTS; i++) out[i] = plan_tensor(net->p, r->w, net->io.outputs[i]);
}
