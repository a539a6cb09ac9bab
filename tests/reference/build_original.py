# SPDX-License-Identifier: Apache-2.0
"""What the original's tool_generate_face_poses.py makes of the set of tests/reference/build_set.sh: tests/golden/build.txt.

usage: build_original.py ORIGINAL_DIR > tests/golden/build.txt       (in the repository's root, in the peers' environment)

ORIGINAL_DIR holds tool_generate_face_poses.py and laion_face_common.py of the branch laion_dataset. They run as they are but
for two lines that stop them: a picture without a face ends the run (len(None)), and so does one with (the second drawing, on
a view that OpenCV refuses). Printed: the lines of prompt.jsonl, sorted; then what was skipped, and why.
"""
import os
import pathlib
import subprocess
import sys
import tempfile
import types

os.environ.setdefault("GLOG_minloglevel", "3")


def load(folder):
    class tqdm:
        def __init__(self, **_): pass
        def __enter__(self): return self
        def __exit__(self, *_): return False
        def update(self, n): pass

    sys.modules["tqdm"] = types.ModuleType("tqdm")
    sys.modules["tqdm"].tqdm = tqdm
    common = types.ModuleType("laion_face_common")
    source = pathlib.Path(folder, "laion_face_common.py").read_text()
    source = source.replace("results = facemesh.process(img_rgb).multi_face_landmarks", "results = facemesh.process(img_rgb).multi_face_landmarks or []")
    source = source.replace("            for face_landmarks in filtered_landmarks:\n                mp_drawing", "            for face_landmarks in []:\n                mp_drawing")
    exec(source, common.__dict__)
    sys.modules["laion_face_common"] = common
    sys.path.insert(0, folder)
    import tool_generate_face_poses
    return tool_generate_face_poses


def main():
    tool = load(os.path.abspath(sys.argv[1]))
    with tempfile.TemporaryDirectory() as work:
        subprocess.run(["tests/reference/build_set.sh", work], check=True)
        os.chdir(work)
        os.mkdir("source")
        stdout, sys.stdout = sys.stdout, sys.stderr
        tool.main("status.json", "prompt.jsonl", "target/*.jpg", "source")
        sys.stdout = stdout
        import json
        status = json.load(open("status.json"))
        sys.stdout.write("".join(sorted(open("prompt.jsonl"))))
        for key, word in (("skipped_nsfw", "nsfw"), ("skipped_size", "small"), ("skipped_noface", "no_face"), ("skipped_smallface", "small_faces")):
            for path in sorted(status[key]):
                print(word, os.path.basename(path))


main()
