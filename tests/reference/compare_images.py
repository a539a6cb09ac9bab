#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Random pictures of every kind, and damaged ones, through Pillow and through our decoders: same verdict, same bytes?

    python tests/reference/compare_images.py --dump build/decode_dump [--count 500] [--seed 1] [--damage 4] [--only JPEG] [--keep DIR]

decode_dump is tests/reference/decode_dump.c linked with the library (`make peers` builds it). Written for Pillow 13.0.0.
Prints every difference, then one line a format; exits 1 if any picture that both take differs in a byte."""
import argparse, hashlib, io, os, random, struct, subprocess, sys, tempfile, warnings, zlib
from collections import Counter

import numpy as np
from PIL import Image, ImageOps, PngImagePlugin

warnings.simplefilter("ignore")
LIMIT = 20_000_000
Image.MAX_IMAGE_PIXELS = LIMIT // 2     # Pillow refuses twice as many

def size():
    return random.choice([1, 2, 3, 7, 8, 9, 16, 17, 33, random.randint(1, 90)]), random.choice([1, 2, 3, 7, 8, 15, 16, 31, random.randint(1, 90)])

def noise(w, h, c=3):
    a = np.random.randint(0, 256, (h, w, c) if c > 1 else (h, w), dtype=np.uint8)
    if random.random() < 0.6:       # smooth
        small = np.random.randint(0, 256, (3, 3, c) if c > 1 else (3, 3), dtype=np.uint8)
        chans = [np.asarray(Image.fromarray(small[..., i] if c > 1 else small).resize((w, h), Image.BICUBIC)) for i in range(c)]
        a = np.stack(chans, -1) if c > 1 else chans[0]
    elif random.random() < 0.3:
        a = np.where(a > 127, 255, 0).astype(np.uint8)
    return a

def saved(im, fmt, **options):
    out = io.BytesIO()
    im.save(out, fmt, **options)
    return out.getvalue()

# ---- JPEG ------------------------------------------------------------------------------------------------------------

def jpeg():
    w, h = size()
    kind = random.choice(["L", "RGB", "RGB", "RGB", "CMYK", "YCCK", "KEEP", "MPO", "NOJFIF"])
    im = Image.fromarray(noise(w, h, 1)) if kind == "L" else Image.frombytes("CMYK", (w, h), noise(w, h, 4).tobytes()) if kind in ("CMYK", "YCCK") else Image.fromarray(noise(w, h))
    options = {"quality": random.choice([5, 30, 75, 90, 100])}
    if kind not in ("L", "KEEP"): options["subsampling"] = random.choice([0, 1, 2, -1])
    if random.random() < .4: options["progressive"] = True
    if random.random() < .2: options["optimize"] = True
    if random.random() < .2: options["restart_marker_blocks"] = random.randint(1, 5)
    if random.random() < .1: options["restart_marker_rows"] = 1
    if random.random() < .1: options["comment"] = b"c" * random.randint(1, 300)
    if kind == "KEEP": options["keep_rgb"] = True
    if kind == "MPO":
        return saved(im, "MPO", save_all=True, append_images=[im.transpose(0)])
    data = saved(im, "JPEG", **options)
    if kind == "YCCK":          # the same bytes, said to be YCCK
        at = data.index(b"Adobe")
        data = data[:at + 11] + b"\2" + data[at + 12:]
    if kind == "NOJFIF":        # without the JFIF marker: libjpeg guesses the colours by the component ids
        data = data[:2] + data[20:]
        if random.random() < .5:
            at = data.index(b"\xff\xc2" if options.get("progressive") else b"\xff\xc0")
            ids = random.choice([b"RGB", b"\0\1\2", b"\5\6\7"])
            data = bytearray(data)
            for i in range(3): data[at + 10 + 3 * i] = ids[i]
            data = bytes(data).replace(b"\xff\xda\0\x0c\3\1\0\2\x11\3\x11", b"\xff\xda\0\x0c\3" + bytes([ids[0], 0, ids[1], 0x11, ids[2], 0x11]))
    return data

# ---- PNG -------------------------------------------------------------------------------------------------------------

def chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

def filtered(rows, bpp):
    out, above = b"", None
    for row in rows:
        row = np.frombuffer(row, np.uint8).astype(int)
        up = above if above is not None else np.zeros_like(row)
        left, corner = np.concatenate([np.zeros(bpp, int), row])[:len(row)], np.concatenate([np.zeros(bpp, int), up])[:len(row)]
        kind = random.randint(0, 4)
        if kind == 4:
            p = left + up - corner
            pa, pb, pc = abs(p - left), abs(p - up), abs(p - corner)
            guess = np.where((pa <= pb) & (pa <= pc), left, np.where(pb <= pc, up, corner))
        else:
            guess = [0, left, up, (left + up) // 2][kind]
        out += bytes([kind]) + ((row - guess) & 255).astype(np.uint8).tobytes()
        above = row
    return out

def packed(samples, depth):
    """samples [h,w,c] -> rows of bytes"""
    h, w, c = samples.shape
    if depth == 16: return [r.astype(">u2").tobytes() for r in samples.reshape(h, w * c)]
    if depth == 8: return [r.astype(np.uint8).tobytes() for r in samples.reshape(h, w * c)]
    bits = ((samples.reshape(h, w * c)[..., None] >> np.arange(depth - 1, -1, -1)) & 1).reshape(h, -1)
    return [np.packbits(r).tobytes() for r in bits]

def png():
    if random.random() < .15:
        im = Image.fromarray(noise(*size()))
        if random.random() < .5:
            return saved(im, "PNG", save_all=True, append_images=[im.transpose(0), im.transpose(1)], default_image=random.random() < .5)
        return saved(im.quantize(random.randint(2, 256)), "PNG", bits=random.choice([8, 8, 8]))
    w, h = size()
    colour = random.choice([0, 2, 3, 4, 6])
    depth = random.choice({0: [1, 2, 4, 8, 16], 2: [8, 16], 3: [1, 2, 4, 8], 4: [8, 16], 6: [8, 16]}[colour])
    c = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour]
    samples = np.random.randint(0, 1 << depth, (h, w, c))
    if depth == 16 and random.random() < .5: samples = samples % 400
    bpp = max(1, c * depth // 8)
    interlace = random.random() < .4
    raw = b""
    if interlace:
        for x0, y0, dx, dy in ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)):
            part = samples[y0::dy, x0::dx]
            if part.size: raw += filtered(packed(part, depth), bpp)
    else:
        raw = filtered(packed(samples, depth), bpp)
    data = zlib.compress(raw, random.choice([0, 1, 6, 9]))
    if random.random() < .1: data += b"extra"
    out = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", w, h, depth, colour, 0, 0, interlace))
    if random.random() < .2: out += chunk(b"gAMA", struct.pack(">I", 45455))
    if random.random() < .1: out += chunk(b"sRGB", b"\0")
    if random.random() < .1: out += chunk(b"iCCP", b"name\0\0" + zlib.compress(b"profile" * 20))
    if random.random() < .1: out += chunk(b"sBIT", b"\5" * c)
    if random.random() < .1: out += chunk(b"zTXt", b"k\0\0" + zlib.compress(b"v" * random.choice([1, 100, 1 << 20, (1 << 20) + 1])))
    if random.random() < .1: out += chunk(b"iTXt", b"k\0\1\0en\0k\0" + zlib.compress(b"v" * random.choice([10, 2 << 20])))
    if random.random() < .1: out += chunk(b"tEXt", b"key\0value")
    if colour == 3 and random.random() < .95: out += chunk(b"PLTE", np.random.randint(0, 256, 3 * random.choice([1 << depth, 1 << depth, random.randint(1, 1 << depth)]), dtype=np.uint8).tobytes() + (b"x" if random.random() < .05 else b""))
    if random.random() < .3: out += chunk(b"tRNS", {0: b"\0\1", 2: b"\0\1\0\2\0\3", 3: bytes(random.choices([0, 255], k=random.randint(1, 1 << depth)))}.get(colour, b"\0"))
    if random.random() < .1: out += chunk(b"bKGD", {0: b"\0\1", 2: b"\0\1\0\2\0\3", 3: b"\0", 4: b"\0\1", 6: b"\0\1\0\2\0\3"}[colour])
    n = random.choice([1, 1, 2, 5])
    at = sorted(random.choices(range(len(data) + 1), k=n - 1))
    for a, b in zip([0] + at, at + [len(data)]): out += chunk(b"IDAT", data[a:b])
    if random.random() < .1: out += chunk(b"tEXt", b"late\0value")
    if random.random() < .05: out += chunk(b"gAMA", b"\0\0")
    return out + chunk(b"IEND", b"")

def png_resealed(data):
    """Damage inside a chunk, with its checksum made right again."""
    out, at = bytearray(data), 8
    while at + 12 <= len(out):
        n = struct.unpack(">I", out[at:at + 4])[0]
        if at + 12 + n > len(out): break
        if n and random.random() < .3: out[at + 8 + random.randrange(n)] ^= 1 << random.randrange(8)
        out[at + 8 + n:at + 12 + n] = struct.pack(">I", zlib.crc32(bytes(out[at + 4:at + 8 + n])))
        at += 12 + n
    return bytes(out)

# ---- WebP ------------------------------------------------------------------------------------------------------------

def webp():
    w, h = size()
    im = Image.fromarray(noise(w, h, random.choice([3, 4])))
    options = {"lossless": random.random() < .4, "quality": random.choice([10, 75, 100]), "exact": random.random() < .5, "method": random.randint(0, 4)}
    if random.random() < .25:
        other = Image.fromarray(noise(w, h, 4))
        first = Image.new("RGBA", (w, h), (0, 0, 0, 0))
        first.paste(im.resize((max(1, w // 2), max(1, h // 2))), (w // 3 & ~1, h // 3 & ~1))
        return saved(first, "WEBP", save_all=True, append_images=[other], allow_mixed=True, **options)
    if random.random() < .2: options["exif"] = b"Exif\0\0II*\0\x08\0\0\0\0\0\0\0\0\0"
    return saved(im, "WEBP", **options)

# ---- BMP -------------------------------------------------------------------------------------------------------------

MASKS = {32: [(0xff0000, 0xff00, 0xff, 0), (0xff000000, 0xff0000, 0xff00, 0), (0xff000000, 0xff00, 0xff, 0), (0xff000000, 0xff0000, 0xff00, 0xff),
              (0xff, 0xff00, 0xff0000, 0xff000000), (0xff0000, 0xff00, 0xff, 0xff000000), (0xff000000, 0xff00, 0xff, 0xff0000), (0, 0, 0, 0), (1, 2, 3, 4)],
         24: [(0xff0000, 0xff00, 0xff, 0)], 16: [(0xf800, 0x7e0, 0x1f, 0), (0x7c00, 0x3e0, 0x1f, 0), (0xf00, 0xf0, 0xf, 0)]}

def rle(w, h, four):
    out = b""
    for y in range(h):
        x = 0
        while x < w:
            n = min(w - x + (random.random() < .02), random.randint(1, 20))
            kind = random.random()
            if kind < .5:
                out += bytes([n, random.randrange(256)])
            elif kind < .55 and y + 1 < h:
                out += bytes([0, 2, n, random.choice([0, 0, 1])])
            elif n >= 3:
                body = bytes(random.randrange(256) for _ in range((n + 1) // 2 if four else n))
                out += bytes([0, n]) + body + (b"\0" if len(body) & 1 else b"")
            else:
                out += bytes([n, random.randrange(256)])
            x += n
        if random.random() < .97: out += b"\0\0"
    return out + b"\0\1"

def bmp():
    if random.random() < .2:
        im = Image.fromarray(noise(*size()))
        return saved(random.choice([im, im.convert("L"), im.convert("1"), im.quantize(random.randint(2, 256)), im.convert("RGBA")]), "BMP")
    w, h = size()
    bits = random.choice([1, 4, 8, 16, 24, 32])
    header = random.choice([12, 40, 40, 40, 52, 56, 64, 108, 124, 16])
    compression = random.choice([0, 0, 0, {1: 0, 4: 2, 8: 1}.get(bits, 3)]) if header > 12 else 0
    if random.random() < .03: compression = random.randint(0, 6)
    top_down = header > 12 and random.random() < .3
    colours = random.choice([0, 0, 1 << bits, random.randint(1, 1 << bits)]) if bits <= 8 and header > 12 else 0
    n = colours or (1 << bits if bits <= 8 else 0)
    entry = 3 if header == 12 else 4
    palette = np.random.randint(0, 256, (n, entry), dtype=np.uint8)
    if random.random() < .3: palette[:] = (np.arange(n) * (255 if n == 2 else 1))[:, None]
    if random.random() < .1: palette[:] = (np.arange(n) * 255 // max(1, n - 1))[:, None]
    palette = palette.tobytes() if bits <= 8 else b""
    if compression in (1, 2): data = rle(w, h, compression == 2)
    else: data = np.random.randint(0, 256, ((w * bits + 31) // 32 * 4) * h, dtype=np.uint8).tobytes()
    masks = random.choice(MASKS.get(bits, [(0, 0, 0, 0)]))
    after = struct.pack("<III", *masks[:3]) if compression == 3 and header == 40 else b""
    gap = b"gap" * random.choice([0, 0, 0, 1])
    offset = 14 + header + len(after) + len(palette) + len(gap)
    if header == 12: info = struct.pack("<IHHHH", 12, w, h, 1, bits)
    else:
        info = struct.pack("<IIiHHIIiiII", header, w, -h if top_down else h, 1, bits, compression, len(data), 2835, 2835, colours, 0)
        info = (info + struct.pack("<IIII", *masks) + bytes(124))[:header]
    if random.random() < .05: offset = random.choice([0, 14 + header])
    return b"BM" + struct.pack("<IHHI", offset + len(data), 0, 0, offset) + info + after + palette + gap + data

# ---- GIF -------------------------------------------------------------------------------------------------------------

def gif():
    w, h = size()
    im = Image.fromarray(noise(w, h, random.choice([1, 3])))
    if im.mode == "RGB": im = im.quantize(random.choice([2, 4, 16, 100, 256]))
    options = {"interlace": random.random() < .5}
    if random.random() < .4: options["transparency"] = random.randrange(256)
    if random.random() < .3: options["comment"] = b"hello"
    if random.random() < .3: options |= {"save_all": True, "append_images": [im.transpose(0)], "duration": 100, "loop": 0, "disposal": random.randint(0, 3)}
    data = bytearray(saved(im, "GIF", **options))
    if random.random() < .3:        # another canvas
        data[6:10] = struct.pack("<HH", *size())
    if random.random() < .3:        # the frame elsewhere on it
        at = gif_frame(data)
        if at: data[at + 1:at + 5] = struct.pack("<HH", random.randint(0, 20), random.randint(0, 20))
    if random.random() < .2:        # the palette as the frame's own, none of the file's
        at = gif_frame(data)
        if at and data[10] & 128 and not data[at + 9] & 128:
            n = 3 << (data[10] & 7) + 1
            local = data[13:13 + n]
            flags = data[at + 9] | 128 | data[10] & 7
            data = data[:13] + data[13 + n:at] + data[at:at + 9] + bytes([flags]) + local + data[at + 10:]
            data[10] &= 127
    if random.random() < .1:        # bytes between the blocks
        at = gif_frame(data)
        if at: data[at:at] = bytes(random.choice([0, 0, 7, 255]) for _ in range(random.randint(1, 4)))
    return bytes(data)

def gif_frame(data):
    at = 13 + (3 << (data[10] & 7) + 1 if data[10] & 128 else 0)
    while at < len(data) and data[at] == 0x21:
        at += 2
        while data[at]: at += data[at] + 1
        at += 1
    return at if at < len(data) and data[at] == 0x2c else None

# ---- Damage ----------------------------------------------------------------------------------------------------------

def damaged(data, fmt):
    kind = random.choice(["cut", "cut", "flip", "flip", "flip", "delete", "insert", "zero", "append", "reseal", "cut_end"])
    n = len(data)
    if kind == "cut": return data[:random.randrange(n)]
    if kind == "cut_end": return data[:max(1, n - random.randint(1, 30))]
    if kind == "append": return data + random.randbytes(random.randint(1, 50))
    if kind == "reseal" and fmt == "PNG": return png_resealed(data)
    if kind == "delete":
        a = random.randrange(n)
        return data[:a] + data[a + random.randint(1, 20):]
    if kind == "insert":
        a = random.randrange(n)
        return data[:a] + random.randbytes(random.randint(1, 20)) + data[a:]
    out = bytearray(data)
    for _ in range(random.choice([1, 1, 2, 5])):
        a = random.randrange(n)
        if kind == "zero": out[a:a + 8] = bytes(len(out[a:a + 8]))
        else: out[a] ^= 1 << random.randrange(8)
    return bytes(out)

# ---- Comparing -------------------------------------------------------------------------------------------------------

def pillow(path, formats, exif):
    try:
        with open(path, "rb") as f: data = f.read()     # from a path, Pillow maps BMPs and takes some it refuses otherwise
        with Image.open(io.BytesIO(data), formats=formats) as im:
            if exif: im = ImageOps.exif_transpose(im)
            im = im.convert("RGB")
            return f"ok {im.width} {im.height} {hashlib.sha256(im.tobytes()).hexdigest()}"
    except Exception as e:
        return f"no {type(e).__name__}: {e}"

def main():
    args = argparse.ArgumentParser()
    args.add_argument("--dump", required=True)
    args.add_argument("--count", type=int, default=300)
    args.add_argument("--damage", type=int, default=4, help="damaged copies of each picture")
    args.add_argument("--seed", type=int, default=1)
    args.add_argument("--only")
    args.add_argument("--keep", help="a folder for the files that differ")
    args.add_argument("--quiet", action="store_true")
    a = args.parse_args()
    ok = True
    for fmt, make in (("JPEG", jpeg), ("PNG", png), ("WEBP", webp), ("BMP", bmp), ("GIF", gif)):
        if a.only and fmt != a.only: continue
        random.seed(a.seed); np.random.seed(a.seed)
        with tempfile.TemporaryDirectory() as folder:
            paths = []
            for i in range(a.count):
                data = make()
                for j in range(1 + a.damage):
                    path = os.path.join(folder, f"{fmt.lower()}-{a.seed}-{i}-{j}")
                    with open(path, "wb") as f: f.write(damaged(data, fmt) if j else data)
                    paths.append(path)
            ours = subprocess.run([a.dump, "--max-pixels", str(LIMIT)], input="\n".join(paths) + "\n", capture_output=True, text=True, errors="replace")
            if ours.returncode: print(f"{a.dump} died: {ours.returncode} {ours.stderr}"); ok = False
            if ours.stderr: print("stderr:", ours.stderr[:500]); ok = False
            count = Counter()
            for path, mine in zip(paths, ours.stdout.splitlines()):
                theirs = pillow(path, [fmt], False)
                whole = "whole" if path.endswith("-0") else "damaged"
                verdict = ("both take" if mine[:2] == "ok" else "we refuse") if theirs[:2] == "ok" else ("we take" if mine[:2] == "ok" else "both refuse")
                if verdict == "both take" and mine != theirs: verdict = "BYTES DIFFER"; ok = False
                count[whole, verdict] += 1
                if verdict in ("BYTES DIFFER", "we take", "we refuse"):
                    if not a.quiet: print(os.path.basename(path), verdict, "| ours:", mine[:110], "| Pillow:", theirs[:110])
                    if a.keep:
                        os.makedirs(a.keep, exist_ok=True)
                        with open(path, "rb") as f, open(os.path.join(a.keep, os.path.basename(path)), "wb") as g: g.write(f.read())
            print(fmt, ", ".join(f"{k[0]}: {k[1]} {v}" for k, v in sorted(count.items(), reverse=True)))
    sys.exit(not ok)

if __name__ == "__main__": main()
