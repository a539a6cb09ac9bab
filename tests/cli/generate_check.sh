#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# mien generate --check and --keep-best with a small random model, in whose pictures no face is: what is printed, written and refused.
. "$(dirname "$0")/lib"
need_models
build=$(realpath "${BUILD:-build}")
all_models
cd "$T"
XDG_CACHE_HOME=$T/cache; export XDG_CACHE_HOME
"$build/tests/make_model" sd1 sd1.safetensors && "$build/tests/make_model" control1 c1.safetensors || exit 1
faces f.json 512 512
"$mien" draw f.json -o map.png --size 64x64 --quiet || exit 1
g="$mien generate --base sd1.safetensors --control c1.safetensors -j 1 --dtype f32 --size 64 --prompt x --steps 1 --cfg 1 --seed 7"

expect "--check" 0 $g --faces f.json -o a.png --check
check "the picture's line" printed "a.png: 64 x 64, seed 7"
check "what is found in it" printed "  0 of 1 face found; score 10.00"
check "what was wanted" printed "yaw "
check "who judges" printed "Judge and annotator are the same network"
expect "without it" 0 $g --faces f.json -o b.png
check "nothing of it" not printed "Judge"
check "and the same picture" cmp a.png b.png
expect "--check and --log-json" 0 $g --faces f.json -o c.png --check --log-json
check "the judgement is in the picture's event" printed '"judgement":{"wanted":1,"found":0,"matched":0,"score":10,"errors":{"landmarks":null'
check "who judges is in the summary" printed '"caveat":"Judge'

expect "a map without landmarks" 2 $g --map map.png -o d.png --check
check "says why" said "map.png: a map does not tell its landmarks, and map.json, where"
check "nothing is written" test ! -e d.png
cp f.json map.json
expect "a map beside its landmarks" 0 $g --map map.png -o d.png --check
check "is checked" printed "0 of 1 face found"

expect "--keep-best" 0 $g --faces f.json -o k.png --count 3 --keep-best 1
check "tells of each" printed "seed 9: 0 of 1 face found; score 10.00"
check "of equals the first is kept" printed "k.png: 64 x 64, seed 7"
check "the others are not written" test ! -e k-2.png
check "nor left anywhere" sh -c '[ "$(ls -A | grep -c "^[.]*k")" = 1 ]'
expect "the picture says what it was chosen of" 0 "$mien" info k.png
check "it does" printed "Best of: 3, First seed: 7, Place: 1"
expect "more than there are" 2 $g --faces f.json -o x.png --count 2 --keep-best 3
check "says so" said "--keep-best 3: of --count 2 pictures"

printf '{"out":"p","faces":"f.json"}\n{"out":"q","map":"map.png","seed":3}\n' >jobs.jsonl
expect "a batch" 0 $g --batch jobs.jsonl -o batch --count 3 --keep-best 2
check "two of each" sh -c '[ "$(ls batch | wc -l)" = 4 ] && [ -e batch/p-2.png ] && [ -e batch/q-2.png ]'
expect "is not made again" 0 $g --batch jobs.jsonl -o batch --count 3 --keep-best 2
check "says so" printed "0 pictures made, 4 there before, 0 failed"
rm map.json batch/q.png
expect "a line whose map has lost its landmarks" 3 $g --batch jobs.jsonl -o batch --count 3 --keep-best 2
check "fails alone" printed "0 pictures made, 2 there before, 2 failed"
finish
