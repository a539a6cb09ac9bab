#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes tests/golden/noise.txt: what torch.randn and torch.rand give with a CPU generator, draw after draw.

    seed SEED                      torch.Generator().manual_seed(SEED); negative ones as PyTorch takes them
    normal|uniform N FNV A B C     the next draw: 64-bit FNV-1a of its bytes (f32, little-endian), first, middle and last value

    python tests/reference/make_noise_golden.py        (recorded with torch 2.9.1 on a CPU with AVX-512; AVX2 gives the same)"""
import os

import numpy
import torch

golden = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "golden", "noise.txt")

def fnv1a(data):
    h = 0xcbf29ce484222325
    for b in data:
        h = (h ^ b) * 0x100000001b3 & 0xffffffffffffffff
    return h

def draws():
    every = list(range(1, 41))
    yield 0, [("normal", n) for n in every]
    yield 1, [("normal", n) for n in reversed(every)]
    # A number waits between short draws, and over long ones and uniform ones.
    yield 42, [("normal", n) for n in (3, 16, 16, 2, 17, 1, 1)] + [("uniform", 5), ("normal", 4), ("uniform", 1), ("uniform", 700), ("normal", 625)]
    # Whole latents: 64x64, 96x96, 520x520 pixels.
    yield 7, [("normal", n) for n in (16384, 16384, 36864, 16900, 65536)]
    for seed in (7 + 2**32, 2**63, 2**64 - 1, -1, -12345678901, 4294967295, 1234567890123456789):
        yield seed, [("normal", n) for n in (16384, 7, 1001, 20)]

def main():
    with open(golden, "w") as f:
        for seed, wanted in draws():
            g = torch.Generator().manual_seed(seed)
            print("seed", seed, file=f)
            for kind, n in wanted:
                x = (torch.randn if kind == "normal" else torch.rand)(n, generator=g).numpy().astype("<f4")
                print(kind, n, "%016x" % fnv1a(x.tobytes()), *("%.9g" % v for v in (x[0], x[n // 2], x[-1])), file=f)

main()
