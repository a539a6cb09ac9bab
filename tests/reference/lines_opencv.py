# SPDX-License-Identifier: Apache-2.0
"""The sum that tests/unit/test_draw.c expects of its 3,000 random lines, as OpenCV draws them.

Made with opencv-contrib-python 4.11.0 and numpy 1.26.  Run: python lines_opencv.py"""
import cv2
import numpy as np

MASK = (1 << 64) - 1


class Dice:  # xorshift64*, as in tests/unit/fixtures.h
    def __init__(self, seed):
        self.s = seed

    def between(self, low, high):
        s = self.s
        s ^= s >> 12
        s = (s ^ s << 25) & MASK
        s ^= s >> 27
        self.s = s
        return low + (s * 0x2545F4914F6CDD1D & MASK) // (1 << 32) % (high - low + 1)


def fnv1a(data):
    h = 0xCBF29CE484222325
    for b in data:
        h = (h ^ b) * 0x100000001B3 & MASK
    return h


d = Dice(20240607)
total = 0
for k in range(3000):
    w, h = d.between(1, 60), d.between(1, 60)
    reach = (40000, 100, 8, 8)[k % 4]
    x0, y0 = d.between(-reach, w + reach), d.between(-reach, h + reach)
    x1, y1 = d.between(-reach, w + reach), d.between(-reach, h + reach)
    canvas = np.zeros((h, w, 3), np.uint8)
    cv2.line(canvas, (x0, y0), (x1, y1), (255, 7, 99), 2)
    total = (total * 31 + fnv1a(canvas.tobytes())) & MASK
print(cv2.__version__, hex(total))
