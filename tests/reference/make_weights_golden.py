#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checkpoints as torch.save and safetensors write them, small, and what is in them: tests/golden/weights/.

make_weights_golden.py OUT_DIR. tensors.txt says for each file, in the order of its state dict, name, type, shape and SHA-256 of the bytes
in row order, as torch.load (2.9.1; weights_only=False, with stand-ins for the classes that are named) and safetensors (0.7) give them.
The files of *.txt's "refused" lines are those that hold no tensors for us. Nothing here runs a malicious file."""
import hashlib
import io
import os
import pickle
import struct
import sys
import types
import zipfile
from collections import OrderedDict, defaultdict

import numpy as np
import safetensors.torch
import torch

out = sys.argv[1]
os.makedirs(out, exist_ok=True)
listing = open(os.path.join(out, "tensors.txt"), "w")
NAMES = {torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16", torch.float64: "F64", torch.int64: "I64", torch.int32: "I32",
         torch.int16: "I16", torch.int8: "I8", torch.uint64: "U64", torch.uint32: "U32", torch.uint16: "U16", torch.uint8: "U8",
         torch.bool: "BOOL", torch.float8_e4m3fn: "F8_E4M3", torch.float8_e5m2: "F8_E5M2"}


def tell(name, tensors):
    print("file", name, file=listing)
    for key, t in tensors.items():
        data = t.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes() if t.numel() else b""
        shape = "x".join(str(d) for d in t.shape) or "-"
        print(key, NAMES[t.dtype], shape, hashlib.sha256(data).hexdigest()[:16], file=listing)


def save(name, value, **how):
    with open(os.path.join(out, name), "wb") as f:
        torch.save(value, f, **how)   # not by path: the folder in the zip would be named after the file


def load(name):
    return torch.load(os.path.join(out, name), weights_only=False)


g = torch.Generator().manual_seed(7)
rand = lambda *s: torch.randn(*s, generator=g)
base = rand(24)
every = OrderedDict([
    ("f32", rand(3, 5)), ("f16", rand(7).half()), ("bf16", rand(2, 3, 2, 2).bfloat16()), ("f64", rand(3).double()),
    ("i64", torch.tensor([1, -2, 2**62])), ("i32", torch.tensor([[1, -2]], dtype=torch.int32)), ("i16", torch.tensor([1, -2], dtype=torch.int16)),
    ("i8", torch.tensor([1, -2], dtype=torch.int8)), ("u8", torch.tensor([1, 254], dtype=torch.uint8)), ("bool", torch.tensor([True, False, True])),
    ("number", torch.tensor(3.5)), ("empty", torch.empty(0, 4)), ("transposed", rand(4, 6).t()), ("channels_last", rand(2, 3, 4, 5).to(memory_format=torch.channels_last)),
    ("slice", base[4:12]), ("shared", base[8:24].view(4, 4)), ("strided", base[1::3]), ("repeated", rand(3, 1).expand(3, 4)), ("turned", rand(2, 3, 4).permute(2, 0, 1)),
    ("parameter", torch.nn.Parameter(rand(3))), ("ones", rand(1, 5, 1)[:, 2:4]),
])
few = OrderedDict([("a.weight", rand(3, 4)), ("a.bias", rand(3).half()), ("b", rand(5, 2).t()), ("caf\u00e9", rand(2))])

save("every.pth", every)
save("every_legacy.pth", every, _use_new_zipfile_serialization=False)
for n in (1, 3, 4, 5):
    save(f"few_{n}.pth", few, pickle_protocol=n)
    save(f"few_legacy_{n}.pth", few, pickle_protocol=n, _use_new_zipfile_serialization=False)
small = OrderedDict([("u16", torch.tensor([1, 65535], dtype=torch.uint16)), ("u32", torch.tensor([7], dtype=torch.uint32)), ("u64", torch.tensor([7], dtype=torch.uint64)),
                     ("e4m3", rand(6).to(torch.float8_e4m3fn)), ("e5m2", rand(2, 3).to(torch.float8_e5m2))])
save("new_types.pth", small)
loaded = {n: load(n) for n in sorted(os.listdir(out)) if n.endswith(".pth")}
for name, value in loaded.items():
    tell(name, value)

# A tensor with an attribute is rebuilt through another function.
marked = rand(4)
marked.note = "x"
save("attributes.pth", {"model": {"marked": marked, "other": rand(2)}, "args": None})
tell("attributes.pth", load("attributes.pth")["model"])
save("module.pth", {"module": few, "global_steps": 12, "lr": 1e-5, "done": True})
tell("module.pth", few)
save("nested.pth", {"unet": {"in": {"weight": rand(2)}, "out": rand(1)}, "step": 3, "optimizer": {"state": {0: {"exp_avg": rand(2)}}}})
n = load("nested.pth")
tell("nested.pth", {"unet.in.weight": n["unet"]["in"]["weight"], "unet.out": n["unet"]["out"]})

# As Lightning writes: classes of its own as keys and values, numpy numbers, optimisers with tensors in them.
lightning = types.ModuleType("pytorch_lightning.callbacks.model_checkpoint")
parsing = types.ModuleType("pytorch_lightning.utilities.parsing")
lightning.ModelCheckpoint = type("ModelCheckpoint", (), {"__module__": lightning.__name__})
parsing.AttributeDict = type("AttributeDict", (dict,), {"__module__": parsing.__name__})
for m in ("pytorch_lightning", "pytorch_lightning.callbacks", "pytorch_lightning.utilities"):
    sys.modules[m] = types.ModuleType(m)
sys.modules[lightning.__name__], sys.modules[parsing.__name__] = lightning, parsing
state = OrderedDict([("model.diffusion_model.out.2.bias", rand(4)), ("control_model.zero_convs.0.0.weight", rand(3, 2, 1, 1)), ("betas", rand(5))])
state._metadata = OrderedDict([("", {"version": 1})])
keep = parsing.AttributeDict(lr=1e-5, betas=(0.9, 0.999), when=np.datetime64("2023-03-01"))
checkpoint = {
    "epoch": 6, "global_step": 470000, "pytorch-lightning_version": "1.4.2", "state_dict": state,
    "callbacks": {lightning.ModelCheckpoint: {"monitor": "val/loss", "best_model_score": torch.tensor(0.25), "current_score": np.float32(0.5),
                                              "best_k_models": {"a.ckpt": np.float64(1.5)}, "seen": {1, 2}, "frozen": frozenset([3]), "path": slice(1, 2)}},
    "optimizer_states": [{"state": {0: {"step": 5, "exp_avg": rand(4)}}, "param_groups": [{"lr": 1e-5, "params": [0, 1]}]}],
    "lr_schedulers": [defaultdict(list, {"last": [np.int64(3)]})], "hparams_name": "kwargs", "hyper_parameters": keep, "big": 10**30, "none": None,
}
save("lightning.ckpt", checkpoint)
save("lightning_legacy.ckpt", checkpoint, _use_new_zipfile_serialization=False)
save("lightning_4.ckpt", checkpoint, pickle_protocol=4)
for name in ("lightning.ckpt", "lightning_legacy.ckpt", "lightning_4.ckpt"):
    tell(name, load(name)["state_dict"])


def rewrite(name, source, change=lambda name, data: data, how=zipfile.ZIP_STORED):
    """A zip with the same members, changed by a function."""
    with zipfile.ZipFile(os.path.join(out, source)) as z, zipfile.ZipFile(os.path.join(out, name), "w", how) as w:
        for i in z.infolist():
            w.writestr(zipfile.ZipInfo(i.filename, (1980, 1, 1, 0, 0, 0)), change(i.filename, z.read(i)), how)


rewrite("deflated.pth", "few_3.pth", how=zipfile.ZIP_DEFLATED)
tell("deflated.pth", load("deflated.pth"))

# Malicious: the state dict beside a call of os.system, which would make a file. Written by hand, so that nothing runs here.
class Call:
    def __init__(self, function, *arguments):
        self.what = function, arguments

    def __reduce__(self):
        return self.what


def evil(how):
    return OrderedDict([("w", rand(2, 2)), ("evil", how), ("v", rand(3))])


for name, how in (("system", Call(os.system, "touch mien-was-here")), ("eval", Call(eval, "open('mien-was-here','w')")),
                  ("nested_call", Call(map, Call(eval, "open('mien-was-here','w')"), [1]))):
    value = evil(how)
    save(f"evil_{name}.pth", value)
    save(f"evil_{name}_legacy.pth", value, _use_new_zipfile_serialization=False)
    for n in (f"evil_{name}.pth", f"evil_{name}_legacy.pth"):
        tell(n, OrderedDict((k, t) for k, t in value.items() if k != "evil"))

# A whole module, of a class that only its author has.
mine = types.ModuleType("mine")
mine.Net = type("Net", (torch.nn.Linear,), {"__module__": "mine"})
sys.modules["mine"] = mine
save("object.pth", mine.Net(2, 2))
print("refused object.pth is a Python object (mine.Net) and not a state dict", file=listing)
with open(os.path.join(out, "plain.pkl"), "wb") as f:
    pickle.dump({"w": torch.zeros(2)}, f)
print("refused plain.pkl is a pickle, but none that torch.save wrote", file=listing)
save("nothing.pth", {"a": 1, "b": [rand(2)]})
print("refused nothing.pth has no tensors by name in it", file=listing)
rewrite("big_endian.pth", "few_3.pth", lambda n, d: b"big" if n.endswith("byteorder") else d)
print("refused big_endian.pth was saved on a machine of another byte order", file=listing)
rewrite("short_member.pth", "few_3.pth", lambda n, d: d[:-1] if n.endswith("/data/0") else d)
print("refused short_member.pth has 47 bytes, and should have 48", file=listing)
with zipfile.ZipFile(os.path.join(out, "no_pickle.pth"), "w") as z:
    z.writestr(zipfile.ZipInfo("x/y.txt", (1980, 1, 1, 0, 0, 0)), "x")
print("refused no_pickle.pth is a zip file, but no PyTorch checkpoint: it has no data.pkl", file=listing)


# Views of storages, as before 0.4: ("storage", class, root, place, elements, (key, offset, elements)).
class Views(pickle.Pickler):
    def persistent_id(self, value):
        return ("storage", torch.FloatStorage, "root", "cpu", 12, value.what) if isinstance(value, View) else None


class View:
    def __init__(self, *what):
        self.what = what


class Rebuilt:
    def __init__(self, *arguments):
        self.arguments = arguments

    def __reduce__(self):
        return torch._utils._rebuild_tensor, self.arguments


numbers = rand(12)
b = io.BytesIO()
for front in (0x1950A86A20F9469CFC6C, 1001, {"protocol_version": 1001, "little_endian": True, "type_sizes": {"short": 2, "int": 4, "long": 4}}):
    pickle.dump(front, b, 2)
Views(b, 2).dump({"x": Rebuilt(View("view", 2, 8), 1, (2, 3), (3, 1)), "y": Rebuilt(View("whole", 0, 12), 0, (12,), (1,))})
pickle.dump(["root"], b, 2)
b.write(struct.pack("<q", 12) + numbers.numpy().tobytes())
open(os.path.join(out, "views.pth"), "wb").write(b.getvalue())
v = load("views.pth")
assert torch.equal(v["y"], numbers) and torch.equal(v["x"].flatten(), numbers[3:9])
tell("views.pth", v)

stored = {f"{i}.{k}": t.contiguous().clone() for i, (k, t) in enumerate(list(every.items())[:12] + list(small.items()))}
safetensors.torch.save_file(stored, os.path.join(out, "every.safetensors"), {"format": "pt", "licence": "caf\u00e9"})
tell("every.safetensors", safetensors.torch.load_file(os.path.join(out, "every.safetensors")))
listing.close()
