#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Speed and memory of `mien train` beside PyTorch's way (diffusers' UNet and ControlNet, bf16 autocast, fused AdamW, channels last), in turns in one run.

    train.py MIEN MAKE_MODEL [--models DIR] [--work DIR] [--family 2|1|12] [--batch 1] [--size 512] [--dtype bf16|f32] [--rounds 2] [--steps 4]
             [--only step,encode,levels,memory] [--levels 9G,8G] [--photo FILE] [--threads N] [--small]

MAKE_MODEL is build/tests/make_model. Models are random, of the real shapes of SD 2.1 and 1.5 (3.4 GB a family), made once in DIR (default: a temporary folder). --small: small ones,
to see that this works. What is measured (--only: some of it):

    step      one training step of a ControlNet, the base locked, latents and texts from a warm cache, nothing computed twice: seconds, ratio, peak memory, wait for data
    encode    images/s with that cache, and with none (VAE and text encoder work in every step, on both sides)
    levels    the same step with less and less memory (--memory; --levels names the limits)
    memory    the step with --memory 6G --optimizer adamw8

Each side runs in a process of its own that ends before the other's begins, so that no memory and no waiting threads of one are in the other's way; a round is one process of
each. The first step of a process is not counted. mien's seconds are those of its log.jsonl, so reading ahead, updates and the wait for data are in them; its process is ended (kill -9)
when the steps are done, since the checkpoint at the end (4.4 GB) is no part of a step. The free disk must have room for three of them all the same: mien asks for that before it begins.
PyTorch's frozen UNet is in bf16, as diffusers' train_controlnet.py has it; its peak is that of the steps alone, without loading. Written for torch 2.9.1, diffusers 0.42.1."""
import argparse
import json
import os
import random
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

here = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(here, "..", "tests", "reference"))

ITEMS = 6
NAMES = {1: "SD 1.5", 2: "SD 2.1"}


def peak_memory():
    for line in open("/proc/self/status"):
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return 0


# ---- PyTorch's side: one process, a line of JSON a step -------------------------------------------------------------------------------

def peer(base, control_file, dtype, size, batch, encode, steps, threads):
    import contextlib

    import torch
    from small_model import Small

    if threads:
        torch.set_num_threads(threads)
    m = Small(base, control_file, parts=("unet", "vae", "text") if encode else ("unet",))
    kind = torch.bfloat16 if dtype == "bf16" else torch.float32
    unet, control = m.unet.to(kind, memory_format=torch.channels_last), m.control.float().to(memory_format=torch.channels_last)
    if encode:
        m.vae.to(kind, memory_format=torch.channels_last)
        m.text.to(kind)
        words = m.text.config.vocab_size
    control.requires_grad_(True)
    context_width = control.config.cross_attention_dim
    optimizer = torch.optim.AdamW(control.parameters(), lr=1e-5, weight_decay=0.01, fused=True)
    generator = torch.Generator().manual_seed(1)
    scales = torch.linspace(0.99, 0.07, 1000)

    def normal(*shape):
        return torch.randn(shape, generator=generator)
    photo, hint = normal(batch, 3, size, size).clamp(-1, 1).contiguous(memory_format=torch.channels_last), torch.rand(batch, 3, size, size).contiguous(memory_format=torch.channels_last)
    ids = torch.randint(0, words, (batch, 77), generator=generator) if encode else None
    moments, kept = normal(batch, 8, size // 8, size // 8), normal(batch, 77, context_width)
    autocast = (lambda: torch.autocast("cpu", dtype=torch.bfloat16)) if dtype == "bf16" else contextlib.nullcontext
    try:
        open("/proc/self/clear_refs", "w").write("5")
    except OSError:
        pass
    print(json.dumps({"torch": torch.__version__, "threads": torch.get_num_threads()}), flush=True)
    for _ in range(steps):
        begin = time.time()
        with torch.no_grad():
            context = kept
            if encode:
                moments, context = m.vae._encode(photo.to(kind)).float(), m.text(ids).last_hidden_state
            mean, spread = moments.chunk(2, 1)
            latent = 0.18215 * (mean + torch.exp(0.5 * spread.clamp(-30, 20)) * normal(*mean.shape))
            t, noise = torch.randint(0, 1000, (batch,), generator=generator), normal(*mean.shape)
            a = scales[t].reshape(-1, 1, 1, 1)
            x = (a * latent + (1 - a * a).sqrt() * noise).contiguous(memory_format=torch.channels_last)
        with autocast():
            down, mid = control(x, t, encoder_hidden_states=context, controlnet_cond=hint, return_dict=False)
            y = unet(x.to(kind), t, encoder_hidden_states=context.to(kind), down_block_additional_residuals=[d.to(kind) for d in down], mid_block_additional_residual=mid.to(kind)).sample
            loss = torch.nn.functional.mse_loss(y.float(), noise)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        loss.item()
        print(json.dumps({"seconds": time.time() - begin, "peak_bytes": peak_memory()}), flush=True)


# ---- this side ------------------------------------------------------------------------------------------------------------------------

def spread(x):
    return f"{min(x):.3f} s best, {statistics.median(x):.3f} median of {len(x)}" if x else "-"


def ratio(ours, theirs):
    return f"{min(theirs) / min(ours):.2f} times (best), {statistics.median(theirs) / statistics.median(ours):.2f} (median)"


def gb(n):
    return f"{n / 1e9:.2f} GB"


def make_set(folder, photo, size):
    """Photos cut out of one (or drawn), and maps of ellipses: what is in them changes no time."""
    from PIL import Image, ImageDraw, ImageFilter

    dice = random.Random(1)
    side = size * 5 // 4
    if photo:
        source = Image.open(photo).convert("RGB").resize((2 * side, 2 * side))
    else:
        source = Image.effect_noise((side // 4, side // 4), 90).resize((2 * side, 2 * side)).convert("RGB").filter(ImageFilter.GaussianBlur(2))
    os.makedirs(f"{folder}/source")
    os.makedirs(f"{folder}/target")
    with open(f"{folder}/prompt.jsonl", "w") as lines:
        for i in range(ITEMS):
            x, y = dice.randrange(side), dice.randrange(side)
            source.crop((x, y, x + side, y + side)).save(f"{folder}/target/{i}.jpg", quality=90)
            image = Image.new("RGB", (side, side))
            d = ImageDraw.Draw(image)
            for color in ((10, 200, 10), (180, 10, 180), (10, 180, 180)):
                a, b = dice.randrange(side // 2), dice.randrange(side // 2)
                d.ellipse((a, b, a + side // 3, b + side // 3), outline=color, width=2)
            image.save(f"{folder}/source/{i}.png")
            lines.write(json.dumps({"source": f"source/{i}.png", "target": f"target/{i}.jpg", "prompt": f"a photo of person {i}, looking left"}) + "\n")


class Refused(Exception):
    pass


class Bench:
    def __init__(self, a):
        self.a = a

    def model(self, name):
        path = os.path.join(self.a.models, f"{name}{'-small' if self.a.small else ''}.safetensors")
        if not os.path.exists(path):
            subprocess.run([self.a.make_model, name, path + ".part", *([] if self.a.small else ["--real"])], check=True)
            os.rename(path + ".part", path)
        return path

    def pytorch(self, k, encode=False):
        """Lines of its steps but the first."""
        command = [sys.executable, os.path.abspath(__file__), "--peer", self.model(f"sd{k}"), self.model(f"control{k}"), self.a.dtype, str(self.a.size), str(self.a.batch),
                   "1" if encode else "", str(self.a.steps + 1), str(self.a.threads)]
        done = subprocess.run(command, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, stderr=None if self.a.verbose else subprocess.DEVNULL, text=True)
        lines = [json.loads(x) for x in done.stdout.splitlines()]
        if done.returncode or len(lines) != self.a.steps + 2:
            raise SystemExit(f"PyTorch's side ended with {done.returncode} (--verbose shows why)")
        self.about = f"PyTorch {lines[0]['torch']}, {lines[0]['threads']} threads"
        return lines[2:]

    def mien(self, k, steps, *options, run=None):
        """Lines of log.jsonl, all of them, and the plan that stderr told of."""
        run, said = run or f"{self.work}/run{k}", f"{self.work}/said"
        log = f"{run}/log.jsonl"
        begun = os.path.exists(f"{run}/settings.json")
        if os.path.exists(log):
            os.remove(log)
        command = [self.a.mien, "train", "--base", self.model(f"sd{k}"), "--control", self.model(f"control{k}"), "--data", f"{self.work}/set", "--out", run, "--batch", str(self.a.batch),
                   "--size", str(self.a.size), "--dtype", self.a.dtype, "--checkpoint-every", "0", "--eval-every", "0", "--keep", "1",
                   "--cache-folder", f"{self.work}/cache{k}", *(["--jobs", str(self.a.threads)] if self.a.threads else []), *(["--resume"] if begun else []), *options]
        lines = []
        with open(said, "w") as err:
            child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=err)
            try:
                while len(lines) < steps and child.poll() is None:
                    time.sleep(0.05)
                    if os.path.exists(log):
                        with open(log) as f:
                            lines = [json.loads(x) for x in f.read().split("\n")[:-1]]
            finally:
                child.kill()
                child.wait()
        with open(said) as f:
            words = f.read()
        if len(lines) < steps:
            wrong = [x for x in words.splitlines() if x.startswith("mien")]
            raise Refused(wrong[-1] if wrong else f"mien train ended with {child.returncode}")
        return lines[:steps], plan_of(words)

    def counted(self, k, *options, run=None):
        lines, plan = self.mien(k, self.a.steps + 1, *options, run=run)
        return lines[1:], plan

    def fill(self, k):
        """A first run over all items fills the cache."""
        steps = (ITEMS + self.a.batch - 1) // self.a.batch
        lines, _ = self.mien(k, max(steps, 2))
        seconds = [x["seconds"] for x in lines[1:]]
        print(f"  {'filling the cache':34} mien {self.a.batch / statistics.median(seconds):.4f} images/s, peak {gb(max(x['peak_bytes'] for x in lines))}", flush=True)

    def step(self, k):
        """All four in turns: so that a neighbour who wakes up in the middle slows down all of them."""
        ours, theirs, ours_none, theirs_none, plan, encode = [], [], [], [], {}, "encode" in self.a.only
        for _ in range(self.a.rounds):
            lines, plan = self.counted(k)
            ours += lines
            theirs += self.pytorch(k)
            ours_none += self.counted(k, "--cache", "none")[0] if encode else []
            theirs_none += self.pytorch(k, True) if encode else []
        a, b = [x["seconds"] for x in ours], [x["seconds"] for x in theirs]
        print(f"  one step, warm cache               mien {spread(a)}; {self.about}: {spread(b)}: {ratio(a, b)}   (asked: 2.0, the goal 2.5)")
        ours_peak, theirs_peak = max(x["peak_bytes"] for x in ours), max(x["peak_bytes"] for x in theirs)
        print(f"  peak memory (VmHWM)                mien {gb(ours_peak)}, PyTorch {gb(theirs_peak)}: {ours_peak / theirs_peak:.2f} of it   (asked: 8.5 GB, the goal 8.0)")
        self.planned(plan, ours_peak)
        print(f"  waiting for data                   {100 * sum(x.get('wait', 0) for x in ours) / sum(a):.3f}% of the step   (asked: under 1%)", flush=True)
        for who, warm, none in (("mien", ours, ours_none), ("PyTorch", theirs, theirs_none)):
            if encode:
                w, n = (statistics.median(x["seconds"] for x in lines) for lines in (warm, none))
                print(f"  {who + ': images/s':34} {self.a.batch / w:.4f} with a warm cache, {self.a.batch / n:.4f} with none: {n / w:.2f} times the time; peak with none "
                      + gb(max(x["peak_bytes"] for x in none)), flush=True)
        self.free, self.plan = statistics.median(a), plan

    def planned(self, plan, peak):
        if plan.get("memory"):
            print(f"  planned                            {gb(plan['memory'])}, {100 * (plan['memory'] / peak - 1):+.1f}% of the measured peak ("
                  + ", ".join(f"{name} {gb(n)}" for name, n in plan.items() if name not in ("memory", "disk", "cache", "checkpoints")) + ")", flush=True)

    def levels(self, k):
        limits = self.a.levels.split(",") if self.a.levels else self.choose()
        for limit in limits:
            try:
                lines, p = self.counted(k, "--memory", limit)
            except Refused as e:
                print(f"  --memory {limit:25} refused: {e}", flush=True)
                continue
            seconds, peak = [x["seconds"] for x in lines], max(x["peak_bytes"] for x in lines)
            print(f"  --memory {limit:25} {spread(seconds)}: {100 * (statistics.median(seconds) / self.free - 1):+.1f}% time; peak {gb(peak)}, activations {gb(p.get('activations', 0))}; {p.again}",
                  flush=True)

    def choose(self):
        """Limits of the whole process: with three quarters of what activations take, a half, a quarter; and none."""
        whole, activations = self.plan.get("memory", 0), self.plan.get("activations", 0)
        return [f"{int((whole - (1 - part) * activations) / 1e6)}M" for part in (0.75, 0.5, 0.25)] + [f"{int((whole - activations) / 1e6)}M"]

    def memory(self, k):
        limit = f"{int(self.plan.get('memory', 0) * 0.95 / 1e6)}M" if self.a.small else "6G"
        how, run = ("--memory", limit, "--optimizer", "adamw8"), f"{self.work}/run{k}-adamw8"   # another optimiser, another run
        try:
            lines, plan = self.counted(k, *how, run=run)
        except Refused as e:
            print(f"  --memory {limit} --optimizer adamw8: refused: {e}", flush=True)
            return
        peak = max(x["peak_bytes"] for x in lines)
        print(f"  {'--memory ' + limit + ' --optimizer adamw8':34} {spread([x['seconds'] for x in lines])}; peak {gb(peak)}   (asked: 6.0 GB, the goal 5.2)")
        self.planned(plan, peak)

    def family(self, k):
        print(f"{NAMES[k]}{' (small)' if self.a.small else ''}, a ControlNet trained, {self.a.size}x{self.a.size}, batch {self.a.batch}, {self.a.dtype}:", flush=True)
        self.fill(k)
        self.step(k)
        for name in ("levels", "memory"):
            if name in self.a.only:
                getattr(self, name)(k)


def plan_of(words):
    """The plan's lines: "activations   2.10 GB   nothing is computed twice"."""
    units = {"bytes": 1, "KB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12}
    plan = {}
    for line in words.splitlines():
        m = re.match(r"(\w+)\s+([0-9.]+) (bytes|[KMGT]B)\b\s*(.*)", line)
        if m:
            plan[m[1]] = float(m[2]) * units[m[3]]
            if m[1] == "activations":
                plan["again"] = m[4]
    again = plan.pop("again", "")
    return Plan(plan, again)


class Plan(dict):
    def __init__(self, sizes, again):
        super().__init__(sizes)
        self.again = again


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("mien")
    p.add_argument("make_model")
    p.add_argument("--models")
    p.add_argument("--work")
    p.add_argument("--family", default="2")
    p.add_argument("--batch", type=int, default=1)
    p.add_argument("--size", type=int)
    p.add_argument("--dtype", default="bf16", choices=("bf16", "f32"))
    p.add_argument("--rounds", type=int, default=2)
    p.add_argument("--steps", type=int, default=4)
    p.add_argument("--only", default="step,encode,levels,memory")
    p.add_argument("--levels")
    p.add_argument("--photo")
    p.add_argument("--threads", type=int, default=0, help="of both sides (default 0: all cores)")
    p.add_argument("--small", action="store_true")
    p.add_argument("--verbose", action="store_true")
    a = p.parse_args()
    a.size = a.size or (64 if a.small else 512)
    a.mien, a.make_model, a.only = os.path.abspath(a.mien), os.path.abspath(a.make_model), a.only.split(",")
    b = Bench(a)
    with tempfile.TemporaryDirectory(dir=a.work) as b.work:
        a.models = a.models or b.work
        os.makedirs(a.models, exist_ok=True)
        make_set(f"{b.work}/set", a.photo, a.size)
        for k in a.family:
            try:
                b.family(int(k))
            except Refused as e:
                sys.exit(f"mien train: {e}")
            for folder in ("run{}", "run{}-adamw8", "cache{}"):
                shutil.rmtree(f"{b.work}/{folder.format(k)}", ignore_errors=True)


if __name__ == "__main__":
    if len(sys.argv) > 1 and sys.argv[1] == "--peer":
        peer(*sys.argv[2:5], int(sys.argv[5]), int(sys.argv[6]), bool(sys.argv[7]), int(sys.argv[8]), int(sys.argv[9]))
    else:
        main()
