#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How far training with `--optimizer adamw8` goes with adamw: losses, and the direction of the weights' change.

    optimizers.py MIEN MAKE_MODEL DATA [--steps 200] [--early 100] [--seeds 3] [--lr 1e-4] [--size 64] [--batch 2] [--dtypes f32,bf16] [--work DIR]

A small random model (MAKE_MODEL is build/tests/make_model) with a new ControlNet and its decoder unlocked, so that the loss has far to fall, is trained on DATA with each optimiser; the
same seed gives the same items, timesteps and noise. Printed for each against adamw in the same type: the mean loss of the last sixth of the steps, and after --early steps and at the end the
cosine between the two changes of all trained weights, the ratio of their lengths, and the smallest cosine of a tensor of 1000 numbers or more. How far two runs go apart by themselves, the
row "adamw, nudged" says: its learning rate is larger by a millionth. Python's own library only."""
import argparse
import array
import json
import math
import operator
import os
import shutil
import struct
import subprocess
import sys
import tempfile

p = argparse.ArgumentParser()
p.add_argument("mien")
p.add_argument("make_model")
p.add_argument("data")
p.add_argument("--steps", type=int, default=200)
p.add_argument("--early", type=int, default=100)
p.add_argument("--seeds", type=int, default=3)
p.add_argument("--lr", default="1e-4")
p.add_argument("--size", default="64")
p.add_argument("--batch", default="2")
p.add_argument("--dtypes", default="f32,bf16")
p.add_argument("--work")
o = p.parse_args()


def tensors(path):
    """Name -> numbers, of the f32 tensors of a .safetensors file; f16 and others are left out."""
    with open(path, "rb") as f:
        size = struct.unpack("<Q", f.read(8))[0]
        header = json.loads(f.read(size))
        out = {}
        for name, t in header.items():
            if name == "__metadata__" or t["dtype"] != "F32":
                continue
            begin, end = t["data_offsets"]
            f.seek(8 + size + begin)
            out[name] = array.array("f", f.read(end - begin))
        return out


def change(run, step, base):
    """Name -> how far each number went, of all that are trained."""
    folder = os.path.join(run, "checkpoints", "step-%06d" % step)
    out = {}
    for start, end in ((tensors(os.path.join(run, "start.safetensors")), tensors(os.path.join(folder, "control.safetensors"))), (base, tensors(os.path.join(folder, "base.safetensors")))):
        for name, x in end.items():
            if x != start[name]:
                out[name] = [b - a for a, b in zip(start[name], x)]
    return out


def dot(a, b):
    return sum(map(operator.mul, a, b))


def compare(a, b):
    """Cosine of all, ratio of lengths, smallest cosine of a tensor."""
    both, aa, bb, least = 0.0, 0.0, 0.0, 2.0
    for name, x in a.items():
        y = b.get(name, [0.0] * len(x))
        xy, xx, yy = dot(x, y), dot(x, x), dot(y, y)
        both, aa, bb = both + xy, aa + xx, bb + yy
        if len(x) >= 1000:
            least = min(least, xy / math.sqrt(xx * yy) if yy else 0)
    return both / math.sqrt(aa * bb), math.sqrt(bb / aa), least


def train(folder, base, seed, optimizer, dtype, nudged):
    run = os.path.join(folder, "%s-%s-%d-%d" % (optimizer, dtype, nudged, seed))
    subprocess.run([o.mien, "train", "--base", base, "--data", o.data, "--out", run, "--unlock-decoder", "--batch", o.batch, "--size", o.size, "--lr", repr(float(o.lr) * (1.000001 if nudged else 1)),
                    "--steps", str(o.steps), "--seed", str(seed), "--optimizer", optimizer, "--dtype", dtype, "-j", "1", "--checkpoint-every", str(o.early), "--keep",
                    str(o.steps // o.early + 1), "--eval-every", "0", "--cache-folder", os.path.join(folder, "cache"), "--quiet"], check=True)
    losses = [json.loads(line)["loss"] for line in open(os.path.join(run, "log.jsonl"))]
    assert len(losses) == o.steps
    last = losses[-(o.steps // 6):]
    return run, losses[0], math.fsum(last) / len(last)


def main():
    with tempfile.TemporaryDirectory(dir=o.work) as folder:
        base = os.path.join(folder, "base.safetensors")
        subprocess.run([o.make_model, "sd1", base, "--parts", "unet,vae,text", "--type", "f32"], check=True)
        begun = tensors(base)
        for dtype in o.dtypes.split(","):
            for seed in range(o.seeds):
                run, first, plain = train(folder, base, seed, "adamw", dtype, False)
                print("%s, seed %d: the loss goes from %.4f to %.5f with adamw" % (dtype, seed, first, plain), flush=True)
                changes = [(step, change(run, step, begun)) for step in (o.early, o.steps)]
                for optimizer, nudged in (("adamw", True), ("adamw8", False)):
                    other, _, loss = train(folder, base, seed, optimizer, dtype, nudged)
                    line = "  %-13s loss %.5f, %.4f of it" % (optimizer + (", nudged" if nudged else ""), loss, loss / plain)
                    for step, want in changes:
                        line += "; step %d: cosine %.4f, length %.4f, least %.4f" % (step, *compare(want, change(other, step, begun)))
                    print(line, flush=True)
                    shutil.rmtree(other)
                shutil.rmtree(run)


sys.exit(main())
