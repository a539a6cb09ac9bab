# SPDX-License-Identifier: Apache-2.0
"""Names and shapes of the small models' folders, for tests/unit/test_convert.c:

    folder_names.py BASE FOLDER GOLDEN

BASE is make_model's (--parts unet,vae,text,control --type f16), FOLDER what `mien convert BASE FOLDER --to diffusers` made of it. Loads the folder by
diffusers' own from_pretrained, checks that every parameter is that of BASE as diffusers' converters make it of it, and writes

    tests/golden/names/GOLDEN.txt.gz     NAME<TAB>SHAPE, of the classes' state_dict
    tests/golden/names/GOLDEN.configs    the config files, as from_pretrained has read them

Made with torch 2.9.1, diffusers 0.42.1, transformers 5.23."""
import gzip
import os
import sys

import torch
from diffusers import StableDiffusionControlNetPipeline

from small_model import Small

base, folder, golden = sys.argv[1:]
pipe = StableDiffusionControlNetPipeline.from_pretrained(folder)
want = Small(base, base)
lines = []
for name, got, model in (("unet", pipe.unet, want.unet), ("vae", pipe.vae, want.vae), ("text_encoder", pipe.text_encoder, want.text), ("controlnet", pipe.controlnet, want.control)):
    a, b = got.state_dict(), model.state_dict()
    assert a.keys() == b.keys()
    for k in a:
        assert torch.equal(a[k].float(), b[k].float()), k
        if not k.endswith("position_ids"):
            # transformers 5 flattened CLIPTextModel; files keep "text_model.", which all its versions read
            stored = k if name != "text_encoder" or k.startswith("text_model.") else "text_model." + k
            lines.append(f"{name}/{stored}\t{'x'.join(map(str, a[k].shape))}\n")
for key in ("block_out_channels", "down_block_types", "up_block_types", "layers_per_block", "cross_attention_dim", "attention_head_dim", "use_linear_projection"):
    for got, model in ((pipe.unet, want.unet), (pipe.controlnet, want.control)):
        x, y = getattr(got.config, key, None), getattr(model.config, key, None)
        assert x == y or list(x) == list(y), (key, x, y)
where = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "golden", "names", golden)
with gzip.GzipFile(where + ".txt.gz", "wb", 9, mtime=0) as f:
    f.write("".join(sorted(lines)).encode())
with open(where + ".configs", "w") as f:
    for part in ("unet/config", "controlnet/config", "vae/config", "text_encoder/config", "scheduler/scheduler_config", "model_index"):
        f.write(open(f"{folder}/{part}.json").read())
