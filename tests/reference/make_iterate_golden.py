#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes what tests/unit/test_iterate.c compares with, by the formulae of the original's laion_face_dataset.py:

    tests/golden/iterate.txt    SIZE SOURCE TARGET SHA256 SHA256     of the bytes of hint and jpg
    tests/golden/iterate.f32    hint and jpg of the first line, raw

A picture is a file of tests/golden/image, or WxH: what `pattern` makes (tests/reference/golden_images.py), as PNG.

    python tests/reference/make_iterate_golden.py        (recorded with Pillow 13.0.0, numpy 1.26.4)"""
import hashlib, os

import numpy
from PIL import Image

here = os.path.dirname(os.path.abspath(__file__))
golden = os.path.join(here, "..", "golden")

def original(source_image, target_image, size):
    """LaionDataset.__getitem__, with `size` for its 512."""
    img_size = source_image.size
    scale_factor = size/min(img_size)
    source_image = source_image.resize((1+int(img_size[0]*scale_factor), 1+int(img_size[1]*scale_factor)))
    target_image = target_image.resize((1+int(img_size[0]*scale_factor), 1+int(img_size[1]*scale_factor)))
    img_size = source_image.size
    left_padding = (img_size[0] - size)//2
    top_padding = (img_size[1] - size)//2
    source_image = source_image.crop((left_padding, top_padding, left_padding+size, top_padding+size))
    target_image = target_image.crop((left_padding, top_padding, left_padding+size, top_padding+size))
    source = numpy.asarray(source_image)
    target = numpy.asarray(target_image)
    source = source.astype(numpy.float32) / 255.0
    target = (target.astype(numpy.float32) / 127.5) - 1.0
    return source, target

def pattern(w, h):
    """The bytes of the tests' generator: x = x * 1664525 + 1013904223 from w * h, the top byte, 3*w*h times."""
    out, x = bytearray(3 * w * h), w * h
    for i in range(3 * w * h):
        x = (x * 1664525 + 1013904223) & 0xffffffff
        out[i] = x >> 24
    return Image.frombytes("RGB", (w, h), bytes(out))

def picture(name):
    if "." not in name: return pattern(*map(int, name.split("x")))
    return Image.open(os.path.join(golden, "image", name)).convert("RGB")

CASES = [
    (8, "37x53", "37x53"),
    (32, "37x53", "53x37"), (32, "53x37", "53x37"), (32, "200x33", "200x33"), (32, "33x200", "33x200"), (32, "33x200", "7x5"),
    (32, "32x32", "32x32"), (31, "32x32", "31x31"), (33, "33x40", "40x33"), (49, "49x98", "99x50"), (32, "1x1", "1x1"), (16, "1x40", "3x2"),
    (17, "300x3", "3x300"), (1, "5x9", "9x5"), (2, "64x64", "640x2"), (100, "37x53", "9x11"), (64, "93x187", "93x187"), (64, "187x93", "93x187"),
    (32, "palette8.png", "420.jpg"), (32, "grey.jpg", "cmyk.jpg"), (24, "rgba8.png", "ycck.jpg"), (24, "grey16.png", "progressive.jpg"),
    (21, "exif6.jpg", "exif6.jpg"), (20, "interlaced.gif", "lossy.webp"), (20, "444.jpg", "alpha.webp"), (29, "trns_palette.png", "565.bmp"),
    (40, "mpo.jpg", "apng.png"), (9, "tiny.png", "rough.jpg"),
]

def sha(a): return hashlib.sha256(numpy.ascontiguousarray(a).tobytes()).hexdigest()

def make():
    with open(os.path.join(golden, "iterate.txt"), "w") as table:
        for i, (size, source, target) in enumerate(CASES):
            hint, jpg = original(picture(source), picture(target), size)
            assert hint.dtype == jpg.dtype == numpy.float32 and hint.shape == jpg.shape == (size, size, 3)
            table.write(f"{size} {source} {target} {sha(hint)} {sha(jpg)}\n")
            if i == 0:
                with open(os.path.join(golden, "iterate.f32"), "wb") as raw: raw.write(hint.tobytes() + jpg.tobytes())

if __name__ == "__main__": make()
