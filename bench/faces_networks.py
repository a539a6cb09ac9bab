# SPDX-License-Identifier: Apache-2.0
"""The networks on one thread, warps included, in turns with MediaPipe 0.10.21 in this run.

usage: faces_networks.py FACES_FIND PHOTOS [ROUNDS]      (build/bench/faces_find; a folder with collage4.jpg)

MediaPipe's solutions are warm and kept open: FaceDetection (short range: the same network) for the detector, and FaceMesh
in static mode on a picture of four faces, less FaceDetection on the same picture, divided by four, for the landmarks a
face. Both numbers hold the cost of MediaPipe's graph, as a user of it pays. Best of all runs of each.
"""
import json
import pathlib
import subprocess
import sys
import time

import peer_facemesh as peer

solutions = peer.mp.solutions


def best_of(process, rgb, runs):
    best = 1e9
    for _ in range(runs):
        start = time.perf_counter()
        process(rgb)
        best = min(best, time.perf_counter() - start)
    return best


def main():
    find, folder = sys.argv[1:3]
    rounds = int(sys.argv[3]) if len(sys.argv) > 3 else 5
    photo = pathlib.Path(folder, "collage4.jpg")
    rgb = peer.load(photo)
    theirs = {"detector": 1e9, "landmarks": 1e9, "total": 1e9}
    ours = dict(theirs)
    with solutions.face_detection.FaceDetection(model_selection=0) as detector, \
            peer.mesh.FaceMesh(static_image_mode=True, max_num_faces=5, refine_landmarks=True) as mesh:
        faces = len(mesh.process(rgb).multi_face_landmarks)
        for _ in range(rounds):
            a, b = best_of(detector.process, rgb, 60), best_of(mesh.process, rgb, 30)
            theirs["detector"] = min(theirs["detector"], a)
            theirs["total"] = min(theirs["total"], b)
            got = json.loads(subprocess.run([find, photo, "200"], check=True, capture_output=True).stdout)
            assert got["faces"] == faces
            for key in ours:
                ours[key] = min(ours[key], got[key])
    theirs["landmarks"] = (theirs["total"] - theirs["detector"]) / faces
    for key, name in (("detector", "detector"), ("landmarks", "landmarks of a face"), ("total", f"picture with {faces} faces")):
        print(f"{name}: MediaPipe {theirs[key] * 1e3:.3f} ms, mien {ours[key] * 1e3:.3f} ms, ratio {theirs[key] / ours[key]:.2f}")


main()
