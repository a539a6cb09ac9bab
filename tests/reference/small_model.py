# SPDX-License-Identifier: Apache-2.0
"""The models that build/tests/make_model writes, as diffusers and transformers compute them.

    from small_model import Small
    m = Small("sd1.safetensors", control="control1.safetensors")    m.unet, m.control, m.vae, m.text, m.pipeline(...)

    small_model.py BASE.safetensors [--control FILE] --folder DIR    writes it as a diffusers folder

Names are translated by diffusers' own converters; a tensor that is missing or left over is an error. Configurations are read from
shapes, and heads from the family, so the real shapes (make_model --real) work too. Widened to f32.
Made with torch 2.9.1, diffusers 0.42.1, transformers 5.23."""
import argparse
import re

import numpy as np
import torch
from diffusers import AutoencoderKL, ControlNetModel, UNet2DConditionModel
from diffusers.loaders.single_file_utils import (
    convert_controlnet_checkpoint, convert_ldm_unet_checkpoint, convert_ldm_vae_checkpoint)
from safetensors import safe_open
from transformers import CLIPTextConfig, CLIPTextModel


def numbers(name, *shape):
    """Uniform of variance 1: make_model's formula for a weight with one input."""
    h = 0xCBF29CE484222325
    for b in name.encode():
        h = ((h ^ b) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    with np.errstate(over="ignore"):
        x = np.uint64(h) + np.arange(1, np.prod(shape) + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        x = x ^ (x >> np.uint64(31))
    u = (x >> np.uint64(40)).astype(np.float64) / 8388608 - 1
    return (u * np.float32(3 ** 0.5)).astype(np.float32).reshape(shape)


def picture(name, n, h, w, c):
    return torch.from_numpy(numbers(name, n, h, w, c)).permute(0, 3, 1, 2).contiguous()


def read(path, prefix):
    """Tensors below a prefix, without it, in f32."""
    with safe_open(path, "pt") as f:
        return {k[len(prefix):]: f.get_tensor(k).float() for k in f.keys() if k.startswith(prefix)}


def indices(tensors, pattern):
    return sorted({int(m[1]) for m in (re.match(pattern, k) for k in tensors) if m})


def fill(make, tensors):
    """The tensors themselves become the parameters: nothing is initialised first, and there is no second copy."""
    with torch.device("meta"):
        network = make()
    network.load_state_dict(tensors, strict=True, assign=True)
    for name, b in list(network.named_buffers()):   # CLIP's position_ids, 0, 1, ...
        if b.is_meta:
            owner, _, end = name.rpartition(".")
            network.get_submodule(owner).register_buffer(end, torch.arange(b.numel(), dtype=b.dtype).reshape(b.shape), persistent=False)
    return network.eval().requires_grad_(False)


def encoder_config(t):
    """What UNet and ControlNet share: (config, context width)."""
    levels, blocks = [], 0
    for i in indices(t, r"input_blocks\.(\d+)\.")[1:]:
        if f"input_blocks.{i}.0.op.weight" in t:
            levels.append(None)
            continue
        width = t[f"input_blocks.{i}.0.out_layers.3.weight"].shape[0]
        here = (width, f"input_blocks.{i}.1.norm.weight" in t)
        if not levels or levels[-1] is None:
            levels.append(here)
            blocks = 1
        else:
            blocks += 1
    levels = [x for x in levels if x]
    context = t["middle_block.1.transformer_blocks.0.attn2.to_k.weight"].shape[1]
    widths = [w for w, _ in levels]
    second = t["middle_block.1.proj_in.weight"].dim() == 2
    return dict(
        block_out_channels=tuple(widths), layers_per_block=blocks, cross_attention_dim=context,
        down_block_types=tuple("CrossAttnDownBlock2D" if a else "DownBlock2D" for _, a in levels),
        attention_head_dim=tuple(w // 64 for w in widths) if second else 8, use_linear_projection=second)


def unet(t):
    c = encoder_config(t)
    up = tuple(x.replace("DownBlock", "UpBlock") for x in reversed(c["down_block_types"]))
    return fill(lambda: UNet2DConditionModel(sample_size=8, up_block_types=up, **c),
                convert_ldm_unet_checkpoint({"model.diffusion_model." + k: v for k, v in t.items()}, c))


def control(t):
    c = encoder_config(t)
    hint = tuple(t[f"input_hint_block.{i}.weight"].shape[0] for i in (0, 4, 8, 12))
    return fill(lambda: ControlNetModel(conditioning_embedding_out_channels=hint, **c), convert_controlnet_checkpoint(t, c))


def vae(t):
    levels = indices(t, r"encoder\.down\.(\d+)\.")
    c = dict(block_out_channels=tuple(t[f"encoder.down.{i}.block.0.conv1.weight"].shape[0] for i in levels),
             layers_per_block=len(indices(t, r"encoder\.down\.0\.block\.(\d+)\.")),
             down_block_types=("DownEncoderBlock2D",) * len(levels), up_block_types=("UpDecoderBlock2D",) * len(levels))
    return fill(lambda: AutoencoderKL(sample_size=64, **c), convert_ldm_vae_checkpoint(t, c))


def open_clip(t):
    """OpenCLIP's names to Hugging Face's, without the last layer, which SD 2.x does not use."""
    out = {"embeddings.token_embedding.weight": t["token_embedding.weight"], "embeddings.position_embedding.weight": t["positional_embedding"]}
    names = {"ln_1": "layer_norm1", "ln_2": "layer_norm2", "mlp.c_fc": "mlp.fc1", "mlp.c_proj": "mlp.fc2", "attn.out_proj": "self_attn.out_proj"}
    for k, v in t.items():
        m = re.match(r"transformer\.resblocks\.(\d+)\.(.*)\.?(?<=[._])(weight|bias)$", k)
        if not m:
            continue
        layer, part, end = f"encoder.layers.{m[1]}.", m[2].rstrip("._"), m[3]
        if part == "attn.in_proj":
            for name, x in zip("qkv", v.chunk(3)):
                out[f"{layer}self_attn.{name}_proj.{end}"] = x
        else:
            out[f"{layer}{names[part]}.{end}"] = v
    last = max(indices(out, r"encoder\.layers\.(\d+)\."))
    out = {k: v for k, v in out.items() if not k.startswith(f"encoder.layers.{last}.")}
    out.update({f"final_layer_norm.{e}": t[f"ln_final.{e}"] for e in ("weight", "bias")})
    return out


def text(path):
    t = read(path, "cond_stage_model.transformer.text_model.")
    second = not t
    t = open_clip(read(path, "cond_stage_model.model.")) if second else {k: v for k, v in t.items() if not k.endswith("position_ids")}
    table = t["embeddings.token_embedding.weight"]
    c = CLIPTextConfig(vocab_size=table.shape[0], hidden_size=table.shape[1], intermediate_size=t["encoder.layers.0.mlp.fc1.weight"].shape[0],
                       num_hidden_layers=len(indices(t, r"encoder\.layers\.(\d+)\.")), num_attention_heads=table.shape[1] // 64,
                       hidden_act="gelu" if second else "quick_gelu", projection_dim=512, bos_token_id=49406, eos_token_id=49407, pad_token_id=1)
    with torch.device("meta"):
        root = "text_model." if any(k.startswith("text_model.") for k in CLIPTextModel(c).state_dict()) else ""
    return fill(lambda: CLIPTextModel(c), {root + k: v for k, v in t.items()})


class Small:
    def __init__(self, base=None, control_file=None, parts=("unet", "vae", "text")):
        if base:
            if "unet" in parts:
                self.unet = unet(read(base, "model.diffusion_model."))
            if "vae" in parts:
                self.vae = vae(read(base, "first_stage_model."))
            if "text" in parts:
                self.text = text(base)
        if control_file:
            t = read(control_file, "control_model.") or read(control_file, "")
            self.control = control(t)


def save_folder(m, folder, tokenizer=None):
    m.unet.save_pretrained(f"{folder}/unet")
    m.vae.save_pretrained(f"{folder}/vae")
    m.text.save_pretrained(f"{folder}/text_encoder")


if __name__ == "__main__":
    p = argparse.ArgumentParser()
    p.add_argument("base")
    p.add_argument("--control")
    p.add_argument("--folder", required=True)
    a = p.parse_args()
    m = Small(a.base, a.control)
    save_folder(m, a.folder)
    if a.control:
        m.control.save_pretrained(f"{a.folder}/controlnet")
