# SPDX-License-Identifier: Apache-2.0
"""Memory over a long run of mien build: resident memory while the first and the last tenth of many made-up photos are done,
and in the end.

usage: data_memory.py MIEN MAKE_PHOTOS FACE [COUNT]      (default 100,000 photos)

MAKE_PHOTOS (build/tests/make_photos) makes 500 different photos, one in four with FACE; they are linked under COUNT names in
folders of 1,000, each with a caption. Ends with 1 if the last tenth, or the end, takes more than 5% above the first tenth.
"""
import os
import pathlib
import subprocess
import sys
import tempfile
import time

DIFFERENT = 500


def resident(pid):
    try:
        for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) / 1024
    except OSError:
        pass
    return None


def fill(work, make_photos, face, count):
    subprocess.run([make_photos, f"{work}/some", str(min(count, DIFFERENT)), "--size", "512x512", "--face", face, "--faces-every", "4"], check=True)
    some = sorted(pathlib.Path(f"{work}/some").rglob("*.jpg"))
    for i in range(count):
        folder = f"{work}/in/{i // 1000:04d}"
        if i % 1000 == 0:
            os.makedirs(folder)
        os.link(some[i % len(some)], f"{folder}/{i:08d}.jpg")
        with open(f"{folder}/{i:08d}.txt", "w") as f:
            f.write(f"photo number {i}")


def lines(work):
    """Of the journal, which has one a photo: its size will do, and costs nothing."""
    try:
        return os.stat(f"{work}/out/build.jsonl").st_size
    except FileNotFoundError:
        return 0


def main():
    mien, make_photos, face = sys.argv[1:4]
    count = int(sys.argv[4]) if len(sys.argv) > 4 else 100000
    with tempfile.TemporaryDirectory() as work:
        fill(work, make_photos, face, count)
        child = subprocess.Popen([mien, "build", f"{work}/in", "--data", f"{work}/out", "--quiet"], stdout=subprocess.DEVNULL)
        seen = []
        start = time.monotonic()
        while child.poll() is None:
            time.sleep(0.05)
            now = resident(child.pid)
            if now:
                seen.append((lines(work), now))
        seconds = time.monotonic() - start
        if child.returncode:
            sys.exit(f"mien build ended with {child.returncode}")
        kept = sum(1 for _ in open(f"{work}/out/prompt.jsonl"))
        total = lines(work)
    done = max(size for size, _ in seen if size < total)   # two lines more are written in the end, with prompt.jsonl
    first = [m for size, m in seen if total * 0.02 < size <= total * 0.1]
    last = [m for size, m in seen if total * 0.9 < size < done]
    end = [m for size, m in seen if size >= done]
    ratio = max(last) / max(first)
    print(f"{count} photos, {kept} kept, {count / seconds:.0f}/s: resident memory in the first tenth {max(first):.1f} MiB, in the last tenth "
          f"{max(last):.1f} MiB, ratio {ratio:.3f}; then, while prompt.jsonl is sorted and written, {max(end):.1f} MiB")
    sys.exit(max(last + end) > 1.05 * max(first))


main()
