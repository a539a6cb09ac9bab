#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# mien check --merge: what parts of build have done becomes what one process does. (How parts and kills go together:
# build_broken_runs.sh.)
. "$(dirname "$0")/lib"
need_models
photos=$(realpath "${BUILD:-build}/tests/make_photos")
astronaut=$(realpath third_party/demo/astronaut.png)
[ -r "$astronaut" ] || { skip "all of it" "no third_party/demo/astronaut.png (make setup)"; finish; }
cd "$T"
"$photos" photos 10 --face "$astronaut" --size 400x400 --captions json
build() { "$mien" build photos --min-face 20 --min-size 100 --quiet "$@"; }
build --data whole
for i in 1 2 3; do build --data set --part $i/3; done
check "parts write journals" test -e set/build.1-of-3.jsonl -a -e set/build.3-of-3.jsonl -a ! -e set/prompt.jsonl
expect "a check of what is not merged" 2 "$mien" check --data set --no-faces
sh -c 'exit 0' & gone=$!; wait $gone
: >set/source/.x.png.mien-tmp-$gone-3; : >set/target/.x.jpg.mien-tmp-$gone-4; : >set/target/.mine
check "tells what to do" said "set: an unfinished build, without prompt.jsonl yet: start \`mien build\` again, or after --part \`mien check --merge\`"
expect "--merge" 0 "$mien" check --data set --merge
check "removes what killed parts left" test -z "$(find set -name '*.mien-tmp-*')" -a -e set/target/.mine
check "says what it did" printed "3 journals merged; prompt.jsonl has 10 lines"
check "there is one journal" test -e set/build.jsonl -a ! -e set/build.1-of-3.jsonl
check "prompt.jsonl is as of one process" cmp set/prompt.jsonl whole/prompt.jsonl
check "metadata.json too" cmp set/metadata.json whole/metadata.json
expect "--merge again" 0 env MIEN_MODELS=/nowhere "$mien" check --data set --merge --log-json
check "changes nothing" cmp set/prompt.jsonl whole/prompt.jsonl
expect "the whole is fine" 0 "$mien" check --data set

# ---- parts that are missing, or did not finish ----
rm -rf set
build --data set --part 1/3; build --data set --part 3/3
expect "--merge of two of three parts" 3 "$mien" check --data set --merge
check "says which is missing" said "build: part 2 of 3 was not found"
check "and merges what there is" printed "2 journals merged; prompt.jsonl has"
expect "as JSON, again" 3 "$mien" check --data set --merge --log-json
check "it is still missing" grep -q '"unfinished":1' .stdout
build --data set --part 2/3
cp -r set done
expect "with the third" 0 "$mien" check --data set --merge
check "all is there" cmp set/prompt.jsonl whole/prompt.jsonl
rm -rf set; cp -r done set
grep -v '"mark":"end"' set/build.2-of-3.jsonl >x; mv x set/build.2-of-3.jsonl   # as a kill leaves it
expect "--merge of a part that did not finish" 3 "$mien" check --data set --merge
check "says which" said "build: part 2 of 3 did not finish: start it again"
build --data set --part 2/3
expect "after it was started again" 0 "$mien" check --data set --merge
rm -rf set; cp -r done set
grep -v '"mark":"end"' set/build.2-of-3.jsonl >x; mv x set/build.2-of-3.jsonl
for i in 1 2; do build --data set --part $i/2; done
expect "finished by another number of parts" 0 "$mien" check --data set --merge
check "nothing is missing" sh -c '[ ! -s .stderr ]'
rm -rf set; cp -r done set
for f in set/build*.jsonl; do grep -v '"mark":' "$f" >x; mv x "$f"; done
rm set/build.jsonl set/prompt.jsonl set/metadata.json
expect "journals without marks, as of before there were any" 3 "$mien" check --data set --merge
check "tell what is not there, and no more" sh -c 'grep -q "build: parts 1, 3 of 3 were not found" .stderr && ! grep -q finish .stderr'
rm -rf set; for i in 1 2; do build --data set --part $i/2; done
for f in set/build*.jsonl; do grep -v '"mark":' "$f" >x; mv x "$f"; done
expect "all without marks" 0 "$mien" check --data set --merge
build --data set
rm -rf set; build --data set --part 1/2; build --data set
expect "one process has done the rest" 0 "$mien" check --data set --merge
cp set/build.jsonl x; build --data set
check "which writes nothing where there is nothing to do" cmp x set/build.jsonl
mkdir empty
expect "nothing to merge" 0 "$mien" check --data empty --merge
expect "what is listed is removed from parts' journals, too" 0 sh -c 'rm -rf set; for i in 1 2; do "$0" build photos --min-face 20 --min-size 100 --quiet --data set --part $i/2; done; echo 000000004 >list; "$0" check --data set --exclude list --fix --no-faces' "$mien"
check "without a trace" sh -c '! grep -l 000000004 set/*.jsonl | grep -v removed.jsonl; [ ! -e set/target/000000004.jpg ]'
expect "and --merge leaves it out" 0 "$mien" check --data set --merge
grep -v 000000004 whole/prompt.jsonl >want
check "it is the only one" cmp want set/prompt.jsonl
finish
