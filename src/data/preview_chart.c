/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "data/preview_page.h"

enum {
    COLUMNS = 3, ROWS = MIEN_HISTOGRAMS / COLUMNS, MARGIN = 12, PAD = 14,
    PANEL_WIDTH = 608, PANEL_HEIGHT = 292, HEAD = 92,
    LEFT = 52, TOP = 52, BOTTOM = 44,                   /* of a panel: room for the axes' words */
    END_WIDTH = 14, END_GAP = 8,                        /* the bars of what lies outside */
};

static const struct { const char *title, *axis, *note; } words[MIEN_HISTOGRAMS] = {
    [MIEN_SHORT_SIDE] = { "Shorter side of the picture", "pixels", NULL },
    [MIEN_LONG_SIDE]  = { "Longer side of the picture", "pixels", NULL },
    [MIEN_ASPECT]     = { "Aspect", "width / height", NULL },
    [MIEN_FACES]      = { "Faces a picture", "faces", NULL },
    [MIEN_FACE_SIZE]  = { "Size of a face", "pixels", "shorter side of its landmarks' bounds" },
    [MIEN_FACE_SHARE] = { "Size of a face in its picture", "% of the picture's shorter side", NULL },
    [MIEN_GAZE_X]     = { "Gaze, sideways", "widths of the eye", "pupil from the middle between the eye's corners; right in the image is +" },
    [MIEN_GAZE_Y]     = { "Gaze, up and down", "widths of the eye", "pupil from the line through the eye's corners; down is +" },
    [MIEN_YAW]        = { "Yaw: how far the head is turned", "degrees", "from the depths of 8 pairs of landmarks; right in the image is +" },
    [MIEN_ROLL]       = { "Roll: how far the head is tilted", "degrees", "line through the outer eye corners; clockwise is +" },
    [MIEN_MOUTH]      = { "Opening of the mouth", "inner widths of the mouth", "gap between the lips" },
    [MIEN_PROMPT]     = { "Length of the prompt", "characters", NULL },
};

typedef struct { image *page; const mien_histogram *h; area plot; double top, step; } panel;   /* step: from one line across to the next */

static int x_of(const panel *p, double value) {
    return p->plot.x + (int)lround((value - p->h->from) / (p->h->step * p->h->bins) * p->plot.width);
}
static int y_of(const panel *p, double n) { return p->plot.y + p->plot.height - (int)lround(n / p->top * p->plot.height); }

static void bar(const panel *p, int left, int right, uint64_t n, image_colour colour) {
    int top = y_of(p, (double)n), bottom = p->plot.y + p->plot.height;
    if (n && top >= bottom) top = bottom - 1;   /* a single one among millions is seen */
    draw_rectangle(p->page, left, top, right, bottom, colour);
}

static void draw_axes(const panel *p) {
    char number[PAINT_NUMBER];
    const mien_histogram *h = p->h;
    for (double n = 0; n <= p->top * (1 + 1e-9); n += p->step) {
        int y = y_of(p, n);
        draw_rectangle(p->page, p->plot.x - END_GAP - END_WIDTH, y, p->plot.x + p->plot.width + END_GAP + END_WIDTH, y + 1, n == 0 ? paint_faint : paint_edge);
        paint_line_right(p->page, p->plot.x - END_GAP - END_WIDTH - 5, y - LABEL_ACCENTS - LABEL_CAPITALS / 2, &paint_grey, paint_short_count(number, n));
    }
    double range = h->step * h->bins, tick = paint_step(range, 10), floor_y = p->plot.y + p->plot.height;
    for (double k = ceil(h->from / tick - 1e-9); k * tick <= h->from + range * (1 + 1e-9); k++) {
        int x = x_of(p, k * tick);
        draw_rectangle(p->page, x, (int)floor_y, x + 1, (int)floor_y + 5, paint_faint);
        paint_line_middle(p->page, x, (int)floor_y + 5, &paint_grey, paint_value(number, k * tick));
    }
}

static void draw_bars(const panel *p) {
    const mien_histogram *h = p->h;
    int right = p->plot.x + p->plot.width, floor_y = p->plot.y + p->plot.height + 5;
    for (int i = 0; i < h->bins; i++) {
        int from = p->plot.x + i * p->plot.width / h->bins, to = p->plot.x + (i + 1) * p->plot.width / h->bins;
        bar(p, from, to - (to - from > 3), h->bin[i], paint_bar);
    }
    if (h->below) {
        bar(p, p->plot.x - END_GAP - END_WIDTH, p->plot.x - END_GAP, h->below, paint_end);
        paint_line_middle(p->page, p->plot.x - END_GAP - END_WIDTH / 2, floor_y, &paint_grey, "<");
    }
    if (h->above) {
        bar(p, right + END_GAP, right + END_GAP + END_WIDTH, h->above, paint_end);
        paint_line_middle(p->page, right + END_GAP + END_WIDTH / 2, floor_y, &paint_grey, ">");
    }
}

static void draw_panel(image *page, area place, const mien_histogram *h, int kind) {
    char line[256], a[PAINT_NUMBER], b[PAINT_NUMBER], c[PAINT_NUMBER], d[PAINT_NUMBER];
    panel p = { page, h, { place.x + PAD + LEFT + END_GAP + END_WIDTH, place.y + TOP, 0, PANEL_HEIGHT - TOP - BOTTOM }, 1, 1 };
    p.plot.width = place.x + place.width - PAD - END_GAP - END_WIDTH - p.plot.x;
    for (int i = 0; i < h->bins; i++) p.top = fmax(p.top, (double)h->bin[i]);
    p.top = fmax(p.top, fmax((double)h->below, (double)h->above));
    p.step = fmax(1, paint_step(p.top, 4));
    p.top = ceil(p.top / p.step - 1e-9) * p.step;
    paint_fill(page, place, paint_card);
    paint_frame(page, place, paint_edge);
    int x = place.x + PAD, right = place.x + place.width - PAD;
    paint_line(page, x, place.y + 8, place.width - 2 * PAD, &paint_bold, words[kind].title);
    if (h->count)
        snprintf(line, sizeof line, "median %s \xc2\xb7 mean %s \xc2\xb7 %s to %s", paint_value(a, h->median), paint_value(b, h->mean), paint_value(c, h->least), paint_value(d, h->most));
    else snprintf(line, sizeof line, "nothing to count");
    paint_line_right(page, right, place.y + 8, &paint_grey, line);
    if (words[kind].note) paint_line(page, x, place.y + 8 + LABEL_LINE, place.width - 2 * PAD, &paint_grey, words[kind].note);
    draw_axes(&p);
    if (h->count) draw_bars(&p);
    paint_line_middle(page, p.plot.x + p.plot.width / 2, p.plot.y + p.plot.height + 22, &paint_grey, words[kind].axis);
}

/* "12 items; landmarks: 10 with, 2 without, ...". */
static void say_counts(const mien_statistics *s, text *out) {
    char n[PAINT_NUMBER];
    text_printf(out, "%s item%s", paint_count(n, s->items), s->items == 1 ? "" : "s");
    if (s->unusable) text_printf(out, ", %s of them unusable lines", paint_count(n, s->unusable));
    text_printf(out, "  \xc2\xb7  %s with landmarks", paint_count(n, s->with_landmarks));
    text_printf(out, ", %s without", paint_count(n, s->without_landmarks));
    if (s->broken_landmarks) text_printf(out, ", %s broken", paint_count(n, s->broken_landmarks));
    text_printf(out, "  \xc2\xb7  %s face%s", paint_count(n, s->faces), s->faces == 1 ? "" : "s");
    if (s->without_faces) text_printf(out, ", %s pictures without one", paint_count(n, s->without_faces));
    if (s->without_size) text_printf(out, "  \xc2\xb7  %s of unknown size", paint_count(n, s->without_size));
}

int chart_new(const mien_statistics *s, const char *headline, image *out) {
    int rc = image_new(COLUMNS * (PANEL_WIDTH + MARGIN) + MARGIN, HEAD + ROWS * (PANEL_HEIGHT + MARGIN), out);
    if (rc < 0) return rc;
    text counts = { 0 };
    int width = out->width - 2 * (MARGIN + PAD), x = MARGIN + PAD;
    say_counts(s, &counts);
    paint_fill(out, (area){ 0, 0, out->width, out->height }, paint_page);
    paint_line(out, x, 8, width, &paint_title, headline);
    paint_line(out, x, 44, width, &paint_text, counts.failed ? "" : counts.data);
    paint_line(out, x, 44 + LABEL_LINE + 2, width, &paint_grey,
               "Sizes are those the landmarks or the map give. Faces, gaze and pose come from the landmarks: estimates, good enough to see how a set is made up. "
               "Amber bars count what lies outside the axis.");
    for (int k = 0; k < MIEN_HISTOGRAMS; k++) {
        area place = { MARGIN + k % COLUMNS * (PANEL_WIDTH + MARGIN), HEAD + k / COLUMNS * (PANEL_HEIGHT + MARGIN), PANEL_WIDTH, PANEL_HEIGHT };
        draw_panel(out, place, &s->histogram[k], k);
    }
    text_free(&counts);
    return 0;
}
