/* SPDX-License-Identifier: Apache-2.0 */
#include "face/mirror.h"

#include <stdbool.h>

#include "face/topology.h"

/* The mesh numbers one side and the middle line first, then the other side in the same order. These are the middle line's, top to bottom of the
 * numbers; the first point of the other side is FIRST_OTHER. (topology.h's lists of eyes, lips and oval agree, and so do real faces: tests/unit/test_mirror.c.) */
enum { FIRST_OTHER = 248, MIDDLE = 28 };
static const uint8_t middle[MIDDLE] = { 0,  1,  2,  4,  5,  6,   8,   9,   10,  11,  12,  13,  14,  15,
                                        16, 17, 18, 19, 94, 151, 152, 164, 168, 175, 195, 197, 199, 200 };

/* Of an iris: its middle, towards the image's right, top, towards the image's left, bottom; in the mirror right and left change. */
static const int iris[TOPOLOGY_IRIS] = { 0, 3, 2, 1, 4 };

static void pair(int table[FACE_LANDMARKS], int a, int b) {
    table[a] = b;
    table[b] = a;
}

void face_mirror_table(int table[FACE_LANDMARKS]) {
    int other = FIRST_OTHER, m = 0;
    for (int i = 0; i < FIRST_OTHER; i++) {
        bool alone = m < MIDDLE && middle[m] == i;
        m += alone;
        pair(table, i, alone ? i : other++);
    }
    for (int k = 0; k < TOPOLOGY_IRIS; k++) pair(table, TOPOLOGY_LEFT_PUPIL + k, TOPOLOGY_RIGHT_PUPIL + iris[k]);
}

void face_mirror(faces *f) {
    int table[FACE_LANDMARKS];
    face_mirror_table(table);
    for (int k = 0; k < f->count; k++) {
        face was = f->face[k];
        for (int i = 0; i < FACE_LANDMARKS; i++) {
            const face_point *p = &was.landmarks[table[i]];
            f->face[k].landmarks[i] = (face_point){ (float)(1 - (double)p->x), p->y, p->z };
        }
    }
}

static void swap_bytes(uint8_t *a, uint8_t *b) {
    uint8_t c = *a;
    *a = *b;
    *b = c;
}

void face_photo_mirror(uint8_t *rgb, size_t width, size_t height) {
    for (size_t y = 0; y < height; y++) {
        uint8_t *row = rgb + y * width * 3;
        for (size_t x = 0; x < width / 2; x++)
            for (int c = 0; c < 3; c++) swap_bytes(&row[3 * x + (size_t)c], &row[3 * (width - 1 - x) + (size_t)c]);
    }
}

/* Each colour of the right is that of the left with red and blue exchanged, and those of the middle have as much red as blue. That is linear, so it
 * holds for what JPEG or a smaller size has made of them, too. */
void face_map_mirror(uint8_t *rgb, size_t width, size_t height) {
    face_photo_mirror(rgb, width, height);
    for (size_t i = 0; i < width * height; i++) swap_bytes(&rgb[3 * i], &rgb[3 * i + 2]);
}
