# SPDX-License-Identifier: Apache-2.0
"""The training data of a data set, ready as floats: the original's LaionDataset (Pillow and numpy; without torch) and mien's
iterator, in turn, several times. Before that, every byte of both is compared, on these items and on odd ones.

usage: data_iterate.py LIBMIEN.SO MIEN PHOTOS [COUNT] [ROUNDS] [ODD]     (default 60 items, 5 rounds, 400 odd ones)

The items: the folder's photos at sizes as LAION has them, with the maps that `mien annotate` draws (PNG), or, where there
is no face, of another photo. Odd ones: pictures of all modes and shapes, with targets of other sizes. Ends with 1 if a byte differs.
"""
import ctypes as c
import itertools
import json
import multiprocessing
import os
import pathlib
import random
import statistics
import subprocess
import sys
import tempfile
import time
import warnings

import numpy
from PIL import Image

warnings.simplefilter("ignore")


class LaionDataset:
    """laion_face_dataset.py, but for torch's base class, the folder and the size."""
    def __init__(self, folder, size=512):
        self.folder, self.size = folder, size
        with open(f"{folder}/prompt.jsonl", "rt") as f:
            self.data = [json.loads(line) for line in f]

    def __getitem__(self, idx):
        item, size = self.data[idx], self.size
        prompt = item["prompt"] or "an image"
        source_image = Image.open(f"{self.folder}/source/" + os.path.split(item["source"])[-1]).convert("RGB")
        target_image = Image.open(f"{self.folder}/target/" + os.path.split(item["target"])[-1]).convert("RGB")
        img_size = source_image.size
        scale_factor = size/min(img_size)
        source_image = source_image.resize((1+int(img_size[0]*scale_factor), 1+int(img_size[1]*scale_factor)))
        target_image = target_image.resize((1+int(img_size[0]*scale_factor), 1+int(img_size[1]*scale_factor)))
        img_size = source_image.size
        left_padding = (img_size[0] - size)//2
        top_padding = (img_size[1] - size)//2
        source_image = source_image.crop((left_padding, top_padding, left_padding+size, top_padding+size))
        target_image = target_image.crop((left_padding, top_padding, left_padding+size, top_padding+size))
        source = numpy.asarray(source_image).astype(numpy.float32) / 255.0
        target = (numpy.asarray(target_image).astype(numpy.float32) / 127.5) - 1.0
        return dict(jpg=target, txt=prompt, hint=source)


# ---- libmien by its header -----------------------------------------------------------------------------------------------

class Hooks(c.Structure):
    _fields_ = [("progress", c.c_void_p), ("log", c.CFUNCTYPE(None, c.c_void_p, c.c_int, c.c_char_p, c.c_char_p)), ("context", c.c_void_p), ("stop", c.c_void_p)]


class Options(c.Structure):
    _fields_ = [("data", c.c_char_p), ("size", c.c_int), ("seed", c.c_uint64), ("in_order", c.c_int), ("epochs", c.c_uint64), ("rank", c.c_int), ("ranks", c.c_int),
                ("stretch", c.c_int), ("only", c.c_char_p), ("exclude", c.c_char_p), ("max_pixels", c.c_size_t), ("threads", c.c_int), ("ahead", c.c_int), ("hooks", Hooks)]


class Item(c.Structure):
    _fields_ = [("line", c.c_uint64), ("epoch", c.c_uint64), ("id", c.c_char_p), ("prompt", c.c_char_p)]


class Iterator:
    def __init__(self, lib, folder, size=512, **options):
        self.lib, self.it = lib, c.c_void_p()
        self.log = Hooks._fields_[1][1](lambda context, kind, path, message: print("left out:", message.decode()))
        o = Options(data=str(folder).encode(), size=size, **options)
        o.hooks.log = self.log
        if lib.mien_iterator_open(c.byref(o), c.byref(self.it)) < 0: sys.exit(lib.mien_error().decode())
        self.hint, self.target = (numpy.empty((size, size, 3), numpy.float32) for _ in range(2))

    def next(self):
        item = Item()
        n = self.lib.mien_iterator_next(self.it, 1, self.hint.ctypes.data_as(c.c_void_p), self.target.ctypes.data_as(c.c_void_p), c.byref(item))
        if n < 0: sys.exit(self.lib.mien_error().decode())
        if n == 0: return None
        line, prompt = item.line, item.prompt.decode()
        self.lib.mien_item_free(c.byref(item))
        return line, prompt

    def close(self): self.lib.mien_iterator_close(self.it)


def load(path):
    lib = c.CDLL(os.path.abspath(path))
    lib.mien_error.restype = c.c_char_p
    lib.mien_iterator_close.argtypes = [c.c_void_p]
    lib.mien_iterator_next.argtypes = [c.c_void_p, c.c_int, c.c_void_p, c.c_void_p, c.c_void_p]
    return lib


# ---- making data sets ----------------------------------------------------------------------------------------------------

def begin(folder):
    for part in ("source", "target"): os.makedirs(f"{folder}/{part}")
    return open(f"{folder}/prompt.jsonl", "w")


def add(lines, source, target, prompt):
    lines.write(json.dumps({"source": f"source/{source}", "target": f"target/{target}", "prompt": prompt}) + "\n")


def usual(folder, mien, photos, count):
    sizes = [(512, 512), (640, 480), (800, 600), (600, 900), (1024, 683), (1200, 1200)]
    with tempfile.TemporaryDirectory() as work:
        os.makedirs(f"{work}/in")
        for i in range(count):
            image = Image.open(photos[i % len(photos)]).convert("RGB").resize(sizes[i % len(sizes)], Image.LANCZOS)
            image.save(f"{work}/in/{i:05d}.jpg", quality=90)
        subprocess.run([mien, "annotate", "--quiet", "-o", f"{work}/out", f"{work}/in"], check=True, stdout=subprocess.DEVNULL)
        with begin(folder) as lines:
            for i in range(count):
                os.rename(f"{work}/in/{i:05d}.jpg", f"{folder}/target/{i:05d}.jpg")
                os.rename(f"{work}/out/{i:05d}.png", f"{folder}/source/{i:05d}.png")
                add(lines, f"{i:05d}.png", f"{i:05d}.jpg", "a face" if i % 3 else None)


def odd(folder, count):
    random.seed(1)
    rng = numpy.random.default_rng(1)

    def side(): return random.choice([random.randint(1, 12), random.randint(1, 120), random.randint(100, 700), random.randint(500, 530), 512, 513, 1024])

    def picture(path):
        w, h = side(), side()
        if max(w, h) > 40 * min(w, h): w = h = max(w, h)   # 512 at the shorter side makes them large
        image = Image.fromarray(rng.integers(0, 256, (max(1, h // 3), max(1, w // 3), 3), numpy.uint8)).resize((w, h), random.choice([Image.BICUBIC, Image.NEAREST]))
        kind = random.choice(["jpg", "jpg", "png", "png", "webp", "bmp", "gif"])
        mode = {"jpg": ["RGB", "L", "CMYK"], "png": ["RGB", "L", "P", "RGBA", "LA", "1", "I;16"], "webp": ["RGB", "RGBA"], "bmp": ["RGB", "L", "P", "1"], "gif": ["P", "L"]}[kind]
        mode = random.choice(mode)
        image = Image.fromarray(numpy.asarray(image.convert("L")).astype(numpy.uint16) * 257) if mode == "I;16" else image.convert(mode)
        options = {"jpg": dict(quality=random.randint(5, 100), progressive=min(w, h) > 40 and random.random() < .3), "webp": dict(lossless=random.random() < .5, method=0)}
        if kind == "jpg" and mode == "RGB": options["jpg"]["subsampling"] = random.randint(0, 2)
        image.save(f"{path}.{kind}", **options.get(kind, {}))
        return os.path.basename(f"{path}.{kind}")

    with begin(folder) as lines:
        for i in range(count): add(lines, picture(f"{folder}/source/{i}"), picture(f"{folder}/target/{i}"), random.choice(["", None, "x", "\u00e9\U0001f600 \"q\""]))


def compare(lib, folder, size, what):
    want, n, equal = LaionDataset(folder, size), 0, 0
    it = Iterator(lib, folder, size, seed=1, epochs=1, stretch=1)
    while (got := it.next()) is not None:
        line, prompt = got
        item = want[line]
        same = prompt == item["txt"] and it.hint.tobytes() == item["hint"].tobytes() and it.target.tobytes() == item["jpg"].tobytes()
        if not same: print("differs:", want.data[line])
        n, equal = n + 1, equal + same
    it.close()
    print(f"{what} at {size}: {equal} of {len(want.data)} items equal in all bytes")
    return equal == len(want.data)


# ---- speed ---------------------------------------------------------------------------------------------------------------

def python_part(folder, lines, barrier):
    data = LaionDataset(folder)
    barrier.wait()
    for i in lines: data[i]
    barrier.wait()


def python_rate(folder, count, processes):
    barrier = multiprocessing.Barrier(processes + 1)   # starting the processes is not counted, nor is handing pictures over
    parts = [multiprocessing.Process(target=python_part, args=(folder, range(i, count, processes), barrier)) for i in range(processes)]
    for p in parts: p.start()
    barrier.wait()
    start = time.perf_counter()
    barrier.wait()
    seconds = time.perf_counter() - start
    for p in parts: p.join()
    return count / seconds


def mien_rate(lib, folder, count, threads):
    it = Iterator(lib, folder, seed=2, epochs=3, threads=threads)
    start, n = time.perf_counter(), 0
    while it.next() is not None: n += 1
    seconds = time.perf_counter() - start
    it.close()
    assert n == 3 * count
    return n / seconds


def main():
    library, mien, photos = sys.argv[1:4]
    count, rounds, odds = (int(a) if a else d for a, d in itertools.zip_longest(sys.argv[4:7], (60, 5, 400)))
    photos = sorted(p for p in pathlib.Path(photos).iterdir() if p.name.endswith(("_source.jpg", "astronaut.png")))
    lib = load(library)
    with tempfile.TemporaryDirectory() as work:
        usual(f"{work}/usual", mien, photos, count)
        odd(f"{work}/odd", odds)
        same = compare(lib, f"{work}/usual", 512, "usual items")
        for size in (512, 64, 333): same &= compare(lib, f"{work}/odd", size, "odd items")
        rates = {}
        for r in range(rounds):
            for k in (1, 2):
                rates.setdefault(f"python, {k} process{'es' * (k > 1)}", []).append(python_rate(f"{work}/usual", count, k))
                rates.setdefault(f"mien, {k} thread{'s' * (k > 1)}", []).append(mien_rate(lib, f"{work}/usual", count, k))
        for name, r in rates.items(): print(f"{name}: best {max(r):.1f}, median {statistics.median(r):.1f} items/s")
        python = [list(rates.values())[i] for i in (0, 2)]
        ours = [list(rates.values())[i] for i in (1, 3)]
        for k in (0, 1): print(f"ratio with {k + 1}: {statistics.median(o / p for o, p in zip(ours[k], python[k])):.2f} (median of the rounds)")
    sys.exit(0 if same else 1)


if __name__ == "__main__":
    main()
