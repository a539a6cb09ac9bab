# SPDX-License-Identifier: Apache-2.0
"""Drawn faces with their landmarks: pictures to train on that belong to nobody. A cartoon follows from seed and number alone.

cartoons.py DATA --count N [--size 128] [--seed 0] [--mien MIEN]    writes target/<id>.png, source/<id>.json (docs/formats.md), prompt.jsonl,
                                                                   and with --mien the maps, source/<id>.png, by `mien draw`

What lines and pupils of a map stand for is placed where it is drawn (src/face/topology.c says which landmark is what); the other landmarks lie
at the nose. Made with Pillow."""
import argparse
import concurrent.futures
import json
import math
import os
import random
import subprocess

from PIL import Image, ImageDraw, ImageFilter

LANDMARKS, FINER = 478, 4
OVAL = [10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377, 152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127,
        162, 21, 54, 103, 67, 109]
# Of the eye and brow on the picture's right, then on its left: from the outer corner inward.
LOWER_LID = [[263, 249, 390, 373, 374, 380, 381, 382, 362], [33, 7, 163, 144, 145, 153, 154, 155, 133]]
UPPER_LID = [[263, 466, 388, 387, 386, 385, 384, 398, 362], [33, 246, 161, 160, 159, 158, 157, 173, 133]]
LOWER_BROW = [[276, 283, 282, 295, 285], [46, 53, 52, 65, 55]]
UPPER_BROW = [[300, 293, 334, 296, 336], [70, 63, 105, 66, 107]]
IRIS = [473, 468]
# From the picture's left corner to its right.
OUTER_LIPS = [[61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291], [61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291]]
INNER_LIPS = [[78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308], [78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308]]

SKIN = {"pale": (250, 222, 200), "tan": (224, 172, 125), "brown": (160, 105, 70), "dark": (100, 65, 48)}
HAIR = {"black": (30, 28, 32), "red": (190, 70, 30), "blond": (240, 210, 110), "blue": (60, 90, 200), "white": (235, 235, 240)}
EYES = {"green": (60, 150, 80), "blue": (70, 130, 210), "brown": (110, 65, 30)}
BACKGROUND = {"red": (200, 60, 60), "green": (90, 170, 90), "blue": (70, 110, 190), "yellow": (235, 205, 90), "purple": (140, 80, 170), "grey": (150, 150, 155)}


class Cartoon:
    """What is seen, drawn from chance, and the landmarks that follow from it (fractions of the picture)."""

    def __init__(self, seed, number):
        r = random.Random(f"cartoon {seed} {number}")
        self.skin, self.hair, self.eyes, self.background = (r.choice(sorted(x)) for x in (SKIN, HAIR, EYES, BACKGROUND))
        self.x, self.y = 0.5 + r.uniform(-0.06, 0.06), 0.53 + r.uniform(-0.04, 0.04)
        self.h = r.uniform(0.31, 0.37)
        self.w = self.h * r.uniform(0.76, 0.88)
        self.roll, self.turn = r.uniform(-0.2, 0.2), r.uniform(-0.12, 0.12)
        self.gaze = r.uniform(-1, 1), r.uniform(-1, 1)
        self.lids = r.uniform(0.55, 1)
        self.raised, self.tilt = r.uniform(-1, 1), r.uniform(-1, 1)
        self.smile = r.uniform(-1, 1)
        self.open = r.choice([0, r.uniform(0.3, 1)])
        self.point = {}
        self.place()

    def at(self, u, v):
        """From the face's frame (1 is its half width or height) to the picture."""
        a, b = u * self.w, v * self.h
        c, s = math.cos(self.roll), math.sin(self.roll)
        return self.x + a * c - b * s, self.y + a * s + b * c

    def line(self, indices, curve):
        for k, i in enumerate(indices):
            self.point[i] = self.at(*curve(k / (len(indices) - 1)))

    def eye(self, side):
        return (1 - 2 * side) * 0.42 + self.turn, -0.14

    def place(self):
        for k, i in enumerate(OVAL):
            a = math.radians(10 * k - 90)
            u, v = math.cos(a), math.sin(a)
            self.point[i] = self.at(u * (1 - 0.2 * max(v, 0) ** 2), v)
        for side in (0, 1):
            u, v = self.eye(side)
            out = 1 - 2 * side
            height = 0.17 * self.lids

            def lid(sign, t):
                return u + out * 0.3 * math.cos(math.pi * t), v + sign * height * math.sin(math.pi * t)
            self.line(UPPER_LID[side], lambda t: lid(-1, t))
            self.line(LOWER_LID[side], lambda t: lid(0.75, t))
            for lower, brow in ((1, LOWER_BROW), (0, UPPER_BROW)):
                self.line(brow[side], lambda t: (u + out * (0.34 - 0.62 * t), v - 0.3 - 0.07 * self.raised + 0.08 * self.tilt * (t - 0.5) - 0.05 * math.sin(math.pi * t)
                                                 + 0.07 * lower))
            centre = u + 0.14 * self.gaze[0], v + (0.05 * self.gaze[1] - 0.015) * self.lids
            self.point[IRIS[side]] = self.at(*centre)
            for k, (a, b) in enumerate(((1, 0), (0, -1), (-1, 0), (0, 1))):
                self.point[IRIS[side] + 1 + k] = self.at(centre[0] + 0.13 * a, centre[1] + 0.13 * self.w / self.h * b)
        width = 0.36 + 0.07 * self.smile
        for lips, half, up, down in ((OUTER_LIPS, width, 0.07 + 0.05 * self.open, 0.09 + 0.2 * self.open), (INNER_LIPS, 0.82 * width, 0.06 * self.open, 0.17 * self.open)):
            for indices, away in zip(lips, (-up, down)):
                def lip(t):
                    x = -math.cos(math.pi * t)
                    return 0.8 * self.turn + half * x, 0.5 + 0.12 * self.smile * (0.5 - x * x) + away * (1 - x * x)
                self.line(indices, lip)
        nose = self.at(1.2 * self.turn, 0.18)
        for i in range(LANDMARKS):
            self.point.setdefault(i, nose)

    def caption(self):
        """Colours, and the mouth in a word: where eyes look, how a head lies and how large it is, is the map's to say."""
        mouth = ("smiling" if self.smile > 0.3 else "sad" if self.smile < -0.3 else "calm") + (" with open mouth" if self.open else "")
        return f"a {mouth} {self.skin} face with {self.hair} hair and {self.eyes} eyes, {self.background} background"

    def landmarks(self, size):
        points = [self.point[i] for i in range(LANDMARKS)]
        xs, ys = [p[0] for p in points], [p[1] for p in points]
        box = [min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)]
        return {"format": 1, "width": size, "height": size,
                "faces": [{"score": 1, "box": [round(v, 7) for v in box], "landmarks": [[round(x, 7), round(y, 7), 0] for x, y in points]}]}

    def draw(self, size):
        n = size * FINER
        picture = Image.new("RGB", (n, n), BACKGROUND[self.background])
        d = ImageDraw.Draw(picture)
        skin, hair = SKIN[self.skin], HAIR[self.hair]
        dark = tuple(int(0.75 * c) for c in skin)

        def polygon(indices, colour, on=d):
            on.polygon([(n * self.point[i][0], n * self.point[i][1]) for i in indices], fill=colour)

        def ring(u, v, a, b, colour, on=d, steps=64):
            on.polygon([tuple(n * c for c in self.at(u + a * math.cos(k * math.tau / steps), v + b * math.sin(k * math.tau / steps))) for k in range(steps)], fill=colour)
        d.polygon([tuple(n * c for c in self.at(u, v)) for u, v in ((-0.4, 0.6), (0.4, 0.6), (0.45, 1.4), (1.5, 1.7), (1.5, 3), (-1.5, 3), (-1.5, 1.7), (-0.45, 1.4))], fill=dark)
        ring(0, -0.22, 1.16, 1.02, hair)
        for side in (-1, 1):
            ring(side * 1.02, 0, 0.12, 0.2, dark)
        polygon(OVAL, skin)
        ring(0, -1.02, 0.86, 0.36, hair)
        nose = [self.at(1.0 * self.turn, -0.1), self.at(1.2 * self.turn + 0.13, 0.22), self.at(1.2 * self.turn - 0.13, 0.22)]
        d.polygon([(n * x, n * y) for x, y in nose], fill=dark)
        for side in (0, 1):
            lids = UPPER_LID[side] + LOWER_LID[side][::-1]
            mask = Image.new("L", (n, n), 0)
            polygon(lids, 255, ImageDraw.Draw(mask))
            eye = Image.new("RGB", (n, n), (252, 252, 252))
            on = ImageDraw.Draw(eye)
            x, y = (n * c for c in self.point[IRIS[side]])
            for radius, colour in ((0.13, EYES[self.eyes]), (0.07, (12, 12, 16))):
                q = radius * self.w * n
                on.ellipse((x - q, y - q, x + q, y + q), fill=colour)
            picture.paste(eye, (0, 0), mask)
            polygon(UPPER_BROW[side] + LOWER_BROW[side][::-1], tuple(int(0.7 * c) for c in hair))
        polygon(OUTER_LIPS[0] + OUTER_LIPS[1][::-1], (190, 60, 75))
        if self.open:
            polygon(INNER_LIPS[0] + INNER_LIPS[1][::-1], (50, 15, 25))
        return picture.filter(ImageFilter.GaussianBlur(FINER / 3)).resize((size, size), Image.BOX)


def write(args):
    folder, name, seed, number, size, mien = args
    c = Cartoon(seed, number)
    c.draw(size).save(f"{folder}/target/{name}.png")
    path = f"{folder}/source/{name}"
    with open(f"{path}.json", "w") as f:
        json.dump(c.landmarks(size), f)
    if mien:
        subprocess.run([mien, "draw", f"{path}.json", "-o", f"{path}.png", "--force", "--quiet"], check=True)
    return json.dumps({"source": f"source/{name}.png", "target": f"target/{name}.png", "prompt": c.caption()})


def write_all(folder, count, size, seed=0, mien=None, first=0):
    for part in ("source", "target"):
        os.makedirs(f"{folder}/{part}", exist_ok=True)
    with concurrent.futures.ProcessPoolExecutor(2) as pool, open(f"{folder}/prompt.jsonl", "w") as f:
        for line in pool.map(write, [(folder, f"{i:05d}", seed, i, size, mien) for i in range(first, first + count)], chunksize=16):
            f.write(line + "\n")


if __name__ == "__main__":
    p = argparse.ArgumentParser()
    p.add_argument("data")
    p.add_argument("--count", type=int, required=True)
    p.add_argument("--size", type=int, default=128)
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--mien")
    a = p.parse_args()
    write_all(a.data, a.count, a.size, a.seed, a.mien)
