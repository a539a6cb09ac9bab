# SPDX-License-Identifier: Apache-2.0
"""A data set of a folder of photos: the original's way in Python (tool_generate_face_poses.py: one process, one photo after
the other, JPEG maps, prompt.jsonl) and mien build on all cores, in turn, several times, on the same photos.

usage: data_build.py MIEN PHOTOS [COUNT] [ROUNDS]      (default 400 photos, 3 rounds)

The folder's JPEG files are repeated under new names to COUNT, each with a sidecar; Python does a tenth of them, since its
rate does not depend on the number. Prints images/s of both (best and median), the ratio of each round, where mien's time
goes, and whether the lines of prompt.jsonl agree. Of mien also a second run, over what is done.
"""
import json
import os
import pathlib
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np
import peer_facemesh as peer
from PIL import Image

MIN_SIZE, MAX_SIZE, MIN_FACE = 384, 32766, 64


def fill(folder, photos, count):
    paths = []
    for i in range(count):
        source = photos[i % len(photos)]
        path = pathlib.Path(folder, f"{i:06d}.jpg")
        os.link(source, path) if os.stat(source).st_dev == os.stat(folder).st_dev else shutil.copy(source, path)
        path.with_suffix(".json").write_text(json.dumps({"caption": f"photo number {i}", "NSFW": "UNLIKELY" if i % 50 else "LIKELY"}))
        paths.append(path)
    return paths


def one_photo(path, source_folder, out):
    """As the original, which also writes the whole state every 100 photos (not done here: it would grow with the set)."""
    metadata = {}
    sidecar = os.path.splitext(path)[0] + ".json"
    if os.path.exists(sidecar):
        metadata = json.load(open(sidecar, "rt"))
    mark = metadata.get("NSFW")
    if mark is not None and mark.lower() != "unlikely":
        return
    image = Image.open(path).convert("RGB")
    if min(image.size) < MIN_SIZE or max(image.size) > MAX_SIZE:
        return
    faces = peer.find(np.asarray(image))
    size = np.array(image.size)
    large = [f for f in faces if min((f[:, :2].max(0) - f[:, :2].min(0)) * size) >= MIN_FACE]
    if not large:
        return
    name = os.path.basename(path)
    Image.fromarray(peer.draw(large, image.size[1], image.size[0])).save(os.path.join(source_folder, name))
    out.write(json.dumps({"source": "source/" + name, "target": "target/" + name, "prompt": metadata.get("caption", "")}) + "\n")
    out.flush()


def run_python(paths, folder):
    os.makedirs(f"{folder}/source")
    start = time.perf_counter()
    with open(f"{folder}/prompt.jsonl", "wt") as out:
        for path in paths:
            one_photo(str(path), f"{folder}/source", out)
    return len(paths) / (time.perf_counter() - start)


def run_mien(mien, photos, folder, count, timings):
    start = time.perf_counter()
    subprocess.run([mien, "build", photos, "--data", folder, "--quiet", "--timings", timings], check=True, stdout=subprocess.DEVNULL)
    return count / (time.perf_counter() - start)


def cpu_seconds(whose):
    used = resource.getrusage(whose)
    return used.ru_utime + used.ru_stime


def lines(folder, n=None):
    text = pathlib.Path(folder, "prompt.jsonl").read_text().replace(".png", ".jpg").splitlines()
    return [line for line in text if n is None or int(line.split("source/")[1][:6]) < n]


def main():
    mien, folder = sys.argv[1:3]
    count = int(sys.argv[3]) if len(sys.argv) > 3 else 400
    rounds = int(sys.argv[4]) if len(sys.argv) > 4 else 3
    photos = sorted(p for p in pathlib.Path(folder).iterdir() if p.name.endswith("_source.jpg"))
    if not photos:
        sys.exit(f"{folder}: no *_source.jpg")
    peer_count = max(len(photos), count // 10)
    rates = {"python": [], "mien": [], "mien, all done": []}
    with tempfile.TemporaryDirectory() as work:
        os.mkdir(f"{work}/in")
        paths = fill(f"{work}/in", photos, count)
        run_python(paths[1:2], f"{work}/warm")   # imports and the first graph are not counted
        cpu = {"python": 0, "mien": 0}
        for r in range(rounds):
            before = cpu_seconds(resource.RUSAGE_SELF)
            rates["python"].append(run_python(paths[:peer_count], f"{work}/python{r}"))
            cpu["python"] += cpu_seconds(resource.RUSAGE_SELF) - before
            before = cpu_seconds(resource.RUSAGE_CHILDREN)
            rates["mien"].append(run_mien(mien, f"{work}/in", f"{work}/mien{r}", count, f"{work}/timings{r}.json"))
            cpu["mien"] += cpu_seconds(resource.RUSAGE_CHILDREN) - before
            rates["mien, all done"].append(run_mien(mien, f"{work}/in", f"{work}/mien{r}", count, f"{work}/again.json"))
            print(f"round {r + 1}: python {rates['python'][-1]:.1f} images/s, mien {rates['mien'][-1]:.1f} images/s, "
                  f"ratio {rates['mien'][-1] / rates['python'][-1]:.2f}")
        for name, r in rates.items():
            print(f"{name}: best {max(r):.1f}, median {statistics.median(r):.1f} images/s")
        print(f"ratio: best to best {max(rates['mien']) / max(rates['python']):.2f}, "
              f"median of rounds {statistics.median(m / p for m, p in zip(rates['mien'], rates['python'])):.2f}")
        print(f"processor time an image: python {cpu['python'] / rounds / peer_count * 1e3:.1f} ms, mien {cpu['mien'] / rounds / count * 1e3:.2f} ms")
        print("mien, seconds by stage over all workers:", json.loads(pathlib.Path(f"{work}/timings{rounds - 1}.json").read_text()))
        same = lines(f"{work}/python0") == lines(f"{work}/mien0", peer_count)
        print(f"prompt.jsonl: {len(lines(f'{work}/mien0'))} lines of {count} photos, "
              f"{'equal to' if same else 'OTHER THAN'} Python's for the first {peer_count}, but for the maps' ending")
        if not same:
            sys.exit(1)


main()
