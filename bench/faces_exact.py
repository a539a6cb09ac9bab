# SPDX-License-Identifier: Apache-2.0
"""Exactness: every photo of a folder through MediaPipe 0.10.21 and through mien, in this run.

usage: faces_exact.py MIEN PHOTOS [MAX_FACES,CONFIDENCE ...]      (default 5,0.5)

Prints for each setting how many photos, faces, landmarks and drawn pixels differ, and by how much.
Exits 1 if anything differs.
"""
import json
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
from PIL import Image

import peer_facemesh as peer


def compare(mien, photos, max_faces, confidence):
    with tempfile.TemporaryDirectory() as out:
        run = subprocess.run([mien, "annotate", "--quiet", "--json", "--ignore-exif", "--max-faces", str(max_faces),
                              "--min-confidence", str(confidence), "-o", out, *map(str, photos)])
        if run.returncode not in (0, 3):
            sys.exit(f"mien annotate ended with {run.returncode}")
        faces = landmarks = drawn = unequal = pixels = 0
        worst = total = 0.0
        bad = []
        for photo in photos:
            rgb = peer.load(photo)
            height, width = rgb.shape[:2]
            want = peer.find(rgb, max_faces, confidence)
            got = json.loads(pathlib.Path(out, photo.stem + ".json").read_text())
            got = [np.array(f["landmarks"], np.float32) for f in got["faces"]]
            if len(want) != len(got):
                bad.append(f"{photo.name}: {len(got)} faces, {len(want)} wanted")
                continue
            faces += len(want)
            for w, g in zip(want, got):
                landmarks += w.size
                differ = int((w.view(np.uint32) != g.view(np.uint32)).sum())
                unequal += differ
                distance = np.hypot((w[:, 0] - g[:, 0]) * width, (w[:, 1] - g[:, 1]) * height)
                worst, total = max(worst, float(distance.max())), total + float(distance.sum())
                if differ:
                    bad.append(f"{photo.name}: {differ} of {w.size} numbers differ, worst {distance.max():.4f} px")
            want_map = peer.draw(want, height, width)
            got_map = np.array(Image.open(pathlib.Path(out, photo.stem + ".png")).convert("RGB"))
            drawn += int((want_map != 0).any(axis=2).sum())
            differ = int((want_map != got_map).any(axis=2).sum())
            pixels += differ
            if differ:
                bad.append(f"{photo.name}: {differ} pixels of the map differ")
        print(f"max faces {max_faces}, confidence {confidence}: {len(photos)} photos, {faces} faces; numbers that differ: "
              f"{unequal} of {landmarks}; landmark distance worst {worst:.5f} px, mean {total / max(landmarks / 3, 1):.5f} px; "
              f"map pixels that differ: {pixels} of {drawn} drawn")
        for line in bad:
            print("  " + line)
        return not bad


def main():
    mien, folder = sys.argv[1:3]
    settings = [a.split(",") for a in sys.argv[3:]] or [("5", "0.5")]
    stems = {}
    for path in sorted(pathlib.Path(folder).iterdir()):
        stems.setdefault(path.stem, path)
    ok = [compare(mien, list(stems.values()), int(n), float(c)) for n, c in settings]
    sys.exit(0 if all(ok) else 1)


main()
