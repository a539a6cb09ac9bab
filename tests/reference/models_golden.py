# SPDX-License-Identifier: Apache-2.0
"""models_golden.py MAKE_MODEL OUT.safetensors: what diffusers computes with the small models of build/tests/make_model, for
tests/unit/test_unet.c and test_vae.c. Models, inputs and timesteps follow from formulas that both sides have; the file holds
outputs alone, channels last, the long ones thinned out. Computed in f64 (the timestep's sinusoid, as always, in f32), for PyTorch's own f32
differs by 1e-6 from run to run. torch 2.9.1, diffusers 0.42.1."""
import subprocess
import sys
import tempfile

import numpy as np
import torch
from safetensors.numpy import save_file

import small_model
from small_model import Small


def numbers(*of):
    return small_model.numbers(*of).astype(np.float64)


def picture(*of):
    return small_model.picture(*of).double()


def flat(t, every=1):
    if t.dim() == 4:
        t = t.permute(0, 2, 3, 1)
    return t.reshape(-1)[::every].numpy().astype(np.float32)


def controlled(m, x, t, context, hint, scales, only_mid=False):
    """The original's sum: each output times its factor (one a picture), the skips' left out with only_mid."""
    down, mid = m.control(x, t, context, hint.expand(x.shape[0], -1, -1, -1), return_dict=False)
    outputs = [o * torch.tensor(s, dtype=torch.float64).reshape(-1, 1, 1, 1) for o, s in zip([*down, mid], scales)]
    down = [torch.zeros_like(o) if only_mid else o for o in outputs[:-1]]
    return m.unet(x, t, context, down_block_additional_residuals=down, mid_block_additional_residual=outputs[-1]).sample


def family(k, path, out):
    m = Small(path, path, parts=("unet", "vae"))
    for network in (m.unet, m.vae, m.control):
        network.double()
    width, n = (768, 1024)[k - 1], (13, 7)[k - 1]
    context = torch.from_numpy(numbers("context", 2, 7, width))
    hint = picture("map", 1, 9 * 8, 11 * 8, 3) / 4 + 0.5
    x = picture("latent", 2, 9, 11, 4)
    out[f"sd{k}.even"] = flat(m.unet(picture("latent", 1, 16, 8, 4), 999, context[:1]).sample)
    out[f"sd{k}.odd"] = flat(m.unet(x, torch.tensor(500.25), context).sample)
    down, mid = m.control(x[:1], torch.tensor([20.0]), context[:1], hint, return_dict=False)
    for i, o in enumerate([*down, mid]):
        out[f"sd{k}.control.{i}"] = flat(o, 29)
    out[f"sd{k}.controlled"] = flat(controlled(m, x, torch.tensor([1.0, 777.0]), context, hint, [[1.0, 1.0]] * n))
    scales = [[0.1 * i, 1.5 - 0.1 * i] for i in range(n)]
    out[f"sd{k}.scaled"] = flat(controlled(m, x, torch.tensor(300.0), context, hint, scales))
    out[f"sd{k}.only_mid"] = flat(controlled(m, x, torch.tensor(300.0), context, hint, scales, True))
    # The original's guess mode: the ControlNet sees the conditional half alone, and the other half gets nothing.
    down, mid = m.control(x[1:], torch.tensor(300.0), context[1:], hint, return_dict=False)
    outputs = [torch.cat([torch.zeros_like(o), o * 0.825 ** (n - 1 - i)]) for i, o in enumerate([*down, mid])]
    out[f"sd{k}.guess"] = flat(m.unet(x, torch.tensor(300.0), context, down_block_additional_residuals=outputs[:-1],
                                      mid_block_additional_residual=outputs[-1]).sample)
    out[f"sd{k}.decoded"] = flat(m.vae.decode(picture("latent", 2, 5, 3, 4)).sample, 11)
    out[f"sd{k}.encoded"] = flat(m.vae.encode(picture("picture", 2, 40, 24, 3) / 2).latent_dist.parameters)


if __name__ == "__main__":
    results = {}
    with tempfile.TemporaryDirectory() as folder, torch.no_grad():
        for k in (1, 2):
            path = f"{folder}/sd{k}.safetensors"
            subprocess.run([sys.argv[1], f"sd{k}", path, "--parts", "unet,vae,control", "--type", "mixed"], check=True)
            family(k, path, results)
    save_file(results, sys.argv[2])
    for name, x in results.items():
        print(f"{name:18} {x.size:6} values, rms {np.sqrt(np.mean(np.square(x, dtype=np.float64))):.4f}")
