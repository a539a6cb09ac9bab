/* SPDX-License-Identifier: Apache-2.0
 *
 * Inside synth: a face made ready for its rays: camera and frames, and what follows from the parameters alone, so that no ray
 * computes it. Centimetres and linear light.
 *
 * Frames. Camera: x right, y up, looking along -z, the eye at 0. Head: x right (in an upright picture), y up, z out of the face,
 * 0 amid the head; scaled by `shrink` to the head of average width and length, where all of the recipe's numbers hold. Body: as
 * the head's, but turned less. */
#ifndef SYNTH_RENDER_SCENE_H
#define SYNTH_RENDER_SCENE_H

#include "synth/head.h"

typedef struct { float c[3], r[3]; } ellipsoid;

typedef struct {
    float from[9];               /* rows: camera directions to this frame */
    float eye[3];                /* the camera in this frame */
} frame;

typedef struct {
    const synth_face *face;
    int width, height;
    float centre_x, centre_y;    /* where the camera's axis meets the picture, pixels */
    float focal;                 /* pixels */
    float nearest, farthest;     /* along a ray, cm: all that there is lies between */
    frame head, body;
    float shrink[3];             /* head frame to the average head's; lengths, so >= and <= 1 */
    float stride;                /* a distance in the average head, as a safe step */

    float around_y, around_r;    /* a sphere about head and hair: (0, around_y, -1.5) in the average head's frame */

    /* Skull and face (synth/field.h). */
    ellipsoid cranium, jaw, chin, muzzle, cheek, socket, ear, ear_bowl, nose_tip;
    float ridge_y[2], ridge_z, ridge_r, bridge_z, bridge_r, tip_y, tip_z, tip_r, wing_x, wing_y, wing_r, lid_y, lid_r;
    float neck_r, shoulder;

    /* Curves of mouth and eyes (synth/field_curves.h). */
    float mouth_w, mouth_y, mouth_bend, gap_up, gap_down, lip_up, lip_down, lip_out;
    float eye_x, eye_w, eye_tilt, lid_up[2], lid_down[2], lid_open[2];
    float brow_lift[2], brow_inner[2], brow_thick, brow_arch;
    float gaze[2][3];            /* where the eyes look */

    /* Hair (synth/hair.h). */
    int hair;
    bool hair_body, hair_bun;
    float hair_grow, hair_below, hair_slope, hair_bump, hair_part[3], hair_cut_k;
    ellipsoid hair_cap, hair_face, hair_fall, bun;

    /* Linear light. */
    float skin[3], hair_rgb[3], brow[3], iris[3], lip[3], frame_rgb[3], back_a[3], back_b[3], cloth_a[3], cloth_b[3];
    float key[3], sky[3], front[3];
    float tone;                  /* of the skin: 0 darkest .. 1 palest */
    float to_key[3], half[3];    /* camera frame: towards the key light; half way from it to the camera */
    float head_half[3];          /* the same in the head's */
} scene;

/* The face must have been checked; it stays the caller's and must outlive the scene. */
void scene_set(scene *s, const synth_face *face, int width, int height);
/* sin and cos of degrees, the same bits everywhere. */
void scene_sincos(double degrees, double *sine, double *cosine);

#endif
