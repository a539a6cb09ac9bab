# SPDX-License-Identifier: Apache-2.0
"""How fast `mien synth` renders: pictures a second at 256x256 on all cores (asked on two: 30, the goal 60) and where the time goes; one thread; other sizes; each level.

usage: synth.py MIEN [--count 120] [--rounds 3]

There is no peer. Best of all rounds. "of CPU" is the processor time of a picture, all threads together, and what the cores would make by it if nobody else used them.
"""
import argparse
import json
import os
import pathlib
import resource
import subprocess
import sys
import tempfile


def run(mien, count, rounds, *more):
    best = None
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as t:
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            done = subprocess.run([mien, "synth", "-o", t + "/faces", "--count", str(count), "--seed", "1", "--quiet", "--timings", t + "/t.json", *more])
            if done.returncode:
                sys.exit(f"mien synth ended with {done.returncode}")
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            times = json.loads(pathlib.Path(t, "t.json").read_text())
            times["cpu"] = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        best = {k: min(times[k], best[k]) if best else times[k] for k in times}
    return best


def main():
    a = argparse.ArgumentParser()
    a.add_argument("mien")
    a.add_argument("--count", type=int, default=120)
    a.add_argument("--rounds", type=int, default=3)
    o = a.parse_args()
    cores = len(os.sched_getaffinity(0))
    rows = [(f"256x256, {cores} threads", o.count, ()), ("256x256, 1 thread", o.count, ("--jobs", "1")), ("256x256, JPEG", o.count, ("--format", "jpg")), ("256x256, --face 0.55:0.8", o.count, ("--face", "0.55:0.8")),
            ("128x128", 2 * o.count, ("--size", "128")), ("512x512", max(o.count // 4, 8), ("--size", "512")),
            ("256x256, --cpu avx2", o.count, ("--cpu", "avx2")), ("256x256, --cpu reference", max(o.count // 4, 8), ("--cpu", "reference"))]
    for name, count, more in rows:
        t = run(o.mien, count, o.rounds, *more)
        parts = ", ".join(f"{part} {t[part] / count * 1e3:.2f}" for part in ("draw", "render", "encode", "write"))
        threads = 1 if "--jobs" in more else cores
        print(f"{name:26} {count / t['total']:6.1f} pictures/s; {t['cpu'] / count * 1e3:6.2f} ms of CPU, {threads * count / t['cpu']:6.1f}/s; ms by the clock: {parts}; {t['peak_bytes'] / 1e6:.0f} MB", flush=True)


if __name__ == "__main__":
    main()
