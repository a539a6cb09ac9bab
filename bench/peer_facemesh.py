# SPDX-License-Identifier: Apache-2.0
"""The original's way in Python: Pillow, MediaPipe 0.10.21's FaceMesh solution, OpenCV's lines, Pillow.

Used by the benchmarks beside it. Colours, groups and order follow the published annotator's behaviour (docs/exactness.md);
the drawing is our own, checked against the recorded maps by faces_exact.py.
"""
import os

os.environ.setdefault("GLOG_minloglevel", "3")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import cv2
import mediapipe as mp
import numpy as np
from PIL import Image

mesh = mp.solutions.face_mesh

GROUPS = [  # edges, colour in R, G, B
    (mesh.FACEMESH_FACE_OVAL, (10, 200, 10)),
    (mesh.FACEMESH_LEFT_EYE, (10, 200, 180)),
    (mesh.FACEMESH_LEFT_EYEBROW, (10, 220, 180)),
    (mesh.FACEMESH_RIGHT_EYE, (180, 200, 10)),
    (mesh.FACEMESH_RIGHT_EYEBROW, (180, 220, 10)),
    (mesh.FACEMESH_LIPS, (10, 180, 10)),
]
PUPILS = [(468, (250, 200, 10)), (473, (10, 200, 250))]


def load(path):
    return np.array(Image.open(path).convert("RGB"))


def find(rgb, max_faces=5, confidence=0.5):
    """A list of faces, each [478, 3] f32; the graph is built for this one photo, as the original builds it."""
    with mesh.FaceMesh(static_image_mode=True, max_num_faces=max_faces, refine_landmarks=True,
                       min_detection_confidence=confidence) as net:
        found = net.process(rgb).multi_face_landmarks
    return [np.array([(p.x, p.y, p.z) for p in f.landmark], np.float32) for f in found or []]


def draw(faces, height, width):
    canvas = np.zeros((height, width, 3), np.uint8)
    for face in faces:
        x, y = face[:, 0].astype(np.float64), face[:, 1].astype(np.float64)
        inside = (x >= 0) & (x <= 1) & (y >= 0) & (y <= 1)
        px = np.minimum(np.floor(x * width), width - 1).astype(np.int64)
        py = np.minimum(np.floor(y * height), height - 1).astype(np.int64)
        for edges, colour in GROUPS:
            for a, b in edges:
                if inside[a] and inside[b]:
                    cv2.line(canvas, (int(px[a]), int(py[a])), (int(px[b]), int(py[b])), colour, 2)
        for index, colour in PUPILS:
            if 0 <= x[index] < 1 and 0 <= y[index] < 1:
                ix, iy = int(width * x[index]), int(height * y[index])
                canvas[iy - 2:iy + 2, ix - 2:ix + 2] = colour
    return canvas


def annotate(path, out):
    rgb = load(path)
    faces = find(rgb)
    Image.fromarray(draw(faces, *rgb.shape[:2])).save(out)
    return len(faces)
