# SPDX-License-Identifier: Apache-2.0
"""clip_exact.py MAKE_MODEL CLIP_RUN [1|2]...: the text encoders of SD 1.5 and SD 2.1 in their real shapes (random weights) beside
transformers: relative error against its f32 (bound 1e-4 in f32; in bf16 beside PyTorch's own bf16), and the time of two prompts."""
import os
import subprocess
import sys
import tempfile
import time

import numpy as np
import torch

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../tests/reference"))
from small_model import Small


def timed(network, ids, runs=5):
    seconds = []
    for _ in range(runs):
        begin = time.perf_counter()
        out = network(ids).last_hidden_state
        seconds.append(time.perf_counter() - begin)
    return out.float().numpy(), min(seconds)


def error(got, want):
    return np.linalg.norm(got.astype(np.float64) - want) / np.linalg.norm(want.astype(np.float64))


def main():
    failed = False
    for family in sys.argv[3:] or ("1", "2"):
        with tempfile.TemporaryDirectory(dir=os.environ.get("SCRATCH")) as folder, torch.no_grad():
            path = f"{folder}/sd{family}.safetensors"
            subprocess.run([sys.argv[1], f"sd{family}", path, "--real", "--parts", "text", "--type", "f16"], check=True)
            ours = {}
            for kind in ("f32", "bf16"):
                line = subprocess.run([sys.argv[2], path, kind, f"{folder}/out", "5"], check=True, stdout=subprocess.PIPE, text=True).stdout.split()
                ours[kind] = np.fromfile(f"{folder}/out", np.float32), min(float(x) for x in line[5:]) / 1e3
                print(f"sd{family} {kind}: opened in {line[1]} ms, planned and packed in {line[3]} ms")
            text = Small(path, parts=("text",)).text
            ids = torch.tensor([[(i * 7919 + 13 + 31 * k) % 49408 for i in range(77)] for k in range(2)])
            want, f32 = timed(text, ids)
            want = want.reshape(-1)
            bf16, bf16_seconds = timed(text.to(torch.bfloat16), ids)
            e = error(ours["f32"][0], want)
            failed |= not e <= 1e-4
            print(f"sd{family} f32:  relative error {e:.2e}; {ours['f32'][1] * 1e3:.0f} ms, PyTorch {f32 * 1e3:.0f} ms")
            print(f"sd{family} bf16: relative error {error(ours['bf16'][0], want):.2e}, PyTorch's {error(bf16.reshape(-1), want):.2e}; "
                  f"{ours['bf16'][1] * 1e3:.0f} ms, PyTorch {bf16_seconds * 1e3:.0f} ms")
    return failed


sys.exit(main())
