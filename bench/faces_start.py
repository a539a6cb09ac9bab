# SPDX-License-Identifier: Apache-2.0
"""Start-up: one 512x512 photo, from process start to files written, and the peak memory.

usage: faces_start.py MIEN PHOTO [RUNS]
"""
import os
import statistics
import subprocess
import sys
import tempfile
import time


def main():
    mien, photo = sys.argv[1:3]
    runs = int(sys.argv[3]) if len(sys.argv) > 3 else 20
    seconds, peaks = [], []
    with tempfile.TemporaryDirectory() as work:
        for r in range(runs):
            start = time.perf_counter()
            child = subprocess.Popen([mien, "annotate", "--quiet", "--json", "--jobs", "1", "-o", f"{work}/{r}", photo],
                                     stdout=subprocess.DEVNULL)
            _, status, usage = os.wait4(child.pid, 0)
            seconds.append(time.perf_counter() - start)
            peaks.append(usage.ru_maxrss / 1024)
            if status:
                sys.exit(f"mien annotate ended with status {status}")
    print(f"process start to files written: best {min(seconds) * 1e3:.1f} ms, median {statistics.median(seconds) * 1e3:.1f} ms; "
          f"peak memory {max(peaks):.1f} MiB")


main()
