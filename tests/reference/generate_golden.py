# SPDX-License-Identifier: Apache-2.0
"""generate_golden.py MAKE_MODEL BPE.txt tests/golden/generate.bin: pictures that diffusers makes with the small models of build/tests/make_model, for
tests/unit/test_generate_pictures.c.

The file is lines "NAME FAMILY SAMPLER PREDICTION STEPS WIDTH HEIGHT CFG STRENGTH START END SEED COUNT\\n", each followed by COUNT bytes of the picture, every 5th. The map
is a formula of both sides. Beside it generate_latent.f32: the latent [8,8,4] of the first one with 4 steps and control of strength 2. torch 2.9.1, diffusers 0.42.1, transformers 5.23; f32, 1 thread."""
import os
import subprocess
import sys
import tempfile

import numpy as np
import torch
from diffusers import StableDiffusionControlNetPipeline
from PIL import Image
from transformers import CLIPTokenizer

from compare_tokens import make_folders
from make_sampler_golden import scheduler
from small_model import Small

PROMPT = "a portrait, smiling, best quality, extremely detailed"
NEGATIVE = "lowres, bad anatomy"
EVERY = 5

# name, family, sampler, prediction, steps, width, height, cfg, strength, start, end, seed
CASES = [
    ("ddim", 1, "ddim", "epsilon", 10, 64, 64, 9.0, 1.0, 0.0, 1.0, 1),
    ("euler", 1, "euler", "epsilon", 10, 64, 64, 9.0, 1.0, 0.0, 1.0, 2),
    ("euler_a", 1, "euler_a", "epsilon", 10, 64, 64, 9.0, 1.0, 0.0, 1.0, 3),
    ("dpmpp_2m", 1, "dpmpp_2m", "epsilon", 10, 64, 64, 9.0, 1.0, 0.0, 1.0, 4),
    ("karras", 1, "dpmpp_2m_karras", "epsilon", 10, 64, 64, 9.0, 1.0, 0.0, 1.0, 5),
    ("unipc", 1, "unipc", "epsilon", 10, 64, 64, 9.0, 1.0, 0.0, 1.0, 6),
    ("odd", 1, "ddim", "epsilon", 4, 72, 104, 4.0, 1.5, 0.0, 1.0, 7),
    ("part", 1, "ddim", "epsilon", 7, 64, 64, 9.0, 1.0, 0.3, 0.75, 8),
    ("v", 2, "ddim", "v", 10, 64, 64, 9.0, 1.0, 0.0, 1.0, 9),
    ("v_euler", 2, "euler", "v", 10, 64, 64, 7.5, 1.0, 0.0, 1.0, 10),
    ("v_dpmpp", 2, "dpmpp_2m", "v", 10, 64, 64, 9.0, 0.5, 0.0, 1.0, 11),
    ("two", 2, "unipc", "epsilon", 10, 64, 64, 9.0, 1.0, 0.0, 1.0, 12),
    ("guess", 1, "ddim", "epsilon", 6, 64, 64, 4.0, 0.9, 0.0, 1.0, 14),
    ("mid", 2, "ddim", "epsilon", 6, 64, 64, 9.0, 1.0, 0.0, 1.0, 15),
    ("unguided", 2, "ddim", "epsilon", 5, 64, 64, 1.0, 1.0, 0.0, 1.0, 13),
]


def control_map(width, height):
    """Blocks of colour on black: test_generate_pictures.c has the same."""
    y, x = np.mgrid[0:height, 0:width]
    m = np.stack([(x // 8 * 37 + y // 8 * 11) % 256, (x // 4 * 5 + y // 16 * 71) % 256, (x // 16 * 101 + y // 4 * 3) % 256], axis=2)
    m[(x // 8 + y // 8) % 3 == 0] = 0
    return m.astype(np.uint8)


def original(m, pipe, image, prompt, negative, steps, cfg, strength, seed, guess, only_mid):
    """cldm's way, which diffusers does not have: guess mode (0.825 a step outwards, no control on the negative half), or the middle block's control alone."""
    context, uncond = pipe.encode_prompt(prompt, "cpu", 1, True, negative)
    hint = torch.from_numpy(np.asarray(image).astype(np.float32) / 255).permute(2, 0, 1)[None]
    x = torch.randn(1, 4, image.height // 8, image.width // 8, generator=torch.Generator("cpu").manual_seed(seed))
    pipe.scheduler.set_timesteps(steps)
    for t in pipe.scheduler.timesteps:
        out = {}
        for name, c in (("cond", context), ("uncond", uncond)):
            down, mid = m.control(x, t, c, hint, return_dict=False)
            n = len(down) + 1
            scale = [strength * (0.825 ** float(n - 1 - i) if guess else 1) * (not (guess and name == "uncond")) for i in range(n)]
            down = [o * s * (not only_mid) for o, s in zip(down, scale)]
            out[name] = m.unet(x, t, c, down_block_additional_residuals=down, mid_block_additional_residual=mid * scale[-1]).sample
        x = pipe.scheduler.step(out["uncond"] + cfg * (out["cond"] - out["uncond"]), t, x).prev_sample
    return pipe.image_processor.postprocess(m.vae.decode(x / m.vae.config.scaling_factor).sample)[0]


def main():
    make_model, bpe, out = sys.argv[1:]
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder, open(out, "wb") as f, torch.no_grad():
        make_folders(bpe, folder)
        models = {}
        for k in (1, 2):
            base, control = f"{folder}/sd{k}.safetensors", f"{folder}/control{k}.safetensors"
            subprocess.run([make_model, f"sd{k}", base], check=True)
            subprocess.run([make_model, f"control{k}", control], check=True)
            models[k] = Small(base, control)
        for name, k, sampler, prediction, steps, width, height, cfg, strength, start, end, seed in CASES:
            m = models[k]
            pipe = StableDiffusionControlNetPipeline(
                vae=m.vae, text_encoder=m.text, tokenizer=CLIPTokenizer.from_pretrained(f"{folder}/{k}"), unet=m.unet, controlnet=m.control,
                scheduler=scheduler(sampler, prediction == "v"), safety_checker=None, feature_extractor=None, requires_safety_checker=False)
            pipe.set_progress_bar_config(disable=True)
            hint = Image.fromarray(control_map(width, height))
            if name in ("guess", "mid"):
                image = original(m, pipe, hint, PROMPT, NEGATIVE, steps, cfg, strength, seed, name == "guess", name == "mid")
            else:
                image = pipe(PROMPT, image=hint, negative_prompt=NEGATIVE, width=width, height=height, num_inference_steps=steps, guidance_scale=cfg,
                             generator=torch.Generator("cpu").manual_seed(seed), controlnet_conditioning_scale=strength,
                             control_guidance_start=start, control_guidance_end=end).images[0]
            values = np.asarray(image).reshape(-1)[::EVERY]
            f.write(f"{name} {k} {sampler} {prediction} {steps} {width} {height} {cfg} {strength} {start} {end} {seed} {values.size}\n".encode() + values.tobytes())
            if name == "ddim":   # numbers show what pictures hide
                latent = pipe(PROMPT, image=hint, negative_prompt=NEGATIVE, width=width, height=height, num_inference_steps=4, guidance_scale=cfg,
                              generator=torch.Generator("cpu").manual_seed(seed), controlnet_conditioning_scale=2.0, output_type="latent").images[0]
                latent.permute(1, 2, 0).contiguous().numpy().astype("<f4").tofile(os.path.splitext(out)[0] + "_latent.f32")
            print(f"{name:9} {image.size} mean {values.mean():.1f} sd {values.std():.1f} saturated {np.mean((values == 0) | (values == 255)):.3f}")


main()
