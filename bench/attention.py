# SPDX-License-Identifier: Apache-2.0
"""Attention at Stable Diffusion's shapes, in turns with PyTorch's scaled_dot_product_attention in this run.

usage: attention.py ATTENTION [--threads N] [--type bf16|f32] [--rounds N] [--gradient] [--pictures N] [WORD]      (build/bench/attention; shapes with WORD in their name)

Ours reads q [N,T,heads*d], k and v [N,S,heads*d] and packs them every time; PyTorch gets separate contiguous [N,heads,T,d], its best case.
--gradient: of the backward (PyTorch: the operation that its autograd calls, from a saved output). GFLOP/s count 4 N heads T S d, or 10, causal or not. Peak: independent chains of bf16 products (f32: multiply-adds), the median of this run's
(each the best of 20). With one thread processor time is counted on both sides. Best of all runs of each.
"""
import argparse
import statistics
import subprocess
import time

import torch

SHAPES = [  # name, pictures, heads, d, T, S, causal
    ("self 64^2, d 64", 2, 5, 64, 4096, 4096, 0), ("self 32^2, d 64", 2, 10, 64, 1024, 1024, 0), ("self 16^2, d 64", 2, 20, 64, 256, 256, 0),
    ("self 8^2, d 64", 2, 20, 64, 64, 64, 0), ("cross 64^2, d 64", 2, 5, 64, 4096, 77, 0), ("cross 32^2, d 64", 2, 10, 64, 1024, 77, 0),
    ("cross 16^2, d 64", 2, 20, 64, 256, 77, 0), ("self 64^2, d 40", 2, 8, 40, 4096, 4096, 0), ("self 32^2, d 80", 2, 8, 80, 1024, 1024, 0),
    ("self 16^2, d 160", 2, 8, 160, 256, 256, 0), ("self 8^2, d 160", 2, 8, 160, 64, 64, 0), ("cross 64^2, d 40", 2, 8, 40, 4096, 77, 0),
    ("cross 32^2, d 80", 2, 8, 80, 1024, 77, 0), ("cross 16^2, d 160", 2, 8, 160, 256, 77, 0), ("VAE 64^2, d 512", 1, 1, 512, 4096, 4096, 0),
    ("CLIP L, causal", 2, 12, 64, 77, 77, 1), ("CLIP H, causal", 2, 16, 64, 77, 77, 1),
]


def torch_best(inputs, causal, clock, seconds, gradient):
    best, end = 1e9, time.perf_counter() + seconds
    with torch.inference_mode():
        if gradient:
            saved = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(*inputs, 0.0, bool(causal))
            dy = torch.randn(inputs[0].shape).to(inputs[0].dtype)
        while True:
            start = clock()
            if gradient:
                torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward(dy, *inputs, *saved, 0.0, bool(causal))
            else:
                torch.nn.functional.scaled_dot_product_attention(*inputs, is_causal=bool(causal))
            best = min(best, clock() - start)
            if time.perf_counter() > end:
                return best


def main():
    p = argparse.ArgumentParser()
    p.add_argument("attention")
    p.add_argument("word", nargs="?", default="")
    p.add_argument("--threads", type=int, default=torch.get_num_threads())
    p.add_argument("--type", choices=("bf16", "f32"), default="bf16")
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--gradient", action="store_true")
    p.add_argument("--pictures", type=int)
    o = p.parse_args()
    torch.set_num_threads(o.threads)
    torch.manual_seed(1)
    clock = time.thread_time if o.threads == 1 else time.perf_counter
    ours = subprocess.Popen([o.attention, "--serve", "--threads", str(o.threads), "--type", o.type, "--rounds", "1"] + ["--gradient"] * o.gradient,
                            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    rows, peaks = [], []
    for name, n, heads, d, T, S, causal in SHAPES:
        if o.word not in name:
            continue
        n = o.pictures or n
        kind = torch.bfloat16 if o.type == "bf16" else torch.float32
        inputs = [torch.randn(n, heads, tokens, d).to(kind) for tokens in (T, S, S)]
        torch_best(inputs, causal, clock, 0, o.gradient)
        theirs = mien = 1e9
        for _ in range(o.rounds):
            print(n, heads, d, T, S, causal, file=ours.stdin, flush=True)
            seconds, now = map(float, ours.stdout.readline().split())
            mien = min(mien, seconds)
            peaks.append(now)
            theirs = min(theirs, torch_best(inputs, causal, clock, 0.1, o.gradient))
        rows.append((name, mien, theirs, (10e-9 if o.gradient else 4e-9) * n * heads * T * S * d))
    ours.stdin.close()
    peak = statistics.median(peaks)
    print(f"{o.type}, {o.threads} threads, PyTorch {torch.__version__}; peak of this run {peak:.0f} GFLOP/s")
    print(f"  {'':22} {'mien ms':>9} {'GFLOP/s':>9} {'of peak':>8} {'PyTorch ms':>11} {'GFLOP/s':>9} {'ratio':>7}")
    for name, mien, theirs, gflop in rows:
        print(f"  {name:22} {mien * 1e3:9.3f} {gflop / mien:9.0f} {gflop / mien / peak * 100:6.1f} % {theirs * 1e3:11.3f} {gflop / theirs:9.0f} {theirs / mien:7.2f}")


main()
