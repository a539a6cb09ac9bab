/* SPDX-License-Identifier: Apache-2.0
 *
 * A 3x3 convolution (stride 1, a border of 1) of a picture upsampled to twice its size by nearest, from the small picture. Along one
 * dimension, with taps a, b, c and s = a + b + c, the two outputs of pixel x_i are
 *
 *     a x_{i-1} + (b + c) x_i = s x_i + a (x_{i-1} - x_i)    and    (a + b) x_i + c x_{i+1} = s x_i + c (x_{i+1} - x_i),
 *
 * zeros beyond the edges. So three products serve both, and along both dimensions nine products of small pixels, or differences of them,
 * serve four outputs: 9 multiplications where the upsampled picture takes 36. Product 3 v + h is of the difference in direction v (0: up, 1:
 * none, 2: down) and h (0: left, 1: none, 2: right).
 *
 * Sums of taps and differences of pixels are made in f32 and rounded once to the type of the products, whose results stay f32 until four
 * outputs are made of them: sums of products of differences are as large as those they replace where a picture is noise, and smaller where
 * it is smooth.
 *
 * A task is a chunk of pixels, in the order they lie in, whatever rows and pictures they belong to; products are of a chunk by a panel of
 * outputs. */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/parallel.h"
#include "nn/cpu/loops.h"
#include "nn/cpu/onednn_inside.h"

enum { CHUNK = 128, PANEL = 320, PRODUCTS = 9, CENTRE = 4 };

typedef struct {
    onednn_state *product;
    size_t pixels, rows, chunks;      /* of the small picture; of a chunk */
    size_t outputs, panel, panels;
    size_t parts;                     /* that the panels of a chunk are dealt out to threads in */
    size_t map_bytes, tile_bytes, thread_bytes;
    void *zeros;                      /* a pixel, or a panel's bias */
} upsampled;

/* ---- matching ---------------------------------------------------------------------------------------------------------- */

/* The upsampling that can be folded into convolution n, or NULL. */
static const node *folds(const node *n) {
    if (!n || n->op != &op_conv2d || !onednn_fits(n) || n->in[1]->kind != TENSOR_PARAM || (n->in[2] && n->in[2]->kind != TENSOR_PARAM)) return NULL;
    const conv2d_attr *a = n->attr;
    const size_t *w = n->in[1]->shape.dim;
    size_t kh = w[a->weights == WEIGHTS_OIHW ? 2 : 1], kw = w[a->weights == WEIGHTS_OIHW ? 3 : 2];
    const node *up = onednn_inner(n->in[0]);
    if (kh != 3 || kw != 3 || a->stride != 1 || a->pad_top != 1 || a->pad_left != 1 || a->pad_bottom != 1 || a->pad_right != 1) return NULL;
    if (!up || up->op != &op_upsample_nearest || up->in[0]->kind == TENSOR_PARAM) return NULL;
    const size_t *x = up->in[0]->shape.dim, *y = up->out[0]->shape.dim;
    return y[1] == 2 * x[1] && y[2] == 2 * x[2] ? up : NULL;
}

bool onednn_upsampled_match(const kernel *k, const node *root, kernel_match *m) {
    const node *n = root;
    tensor *residual = NULL;
    match_node(m, root);
    if (root->ordered) return false;
    if (((const onednn_row *)k->variant)->form->residual) {
        if (!shape_equal(root->in[0]->shape, root->in[1]->shape) || root->in[0]->type != root->in[1]->type) return false;
        const node *a = onednn_inner(root->in[0]), *b = onednn_inner(root->in[1]);
        bool first = folds(a) != NULL;
        n = first ? a : b;
        residual = root->in[first ? 1 : 0];
        if (!n || residual->kind == TENSOR_PARAM) return false;
        match_node(m, n);
    }
    const node *up = folds(n);
    if (!up) return false;
    match_node(m, up);
    match_in(m, up->in[0], (layout_need){ 0 });
    if (residual) match_in(m, residual, (layout_need){ 0 });
    match_out(m, root->out[0], (layout_need){ 0 });
    match_param(m, n->in[1]);
    if (n->in[2]) match_param(m, n->in[2]);
    return true;
}

/* ---- weights ----------------------------------------------------------------------------------------------------------- */

static const size_t first_tap[3] = { 0, 0, 2 }, last_tap[3] = { 0, 2, 2 };

/* Of a panel: nine matrices [outputs, inputs]. Zeros beyond the last output. */
static void sum_taps(const onednn_matrices *m, const tensor *w, size_t panel, float *out) {
    size_t all = w->shape.dim[0], matrix = m->outputs * m->inputs, bytes = m->inputs * 9 * nn_type_bytes(w->type);
    size_t of_tap = m->taps_last ? 1 : m->inputs, of_input = m->taps_last ? 9 : 1;
    float *row = out + PRODUCTS * matrix;   /* one output's taps */
    for (size_t o = 0; o < m->outputs; o++) {
        size_t from = panel * m->outputs + o;
        if (from < all) nn_widen(row, (const char *)w->data + from * bytes, w->type, m->inputs * 9);
        else memset(row, 0, m->inputs * 9 * sizeof *row);
        for (size_t k = 0; k < PRODUCTS; k++)
            for (size_t i = 0; i < m->inputs; i++) {
                float sum = 0;
                for (size_t v = first_tap[k / 3]; v <= last_tap[k / 3]; v++)
                    for (size_t h = first_tap[k % 3]; h <= last_tap[k % 3]; h++) sum += row[(3 * v + h) * of_tap + i * of_input];
                out[k * matrix + o * m->inputs + i] = sum;
            }
    }
}

/* ---- preparing --------------------------------------------------------------------------------------------------------- */

static size_t whole_lines(size_t bytes) { return (bytes + 63) & ~(size_t)63; }

/* The core is matched before the upsampling, which is last. */
static const node *core_of(const kernel_step *step) { return step->match.nodes[step->match.n_nodes - 2]; }

/* Panels do not depend on threads or pixels, so that plans share the packed weights. */
static void cut(upsampled *u, const kernel_step *step) {
    const size_t *x = step->match.in[0]->shape.dim, threads = (size_t)step->threads;
    u->pixels = x[0] * x[1] * x[2];
    u->outputs = step->match.out[0]->shape.dim[3];
    u->panels = (u->outputs + PANEL - 1) / PANEL;
    u->panel = (u->outputs + u->panels - 1) / u->panels;
    if (u->panels > 1) u->panel = (u->panel + 63) & ~(size_t)63;
    u->chunks = (u->pixels + CHUNK - 1) / CHUNK;
    if (u->chunks > 1) u->chunks = (u->chunks + threads - 1) / threads * threads;
    if (u->chunks > u->pixels) u->chunks = u->pixels;
    u->rows = (u->pixels + u->chunks - 1) / u->chunks;
    u->chunks = (u->pixels + u->rows - 1) / u->rows;
    u->parts = u->chunks % threads == 0 ? 1 : threads < u->panels ? threads : u->panels;
}

static int prepare_product(upsampled *u, kernel_step *step, params *store) {
    const node *n = core_of(step);
    const tensor *x = step->match.in[0];
    size_t inputs = x->shape.dim[3];
    int rc = onednn_make_product(u->product, step, u->rows, inputs, u->panel, x->type);
    onednn_matrices m = { "upsampled", u->panels, PRODUCTS, u->panel, inputs, sum_taps, 9 * inputs, ((const conv2d_attr *)n->attr)->weights == WEIGHTS_OIHW };
    if (rc == 0) rc = onednn_pack_matrices(u->product, step, store, n->in[1], x->type, &m);
    if (rc == 0 && n->in[2] && !(step->packed[1] = params_f32(store, n->in[2]))) rc = error_code();
    if (rc == 0 && !(u->product->spare = onednn_binding_new(u->product))) rc = error_memory(sizeof(onednn_binding));
    u->map_bytes = whole_lines(u->rows * inputs * nn_type_bytes(x->type));
    u->tile_bytes = whole_lines(u->rows * u->panel * sizeof(float));
    u->thread_bytes = PRODUCTS * (u->map_bytes + u->tile_bytes) + whole_lines(u->product->own_scratch);
    step->scratch_bytes = (size_t)step->threads * u->thread_bytes;
    return rc;
}

int onednn_upsampled_prepare(kernel_step *step, params *store) {
    onednn *o = ((const onednn_row *)step->kernel->variant)->home;
    int rc = onednn_serves(o, step->match.out[0]);
    upsampled *u = rc == 0 ? step->state = calloc(1, sizeof *u) : NULL;   /* released with the plan, also after a failure */
    if (!u) return rc ? rc : error_memory(sizeof *u);
    if (!(u->product = onednn_state_new(o))) return error_code();
    cut(u, step);
    size_t most = step->match.in[0]->shape.dim[3] > u->panel ? step->match.in[0]->shape.dim[3] : u->panel;
    if (!(u->zeros = calloc(most, sizeof(float)))) return error_memory(most * sizeof(float));
    int before = parallel_width(1);
    rc = prepare_product(u, step, store);
    parallel_width(before);
    return rc;
}

void onednn_upsampled_release(kernel_step *step) {
    upsampled *u = step->state;
    if (!u) return;
    onednn_state_free(u->product);
    free(u->zeros);
    free(u);
}

/* ---- running ----------------------------------------------------------------------------------------------------------- */

typedef struct {
    const kernel_step *step;
    const upsampled *u;
    const loops *loop;
    nn_type type;
    size_t height, width, inputs, pixel;   /* of the small picture; pixel: bytes */
    const char *x, *residual;
    char *y, *scratch;
    int failed;
} job;

/* n numbers of map k: of x, of its neighbours in the map's directions, and of the one in both. */
static void differ(const job *j, int k, const char *x, const char *vertical, const char *horizontal, const char *corner, char *to, size_t n) {
    if (k % 3 == 1) j->loop->subtract[j->type](vertical, x, to, n);
    else if (k / 3 == 1) j->loop->subtract[j->type](horizontal, x, to, n);
    else j->loop->subtract_corner[j->type](corner, horizontal, vertical, x, to, n);
}

/* Pixels [begin, end) of a row: those that have both neighbours in one go. */
static void map_run(const job *j, int k, const char *row, size_t at, size_t begin, size_t end, char *to) {
    long down = (long)(k / 3) - 1, right = (long)(k % 3) - 1, line = (long)(j->width * j->pixel), pixel = (long)j->pixel;
    bool inside = at + (size_t)down < j->height;   /* -1 wraps */
    for (size_t c = begin; c < end;) {
        const char *x = row + c * j->pixel, *zero = j->u->zeros;
        bool within = c + (size_t)right < j->width;
        size_t last = right > 0 && end == j->width ? end - 1 : end, n = inside && within ? last - c : 1;
        differ(j, k, x, inside ? x + down * line : zero, within ? x + right * pixel : zero, inside && within ? x + down * line + right * pixel : zero,
               to, n * j->inputs);
        to += n * j->pixel;
        c += n;
    }
}

static void map(const job *j, int k, size_t first, size_t count, char *to) {
    while (count) {
        size_t c = first % j->width, r = first / j->width, n = j->width - c < count ? j->width - c : count;
        map_run(j, k, j->x + r * j->width * j->pixel, r % j->height, c, c + n, to);
        first += n, count -= n, to += n * j->pixel;
    }
}

/* The outputs of a panel, of the chunk's pixels from `skip` on. */
static void put(const job *j, size_t first, size_t skip, size_t panel, const char *tiles) {
    const upsampled *u = j->u;
    size_t column = panel * u->panel, n = u->outputs - column < u->panel ? u->outputs - column : u->panel, bytes = nn_type_bytes(j->type);
    const float *bias = j->step->packed[1] ? (const float *)j->step->packed[1] + column : u->zeros;
    for (size_t p = skip; p < u->rows; p++) {
        size_t c = (first + p) % j->width, r = (first + p) / j->width;   /* counted through all pictures, so rows of y are 2 r */
        const float *product[PRODUCTS];
        const void *residual[4] = { NULL };
        void *y[4];
        for (size_t k = 0; k < PRODUCTS; k++) product[k] = (const float *)(const void *)(tiles + k * u->tile_bytes) + p * u->panel;
        for (size_t q = 0; q < 4; q++) {
            size_t at = (((2 * r + q / 2) * j->width * 2 + 2 * c + q % 2) * u->outputs + column) * bytes;
            y[q] = j->y + at;
            if (j->residual) residual[q] = j->residual + at;
        }
        j->loop->quarters[j->type](product, bias, residual, y, n);
    }
}

static void chunk(job *j, size_t index, size_t part, char *scratch) {
    const upsampled *u = j->u;
    /* The last chunk ends with the last pixel; what it shares with the one before is not written twice. */
    size_t first = index * u->rows + u->rows <= u->pixels ? index * u->rows : u->pixels - u->rows;
    char *maps = scratch, *tiles = maps + PRODUCTS * u->map_bytes;
    void *address[OPERANDS] = { [SCRATCH] = tiles + PRODUCTS * u->tile_bytes };
    for (int k = 0; k < PRODUCTS; k++)
        if (k != CENTRE) map(j, k, first, u->rows, maps + (size_t)k * u->map_bytes);
    for (size_t panel = u->panels * part / u->parts; panel < u->panels * (part + 1) / u->parts; panel++) {
        for (size_t k = 0; k < PRODUCTS; k++) {
            address[X] = k == CENTRE ? (char *)j->x + first * j->pixel : maps + k * u->map_bytes;
            address[Y] = tiles + k * u->tile_bytes;
            address[WEIGHTS] = (char *)j->step->packed[0] + (panel * PRODUCTS + k) * onednn_matrix_bytes(u->product);
            int rc = onednn_execute(u->product, address, j->step->match.out[0]->name);
            if (rc < 0) __atomic_store_n(&j->failed, rc, __ATOMIC_RELAXED);
        }
        put(j, first, index * u->rows - first, panel, tiles);
    }
}

static void part(void *context, size_t begin, size_t end, int thread) {
    job *j = context;
    int before = parallel_width(1);
    for (size_t i = begin; i < end; i++) chunk(j, i / j->u->parts, i % j->u->parts, j->scratch + (size_t)thread * j->u->thread_bytes);
    parallel_width(before);
}

int onednn_upsampled_run(const kernel_step *step, const void *const in[], void *const out[], void *scratch) {
    const upsampled *u = step->state;
    const tensor *x = step->match.in[0];
    const size_t *d = x->shape.dim;
    job j = { step, u, loops_of(u->product->home->level), x->type, d[1], d[2], d[3], d[3] * nn_type_bytes(x->type),
              in[0], step->match.n_in > 1 ? in[1] : NULL, out[0], scratch, 0 };
    parallel_for(step->threads, u->chunks * u->parts, part, &j);
    return j.failed ? onednn_failed(dnnl_out_of_memory, step->match.out[0]->name) : 0;   /* the message was another thread's */
}
