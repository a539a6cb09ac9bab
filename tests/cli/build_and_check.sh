#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# build, check --fix, more photos, build again: what check rejected or removed stays away, without --force, as long as it is what it
# was; and what lies beside photos counts when it alone changes.
. "$(dirname "$0")/lib"
need_models
make_photos=$(realpath "$(dirname "$mien")/tests/make_photos") face=$(realpath third_party/demo/astronaut.png)
[ -r "$face" ] || { skip "all of it" "no third_party/demo/astronaut.png (make setup)"; finish; }
cd "$T"
photos() { "$make_photos" "$1" "$2" --first "$3" --face "$face" --size 400x400; }   # FOLDER COUNT FIRST
build() { "$mien" build photos --data set --min-face 20 "$@"; }
check_set() { "$mien" check --data set --no-faces "$@"; }
lines() { sed 's/.*"target\/\([^."]*\).*/\1/' set/prompt.jsonl | tr '\n' ' '; }
has() { [ "$(lines)" = "$* " ] || { lines; return 1; }; }

# ---- the usual loop ----
photos some 6 1; mkdir photos
i=0; for p in some/*.jpg; do i=$((i + 1)); mv "$p" photos/$i.jpg; done
mv photos/6.jpg later.jpg; mv photos/5.jpg other.jpg
cp photos/2.jpg photos/5.jpg
expect "build" 0 build
expect "check --fix" 0 check_set --fix
check "finds the photo that is there twice" has 1 2 3 4
check "and says which file it was about" grep -q "\"reason\": \"duplicate\", .*\"files\": {\"photo\": \"$(sha256sum photos/5.jpg | cut -c1-64)\"}, " set/prompt.rejected.jsonl
cp set/prompt.jsonl fixed; cp -r set state
expect "build again" 0 build
check "says what stays away" printed "         1  rejected_by_check_before"
check "and changes nothing" cmp set/prompt.jsonl fixed
cp later.jpg photos/6.jpg
expect "one more photo" 0 build --log-json
check "says it as JSON" printed '"rejected_by_check_before":1,'
check "the new one is in, the rejected one is not" has 1 2 3 4 6
expect "check" 0 check_set
expect "--merge" 0 "$mien" check --data set --merge
check "says it too" printed "prompt.jsonl has 5 lines, rejected by check before: 1"
check "and leaves it out" has 1 2 3 4 6
check "metadata.json knows it" grep -q '"5": {' set/metadata.json
check "its files stay" test -e set/source/5.png -a -e set/target/5.jpg
for i in 1 2; do build --part $i/2 --quiet; done
expect "--merge of parts" 0 "$mien" check --data set --merge
check "leaves it out" has 1 2 3 4 6
expect "--force" 0 build --force
check "does not bring it back" has 1 2 3 4 6
echo >>set/prompt.jsonl
expect "a prompt.jsonl that somebody changed" 2 build
expect "is replaced by --force" 0 build --force
check "without what was rejected" has 1 2 3 4 6
cp set/prompt.rejected.jsonl rejected; : >set/prompt.rejected.jsonl
expect "its line taken out of prompt.rejected.jsonl" 0 build
check "it is back" has 1 2 3 4 5 6
cp rejected set/prompt.rejected.jsonl
expect "and put there again" 0 build
check "it is out" has 1 2 3 4 6
cp other.jpg photos/5.jpg
expect "another photo in its place" 0 build
check "has its own chance" has 1 2 3 4 5 6
check "and nothing is said" not printed "rejected by check"
cp photos/2.jpg photos/5.jpg
expect "the old one again" 0 build
check "is out" has 1 2 3 4 6

# ---- broken off between its steps ----
state() { rm -rf set; cp -r state set; }
state; cp set/prompt.jsonl.bak set/prompt.jsonl; rm set/prompt.jsonl.bak set/prompt.rejected.jsonl
expect "when only the journal knew of it" 0 build
check "all lines are there" has 1 2 3 4 5 6
state; mv set/prompt.rejected.jsonl set/.mien-fix.prompt.rejected.jsonl
expect "when prompt.jsonl was in place" 0 build
check "build takes it as done" has 1 2 3 4 6
check "and ends it" test -e set/prompt.rejected.jsonl -a ! -e set/.mien-fix.prompt.rejected.jsonl
state; mv set/prompt.rejected.jsonl set/.mien-fix.prompt.rejected.jsonl; mv set/prompt.jsonl set/.mien-fix.prompt.jsonl; mv set/prompt.jsonl.bak set/prompt.jsonl
expect "when both new files lay aside" 0 build
check "build takes it as not done" has 1 2 3 4 5 6
check "and nothing of it stays" test -z "$(ls -A set | grep mien-fix)"

# ---- files at fault: build makes them anew, and the line is back ----
fresh() { rm -rf set photos; mkdir photos; for i in 1 2; do cp kept/$i.jpg photos; done; build --quiet "$@"; }
mkdir kept; cp photos/1.jpg photos/2.jpg kept
fault() { check_set --fix --quiet; [ "$(lines)" = "2 " ] && grep -q "\"reason\": \"$1\"" set/prompt.rejected.jsonl; }
back() { [ "$(lines)" = "1 2 " ] && check_set --quiet; }
fresh; rm set/source/1.png
check "a map that is missing" fault source_missing
expect "before it is made" 0 "$mien" check --data set --merge
check "the line stays out" has 2
expect "build" 0 build
check "makes it, the line is back" back
size=$(stat -c %s set/source/1.png)
head -c 200 /dev/zero | tr '\0' '\377' | dd of=set/source/1.png bs=1 seek=$((size - 1000)) conv=notrunc 2>/dev/null
check "a map that is broken inside" fault source_broken
expect "build" 0 build
check "makes it anew" back
rm set/target/1.jpg
check "a photo that is missing" fault target_missing
expect "build" 0 build
check "takes it anew" back
cp set/source/2.png set/source/1.png
check "another photo's map" fault landmarks_differ
expect "build" 0 build
check "makes its own" back
: >set/source/1.json
check "landmarks without bytes" fault landmarks_broken
expect "build" 0 build
check "makes them anew" back
# A fault that building anew does not mend: the line is not in and out by turns.
sed -i 's/"reason": "source_missing".*"files": {.*}, "source"/"reason": "source_broken", "detail": "", "files": {"map": "'"$(sha256sum set/source/1.png | cut -c1-64)"'"}, "source"/' set/prompt.rejected.jsonl
expect "what stays the same" 0 build
check "stays out" has 2
expect "again" 0 build
check "each time" has 2

# ---- maps as JPEG ----
fresh --map-format jpg; cp -r set good
whole() { cmp set/source/1.jpg good/source/1.jpg && [ "$(lines)" = "1 2 " ]; }
size=$(stat -c %s set/source/1.jpg)
expect "nothing to do" 0 build --map-format jpg
check "is done before" printed "0 looked at now, 2 done before"
truncate -s $((size / 2)) set/source/1.jpg
expect "a map cut short" 0 build --map-format jpg
check "is made again" whole
truncate -s $((size / 2)) set/source/1.jpg; truncate -s "$size" set/source/1.jpg
expect "one whose end was never written" 0 build --map-format jpg
check "is made again" whole
truncate -s 0 set/source/1.jpg; truncate -s "$size" set/source/1.jpg
expect "one of zeros" 0 build --map-format jpg
check "is made again" whole
cp set/source/2.jpg set/source/1.jpg
expect "one that somebody changed" 3 build --map-format jpg
check "is not written over" cmp set/source/1.jpg set/source/2.jpg

# ---- what is removed stays away ----
fresh; cp other.jpg photos/3.jpg; build --quiet; cp -r set before
echo 2 >list
expect "--exclude --fix" 0 check_set --exclude list --fix
cp -r set after
expect "build goes on" 0 build
check "without it" has 1 3
check "and its files" test ! -e set/source/2.png -a ! -e set/target/2.jpg
cp later.jpg photos/4.jpg
expect "and one more" 0 build
check "is all that is new" has 1 3 4
cp photos/2.jpg photos/9.jpg
expect "the same photo by another name" 0 build
check "stays away" has 1 3 4
rm -rf set; cp -r after set; cp before/prompt.jsonl before/metadata.json set; rm photos/4.jpg photos/9.jpg
expect "broken off before the lists changed" 0 build
check "build ends it" has 1 3
check "in both lists" not grep -q '"2":' set/metadata.json

# ---- captions alone ----
fresh; cp other.jpg photos/3.jpg
echo one >photos/1.txt; echo '{"caption": "two"}' >photos/2.json
build --quiet
same_as_fresh() { "$mien" build photos --data fresh --min-face 20 --quiet && diff -r -x 'build*.jsonl' -x 'prompt.rejected.jsonl' set fresh; rc=$?; rm -rf fresh; return $rc; }
echo another >photos/1.txt; echo '{"caption": "\u00e9"}' >photos/2.json; echo three >photos/3.txt
find set/source set/target -type f -exec stat -c '%n %i %y' {} + | sort >was
expect "other captions" 0 build
check "are in prompt.jsonl" test "$(sed 's/.*"prompt": //' set/prompt.jsonl | tr '\n' ' ')" = '"another"} "\u00e9"} "three"} '
find set/source set/target -type f -exec stat -c '%n %i %y' {} + | sort >is
check "maps and photos are not touched" cmp was is
check "all as if made afresh" same_as_fresh
rm photos/3.txt photos/2.json; echo '{"NSFW": "LIKELY"}' >photos/1.json
expect "captions that are gone, a mark that came" 0 build
check "count too" test "$(sed 's/.*"prompt": //' set/prompt.jsonl | tr '\n' ' ')" = '""} ""} '
check "as if made afresh" same_as_fresh

# ---- a list without addresses, as build writes it ----
mkdir list-set; rm photos/*.json photos/*.txt
echo '{"1": {"url": null, "caption": "of a list"}, "2": {"caption": "x", "NSFW": "LIKELY"}}' >list-set/metadata.json
expect "a list of photos without addresses" 0 "$mien" build photos --data list-set --min-face 20
check "has its say" sh -c 'grep -q "of a list" list-set/prompt.jsonl && ! grep -q "target/2" list-set/prompt.jsonl'
finish
