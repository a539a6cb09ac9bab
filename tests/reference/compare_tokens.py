# SPDX-License-Identifier: Apache-2.0
#
# compare_tokens.py BPE.txt build/tests/tokens [COUNT]   compares with transformers' CLIPTokenizer on COUNT (10,000) random texts
# compare_tokens.py BPE.txt --golden > tests/golden/tokens.txt
#
# The tokenizer of each family is loaded from a folder with the settings that come with Stable Diffusion 1.5 and 2.1. The golden
# was made with transformers 5.23.0 and tokenizers 0.23.3.
import json
import os
import random
import subprocess
import sys
import tempfile
import unicodedata

PADS = {1: 49407, 2: 0}


def bytes_as_letters():
    own = list(range(33, 127)) + list(range(0xA1, 0xAD)) + list(range(0xAE, 0x100))
    others = [b for b in range(256) if b not in own]
    return [chr(b) for b in own] + [chr(256 + i) for i in range(len(others))]


def make_folders(path, root):
    merges = open(path, encoding="utf-8").read().split("\n")[1 : 49152 - 256 - 2 + 1]
    words = bytes_as_letters()
    words += [w + "</w>" for w in words] + ["".join(m.split()) for m in merges] + ["<|startoftext|>", "<|endoftext|>"]
    for family, pad in ((1, "<|endoftext|>"), (2, "!")):
        folder = "%s/%d" % (root, family)
        os.mkdir(folder)
        json.dump({w: i for i, w in enumerate(words)}, open(folder + "/vocab.json", "w"))
        open(folder + "/merges.txt", "w").write("#version: 0.2\n" + "\n".join(merges) + "\n")
        token = lambda s: {"content": s, "lstrip": False, "normalized": True, "rstrip": False, "single_word": False}
        special = {"bos_token": token("<|startoftext|>"), "eos_token": token("<|endoftext|>"), "pad_token": pad, "unk_token": token("<|endoftext|>")}
        json.dump(special, open(folder + "/special_tokens_map.json", "w"))
        settings = {k: dict(v, __type="AddedToken") if isinstance(v, dict) else v for k, v in special.items()}
        settings.update(add_prefix_space=False, do_lower_case=True, errors="replace", model_max_length=77, tokenizer_class="CLIPTokenizer")
        json.dump(settings, open(folder + "/tokenizer_config.json", "w"))


WORDS = """a photo of the woman's face, she'll we've I'm they're it's don't I'd STRASSE straße İstanbul ISPARTA ıssız ΣΊΣΥΦΟΣ Οδυσσεύς ΟΔΟΣ съешь ЁЖИК
мягких השלום עֲלֵיכֶם السَّلَامُ عليكم हिन्दी क्षत्रिय தமிழ் ภาษาไทย ກ ខ្មែរ မြန်မာ 日本語 カタカナ ｶﾞ 漢字 你好，世界 한국어 각 각 각 Ångström Å é é ệ ệ ñ
ﬁ ŒUVRE Ǆ ǅ ǆ Ⅷ ⅷ ½ ² ٣٤٥ 12345 3.14 1e-5 👍🏽 👨‍👩‍👧‍👦 🇩🇪 🙂 😀!! ... !!! ?! -- “quoted” ‘s ’s 's 'S 'LL 'Re x_y @name #tag http://x.y/z?q=1&r=2 C++ <b> &amp; \\ \t
\u200d \ufeff \u00ad \u200b \u2028 \x85 \x1c \x1f \u180e \u00a0 \u3000 <|startoftext|> <|endoftext|> <|STARTOFTEXT|> <|EndOfText|> <|endoftext| |> ! !x <|endoftext|>! \u1e9e \u212a \u2126
\u0344 \u0958 \u2adc \ufb1d \U0001d15e \U0001f600 \ue000 \U000e0001 \U0010ffff \u0378 \ufffd \ufffe ሀለሐ ᏣᎳᎩ Ꭰ ꭰ \U00010400 \U00010428 \U0001e900 \u10a0 \u1c90 \u2c00 \ua640 \u0130\u0307
portrait masterpiece best quality ultra-detailed 8k DSLR (smile:1.2) [frown] {x} <lora:y:0.8> BREAK, photorealistic bokeh golden-hour""".split(" ")

def one_of_script(r):
    first = r.choice([0x20, 0xA0, 0x100, 0x180, 0x250, 0x300, 0x370, 0x400, 0x530, 0x590, 0x600, 0x700, 0x900, 0x980, 0xB80, 0xE00, 0xF00, 0x1000, 0x10A0,
                      0x1100, 0x1200, 0x13A0, 0x1780, 0x1C80, 0x1D00, 0x1DC0, 0x1E00, 0x1F00, 0x2000, 0x2070, 0x20D0, 0x2100, 0x2190, 0x2460, 0x2600, 0x2C00,
                      0x2D00, 0x3000, 0x3040, 0x30A0, 0x4E00, 0xA640, 0xA720, 0xAB30, 0xAC00, 0xF900, 0xFB00, 0xFE00, 0xFF00, 0x10400, 0x10A00, 0x11080,
                      0x118A0, 0x1D100, 0x1D400, 0x1E900, 0x1F300, 0x1F600, 0x1F900, 0x20000, 0x2F800, 0xE0100])
    return [chr(first + r.randrange(0x80)) for _ in range(r.randrange(1, 8))]


def any_character(r):
    while True:
        c = r.randrange(1, r.choice([0x80, 0x800, 0x3100, 0x10000, 0x110000]))
        if not 0xD800 <= c < 0xE000:
            return chr(c)


MARKS = [chr(c) for c in range(0x300, 0x32000) if not 0xD800 <= c < 0xE000 and unicodedata.combining(chr(c))]
SPACES = " \t\n\r\x0b\x0c\x85\xa0\u1680\u2003\u2028\u202f\u205f\u3000"


def random_text(r):
    parts = []
    for _ in range(r.choice([1, 2, 5, 12, 40])):
        kind = r.random()
        if kind < 0.45:
            word = r.choice(WORDS)
            parts.append(r.choice([word, word, word.upper(), word.lower(), word.title(), word[::-1], unicodedata.normalize("NFD", word)]))
        elif kind < 0.65:
            parts.extend(one_of_script(r))
        elif kind < 0.75:
            parts.append(r.choice("aeouAEoIİKlxがハ가각") + "".join(r.choice(MARKS) for _ in range(r.randrange(1, 5))))
        elif kind < 0.85:
            parts.append("".join(any_character(r) for _ in range(r.randrange(1, 6))))
        else:
            parts.append("".join(r.choice("abcdefghijklmnopqrstuvwxyz'!.,0123456789") for _ in range(r.randrange(1, 30))))
        if r.random() < 0.7:
            parts.append(r.choice(SPACES if r.random() < 0.3 else " "))
    return "".join(parts).replace("\0", "").encode("utf-8", "ignore").decode()


def escape(text):
    return "".join("\\x%02x" % b if b < 32 or b in (92, 127) else bytes([b]).decode("latin-1") for b in text.encode()).encode("latin-1")


def main():
    random_source = random.Random(20261123)
    golden = sys.argv[2] == "--golden"
    count = 300 if golden else int(sys.argv[3]) if len(sys.argv) > 3 else 10000
    texts = ["", " ", "a", "!", "'", "''s", "<|endoftext|>", "<|startoftext|><|endoftext|>", "x" * 300]
    texts += [random_text(random_source) for _ in range(count)]
    if golden:
        texts = [t for t in texts if len(t.encode()) < 160][:200]
    os.environ["HF_HUB_OFFLINE"] = "1"
    from transformers import CLIPTokenizer

    with tempfile.TemporaryDirectory() as root:
        make_folders(sys.argv[1], root)
        wrong, total, long = 0, 0, 0
        rows = [[t] for t in texts]
        for family in PADS:
            tokenizer = CLIPTokenizer.from_pretrained("%s/%d" % (root, family))
            want = [tokenizer(t).input_ids for t in texts]
            if golden:
                for row, w in zip(rows, want):
                    row.append(w[1:-1])
                continue
            packed = os.path.dirname(os.path.abspath(sys.argv[1]))
            for folder in ("%s/%d" % (root, family), packed):
                out = subprocess.run([sys.argv[2], folder, str(PADS[family])], input=b"".join(t.encode() + b"\0" for t in texts),
                                     stdout=subprocess.PIPE, check=True).stdout
                got = [[int(x) for x in line.split()] for line in out.decode().split("\n")[:-1]]
                assert len(got) == len(texts)
                for t, g, w in zip(texts, got, want):
                    total += 1
                    long += len(w) > 77
                    if g != w[1:-1]:
                        wrong += 1
                        if wrong < 10:
                            print("family %d: %s\n  got  %s\n  want %s" % (family, ascii(t), g, w[1:-1]))
    if golden:
        out = sys.stdout.buffer
        out.write(b"# Made by tests/reference/compare_tokens.py: a text, its ids under SD 1.x, and under SD 2.x if they differ.\n")
        for text, one, two in rows:
            ids = lambda x: " ".join(map(str, x)).encode()
            out.write(escape(text) + b"\t" + ids(one) + (b"\t" + ids(two) if two != one else b"") + b"\n")
        return 0
    print("%d texts compared (%d of them longer than a prompt), %d differ" % (total, long, wrong))
    return wrong > 0


if __name__ == "__main__":
    sys.exit(main())
