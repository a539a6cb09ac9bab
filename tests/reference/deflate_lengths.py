# SPDX-License-Identifier: Apache-2.0
"""Makes the code lengths in src/image/deflate_runs.c: Huffman codes over what face maps are made of.

usage: deflate_lengths.py MAP.png ...        (the recorded maps of ../shared/fixtures/faces/ref)
"""
import collections
import heapq
import sys

import numpy as np
from PIL import Image

BASE = [3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258]


def lengths(weights):
    """Huffman code lengths; a weight for every symbol, so the code is complete."""
    heap = [(w, i, [i]) for i, w in enumerate(weights)]
    out = [0] * len(weights)
    heapq.heapify(heap)
    while len(heap) > 1:
        a, b = heapq.heappop(heap), heapq.heappop(heap)
        for s in a[2] + b[2]:
            out[s] += 1
        heapq.heappush(heap, (a[0] + b[0], b[1], a[2] + b[2]))
    assert max(out) <= 15
    return out


def tokens(data, row, symbols, near):
    i = 0
    while i < len(data):
        limit, best, distance = min(258, len(data) - i), 0, 0
        for back in (3, row, row - 3, row + 3):
            if i < back:
                continue
            n = 0
            while n < limit and data[i + n] == data[i + n - back]:
                n += 1
            if n > best:
                best, distance = n, back
            if n == 258:
                break
        if best >= 3:
            symbols[257 + max(k for k in range(29) if BASE[k] <= best)] += 1
            near[distance == 3] += 1
        else:
            symbols[data[i]] += 1
        i += max(best, 1) if best >= 3 else 1


def main():
    symbols, near = collections.Counter(), collections.Counter()
    for path in sys.argv[1:]:
        picture = np.array(Image.open(path).convert("RGB"))
        tokens(b"".join(b"\0" + line.tobytes() for line in picture), picture.shape[1] * 3 + 1, symbols, near)
    total = sum(symbols.values())
    print("literals and lengths:", lengths([max(symbols[s], total // 4000) for s in range(286)]))
    far = near[False] / 20   # rows of 100 to 10,000 pixels use about 20 of the 30 distance codes; any may occur
    print("distances:", lengths([near[True] if s == 2 else far if s > 9 else far / 8 for s in range(30)]))


main()
