# SPDX-License-Identifier: Apache-2.0
"""Names and shapes of the real models, for tests/unit/test_names.c:

    tests/golden/names/{sd15,sd21,control15,control21}.txt.gz    LDM<TAB>LDM SHAPE<TAB>DIFFUSERS<TAB>DIFFUSERS SHAPE

a line a tensor; "-" where a layout has none. The left side is the original's own classes built from its own models/cldm_v*.yaml
(and OpenCLIP's, transformers'), the right what diffusers' converters make of it, checked against the state_dict of diffusers' classes.

    model_names.py CHECKOUT_OF_THE_ORIGINAL

Made with torch 2.9.1, diffusers 0.42.1, transformers 5.23, open_clip_torch 3.3.0. No weights are needed: numbers have no memory."""
import gzip
import importlib.abc
import importlib.machinery
import os
import re
import sys
import types

import torch
import yaml
from diffusers import AutoencoderKL, ControlNetModel, UNet2DConditionModel
from diffusers.loaders.single_file_utils import convert_controlnet_checkpoint, convert_ldm_unet_checkpoint, convert_ldm_vae_checkpoint
from transformers import CLIPTextConfig, CLIPTextModel


class Odd(type):
    def __getattr__(cls, name):
        if name.startswith("_"):
            raise AttributeError(name)
        return None


class Anything(types.ModuleType):
    """Stands for packages that the original imports and that no name depends on."""
    __path__ = []

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return Odd(name, (torch.nn.Module,), {"__init__": lambda self, *a, **k: torch.nn.Module.__init__(self)})


class Stand(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    names = {"einops", "omegaconf", "pytorch_lightning", "torchvision", "timm", "ftfy", "cv2"}

    def find_spec(self, name, path, target=None):
        if name.split(".")[0] in self.names:
            return importlib.machinery.ModuleSpec(name, self, is_package=True)

    def create_module(self, spec):
        return Anything(spec.name)

    def exec_module(self, module):
        pass


def stand_in():
    sys.meta_path.insert(0, Stand())


def shapes(module):
    return {k: tuple(v.shape) for k, v in module.state_dict().items()}


def unique(shapes):
    """Tensors of these shapes, each of one number of its own, without memory; and which number is which."""
    back = dict(enumerate(shapes))
    return {k: torch.full((1,) * max(len(shapes[k]), 1), i, dtype=torch.float64).expand(shapes[k]) for i, k in back.items()}, back


def ldm_parts(root, version, params):
    from ldm.modules.diffusionmodules.openaimodel import UNetModel
    from ldm.modules.diffusionmodules.model import Encoder, Decoder
    from cldm.cldm import ControlNet
    out = {}
    with torch.device("meta"):
        unet = UNetModel(**params["unet_config"]["params"])
        control = ControlNet(**params["control_stage_config"]["params"])
        dd = params["first_stage_config"]["params"]["ddconfig"]
        vae = torch.nn.Module()
        vae.encoder, vae.decoder = Encoder(**dd), Decoder(**dd)
        vae.quant_conv = torch.nn.Conv2d(2 * dd["z_channels"], 8, 1)
        vae.post_quant_conv = torch.nn.Conv2d(4, dd["z_channels"], 1)
    out["unet"], out["control"], out["vae"] = shapes(unet), shapes(control), shapes(vae)
    return out


def text_parts(version):
    """(the checkpoint's names, CLIPTextModel's)"""
    small = version == "v15"
    with torch.device("meta"):
        config = dict(hidden_size=768, intermediate_size=3072, num_hidden_layers=12, num_attention_heads=12, hidden_act="quick_gelu") if small else dict(
            hidden_size=1024, intermediate_size=4096, num_hidden_layers=23, num_attention_heads=16, hidden_act="gelu")
        hf = shapes(CLIPTextModel(CLIPTextConfig(vocab_size=49408, **config)))
    hf = {"text_model." + k.removeprefix("text_model."): v for k, v in hf.items() if not k.endswith("position_ids")}
    if small:
        return {**hf, "text_model.embeddings.position_ids": (1, 77)}, hf
    from open_clip.model import CLIP
    import open_clip
    config = open_clip.get_model_config("ViT-H-14")
    with torch.device("meta"):
        clip = CLIP(**config)
    return {k: v for k, v in shapes(clip).items() if not k.startswith("visual.")}, hf


def openclip_to_hf(name):
    """[HF names], by the layout of the two models."""
    singles = {"token_embedding.weight": "embeddings.token_embedding.weight", "positional_embedding": "embeddings.position_embedding.weight",
               "ln_final.weight": "final_layer_norm.weight", "ln_final.bias": "final_layer_norm.bias"}
    if name in singles:
        return ["text_model." + singles[name]]
    m = re.match(r"transformer\.resblocks\.(\d+)\.(.*)", name)
    if not m or int(m[1]) == 23:
        return []
    layer, rest = f"text_model.encoder.layers.{m[1]}.", m[2]
    if rest.startswith("attn.in_proj_"):
        return [f"{layer}self_attn.{x}_proj.{rest[13:]}" for x in "qkv"]
    for a, b in (("ln_1", "layer_norm1"), ("ln_2", "layer_norm2"), ("attn.out_proj", "self_attn.out_proj"), ("mlp.c_fc", "mlp.fc1"), ("mlp.c_proj", "mlp.fc2")):
        if rest.startswith(a + "."):
            return [layer + b + rest[len(a):]]


def diffusers_parts(version, parts):
    small = version == "v15"
    base = dict(layers_per_block=2, block_out_channels=(320, 640, 1280, 1280), cross_attention_dim=768 if small else 1024,
                attention_head_dim=8 if small else (5, 10, 20, 20), use_linear_projection=not small,
                down_block_types=("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",))
    vae_config = dict(block_out_channels=(128, 256, 512, 512), layers_per_block=2, down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4)
    with torch.device("meta"):
        unet = UNet2DConditionModel(up_block_types=("UpBlock2D",) + ("CrossAttnUpBlock2D",) * 3, **base)
        control = ControlNetModel(**base)
        vae = AutoencoderKL(**vae_config)
    out = {}
    for name, model, config, convert, prefix in (("unet", unet, base, convert_ldm_unet_checkpoint, "model.diffusion_model."),
                                                 ("vae", vae, vae_config, convert_ldm_vae_checkpoint, ""), ("control", control, base, convert_controlnet_checkpoint, "")):
        tensors, back = unique(parts[name])
        converted = convert({prefix + k: v for k, v in tensors.items()}, config)
        assert {k: tuple(v.shape) for k, v in converted.items()} == shapes(model), name
        out[name] = {back[int(v.flatten()[0])]: (k, tuple(v.shape)) for k, v in converted.items()}
        assert len(out[name]) == len(converted)
    return out


def line(ldm, shape, other, other_shape):
    text = lambda s: "x".join(map(str, s)) or "1"
    return f"{ldm}\t{text(shape) if ldm != '-' else '-'}\t{other}\t{text(other_shape) if other != '-' else '-'}\n"


def save(path, lines):
    with gzip.GzipFile(path, "wb", 9, mtime=0) as f:
        f.write("".join(lines).encode())
    print(path, len(lines), os.path.getsize(path))


def main(root):
    stand_in()
    sys.path.insert(0, root)
    here = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "golden", "names")
    os.makedirs(here, exist_ok=True)
    for version, label in (("v15", "15"), ("v21", "21")):
        params = yaml.safe_load(open(f"{root}/models/cldm_{version}.yaml"))["model"]["params"]
        parts = ldm_parts(root, version, params)
        other = diffusers_parts(version, parts)
        lines = []
        for part, prefix, folder in (("unet", "model.diffusion_model.", "unet/"), ("vae", "first_stage_model.", "vae/")):
            for k, v in parts[part].items():
                lines.append(line(prefix + k, v, folder + other[part][k][0], other[part][k][1]))
        stored, hf = text_parts(version)
        prefix = "cond_stage_model.transformer." if version == "v15" else "cond_stage_model.model."
        seen = set()
        for k, v in stored.items():
            names = ([k] if k in hf else []) if version == "v15" else openclip_to_hf(k)
            seen.update(names)
            lines += [line(prefix + k, v, "text_encoder/" + n, hf[n]) for n in names] or [line(prefix + k, v, "-", ())]
        assert seen == set(hf), seen ^ set(hf)
        save(f"{here}/sd{label}.txt.gz", lines)
        save(f"{here}/control{label}.txt.gz", [line("control_model." + k, v, "controlnet/" + other["control"][k][0], other["control"][k][1]) for k, v in parts["control"].items()])


if __name__ == "__main__":
    main(sys.argv[1])
