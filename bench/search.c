/* SPDX-License-Identifier: Apache-2.0
 *
 * How well --search auto finds what the original cannot, and what it claims where nothing is:
 *   turned    every fixture photo with a face, by 90, 180 and 270 degrees
 *   shrunk    every face of the fixtures, its longer side 4% of the picture's, somewhere on a made background
 *   faceless  200 made pictures: noise, gradients, stripes, text-like strokes, shapes, and the fixtures' backgrounds with
 *             the heads painted out
 * A face is found if its 478 points lie, in the mean, within 15% of its size of where they are in the upright photo: on
 * the face, and the right way up (a face found upside down has 50%).
 * Everything is made from SEED (default 1). ORIGINAL=1 takes one look only, as the original does; PART=turned,shrunk does
 * some. Needs ../shared/fixtures (MIEN_SHARED) and the models (MODELS_DIR). */
#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/file.h"
#include "face/map.h"
#include "face/mesh.h"

static const char *const kinds[] = { "noise", "clouds", "gradient", "waves", "checks", "strokes", "discs", "boxes", "painted out", "shuffled" };
enum { KINDS = sizeof kinds / sizeof *kinds, FACELESS = 200, MAX_PHOTOS = 100 };

typedef struct { char name[64]; image img; faces found; } photo;

static face_mesh *mesh;
static uint64_t state;

static uint32_t dice(void) {
    state ^= state >> 12, state ^= state << 25, state ^= state >> 27;
    return (uint32_t)(state * 0x2545f4914f6cdd1dULL >> 32);
}
static int    between(int low, int high) { return low + (int)(dice() % (uint32_t)(high - low + 1)); }
static double unit(void) { return dice() / 4294967296.0; }

static void fatal(void) {
    fprintf(stderr, "%s\n", error_message());
    exit(1);
}

static image canvas(int w, int h) {
    image img;
    if (image_new(w, h, &img) < 0) fatal();
    return img;
}

static uint8_t *at(const image *img, int x, int y) { return img->rgb + ((size_t)y * (size_t)img->width + (size_t)x) * 3; }

static faces look(const image *img, mien_search search, face_times *times) {
    face_settings s = { 20, 0.5f, search };
    faces out;
    if (face_mesh_find(mesh, img, &s, times, &out) < 0) fatal();
    return out;
}

/* ---- made pictures ----------------------------------------------------------------------------------------------- */

static void random_colour(uint8_t c[3]) {
    for (int i = 0; i < 3; i++) c[i] = (uint8_t)dice();
}

static void fill(image *img, int x0, int y0, int x1, int y1, const uint8_t c[3]) {
    for (int y = y0 < 0 ? 0 : y0; y < y1 && y < img->height; y++)
        for (int x = x0 < 0 ? 0 : x0; x < x1 && x < img->width; x++) memcpy(at(img, x, y), c, 3);
}

static void make_noise(image *img) {
    int cell = between(1, 12), grey = between(0, 1);
    for (int y = 0; y < img->height; y += cell)
        for (int x = 0; x < img->width; x += cell) {
            uint8_t c[3];
            random_colour(c);
            if (grey) c[1] = c[2] = c[0];
            fill(img, x, y, x + cell, y + cell, c);
        }
}

/* Sums of smoothly blended noise at halving sizes: clouds, stone, skin without a face. */
static void make_clouds(image *img) {
    float tint[3] = { (float)(0.5 + unit()), (float)(0.4 + unit()), (float)(0.3 + unit()) };
    float *sum = calloc((size_t)img->width * (size_t)img->height, sizeof *sum), weight = 110;
    float fade = (float)(0.4 + unit() * 0.5);
    for (int cell = img->width / 2; cell >= 2; cell /= 2, weight *= fade) {
        int n = img->width / cell + 3, m = img->height / cell + 3;
        float *grid = malloc((size_t)n * (size_t)m * sizeof *grid);
        for (int i = 0; i < n * m; i++) grid[i] = (float)unit();
        for (int y = 0; y < img->height; y++)
            for (int x = 0; x < img->width; x++) {
                float u = (float)(x % cell) / (float)cell, v = (float)(y % cell) / (float)cell;
                u = u * u * (3 - 2 * u), v = v * v * (3 - 2 * v);
                const float *g = grid + (y / cell) * n + x / cell;
                sum[(size_t)y * (size_t)img->width + (size_t)x] += weight * ((g[0] * (1 - u) + g[1] * u) * (1 - v) + (g[n] * (1 - u) + g[n + 1] * u) * v);
            }
        free(grid);
    }
    for (size_t i = 0; i < (size_t)img->width * (size_t)img->height; i++)
        for (int c = 0; c < 3; c++) img->rgb[i * 3 + (size_t)c] = (uint8_t)fmin(255, sum[i] * tint[c]);
    free(sum);
}

static void make_gradient(image *img) {
    uint8_t a[3], b[3];
    random_colour(a);
    random_colour(b);
    double angle = unit() * 6.28, cx = unit(), cy = unit();
    int radial = between(0, 1);
    for (int y = 0; y < img->height; y++)
        for (int x = 0; x < img->width; x++) {
            double u = (double)x / img->width - cx, v = (double)y / img->height - cy;
            double t = radial ? hypot(u, v) : fabs(u * cos(angle) + v * sin(angle));
            for (int c = 0; c < 3; c++) at(img, x, y)[c] = (uint8_t)(a[c] + (b[c] - a[c]) * fmin(1, t));
        }
}

static void make_waves(image *img) {
    double fx = unit() * 0.3, fy = unit() * 0.3, gx = unit() * 0.1, gy = unit() * 0.1, bend = unit() * 6;
    for (int y = 0; y < img->height; y++)
        for (int x = 0; x < img->width; x++) {
            double t = sin(x * fx + y * fy + bend * sin(x * gx + y * gy));
            for (int c = 0; c < 3; c++) at(img, x, y)[c] = (uint8_t)(127 + 120 * t * cos(c * bend));
        }
}

static void make_checks(image *img) {
    uint8_t c[2][3];
    random_colour(c[0]);
    random_colour(c[1]);
    int w = between(3, 60), h = between(3, 60), shift = between(0, w), mortar = between(0, 4);
    for (int y = 0; y < img->height; y++)
        for (int x = 0; x < img->width; x++) {
            int row = y / h, u = x + row * shift;
            int k = mortar ? (y % h < mortar || u % w < mortar) : ((u / w + row) & 1);
            memcpy(at(img, x, y), c[k], 3);
        }
}

/* Rows of short strokes in cells, like a page of text. */
static void make_strokes(image *img) {
    uint8_t paper[3] = { 250, 248, 240 }, ink[3] = { 20, 20, 30 };
    fill(img, 0, 0, img->width, img->height, paper);
    int size = between(6, 40);
    for (int y = size; y + size < img->height; y += size * 3 / 2)
        for (int x = size; x + size < img->width; x += size) {
            if (between(0, 6) == 0) continue;
            for (int s = between(1, 4); s > 0; s--) {
                int x0 = x + between(0, size - 2), y0 = y + between(0, size - 2), thick = 1 + size / 12;
                if (between(0, 1)) fill(img, x0, y0, x0 + thick, y0 + between(2, size), ink);
                else fill(img, x0, y0, x0 + between(2, size * 2 / 3 + 2), y0 + thick, ink);
            }
        }
}

static void disc(image *img, double cx, double cy, double rx, double ry, const uint8_t c[3]) {
    for (int y = (int)fmax(0, cy - ry); y < img->height && y <= cy + ry; y++)
        for (int x = (int)fmax(0, cx - rx); x < img->width && x <= cx + rx; x++)
            if (pow((x - cx) / rx, 2) + pow((y - cy) / ry, 2) <= 1) memcpy(at(img, x, y), c, 3);
}

static void make_discs(image *img) {
    make_gradient(img);
    for (int n = between(10, 200); n > 0; n--) {
        uint8_t c[3];
        random_colour(c);
        double r = pow(2, 1 + unit() * 6);
        disc(img, unit() * img->width, unit() * img->height, r, r * (0.4 + unit()), c);
    }
}

static void make_boxes(image *img) {
    make_gradient(img);
    for (int n = between(10, 300); n > 0; n--) {
        uint8_t c[3];
        random_colour(c);
        int x = between(-50, img->width), y = between(-50, img->height), w = between(2, 150), h = between(2, 150);
        fill(img, x, y, x + w, y + h, c);
        if (between(0, 1)) continue;
        random_colour(c);
        for (int v = y + 3; v + 6 < y + h; v += 12)   /* windows */
            for (int u = x + 3; u + 6 < x + w; u += 9) fill(img, u, v, u + 5, v + 7, c);
    }
}

static const photo *source_photo(const photo *photos, int n) {   /* one of the originals: one person, and found */
    for (;;) {
        const photo *p = &photos[between(0, n - 1)];
        if (strstr(p->name, "_source.jpg")) return p;
    }
}

static void head_box(const photo *p, double grow, int box[4]) {
    const face *f = &p->found.face[0];
    double x0 = 9, x1 = -9, y0 = 9, y1 = -9;
    for (int i = 0; i < FACE_LANDMARKS; i++) {
        x0 = fmin(x0, f->landmarks[i].x), x1 = fmax(x1, f->landmarks[i].x);
        y0 = fmin(y0, f->landmarks[i].y), y1 = fmax(y1, f->landmarks[i].y);
    }
    double w = (x1 - x0) * grow, h = (y1 - y0) * grow;
    box[0] = (int)((x0 - w) * p->img.width), box[2] = (int)((x1 + w) * p->img.width);
    box[1] = (int)((y0 - h) * p->img.height), box[3] = (int)((y1 + h) * p->img.height);
}

static image copy_of(const image *img) {
    image out = canvas(img->width, img->height);
    memcpy(out.rgb, img->rgb, (size_t)img->width * (size_t)img->height * 3);
    return out;
}

/* The photo with the head gone: a colour, noise, or what stands elsewhere in the picture. */
static image make_painted(const photo *p) {
    image img = copy_of(&p->img);
    int b[4], how = between(0, 2);
    head_box(p, 0.15 + unit() * 0.2, b);
    uint8_t c[3];
    random_colour(c);
    int dx = between(1, img.width - 1), dy = between(1, img.height - 1);
    for (int y = b[1] < 0 ? 0 : b[1]; y < b[3] && y < img.height; y++)
        for (int x = b[0] < 0 ? 0 : b[0]; x < b[2] && x < img.width; x++) {
            if (how == 1) random_colour(c);
            int u = (x + dx) % img.width, v = (y + dy) % img.height;
            bool head = u >= b[0] && u < b[2] && v >= b[1] && v < b[3];
            memcpy(at(&img, x, y), how == 2 && !head ? at(&p->img, u, v) : c, 3);
        }
    return img;
}

/* Squares of an eighth of the head, in random order. */
static image make_shuffled(const photo *p) {
    int b[4];
    head_box(p, 0, b);
    int cell = (b[2] - b[0]) / 8, w = p->img.width / cell, h = p->img.height / cell;
    image img = canvas(w * cell, h * cell);
    for (int i = 0; i < w * h; i++) {
        int from = between(0, w * h - 1);
        for (int y = 0; y < cell; y++)
            memcpy(at(&img, i % w * cell, i / w * cell + y), at(&p->img, from % w * cell, from / w * cell + y), (size_t)cell * 3);
    }
    return img;
}

static void random_size(int *w, int *h) {
    static const int sizes[][2] = { { 768, 512 }, { 512, 512 }, { 1024, 1024 }, { 900, 1200 }, { 1600, 1067 } };
    int k = between(0, 4);
    *w = sizes[k][0], *h = sizes[k][1];
}

static image make_faceless(const photo *photos, int n, int kind) {
    if (kind == 8) return make_painted(source_photo(photos, n));
    if (kind == 9) return make_shuffled(source_photo(photos, n));
    static void (*const make[])(image *) = { make_noise, make_clouds, make_gradient, make_waves, make_checks, make_strokes, make_discs, make_boxes };
    int w, h;
    random_size(&w, &h);
    image img = canvas(w, h);
    make[kind](&img);
    return img;
}

/* ---- what is asked ----------------------------------------------------------------------------------------------- */

/* Mean distance over the face's longer side, of the nearest face found; `map` moves a point of the photo to the picture. */
typedef struct { double ax, bx, cx, ay, by, cy; } affine;   /* pixels: x' = ax*x + bx*y + cx */

static double longer_side(const face *f, int width, int height) {
    double x0 = 9, x1 = -9, y0 = 9, y1 = -9;
    for (int i = 0; i < FACE_LANDMARKS; i++) {
        x0 = fmin(x0, f->landmarks[i].x), x1 = fmax(x1, f->landmarks[i].x);
        y0 = fmin(y0, f->landmarks[i].y), y1 = fmax(y1, f->landmarks[i].y);
    }
    return fmax((x1 - x0) * width, (y1 - y0) * height);
}

static double nearest(const photo *p, int k, affine m, const faces *got) {
    const face *want = &p->found.face[k];
    double best = INFINITY, size = longer_side(want, p->img.width, p->img.height) * hypot(m.ax, m.ay);
    for (int g = 0; g < got->count; g++) {
        double sum = 0;
        for (int i = 0; i < FACE_LANDMARKS; i++) {
            double x = want->landmarks[i].x * p->img.width, y = want->landmarks[i].y * p->img.height;
            double dx = m.ax * x + m.bx * y + m.cx - got->face[g].landmarks[i].x * got->width;
            double dy = m.ay * x + m.by * y + m.cy - got->face[g].landmarks[i].y * got->height;
            sum += hypot(dx, dy);
        }
        best = fmin(best, sum / FACE_LANDMARKS / size);
    }
    return best;
}

typedef struct { int asked, found, extra, pictures; double error; face_times times; unsigned most; } score;

static void count(score *s, const photo *p, affine m, const faces *got, int only, const char *what) {
    for (int k = 0; k < p->found.count; k++) {
        if (only >= 0 && k != only) continue;
        double e = nearest(p, k, m, got);
        s->asked++;
        if (e < 0.15) s->found++, s->error += e;
        else if (getenv("VERBOSE")) printf("  %s, %s, face %d: %s (%g)\n", p->name, what, k, got->count ? "elsewhere" : "not found", e);
    }
}

static faces look_again(score *s, const image *img) {
    face_times t = { 0 };
    faces got = look(img, getenv("ORIGINAL") ? MIEN_SEARCH_NONE : MIEN_SEARCH_AUTO, &t);
    s->pictures++;
    s->times.total += t.total, s->times.detections += t.detections, s->times.crops += t.crops;
    if (t.detections > s->most) s->most = t.detections;
    return got;
}

static void turn_photo(score *s, const photo *p, int quarter) {
    int w = p->img.width, h = p->img.height, tw = quarter & 1 ? h : w, th = quarter & 1 ? w : h;
    image img = canvas(tw, th);
    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++) {
            int u = quarter == 1 ? h - 1 - y : quarter == 2 ? w - 1 - x : y, v = quarter == 1 ? x : quarter == 2 ? h - 1 - y : w - 1 - x;
            memcpy(at(&img, u, v), at(&p->img, x, y), 3);
        }
    affine m = quarter == 1 ? (affine){ 0, -1, h - 1, 1, 0, 0 } : quarter == 2 ? (affine){ -1, 0, w - 1, 0, -1, h - 1 } : (affine){ 0, 1, 0, -1, 0, w - 1 };
    faces got = look_again(s, &img);
    char what[32];
    snprintf(what, sizeof what, "turned %d", quarter * 90);
    count(s, p, m, &got, -1, what);
    free(got.face);
    image_free(&img);
}

/* The photo reduced until face k's longer side is 4% of a made picture's, and put somewhere into that. */
static void shrink_photo(score *s, const photo *p, int k) {
    int w, h;
    random_size(&w, &h);
    double f = 0.04 * (w > h ? w : h) / longer_side(&p->found.face[k], p->img.width, p->img.height);
    int sw = (int)(p->img.width * f + 0.5), sh = (int)(p->img.height * f + 0.5);
    if (f > 1 || sw > w || sh > h || sw < 1 || sh < 1) return;
    image small, img = canvas(w, h);
    if (image_resize(&p->img, sw, sh, RESIZE_LANCZOS, cpu_level_here(), &small) < 0) fatal();
    if (between(0, 1)) make_clouds(&img);
    else make_gradient(&img);
    int x = between(0, w - sw), y = between(0, h - sh);
    for (int row = 0; row < sh; row++) memcpy(at(&img, x, y + row), at(&small, 0, row), (size_t)sw * 3);
    faces got = look_again(s, &img);
    char what[64];
    snprintf(what, sizeof what, "shrunk into %dx%d", w, h);
    count(s, p, (affine){ (double)sw / p->img.width, 0, x, 0, (double)sh / p->img.height, y }, &got, k, what);
    free(got.face);
    image_free(&small);
    image_free(&img);
}

static void print_score(const char *name, const score *s) {
    printf("%-8s %d of %d faces found (%.1f%%), mean distance of the points %.2f%% of the face; a picture: %.1f ms, %.1f detector runs (most %u), %.1f landmark runs\n",
           name, s->found, s->asked, 100.0 * s->found / s->asked, s->found ? 100 * s->error / s->found : 0, 1e3 * s->times.total / s->pictures,
           (double)s->times.detections / s->pictures, s->most, (double)s->times.crops / s->pictures);
}

static int load_photos(photo *photos) {
    const char *shared = getenv("MIEN_SHARED");
    char folder[600], path[900];
    snprintf(folder, sizeof folder, "%s/fixtures/faces/photos", shared ? shared : "../shared");
    struct dirent **list;
    int names = scandir(folder, &list, NULL, alphasort), n = 0;
    for (int i = 0; i < names; i++) {
        photo p = { 0 };
        uint8_t *data;
        size_t size;
        snprintf(p.name, sizeof p.name, "%.60s", list[i]->d_name);
        snprintf(path, sizeof path, "%s/%s", folder, p.name);
        free(list[i]);
        /* Those that are turned already: the original's answer for them is no truth. */
        bool turned = strstr(p.name, "exif") || strstr(p.name, "rot90") || strstr(p.name, "rot180") || strstr(p.name, "rot270");
        if (p.name[0] == '.' || turned || n == MAX_PHOTOS) continue;
        if (file_load(path, IMAGE_MAX_BYTES, &data, &size) < 0 || image_decode(data, size, NULL, &p.img) < 0) fatal();
        free(data);
        p.found = look(&p.img, MIEN_SEARCH_NONE, NULL);
        if (p.found.count) photos[n++] = p;
        else image_free(&p.img);
    }
    if (names >= 0) free(list);
    return n;
}

int main(void) {
    static photo photos[MAX_PHOTOS];
    const char *models = getenv("MODELS_DIR"), *seed = getenv("SEED"), *part = getenv("PART");
    if (face_mesh_open(models ? models : "third_party/models", CPU_BEST, &mesh) < 0) fatal();
    int n = load_photos(photos);
    if (n == 0) {
        printf("skipped: no fixtures\n");
        return 0;
    }
    state = 0x9e3779b97f4a7c15ULL * (seed ? strtoull(seed, NULL, 10) + 1 : 2);
    score turned = { 0 }, shrunk = { 0 }, faceless = { 0 };
    if (!part || strstr(part, "turned")) {
        for (int i = 0; i < n; i++)
            for (int quarter = 1; quarter <= 3; quarter++) turn_photo(&turned, &photos[i], quarter);
        print_score("turned", &turned);
    }
    if (!part || strstr(part, "shrunk")) {
        for (int i = 0; i < n; i++)
            for (int k = 0; k < photos[i].found.count; k++) shrink_photo(&shrunk, &photos[i], k);
        print_score("shrunk", &shrunk);
    }
    if (!part || strstr(part, "faceless")) {
        int claimed = 0, at_first = 0;
        for (int i = 0; i < FACELESS; i++) {
            image img = make_faceless(photos, n, i % KINDS);
            faces got = look_again(&faceless, &img);
            claimed += got.count > 0;
            if (got.count) {
                faces first = look(&img, MIEN_SEARCH_NONE, NULL);
                at_first += first.count > 0;
                printf("  claimed: %d in picture %d (%s)%s\n", got.count, i, kinds[i % KINDS], first.count ? ", at the first look: so does the original" : "");
                free(first.face);
            }
            free(got.face);
            image_free(&img);
        }
        printf("faceless %d of %d pictures with a face claimed (%d of them by the original too); a picture: %.1f ms, %.1f detector runs (most %u), %.1f landmark runs\n", claimed,
               FACELESS, at_first, 1e3 * faceless.times.total / FACELESS, (double)faceless.times.detections / FACELESS, faceless.most,
               (double)faceless.times.crops / FACELESS);
    }
    for (int i = 0; i < n; i++) {
        image_free(&photos[i].img);
        free(photos[i].found.face);
    }
    face_mesh_close(mesh);
    return 0;
}
