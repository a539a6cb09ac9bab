#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Goldens of training's draws and of what is made with them: tests/golden/draws.safetensors.

    python tests/reference/draws_golden.py            (torch 2.9.1, diffusers 0.42, safetensors)

Draws: torch's CPU generator, seeded as src/train/draws.c does. Noising: the formulae of diffusers' DDPMScheduler (add_noise, get_velocity), whose results are looked
at, but with numpy's square root, which is exact (torch's is a last place off at some timesteps); DiagonalGaussianDistribution and compute_snr, with the weights of its
training scripts. Every number is drawn by a fixed seed.
"""
import os

import numpy
import torch
from diffusers import DDPMScheduler
from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution
from diffusers.training_utils import compute_snr
from safetensors.torch import save_file

M64, M32 = (1 << 64) - 1, (1 << 32) - 1


def mix(x):
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9 & M64
    x = (x ^ x >> 27) * 0x94D049BB133111EB & M64
    return x ^ x >> 31


def scramble(x):
    x = (x ^ x >> 16) * 0x85EBCA6B & M32
    x = (x ^ x >> 13) * 0xC2B2AE35 & M32
    return x ^ x >> 16


def draws_seed(seed, place):
    key = mix((seed + 0x9E3779B97F4A7C15 + mix(place >> 32)) & M64)
    return scramble(scramble((place & M32) + (key & M32) & M32) ^ key >> 32)


out = {}
C, H, W = 4, 4, 6
asked = [(0, 0), (0, 1), (1, 0), (42, 123456), (2**64 - 1, 2**32 + 5), (7, 2**63)]
uniform, posterior, noise, offset = [], [], [], []
for seed, place in asked:
    g = torch.Generator().manual_seed(draws_seed(seed, place))
    uniform.append(torch.rand(3, generator=g))
    posterior.append(torch.randn(C, H, W, generator=g))
    noise.append(torch.randn(C, H, W, generator=g))
    offset.append(torch.randn(C, generator=g))
out["asked"] = torch.tensor([[a - 2**64 if a >= 2**63 else a for a in pair] for pair in asked], dtype=torch.int64)
out["seeds"] = torch.tensor([draws_seed(*pair) for pair in asked], dtype=torch.int64)
out["uniform"], out["posterior"], out["noise"], out["offset"] = (torch.stack(x) for x in (uniform, posterior, noise, offset))

# One picture a timestep; the logarithms of the variances go beyond the clamp.
times = torch.tensor([0, 1, 20, 250, 500, 998, 999])
n = len(times)
g = torch.Generator().manual_seed(11)
mean = 5 * torch.randn(n, C, H, W, generator=g)
logvar = torch.randn(n, C, H, W, generator=g) * 2 - 8
logvar.view(-1)[::17] = -40.0
logvar.view(-1)[5::97] = 21.0
normal = torch.randn(n, C, H, W, generator=g)
eps = torch.randn(n, C, H, W, generator=g)
shift = torch.randn(n, C, 1, 1, generator=g)
moments = torch.cat([mean, logvar], 1)
d = DiagonalGaussianDistribution(moments)
latent = (d.mean + d.std * normal) * 0.18215
schedule = DDPMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", num_train_timesteps=1000)
shifted = eps + 0.1 * shift
acp = schedule.alphas_cumprod[times].reshape(n, 1, 1, 1)
root, rest = (torch.from_numpy(numpy.sqrt(a.numpy())) for a in (acp, 1 - acp))


def add_noise(noise):
    x = root * latent + rest * noise
    torch.testing.assert_close(schedule.add_noise(latent, noise, times), x, rtol=3e-7, atol=3e-6)
    return x


def velocity(noise):
    v = root * noise - rest * latent
    torch.testing.assert_close(schedule.get_velocity(latent, noise, times), v, rtol=3e-7, atol=3e-6)
    return v


snr = compute_snr(schedule, times)
gamma = torch.minimum(snr, torch.full_like(snr, 5.0))
out |= {"times": times, "moments": moments, "normal": normal, "eps": eps, "shift": shift.reshape(n, C), "latent": latent,
        "x": add_noise(eps), "v": velocity(eps),
        "shifted": shifted, "x_shifted": add_noise(shifted), "v_shifted": velocity(shifted),
        "weight": gamma / snr, "weight_v": gamma / (snr + 1)}
path = os.path.join(os.path.dirname(__file__), "..", "golden", "draws.safetensors")
save_file({k: v.contiguous() for k, v in out.items()}, path)
print(path, os.path.getsize(path), "bytes")
