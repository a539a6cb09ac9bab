#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# mien eval --map: pictures against landmarks, what is refused, what is printed. The pictures are the demo's photo and copies of it.
. "$(dirname "$0")/lib"
need_models
photo=$(realpath -m third_party/demo/astronaut.png)
[ -r "$photo" ] || { skip "all of it" "no photo in third_party/demo (make setup)"; finish; }
cd "$T"

expect "landmarks to judge by" 0 "$mien" annotate "$photo" -o a --json --quiet
expect "the photo itself" 0 "$mien" eval --map a/astronaut.json "$photo"
check "its face is found" printed "astronaut.png: 1 of 1 face found; score 0.00"
check "nothing is off" printed "landmarks                         0.0000  IOD"
check "what was wanted and found is there" printed "                                    wanted     found"
check "who judges is said" printed "Judge and annotator are the same network"
expect "by the map beside its landmarks" 0 "$mien" eval --map a/astronaut.png "$photo" --log-json
check "as JSON" printed '"judgement":{"wanted":1,"found":1,"matched":1,"score":0,"errors":{"landmarks":0,'
check "the summary says who judges" printed '"caveat":"Judge and annotator are the same network'
expect "--quiet" 0 "$mien" eval --map a/astronaut.png "$photo" --quiet
check "prints nothing" silent

# Without its stamp the map is known by drawing it again.
mkdir plain && "$mien" draw a/astronaut.json -o plain/m.png --quiet && cp a/astronaut.json plain/m.json
expect "a map whose stamp names no landmarks" 0 "$mien" eval --map plain/m.png "$photo"
cp a/astronaut.png lonely.png
expect "a map without landmarks" 2 "$mien" eval --map lonely.png "$photo"
check "says what is missing" said "lonely.png: a map does not tell its landmarks, and lonely.json"
faces lonely.json 512 512
expect "a map with another's landmarks" 2 "$mien" eval --map lonely.png "$photo"
check "says so" said "lonely.json is of another map"
"$mien" annotate "$photo" -o small --json --min-face 2000 --quiet
expect "a face too small to be drawn is not wanted" 0 "$mien" eval --map small/astronaut.json "$photo"
check "the one that is found is one too many" printed "0 of 0 faces found, and 1 that was not wanted there; score 10.00"

expect "several pictures" 3 "$mien" eval --map a/astronaut.json "$photo" a/astronaut.json "$photo" --json all.json
check "one that is none fails alone" said "a/astronaut.json"
check "means with intervals" printed "  faces found                        100.0       34.2 .. 100.0     % of those wanted"
check "JSON file" grep -q '"summary":{"pictures":2,"wanted":2,"found":2,"matched":2,"detection":{"value":1,"low":0.342' all.json
check "with the failure" grep -q '"failed":1,' all.json
expect "is not overwritten" 2 "$mien" eval --map a/astronaut.json "$photo" --json all.json
expect "unless forced" 0 "$mien" eval --map a/astronaut.json "$photo" --json all.json --force
expect "an input is not written over" 2 "$mien" eval --map a/astronaut.json "$photo" --json a/astronaut.json --force
picture black.png 64 64
expect "a picture without a face" 0 "$mien" eval --map a/astronaut.json black.png
check "misses it" printed "black.png: 0 of 1 face found; score 10.00"
check "there is no error to tell" not printed "landmarks  "

# A part of the photo, as generate would cut it: 256 x 512 of the middle.
expect "a picture of another aspect" 0 "$mien" eval --map a/astronaut.json black.png --log-json
picture narrow.png 64 128
expect "is judged as a part of the photo" 0 "$mien" eval --map a/astronaut.json narrow.png
check "and says so" said "of another aspect"

# Two people who look elsewhere: each picture obeys its own landmarks, and not the other's.
"$mien" synth -o s -n 2 --seed 3 --size 192 --quiet && "$mien" annotate s -o sm --json --quiet
expect "a rendered face" 0 "$mien" eval --map sm/3-000001.json s/3-000001.png
check "obeys" printed "1 of 1 face found; score 0.00"
expect "another's" 0 "$mien" eval --map sm/3-000001.json s/3-000002.png
check "does not" not printed "score 0."
check "though a face is found" printed "1 of 1 face found"

expect "no map" 2 "$mien" eval "$photo"
expect "no picture" 2 "$mien" eval --map a/astronaut.json
expect "a missing picture" 2 "$mien" eval --map a/astronaut.json nowhere.png
expect "missing landmarks" 2 "$mien" eval --map nowhere.json "$photo"
expect "a face that is not there" 2 "$mien" eval --map a/astronaut.json "$photo" --face 2
check "says how many there are" said "face 2 was asked for, but there is 1"
expect "--face and --max-faces" 2 "$mien" eval --map a/astronaut.json "$photo" --face 1 --max-faces 1
expect "broken landmarks" 1 sh -c "head -c 900 a/astronaut.json >broken.json; '$mien' eval --map broken.json '$photo'"
finish
