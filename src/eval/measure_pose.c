/* SPDX-License-Identifier: Apache-2.0
 *
 * Where a head is and how it is turned: the similarity that carries the mean head's points onto a face's with the least squares,
 * in closed form (Horn 1987, "Closed-form solution of absolute orientation using unit quaternions"). */
#include <math.h>
#include <string.h>

#include "eval/head_shape.h"
#include "eval/measure.h"
#include "eval/measure_inside.h"

static const double degree = 57.29577951308232;

void measure_place(const face *f, int i, int width, int height, double out[3]) {
    const face_point *p = &f->landmarks[i];
    out[0] = (double)p->x * width;
    out[1] = -(double)p->y * height;
    out[2] = -(double)p->z * width;
}

/* ---- the rotation ---------------------------------------------------------------------------------------------------- */

/* Eigenvalues and eigenvectors (columns of v) of a symmetric matrix, by Jacobi's rotations; a is used up, its diagonal has the
 * eigenvalues. */
static void eigen(double a[4][4], double v[4][4]) {
    enum { SWEEPS = 30 };
    for (int i = 0; i < 4; i++)
        for (int j = 0; j < 4; j++) v[i][j] = i == j;
    for (int sweep = 0; sweep < SWEEPS; sweep++)
        for (int p = 0; p < 3; p++)
            for (int q = p + 1; q < 4; q++) {
                if (a[p][q] == 0) continue;
                double theta = (a[q][q] - a[p][p]) / (2 * a[p][q]);
                double t = (theta < 0 ? -1 : 1) / (fabs(theta) + sqrt(theta * theta + 1)), c = 1 / sqrt(t * t + 1), s = t * c;
                for (int k = 0; k < 4; k++) {
                    double x = a[k][p], y = a[k][q];
                    a[k][p] = c * x - s * y;
                    a[k][q] = s * x + c * y;
                }
                for (int k = 0; k < 4; k++) {
                    double x = a[p][k], y = a[q][k];
                    a[p][k] = c * x - s * y;
                    a[q][k] = s * x + c * y;
                    x = v[k][p], y = v[k][q];
                    v[k][p] = c * x - s * y;
                    v[k][q] = s * x + c * y;
                }
            }
}

static void rotation_of(const double q[4], double r[3][3]) {
    double w = q[0], x = q[1], y = q[2], z = q[3];
    const double of[3][3] = {
        { w * w + x * x - y * y - z * z, 2 * (x * y - w * z), 2 * (x * z + w * y) },
        { 2 * (x * y + w * z), w * w - x * x + y * y - z * z, 2 * (y * z - w * x) },
        { 2 * (x * z - w * y), 2 * (y * z + w * x), w * w - x * x - y * y + z * z },
    };
    memcpy(r, of, sizeof of);
}

/* s[a][b]: the sum of a's coordinate a times b's coordinate b, both about their means. False if two rotations are as good: the
 * points lie on a line. */
static bool rotate(const double s[3][3], double r[3][3]) {
    double n[4][4] = {
        { s[0][0] + s[1][1] + s[2][2], s[1][2] - s[2][1], s[2][0] - s[0][2], s[0][1] - s[1][0] },
        { 0, s[0][0] - s[1][1] - s[2][2], s[0][1] + s[1][0], s[2][0] + s[0][2] },
        { 0, 0, -s[0][0] + s[1][1] - s[2][2], s[1][2] + s[2][1] },
        { 0, 0, 0, -s[0][0] - s[1][1] + s[2][2] },
    }, v[4][4], q[4];
    for (int i = 0; i < 4; i++)
        for (int j = 0; j < i; j++) n[i][j] = n[j][i];
    eigen(n, v);
    int best = 0;
    for (int i = 1; i < 4; i++)
        if (n[i][i] > n[best][best]) best = i;
    for (int i = 0; i < 4; i++) {
        if (i != best && !(n[best][best] - n[i][i] > 1e-6 * fabs(n[best][best]))) return false;
        q[i] = v[i][best];
    }
    rotation_of(q, r);
    return true;
}

static void turn(const double r[3][3], const double v[3], double out[3]) {
    for (int i = 0; i < 3; i++) out[i] = r[i][0] * v[0] + r[i][1] * v[1] + r[i][2] * v[2];
}

/* ---- the pose -------------------------------------------------------------------------------------------------------- */

bool measure_pose(const face *f, int width, int height, head_pose *out) {
    double b[HEAD_POINTS][3], mean_a[3] = { 0 }, mean_b[3] = { 0 }, s[3][3] = { { 0 } }, size_a = 0, size_b = 0, along = 0;
    for (int i = 0; i < HEAD_POINTS; i++) {
        measure_place(f, head_points[i].landmark, width, height, b[i]);
        for (int k = 0; k < 3; k++) mean_a[k] += head_points[i].at[k] / HEAD_POINTS, mean_b[k] += b[i][k] / HEAD_POINTS;
    }
    for (int i = 0; i < HEAD_POINTS; i++)
        for (int k = 0; k < 3; k++) {
            double a = head_points[i].at[k] - mean_a[k], p = b[i][k] - mean_b[k];
            for (int l = 0; l < 3; l++) s[k][l] += a * (b[i][l] - mean_b[l]);
            size_a += a * a;
            size_b += p * p;
        }
    if (!(size_b > 0) || !isfinite(size_b) || !rotate((const double(*)[3])s, out->rotation)) return false;
    for (int k = 0; k < 3; k++)
        for (int l = 0; l < 3; l++) along += out->rotation[l][k] * s[k][l];   /* the sum of b . R a */
    out->scale = along / size_a;
    if (!(out->scale > 1e-9 * sqrt(size_b))) return false;
    double moved[3];
    turn((const double(*)[3])out->rotation, mean_a, moved);
    for (int k = 0; k < 3; k++) out->at[k] = mean_b[k] - out->scale * moved[k];
    return true;
}

void measure_in_head(const head_pose *p, const double at[3], double out[3]) {
    for (int k = 0; k < 3; k++) {
        out[k] = 0;
        for (int l = 0; l < 3; l++) out[k] += p->rotation[l][k] * (at[l] - p->at[l]) / p->scale;
    }
}

/* ---- angles ---------------------------------------------------------------------------------------------------------- */

/* R = Ry(yaw) Rx(-pitch) Rz(-roll): first the head is rolled, then lifted, then turned aside. */
void measure_angles(const head_pose *p, double *yaw, double *pitch, double *roll) {
    const double (*r)[3] = (const double(*)[3])p->rotation;
    *yaw = degree * atan2(r[0][2], r[2][2]);
    *pitch = degree * asin(fmax(-1, fmin(r[1][2], 1)));
    *roll = degree * atan2(-r[1][0], r[1][1]);
}

void measure_rotation(double yaw, double pitch, double roll, double r[3][3]) {
    double cy = cos(yaw / degree), sy = sin(yaw / degree), cp = cos(pitch / degree), sp = sin(pitch / degree);
    double cr = cos(roll / degree), sr = sin(roll / degree);
    const double of[3][3] = {
        { cy * cr + sy * sp * sr, cy * sr - sy * sp * cr, sy * cp },
        { -cp * sr, cp * cr, sp },
        { -sy * cr + cy * sp * sr, -sy * sr - cy * sp * cr, cy * cp },
    };
    memcpy(r, of, sizeof of);
}

/* Of a R' b: by its axis' length beside its trace, which alone would lose small angles. */
double measure_rotation_angle(const double a[3][3], const double b[3][3]) {
    double d[3][3];
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 3; j++) d[i][j] = b[i][0] * a[j][0] + b[i][1] * a[j][1] + b[i][2] * a[j][2];
    double x = d[2][1] - d[1][2], y = d[0][2] - d[2][0], z = d[1][0] - d[0][1];
    return degree * atan2(sqrt(x * x + y * y + z * z), d[0][0] + d[1][1] + d[2][2] - 1);
}
