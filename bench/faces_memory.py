# SPDX-License-Identifier: Apache-2.0
"""Memory over a long run: resident memory while the first and the last tenth of many photos are done.

usage: faces_memory.py MIEN PHOTOS [COUNT]      (default 10,000 photos)
"""
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time


def resident(pid):
    try:
        for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) / 1024
    except OSError:
        pass
    return None


def main():
    mien, folder = sys.argv[1:3]
    count = int(sys.argv[3]) if len(sys.argv) > 3 else 10000
    photos = sorted(p for p in pathlib.Path(folder).iterdir() if p.name.endswith("_source.jpg"))
    with tempfile.TemporaryDirectory() as work:
        os.mkdir(f"{work}/in")
        for i in range(count):
            path = f"{work}/in/{i:06d}.jpg"
            source = photos[i % len(photos)]
            os.link(source, path) if os.stat(source).st_dev == os.stat(work).st_dev else shutil.copy(source, path)
        child = subprocess.Popen([mien, "annotate", "--quiet", "-o", f"{work}/out", f"{work}/in"], stdout=subprocess.DEVNULL)
        first, last = [], []
        while child.poll() is None:
            time.sleep(0.05)
            try:
                done = sum(1 for e in os.scandir(f"{work}/out") if e.name.endswith(".png"))
            except FileNotFoundError:
                continue
            now = resident(child.pid)
            if now and count * 0.02 < done <= count * 0.1:
                first.append(now)
            elif now and done > count * 0.9:
                last.append(now)
        if child.returncode:
            sys.exit(f"mien annotate ended with {child.returncode}")
    print(f"{count} photos: resident memory in the first tenth {max(first):.1f} MiB, in the last tenth {max(last):.1f} MiB, "
          f"ratio {max(last) / max(first):.3f}")


main()
