# SPDX-License-Identifier: Apache-2.0
"""Real TensorBoard reads what src/train/events.c writes: a run of 5 steps, killed with a torn record, gone on with at step 4 of an earlier checkpoint.

    tensorboard_reads.py BUILD      (a Python environment with tensorboard 2.20.0 from pip)

It is asked as a browser asks it: scalars and pictures over HTTP, and once more by its own EventAccumulator. Prints what differs; exit status 1 then."""
import glob
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

build = os.path.abspath(sys.argv[1])
work = tempfile.mkdtemp(prefix="mien-test-")
wrong = []


def run(*args):
    subprocess.run([*args], cwd=work, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def expect(what, got, want):
    print(("same    " if got == want else "DIFFERS ") + what)
    if got != want:
        wrong.append(what)
        print("   got ", got, "\n   want", want)


def ask(port, path):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/data/plugin/{path}", timeout=10) as r:
        return r.read()


def over_http(fast):
    want = [(i, round(1 / i, 6)) for i in range(1, 9)]
    port = 16006 + os.getpid() % 10000 + (fast == "true")
    server = subprocess.Popen([sys.executable, "-m", "tensorboard.main", "--logdir", work, "--host", "127.0.0.1", "--port", str(port), "--load_fast", fast,
                               "--reload_interval", "1"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        scalars = []
        for _ in range(240):
            time.sleep(0.5)
            try:
                scalars = json.loads(ask(port, "scalars/scalars?run=run&tag=train%2Floss"))
                if scalars[-1][1] == 8:
                    break
            except (OSError, IndexError):
                pass
        expect(f"scalars over HTTP, --load_fast {fast}", [(s[1], round(s[2], 6)) for s in scalars], want)
        pictures = json.loads(ask(port, "images/images?run=run&tag=samples&sample=0"))
        expect("the last picture's step", pictures[-1]["step"], 8)
        with open(f"{work}/run/sheet.png", "rb") as f:
            expect("its bytes", ask(port, "images/individualImage?" + pictures[-1]["query"]), f.read())
    finally:
        server.terminate()
        server.wait()


try:
    run(f"{build}/tests/make_model", "sd1", "sd1.safetensors", "--parts", "unet")
    run(f"{build}/tests/make_model", "control1", "c1.safetensors")
    loop = [f"{build}/tests/save_loop", "sd1.safetensors", "c1.safetensors", "run"]
    run(*loop, "5")
    # Killed at step 6, of which half a record is there; the checkpoint of step 5 is broken, so that step 5 is computed again.
    shutil.rmtree(f"{work}/run/checkpoints/step-000005")
    with open(glob.glob(f"{work}/run/events.*")[0], "ab") as f:
        f.write(b"\x40\0\0\0\0\0\0\0abc")
    run(*loop, "8", "--resume")
    want = [(i, 1 / i) for i in range(1, 9)]

    a = EventAccumulator(f"{work}/run", size_guidance={"images": 0})
    a.Reload()
    near = [(s.step, round(s.value, 6)) for s in a.Scalars("train/loss")]
    expect("scalars by EventAccumulator", near, [(i, round(v, 6)) for i, v in want])
    expect("pictures by EventAccumulator", [i.step for i in a.Images("samples")], list(range(1, 9)))

    for fast in ("false", "true"):              # its two loaders: Python's, and the one that it takes by default
        over_http(fast)
finally:
    shutil.rmtree(work)
sys.exit(1 if wrong else 0)
