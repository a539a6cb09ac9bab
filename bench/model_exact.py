# SPDX-License-Identifier: Apache-2.0
"""UNet, ControlNet and VAE at the shapes of SD 1.5 and SD 2.1, random weights (make_model --real), through PyTorch and through mien.

usage: model_exact.py MAKE_MODEL MODEL_RUN [--size 512] [--families 1,2] [--networks unet,control,decode,encode] [--no-bf16] [--folder DIR]

Prints two rows a network: mien's f32 against PyTorch's f32 (the Euclidean norm of the difference, relative; asked: at most 1e-4; and
the worst value, relative to the largest), and in bf16 the PSNR of both against PyTorch's f32. Pictures are SIZE pixels, two in
a batch but for the VAE. One network at a time, and one program at a time, is in memory. Exits 1 if f32 is off, or mien's bf16 is
more than 0.5 dB worse than PyTorch's.
"""
import argparse
import gc
import math
import pathlib
import subprocess
import sys
import tempfile
import time

import diffusers
import numpy as np
import torch

diffusers.logging.set_verbosity_error()
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "tests/reference"))
import small_model as models  # noqa: E402

ASKED, SLACK = 1e-4, 0.5
PARTS = {"unet": "unet", "control": "control", "decode": "vae", "encode": "vae"}


def load(network, path):
    if network == "unet":
        return models.unet(models.read(path, "model.diffusion_model."))
    if network == "control":
        return models.control(models.read(path, ""))
    return models.vae(models.read(path, "first_stage_model."))


def forward(network, m, n, side, width, dtype):
    if network == "decode":
        return [m.decode(models.picture("latent", n, side, side, 4).to(dtype)).sample]
    if network == "encode":
        return [m.encode((models.picture("picture", n, 8 * side, 8 * side, 3) / 2).to(dtype)).latent_dist.parameters]
    x = models.picture("latent", n, side, side, 4).to(dtype)
    context = torch.from_numpy(models.numbers("context", n, 77, width)).to(dtype)
    if network == "unet":
        return [m(x, 500, context).sample]
    hint = (models.picture("map", 1, 8 * side, 8 * side, 3) * 0.25 + 0.5).to(dtype).expand(n, -1, -1, -1)
    down, mid = m(x, 500, context, hint, return_dict=False)
    return [*down, mid]


def flat(outputs):
    """Channels last, one behind the other."""
    return np.concatenate([(o.permute(0, 2, 3, 1) if o.dim() == 4 else o).float().reshape(-1).numpy() for o in outputs]).astype(np.float64)


def mien(a, network, path, dtype, n, side, folder):
    out = f"{folder}/out.f32"
    base, control = ("-", path) if network == "control" else (path, "-")
    run = subprocess.run([a.model_run, network, base, control, dtype, str(n), str(side), str(side), out], capture_output=True, text=True)
    if run.returncode:
        sys.exit(f"model_run {network}: {run.stderr}")
    return np.fromfile(out, np.float32).astype(np.float64), run.stdout.strip().split(": ", 1)[1]


def psnr(x, want):
    return 10 * math.log10(np.ptp(want) ** 2 / np.mean((x - want) ** 2))


def compare(a, family, network, folder):
    path = f"{folder}/model.safetensors"
    kind = f"control{family}" if network == "control" else f"sd{family}"
    subprocess.run([a.make_model, kind, path, "--real", "--parts", PARTS[network]], check=True)
    n = 1 if PARTS[network] == "vae" else 2
    side, width = a.size // 8, (768, 1024)[family - 1]
    got, took = mien(a, network, path, "f32", n, side, folder)
    with torch.no_grad():
        m = load(network, path)
        begin = time.perf_counter()
        want = flat(forward(network, m, n, side, width, torch.float32))
        peer = time.perf_counter() - begin
    if got.shape != want.shape:
        sys.exit(f"{network}: {got.size} values, {want.size} wanted")
    error = np.linalg.norm(got - want) / np.linalg.norm(want)
    worst = np.abs(got - want).max() / np.abs(want).max()
    good = error <= ASKED
    print(f"SD {('1.5', '2.1')[family - 1]} {network:8} f32: relative error {error:.2e}, worst {worst:.2e}   (mien {took}; PyTorch {peer:.3f} s)", flush=True)
    if not a.no_bf16:
        with torch.no_grad():
            m = m.to(torch.bfloat16)
            begin = time.perf_counter()
            half = psnr(flat(forward(network, m, n, side, width, torch.bfloat16)), want)
            peer = time.perf_counter() - begin
        del m
        gc.collect()
        got, took = mien(a, network, path, "bf16", n, side, folder)
        ours = psnr(got, want)
        good = good and ours >= half - SLACK
        print(f"SD {('1.5', '2.1')[family - 1]} {network:8} bf16: PSNR to f32 mien {ours:.2f} dB, PyTorch {half:.2f} dB   (mien {took}; PyTorch {peer:.3f} s)", flush=True)
    return good


if __name__ == "__main__":
    p = argparse.ArgumentParser()
    p.add_argument("make_model")
    p.add_argument("model_run")
    p.add_argument("--size", type=int, default=512)
    p.add_argument("--families", default="1,2")
    p.add_argument("--networks", default="unet,control,decode,encode")
    p.add_argument("--no-bf16", action="store_true")
    p.add_argument("--folder")
    a = p.parse_args()
    bad = []
    with tempfile.TemporaryDirectory(dir=a.folder) as folder:
        for family in map(int, a.families.split(",")):
            for network in a.networks.split(","):
                if not compare(a, family, network, folder):
                    bad.append(f"SD {family} {network}")
    sys.exit(f"off: {', '.join(bad)}" if bad else 0)
