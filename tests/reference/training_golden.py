# SPDX-License-Identifier: Apache-2.0
"""training_golden.py MAKE_MODEL OUT.txt: losses of 30 steps of training small ControlNets in PyTorch, for tests/unit/test_trainer.c:
torch.optim.AdamW on the original's parameters, inputs by formula. Of the family 1 the base is locked; of the family 2 its decoder is
trained, too, two micro-batches make a step, and gradients are clipped. In f64. torch 2.9.1, diffusers 0.42.1."""
import subprocess
import sys
import tempfile

import torch
from diffusers.loaders.single_file_utils import convert_controlnet_checkpoint, convert_ldm_unet_checkpoint

import small_model
from gradients_golden import below, leaves, network
from models_golden import numbers, picture

STEPS, SIZE, RATE, CLIP = 30, 8, 3e-4, 0.05


def micro_batch(i, width):
    return (picture(f"latent{i}", 2, SIZE, SIZE, 4), torch.tensor([float(37 * i % 1000), float(911 * i % 1000)]),
            torch.from_numpy(numbers(f"context{i}", 2, 7, width)), picture(f"map{i}", 2, 8 * SIZE, 8 * SIZE, 3) / 4 + 0.5, picture(f"target{i}", 2, SIZE, SIZE, 4))


def train(path, k):
    unlock, accumulate, clip = k == 2, k, k == 2
    frozen = leaves(small_model.read(path, "model.diffusion_model."), "unet.")
    named = frozen | leaves(small_model.read(path, "control_model."), "control.")
    trained = {n: p for n, p in named.items() if n.startswith("control.") or (unlock and n.startswith(("unet.output_blocks.", "unet.out.")))}
    for name, p in named.items():
        p.requires_grad_(name in trained)
    config = small_model.encoder_config(below(named, "unet."))
    _, unet = network(named, "unet.", small_model.unet, lambda m, n: convert_ldm_unet_checkpoint(below(n, "unet.", "model.diffusion_model."), config))
    _, control = network(named, "control.", small_model.control, lambda m, n: convert_controlnet_checkpoint(below(n, "control."), config))
    optimizer = torch.optim.AdamW(list(trained.values()), lr=RATE)
    losses = []
    for step in range(STEPS):
        optimizer.zero_grad()
        total = 0
        for micro in range(accumulate):
            x, t, context, hint, target = micro_batch(step * accumulate + micro, (768, 1024)[k - 1])
            down, mid = control(x, t, context, hint, return_dict=False)
            y = unet(x, t, context, down_block_additional_residuals=down, mid_block_additional_residual=mid).sample
            loss = ((y - target) ** 2).mean() / accumulate
            loss.backward()
            total += loss.item()
        norm = torch.nn.utils.clip_grad_norm_(trained.values(), CLIP).item() if clip else 0
        optimizer.step()
        losses.append((total, norm))
    return losses


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder, open(sys.argv[2], "w") as out:
        out.write("# family step loss norm: tests/reference/training_golden.py\n")
        for k in (1, 2):
            path = f"{folder}/sd{k}.safetensors"
            subprocess.run([sys.argv[1], f"sd{k}", path, "--parts", "unet,vae,control", "--type", "f32"], check=True)
            for step, (loss, norm) in enumerate(train(path, k)):
                out.write(f"{k} {step + 1} {loss:.9g} {norm:.9g}\n")
