# SPDX-License-Identifier: Apache-2.0
"""The golden of tests/unit/test_face_mesh.c that needs no photo: a face drawn from ovals, and its landmarks as the
reference finds them. Writes ../golden/drawn_face.f32, 478 x (x, y, z).

Made with mediapipe 0.10.21, numpy 1.26.4.  Run: python drawn_face.py"""
import pathlib

import mediapipe
import numpy as np

SIDE = 320


def oval(img, cx, cy, rx, ry, colour, shade=0):
    y, x = np.mgrid[0:SIDE, 0:SIDE].astype(np.float64)
    u, v = (x - cx) / rx, (y - cy) / ry
    q = u * u + v * v
    k = (shade * q).astype(int)
    for c in range(3):
        img[..., c] = np.where(q <= 1, np.maximum(colour[c] - k, 0), img[..., c])


def drawn_face():
    img = np.full((SIDE, SIDE, 3), 190, np.int64)
    oval(img, 160, 140, 92, 110, (60, 40, 30))
    oval(img, 160, 300, 120, 70, (60, 80, 130), 20)
    oval(img, 160, 240, 30, 45, (190, 140, 110))
    oval(img, 160, 165, 75, 98, (225, 175, 145), 50)
    for s in (-1, 1):
        oval(img, 160 + s * 32, 133, 17, 6, (90, 60, 45))
        oval(img, 160 + s * 32, 147, 14, 7.5, (245, 240, 235))
        oval(img, 160 + s * 32, 147, 6.5, 6.5, (60, 40, 30))
        oval(img, 160 + s * 32, 147, 3, 3, (10, 10, 10))
        oval(img, 160 + s * 76, 165, 9, 20, (205, 150, 125), 30)
    oval(img, 160, 180, 11, 17, (215, 160, 130))
    oval(img, 153, 192, 4, 3, (150, 95, 75))
    oval(img, 167, 192, 4, 3, (150, 95, 75))
    oval(img, 160, 222, 25, 8, (170, 70, 70))
    oval(img, 160, 222, 22, 2, (110, 40, 40))
    return img.astype(np.uint8)


def fnv1a(data):
    h = 0xCBF29CE484222325
    for b in data:
        h = (h ^ b) * 0x100000001B3 & (1 << 64) - 1
    return h


img = drawn_face()
print("picture", hex(fnv1a(img.tobytes())))
mesh = mediapipe.solutions.face_mesh.FaceMesh(static_image_mode=True, max_num_faces=5, refine_landmarks=True, min_detection_confidence=0.5)
found = mesh.process(img).multi_face_landmarks
assert len(found) == 1
points = np.array([(p.x, p.y, p.z) for p in found[0].landmark], "<f4")
print("landmarks", hex(fnv1a(points.tobytes())))
path = pathlib.Path(__file__).parent.parent / "golden" / "drawn_face.f32"
path.write_bytes(points.tobytes())
