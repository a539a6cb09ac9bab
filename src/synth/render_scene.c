/* SPDX-License-Identifier: Apache-2.0
 *
 * From a face's parameters to what its rays need. Doubles of + - * / alone: the same bits on any machine. */
#include "synth/render_scene.h"

#include <stdbool.h>

/* ---- numbers ------------------------------------------------------------------------------------------------------------ */

void scene_sincos(double degrees, double *sine, double *cosine) {
    int quarter = (int)(degrees / 90 + (degrees < 0 ? -0.5 : 0.5));
    double x = (degrees - 90.0 * quarter) * 0.017453292519943295, s = x * x;   /* |x| <= pi/4 */
    double a = x * (1 - s / 6 * (1 - s / 20 * (1 - s / 42 * (1 - s / 72 * (1 - s / 110)))));
    double b = 1 - s / 2 * (1 - s / 12 * (1 - s / 30 * (1 - s / 56 * (1 - s / 90 * (1 - s / 132)))));
    switch ((quarter % 4 + 4) % 4) {
    case 0: *sine = a, *cosine = b; break;
    case 1: *sine = b, *cosine = -a; break;
    case 2: *sine = -a, *cosine = -b; break;
    default: *sine = -b, *cosine = a;
    }
}

static double sine(double degrees) { double s, c; scene_sincos(degrees, &s, &c); return s; }
static double cosine(double degrees) { double s, c; scene_sincos(degrees, &s, &c); return c; }

static double root(double x) {
    double r = x > 1 ? x : 1;
    for (int i = 0; i < 60; i++) r = 0.5 * (r + x / r);
    return r;
}
static void unit(float v[3]) {
    double n = root((double)v[0] * v[0] + (double)v[1] * v[1] + (double)v[2] * v[2] + 1e-30);
    for (int i = 0; i < 3; i++) v[i] = (float)(v[i] / n);
}

static void linear(const synth_colour *c, float out[3]) {
    const float v[3] = { c->r, c->g, c->b };
    for (int i = 0; i < 3; i++) out[i] = v[i] * (v[i] * (v[i] * 0.305306011f + 0.682171111f) + 0.012522878f);
}

/* ---- frames ------------------------------------------------------------------------------------------------------------- */

static const double pivot[3] = { 0, -3, -3 };   /* what head and body turn about: the top of the spine */

/* Rows of the turn from this frame to the camera's: first pitch, then yaw, then roll. */
static void turn(double yaw, double pitch, double roll, double m[9]) {
    double sy = sine(yaw), cy = cosine(yaw), sp = sine(pitch), cp = cosine(pitch), sr = sine(roll), cr = cosine(roll);
    double a[9] = { cy, -sy * sp, sy * cp, 0, cp, sp, -sy, -cy * sp, cy * cp };   /* yaw after pitch */
    for (int i = 0; i < 3; i++) {
        m[i] = cr * a[i] + sr * a[3 + i];           /* clockwise as seen */
        m[3 + i] = -sr * a[i] + cr * a[3 + i];
        m[6 + i] = a[6 + i];
    }
}

static void frame_set(frame *f, const double m[9], const double camera[3]) {
    for (int i = 0; i < 3; i++) {
        for (int j = 0; j < 3; j++) f->from[3 * i + j] = (float)m[3 * j + i];
        double eye = 0;
        for (int j = 0; j < 3; j++) eye += m[3 * j + i] * (camera[j] - pivot[j]);
        f->eye[i] = (float)(eye + pivot[i]);
    }
}

static double within(double x, double most) { return x > most ? most : x < -most ? -most : x; }

static void camera_set(scene *s, const synth_face *f) {
    const double middle[3] = { 0, 1.3, -1 };       /* of what is seen of a head */
    double head[9], body[9], camera[3];
    turn(f->yaw, f->pitch, f->roll, head);
    turn(0.3 * f->yaw, 0.1 * f->pitch, f->roll - within(0.75 * f->roll, 22), body);
    for (int i = 0; i < 3; i++) {
        camera[i] = pivot[i];
        for (int j = 0; j < 3; j++) camera[i] += head[3 * i + j] * (middle[j] - pivot[j]);
    }
    camera[2] += f->distance;
    frame_set(&s->head, head, camera);
    frame_set(&s->body, body, camera);

    float side = (float)(s->width < s->height ? s->width : s->height);
    s->focal = f->size * side * f->distance / 18;
    s->centre_x = 0.5f * (float)s->width + f->offset_x * side;
    s->centre_y = 0.5f * (float)s->height - f->offset_y * side;
    s->nearest = f->distance - 20;
    s->farthest = f->distance + 45;
}

/* ---- the head ----------------------------------------------------------------------------------------------------------- */

static ellipsoid egg(float x, float y, float z, float rx, float ry, float rz) { return (ellipsoid){ { x, y, z }, { rx, ry, rz } }; }

static void skull_set(scene *s, const synth_face *f) {
    float m = 2.3f * f->mouth, smile = f->smile > 0 ? f->smile : 0, male = f->sex, jaw = f->jaw_width, chin = f->chin;
    s->shrink[0] = 1 / (1 + 0.05f * f->head_width);
    s->shrink[1] = 1 / (1 + 0.05f * f->face_length);
    s->shrink[2] = 1;
    float most = s->shrink[0] > s->shrink[1] ? s->shrink[0] : s->shrink[1];
    s->stride = 0.9f / (most > 1 ? most : 1);

    s->cranium = egg(0, 3.6f, -2.6f, 7.3f, 8.9f, 8.0f);
    s->jaw = egg(0, -2.4f - 0.35f * m, -1, 6.15f + 0.45f * jaw + 0.25f * male, 6.6f + 0.45f * m, 5.7f);
    s->chin = egg(0, -7.35f - m - 0.25f * chin - 0.12f * male, 2.2f - 0.3f * m + 0.25f * chin, 2.35f + 0.25f * jaw + 0.3f * male,
                  2.0f + 0.2f * chin, 2.5f);
    s->muzzle = egg(0, -3.7f - 0.3f * m, 1.7f, 3.7f, 3.2f + 0.3f * m, 3.35f);
    s->cheek = egg(4, -0.7f + 0.5f * smile, 1.7f + 0.35f * smile, 2.3f, 2.2f, 2.4f + 0.3f * f->cheeks - 0.15f * f->age);
    s->socket = egg(3.2f, 2.45f, 6.6f, 2.4f, 1.75f, 2.6f);
    for (int i = 0; i < 2; i++) s->ridge_y[i] = 4 + 0.35f * f->brows[i];
    s->ridge_z = 4.3f + 0.18f * male, s->ridge_r = 0.82f + 0.1f * male;
    s->bridge_z = 4.5f + 0.35f * f->nose_bridge, s->bridge_r = 0.72f + 0.06f * male + 0.08f * f->nose_width;
    s->tip_y = -0.95f - 0.4f * f->nose_length - 0.25f * f->age - 0.1f * male;
    s->tip_z = 6.0f + 0.2f * f->nose_length + 0.12f * f->nose_bridge;
    s->tip_r = 1.05f + 0.12f * f->nose_width + 0.07f * male;
    s->nose_tip = egg(0, s->tip_y, s->tip_z + 0.2f, s->tip_r, 0.93f, 1.12f);
    s->wing_x = 1.22f + 0.24f * f->nose_width + 0.06f * male, s->wing_y = s->tip_y - 0.45f, s->wing_r = 0.74f + 0.08f * f->nose_width;
    s->lid_y = 2.6f, s->lid_r = 1.52f + 0.04f * f->eye_size;
    float ears = 1 + 0.14f * f->ears + 0.1f * f->age;
    s->ear = egg(7.45f, 0.9f, -2.6f, 0.72f * ears, 2.7f * ears, 1.55f * ears);
    s->ear_bowl = egg(8.2f, 1.0f, -1.9f, 0.62f * ears, 1.75f * ears, 0.9f * ears);
    s->neck_r = 4.75f + 0.55f * male, s->shoulder = 16.0f + 2.2f * male;
}

static void features_set(scene *s, const synth_face *f) {
    float smile = f->smile, full = 1 + 0.32f * f->lips - 0.15f * f->age - 0.08f * f->sex;
    s->mouth_w = 2.45f * (1 + 0.09f * f->mouth_width) * (1 + 0.22f * smile - 0.10f * f->mouth);
    s->mouth_y = -4.25f;
    s->mouth_bend = 0.75f * smile - 0.25f * f->mouth;
    s->gap_up = 0.22f * 3.3f * f->mouth, s->gap_down = 0.78f * 3.3f * f->mouth;
    float thin = 1 - 0.18f * (smile > 0 ? smile : 0) - 0.12f * f->mouth;
    s->lip_up = 0.80f * full * thin, s->lip_down = 1.0f * full * thin, s->lip_out = 0.75f + 0.25f * full;

    s->eye_x = 3.15f + 0.18f * f->eye_distance, s->eye_w = 1.42f * (1 + 0.08f * f->eye_size);
    s->eye_tilt = 0.1f + 0.13f * f->eye_tilt;
    for (int i = 0; i < 2; i++) {
        float up = f->gaze_y[i] > 0 ? f->gaze_y[i] : 0, down = f->gaze_y[i] < 0 ? -f->gaze_y[i] : 0, big = 1 + 0.14f * f->eye_size;
        /* The lids go with a glance up or down; without it FaceMesh sees no glance. A smile lifts the lower lid. */
        s->lid_up[i] = 0.625f * big + 0.010f * up - 0.024f * down;
        s->lid_down[i] = 0.46f * big - 0.012f * up + 0.012f * down - 0.06f * (smile > 0 ? smile : 0);
        s->lid_open[i] = f->eyes[i] > 1 ? 1 + 0.8f * (f->eyes[i] - 1) : f->eyes[i];
        s->brow_lift[i] = (f->brows[i] > 0 ? 0.95f : 0.55f) * f->brows[i];
        s->brow_inner[i] = f->brows[i] < 0 ? 0.35f * f->brows[i] : 0;
        s->gaze[i][0] = (float)(sine(f->gaze_x[i]) * cosine(f->gaze_y[i]));
        s->gaze[i][1] = (float)sine(f->gaze_y[i]);
        s->gaze[i][2] = (float)(cosine(f->gaze_x[i]) * cosine(f->gaze_y[i]));
    }
    s->brow_thick = 0.38f + 0.10f * f->brow_thickness + 0.05f * f->sex, s->brow_arch = 0.22f * f->brow_arch - 0.08f * f->sex;
}

/* ---- hair --------------------------------------------------------------------------------------------------------------- */

static void hair_set(scene *s, const synth_face *f) {
    /* With the years a man's hairline goes up. */
    float back = f->sex > 0 ? 1.4f * f->sex * f->age : 0, grow = 0.5f, line = 1.0f - 0.1f * f->sex + back;
    s->hair = f->hair;
    s->hair_below = 1.6f, s->hair_slope = 0.9f, s->hair_bump = 0.30f, s->hair_cut_k = 2.4f;
    s->hair_face = egg(0, line, 6.5f, 7.5f, 7.6f, 8);
    s->hair_part[0] = (f->seed & 1) ? 1.8f : -1.8f, s->hair_part[1] = 11, s->hair_part[2] = -5;
    s->bun = egg(0, 0, 0, 1, 1, 1), s->hair_fall = s->bun;
    switch (f->hair) {
    case SYNTH_HAIR_SHORT: grow = 0.75f; break;
    case SYNTH_HAIR_FRINGE:
        grow = 0.9f, s->hair_below = 0.6f;
        s->hair_face = egg(0, -0.6f, 6.5f, 7.3f, 7.8f, 8), s->hair_cut_k = 1.3f;
        s->hair_part[0] = 0, s->hair_part[2] = -4;
        break;
    case SYNTH_HAIR_CURLY: grow = 1.7f, s->hair_below = -0.5f, s->hair_bump = 1.1f, s->hair_cut_k = 1.6f; break;
    case SYNTH_HAIR_BOB:
        grow = 0.85f, s->hair_body = true, s->hair_below = -8.5f;
        s->hair_face = egg(0, -2.0f, 7.0f, 6.5f, 10.5f, 8.4f);
        s->hair_fall = egg(0, -0.5f, -3.4f, 8.9f, 11.5f, 7.6f);
        break;
    case SYNTH_HAIR_LONG:
        grow = 0.85f, s->hair_body = true, s->hair_below = -21;
        s->hair_face = egg(0, -3.8f, 7.2f, 6.6f, 12.3f, 8.5f);
        s->hair_fall = egg(0, -6.0f, -4.0f, 8.9f, 17, 7.2f);
        break;
    case SYNTH_HAIR_BUN:
        grow = 0.4f, s->hair_bun = true, s->hair_bump = 0.16f, s->hair_below = 0.2f;
        s->hair_part[0] = 0;
        if (f->seed & 2) s->bun = egg(0, 13.6f, -4.5f, 2.9f, 2.5f, 2.9f), s->hair_part[1] = 13, s->hair_part[2] = -4.5f;
        else s->bun = egg(0, 8.2f, -10.8f, 3.1f, 3.0f, 2.7f), s->hair_part[1] = 8.2f, s->hair_part[2] = -10.8f;
        break;
    default: grow = 0.1f;
    }
    s->around_y = f->hair == SYNTH_HAIR_LONG ? -4.5f : 0.7f;
    s->around_r = f->hair == SYNTH_HAIR_LONG ? 19.5f : s->hair_bun ? 16.5f : 15.2f;
    s->hair_cap = egg(0, 3.7f, -2.75f, 7.3f + (f->hair == SYNTH_HAIR_SHORT ? 0.55f : 0.9f) * grow, 8.9f + 1.1f * grow, 8.0f + grow);
}

/* ---- light -------------------------------------------------------------------------------------------------------------- */

static void light_set(scene *s, const synth_face *f) {
    linear(&f->skin, s->skin), linear(&f->hair_colour, s->hair_rgb), linear(&f->brow_colour, s->brow), linear(&f->iris, s->iris);
    linear(&f->lip_colour, s->lip), linear(&f->glasses_colour, s->frame_rgb);
    linear(&f->background_a, s->back_a), linear(&f->background_b, s->back_b);
    linear(&f->clothes_a, s->cloth_a), linear(&f->clothes_b, s->cloth_b), linear(&f->key_colour, s->key);
    for (int i = 0; i < 3; i++) {
        const float sky[3] = { 0.92f, 0.98f, 1.08f };
        s->key[i] *= f->key;
        s->sky[i] = sky[i] * f->ambient * 0.6f;
        s->front[i] = f->ambient * 0.5f;
    }
    /* Brows are seen by their contrast: grey or fair ones are never as light as the skin. */
    float light = 0.3f * s->brow[0] + 0.5f * s->brow[1] + 0.2f * s->brow[2], most = 0.38f * (0.3f * s->skin[0] + 0.5f * s->skin[1] + 0.2f * s->skin[2]);
    if (light > most)
        for (int i = 0; i < 3; i++) s->brow[i] *= most / light;
    s->tone = (0.3f * f->skin.r + 0.5f * f->skin.g + 0.2f * f->skin.b - 0.2f) / 0.65f;
    s->tone = s->tone < 0 ? 0 : s->tone > 1 ? 1 : s->tone;
    s->to_key[0] = (float)(sine(f->key_azimuth) * cosine(f->key_elevation));
    s->to_key[1] = (float)sine(f->key_elevation);
    s->to_key[2] = (float)(cosine(f->key_azimuth) * cosine(f->key_elevation));
    for (int i = 0; i < 3; i++) s->half[i] = s->to_key[i] + (i == 2);
    unit(s->half);
    for (int i = 0; i < 3; i++)
        s->head_half[i] = s->head.from[3 * i] * s->half[0] + s->head.from[3 * i + 1] * s->half[1] + s->head.from[3 * i + 2] * s->half[2];
}

void scene_set(scene *s, const synth_face *face, int width, int height) {
    *s = (scene){ .face = face, .width = width, .height = height };
    camera_set(s, face);
    skull_set(s, face);
    features_set(s, face);
    hair_set(s, face);
    light_set(s, face);
}
