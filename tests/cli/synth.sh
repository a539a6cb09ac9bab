#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# mien synth: what it writes, that it is the same however it is made, that it goes on where it was, what it leaves alone; that build
# takes it, and that faces and expressions are found again (bench/synth_follow.py measures how well).
. "$(dirname "$0")/lib"
root=$PWD
cd "$T"
files() { find "$1" -type f | wc -l; }

# ---- what is written ----
expect "forty faces" 0 "$mien" synth -o faces --count 40 --seed 7
check "says so" printed "faces: 40 of 40 pictures rendered; 0 done before, 0 failed; "
check "two files each" test "$(files faces)" = 80
expect "a picture says what it is" 0 "$mien" info faces/7-000002.png
check "its size" printed "7-000002.png: PNG picture, 256 x 256"
check "that it was rendered" printed "Rendered by mien synth, not a photograph. Renderer: "
check "by which seed" printed "Seed: 7, Number: 2, Size: 256x256, Version: mien "
check "not that a model made it" not printed "trained"
check "and by an algorithm" grep -q 'digitalsourcetype/algorithmicMedia' faces/7-000002.png
check "the sidecar is of format 1" grep -q '^"synth": {"format":1,"renderer":[0-9]*,"draw":[0-9]*,"seed":7,"number":2,"settings":"[0-9a-f]\{16\}",$' faces/7-000002.json
check "it knows the picture" grep -qF "\"file\":\"7-000002.png\",\"sha256\":\"$(sha256sum faces/7-000002.png | cut -c1-64)\"" faces/7-000002.json
check "no two are alike" test "$(sha256sum faces/*.png | cut -c1-64 | sort -u | wc -l)" = 40

# ---- the same however it is made ----
few="--seed 7 --size 48 --quiet"
expect "one thread" 0 "$mien" synth -o one --count 12 --jobs 1 $few
expect "three threads" 0 "$mien" synth -o three --count 12 --jobs 3 $few
check "the same bytes" diff -r one three
expect "parts" 0 sh -c "for i in 1 2 3; do '$mien' synth -o parts --count 12 --part \$i/3 $few || exit; done"
check "the same bytes" diff -r one parts
expect "plain code" 0 "$mien" synth -o plain --count 12 --cpu reference $few
check "the same bytes" diff -r one plain
expect "the first five, then the others" 0 sh -c "'$mien' synth -o grown --count 5 $few && '$mien' synth -o grown --first 6 --count 7 $few"
check "the same bytes" diff -r one grown
expect "another seed" 0 "$mien" synth -o seed --count 2 --seed 8 --size 48
check "has other faces" not cmp -s one/7-000001.png seed/8-000001.png
expect "wide pictures" 0 "$mien" synth -o wide --count 2 --seed 8 --size 96x48 --yaw 0 --pitch 0 --roll 0 --face 0.6 --plain --identities 1
check "as asked" grep -q '"width":96,"height":48,"identity":1,' wide/8-000002.json
check "straight" grep -q '"yaw":0,"pitch":0,"roll":0,.*"size":0.6,' wide/8-000001.json
check "plain" grep -q '"background":"plain"' wide/8-000002.json

# ---- what is there ----
expect "again" 0 "$mien" synth -o one --count 12 --seed 7 --size 48
check "there is nothing to do" printed "one: 0 of 12 pictures rendered; 12 done before, 0 failed"
rm one/7-000003.png; : >one/7-000004.png; rm one/7-000005.json; : >one/7-000006.json
expect "lost files" 0 "$mien" synth -o one --count 12 --seed 7 --size 48
check "are made again" printed "4 of 12 pictures rendered; 8 done before, 0 failed"
check "as they were" diff -r one three
sed -i 's/"caption": "/"caption": "my own words, /' one/7-000001.json; cp one/7-000001.json mine
rm one/7-000001.png
expect "a caption that somebody edited" 0 "$mien" synth -o one --count 12 $few
check "stays" cmp mine one/7-000001.json
check "its picture is made again" cmp one/7-000001.png three/7-000001.png
echo x >>one/7-000002.png; cp one/7-000002.png mine.png
expect "a picture that somebody edited" 3 "$mien" synth -o one --count 12 $few
check "is named" said "one/7-000002: one/7-000002.png may have been changed since mien wrote it (--force overwrites it)"
check "and stays" cmp mine.png one/7-000002.png
expect "other settings" 3 "$mien" synth -o one --count 12 --seed 7 --size 48 --yaw 5
check "replace the others" printed "10 of 12 pictures rendered, 10 of them in place of ones by other settings; 0 done before, 2 failed"
check "not what was edited" cmp mine one/7-000001.json
expect "--force" 0 "$mien" synth -o one --count 12 --force $few
check "makes all of it" diff -r one three
expect "JPEGs" 0 "$mien" synth -o one --count 12 --format jpg $few
check "take the place of PNGs" test "$(ls one | grep -c jpg)$(ls one | grep -c png)" = 120
check "say what they are" grep -q "Rendered by mien synth, not a photograph" one/7-000001.jpg
expect "--no-metadata" 0 "$mien" synth -o bare --count 2 --no-metadata --seed 7 --size 48
check "says nothing" not grep -q -e Rendered -e algorithmic bare/7-000001.png
mkdir foreign; echo mine >foreign/7-000001.json; echo mine >foreign/7-000002.png; mkdir foreign/7-000003.json; ln -s ../mine foreign/7-000004.json
expect "what is not of the job" 3 "$mien" synth -o foreign --count 5 --seed 7 --size 48
check "is counted" printed "1 of 5 pictures rendered; 0 done before, 4 failed"
check "and left" test "$(cat foreign/7-000001.json foreign/7-000002.png)" = "mine
mine"
check "nothing beside it" test ! -e foreign/7-000001.png -a ! -e foreign/7-000002.json
check "links are not followed" cmp mine foreign/7-000004.json

# ---- broken runs ----
k=0 slow="--seed 7 --size 96 --quiet"
while [ $k -lt 6 ]; do
    "$mien" synth -o killed --count 60 --jobs 1 $slow & pid=$!
    sleep "$(awk -v k=$k 'BEGIN { print 0.02 + k * 0.013 }')"
    kill -9 $pid 2>/dev/null; wait $pid 2>/dev/null
    k=$((k + 1))
done 2>/dev/null
echo "# $(files killed) of 120 files after 6 kills"
expect "the next run finishes the job" 0 "$mien" synth -o killed --count 60 $slow
expect "an unbroken run" 0 "$mien" synth -o whole --count 60 $slow
check "gives the same" diff -r killed whole
check "and leaves nothing else" test "$(find killed -type f | wc -l)" = 120
if command -v python3 >/dev/null; then
    python3 - "$mien" <<'PY' && passed "Ctrl-C: 130, and what was finished is kept" || failed "Ctrl-C: 130, and what was finished is kept"
import os, signal, subprocess, sys, time
signal.signal(signal.SIGINT, signal.SIG_DFL)
run = subprocess.Popen([sys.argv[1], "synth", "-o", "stopped", "--count", "100000", "--seed", "7", "--size", "48", "--jobs", "1"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
for _ in range(6000):
    if os.path.isdir("stopped") and any(n.endswith(".json") for n in os.listdir("stopped")): break
    time.sleep(0.005)
second = subprocess.run([sys.argv[1], "synth", "-o", "stopped", "--count", "1"], capture_output=True)
print("#", second.returncode, second.stderr.decode().strip())
run.send_signal(signal.SIGINT)
out, err = run.communicate(timeout=60)
print("#", run.returncode, out.decode().strip(), err.decode().strip())
sys.exit(not (run.returncode == 130 and out.startswith(b"stopped: stopped: ") and not err and second.returncode == 1 and b"is being written by process" in second.stderr))
PY
    check "no lock, no leftovers" test -z "$(find stopped -name '.*mien*')"
else
    skip "Ctrl-C" "no python3"
fi
mkdir full
if unshare -rm true 2>/dev/null && unshare -rm sh -c "mount -t tmpfs -o size=128k none full" 2>/dev/null; then
    expect "a full disk" 1 unshare -rm sh -c "mount -t tmpfs -o size=128k none full && '$mien' synth -o full --count 100 --seed 7 --size 48; status=\$?;
        find full -name '*.mien-tmp-*'; exit \$status"
    check "stops the job" said "No space left on device"
    check "with one line" test "$(wc -l <.stderr)" = 1
    check "and says what was done" printed "stopped: full: "
    check "no temporary file is left" not printed ".mien-tmp-"
else
    skip "a full disk" "no tmpfs may be mounted here"
fi

# ---- misuse ----
wrong() { # NAME MESSAGE ARGUMENT...
    what=$1 message=$2; shift 2
    expect "$what" 2 "$mien" synth "$@"
    check "$what: says so" said "$message"
    check "$what: prints nothing" silent
}
wrong "no output" "-o DIR is missing" --count 3
wrong "no count" "--count N is missing" -o x
wrong "no size" "--size 8: " -o x --count 1 --size 8
wrong "too far a turn" "--yaw 60: a number from 0 to 45 was expected" -o x --count 1 --yaw 60
wrong "a range turned round" "--face 0.8:0.5: A:B was expected" -o x --count 1 --face 0.8:0.5
wrong "a range that is none" "--face 0.5-0.8: A:B was expected" -o x --count 1 --face 0.5-0.8
wrong "no such part" "--part 3/2: I/N was expected" -o x --count 1 --part 3/2
wrong "an output that is a file" "mine: is not a folder" -o mine --count 1
wrong "an argument" "nothing but options was expected" -o x --count 1 x
check "nothing was made" test ! -e x

# ---- what others make of it ----
[ -r "$MIEN_MODELS/face_landmark_with_attention.tflite" ] || { skip "finding the faces" "no models in $MIEN_MODELS (make setup)"; finish; }
expect "build takes all of it" 0 "$mien" build faces --data set
check "says so" printed "40 of 40 photos kept"
check "with its captions" test "$(grep -c '"prompt": "[^"]' set/prompt.jsonl)" -ge 36
if command -v python3 >/dev/null; then
    expect "what was found follows what was drawn" 0 python3 - "$root/bench" "$mien" faces <<'PY'
import sys, tempfile
sys.dont_write_bytecode = True
sys.path.insert(0, sys.argv[1])
import synth_follow as follow
pictures = follow.load(sys.argv[3], 40)
with tempfile.TemporaryDirectory() as out: more = follow.annotate(sys.argv[2], pictures, out)
assert len(pictures) == 40 and all(p.found for p in pictures) and not more
rows = {r["name"]: r for r in follow.measure(pictures)}
for name, bar in {"mouth opening": 0.85, "smile": 0.75, "eyelid gap, left": 0.75, "brow height, left": 0.6, "iris shift x, left": 0.9, "iris shift y, left": 0.75, "yaw": 0.93, "roll": 0.97}.items():
    r = rows[name]
    print(f"# {name}: {r['r']:.3f}, shuffled {r['shuffled']:.3f}")
    assert r["r"] > bar and r["shuffled"] < 0.4, name
PY
else
    skip "what was found follows what was drawn" "no python3"
fi
finish
