#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes tests/golden/image/ (small pictures of every kind, whole and broken) and the tables beside it:

    images.txt    NAME ok W H SHA256 | NAME no          what Pillow's Image.open(NAME).convert("RGB") gives
    oriented.txt  NAME W H SHA256                       the same after ImageOps.exif_transpose
    resize.txt    W H W2 H2 FILTER SHA256               Image.resize of the picture that `pattern` makes
    jpeg.txt      W H QUALITY SHA256                    the file bytes of saving it as JPEG

    python tests/reference/golden_images.py             (recorded with Pillow 13.0.0, numpy 1.26.4)"""
import hashlib, io, os, random, struct, warnings, zlib

import numpy as np
from PIL import Image, ImageOps, PngImagePlugin

import compare_images as kinds

warnings.simplefilter("ignore")
here = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "golden", "image")
sha = lambda b: hashlib.sha256(b).hexdigest()
files = {}

def pattern(w, h, seed):
    """The bytes of the test's own generator: x = x * 1664525 + 1013904223, the top byte, 3*w*h times."""
    out, x = bytearray(3 * w * h), seed
    for i in range(3 * w * h):
        x = (x * 1664525 + 1013904223) & 0xffffffff
        out[i] = x >> 24
    return Image.frombytes("RGB", (w, h), bytes(out))

smooth = pattern(4, 3, 7).resize((29, 21), Image.BICUBIC)
rough = pattern(19, 13, 9)
save = kinds.saved

def jpeg():
    for name, sampling in (("444", 0), ("422", 1), ("420", 2)): files[f"{name}.jpg"] = save(smooth, "JPEG", subsampling=sampling)
    files["grey.jpg"] = save(smooth.convert("L"), "JPEG")
    files["progressive.jpg"] = save(smooth, "JPEG", progressive=True)
    files["restart.jpg"] = save(smooth, "JPEG", restart_marker_blocks=1)
    files["rough.jpg"] = save(rough, "JPEG", quality=95)
    files["rgb.jpg"] = save(smooth, "JPEG", keep_rgb=True)
    cmyk = Image.merge("CMYK", (*smooth.split(), smooth.convert("L").rotate(180)))
    files["cmyk.jpg"] = save(cmyk, "JPEG")
    at = files["cmyk.jpg"].index(b"Adobe")
    files["ycck.jpg"] = files["cmyk.jpg"][:at + 11] + b"\2" + files["cmyk.jpg"][at + 12:]
    files["cmyk_plain.jpg"] = files["cmyk.jpg"][:2] + files["cmyk.jpg"][18:]     # no Adobe marker: inverted all the same
    files["mpo.jpg"] = save(smooth, "MPO", save_all=True, append_images=[smooth.resize((8, 8))])
    whole = files["420.jpg"]
    for name, data in (("half", whole[:-150]), ("headless", whole[:300]), ("no_eoi", whole[:-2]), ("soi_only", whole[:4]), ("progressive_half", files["progressive.jpg"][:-200])):
        files[f"cut_{name}.jpg"] = data
    scan = whole.index(b"\xff\xda") + 14
    files["eoi_early.jpg"] = whole[:scan + 60] + b"\xff\xd9"        # libjpeg warns and goes on in grey, and so does Pillow
    files["flipped.jpg"] = whole[:scan + 40] + bytes([whole[scan + 40] ^ 0x10]) + whole[scan + 41:]
    files["garbage_after.jpg"] = whole + b"garbage"
    sof = whole.index(b"\xff\xc0")
    files["bits12.jpg"] = whole[:sof + 4] + b"\x0c" + whole[sof + 5:]
    files["lossless.jpg"] = whole[:sof] + b"\xff\xc3" + whole[sof + 2:]
    files["wide_claim.jpg"] = whole[:sof + 5] + b"\xff\xff\xff\xff" + whole[sof + 9:]

def exif(value, order="<", kind=3):
    body = struct.pack(order + "HH", value, 0) if kind == 3 else struct.pack(order + "I", value)
    return b"Exif\0\0" + (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "IHHHI", 8, 1, 0x112, kind, 1) + body + bytes(4)

def oriented():
    small = smooth.resize((11, 7))
    for i in range(1, 9): files[f"exif{i}.jpg"] = save(small, "JPEG", exif=exif(i, "<>"[i % 2], 3 + i % 2), quality=40)
    files["exif9.jpg"] = save(small, "JPEG", exif=exif(9))
    xmp = '<x:xmpmeta><rdf:Description %s/></x:xmpmeta>'
    files["xmp.jpg"] = save(small, "JPEG", xmp=(xmp % 'tiff:Orientation="8"').encode())
    files["exif.png"] = save(small, "PNG", exif=exif(5))
    info = PngImagePlugin.PngInfo()
    info.add_itxt("XML:com.adobe.xmp", xmp % "><tiff:Orientation>7</tiff:Orientation><x", zip=True)
    files["xmp.png"] = save(small, "PNG", pnginfo=info)
    info = PngImagePlugin.PngInfo()
    info.add_text("Raw profile type exif", "\nexif\n%8d\n%s\n" % (len(exif(2)), exif(2).hex()), zip=True)
    files["raw_profile.png"] = save(small, "PNG", pnginfo=info)
    files["exif.webp"] = save(small, "WEBP", exif=exif(6), lossless=True)

MAGIC = b"\x89PNG\r\n\x1a\n"

def png_of(depth, colour, interlaced, plte=None, before=b"", after=b"", w=13, h=9, data=None):
    c = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour]
    samples = np.random.randint(0, 1 << depth, (h, w, c))
    if depth == 16: samples = np.where(samples & 1, samples, samples & 511)
    bpp = max(1, c * depth // 8)
    parts = [samples[y0::dy, x0::dx] for x0, y0, dx, dy in ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))] if interlaced else [samples]
    raw = b"".join(kinds.filtered(kinds.packed(p, depth), bpp) for p in parts if p.size)
    packed = zlib.compress(raw) if data is None else data(zlib.compress(raw))
    half = len(packed) // 2
    head = kinds.chunk(b"IHDR", struct.pack(">IIBBBBB", w, h, depth, colour, 0, 0, interlaced))
    return MAGIC + head + before + (kinds.chunk(b"PLTE", plte) if plte else b"") + kinds.chunk(b"IDAT", packed[:half]) + kinds.chunk(b"IDAT", packed[half:]) + after + kinds.chunk(b"IEND", b"")

def png():
    for colour, depths, name in ((0, (1, 2, 4, 8, 16), "grey"), (2, (8, 16), "rgb"), (3, (1, 2, 4, 8), "palette"), (4, (8, 16), "la"), (6, (8, 16), "rgba")):
        for depth in depths:
            plte = random.randbytes(3 * min(200, 1 << depth)) if colour == 3 else None      # 8 bits: indices beyond it
            for interlaced in (False, True): files[f"{name}{depth}{'i' * interlaced}.png"] = png_of(depth, colour, interlaced, plte)
    files["trns_palette.png"] = png_of(2, 3, False, random.randbytes(12), after=b"", before=b"")
    files["trns_palette.png"] = files["trns_palette.png"].replace(kinds.chunk(b"IEND", b""), kinds.chunk(b"tRNS", b"\0\x80\xff") + kinds.chunk(b"IEND", b""))
    files["trns_gamma.png"] = png_of(8, 2, False, before=kinds.chunk(b"gAMA", struct.pack(">I", 20000)) + kinds.chunk(b"tRNS", b"\0\1\0\2\0\3"))
    files["no_palette.png"] = png_of(4, 3, False)
    files["tiny.png"] = png_of(8, 2, True, w=1, h=1)
    files["apng.png"] = save(rough.resize((5, 4)), "PNG", save_all=True, append_images=[rough.resize((5, 4)).rotate(180)])
    files["apng_default.png"] = save(rough.resize((5, 4)), "PNG", save_all=True, append_images=[rough.resize((5, 4)).rotate(180)], default_image=True)
    whole = png_of(8, 2, False)
    idat = whole.index(b"IDAT")
    files["crc_of_idat.png"] = whole[:idat + 4 + struct.unpack(">I", whole[idat - 4:idat])[0]] + b"\0\0\0\0" + whole[idat + 8 + struct.unpack(">I", whole[idat - 4:idat])[0]:]
    files["crc_of_ihdr.png"] = whole[:29] + b"\0\0\0\0" + whole[33:]
    files["adler.png"] = png_of(8, 2, False, data=lambda d: d[:-1] + bytes([d[-1] ^ 1]))
    files["cut.png"] = whole[:-100]
    files["cut_iend.png"] = whole[:-12]
    files["cut_tail.png"] = png_of(8, 2, False, after=kinds.chunk(b"tEXt", b"key\0value"))[:-22]
    files["filter5.png"] = png_of(8, 0, False, data=lambda d: zlib.compress(b"\5" + zlib.decompress(d)[1:]))
    files["short_gama.png"] = png_of(8, 2, False, before=kinds.chunk(b"gAMA", b"\0\0"))
    files["text_bomb.png"] = png_of(8, 2, False, before=kinds.chunk(b"zTXt", b"k\0\0" + zlib.compress(bytes((1 << 20) + 1), 9)))
    files["depth3.png"] = MAGIC + kinds.chunk(b"IHDR", struct.pack(">IIBBBBB", 4, 4, 3, 0, 0, 0, 0)) + whole[33:]
    files["claim.png"] = MAGIC + kinds.chunk(b"IHDR", struct.pack(">IIBBBBB", 100000, 100000, 8, 2, 0, 0, 0)) + whole[33:]

def webp():
    files["lossy.webp"] = save(smooth, "WEBP")
    files["lossless.webp"] = save(smooth, "WEBP", lossless=True)
    alpha = smooth.convert("RGBA")
    alpha.putalpha(smooth.convert("L"))
    files["alpha.webp"] = save(alpha, "WEBP", exact=True)
    files["alpha_lossless.webp"] = save(alpha, "WEBP", lossless=True, exact=True)
    first = Image.new("RGBA", (29, 21), (0, 0, 0, 0))
    first.paste(alpha.crop((0, 0, 11, 9)), (8, 6))
    files["animated.webp"] = save(first, "WEBP", save_all=True, append_images=[alpha])
    files["cut.webp"] = files["lossy.webp"][:-10]
    files["broken_alpha.webp"] = files["alpha.webp"].replace(b"ALPH", b"ALPH", 1)[:60] + b"\xff" * 8 + files["alpha.webp"][68:]
    files["claim.webp"] = b"RIFF\x16\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0\xff\xff\x00\xff\xff\x00"

def bmp_of(bits, w=11, h=7, header=40, compression=0, masks=None, colours=0, palette=b"", data=None, top_down=False, offset=None):
    stride = (w * bits + 31) // 32 * 4
    data = random.randbytes(stride * h) if data is None else data
    after = struct.pack("<III", *masks[:3]) if masks and header == 40 else b""
    at = 14 + header + len(after) + len(palette) if offset is None else offset
    if header == 12: info = struct.pack("<IHHHH", 12, w, h, 1, bits)
    else: info = (struct.pack("<IIiHHIIiiII", header, w, -h if top_down else h, 1, bits, compression, len(data), 0, 0, colours, 0) + struct.pack("<IIII", *(masks or (0,) * 4)) + bytes(124))[:header]
    return b"BM" + struct.pack("<IHHI", at + len(data), 0, 0, at) + info + after + palette + data

def bmp():
    for bits in (1, 4, 8): files[f"palette{bits}.bmp"] = bmp_of(bits, palette=random.randbytes(4 << bits))
    files["palette8_short.bmp"] = bmp_of(8, colours=100, palette=random.randbytes(400))
    files["grey8.bmp"] = bmp_of(8, palette=b"".join(bytes([i, i, i, 0]) for i in range(256)))
    files["black_white.bmp"] = bmp_of(1, palette=b"\0\0\0\0\xff\xff\xff\0")
    files["white_black.bmp"] = bmp_of(1, palette=b"\xff\xff\xff\0\0\0\0\0")
    files["555.bmp"] = bmp_of(16)
    files["565.bmp"] = bmp_of(16, compression=3, masks=(0xf800, 0x7e0, 0x1f, 0))
    files["24.bmp"] = bmp_of(24)
    files["24_top_down.bmp"] = bmp_of(24, top_down=True)
    files["32.bmp"] = bmp_of(32)
    for i, masks in enumerate(kinds.MASKS[32]): files[f"fields{i}.bmp"] = bmp_of(32, w=3, h=3, header=124 if i % 2 else 56, compression=3, masks=masks)
    files["os2.bmp"] = bmp_of(4, header=12, palette=random.randbytes(48))
    files["os2_24.bmp"] = bmp_of(24, header=12)
    files["no_offset.bmp"] = bmp_of(8, palette=random.randbytes(1024), offset=0)
    files["offset_before_palette.bmp"] = bmp_of(8, palette=random.randbytes(1024), offset=54)
    files["rle8.bmp"] = bmp_of(8, w=23, compression=1, palette=random.randbytes(1024), data=kinds.rle(23, 7, False))
    files["rle4.bmp"] = bmp_of(4, w=23, compression=2, palette=random.randbytes(64), data=kinds.rle(23, 7, True))
    files["rle8_short.bmp"] = bmp_of(8, w=23, compression=1, palette=random.randbytes(1024), data=b"\5\7\0\1")
    files["rle8_runs_over.bmp"] = bmp_of(8, w=5, h=3, compression=1, palette=random.randbytes(1024), data=b"\xff\7\0\0\3\1\0\0\2\2\0\2\1\1\5\3")
    files["jpeg_inside.bmp"] = bmp_of(24, compression=4)
    files["bits2.bmp"] = bmp_of(2, palette=random.randbytes(16))
    files["cut.bmp"] = bmp_of(24)[:-3]
    files["cut_padding.bmp"] = bmp_of(24, w=11)[:-3 + 0]
    files["cut_header.bmp"] = bmp_of(24)[:40]
    files["claim.bmp"] = bmp_of(24, data=b"")[:18] + struct.pack("<II", 60000, 60000) + bmp_of(24)[26:]

def gif():
    palette = rough.quantize(16)
    files["plain.gif"] = save(palette, "GIF")
    files["interlaced.gif"] = save(palette.resize((19, 23)), "GIF", interlace=True)
    files["grey.gif"] = save(rough.convert("L"), "GIF")
    files["animated.gif"] = save(palette, "GIF", save_all=True, append_images=[palette.rotate(180)], disposal=2)
    clear = save(palette, "GIF", transparency=3)
    at = kinds.gif_frame(clear)
    moved = clear[:6] + struct.pack("<HH", 31, 25) + clear[10:at + 1] + struct.pack("<HH", 4, 5) + clear[at + 5:]
    files["small_frame.gif"] = moved
    files["large_frame.gif"] = clear[:6] + struct.pack("<HH", 5, 4) + clear[10:]
    plain = files["plain.gif"]
    at, n = kinds.gif_frame(plain), 3 << (plain[10] & 7) + 1
    files["own_palette.gif"] = plain[:10] + bytes([plain[10] & 127]) + plain[11:13] + plain[13 + n:at + 9] + bytes([plain[at + 9] | 128 | plain[10] & 7]) + plain[13:13 + n] + plain[at + 10:]
    files["no_palette.gif"] = plain[:10] + bytes([plain[10] & 127]) + plain[11:13] + plain[13 + n:]
    files["bytes_between.gif"] = plain[:at] + b"\0\0\7" + plain[at:]
    files["cut.gif"] = plain[:-20]
    files["cut_trailer.gif"] = plain[:-2]
    files["end_early.gif"] = plain[:at + 11] + b"\2\x30\x80\0;"
    files["no_picture.gif"] = plain[:at] + b";"
    files["claim.gif"] = plain[:6] + b"\xff\xff\xff\xff" + plain[10:]

def others():
    files["empty.jpg"] = b""
    files["text.png"] = b"this is no picture\n"
    files["tiff.png"] = b"II*\0\x08\0\0\0"

def main():
    random.seed(3); np.random.seed(3)
    for make in (jpeg, oriented, png, webp, bmp, gif, others): make()
    os.makedirs(here, exist_ok=True)
    for old in os.listdir(here): os.unlink(os.path.join(here, old))
    images, turned = [], []
    Image.MAX_IMAGE_PIXELS = 256_000_000        # refused beyond twice that, which is our limit
    for name, data in sorted(files.items()):
        assert len(data) < 2048, (name, len(data))
        with open(os.path.join(here, name), "wb") as f: f.write(data)
        try:
            im = Image.open(io.BytesIO(data), formats=["JPEG", "PNG", "WEBP", "BMP", "GIF"])
            rgb = im.convert("RGB")
            images.append(f"{name} ok {rgb.width} {rgb.height} {sha(rgb.tobytes())}")
        except Exception as e:
            print(name, type(e).__name__, e)
            images.append(f"{name} no")
            continue
        if name.startswith(("exif", "xmp", "raw_")):
            rgb = ImageOps.exif_transpose(im).convert("RGB")
            turned.append(f"{name} {rgb.width} {rgb.height} {sha(rgb.tobytes())}")
    table = lambda name, lines: open(os.path.join(here, "..", name), "w").write("\n".join(lines) + "\n")
    table("images.txt", images)
    table("oriented.txt", turned)
    sizes = [(1, 1, 5, 7), (7, 5, 1, 1), (1, 9, 9, 1), (30, 20, 30, 7), (30, 20, 11, 20), (64, 48, 20, 15), (33, 17, 100, 60), (20, 64, 24, 9), (64, 20, 9, 24), (200, 3, 5, 4), (3, 200, 4, 5), (50, 50, 49, 51)]
    table("resize.txt", [f"{w} {h} {w2} {h2} {name} {sha(pattern(w, h, w * h).resize((w2, h2), f).tobytes())}" for w, h, w2, h2 in sizes for name, f in (("bicubic", Image.BICUBIC), ("lanczos", Image.LANCZOS))])
    table("jpeg.txt", [f"{w} {h} {q} {sha(save(pattern(w, h, w * h), 'JPEG', quality=q))}" for w, h in ((1, 1), (17, 9), (40, 33)) for q in (75, 95, 20)])
    print(len(files), "files,", sum(map(len, files.values())), "bytes")

main()
