#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Speed of `mien generate` beside diffusers' StableDiffusionControlNetPipeline in PyTorch, in turns in one run: seconds a step (guidance on, 512x512), of the
autoencoder's decoding, of a whole 20-step picture; peak memory; and how long loading takes beside `cat`.

    generate.py MIEN MAKE_MODEL VOCABULARY [--models DIR] [--family 1|2|12] [--dtype bf16|f32|both] [--rounds 3] [--steps 20] [--size 512] [--load-only] [--small]

MAKE_MODEL is build/tests/make_model, VOCABULARY CLIP's bpe_simple_vocab_16e6.txt. Models are random, of the real shapes of SD 1.5 and 2.1 (3 to 6 GB each), made once in DIR
(default: a temporary folder). --small: small ones, to see that this works. PyTorch runs in a process of its own, bf16 in channels-last, and waits while mien runs.
A picture's time is without loading on both sides; mien's whole process stands beside it. Medians of the rounds, and their spread.
Written for torch 2.9.1, diffusers 0.42.1, transformers 5.23."""
import argparse, json, mmap, os, statistics, subprocess, sys, tempfile, time

here = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(here, "..", "tests", "reference"))

PROMPT, NEGATIVE = "a photo of an old woman, smiling at the camera, soft light", "blurry, low quality"
NAMES = {1: "SD 1.5", 2: "SD 2.1"}


def peak_memory():
    for line in open("/proc/self/status"):
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return 0


# ---- PyTorch's side: reads {"steps":n} lines, answers with one JSON line each --------------------------------------------------------

def peer(base, control, dtype, size, vocabulary, family):
    import torch
    from diffusers import StableDiffusionControlNetPipeline
    from PIL import Image
    from transformers import CLIPTokenizer

    from compare_tokens import make_folders
    from make_sampler_golden import scheduler
    from small_model import Small

    begin = time.time()
    with tempfile.TemporaryDirectory() as folder:
        make_folders(vocabulary, folder)
        tokenizer = CLIPTokenizer.from_pretrained(f"{folder}/{family}")
    m = Small(base, control)
    kind = torch.bfloat16 if dtype == "bf16" else torch.float32
    nets = dict(vae=m.vae, text_encoder=m.text, unet=m.unet, controlnet=m.control)
    for net in nets.values():
        net.to(kind)
    if dtype == "bf16":
        for name in ("vae", "unet", "controlnet"):
            nets[name].to(memory_format=torch.channels_last)
    pipe = StableDiffusionControlNetPipeline(**nets, tokenizer=tokenizer, scheduler=scheduler("ddim"), safety_checker=None, feature_extractor=None,
                                             requires_safety_checker=False)
    pipe.set_progress_bar_config(disable=True)
    image = Image.open(sys.stdin.readline().strip()).convert("RGB")
    decoding = []
    decode = m.vae.decode

    def timed_decode(*a, **k):
        t = time.time()
        out = decode(*a, **k)
        decoding.append(time.time() - t)
        return out
    m.vae.decode = timed_decode
    try:
        open("/proc/self/clear_refs", "w").write("5")   # the peak is that of the runs, not of loading
    except OSError:
        pass
    print(json.dumps({"load": time.time() - begin, "torch": torch.__version__, "threads": torch.get_num_threads()}), flush=True)
    for line in sys.stdin:
        steps, times = json.loads(line)["steps"], []

        def end_of_step(pipe, i, t, kwargs):
            times.append(time.time())
            return kwargs
        begin = time.time()
        with torch.inference_mode():
            pipe(PROMPT, image=image, negative_prompt=NEGATIVE, width=size, height=size, num_inference_steps=steps, guidance_scale=9.0,
                 generator=torch.Generator("cpu").manual_seed(1), callback_on_step_end=end_of_step)
        total = time.time() - begin
        each = [b - a for a, b in zip(times, times[1:])]   # the first one would have the text encoder in it
        print(json.dumps({"steps": each, "decode": decoding.pop(), "total": total, "peak_bytes": peak_memory()}), flush=True)


# ---- this side ------------------------------------------------------------------------------------------------------------------------

def spread(x):
    return f"{statistics.median(x):.3f} s ({min(x):.3f}-{max(x):.3f})"


def compare(what, ours, theirs):
    print(f"  {what:34} mien {spread(ours):26} PyTorch {spread(theirs):26} {statistics.median(theirs) / statistics.median(ours):.2f} times", flush=True)


class Bench:
    def __init__(self, a):
        self.a = a

    def model(self, name, *options):
        path = os.path.join(self.a.models, f"{name}{'-small' if self.a.small else ''}.safetensors")
        if not os.path.exists(path):
            extra = [] if self.a.small else ["--real"]
            subprocess.run([self.a.make_model, name.split("-")[0], path + ".part", *extra, *options], check=True)
            os.rename(path + ".part", path)
        return path

    def mien(self, base, control, dtype, steps, out):
        timings = os.path.join(self.a.work, "timings.json")
        if os.path.exists(timings):
            os.remove(timings)
        begin = time.time()
        subprocess.run([self.a.mien, "generate", "--base", base, "--control", control, "--map", self.map, "--prompt", PROMPT, "--added", "", "--negative", NEGATIVE,
                        "--steps", str(steps), "--seed", "1", "--size", f"{self.a.size}x{self.a.size}", "--dtype", dtype, "--prediction", "epsilon", "--no-metadata", "--force",
                        "-o", out, "--timings", timings, "--quiet"], check=True)
        t = json.load(open(timings))
        t["process"] = time.time() - begin
        return t

    def family(self, k, dtype):
        base, control = self.model(f"sd{k}"), self.model(f"control{k}")
        print(f"{NAMES[k]} and ControlNet, {self.a.size}x{self.a.size}, guidance on, {dtype}:", flush=True)
        child = subprocess.Popen([sys.executable, os.path.abspath(__file__), "--peer", base, control, dtype, str(self.a.size), self.a.vocabulary, str(k)],
                                 stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, stderr=None if self.a.verbose else subprocess.DEVNULL)

        def ask(line):
            child.stdin.write(line + "\n")
            child.stdin.flush()
            answer = child.stdout.readline()
            if not answer:
                raise SystemExit("PyTorch's side ended early (--verbose shows why)")
            return json.loads(answer)
        about = ask(self.map)
        ask(json.dumps({"steps": 2}))   # warm
        out = os.path.join(self.a.work, "out.png")
        ours, theirs = [], []
        for _ in range(self.a.rounds):
            ours.append(self.mien(base, control, dtype, self.a.steps, out))
            theirs.append(ask(json.dumps({"steps": self.a.steps})))
        child.stdin.close()
        child.wait()
        compare("one step", [s for t in ours for s in t["steps"]], [s for t in theirs for s in t["steps"]])
        compare("decoding", [t["decode"] for t in ours], [t["decode"] for t in theirs])
        compare(f"a picture of {self.a.steps} steps", [t["total"] - t["load"] for t in ours], [t["total"] for t in theirs])
        print(f"  {'its whole process, loading with it':34} mien {spread([t['process'] for t in ours])}")
        print(f"  {'loading':34} mien {spread([t['load'] for t in ours]):26} PyTorch {about['load']:.1f} s, its conversions of names with it")
        print(f"  {'peak memory':34} mien {max(t['peak_bytes'] for t in ours) / 1e9:.2f} GB{'':19} PyTorch {max(t['peak_bytes'] for t in theirs) / 1e9:.2f} GB", flush=True)

    def touch(self, size):
        """Seconds to touch fresh memory, which is given back: a virtual machine may have to fetch it from its host, and keeps it for a moment."""
        begin = time.time()
        m = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        m.madvise(mmap.MADV_HUGEPAGE)
        for i in range(0, size, 4096):
            m[i] = 1
        m.close()
        return time.time() - begin

    def loading(self):
        """A checkpoint of f32, as many are: everything is read and packed, and no step taken. As it is, and with memory that was in use just before."""
        base, control = self.model("sd2-f32", "--type", "f32"), self.model("control2")
        print("loading SD 2.1 in f32, files in the page cache:", flush=True)
        cats, loads, there, first, times = [], [], [], [], None
        dtype = "bf16" if self.a.dtype != "f32" else "f32"
        out, need = os.path.join(self.a.work, "out.png"), (3 if dtype == "bf16" else 6) << (20 if self.a.small else 30)
        for path in (base, control):
            subprocess.run(["cat", path], stdout=subprocess.DEVNULL, check=True)
        for _ in range(self.a.rounds):
            begin = time.time()
            for path in (base, control):
                subprocess.run(["sh", "-c", 'cat "$1" >/dev/null', "sh", path], check=True)
            cats.append(time.time() - begin)
            times = self.mien(base, control, dtype, 0, out)
            loads.append(times["load"])
            first.append((self.touch(need), self.touch(need)))
            there.append(self.mien(base, control, dtype, 0, out)["load"])
        size = (os.path.getsize(base) + os.path.getsize(control)) / 1e9
        print(f"  {size:.2f} GB: cat {spread(cats)}, loading {spread(loads)}: {statistics.median(loads) / statistics.median(cats):.2f} times cat (asked: at most 1.5)")
        print(f"  with memory that was in use just before: {spread(there)}: {statistics.median(there) / statistics.median(cats):.2f} times cat")
        print(f"  touching {need / 1e9:.1f} GB of memory: {spread([t[0] for t in first])}, again {spread([t[1] for t in first])}")
        print("  --steps 0: " + ", ".join(f"{n} {times[n]:.2f} s" for n in ("load", "text", "hint", "decode", "write", "total")), flush=True)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("mien")
    p.add_argument("make_model")
    p.add_argument("vocabulary")
    p.add_argument("--models")
    p.add_argument("--family", default="12")
    p.add_argument("--dtype", default="bf16", choices=("bf16", "f32", "both"))
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--steps", type=int, default=20)
    p.add_argument("--size", type=int, default=512)
    p.add_argument("--load-only", action="store_true")
    p.add_argument("--small", action="store_true")
    p.add_argument("--verbose", action="store_true")
    a = p.parse_args()
    with tempfile.TemporaryDirectory() as work:
        a.work = work
        a.models = a.models or work
        os.makedirs(a.models, exist_ok=True)
        b = Bench(a)
        b.map = os.path.join(work, "map.png")
        from PIL import Image, ImageDraw
        image = Image.new("RGB", (a.size, a.size))
        ImageDraw.Draw(image).ellipse((a.size // 4, a.size // 6, a.size * 3 // 4, a.size * 5 // 6), outline=(10, 200, 10), width=2)
        image.save(b.map)
        if not a.load_only:
            for dtype in ("bf16", "f32") if a.dtype == "both" else (a.dtype,):
                for k in a.family:
                    b.family(int(k), dtype)
        b.loading()


if __name__ == "__main__":
    if len(sys.argv) > 1 and sys.argv[1] == "--peer":
        peer(*sys.argv[2:5], int(sys.argv[5]), sys.argv[6], sys.argv[7])
    else:
        main()
