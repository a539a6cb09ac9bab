# SPDX-License-Identifier: Apache-2.0
"""A whole small Stable Diffusion from nothing, by mien alone, in some tens of minutes on a CPU: does training converge, and does the control obey?

train_converges.py MIEN FOLDER [--stages data,vae,base,control,unlocked,pictures,report] [--vae-steps N ...] [--jobs 1] [--png docs/convergence.png]

Cartoons (cartoons.py) with their landmarks; a base of config files (`mien init --scratch`); its VAE, then its UNet and text encoder, then a ControlNet
for it, first with the base locked, then with its decoder unlocked, each by `mien train`; then pictures of held-out maps by `mien generate`: with the map, with another's, without. A stage that was broken off is
gone on with, and one that is done is left alone. FOLDER needs 1 GB.

What is measured of the pictures, all of held-out cartoons, each beside its target:
  pixels     the root of the mean square difference, of 255, with each picture's own map, with another's, without control; and of the targets that
             went through the VAE alone
  faces      in how many `mien annotate` finds a face, and how far its landmarks (those that a map shows) are from those that it finds in the target, in parts
             of the distance between the eyes
  gaze       the correlation of where the dark of an eye lies (within the lids of the map) with where the cartoon looks

Python with torch and diffusers (make peers) computes nothing here but the floor of the VAE and its latents' spread."""
import argparse
import json
import os
import pathlib
import shutil
import subprocess
import sys
import time

import numpy as np
from PIL import Image, ImageDraw

import cartoons

SIZE, HELD, FIRST_HELD = 128, 48, 100000
CONFIGS = {
    "unet": {"_class_name": "UNet2DConditionModel", "block_out_channels": [64, 128], "layers_per_block": 1, "cross_attention_dim": 64, "attention_head_dim": 4,
             "down_block_types": ["CrossAttnDownBlock2D", "CrossAttnDownBlock2D"], "up_block_types": ["CrossAttnUpBlock2D", "CrossAttnUpBlock2D"],
             "norm_num_groups": 16, "sample_size": SIZE // 8},
    "vae": {"_class_name": "AutoencoderKL", "block_out_channels": [16, 32, 48, 64], "layers_per_block": 1, "norm_num_groups": 8},
    "text_encoder": {"model_type": "clip_text_model", "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 2},
    "scheduler": {"_class_name": "DDIMScheduler", "beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "prediction_type": "epsilon", "steps_offset": 1},
}
DRAWN = sorted({i for part in ([cartoons.OVAL], cartoons.LOWER_LID, cartoons.UPPER_LID, cartoons.LOWER_BROW, cartoons.UPPER_BROW, cartoons.OUTER_LIPS, cartoons.INNER_LIPS)
                for line in part for i in line} | set(cartoons.IRIS))


def mien(a, *words):
    r = subprocess.run([a.mien, *map(str, words), "-j", str(a.jobs)], capture_output=True, text=True)
    if r.returncode not in (0, 3):
        sys.exit(f"mien {words[0]}: {r.stderr[-2000:]}")
    return r


def last(folder, name):
    """Of a run's latest checkpoint."""
    return sorted(pathlib.Path(folder, "checkpoints").glob("step-*"))[-1] / name


def log_of(run):
    with open(f"{run}/log.jsonl") as f:
        return [json.loads(line) for line in f]


# ---- training ---------------------------------------------------------------------------------------------------------------

def data(a):
    for name, count, first in (("data", a.count, 0), ("held", HELD, FIRST_HELD)):
        if not os.path.exists(f"{name}/prompt.jsonl") or sum(1 for _ in open(f"{name}/prompt.jsonl")) != count:
            cartoons.write_all(name, count, SIZE, 0, a.mien, first)


def train(a, what, base, steps, *more):
    """Returns where its latest checkpoint is. A run that is there is gone on with."""
    there = os.path.exists(f"{what}/settings.json")
    if not there or len(log_of(what)) < steps:
        begin = time.time()
        mien(a, "train", "--base", base, "--data", "data", "--out", what, "--size", SIZE, "--steps", steps, "--eval-every", 0, "--checkpoint-every", 500, "--keep", 1,
             "--lr-schedule", "cosine", "--warmup", 50, *(["--resume"] if there else []), *more)
        print(f"{what}: {steps} steps in {time.time() - begin:.0f} s", flush=True)


def latents(a, vae, names):
    """Moments' means of pictures by a diffusers module, [N,4,h,w]."""
    import torch
    x = torch.from_numpy(np.stack([np.asarray(Image.open(n).convert("RGB")) for n in names])).permute(0, 3, 1, 2).float() / 127.5 - 1
    with torch.no_grad():
        return vae.encode(x).latent_dist.mean


def diffusers_vae(a, base):
    from diffusers import AutoencoderKL
    shutil.rmtree("as_diffusers", ignore_errors=True)
    mien(a, "convert", base, "as_diffusers", "--to", "diffusers")
    return AutoencoderKL.from_pretrained("as_diffusers/vae")


def rescaled(a, base, out):
    """The factor that latents are multiplied by is 1 / their spread: of a new VAE it is not Stable Diffusion's 0.18215."""
    from safetensors import safe_open
    from safetensors.torch import save_file
    spread = float(latents(a, diffusers_vae(a, base), [f"data/target/{i:05d}.png" for i in range(64)]).std())
    with safe_open(base, "pt") as f:
        tensors, metadata = {k: f.get_tensor(k) for k in f.keys()}, f.metadata()
    save_file(tensors, out, {**metadata, "mien.vae_scale": f"{1 / spread:.6g}"})
    print(f"latents spread {spread:.3f}: scale {1 / spread:.4f}")


def vae(a):
    if not os.path.exists("new.safetensors"):
        for name, config in CONFIGS.items():
            os.makedirs(f"configs/{name}", exist_ok=True)
            with open(f"configs/{name}/{'scheduler_config' if name == 'scheduler' else 'config'}.json", "w") as f:
                json.dump(config, f)
        mien(a, "init", "--scratch", "configs", "-o", "new.safetensors")
    train(a, "vae", "new.safetensors", a.vae_steps, "--what", "vae", "--crop", 64, "--batch", 8, "--lr", "2e-3")
    if not os.path.exists("with_vae.safetensors"):
        rescaled(a, last("vae", "base.safetensors"), "with_vae.safetensors")


def base(a):
    train(a, "base", "with_vae.safetensors", a.base_steps, "--what", "base", "--batch", 16, "--lr", "1e-3", "--prompt-dropout", 0.1, "--ema", 0.995)


def base_file():
    average = last("base", "base_average.safetensors")
    return average if average.exists() else last("base", "base.safetensors")


def control(a):
    train(a, "control", base_file(), a.control_steps, "--batch", 16, "--lr", "1e-3", "--ema", 0.995)


def unlocked(a):
    train(a, "unlocked", base_file(), a.unlocked_steps, "--control", last("control", "control.safetensors"), "--unlock-decoder", "--batch", 8, "--lr", "1e-3", "--ema", 0.995,
          "--cache-folder", "control/cache")


def trained():
    """Base and ControlNet of the latest stage."""
    if os.path.exists("unlocked/checkpoints"):
        return last("unlocked", "base_average.safetensors"), last("unlocked", "control_average.safetensors")
    return base_file(), last("control", "control_average.safetensors")


# ---- pictures ---------------------------------------------------------------------------------------------------------------

def held():
    with open("held/prompt.jsonl") as f:
        return [json.loads(line) for line in f]


RUNS = {"vae": "VAE: loss", "base": "UNet and text encoder: loss", "control": "ControlNet, base locked: loss", "unlocked": "with the decoder unlocked: loss"}
WAYS = {"own": "its own map", "other": "another's map", "none": "no control"}


def pictures(a):
    lines = held()
    with open("jobs.jsonl", "w") as f:
        for i, line in enumerate(lines):
            for way in WAYS:
                source = lines[(i + 1) % len(lines)]["source"] if way == "other" else line["source"]
                f.write(json.dumps({"map": f"held/{source}", "prompt": line["prompt"], "seed": i, "out": f"{way}-{i:03d}", "strength": 0 if way == "none" else 1}) + "\n")
    base, control = trained()
    mien(a, "generate", "--base", base, "--control", control, "--batch", "jobs.jsonl", "-o", "pictures", "--added", "", "--negative", "",
         "--cfg", a.cfg, "--size", SIZE, "--steps", 20)
    for way in [*WAYS, "target"]:
        os.makedirs(f"found/{way}", exist_ok=True)
        names = [f"held/{line['target']}" for line in lines] if way == "target" else [f"pictures/{way}-{i:03d}.png" for i in range(len(lines))]
        mien(a, "annotate", *names, "-o", f"found/{way}", "--json")


def pixels(name):
    return np.asarray(Image.open(name).convert("RGB")).astype(np.float64)


def found(way, name):
    path = f"found/{way}/{name}.json"
    faces = json.load(open(path))["faces"] if os.path.exists(path) else []
    return np.array(faces[0]["landmarks"])[:, :2] if faces else None


def gaze(picture, cartoon):
    """Of both eyes: how far to the right of the lids' middle the dark lies, in half widths of the eye; and where the cartoon looks."""
    out = []
    for side in (0, 1):
        lids = [tuple(SIZE * c for c in cartoon.point[i]) for i in cartoons.UPPER_LID[side] + cartoons.LOWER_LID[side][::-1]]
        mask = Image.new("L", (SIZE, SIZE), 0)
        ImageDraw.Draw(mask).polygon(lids, fill=255)
        y, x = np.nonzero(np.asarray(mask))
        dark = np.clip(200 - picture[y, x].mean(axis=1), 0, None)
        (u, v), half = np.array(cartoon.at(*cartoon.eye(side))) * SIZE, 0.3 * cartoon.w * SIZE
        if dark.sum() > 0:
            d = np.array([(x * dark).sum(), (y * dark).sum()]) / dark.sum() + 0.5 - (u, v)
            out.append((d[0] * np.cos(cartoon.roll) + d[1] * np.sin(cartoon.roll)) / half)
        else:
            out.append(0.0)
    return out, [cartoon.gaze[0]] * 2


def measure(a):
    lines, toons = held(), [cartoons.Cartoon(0, FIRST_HELD + i) for i in range(HELD)]
    stems = [pathlib.Path(line["target"]).stem for line in lines]
    targets = [pixels(f"held/{line['target']}") for line in lines]
    result = {}
    for way in WAYS:
        made = [pixels(f"pictures/{way}-{i:03d}.png") for i in range(HELD)]
        off, count, seen, true = [], 0, [], []
        for i in range(HELD):
            mine, wanted = found(way, f"{way}-{i:03d}"), found("target", stems[i])
            count += mine is not None
            if mine is not None and wanted is not None:
                between = np.linalg.norm(wanted[468] - wanted[473])
                off.append(np.linalg.norm(mine[DRAWN] - wanted[DRAWN], axis=1).mean() / between)
            s, t = gaze(made[i], toons[i])
            seen += s
            true += t
        result[way] = {"pixels": float(np.mean([np.sqrt(np.mean((m - t) ** 2)) for m, t in zip(made, targets)])), "faces": count, "landmarks": float(np.mean(off)) if off else None,
                       "gaze": float(np.corrcoef(seen, true)[0, 1]) if np.std(seen) > 0 else 0.0}
    seen, true = zip(*[gaze(t, c) for t, c in zip(targets, toons)])
    result["target"] = {"faces": sum(found("target", s) is not None for s in stems), "gaze": float(np.corrcoef(sum(seen, []), sum(true, []))[0, 1])}
    import torch
    module = diffusers_vae(a, trained()[0])
    z = latents(a, module, [f"held/{line['target']}" for line in lines])
    with torch.no_grad():
        back = ((module.decode(z).sample.clamp(-1, 1) + 1) * 127.5).permute(0, 2, 3, 1).numpy()
    result["VAE"] = {"pixels": float(np.mean([np.sqrt(np.mean((b - t) ** 2)) for b, t in zip(back, targets)]))}
    return result


# ---- the picture of it all ------------------------------------------------------------------------------------------------------

INK, GREY, PAPER = (30, 30, 34), (205, 205, 210), (255, 255, 255)
TILE, GAP, TOP = 104, 4, 18


def kept(run):
    """The log up to the latest checkpoint, which is what pictures are made of."""
    return log_of(run)[:int(last(run, "").name.removeprefix("step-"))]


def curve(run, title, width, height):
    """A run's loss over its steps, both smoothed and raw, on a logarithmic scale."""
    log = kept(run)
    raw = np.array([line["loss"] for line in log])
    k = max(1, len(raw) // 60)
    smooth = np.array([raw[max(0, i - k):i + 1].mean() for i in range(len(raw))])
    image = Image.new("RGB", (width, height), PAPER)
    d = ImageDraw.Draw(image)
    low, high = np.log10(np.quantile(raw, 0.005)), np.log10(raw.max())
    left, right, top, bottom = 38, width - 8, TOP, height - 18

    def at(i, v):
        return left + (right - left) * i / max(1, len(raw) - 1), bottom - (bottom - top) * (np.log10(max(v, 10 ** low)) - low) / (high - low)
    for exponent in range(-4, 2):
        for digit in (1, 2, 5):
            v = digit * 10.0 ** exponent
            if low <= np.log10(v) <= high:
                d.line([at(0, v), at(len(raw) - 1, v)], fill=GREY)
                d.text((left - 4, at(0, v)[1]), f"{v:g}", fill=INK, anchor="rm")
    d.line([at(i, v) for i, v in enumerate(raw)], fill=(170, 195, 235))
    d.line([at(i, v) for i, v in enumerate(smooth)], fill=(25, 80, 170), width=2)
    d.text((left, bottom + 3), "1", fill=INK)
    d.text((right, bottom + 3), f"{len(raw)} steps", fill=INK, anchor="ra")
    d.text((left, 2), title, fill=INK)
    return image


def report(a):
    result = measure(a)
    result["runs"] = {run: {"steps": len(kept(run)), "first": np.mean([x["loss"] for x in kept(run)[:20]]), "last": np.mean([x["loss"] for x in kept(run)[-100:]]),
                            "seconds": sum(x["seconds"] for x in kept(run))} for run in RUNS if os.path.exists(run)}
    print(json.dumps(result, indent=1))
    with open("result.json", "w") as f:
        json.dump(result, f, indent=1)
    rows, columns = 4, 2
    width = columns * (4 * (TILE + GAP)) + GAP * 3
    sheet = Image.new("RGB", (width, 150 + TOP + rows * (TILE + GAP) + GAP), PAPER)
    runs = [run for run in RUNS if os.path.exists(run)]
    for k, run in enumerate(runs):
        sheet.paste(curve(run, RUNS[run], width // len(runs) - 4, 146), (k * width // len(runs), 2))
    d = ImageDraw.Draw(sheet)
    for i in range(rows * columns):
        x0, y0 = (i % columns) * (4 * (TILE + GAP) + GAP) + GAP, 150 + TOP + (i // columns) * (TILE + GAP)
        names = [f"held/{held()[i]['source']}", f"pictures/own-{i:03d}.png", f"pictures/none-{i:03d}.png", f"held/{held()[i]['target']}"]
        for k, (name, title) in enumerate(zip(names, ("map", "with control", "without", "target"))):
            sheet.paste(Image.open(name).convert("RGB").resize((TILE, TILE), Image.LANCZOS), (x0 + k * (TILE + GAP), y0))
            if i < columns:
                d.text((x0 + k * (TILE + GAP), y0 - 14), title, fill=INK)
    sheet.quantize(200, dither=Image.Dither.NONE).save(a.png, optimize=True)
    print(f"{a.png}: {os.path.getsize(a.png)} bytes")


STAGES = {"data": data, "vae": vae, "base": base, "control": control, "unlocked": unlocked, "pictures": pictures, "report": report}

if __name__ == "__main__":
    p = argparse.ArgumentParser()
    p.add_argument("mien")
    p.add_argument("folder")
    p.add_argument("--stages", default=",".join(STAGES))
    p.add_argument("--count", type=int, default=1200)
    p.add_argument("--vae-steps", type=int, default=2500)
    p.add_argument("--base-steps", type=int, default=1200)
    p.add_argument("--control-steps", type=int, default=1000)
    p.add_argument("--unlocked-steps", type=int, default=3000)
    p.add_argument("--cfg", type=float, default=2)
    p.add_argument("--jobs", type=int, default=1, help="threads: so small a network gains little from more")
    p.add_argument("--png", default="convergence.png")
    a = p.parse_args()
    a.mien, a.png = os.path.abspath(a.mien), os.path.abspath(a.png)
    os.makedirs(a.folder, exist_ok=True)
    os.chdir(a.folder)
    for stage in a.stages.split(","):
        STAGES[stage](a)
