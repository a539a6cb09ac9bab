/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "data/preview_page.h"
#include "face/faces_json.h"

enum {
    MARGIN = 12, HEAD = 48,                                     /* of the page */
    SIDE = 192, BETWEEN = 6, PAD = 10,                          /* of a tile: the pictures' boxes, and what lies round them */
    TEXT_LINES = 3, TEXT = (1 + TEXT_LINES) * LABEL_LINE,
    TILE_WIDTH = 3 * SIDE + 2 * BETWEEN + 2 * PAD, TILE_HEIGHT = SIDE + TEXT + 2 * PAD + 4,
};

int sheet_new(int tiles, const char *headline, const char *about, const char *number, image *out) {
    int rows = (tiles + PAGE_COLUMNS - 1) / PAGE_COLUMNS;
    int rc = image_new(PAGE_COLUMNS * (TILE_WIDTH + MARGIN) + MARGIN, HEAD + rows * (TILE_HEIGHT + MARGIN), out);
    if (rc < 0) return rc;
    paint_fill(out, (area){ 0, 0, out->width, out->height }, paint_page);
    int right = out->width - MARGIN - PAD, taken = paint_line_right(out, right, 16, &paint_grey, number);
    int left = MARGIN + PAD, used = paint_line(out, left, 8, out->width / 2, &paint_title, headline);
    paint_line(out, left + used + 16, 16, right - taken - left - used - 32, &paint_grey, about);
    return 0;
}

/* ---- reasons -------------------------------------------------------------------------------------------------------- */

/* The last message, without the data set's folder before it: the page says where it is. */
static const char *short_reason(const dataset *d) {
    const char *s = error_message(), *folder = dataset_path(d);
    size_t n = strlen(folder);
    return strncmp(s, folder, n) == 0 && s[n] == '/' ? s + n + 1 : s;
}

static void remember(tile_result *r, const char *reason, bool counted) {
    if (r->marked) return;
    snprintf(r->reason, sizeof r->reason, "%s", reason);
    r->marked = true;
    r->counted = counted;
}

/* A box that says what is wrong. */
static void mark(image *sheet, area box, const char *what, const char *reason) {
    paint_fill(sheet, box, paint_alarm_back);
    paint_frame(sheet, box, paint_alarm);
    int lines = (box.height - 3 * PAD) / LABEL_LINE - 1;
    paint_line(sheet, box.x + PAD, box.y + PAD, box.width - 2 * PAD, &paint_warning, what);
    label_paragraph(sheet, box.x + PAD, box.y + PAD + LABEL_LINE + 4, box.width - 2 * PAD, lines, &paint_text, reason, strlen(reason));
}

/* ---- pictures ------------------------------------------------------------------------------------------------------- */

typedef struct { int width, height; } size2;

/* The size at which a picture is shown: its own if that fits into the box, else shrunk, its aspect kept. */
static size2 shown_size(const image *img) {
    int most = img->width > img->height ? img->width : img->height;
    if (most <= SIDE) return (size2){ img->width, img->height };
    int w = (int)(((int64_t)img->width * SIDE + most / 2) / most), h = (int)(((int64_t)img->height * SIDE + most / 2) / most);
    return (size2){ w ? w : 1, h ? h : 1 };
}

static int brightness(const uint8_t *p) { return p[0] > p[1] ? (p[0] > p[2] ? p[0] : p[2]) : p[1] > p[2] ? p[1] : p[2]; }

/* The brightest pixel of cell (x, y), of w x h cells that a map is cut into. */
static const uint8_t *brightest(const image *map, int x, int y, int w, int h) {
    int x0 = (int)((int64_t)x * map->width / w), x1 = (int)((int64_t)(x + 1) * map->width / w);
    int y0 = (int)((int64_t)y * map->height / h), y1 = (int)((int64_t)(y + 1) * map->height / h), most = -1;
    const uint8_t *best = map->rgb;
    for (int v = y0; v < y1 || v == y0; v++)
        for (int u = x0; u < x1 || u == x0; u++) {
            const uint8_t *p = map->rgb + ((size_t)v * (size_t)map->width + (size_t)u) * 3;
            if (brightness(p) > most) most = brightness(p), best = p;
        }
    return best;
}

/* A map's lines are two pixels of thousands: shrunk by averages they would go out. Where there is room for it, a pixel is made
 * of four cells' brightest, so that edges are smooth, and three of them have its full colour. */
static int shrink_map(const image *map, size2 to, image *out) {
    int rc = image_new(to.width, to.height, out);
    if (rc < 0) return rc;
    int fine = map->width >= 2 * to.width && map->height >= 2 * to.height ? 2 : 1, cells = fine * fine;
    for (int y = 0; y < to.height; y++)
        for (int x = 0; x < to.width; x++) {
            uint8_t *p = out->rgb + ((size_t)y * (size_t)to.width + (size_t)x) * 3;
            int sum[3] = { 0 }, most[3] = { 0 };
            for (int k = 0; k < cells; k++) {
                const uint8_t *q = brightest(map, x * fine + k % fine, y * fine + k / fine, to.width * fine, to.height * fine);
                for (int c = 0; c < 3; c++) sum[c] += q[c], most[c] = q[c] > most[c] ? q[c] : most[c];
            }
            for (int c = 0; c < 3; c++) {
                int v = cells == 1 ? sum[c] : (sum[c] + 1) / 3;
                p[c] = (uint8_t)(v < most[c] ? v : most[c]);
            }
        }
    return 0;
}

/* The map's lines over the photo, which the training stretches to the map's size, too. A JPEG map's black is not quite black. */
static void lay_over(image *photo, const image *map) {
    enum { BLACK = 24, FULL = 120 };
    for (size_t i = 0; i < (size_t)photo->width * (size_t)photo->height * 3; i += 3) {
        int b = brightness(map->rgb + i), part = b <= BLACK ? 0 : b >= FULL ? 256 : (b - BLACK) * 256 / (FULL - BLACK);
        if (!part) continue;
        for (size_t c = i; c < i + 3; c++) {
            int line = map->rgb[c] * 200 / (b < 1 ? 1 : b);   /* at the brightness it has in the full size */
            photo->rgb[c] = (uint8_t)((photo->rgb[c] * (256 - part) + line * part) >> 8);
        }
    }
}

static int shrink_photo(const image *photo, size2 to, image *out) {
    return image_resize(photo, to.width, to.height, RESIZE_BICUBIC, CPU_BEST, out);
}

/* ---- a tile --------------------------------------------------------------------------------------------------------- */

typedef struct {
    image *sheet;
    const dataset *d;
    const dataset_item *item;
    size_t max_pixels;
    tile_result *result;
    area place;
} tile;

static area box_of(const tile *t, int k) { return (area){ t->place.x + PAD + k * (SIDE + BETWEEN), t->place.y + PAD, SIDE, SIDE }; }

static bool is_missing(const tile *t, dataset_part part, int rc) {
    char path[PATH_MAX];
    if (rc != ERR_IO) return false;
    return dataset_is_shards(t->d) || (dataset_part_path(t->d, t->item, part, path) && access(path, F_OK) < 0 && (errno == ENOENT || errno == ENOTDIR));
}

/* Loads photo or map; *out stays empty if it can't be, and its box says why. ERR_MEMORY too is the picture's own fault: another
 * may fit. */
static void load_picture(const tile *t, dataset_part part, int k, const char *name, image *out) {
    uint8_t *data;
    size_t size;
    int rc = dataset_load(t->d, t->item, part, &data, &size);
    bool missing = rc < 0 && is_missing(t, part, rc);
    if (rc == 0) {
        rc = image_decode(data, size, &(image_options){ .max_pixels = t->max_pixels }, out);
        free(data);
    }
    if (rc == 0) return;
    char what[64];
    const char *file = part == DATASET_TARGET ? t->item->target : t->item->source;
    snprintf(what, sizeof what, "%s %s", name, missing ? "missing" : "broken");
    mark(t->sheet, box_of(t, k), what, missing ? file : short_reason(t->d));
    dataset_fault(t->d, t->item, part);
    remember(t->result, error_message(), false);
}

static void show(const tile *t, int k, const image *img) {
    area box = box_of(t, k);
    paint_copy(t->sheet, box.x + (SIDE - img->width) / 2, box.y + (SIDE - img->height) / 2, img);
}

static int draw_overlay(const tile *t, const image *photo, const image *small_map) {
    image over;
    int rc = shrink_photo(photo, (size2){ small_map->width, small_map->height }, &over);
    if (rc < 0) return rc;
    lay_over(&over, small_map);
    show(t, 2, &over);
    image_free(&over);
    return 0;
}

static int draw_pictures(const tile *t, const image *photo, const image *map) {
    image small = { 0 }, small_map = { 0 };
    int rc = 0;
    if (photo->rgb) rc = shrink_photo(photo, shown_size(photo), &small);
    if (rc == 0 && small.rgb) show(t, 0, &small);
    if (rc == 0 && map->rgb) rc = shrink_map(map, shown_size(map), &small_map);
    if (rc == 0 && small_map.rgb) show(t, 1, &small_map);
    if (rc == 0 && photo->rgb && map->rgb) rc = draw_overlay(t, photo, &small_map);
    image_free(&small);
    image_free(&small_map);
    return rc;
}

/* What is known of the faces, for the line of sizes: "2 faces", "no landmarks". */
static void tell_faces(const tile *t, char *out, size_t room) {
    uint8_t *data;
    size_t size;
    faces f = { 0 };
    int rc = dataset_load(t->d, t->item, DATASET_FACES, &data, &size);
    if (rc < 0) {
        bool missing = is_missing(t, DATASET_FACES, rc);
        snprintf(out, room, missing ? "no landmarks" : "landmarks broken");
        if (!missing) dataset_fault(t->d, t->item, DATASET_FACES), remember(t->result, error_message(), true);
        return;
    }
    rc = faces_json_read("landmarks", data, size, &f, NULL);
    free(data);
    if (rc == 0) snprintf(out, room, "%d face%s", f.count, f.count == 1 ? "" : "s");
    else snprintf(out, room, "landmarks broken"), dataset_fault(t->d, t->item, DATASET_FACES), remember(t->result, error_message(), true);
    free(f.face);
}

static void draw_words(const tile *t, const image *photo, const image *map) {
    char sizes[160] = "", number[32], faces_text[64];
    int x = t->place.x + PAD, y = t->place.y + PAD + SIDE + 4, width = TILE_WIDTH - 2 * PAD;
    bool other = photo->rgb && map->rgb && (photo->width != map->width || photo->height != map->height);
    tell_faces(t, faces_text, sizeof faces_text);
    if (other)
        snprintf(sizes, sizeof sizes, "photo %d x %d, map %d x %d \xc2\xb7 %s", photo->width, photo->height, map->width, map->height, faces_text);
    else if (photo->rgb || map->rgb)
        snprintf(sizes, sizeof sizes, "%d x %d \xc2\xb7 %s", photo->rgb ? photo->width : map->width, photo->rgb ? photo->height : map->height, faces_text);
    else snprintf(sizes, sizeof sizes, "%s", faces_text);
    int taken = paint_line_right(t->sheet, x + width, y, other && !dataset_same_shape(photo->width, photo->height, map->width, map->height) ? &paint_warning : &paint_grey, sizes) + 12;
    snprintf(number, sizeof number, "%" PRIu64 "  ", t->item->index + 1);
    int used = paint_line(t->sheet, x, y, width - taken, &paint_grey, number);
    paint_line(t->sheet, x + used, y, width - taken - used, &paint_bold, t->item->id);
    const char *prompt = t->item->prompt;
    if (!label_paragraph(t->sheet, x, y + LABEL_LINE, width, TEXT_LINES, &paint_text, prompt, strlen(prompt)))
        paint_line(t->sheet, x, y + LABEL_LINE, width, &paint_grey, "(no prompt)");
}

static int draw_item(const tile *t) {
    image photo = { 0 }, map = { 0 };
    for (int k = 0; k < 3; k++) {
        area box = box_of(t, k);
        paint_fill(t->sheet, box, paint_empty);
        paint_frame(t->sheet, (area){ box.x - 1, box.y - 1, box.width + 2, box.height + 2 }, paint_edge);   /* a white photo ends somewhere */
    }
    load_picture(t, DATASET_TARGET, 0, "photo", &photo);
    load_picture(t, DATASET_SOURCE, 1, "map", &map);
    int rc = draw_pictures(t, &photo, &map);
    if (rc == 0) draw_words(t, &photo, &map);
    image_free(&photo);
    image_free(&map);
    return rc;
}

/* By the hash of its photo: by id and URL it would not have a tile. */
static int is_removed(const dataset *d, choice *c, const dataset_item *item) {
    uint8_t *photo;
    size_t size;
    if (!choice_needs_photo(c)) return 0;
    int rc = dataset_load(d, item, DATASET_TARGET, &photo, &size);
    if (rc < 0) return rc == ERR_MEMORY ? rc : 0;   /* what can't be read is not shown */
    rc = choice_asks(c, item, photo, size);
    free(photo);
    return rc < 0 ? rc : rc != SELECTED;
}

int sheet_tile(image *sheet, int number, const dataset *d, choice *c, uint64_t index, size_t max_pixels, tile_result *result) {
    dataset_item item = { 0 };
    tile t = {
        .sheet = sheet, .d = d, .item = &item, .max_pixels = max_pixels, .result = result,
        .place = { MARGIN + number % PAGE_COLUMNS * (TILE_WIDTH + MARGIN), HEAD + number / PAGE_COLUMNS * (TILE_HEIGHT + MARGIN), TILE_WIDTH, TILE_HEIGHT },
    };
    *result = (tile_result){ 0 };
    paint_fill(sheet, t.place, paint_card);
    paint_frame(sheet, t.place, paint_edge);
    int rc = dataset_read(d, index, &item);
    if (rc == 0) {
        rc = is_removed(d, c, &item);
        result->removed = rc > 0;
        if (rc == 0) {
            snprintf(result->id, sizeof result->id, "%s", item.id);
            rc = draw_item(&t);
        } else if (rc > 0) {
            mark(sheet, box_of(&t, 0), "removed", "");
            rc = 0;
        }
        dataset_item_free(&item);
        return rc;
    }
    char what[64];
    snprintf(what, sizeof what, "%" PRIu64 "  no item", index + 1);
    area box = box_of(&t, 0);
    box.width = TILE_WIDTH - 2 * PAD;
    mark(sheet, box, what, dataset_line_fault(d, index));
    remember(result, dataset_line_fault(d, index), true);
    return 0;
}
