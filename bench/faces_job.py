# SPDX-License-Identifier: Apache-2.0
"""The whole job, JPEG files to map and JSON files: the original's way in Python (one process; it has no other) and
mien annotate on all cores, in turn, several times.

usage: faces_job.py MIEN PHOTOS [COUNT] [ROUNDS]      (default 400 photos, 5 rounds)

The folder's JPEG files are repeated under new names to COUNT. Prints images/s of both (best and median), the ratio of
each round, and where mien's time goes.
"""
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

import peer_facemesh as peer


def fill(folder, photos, count):
    paths = []
    for i in range(count):
        source = photos[i % len(photos)]
        path = pathlib.Path(folder, f"{i:06d}{source.suffix}")
        os.link(source, path) if os.stat(source).st_dev == os.stat(folder).st_dev else shutil.copy(source, path)
        paths.append(path)
    return paths


def main():
    mien, folder = sys.argv[1:3]
    count = int(sys.argv[3]) if len(sys.argv) > 3 else 400
    rounds = int(sys.argv[4]) if len(sys.argv) > 4 else 5
    photos = sorted(p for p in pathlib.Path(folder).iterdir() if p.name.endswith("_source.jpg"))
    if not photos:
        sys.exit(f"{folder}: no *_source.jpg")
    peer_count = max(len(photos), count // 10)   # Python is slow; its rate does not depend on the number
    rates = {"python": [], "mien": []}
    with tempfile.TemporaryDirectory() as work:
        os.mkdir(f"{work}/in")
        paths = fill(f"{work}/in", photos, count)
        peer.annotate(paths[0], f"{work}/warm.png")   # imports and the first graph are not counted
        for r in range(rounds):
            start = time.perf_counter()
            for p in paths[:peer_count]:
                peer.annotate(p, f"{work}/peer.png")
            rates["python"].append(peer_count / (time.perf_counter() - start))
            start = time.perf_counter()
            subprocess.run([mien, "annotate", "--quiet", "--json", "-o", f"{work}/out{r}", f"{work}/in",
                            "--timings", f"{work}/timings{r}.json"], check=True, stdout=subprocess.DEVNULL)
            rates["mien"].append(count / (time.perf_counter() - start))
            print(f"round {r + 1}: python {rates['python'][-1]:.1f} images/s, mien {rates['mien'][-1]:.1f} images/s, "
                  f"ratio {rates['mien'][-1] / rates['python'][-1]:.2f}")
        best = max(range(rounds), key=lambda r: rates["mien"][r])
        for name, r in rates.items():
            print(f"{name}: best {max(r):.1f}, median {statistics.median(r):.1f} images/s")
        print(f"ratio: best to best {max(rates['mien']) / max(rates['python']):.2f}, "
              f"median of rounds {statistics.median(m / p for m, p in zip(rates['mien'], rates['python'])):.2f}")
        print("mien, seconds by stage over all workers:", json.loads(pathlib.Path(f"{work}/timings{best}.json").read_text()))


main()
