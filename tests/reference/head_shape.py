# SPDX-License-Identifier: Apache-2.0
#
# The mean head of src/eval/head_shape.c: generalised Procrustes analysis (Gower 1975) of the faces of some landmarks JSONs and their mirror images.
#
#     python tests/reference/head_shape.py happy_source.json neutral_source.json screaming_source.json astronaut.json
#
# (numpy 2.3.) Units are the distance between the outer eye corners; x to the image's right, y up, z to the camera; the origin is the points' mean.
# Upright is what it is in MediaPipe's canonical face model, onto which the same points of this mean were fitted once: 4.69 degrees.
import json
import sys

import numpy as np

MIDDLE = [10, 151, 168, 6, 197, 195, 5, 4]
PAIRS = [(109, 338), (67, 297), (103, 332), (54, 284), (21, 251), (162, 389), (127, 356), (234, 454), (116, 345)]
EYES = [(33, 263), (133, 362)]
LEAN = np.radians(4.69)

stable = MIDDLE + [i for p in PAIRS for i in p]
points = stable + [i for p in EYES for i in p] + [152]
mirror = {i: i for i in MIDDLE + [152]}
for a, b in PAIRS + EYES:
    mirror[a], mirror[b] = b, a
n = len(stable)


def fit(a, b):
    """scale, rotation, shift of a onto b by the stable points (Umeyama 1991)"""
    ca, cb = a[:n].mean(0), b[:n].mean(0)
    x, y = a[:n] - ca, b[:n] - cb
    u, d, vt = np.linalg.svd(y.T @ x)
    e = np.array([1, 1, np.sign(np.linalg.det(u @ vt))])
    r = u @ np.diag(e) @ vt
    s = (d * e).sum() / (x ** 2).sum()
    return s, r, cb - s * r @ ca


shapes = []
for path in sys.argv[1:]:
    doc = json.load(open(path))
    for face in doc["faces"]:
        p = np.array(face["landmarks"]) * [doc["width"], -doc["height"], -doc["width"]]
        shapes += [p[points], p[[mirror[i] for i in points]] * [-1, 1, 1]]

mean = shapes[0]
for _ in range(100):
    mean = np.mean([s * a @ r.T + t for a in shapes for s, r, t in [fit(a, mean)]], 0)
    mean = mean - mean[:n].mean(0)
    at = {i: k for k, i in enumerate(points)}
    mean /= np.linalg.norm(mean[at[33]] - mean[at[263]])
    x = mean[at[263]] - mean[at[33]]
    y = mean[at[10]] - mean[at[152]]
    y -= x * (x @ y)
    y /= np.linalg.norm(y)
    mean = mean @ np.stack([x, y, np.cross(x, y)]).T
c, s = np.cos(LEAN), np.sin(LEAN)
mean = mean @ np.array([[1, 0, 0], [0, c, s], [0, -s, c]])
for i in stable:
    print("    { %d, { %.4f, %.4f, %.4f } }," % (i, *(mean[at[i]] + 0.0)))
for a, f in zip(shapes[::2], sys.argv[1:]):
    s, r, t = fit(a, mean)
    print(f, "rms off", np.sqrt(((s * a @ r.T + t - mean)[:n] ** 2).sum(1).mean()))
