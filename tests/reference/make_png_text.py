#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes tests/golden/png_text/*.png: pictures of one pixel with settings in all the ways that programs write them, and in broken ways.
tests/unit/test_png_text.c says what must be read from each.

    python tests/reference/make_png_text.py                (recorded with Pillow 13.0.0)
    python tests/reference/make_png_text.py --read FILE    what Pillow reads from a file of ours"""
import os, struct, sys, zlib

from PIL import Image, PngImagePlugin

folder = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "golden", "png_text")

def save(name, *texts):
    """(key, value, international, compressed), as web UIs write them with Pillow."""
    info = PngImagePlugin.PngInfo()
    for key, value, international, zipped in texts:
        (info.add_itxt if international else info.add_text)(key, value, zip=zipped)
    Image.new("RGB", (1, 1), (200, 10, 30)).save(os.path.join(folder, name), pnginfo=info)

def chunk(kind, body, crc=None):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body) if crc is None else crc)

HEAD = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0))
PIXELS = chunk(b"IDAT", zlib.compress(b"\0\xc8\x0a\x1e"))
END = chunk(b"IEND", b"")

def write(name, data):
    with open(os.path.join(folder, name), "wb") as f:
        f.write(data)

def make():
    words = "a face, smiling\nNegative prompt: blurry\nSteps: 20, Sampler: DDIM, CFG scale: 9, Seed: 7, Size: 512x512"
    foreign = "ein Gesicht, lächelnd, 微笑, \U0001f642\nSteps: 20"
    save("ascii.png", ("parameters", words, False, False))
    save("latin1.png", ("Software", "x", False, False), ("parameters", "café, Ärger\nSteps: 1", False, False))
    save("itxt.png", ("parameters", foreign, True, False))
    save("itxt_packed.png", ("parameters", foreign, True, True))
    save("ztxt.png", ("parameters", words, False, True))
    save("two.png", ("parameters", "first", False, False), ("parameters", "second", False, False))
    save("xmp.png", ("XML:com.adobe.xmp", '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
         '<rdf:Description rdf:about="" xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"><Iptc4xmpExt:DigitalSourceType>'
         'http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia</Iptc4xmpExt:DigitalSourceType>'
         '</rdf:Description></rdf:RDF></x:xmpmeta>', True, False))
    save("photo.png", ("XML:com.adobe.xmp", "http://cv.iptc.org/newscodes/digitalsourcetype/digitalCapture", True, False))
    save("none.png")
    text = lambda body: chunk(b"tEXt", b"parameters\0" + body)
    write("empty.png", HEAD + text(b"") + PIXELS + END)
    write("utf8_in_text.png", HEAD + text("lächelnd".encode()) + PIXELS + END)
    write("bad_utf8.png", HEAD + chunk(b"iTXt", b"parameters\0\0\0\0\0a\xff\xe4b") + PIXELS + END)
    write("behind.png", HEAD + PIXELS + text(b"behind the pixels") + END)
    write("after_end.png", HEAD + PIXELS + END + text(b"behind the end"))
    write("nul.png", HEAD + text(b"a\0b") + PIXELS + END)
    write("crc.png", HEAD + chunk(b"tEXt", b"parameters\0wrong", 0) + PIXELS + END)
    write("cut.png", (HEAD + text(b"cut short"))[:-8])
    write("lies.png", HEAD + struct.pack(">I", 0xfffffff0) + b"tEXtparameters\0x")
    write("bomb.png", HEAD + chunk(b"zTXt", b"parameters\0\0" + zlib.compress(b"a" * (2 << 20), 9)) + PIXELS + END)
    write("broken_zip.png", HEAD + chunk(b"zTXt", b"parameters\0\0" + b"\x78\x9c\xff\xff") + PIXELS + END)
    write("short_itxt.png", HEAD + chunk(b"iTXt", b"parameters\0\0\0de") + PIXELS + END)

if len(sys.argv) > 2 and sys.argv[1] == "--read":
    for key, value in Image.open(sys.argv[2]).info.items():
        print(repr(key), repr(value))
else:
    make()
