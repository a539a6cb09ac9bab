# SPDX-License-Identifier: Apache-2.0
"""Bases of odd shapes made by `mien init --scratch`, through diffusers and transformers and through mien, in f32.

usage: scratch_exact.py MIEN MODEL_RUN CLIP_RUN [--folder DIR]

Each set of configs is handed to diffusers' own classes and to `mien init --scratch`. The names and shapes of what mien makes, converted to a
diffusers folder, must be those of diffusers' modules; then weights that are nowhere zero are put into both (a new model's residual branches
end in zeros, and would hide what lies before them), converted back to one file by mien, and the outputs compared: relative error at most 1e-4
(5e-6 is usual). Also prints how the drawn numbers are spread beside what PyTorch draws: the largest difference of a tensor's standard deviation, in
units of what chance allows. Exits 1 if anything is off. torch 2.9.1, diffusers 0.42.1, transformers 5.23."""
import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile

import diffusers
import numpy as np
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from safetensors.torch import load_file, save_file
from transformers import CLIPTextConfig, CLIPTextModel

diffusers.logging.set_verbosity_error()
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "tests/reference"))
import small_model as models  # noqa: E402

ASKED = 1e-4


def unet(widths, attention, context, layers=1, **more):
    kinds = [("CrossAttn" if a else "") for a in attention]
    return dict(block_out_channels=widths, layers_per_block=layers, cross_attention_dim=context, down_block_types=[k + "DownBlock2D" for k in kinds],
                up_block_types=[k + "UpBlock2D" for k in reversed(kinds)], **more)


def vae(widths, layers, **more):
    return dict(block_out_channels=widths, layers_per_block=layers, down_block_types=["DownEncoderBlock2D"] * 4, up_block_types=["UpDecoderBlock2D"] * 4, **more)


def text(width, layers, heads, vocabulary, mlp=None, **more):
    return dict(hidden_size=width, num_hidden_layers=layers, num_attention_heads=heads, vocab_size=vocabulary, intermediate_size=mlp or 4 * width,
                max_position_embeddings=77, bos_token_id=0, eos_token_id=vocabulary - 1, pad_token_id=1, **more)


SETS = {
    "issue 7's": (unet([64, 128, 128], [0, 1, 1], 192), vae([32, 64, 64, 128], 1), text(192, 4, 3, 2048)),
    "heads by level": (unet([64, 128], [1, 1], 96, 2, attention_head_dim=[2, 4], use_linear_projection=True), vae([32, 32, 32, 32], 2), text(96, 2, 4, 300, hidden_act="gelu")),
    "one number of heads": (unet([96, 96, 192, 192], [1, 0, 1, 0], 80, 1, attention_head_dim=3), vae([64, 64, 64, 96], 1), text(80, 1, 5, 49408, 100)),
    "other groups": (unet([48, 80], [0, 1], 64, [1, 2], norm_num_groups=16, attention_head_dim=5, transformer_layers_per_block=2),
                     vae([24, 24, 48, 48], 1, norm_num_groups=8), text(64, 3, 2, 1000)),
    "one level": (unet([64], [1], 32, 1), vae([32, 64, 64, 64], 1), text(32, 1, 1, 50)),
}


def fill(network, seed):
    """Weights of an ordinary size, none zero."""
    g = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, p in network.named_parameters():
            r = torch.randn(p.shape, generator=g)
            if p.dim() == 1:
                p.copy_(0.1 * r + (1 if name.endswith("weight") else 0))
            else:
                p.copy_(r / p[0].numel() ** 0.5)
    return network.eval().requires_grad_(False)


def check_shapes(what, network, path):
    want = {k: tuple(v.shape) for k, v in network.state_dict().items() if not k.endswith("position_ids")}
    got = {k.removeprefix("text_model."): tuple(v.shape) for k, v in load_file(path).items()}
    want = {k.removeprefix("text_model."): v for k, v in want.items()}
    if want != got:
        sys.exit(f"{what}: names or shapes differ: {sorted(set(want.items()) ^ set(got.items()))[:6]}")


def spread(network, path, zero):
    """The largest deviation of a drawn tensor's standard deviation from that of PyTorch's, in units of its own error."""
    got, worst = load_file(path), 0.0
    got = {k.removeprefix("text_model."): v for k, v in got.items()}
    for name, p in network.state_dict().items():
        x = got.get(name.removeprefix("text_model."))
        if x is None or x.numel() < 500 or p.std() == 0 or any(z in name for z in zero):
            continue
        worst = max(worst, abs(float(x.std() / p.std()) - 1) / (2 / x.numel()) ** 0.5)
        assert abs(float(x.mean())) < 6 * float(x.std()) / x.numel() ** 0.5, name
    return worst


def run(*command):
    r = subprocess.run(command, capture_output=True, text=True)
    if r.returncode:
        sys.exit(f"{' '.join(command)}: {r.stderr}{r.stdout}")


def flat(t):
    return (t.permute(0, 2, 3, 1) if t.dim() == 4 else t).reshape(-1).numpy().astype(np.float64)


def compare(a, name, folder):
    u, v, t = SETS[name]
    modules = {"unet": UNet2DConditionModel(**u), "vae": AutoencoderKL(**v), "text_encoder": CLIPTextModel(CLIPTextConfig(**t))}
    configs, made, peers = f"{folder}/configs", f"{folder}/made", f"{folder}/peers"
    for part, m in modules.items():
        m.save_config(f"{configs}/{part}") if part != "text_encoder" else m.config.save_pretrained(f"{configs}/{part}")
    run(a.mien, "init", "--scratch", configs, "-o", f"{folder}/base.safetensors", "--quiet")
    run(a.mien, "convert", f"{folder}/base.safetensors", made, "--to", "diffusers", "--quiet")
    zero = {"unet": ("conv2.", "proj_out.", "conv_out."), "vae": (), "text_encoder": ()}
    worst = 0.0
    for part, m in modules.items():
        path = f"{made}/{part}/" + ("model.safetensors" if part == "text_encoder" else "diffusion_pytorch_model.safetensors")
        check_shapes(f"{name}: {part}", m, path)
        worst = max(worst, spread(m, path, zero[part]))
        for key, x in load_file(path).items():
            assert float(x.abs().max()) == 0 or not any(z in key for z in zero[part]), key
        fill(m, len(part))
        m.save_pretrained(f"{peers}/{part}")
    run(a.mien, "convert", peers, f"{folder}/filled.safetensors", "--to", "ldm", "--quiet")
    n, side, good = 2, 16, worst < 5
    print(f"{name}: drawn tensors' deviations within {worst:.1f} of their error")
    for network in ("unet", "encode", "decode"):
        run(a.model_run, network, f"{folder}/filled.safetensors", "-", "f32", str(n), str(side), str(side), f"{folder}/out.f32")
        got = np.fromfile(f"{folder}/out.f32", np.float32).astype(np.float64)
        with torch.no_grad():
            if network == "unet":
                context = torch.from_numpy(models.numbers("context", n, 77, u["cross_attention_dim"]))
                want = flat(modules["unet"](models.picture("latent", n, side, side, 4), 500, context).sample)
            elif network == "encode":
                want = flat(modules["vae"].encode(models.picture("picture", n, 8 * side, 8 * side, 3) / 2).latent_dist.parameters)
            else:
                want = flat(modules["vae"].decode(models.picture("latent", n, side, side, 4)).sample)
        good &= told(name, network, got, want)
    run(a.clip_run, f"{folder}/filled.safetensors", "f32", f"{folder}/out.f32")
    ids = torch.tensor([[(i * 7919 + 13 + 31 * k) % t["vocab_size"] for i in range(77)] for k in range(2)])
    with torch.no_grad():
        want = flat(modules["text_encoder"](ids).last_hidden_state)
    return told(name, "text", np.fromfile(f"{folder}/out.f32", np.float32).astype(np.float64), want) and good


def told(name, network, got, want):
    error = np.linalg.norm(got - want) / np.linalg.norm(want) if got.shape == want.shape else float("nan")
    print(f"    {network:8} relative error {error:.2e}", flush=True)
    return error <= ASKED


if __name__ == "__main__":
    p = argparse.ArgumentParser()
    p.add_argument("mien")
    p.add_argument("model_run")
    p.add_argument("clip_run")
    p.add_argument("--folder")
    a = p.parse_args()
    torch.manual_seed(1)
    torch.set_num_threads(2)
    bad = []
    for name in SETS:
        with tempfile.TemporaryDirectory(dir=a.folder) as folder:
            if not compare(a, name, folder):
                bad.append(name)
    if bad:
        sys.exit("off: " + ", ".join(bad))
