#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes tests/golden/sampler.txt: the schedules of diffusers' schedulers and of the original's DDIM, and runs of both beside a made-up UNet.

    alphas START END STEPS FNV FNV              64-bit FNV-1a of the f32 bytes of betas and alphas_cumprod
    schedule SAMPLER SPACING OFFSET FROM TO COUNT FNV FNV SUM SUM
                                                over all numbers of steps in FROM..TO: how many timesteps, FNV of them all as f32, of
                                                alpha and previous alpha (ddim), the sum of the sigmas, of the factors of the first noise
    refused SAMPLER STEPS                       the reference fails
    run SAMPLER PREDICTION SPACING ETA STEPS I X...     x after step I (from 0), 8 values

A scheduler is made as users make it: Class.from_config(pipe.scheduler.config), from the PNDM config that Stable Diffusion folders have.

    python tests/reference/make_sampler_golden.py        (recorded with diffusers 0.42.1, torch 2.9.1, numpy 2.4.6)"""
import os, warnings

import numpy
import torch
from diffusers import (DDIMScheduler, DPMSolverMultistepScheduler, EulerAncestralDiscreteScheduler, EulerDiscreteScheduler, PNDMScheduler,
                       UniPCMultistepScheduler)

warnings.filterwarnings("ignore")
golden = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "golden", "sampler.txt")
f32 = numpy.float32
FNV_BEGIN = 0xcbf29ce484222325
DIFFUSERS = ("ddim", "euler", "euler_a", "dpmpp_2m", "dpmpp_2m_karras", "unipc")

def fnv1a(values, h=FNV_BEGIN):
    for b in numpy.asarray(values, "<f4").tobytes():
        h = (h ^ b) * 0x100000001b3 & 0xffffffffffffffff
    return h

def scheduler(name, v=False, spacing="default", offset=1):
    given = dict(num_train_timesteps=1000, beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", set_alpha_to_one=False,
                 skip_prk_steps=True, steps_offset=offset, prediction_type="v_prediction" if v else "epsilon")
    if spacing != "default":
        given["timestep_spacing"] = spacing
    config = PNDMScheduler(**given).config
    if name == "ddim":
        return DDIMScheduler.from_config(config, clip_sample=False)
    if name == "euler":
        return EulerDiscreteScheduler.from_config(config)
    if name == "euler_a":
        return EulerAncestralDiscreteScheduler.from_config(config)
    if name == "unipc":
        return UniPCMultistepScheduler.from_config(config)
    return DPMSolverMultistepScheduler.from_config(config, use_karras_sigmas=name == "dpmpp_2m_karras")

class Original:
    """The original's DDIM: ldm's register_schedule ("linear"), make_ddim_timesteps ("uniform") and make_ddim_sampling_parameters, and
    cldm/ddim_hacked.py's p_sample_ddim, in numpy."""
    init_noise_sigma = 1.0

    def __init__(self, v):
        betas = numpy.linspace(0.00085 ** 0.5, 0.012 ** 0.5, 1000, dtype=numpy.float64) ** 2
        cumprod = numpy.cumprod(1.0 - betas)
        self.alphas_cumprod = cumprod.astype(f32)
        self.sqrt_alphas_cumprod, self.sqrt_one_minus_alphas_cumprod = numpy.sqrt(cumprod).astype(f32), numpy.sqrt(1.0 - cumprod).astype(f32)
        self.v = v

    def set_timesteps(self, steps, eta=0.0):
        c = 1000 // steps
        t = numpy.asarray(list(range(0, 1000, c))) + 1
        self.alphas = self.alphas_cumprod[t]                                   # IndexError: refused
        self.alphas_prev = numpy.concatenate([self.alphas_cumprod[:1], self.alphas_cumprod[t[:-1]]])
        prev = self.alphas_prev.astype(numpy.float64)
        self.sigmas = (eta * numpy.sqrt((1 - prev) / (1 - self.alphas) * (1 - self.alphas / prev))).astype(f32)
        self.timesteps = numpy.flip(t)

    def step(self, output, i, x, noise):
        index, t = len(self.timesteps) - 1 - i, self.timesteps[i]
        a, prev, sigma = self.alphas[index], self.alphas_prev[index], self.sigmas[index]
        if self.v:
            e = self.sqrt_alphas_cumprod[t] * output + self.sqrt_one_minus_alphas_cumprod[t] * x
            x0 = self.sqrt_alphas_cumprod[t] * x - self.sqrt_one_minus_alphas_cumprod[t] * output
        else:
            e = output
            x0 = (x - numpy.sqrt(f32(1) - a) * e) / numpy.sqrt(a)
        return numpy.sqrt(prev) * x0 + numpy.sqrt(f32(1) - prev - sigma * sigma) * e + sigma * noise

def model(u, t):
    """A smooth function of x and t, in operations that round the same everywhere."""
    pattern = (numpy.arange(8).astype(f32) - f32(3.5)) * f32(0.0625)
    return (u * (f32(0.5) + f32(t) * f32(0.0005))) / (f32(1) + f32(0.125) * (u * u)) + pattern

def first_noise():
    return numpy.array([1.5, -0.75, 0.3125, -2.25, 0.0625, 0.9375, -1.125, 1.875], f32)

def run_diffusers(name, v, spacing, eta, steps):
    s = scheduler(name, v, spacing)
    s.set_timesteps(steps)
    g = torch.Generator().manual_seed(9)
    x = torch.from_numpy(first_noise()).reshape(1, 4, 1, 2) * s.init_noise_sigma
    for t in s.timesteps:
        u = s.scale_model_input(x, t).numpy().ravel()
        more = {"ddim": {"eta": eta, "generator": g}, "unipc": {}}.get(name, {"generator": g})
        x = s.step(torch.from_numpy(model(u, t.item())).reshape(1, 4, 1, 2), t, x, **more).prev_sample
        yield x.numpy().ravel()

def run_original(v, eta, steps):
    s = Original(v)
    s.set_timesteps(steps, eta)
    g = torch.Generator().manual_seed(9)
    x = first_noise()
    for i, t in enumerate(s.timesteps):
        x = s.step(model(x, t), i, x, torch.randn(8, generator=g).numpy() if eta else f32(0))
        yield x

def schedules(f, name, spacing, offset, ranges):
    for first, last in ranges:
        count, times, alphas, sigmas, initial = 0, FNV_BEGIN, FNV_BEGIN, 0.0, 0.0
        for steps in range(first, last + 1):
            s = Original(False) if name == "ddim_original" else scheduler(name, False, spacing, offset)
            try:
                s.set_timesteps(steps)
            except IndexError:
                print("refused", name, steps, file=f)
                continue
            t = numpy.asarray(s.timesteps)
            if spacing == "trailing" and len(t) == steps + 1:   # a rounding error of numpy.arange: one more, of timestep -1
                t = t[:-1]
                if name != "ddim":
                    s.sigmas = torch.cat([s.sigmas[:-2], s.sigmas[-1:]])
            count += len(t)
            times = fnv1a(t, times)
            if name == "ddim":
                for i in t:
                    before = i - 1000 // steps
                    alphas = fnv1a([s.alphas_cumprod[i], s.alphas_cumprod[before] if before >= 0 else s.final_alpha_cumprod], alphas)
            elif name == "ddim_original":
                for i in reversed(range(len(t))):
                    alphas = fnv1a([s.alphas[i], s.alphas_prev[i]], alphas)
            else:
                sigmas += s.sigmas.double().sum().item()
            initial += float(s.init_noise_sigma)
        print("schedule", name, spacing, offset, first, last, count, "%016x %016x %.9g %.9g" % (times, alphas, sigmas, initial), file=f)

def print_run(f, name, v, spacing, eta, steps, xs, every):
    for i, x in enumerate(xs):
        if every or i == last_of(name, steps):
            print("run", name, "v" if v else "epsilon", spacing, eta, steps, i, *("%.9g" % a for a in x), file=f)

def last_of(name, steps):
    return len(range(0, 1000, 1000 // steps)) - 1 if name == "ddim_original" else steps - 1

def main():
    tens = [(i, i + 9) for i in range(1, 100, 10)]
    with open(golden, "w") as f:
        for start, end, steps in ((0.00085, 0.012, 1000), (0.0001, 0.02, 1000), (0.00085, 0.012, 999), (0.001, 0.01, 37)):
            s = DDIMScheduler(num_train_timesteps=steps, beta_start=start, beta_end=end, beta_schedule="scaled_linear")
            print("alphas", start, end, steps, "%016x %016x" % (fnv1a(s.betas), fnv1a(s.alphas_cumprod)), file=f)
        for name in DIFFUSERS:
            more = [(s, s) for s in (125, 200, 250, 333, 500, 999)]
            schedules(f, name, "default", 1, tens + more)
            if name != "dpmpp_2m_karras":
                for spacing, offset in (("leading", 0), ("leading", 1), ("linspace", 1), ("trailing", 1)):
                    schedules(f, name, spacing, offset, [(1, 100)])
        schedules(f, "ddim_original", "default", 1, tens + [(s, s) for s in (125, 200, 250, 334, 500)])
        for v in (False, True):
            for steps in (1, 2, 3, 4, 5, 7, 10, 20, 25, 30, 50, 100):
                for name in DIFFUSERS:
                    print_run(f, name, v, "default", 0, steps, run_diffusers(name, v, "default", 0.0, steps), steps == 7)
                if steps != 3:
                    print_run(f, "ddim_original", v, "default", 0, steps, run_original(v, 0.0, steps), steps == 7)
            for steps in (4, 20):
                for eta in (0.5, 1.0):
                    print_run(f, "ddim", v, "default", eta, steps, run_diffusers("ddim", v, "default", eta, steps), False)
                    print_run(f, "ddim_original", v, "default", eta, steps, run_original(v, eta, steps), False)
                for name in DIFFUSERS:
                    for spacing in ("leading", "linspace", "trailing"):
                        if name != "dpmpp_2m_karras":
                            print_run(f, name, v, spacing, 0, steps, run_diffusers(name, v, spacing, 0.0, steps), False)

if __name__ == "__main__":
    main()
