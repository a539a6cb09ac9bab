/* SPDX-License-Identifier: Apache-2.0
 *
 * The face fixtures: what the reference found. */
#ifndef TESTS_FACES_H
#define TESTS_FACES_H

#include <math.h>

#include "face/face.h"
#include "fixtures.h"

enum { FIXTURE_FOLDERS = 5, FIXTURE_STAGES = 4 };
static const char *const fixture_folders[FIXTURE_FOLDERS] = { "ref", "ref_conf001", "ref_conf001_5", "ref_conf010", "ref_min64" };
static const char *const fixture_stages[FIXTURE_STAGES] = { "neutral_source", "collage4", "neutral_rot20", "wide" };

/* Element `key` of an object, or `i` of an array, as the one f32 that its 9 digits mean. */
static inline float fixture_number(const json_t *j, const char *key, size_t i) {
    const json_t *x = key ? json_object_get(j, key) : json_array_get(j, i);
    if (!json_is_number(x)) fail_msg("no number at %s %zu", key ? key : "", i);
    return (float)json_number_value(x);
}

/* The faces of a reference JSON; the caller frees .face. */
static inline faces fixture_faces(const json_t *j) {
    const json_t *list = json_object_get(j, "faces");
    faces out = { (int)fixture_number(j, "width", 0), (int)fixture_number(j, "height", 0), (int)json_array_size(list), NULL };
    if (out.count) out.face = calloc((size_t)out.count, sizeof *out.face);
    for (int k = 0; k < out.count; k++) {
        const json_t *f = json_array_get(list, (size_t)k), *points = json_object_get(f, "landmarks");
        bool known = json_is_number(json_object_get(f, "score"));   /* null in one file: NaN then */
        out.face[k].score = known ? fixture_number(f, "score", 0) : NAN;
        assert_int_equal(json_array_size(points), FACE_LANDMARKS);
        for (size_t i = 0; i < FACE_LANDMARKS; i++) {
            const json_t *p = json_array_get(points, i);
            out.face[k].landmarks[i] = (face_point){ fixture_number(p, NULL, 0), fixture_number(p, NULL, 1), fixture_number(p, NULL, 2) };
        }
    }
    return out;
}

static inline void draw_oval(image *img, double cx, double cy, double rx, double ry, int r, int g, int b, int shade) {
    const int colour[3] = { r, g, b };
    for (int y = 0; y < img->height; y++)
        for (int x = 0; x < img->width; x++) {
            double u = (x - cx) / rx, v = (y - cy) / ry, q = u * u + v * v;
            if (q > 1) continue;
            for (int c = 0; c < 3; c++) {
                int k = colour[c] - (int)(shade * q);
                img->rgb[((size_t)y * (size_t)img->width + (size_t)x) * 3 + (size_t)c] = (uint8_t)(k < 0 ? 0 : k);
            }
        }
}

/* A face that needs no photo, 320x320, as in tests/reference/drawn_face.py; the caller frees it. */
static inline image drawn_face(void) {
    image img;
    assert_int_equal(image_new(320, 320, &img), 0);
    memset(img.rgb, 190, 320 * 320 * 3);
    draw_oval(&img, 160, 140, 92, 110, 60, 40, 30, 0);       /* hair, shoulders, neck, face */
    draw_oval(&img, 160, 300, 120, 70, 60, 80, 130, 20);
    draw_oval(&img, 160, 240, 30, 45, 190, 140, 110, 0);
    draw_oval(&img, 160, 165, 75, 98, 225, 175, 145, 50);
    for (int s = -1; s <= 1; s += 2) {                       /* brow, white, iris, pupil, ear */
        draw_oval(&img, 160 + s * 32, 133, 17, 6, 90, 60, 45, 0);
        draw_oval(&img, 160 + s * 32, 147, 14, 7.5, 245, 240, 235, 0);
        draw_oval(&img, 160 + s * 32, 147, 6.5, 6.5, 60, 40, 30, 0);
        draw_oval(&img, 160 + s * 32, 147, 3, 3, 10, 10, 10, 0);
        draw_oval(&img, 160 + s * 76, 165, 9, 20, 205, 150, 125, 30);
    }
    draw_oval(&img, 160, 180, 11, 17, 215, 160, 130, 0);     /* nose, nostrils, mouth */
    draw_oval(&img, 153, 192, 4, 3, 150, 95, 75, 0);
    draw_oval(&img, 167, 192, 4, 3, 150, 95, 75, 0);
    draw_oval(&img, 160, 222, 25, 8, 170, 70, 70, 0);
    draw_oval(&img, 160, 222, 22, 2, 110, 40, 40, 0);
    return img;
}

/* The photo of that name, whatever its ending; the caller frees it. */
static inline image fixture_photo(const char *stem) {
    static const char *const endings[] = { "jpg", "png", "webp", "gif", "bmp" };
    for (int i = 0; i < 5; i++) {
        const char *path = fixture_path("faces/photos/%s.%s", stem, endings[i]);
        if (access(path, R_OK) == 0) return fixture_image(path);
    }
    fail_msg("no photo %s", stem);
    return (image){ 0 };
}

#endif
