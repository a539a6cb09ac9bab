/* SPDX-License-Identifier: Apache-2.0
 *
 * linear and geglu: the product is twice as wide as what is kept (42 MB of it at 64x64 and guidance's batch of two), so it is made
 * in chunks of rows that the second-level cache holds, each by one thread with a single-threaded primitive, and used up there. */
#include "base/parallel.h"
#include "nn/cpu/loops.h"
#include "nn/cpu/onednn_inside.h"

enum { CHUNK = 256 };   /* rows: fewer read the weights too often, more leave the cache */

/* Each thread reads all of the weights: few rows are better dealt out by columns, as oneDNN does it. */
bool onednn_geglu_pays(const node *n) { return shape_elements(n->out[0]->shape) / n->in[1]->shape.dim[0] > CHUNK; }

typedef struct { size_t rows, width, chunks; } product;   /* width: of the product, both halves */

static product product_of(const kernel_step *step) {
    const nn_shape y = step->match.out[0]->shape;
    product p = { .width = 2 * y.dim[y.rank - 1] };
    p.rows = 2 * shape_elements(y) / p.width;
    size_t threads = (size_t)step->threads;
    p.chunks = (p.rows + CHUNK - 1) / CHUNK;
    p.chunks = (p.chunks + threads - 1) / threads * threads;   /* as many for each thread */
    if (p.chunks > p.rows) p.chunks = p.rows;
    return p;
}

size_t onednn_geglu_rows(const kernel_step *step) {
    product p = product_of(step);
    return (p.rows + p.chunks - 1) / p.chunks;
}

static size_t tile_bytes(const onednn_state *s, const kernel_step *step) {
    return (s->rows * product_of(step).width * nn_type_bytes(step->match.out[0]->type) + 63) & ~(size_t)63;
}

static size_t thread_scratch(const onednn_state *s, const kernel_step *step) { return tile_bytes(s, step) + ((s->own_scratch + 63) & ~(size_t)63); }

size_t onednn_geglu_scratch(const onednn_state *s, const kernel_step *step) { return (size_t)step->threads * thread_scratch(s, step); }

typedef struct { const kernel_step *step; void *const *address; product p; size_t inputs; int failed; } job;

/* The last chunk ends with the last row, so a few rows before it may be computed twice, with the same result. */
static void part(void *context, size_t begin, size_t end, int thread) {
    job *j = context;
    onednn_state *s = j->step->state;
    nn_type type = j->step->match.out[0]->type;
    size_t bytes = nn_type_bytes(type), half = j->p.width / 2;
    binary_loop *geglu = loops_of(s->home->level)->geglu[type];
    char *tile = (char *)j->address[SCRATCH] + (size_t)thread * thread_scratch(s, j->step);
    void *address[OPERANDS] = { NULL, NULL, tile, j->address[WEIGHTS], j->address[BIAS], tile + tile_bytes(s, j->step) };
    int before = parallel_width(1);
    for (size_t i = begin; i < end; i++) {
        size_t first = i * s->rows + s->rows <= j->p.rows ? i * s->rows : j->p.rows - s->rows;
        address[X] = (char *)j->address[X] + first * j->inputs * bytes;
        int rc = onednn_execute(s, address, j->step->match.out[0]->name);
        if (rc < 0) __atomic_store_n(&j->failed, rc, __ATOMIC_RELAXED);
        char *y = (char *)j->address[Y] + first * half * bytes;
        for (size_t r = 0; r < s->rows; r++) {
            const char *x = tile + r * j->p.width * bytes;
            geglu(x, x + half * bytes, y + r * half * bytes, half);
        }
    }
    parallel_width(before);
}

int onednn_geglu_run(const kernel_step *step, void *const address[OPERANDS]) {
    const nn_shape x = step->match.in[0]->shape;
    job j = { step, address, product_of(step), x.dim[x.rank - 1], 0 };
    parallel_for(step->threads, j.p.chunks, part, &j);
    return j.failed ? onednn_failed(dnnl_out_of_memory, step->match.out[0]->name) : 0;   /* the message was another thread's */
}
