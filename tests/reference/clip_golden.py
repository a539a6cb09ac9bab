# SPDX-License-Identifier: Apache-2.0
"""clip_golden.py MAKE_MODEL OUT.safetensors: what transformers' CLIPTextModel computes with the small text encoders of
build/tests/make_model, for tests/unit/test_clip.c: every 37th number. torch 2.9.1, transformers 5.23; f32."""
import subprocess
import sys
import tempfile

import numpy as np
import torch
from safetensors.numpy import save_file

from small_model import Small


def ids(n, count, vocabulary):
    return torch.tensor([[(i * 7919 + 13 + 31 * k) % vocabulary for i in range(count)] for k in range(n)])


def main():
    results = {}
    with tempfile.TemporaryDirectory() as folder, torch.no_grad():
        for k in (1, 2):
            path = f"{folder}/sd{k}.safetensors"
            subprocess.run([sys.argv[1], f"sd{k}", path, "--parts", "text", "--type", "mixed", "--vocabulary", "500", "--context", "192"], check=True)
            text = Small(path, parts=("text",)).text
            for count in (77, 9):
                out = text(ids(2, count, 500)).last_hidden_state
                results[f"sd{k}.text.{count}"] = out.reshape(-1)[::37].numpy().copy()
    save_file(results, sys.argv[2])
    for name, x in results.items():
        print(f"{name:18} {x.size:6} values, rms {np.sqrt(np.mean(np.square(x, dtype=np.float64))):.4f}")


if __name__ == "__main__":
    main()
