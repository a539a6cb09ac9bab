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
expect "--merge" 0 "$mien" check --data set --merge
check "removes what killed parts left" test -z "$(find set -name '*.mien-tmp-*')" -a -e set/target/.mine
check "says what it did" printed "3 journals merged; prompt.jsonl has 10 lines"
check "there is one journal" test -e set/build.jsonl -a ! -e set/build.1-of-3.jsonl
check "prompt.jsonl is as of one process" cmp set/prompt.jsonl whole/prompt.jsonl
check "metadata.json too" cmp set/metadata.json whole/metadata.json
expect "--merge again" 0 env MIEN_MODELS=/nowhere "$mien" check --data set --merge --log-json
check "changes nothing" cmp set/prompt.jsonl whole/prompt.jsonl
expect "the whole is fine" 0 "$mien" check --data set
mkdir empty
expect "nothing to merge" 0 "$mien" check --data empty --merge
expect "what is listed is removed from parts' journals, too" 0 sh -c 'rm -rf set; for i in 1 2; do "$0" build photos --min-face 20 --min-size 100 --quiet --data set --part $i/2; done; echo 000000004 >list; "$0" check --data set --exclude list --fix --no-faces' "$mien"
check "without a trace" sh -c '! grep -l 000000004 set/*.jsonl | grep -v removed.jsonl; [ ! -e set/target/000000004.jpg ]'
expect "and --merge leaves it out" 0 "$mien" check --data set --merge
grep -v 000000004 whole/prompt.jsonl >want
check "it is the only one" cmp want set/prompt.jsonl
finish
