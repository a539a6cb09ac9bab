# SPDX-License-Identifier: Apache-2.0
"""`mien train --replay` beside PyTorch: gradients of the first step, and the losses of 100, from the same start and the same draws, in f32.

    train_replay.py MIEN MAKE_MODEL VOCABULARY [--steps 100] [--family 12] [--case locked,unlocked,clip] [--rate 1e-5,1e-4] [--texts f16|f32] [--itself] [--threads N]

MAKE_MODEL is build/tests/make_model, VOCABULARY CLIP's bpe_simple_vocab_16e6.txt. Small random models (small_model.py), a data set of a few drawn pictures; PyTorch takes the whole way from
files to losses itself: pictures by Pillow, tokens and text by transformers, VAE, UNet and ControlNet by diffusers, torch.optim.AdamW, clip_grad_norm_. Three cases: the base locked; its decoder
trained, too; and gradients of two micro-batches summed and clipped.

    gradients   of every trained tensor, |g - g'| / |g'|, at most 1e-3 (mien's are read from AdamW's first moment after one step, which is a tenth of them). Those that should be zero
                (queries and keys where there is a single place to look at) are asked to be 1e-7 of all gradients together
    losses      |l - l'| / l' of every step, at most 1e-3

PyTorch's texts are rounded to f16, as mien's cache has them; --texts f32: they are not.
--itself: how far PyTorch's f32 is from PyTorch's f64, in the same steps. Ends with 1 if a bound is exceeded. Made with torch 2.9.1, diffusers 0.42.1, transformers 5.23."""
import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile

import torch
from diffusers.loaders.single_file_utils import convert_controlnet_checkpoint, convert_ldm_unet_checkpoint
from diffusers.utils import logging
from PIL import Image
from safetensors import safe_open
from safetensors.torch import save_file
from transformers import CLIPTokenizer

import small_model
from compare_tokens import make_folders
from make_sampler_golden import scheduler
from small_model import Small

import numpy

logging.set_verbosity_error()
ITEMS, BOUND = 6, 1e-3
# Four levels would come down to a single place at 64: group norms over two numbers there, of which only the sign is left, and a last place off is another sign.
SIZES = {1: 128, 2: 64}
CASES = {"locked": [], "unlocked": ["--unlock-decoder"], "clip": ["--accumulate", "2", "--clip", "0.05"]}


def make_set(folder, size):
    """Of blurred noise, which no network can overlook."""
    dice = numpy.random.default_rng(5)
    os.makedirs(f"{folder}/source")
    os.makedirs(f"{folder}/target")
    prompts = ["a photo of an old man, smiling", "", "two people; the left one looks up", "a child's face, close up, 35mm", "a photo of an old man, smiling", "naïve façade №5"]
    with open(f"{folder}/prompt.jsonl", "w") as lines:
        for i in range(ITEMS):
            for part in ("source", "target"):
                small = Image.fromarray(dice.integers(0, 256, (8, 8, 3), dtype=numpy.uint8))
                small.resize((size, size), Image.BICUBIC).save(f"{folder}/{part}/{i}.png")
            lines.write(json.dumps({"source": f"source/{i}.png", "target": f"target/{i}.png", "prompt": prompts[i]}) + "\n")
    return [p or "an image" for p in prompts]


def make_draws(path, rows, batch, side):
    g = torch.Generator().manual_seed(3)
    draws = {"items": torch.randint(0, ITEMS, (rows, batch), generator=g), "timesteps": torch.randint(0, 1000, (rows, batch), generator=g),
             "noise": torch.randn((rows, batch, 4, side, side), generator=g), "posterior": torch.randn((rows, batch, 4, side, side), generator=g)}
    save_file(draws, path)
    return draws


def pixels(path, size, dtype):
    """As laion_face_dataset.py has them: one pixel larger than was wanted, then cut."""
    image = Image.open(path).convert("RGB")
    width, height = (1 + int(x * size / min(image.size)) for x in image.size)
    left, top = (width - size) // 2, (height - size) // 2
    return torch.from_numpy(numpy.array(image.resize((width, height)).crop((left, top, left + size, top + size)))).permute(2, 0, 1).to(dtype)


class Torch:
    """The same steps in PyTorch."""

    def __init__(self, base, control, data, prompts, vocabulary, family, texts, dtype):
        m = Small(base, control)
        self.unet, self.control, self.dtype = m.unet.to(dtype), m.control.to(dtype), dtype
        with tempfile.TemporaryDirectory() as folder:
            make_folders(vocabulary, folder)
            tokenizer = CLIPTokenizer.from_pretrained(f"{folder}/{family}")
        ids = tokenizer(prompts, padding="max_length", max_length=77, truncation=True, return_tensors="pt").input_ids
        with torch.no_grad():
            self.context = m.text.to(dtype)(ids).last_hidden_state
            self.context = self.context.half().to(dtype) if texts == "f16" else self.context
            photos = torch.stack([pixels(f"{data}/target/{i}.png", SIZES[family], dtype) / 127.5 - 1 for i in range(ITEMS)])
            self.posterior = m.vae.to(dtype).encode(photos).latent_dist
        self.hint = torch.stack([pixels(f"{data}/source/{i}.png", SIZES[family], dtype) / 255 for i in range(ITEMS)])
        self.acp = scheduler("ddim").alphas_cumprod.to(dtype)

    def trained(self, case):
        p = list(self.control.parameters())
        if case == "unlocked":
            p += [x for n, x in self.unet.named_parameters() if n.startswith(("up_blocks.", "conv_norm_out.", "conv_out."))]
        self.unet.requires_grad_(False)
        for x in p:
            x.requires_grad_(True)
        return p

    def micro(self, draws, row):
        i, t = draws["items"][row], draws["timesteps"][row]
        noise, posterior = draws["noise"][row].to(self.dtype), draws["posterior"][row].to(self.dtype)
        latent = 0.18215 * (self.posterior.mean[i] + self.posterior.std[i] * posterior)
        a = self.acp[t].reshape(-1, 1, 1, 1)
        x = a.sqrt() * latent + (1 - a).sqrt() * noise
        down, mid = self.control(x, t, self.context[i], self.hint[i], return_dict=False)
        y = self.unet(x, t, self.context[i], down_block_additional_residuals=down, mid_block_additional_residual=mid).sample
        return ((y - noise) ** 2).mean()

    def run(self, case, draws, steps, rate):
        """Losses; and the gradients of the first step by diffusers' names."""
        parameters, each, losses, first = self.trained(case), 2 if case == "clip" else 1, [], None
        optimizer = torch.optim.AdamW(parameters, lr=rate, weight_decay=0.01)
        for step in range(steps):
            optimizer.zero_grad()
            total = 0
            for micro in range(each):
                loss = self.micro(draws, step * each + micro) / each
                loss.backward()
                total += loss.item()
            if step == 0:
                first = {n: p.grad.clone() for root, m in (("control.", self.control), ("unet.", self.unet)) for n, p in ((root + n, p) for n, p in m.named_parameters()) if p.grad is not None}
            if case == "clip":
                torch.nn.utils.clip_grad_norm_(parameters, 0.05)
            optimizer.step()
            losses.append(total)
        return losses, first


class Replay:
    def __init__(self, a, work):
        self.a, self.work, self.wrong = a, work, 0

    def models(self, k):
        paths = [f"{self.work}/{name}{k}.safetensors" for name in ("sd", "control")]
        for name, path in zip(("sd", "control"), paths):
            if not os.path.exists(path):
                subprocess.run([self.a.make_model, f"{name}{k}", path, "--type", "f32"], check=True)
        return paths

    def mien(self, k, case, steps, rate, batch, keep=False):
        """Losses; and the run's folder, if it is kept."""
        base, control = self.models(k)
        run = f"{self.work}/run"
        shutil.rmtree(run, ignore_errors=True)
        subprocess.run([self.a.mien, "train", "--base", base, "--control", control, "--data", f"{self.work}/set{k}", "--out", run, "--batch", str(batch), "--size", str(SIZES[k]), "--dtype", "f32",
                        "--lr", repr(rate), "--steps", str(steps), "--replay", f"{self.work}/draws-{case}{k}.safetensors", "--eval-every", "0", "--checkpoint-every", "0", "--keep", "1", "--quiet",
                        *(["--jobs", str(self.a.threads)] if self.a.threads else []), *CASES[case]], check=True)
        with open(f"{run}/log.jsonl") as f:
            losses = [json.loads(x)["loss"] for x in f]
        assert len(losses) == steps
        return losses, run

    def gradients(self, k, case, run, want):
        """Of one step."""
        base, control = self.models(k)
        zeros = {}   # names that were not trained, so that diffusers' converters find all of them
        for path, prefix, root in ((base, "model.diffusion_model.", "unet."), (control, "control_model.", "control."), (control, "", "control.")):
            zeros |= {root + n: torch.zeros_like(x) for n, x in small_model.read(path, prefix).items() if prefix or not n.startswith("control_model.")}
        with safe_open(f"{run}/checkpoints/step-000001/state.safetensors", "pt") as f:
            got = {n[2:]: f.get_tensor(n) / (1 - 0.9) for n in f.keys() if n.startswith("m.")}
        assert not set(got) - set(zeros), sorted(set(got) - set(zeros))[:3]
        all_ = zeros | got

        def below(root, prefix=""):
            return {prefix + n[len(root):]: x for n, x in all_.items() if n.startswith(root)}
        config = small_model.encoder_config(small_model.read(base, "model.diffusion_model."))
        ours = {"unet." + n: x for n, x in convert_ldm_unet_checkpoint(below("unet.", "model.diffusion_model."), config).items()}
        ours |= {"control." + n: x for n, x in convert_controlnet_checkpoint(below("control."), config).items()}
        whole = torch.stack([g.double().norm() for g in want.values()]).norm()
        zero = [n for n, g in want.items() if g.double().norm() < 1e-7 * whole]
        right = all(ours[n].double().norm() < 1e-7 * whole for n in zero)
        errors = {n: ((ours[n].reshape(g.shape).double() - g.double()).norm() / g.double().norm()).item() for n, g in want.items() if n not in zero}
        worst = max(errors, key=errors.get)
        within = sum(e <= BOUND for e in errors.values())
        ordered = sorted(errors.values())
        self.tell(f"gradients: {within} of {len(errors)} tensors within {BOUND:g}; worst {errors[worst]:.2e} ({worst}), median {ordered[len(ordered) // 2]:.1e}"
                  + (f"; {len(zero)} are zero" if zero else ""), right and within == len(errors) and len(want) == len(got))

    def tell(self, words, right):
        print(f"  {words}{'' if right else '   WRONG'}", flush=True)
        self.wrong += not right

    def case(self, k, case, rate, draws, prompts, batch):
        a = self.a
        how = (*self.models(k), f"{self.work}/set{k}", prompts, a.vocabulary, k, a.texts)
        print(f"SD {k}, {case}, rate {rate:g}, {a.steps} steps of {batch * (2 if case == 'clip' else 1)}:", flush=True)
        want, first = Torch(*how, torch.float32).run(case, draws, a.steps, rate)
        if case != "clip":
            _, run = self.mien(k, case, 1, rate, batch)
            self.gradients(k, case, run, first)
        got, _ = self.mien(k, case, a.steps, rate, batch)
        off = [abs(x - y) / y for x, y in zip(got, want)]
        self.tell(f"losses: {sum(e <= BOUND for e in off)} of {a.steps} within {BOUND:g}; worst {max(off):.2e} (step {off.index(max(off)) + 1}), last {off[-1]:.1e}; {want[0]:.4f} to {want[-1]:.4f}", max(off) <= BOUND)
        if a.itself:
            exact, _ = Torch(*how, torch.float64).run(case, draws, a.steps, rate)
            itself, ours = ([abs(x - y) / y for x, y in zip(z, exact)] for z in (want, got))
            print(f"  PyTorch's f32 to PyTorch's f64: worst {max(itself):.2e} (step {itself.index(max(itself)) + 1}); mien to PyTorch's f64: {max(ours):.2e}", flush=True)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("mien")
    p.add_argument("make_model")
    p.add_argument("vocabulary")
    p.add_argument("--steps", type=int, default=100)
    p.add_argument("--family", default="12")
    p.add_argument("--case", default="locked,unlocked,clip")
    p.add_argument("--rate", default="1e-5,1e-4")
    p.add_argument("--batch", type=int, default=1)
    p.add_argument("--threads", type=int, default=0)
    p.add_argument("--texts", default="f16", choices=("f16", "f32"))
    p.add_argument("--itself", action="store_true")
    a = p.parse_args()
    a.mien = os.path.abspath(a.mien)
    if a.threads:
        torch.set_num_threads(a.threads)
    with tempfile.TemporaryDirectory() as work:
        r = Replay(a, work)
        for k in map(int, a.family):
            prompts = make_set(f"{work}/set{k}", SIZES[k])
            for case in a.case.split(","):
                draws = make_draws(f"{work}/draws-{case}{k}.safetensors", a.steps * (2 if case == "clip" else 1), a.batch, SIZES[k] // 8)
                for rate in a.rate.split(","):
                    r.case(k, case, float(rate), draws, prompts, a.batch)
    sys.exit(1 if r.wrong else 0)


if __name__ == "__main__":
    main()
