# SPDX-License-Identifier: Apache-2.0
"""Do measured landmarks follow what was rendered? Finds the faces of `mien synth`'s pictures again, and compares them with what
the sidecars know.

usage: synth_follow.py MIEN [DIR] [--count 1000] [--seed 7] [--json FILE] [--worst N] [--subsets] [-- OPTION OF MIEN SYNTH ...]

DIR: pictures and sidecars of `mien synth`, of which the first --count are taken; without it so many are rendered into a
temporary folder. --subsets shows who is followed worse: dark skin, glasses, beards, ...

Readings are displacements between landmarks in the head's frame, in cm: x to the right of an upright picture, y up. They follow
from a picture's 2-D displacements by the head's true turn and scale and, for the third dimension, by how far apart in depth the
two landmarks are on the mean head (not on this one: nothing of the expression is given away). The same is computed from the
points that the renderer put there ("true") and from those that were found ("measured"). Iris shift is measured from where the
pupil of eyes that look straight ahead would be, not from the corners of the eye, which landmarks move with the gaze
(docs/synth.md). Smile is how much higher the corners of the mouth lie than the middle of the upper lip.

Columns: r between true and measured reading, which the bars are about (roll, yaw and pitch: between parameter and measured
reading, too); slope and rms error; r between the parameter and the measured reading raw, and with the other parameters (pose,
expression, shapes) regressed out of both; and the baseline: |r| between readings of shuffled pairs, mean and largest of 20.
Exits 1 if a bar is missed.
"""
import argparse
import json
import math
import pathlib
import random
import subprocess
import sys
import tempfile

BARS = {"mouth opening": 0.95, "eyelid gap": 0.94, "iris shift x": 0.96, "iris shift y": 0.95, "yaw": 0.97, "roll": 0.99, "smile": 0.90, "brow height": 0.84}
DETECTED = 0.99
SHAPES = ("sex age head_width face_length jaw_width chin cheeks nose_length nose_width nose_bridge eye_distance eye_size eye_tilt lips mouth_width brow_thickness brow_arch").split()


# ---- numbers -----------------------------------------------------------------------------------------------------------

def mean(x):
    return sum(x) / len(x) if x else float("nan")


def correlation(x, y):
    mx, my = mean(x), mean(y)
    xx, yy = sum((a - mx) ** 2 for a in x), sum((b - my) ** 2 for b in y)
    xy = sum((a - mx) * (b - my) for a, b in zip(x, y))
    return xy / math.sqrt(xx * yy) if xx > 0 and yy > 0 else float("nan")


def slope(x, y):
    mx, my = mean(x), mean(y)
    xx = sum((a - mx) ** 2 for a in x)
    return sum((a - mx) * (b - my) for a, b in zip(x, y)) / xx if xx else float("nan")


def quantile(x, q):
    x = sorted(x)
    return x[min(len(x) - 1, int(q * len(x)))] if x else float("nan")


def residuals(y, columns):
    """What least squares by these columns and a constant leave of y."""
    rows = [[1.0] + [c[i] for c in columns] for i in range(len(y))]
    n = len(rows[0])
    a = [[sum(r[i] * r[k] for r in rows) for k in range(n)] + [sum(r[i] * v for r, v in zip(rows, y))] for i in range(n)]
    for i in range(n):
        a[i][i] += 1e-9 * (1 + a[i][i])          # constant columns
    for i in range(n):
        pivot = max(range(i, n), key=lambda k: abs(a[k][i]))
        a[i], a[pivot] = a[pivot], a[i]
        for k in range(i + 1, n):
            f = a[k][i] / a[i][i]
            if f:
                a[k] = [v - f * u for v, u in zip(a[k], a[i])]
    w = [0.0] * n
    for i in reversed(range(n)):
        w[i] = (a[i][n] - sum(a[i][k] * w[k] for k in range(i + 1, n))) / a[i][i]
    return [v - sum(c * x for c, x in zip(w, r)) for v, r in zip(y, rows)]


def lower_bound(k, n):
    """Of a rate, 95 %, one-sided, by Wilson."""
    z, p = 1.6448536, k / n
    return (p + z * z / (2 * n) - z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))) / (1 + z * z / n)


# ---- readings ----------------------------------------------------------------------------------------------------------

class Picture:
    def __init__(self, path, synth):
        self.path, self.face = path, synth["face"]
        truth = synth["truth"]
        self.width, self.height = synth["width"], synth["height"]
        self.turn = [truth["turn"][i:i + 3] for i in (0, 3, 6)]
        self.focal = truth["cm"] * self.face["distance"]
        self.true = {int(k): v for k, v in truth["points"].items()}
        self.ahead = {int(k): v for k, v in truth["ahead"].items()}
        self.found = None

    def head(self, a, b, z, depth):
        """The displacement from b to a, in pixels at some depth, in the head's frame, of which it has z already."""
        scale = self.focal / depth
        t = self.turn
        x, y = (a[0] - b[0]) / scale - t[0][2] * z, (b[1] - a[1]) / scale - t[1][2] * z
        d = t[0][0] * t[1][1] - t[0][1] * t[1][0]
        return (x * t[1][1] - y * t[0][1]) / d, (y * t[0][0] - x * t[1][0]) / d

    def camera(self, p):
        """A true point in cm in the camera's frame."""
        return (p[0] - self.width / 2) * p[2] / self.focal, (self.height / 2 - p[1]) * p[2] / self.focal, -p[2]

    def head_z(self, a, b):
        """By how much true a lies before true b, in the head's frame."""
        d = [u - v for u, v in zip(self.camera(self.true[a]), self.camera(self.true[b]))]
        return sum(self.turn[i][2] * d[i] for i in range(3))


def middle(points, names):
    names = names if isinstance(names, tuple) else (names,)
    return [mean([points[n][i] for n in names]) for i in range(2)]


def between(pictures, a, b, axis):
    """A reading: how far a lies from b along an axis of the head; a tuple is the middle of its points."""
    first = lambda n: n if isinstance(n, tuple) else (n,)
    z = mean([mean([p.head_z(u, v) for u in first(a) for v in first(b)]) for p in pictures])

    def read(p, points):
        depth = mean([p.true[n][2] for n in (33, 263)])    # of the face, which says nothing of its expression
        return p.head(middle(points, a), middle(points, b), z, depth)[axis]
    return read


def iris(mark, axis):
    def read(p, points):
        ahead = p.ahead[mark]
        return p.head(points[mark], ahead, 0, ahead[2])[axis]
    return read


def eye_line(points):
    dx, dy = points[263][0] - points[33][0], points[263][1] - points[33][1]
    return dx, dy, math.hypot(dx, dy)


def nose(axis):
    """The nose tip's offset from the middle between the outer eye corners, along their line or across it, in lengths of it."""
    def read(p, points):
        dx, dy, n = eye_line(points)
        x, y = (points[1][i] - (points[33][i] + points[263][i]) / 2 for i in range(2))
        return (x * dx + y * dy) / n / n if axis == 0 else -(y * dx - x * dy) / n / n
    return read


def leaning(p, points):
    dx, dy, _ = eye_line(points)
    return math.degrees(math.atan2(dy, dx))


def quantities(pictures):
    """name, parameter, reading, which pictures count, whether the bar is about the parameter too."""
    all_of = lambda p: True
    sides = (("left", 0, 105, 33, 133, 159, 145, 468), ("right", 1, 334, 263, 362, 386, 374, 473))
    out = [("mouth opening", lambda f: f["mouth"], between(pictures, 13, 14, 1), all_of, False),
           ("mouth width", lambda f: f["mouth_width"], between(pictures, 291, 61, 0), all_of, False),
           ("smile", lambda f: f["smile"], between(pictures, (61, 291), 13, 1), all_of, False)]
    for side, i, brow, outer, inner, upper, lower, pupil in sides:
        open_enough = lambda p, i=i: p.face["eyes"][i] > 0.5
        out += [(f"eyelid gap, {side}", lambda f, i=i: f["eyes"][i], between(pictures, upper, lower, 1), all_of, False),
                (f"brow height, {side}", lambda f, i=i: f["brows"][i], between(pictures, brow, (outer, inner), 1), all_of, False),
                (f"iris shift x, {side}", lambda f, i=i: f["gaze_x"][i], iris(pupil, 0), open_enough, False),
                (f"iris shift y, {side}", lambda f, i=i: f["gaze_y"][i], iris(pupil, 1), open_enough, False)]
    return out + [("yaw", lambda f: f["yaw"], nose(0), all_of, True), ("pitch", lambda f: f["pitch"], nose(1), all_of, True),
                  ("roll", lambda f: f["roll"], leaning, all_of, True)]


# ---- the work ----------------------------------------------------------------------------------------------------------

def load(folder, count):
    pictures = []
    for sidecar in sorted(pathlib.Path(folder).glob("*.json")):
        if len(pictures) == count:
            break
        synth = json.loads(sidecar.read_text()).get("synth")
        if synth and synth.get("format") == 1:
            pictures.append(Picture(sidecar.with_name(synth["file"]), synth))
    return pictures


def annotate(mien, pictures, out):
    paths = "".join(f"{p.path.resolve()}\0" for p in pictures)
    run = subprocess.run([mien, "annotate", "-", "-o", out, "--json", "--quiet"], input=paths.encode())
    if run.returncode not in (0, 3):
        sys.exit(f"mien annotate ended with {run.returncode}")
    more = 0
    for p in pictures:
        faces = json.loads(pathlib.Path(out, p.path.stem + ".json").read_text())["faces"]
        more += len(faces) > 1
        size = lambda f: f["box"][2] * p.width
        if faces:
            p.found = [(x * p.width, y * p.height) for x, y, _ in max(faces, key=size)["landmarks"]]
    return more


def controls(pictures, name):
    f = [p.face for p in pictures]
    own = {"mouth opening": "mouth", "smile": "smile", "mouth width": "mouth_width", "yaw": "yaw", "pitch": "pitch", "roll": "roll"}.get(name, name.split(",")[0])
    columns = {"mouth": [v["mouth"] for v in f], "smile": [v["smile"] for v in f], "yaw": [v["yaw"] for v in f], "pitch": [v["pitch"] for v in f], "roll": [v["roll"] for v in f],
               "eyelid gap": [mean(v["eyes"]) for v in f], "brow height": [mean(v["brows"]) for v in f], "iris shift x": [mean(v["gaze_x"]) for v in f],
               "iris shift y": [mean(v["gaze_y"]) for v in f], "yaw²": [v["yaw"] ** 2 for v in f], "pitch²": [v["pitch"] ** 2 for v in f], "mouth²": [v["mouth"] ** 2 for v in f]}
    columns.update({s: [v[s] for v in f] for s in SHAPES})
    return [c for n, c in columns.items() if n != own and not n.startswith(own + "²")]


def shuffled(x, y):
    rng, all_of = random.Random(1), []
    for _ in range(20):
        z = y[:]
        rng.shuffle(z)
        all_of.append(abs(correlation(x, z)))
    return mean(all_of), max(all_of)


def measure(pictures):
    rows = []
    for name, parameter, read, counts, both in quantities(pictures):
        some = [p for p in pictures if counts(p)]
        if len(some) < 8:
            continue
        true, got, x = [read(p, p.true) for p in some], [read(p, p.found) for p in some], [parameter(p.face) for p in some]
        raw = correlation(x, got)
        away = controls(some, name)
        alone = correlation(residuals(x, away), residuals(got, away)) if len(some) > 4 * len(away) else float("nan")
        error = [b - a for a, b in zip(true, got)]
        base = shuffled(true, got)
        rows.append({"name": name, "n": len(some), "r": correlation(true, got), "slope": slope(true, got), "rms": math.sqrt(mean([e * e for e in error])), "bias": mean(error),
                     "r_parameter": raw, "r_parameter_alone": alone, "shuffled": base[0], "shuffled_most": base[1], "bar": BARS.get(name.split(",")[0]), "both": both})
    return rows


def landmark_errors(pictures):
    out = {}
    for mark in sorted(pictures[0].true):
        e = []
        for p in pictures:
            unit = eye_line(p.true)[2]
            if unit > 0:
                e.append(math.hypot(p.found[mark][0] - p.true[mark][0], p.found[mark][1] - p.true[mark][1]) / unit)
        out[mark] = (quantile(e, 0.5), quantile(e, 0.95))
    return out


def brightness(c):
    return 0.3 * c[0] + 0.59 * c[1] + 0.11 * c[2]


SUBSETS = (("all", lambda f: True), ("no glasses", lambda f: f["glasses"] == "none"), ("glasses", lambda f: f["glasses"] != "none"), ("light skin", lambda f: brightness(f["skin"]) > 0.55),
           ("dark skin", lambda f: brightness(f["skin"]) < 0.4), ("no beard", lambda f: f["beard"] in ("none", "stubble")), ("beard", lambda f: f["beard"] not in ("none", "stubble")),
           ("|yaw| < 15", lambda f: abs(f["yaw"]) < 15), ("|yaw| > 20", lambda f: abs(f["yaw"]) > 20), ("pitch > 10", lambda f: f["pitch"] > 10), ("pitch < -10", lambda f: f["pitch"] < -10),
           ("large", lambda f: f["size"] > 0.55), ("small", lambda f: f["size"] < 0.5), ("old", lambda f: f["age"] > 0.62), ("hair in face", lambda f: f["hair"] in ("fringe", "bob", "long")),
           ("short hair", lambda f: f["hair"] in ("short", "bald", "shaved", "bun")), ("light from side", lambda f: abs(f["key_azimuth"]) > 45), ("dim", lambda f: f["key"] + f["ambient"] < 1.1))


def report_subsets(pictures):
    """Who is followed worse: r and slope of each reading among some of the pictures."""
    rows = quantities(pictures)
    short = lambda name: name.replace("eyelid gap", "lid").replace("brow height", "brow").replace("iris shift", "iris").replace("mouth opening", "mouth").replace(", left", " l").replace(", right", " r")
    print(f"{'':16} {'n':>4} " + " ".join(f"{short(r[0])[:10]:>10}" for r in rows))
    for name, counts in SUBSETS:
        some = [p for p in pictures if counts(p.face)]
        cells = []
        for _, _, read, also, _ in rows:
            these = [p for p in some if also(p)]
            true, got = [read(p, p.true) for p in these], [read(p, p.found) for p in these]
            cells.append(f"{correlation(true, got):5.2f} {slope(true, got):4.2f}" if len(these) > 8 else "")
        print(f"{name:16} {len(some):4} " + " ".join(f"{c:>10}" for c in cells))


def report(pictures, more, worst):
    found = [p for p in pictures if p.found]
    n, k = len(pictures), len(found)
    missed = [p.path.name for p in pictures if not p.found]
    print(f"{n} pictures: a face found in {k} ({100 * k / n:.1f} %, 95 % lower bound {100 * lower_bound(k, n):.1f} %; asked: {100 * DETECTED:.0f} %), a second one in {more}")
    for name in missed[:20]:
        print(f"  none in {name}")
    if k < 8:
        sys.exit("too few to say anything")
    rows = measure(found)
    print(f"{'':22} {'n':>5} {'r':>7} {'asked':>6}      {'slope':>6} {'rms':>7} {'bias':>7}  {'r(par)':>7} {'alone':>7}  shuffled")
    fine = k >= DETECTED * n
    for r in rows:
        passed = r["bar"] is None or (r["r"] >= r["bar"] and (not r["both"] or abs(r["r_parameter"]) >= r["bar"]))
        fine &= passed
        bar = f"{r['bar']:.2f} {'ok' if passed else 'NO'}" if r["bar"] else "   -   "
        print(f"{r['name']:22} {r['n']:5} {r['r']:7.3f} {bar:>9}   {r['slope']:6.2f} {r['rms']:7.3f} {r['bias']:7.3f}  {r['r_parameter']:7.3f} {r['r_parameter_alone']:7.3f}  "
              f"{r['shuffled']:.3f} ({r['shuffled_most']:.3f})")
    errors = landmark_errors(found)
    print("landmark error in distances of the outer eye corners, median (p95): " + ", ".join(f"{m} {a:.3f} ({b:.3f})" for m, (a, b) in errors.items()))
    if worst:
        far = lambda p: mean([math.hypot(p.found[m][0] - p.true[m][0], p.found[m][1] - p.true[m][1]) for m in p.true if m != 152]) / eye_line(p.true)[2]
        print("worst: " + ", ".join(f"{p.path.name} {far(p):.3f}" for p in sorted(found, key=far, reverse=True)[:worst]))
    return fine, {"pictures": n, "found": k, "second": more, "missed": missed, "rows": rows, "landmarks": {m: list(v) for m, v in errors.items()}}


def main():
    argv = sys.argv[1:]
    rest = argv[argv.index("--") + 1:] if "--" in argv else []
    a = argparse.ArgumentParser()
    a.add_argument("mien")
    a.add_argument("folder", nargs="?")
    a.add_argument("--count", type=int, default=1000)
    a.add_argument("--seed", type=int, default=7)
    a.add_argument("--json")
    a.add_argument("--worst", type=int, default=0)
    a.add_argument("--subsets", action="store_true")
    o = a.parse_args(argv[:len(argv) - len(rest) - 1] if "--" in argv else argv)
    with tempfile.TemporaryDirectory() as scratch:
        folder = o.folder or scratch + "/pictures"
        if not o.folder:
            subprocess.run([o.mien, "synth", "-o", folder, "--count", str(o.count), "--seed", str(o.seed), *rest], check=True)
        pictures = load(folder, o.count)
        if not pictures:
            sys.exit(f"{folder}: no sidecars of mien synth")
        more = annotate(o.mien, pictures, scratch + "/found")
    fine, numbers = report(pictures, more, o.worst)
    if o.subsets:
        report_subsets([p for p in pictures if p.found])
    if o.json:
        pathlib.Path(o.json).write_text(json.dumps(numbers, indent=1) + "\n")
    sys.exit(0 if fine else 1)


if __name__ == "__main__":
    main()
