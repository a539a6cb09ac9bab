# SPDX-License-Identifier: Apache-2.0
"""gradients_golden.py MAKE_MODEL OUT.safetensors: PyTorch's gradients of the small models of build/tests/make_model, for
tests/unit/test_model_gradients.c: of UNet and ControlNet together, of the autoencoder, and of the text encoder, each for a mean squared error.
For every parameter two numbers: the gradient's length, and its sum along numbers(name). In the order of their names; computed in f64.
torch 2.9.1, diffusers 0.42.1, transformers 5.23."""
import subprocess
import sys
import tempfile

import torch
from diffusers.loaders.single_file_utils import convert_controlnet_checkpoint, convert_ldm_unet_checkpoint, convert_ldm_vae_checkpoint
from safetensors.numpy import save_file
from torch.func import functional_call

import small_model
from clip_golden import ids
from models_golden import numbers, picture
from small_model import Small


def leaves(tensors, root):
    return {root + k: v.double().requires_grad_() for k, v in tensors.items()}


def below(named, root, prefix=""):
    return {prefix + k[len(root):]: v for k, v in named.items() if k.startswith(root)}


def two_numbers(named):
    out = []
    for name in sorted(named):
        g = named[name].grad
        out += [g.norm().item(), (g.flatten() @ torch.from_numpy(numbers(name, g.numel()))).item()]
    return torch.tensor(out, dtype=torch.float32).numpy()


def network(named, root, make, convert):
    """The network, and its parameters as functions of the checkpoint's tensors."""
    m = make({k: v.detach() for k, v in below(named, root).items()}).double()
    return m, lambda *args, **how: functional_call(m, convert(m, named), args, how)


def steered(path, k):
    named = leaves(small_model.read(path, "model.diffusion_model."), "unet.") | leaves(small_model.read(path, "control_model."), "control.")
    config = small_model.encoder_config(below(named, "unet."))
    _, unet = network(named, "unet.", small_model.unet, lambda m, n: convert_ldm_unet_checkpoint(below(n, "unet.", "model.diffusion_model."), config))
    _, control = network(named, "control.", small_model.control, lambda m, n: convert_controlnet_checkpoint(below(n, "control."), config))
    context = torch.from_numpy(numbers("context", 2, 7, (768, 1024)[k - 1]))
    x, t, hint = picture("latent", 2, 9, 11, 4), torch.tensor([1.0, 777.0]), picture("map", 1, 9 * 8, 11 * 8, 3) / 4 + 0.5
    down, mid = control(x, t, context, hint.expand(2, -1, -1, -1), return_dict=False)
    y = unet(x, t, context, down_block_additional_residuals=down, mid_block_additional_residual=mid).sample
    loss = ((y - picture("target", 2, 9, 11, 4)) ** 2).mean()
    loss.backward()
    return loss.item(), two_numbers(named)


def encoded(path):
    named = leaves(small_model.read(path, "first_stage_model."), "vae.")
    m = small_model.vae({k: v.detach() for k, v in below(named, "vae.").items()}).double()
    parameters = convert_ldm_vae_checkpoint(below(named, "vae.", "first_stage_model."), m.config)

    class Both(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.vae = m

        def forward(self, x):
            return self.vae.decode(self.vae.encode(x).latent_dist.mean).sample

    y = functional_call(Both(), {"vae." + k: v for k, v in parameters.items()}, (picture("picture", 2, 40, 24, 3) / 2,))
    loss = ((y - picture("target", 2, 40, 24, 3)) ** 2).mean()
    loss.backward()
    return loss.item(), two_numbers(named)


def written(path):
    m = Small(path, parts=("text",)).text.double().requires_grad_(True)
    y = m(ids(2, 9, 500)).last_hidden_state
    loss = ((y - torch.from_numpy(numbers("target", *y.shape))) ** 2).mean()
    loss.backward()
    return loss.item(), two_numbers({"text." + k.removeprefix("text_model."): p for k, p in m.named_parameters()})


if __name__ == "__main__":
    results = {}
    with tempfile.TemporaryDirectory() as folder:
        for k in (1, 2):
            path, text = f"{folder}/sd{k}.safetensors", f"{folder}/text{k}.safetensors"
            subprocess.run([sys.argv[1], f"sd{k}", path, "--parts", "unet,vae,control", "--type", "f32"], check=True)
            subprocess.run([sys.argv[1], f"sd{k}", text, "--parts", "text", "--type", "f32", "--vocabulary", "500", "--context", "192"], check=True)
            for name, (loss, g) in {"steered": steered(path, k), "encoded": encoded(path), "written": written(text)}.items():
                results[f"sd{k}.{name}"] = g
                results[f"sd{k}.{name}.loss"] = torch.tensor([loss], dtype=torch.float32).numpy()
                print(f"sd{k}.{name}: loss {loss:.6f}, {g.size // 2} parameters")
    save_file(results, sys.argv[2])
