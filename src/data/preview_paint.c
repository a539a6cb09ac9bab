/* SPDX-License-Identifier: Apache-2.0 */
#include "data/preview_paint.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

const image_colour paint_page = { 238, 239, 241 }, paint_card = { 255, 255, 255 }, paint_edge = { 214, 217, 221 }, paint_empty = { 228, 230, 233 },
                   paint_ink = { 28, 31, 36 }, paint_faint = { 112, 119, 128 }, paint_bar = { 52, 112, 176 }, paint_end = { 230, 148, 40 },
                   paint_alarm = { 190, 36, 28 }, paint_alarm_back = { 252, 233, 230 };
const label_style paint_text = { { 28, 31, 36 }, 1, false }, paint_bold = { { 28, 31, 36 }, 1, true }, paint_grey = { { 92, 99, 108 }, 1, false },
                  paint_title = { { 28, 31, 36 }, 2, false }, paint_warning = { { 190, 36, 28 }, 1, true };

void paint_fill(image *canvas, area a, image_colour colour) { draw_rectangle(canvas, a.x, a.y, a.x + a.width, a.y + a.height, colour); }

void paint_frame(image *canvas, area a, image_colour colour) {
    int right = a.x + a.width, bottom = a.y + a.height;
    draw_rectangle(canvas, a.x, a.y, right, a.y + 1, colour);
    draw_rectangle(canvas, a.x, bottom - 1, right, bottom, colour);
    draw_rectangle(canvas, a.x, a.y, a.x + 1, bottom, colour);
    draw_rectangle(canvas, right - 1, a.y, right, bottom, colour);
}

void paint_copy(image *canvas, int x, int y, const image *picture) {
    int left = x < 0 ? -x : 0, right = canvas->width - x < picture->width ? canvas->width - x : picture->width;
    for (int row = 0; row < picture->height && left < right; row++) {
        if (y + row < 0 || y + row >= canvas->height) continue;
        uint8_t *to = canvas->rgb + ((size_t)(y + row) * (size_t)canvas->width + (size_t)(x + left)) * 3;
        memcpy(to, picture->rgb + ((size_t)row * (size_t)picture->width + (size_t)left) * 3, (size_t)(right - left) * 3);
    }
}

/* ---- lines ---------------------------------------------------------------------------------------------------------- */

int paint_line(image *canvas, int x, int y, int width, const label_style *style, const char *s) {
    size_t size = strlen(s), fits = label_fit(style, s, size, width);
    if (fits == size) return label_draw(canvas, x, y, style, s, size) - x;
    const char dots[] = "\xe2\x80\xa6";
    fits = label_fit(style, s, size, width - label_width(style, dots, sizeof dots - 1));
    int end = label_draw(canvas, x, y, style, s, fits);
    return label_draw(canvas, end, y, style, dots, sizeof dots - 1) - x;
}

int paint_line_right(image *canvas, int right, int y, const label_style *style, const char *s) {
    int width = label_width(style, s, strlen(s));
    label_draw(canvas, right - width, y, style, s, strlen(s));
    return width;
}

void paint_line_middle(image *canvas, int middle, int y, const label_style *style, const char *s) {
    label_draw(canvas, middle - label_width(style, s, strlen(s)) / 2, y, style, s, strlen(s));
}

/* ---- numbers -------------------------------------------------------------------------------------------------------- */

char *paint_count(char out[PAINT_NUMBER], uint64_t n) {
    char digits[PAINT_NUMBER];
    int length = snprintf(digits, sizeof digits, "%" PRIu64, n), k = 0;
    for (int i = 0; i < length; i++) {
        if (i && (length - i) % 3 == 0) out[k++] = ',';
        out[k++] = digits[i];
    }
    out[k] = 0;
    return out;
}

char *paint_value(char out[PAINT_NUMBER], double x) {
    double size = fabs(x);
    int digits = size >= 100 ? 0 : size >= 10 ? 1 : size >= 1 ? 2 : 3;
    long long scale = digits == 0 ? 1 : digits == 1 ? 10 : digits == 2 ? 100 : 1000, n = llround(fmin(size, 1e15) * (double)scale);
    for (; digits && n % 10 == 0; digits--) n /= 10, scale /= 10;
    snprintf(out, PAINT_NUMBER, digits ? "%s%lld.%0*lld" : "%s%lld", x < 0 && n ? "-" : "", n / scale, digits, n % scale);
    return out;
}

char *paint_short_count(char out[PAINT_NUMBER], double n) {
    static const char *const unit[] = { "", "k", "M", "G", "T" };
    int k = 0;
    while (n >= 1000 && k < 4) n /= 1000, k++;
    paint_value(out, n);
    strcat(out, unit[k]);
    return out;
}

double paint_step(double range, int most) {
    double raw = range / most, power = pow(10, floor(log10(raw)));
    double lead = raw / power * (1 - 1e-9);
    return power * (lead <= 1 ? 1 : lead <= 2 ? 2 : lead <= 5 ? 5 : 10);
}
