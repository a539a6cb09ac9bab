# SPDX-License-Identifier: Apache-2.0
"""training_targets_golden.py MAKE_MODEL OUT.txt: losses of ten steps of training a small base (UNet and text encoder) and small VAEs in PyTorch, for
tests/unit/test_trainer_targets.c: torch.optim.AdamW, inputs by formula. The VAEs' losses are those of ldm's contperceptual.py without perceptual and adversarial parts,
divided by the numbers of a picture: absolute errors with its weight of the divergence, and squares with a weight that shows. In f64. torch 2.9.1, diffusers 0.42.1,
transformers 5.23."""
import subprocess
import sys
import tempfile

import torch
from diffusers.loaders.single_file_utils import convert_ldm_unet_checkpoint, convert_ldm_vae_checkpoint
from torch.func import functional_call

import small_model
from clip_golden import ids
from gradients_golden import below, leaves, network
from models_golden import picture
from small_model import Small

STEPS, RATE, HEIGHT, WIDTH = 10, 1e-4, 8, 6


def run(parameters, loss_of):
    optimizer = torch.optim.AdamW(parameters, lr=RATE)
    for step in range(STEPS):
        optimizer.zero_grad()
        loss, divergence = loss_of(step)
        loss.backward()
        optimizer.step()
        yield loss.item(), float(divergence)


def base(path):
    named = leaves(small_model.read(path, "model.diffusion_model."), "unet.")
    config = small_model.encoder_config(below(named, "unet."))
    _, unet = network(named, "unet.", small_model.unet, lambda m, n: convert_ldm_unet_checkpoint(below(n, "unet.", "model.diffusion_model."), config))
    text = Small(path, parts=("text",)).text.double().requires_grad_(True)

    def loss_of(i):
        t = torch.tensor([float(37 * i % 1000), float(911 * i % 1000)])
        context = text((ids(2, 7, 500) + 11 * i) % 500).last_hidden_state
        y = unet(picture(f"latent{i}", 2, HEIGHT, WIDTH, 4).double(), t, context).sample
        return ((y - picture(f"target{i}", 2, HEIGHT, WIDTH, 4)) ** 2).mean(), 0

    return run(list(named.values()) + list(text.parameters()), loss_of)


def vae(path, absolute, weight):
    named = leaves(small_model.read(path, "first_stage_model."), "vae.")
    m = small_model.vae({k: v.detach() for k, v in below(named, "vae.").items()}).double()

    class Both(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.vae = m

        def forward(self, x, noise):
            posterior = self.vae.encode(x).latent_dist
            return self.vae.decode(posterior.mean + posterior.std * noise).sample, posterior.kl().mean()

    def loss_of(i):
        parameters = convert_ldm_vae_checkpoint(below(named, "vae.", "first_stage_model."), m.config)
        x = (picture(f"picture{i}", 2, 8 * HEIGHT, 8 * WIDTH, 3) / 2).double()
        y, divergence = functional_call(Both(), {"vae." + k: v for k, v in parameters.items()}, (x, picture(f"posterior{i}", 2, HEIGHT, WIDTH, 4)))
        error = (y - x).abs() if absolute else (y - x) ** 2
        return error.mean() + weight * divergence / x[0].numel(), divergence.item()

    return run(list(named.values()), loss_of)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder, open(sys.argv[2], "w") as out:
        out.write("# target step loss divergence: tests/reference/training_targets_golden.py\n")
        whole, auto = f"{folder}/base.safetensors", f"{folder}/vae.safetensors"
        subprocess.run([sys.argv[1], "sd2", whole, "--parts", "unet,text", "--type", "f32", "--vocabulary", "500", "--context", "192"], check=True)
        subprocess.run([sys.argv[1], "sd1", auto, "--parts", "vae", "--type", "f32"], check=True)
        for name, losses in (("base", base(whole)), ("l1", vae(auto, True, 1e-6)), ("mse", vae(auto, False, 100))):
            for step, (loss, divergence) in enumerate(losses):
                out.write(f"{name} {step + 1} {loss:.9g} {divergence:.9g}\n")
