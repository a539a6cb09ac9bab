# SPDX-License-Identifier: Apache-2.0
"""What a training run saves, loaded by diffusers; and the lists tests/golden/train_control1.txt, train_control2.txt.

    train_output.py BUILD           checks (torch 2.9.1, diffusers 0.42.1, safetensors)
    train_output.py BUILD --golden  writes the lists anew: "name TYPE [shape]" of small ControlNets' checkpoints, sorted

A checkpoint of tests/tools/save_loop.c is converted by `mien convert` and opened by ControlNetModel.from_pretrained and UNet2DConditionModel.from_pretrained, every
tensor there, none left over, and with the numbers of the checkpoint; both run. The same of two steps of `mien train` itself, whose weights have moved."""
import json
import os
import shutil
import struct
import subprocess
import sys
import tempfile

build = os.path.abspath(sys.argv[1])
root = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
work = tempfile.mkdtemp(prefix="mien-test-")
wrong = []


def run(*args):
    subprocess.run([*args], cwd=work, check=True, stdout=subprocess.DEVNULL)


def header(path):
    with open(path, "rb") as f:
        h = json.loads(f.read(struct.unpack("<Q", f.read(8))[0]))
    h.pop("__metadata__", None)
    return h


def expect(what, right):
    print(("right   " if right else "WRONG   ") + what)
    if not right:
        wrong.append(what)


def trained(family):
    """A checkpoint of two steps, ControlNet and decoder."""
    from train_replay import make_set

    if not os.path.exists(f"{work}/set"):
        make_set(f"{work}/set", 64)
    run(f"{build}/mien", "train", "--base", "base.safetensors", "--control", "control.safetensors", "--data", "set", "--out", f"trained{family}", "--size", "64", "--batch", "1", "--steps", "2",
        "--lr", "1e-3", "--unlock-decoder", "--eval-every", "0", "--quiet")
    return f"trained{family}/checkpoints/step-000002"


def check(family):
    run(f"{build}/tests/make_model", f"sd{family}", "base.safetensors")
    run(f"{build}/tests/make_model", f"control{family}", "control.safetensors")
    run(f"{build}/tests/save_loop", "base.safetensors", "control.safetensors", f"run{family}", "1", "--unlock")
    loads(family, f"SD {family}", f"run{family}/checkpoints/step-000001")
    loads(family, f"SD {family}, trained", trained(family))


def loads(family, called, step):
    import torch
    from diffusers import ControlNetModel, UNet2DConditionModel
    from safetensors.torch import load_file

    shutil.rmtree(f"{work}/c{family}", ignore_errors=True)
    shutil.rmtree(f"{work}/b{family}", ignore_errors=True)
    run(f"{build}/mien", "convert", f"{step}/control.safetensors", f"c{family}", "--to", "diffusers", "-q")
    run(f"{build}/mien", "convert", f"{step}/base.safetensors", f"b{family}", "--to", "diffusers", "--prediction", "epsilon", "-q")
    control, info = ControlNetModel.from_pretrained(f"{work}/c{family}", output_loading_info=True)
    expect(f"{called}: ControlNetModel has all tensors and no others", not any(info[k] for k in ("missing_keys", "unexpected_keys", "mismatched_keys")))
    unet, info = UNet2DConditionModel.from_pretrained(f"{work}/b{family}/unet", output_loading_info=True)
    expect(f"{called}: UNet2DConditionModel, too", not any(info[k] for k in ("missing_keys", "unexpected_keys", "mismatched_keys")))
    saved, begun = load_file(f"{work}/{step}/control.safetensors"), load_file(f"{work}/control.safetensors")
    begun = {k.removeprefix("control_model."): v for k, v in begun.items()}
    moved = sum(not torch.equal(v.float(), begun[k].float()) for k, v in saved.items())
    expect(f"{called}: {moved} of {len(saved)} tensors are others than before", moved == len(saved))
    state = control.state_dict()
    for name, theirs in [("input_blocks.0.0.weight", "conv_in.weight"), ("zero_convs.0.0.bias", "controlnet_down_blocks.0.bias"),
                         ("middle_block_out.0.weight", "controlnet_mid_block.weight"), ("input_hint_block.14.weight", "controlnet_cond_embedding.conv_out.weight")]:
        expect(f"{called}: {theirs} has its numbers", torch.equal(saved[name], state[theirs]))
    saved = load_file(f"{work}/{step}/base.safetensors")
    expect(f"{called}: conv_out.weight has its numbers", torch.equal(saved["model.diffusion_model.out.2.weight"].float(), unet.state_dict()["conv_out.weight"].float()))
    with torch.no_grad():
        down, mid = control(torch.randn(1, 4, 8, 8), 500, torch.randn(1, 77, control.config.cross_attention_dim), torch.rand(1, 3, 64, 64), return_dict=False)
        out = unet.float()(torch.randn(1, 4, 8, 8), 500, torch.randn(1, 77, control.config.cross_attention_dim), down_block_additional_residuals=down,
                           mid_block_additional_residual=mid).sample
    expect(f"{called}: both run", out.shape == (1, 4, 8, 8) and bool(torch.isfinite(out).all()))


try:
    if "--golden" in sys.argv:
        for family in (1, 2):
            run(f"{build}/tests/make_model", f"sd{family}", "base.safetensors", "--parts", "unet")
            run(f"{build}/tests/make_model", f"control{family}", "control.safetensors", "--type", "bf16")
            run(f"{build}/tests/save_loop", "base.safetensors", "control.safetensors", f"run{family}", "1")
            h = header(f"{work}/run{family}/checkpoints/step-000001/control.safetensors")
            with open(f"{root}/tests/golden/train_control{family}.txt", "w") as f:
                for name in sorted(h):
                    f.write(f"{name} {h[name]['dtype']} {json.dumps(h[name]['shape'], separators=(',', ':'))}\n")
    else:
        for family in (1, 2):
            check(family)
finally:
    shutil.rmtree(work)
sys.exit(1 if wrong else 0)
