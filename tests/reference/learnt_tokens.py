#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""tests/golden/learnt_tokens.txt: ids that transformers 5.23 gives with the tokenizer files that `mien convert` wrote of a base whose tokenizer was
learnt from the captions below. learnt_tokens.py MIEN CONFIGS (any for init --scratch, vocab_size 600), with transformers' Python.

The file: the captions, an empty line, merges.txt as it was learnt, an empty line, then TEXT<tab>ids."""
import random, subprocess, sys, tempfile
from transformers import CLIPTokenizer

r = random.Random(7)
captions = [f"{r.choice(['a', 'the portrait of a'])} {r.choice(['smiling', 'laughing', 'serious'])} {r.choice(['young', 'old'])} {r.choice(['man', 'woman'])} with "
            f"{r.choice(['red', 'blond', 'grey'])} {r.choice(['hair', 'curls'])}, looking {r.choice(['left', 'right', 'straight ahead'])}, in a café" for _ in range(60)]
texts = captions[:6] + ["Zebra's xylophone!!! 1234", "naïve café ÉCOLE", "日本語 text", "a <|endoftext|> b", "emoji 😀👍🏽 don't we'll", "smilingmanly LOOKING", "a" * 40]
texts += ["".join(r.choice("aeiomnlghrs '!?é0-") for _ in range(r.randint(1, 40))).strip() for _ in range(30)]

mien, configs = sys.argv[1:]
with tempfile.TemporaryDirectory() as folder:
    open(folder + "/captions.txt", "w").write("\n".join(captions) + "\n")
    subprocess.run([mien, "init", "--scratch", configs, "--captions", folder + "/captions.txt", "-o", folder + "/base.safetensors", "-q"], check=True)
    subprocess.run([mien, "convert", folder + "/base.safetensors", folder + "/hf", "--to", "diffusers", "-q"], check=True)
    merges = open(folder + "/hf/tokenizer/merges.txt").read()
    tokenizer = CLIPTokenizer.from_pretrained(folder + "/hf/tokenizer")
    lines = [t + "\t" + " ".join(map(str, tokenizer(t, add_special_tokens=False)["input_ids"])) for t in texts]
open("tests/golden/learnt_tokens.txt", "w").write("\n".join(captions) + "\n\n" + merges + "\n" + "\n".join(lines) + "\n")
