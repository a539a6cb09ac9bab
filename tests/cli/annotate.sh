#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# mien annotate: what it makes, what it refuses, what it leaves alone.
. "$(dirname "$0")/lib"
need_models
cd "$T"

# ---- inputs of every kind ----
mkdir -p in/sub/deep in/.hidden in/folder.jpg
picture in/a.bmp 40 30
picture in/sub/b.BMP 33 20 x
picture in/sub/deep/one.bmp 1 1
picture in/misnamed.jpg 8 8
picture in/.secret.bmp 8 8; picture in/.hidden/c.bmp 8 8
: >in/zero.jpg
head -c 500 in/a.bmp >in/short.bmp
echo 'no picture' >in/text.png
echo 'not looked at' >in/notes.txt
mkfifo in/pipe.jpg
ln -s /nowhere in/dangling.jpg
ln -s .. in/sub/loop; ln -s ../sub in/sub/loop.jpg
expect "a folder with broken files" 3 "$mien" annotate in -o out --json --overlay
check "the summary counts them" printed "4 of 9 photos annotated: 0 with 0 faces, 4 without; 0 done before, 5 failed"
for item in "in/zero.jpg: " "in/short.bmp: " "in/text.png: not a picture" "in/pipe.jpg: is not a regular file" "in/dangling.jpg: No such file or directory"; do
    check "said: $item" said "mien: $item"
done
check "one line each" test "$(wc -l <.stderr)" = 5
printf '%s\n' a misnamed sub/b sub/deep/one | sed 's/.*/out\/&.json\nout\/&.png\nout\/&_overlay.png/' | sort >want
find out -type f | sort >got
check "sub-folders are mirrored, and nothing else is there" cmp want got
check "no face: an empty list" grep -qx '"faces":\[\]}' out/a.json
expect "the map has the photo's size" 0 "$mien" info out/a.png out/sub/deep/one.png
check "40 x 30" printed "out/a.png: PNG picture, 40 x 30"
check "1 x 1" printed "out/sub/deep/one.png: PNG picture, 1 x 1"

# ---- going on ----
inodes() { find out -type f -exec stat -c '%n %i %Y' {} + | sort; }
inodes >before
expect "again: nothing to do" 3 "$mien" annotate in -o out --json --overlay
check "the summary says so" printed "0 of 9 photos annotated: 0 with 0 faces, 0 without; 4 done before, 5 failed"
inodes >after
check "no output was touched" cmp before after
rm out/sub/b.json
expect "one output missing" 3 "$mien" annotate in -o out --json --overlay
check "its photo is done again" printed "1 of 9 photos annotated"
picture in/a.bmp 40 30 y
expect "a photo that changed" 3 "$mien" annotate in -o out --json --overlay
check "is done again" printed "1 of 9 photos annotated"
expect "other settings" 3 "$mien" annotate in -o out --json --overlay --min-confidence 0.25
check "do all again" printed "4 of 9 photos annotated"
expect "the same as a float" 3 "$mien" annotate in -o out --json --overlay --min-confidence 0.2500
check "is the same" printed "4 done before"
expect "--force" 3 "$mien" annotate in -o out --json --overlay --min-confidence 0.25 --force
check "does all again" printed "4 of 9 photos annotated"
head -c -5 out/a.png >x; mv x out/a.png
expect "an output that was cut" 3 "$mien" annotate in -o out --min-confidence 0.25
check "is made again" printed "1 of 9 photos annotated"
: >out/a.png
expect "an output that lost its bytes when the power failed" 3 "$mien" annotate in -o out --min-confidence 0.25
check "is made again too" printed "1 of 9 photos annotated"
if command -v python3 >/dev/null; then
    python3 -c 'import json; d = json.load(open("out/a.json")); json.dump(d, open("out/a.json", "w"), indent=2)'
    expect "a JSON that was formatted anew" 3 "$mien" annotate in -o out --json --min-confidence 0.25
    check "still counts" printed "4 done before"
else
    skip "a JSON that was formatted anew" "no python3"; skip "still counts" "no python3"
fi

# ---- nothing of the user's is overwritten ----
mkdir mine
picture mine/photo.bmp 8 8
echo 'my own' >mine/photo.json
expect "a JSON of the user's" 3 "$mien" annotate mine/photo.bmp -o mine --json
check "is named" said "mien: mine/photo.bmp: mine/photo.json is there and was not made by mien (--force overwrites it)"
check "and kept" grep -qx 'my own' mine/photo.json
check "and no map is made either" test ! -e mine/photo.png
expect "without --json it is not in the way" 0 "$mien" annotate mine/photo.bmp -o mine
faces mine/photo.json 8 8
expect "landmarks made elsewhere are the user's too" 3 "$mien" annotate mine/photo.bmp -o mine --json
expect "--force overwrites" 0 "$mien" annotate mine/photo.bmp -o mine --json --force
check "the map says whose it is" grep -q '"sha256"' mine/photo.json
mkdir -p taken/photo.png
expect "a folder in the output's place" 3 "$mien" annotate mine/photo.bmp -o taken --force
mv mine/photo.png p.bmp; "$mien" info p.bmp >x
picture q.png 8 8
expect "output = input" 2 "$mien" annotate q.png -o .
check "says so" said "q.png: would be overwritten by its own output in ."
expect "output = input, by another path" 2 "$mien" annotate "$T/in/../q.png" -o "$T"
expect "output = input, in a list" 2 sh -c "echo ./q.png | '$mien' annotate - -o . --force"
expect "output = input, as JSON" 2 sh -c "cp in/a.bmp r.json; '$mien' annotate r.json -o . --json --force"
expect "the output folder as input" 2 "$mien" annotate in -o in --force
check "not even a lock is left" test ! -e .mien.lock
mkdir -p y/y; picture y/y/x.bmp 8 8; picture y/x.png 8 8 z; cp y/x.png z.png
expect "an output that is another input" 3 "$mien" annotate y -o . --force
check "is refused" said "mien: y/y/x.bmp: its output would overwrite the input y/x.png"
check "it is as it was" cmp y/x.png z.png

# ---- names ----
mkdir -p n/1 n/2
picture n/1/same.bmp 4 4; picture n/2/same.bmp 5 5; picture n/1/other.bmp 4 4; picture n/1/other_overlay.bmp 4 4
expect "two inputs of one output name" 3 "$mien" annotate n/1 n/2 -o nout
check "the first is refused" said "mien: n/1/same.bmp: would write the same output as n/2/same.bmp: neither is done"
check "the second is refused" said "mien: n/2/same.bmp: would write the same output as n/1/same.bmp: neither is done"
check "the others are done" printed "2 of 4 photos annotated"
check "nothing was made of them" test ! -e nout/same.png
expect "x and x_overlay clash with --overlay" 3 "$mien" annotate n/1 -o nout2 --overlay
check "both are refused" test "$(grep -c 'would write the same output' .stderr)" = 2
expect "the same file twice is one" 0 "$mien" annotate n/1/same.bmp n/1/same.bmp n/1 -o nout3
check "and done once" printed "3 of 5 photos annotated: 0 with 0 faces, 3 without; 2 done before"
mkdir odd
newline=$(printf 'odd/new\nline\033[1m.bmp')
picture "$newline" 4 4; picture odd/-dash.bmp 4 4; picture 'odd/sp ace%s.bmp' 4 4
printf 'bad' >"$(printf 'odd/bad\033.jpg')"
expect "odd names" 3 "$mien" annotate odd -o oddout
check "are made" test -s "oddout/$(printf 'new\nline\033[1m').png" -a -s oddout/-dash.png -a -s 'oddout/sp ace%s.png'
check "and printed escaped" said 'odd/bad\x1b.jpg: '
expect "NUL-separated paths" 0 sh -c "find odd -name '*.bmp' -print0 | '$mien' annotate - -o nul"
check "all of them" printed "3 of 3 photos annotated"
expect "newline-separated paths, one missing" 3 sh -c "printf 'odd/-dash.bmp\nmissing.jpg\n\nodd/sp ace%%s.bmp' | '$mien' annotate - -o lines"
check "the missing one is named" said "mien: missing.jpg: No such file or directory"
check "the others are done" printed "2 of 3 photos annotated"
expect "an empty list" 0 sh -c "'$mien' annotate - -o lines </dev/null"
expect "an unknown ending is tried if named" 0 sh -c "cp in/a.bmp plain; '$mien' annotate plain -o named"
check "plain.png" test -s named/plain.png
long=$(printf '%0253d' 0)
picture "$long" 4 4
expect "a name with no room for an ending" 3 "$mien" annotate "$long" -o named
check "says why" said "File name too long"

# ---- the output inside the input ----
mkdir -p album/sub; picture album/1.bmp 4 4; picture album/sub/2.bmp 4 4
for i in 1 2; do expect "output inside the input, time $i" 0 sh -c "cd album && '$mien' annotate . -o sub/maps"; done
check "it is not read" printed "0 of 2 photos annotated: 0 with 0 faces, 0 without; 2 done before"

# ---- parts ----
mkdir many; for i in 1 2 3 4 5 6 7 8 9; do picture many/$i.bmp 6 6; done
for i in 1 2 3; do "$mien" annotate many -o parts --json --part $i/3 -q || failed "part $i"; done
"$mien" annotate many -o whole --json -q
check "three parts make what one run makes" diff -r parts whole
rm parts/[1-7].png
env OMPI_COMM_WORLD_SIZE=2 OMPI_COMM_WORLD_RANK=0 "$mien" annotate many -o parts --json -q
env SLURM_ARRAY_TASK_COUNT=2 SLURM_ARRAY_TASK_ID=15 SLURM_ARRAY_TASK_MIN=10 SLURM_ARRAY_TASK_MAX=15 SLURM_ARRAY_TASK_STEP=5 "$mien" annotate many -o parts --json -q
check "two others finish what three began" diff -r parts whole

# ---- what it prints ----
expect "--quiet" 0 "$mien" annotate many -o loud --quiet
check "prints nothing" test ! -s .stdout -a ! -s .stderr
expect "--log-json" 3 "$mien" annotate many in/text.png -o logged --log-json
check "a failure is an object" grep -q '^{"event":"failed","path":"in/text.png","reason":"not a picture.*"}$' .stderr
check "the summary is an object" grep -q '^{"event":"summary","total":10,"done":9,"skipped":0,"failed":1,"with_faces":0,"without_faces":9,"faces":0,"seconds":[0-9.]*}$' .stdout
expect "--timings" 0 "$mien" annotate many -o timed --timings t.json --jobs 1 --profile
check "has load, total, images, peak and the split" grep -q '^{"load":[0-9.]*,"total":[0-9.]*,"images":9,"peak_bytes":[0-9]*,"read":.*"decode":.*"find":.*"detect":.*"landmarks":.*"draw":.*"encode":.*"write":.*}$' t.json
for level in reference avx2 best; do expect "--cpu $level" 0 "$mien" annotate in/a.bmp -o cpu-$level --cpu $level; done
expect "a stack of 64 KB" 0 sh -c "ulimit -s 64; exec '$mien' annotate in/a.bmp -o stack"
check "no leftovers anywhere" test -z "$(find . -name '*.mien-tmp-*' -o -name '.mien.lock*')"

# ---- a real face ----
if [ -r "$shared/fixtures/faces/photos/happy_source.jpg" ]; then
    photo=$shared/fixtures/faces/photos/happy_source.jpg
    expect "a face" 0 "$mien" annotate "$photo" -o face --json --overlay
    check "is found" printed "1 of 1 photo annotated: 1 with 1 face, 0 without"
    expect "draw draws it again" 0 "$mien" draw face/happy_source.json -o again.png
    check "the same file" cmp again.png face/happy_source.png
    expect "with --min-face" 0 "$mien" annotate "$photo" -o face2 --json --min-face 500
    expect "draw does as annotate did" 0 "$mien" draw face2/happy_source.json -o again2.png
    check "the same file again" cmp again2.png face2/happy_source.png
    check "but another one" not cmp -s again.png again2.png
    expect "drawn larger" 0 "$mien" draw face/happy_source.json -o face/happy_source.png --size 1024x1024 --force
    expect "is not annotate's map" 0 "$mien" annotate "$photo" -o face --json
    check "so it is made again" printed "1 of 1 photo annotated"
else
    skip "a face" "no $shared/fixtures"
fi
finish
