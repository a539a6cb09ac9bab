#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# mien check: each reason and each note once, what --fix moves, and that a second time nothing is left to do.
. "$(dirname "$0")/lib"
need_models
photos=$(realpath "${BUILD:-build}/tests/make_photos")
astronaut=$(realpath third_party/demo/astronaut.png)
[ -r "$astronaut" ] || { skip "all of it" "no third_party/demo/astronaut.png (make setup)"; finish; }
cd "$T"

# item N [SOURCE]: a line, its number with leading zeros.
name() { printf '%09d' "$1"; }
line() { printf '{"source": "source/%s.png", "target": "target/%s.jpg", "prompt": "photo %s"}\n' "${2:-$1}" "$1" "$1"; }
"$photos" photos 24 --face "$astronaut" --size 400x400
"$photos" wide 1 --face "$astronaut" --size 500x400
# make: a data set without fault, as annotate makes its parts.
make() {
    rm -rf set; mkdir -p set/target
    "$mien" annotate photos -o set/source --json --ignore-exif --quiet || exit 1
    cp photos/* set/target
    for i in $(seq 0 23); do line "$(name "$i")"; done >set/prompt.jsonl
}
make
expect "a data set without fault" 0 "$mien" check --data set
check "says so" printed "24 lines: 24 fine, 0 bad"
find set | sort >before
rm set/source/*.json
expect "and without landmarks, by the map's pupils" 0 "$mien" check --data set
check "has no note but that two look alike" test "$(grep -c "^  " .stdout)" -le 1
check "leaves nothing behind" test "$(find set ! -name '*.json' | wc -l)" = "$(grep -vc '\.json$' before)"

# ---- every reason ----
make
map() { rm -f "set/source/$1.png"; "$mien" draw "set/source/$1.json" -o "set/source/$1.png" ${2:+--size "$2"} --quiet; }
a=$(name 1); rm "set/source/$a.png"                                        # source_missing
a=$(name 2); head -c 700 "set/source/$a.png" >x; mv x "set/source/$a.png"  # source_broken
a=$(name 3); rm "set/target/$a.jpg"                                        # target_missing
a=$(name 4); head -c 9000 "set/target/$a.jpg" >x; mv x "set/target/$a.jpg" # target_broken
a=$(name 5); rm "set/target/$a.jpg"; mkdir "set/target/$a.jpg"             # unreadable
a=$(name 6); cp wide/*.jpg "set/target/$a.jpg"                             # aspect_changed
a=$(name 7); echo '{"format":1,"width":40' >"set/source/$a.json"           # landmarks_broken
a=$(name 8); cp "set/source/$(name 9).json" "set/source/$a.json"           # landmarks_differ
a=$(name 10); b=$(name 11)                                                 # faces_differ, with landmarks
for e in png json; do cp "set/source/$b.$e" "set/source/$a.$e"; done
a=$(name 12); b=$(name 13)                                                 # faces_differ, without
cp "set/source/$b.png" "set/source/$a.png"; rm "set/source/$a.json"
line "$(name 14)" >>set/prompt.jsonl                                       # target_twice: line 25
cp "set/target/$(name 15).jpg" set/target/copy.jpg                         # duplicate: line 26
line copy "$(name 15)" >>set/prompt.jsonl
cp "set/target/$(name 16).jpg" set/target/near.jpg; echo >>set/target/near.jpg   # near_duplicate, other_photo: line 27
line near "$(name 16)" >>set/prompt.jsonl
map "$(name 17)" 200x200                                                   # rescaled
a=$(name 18); sed -i "/$a/s/photo $a//" set/prompt.jsonl                   # prompt_empty
a=$(name 19); echo '{"format":1,"width":400,"height":400,"faces":[]}' >"set/source/$a.json"; map "$a"   # more_faces
a=$(name 20); picture "set/source/$a.png" 400 400 z; rm "set/source/$a.json"   # faces_unknown
echo '{"source": 5}' >>set/prompt.jsonl                                    # broken_line: lines 28 to 30
echo >>set/prompt.jsonl
printf 'no "JSON"' >>set/prompt.jsonl
: >set/source/stray.png; : >set/target/stray.jpg                           # unnamed_file
cp -r set faulty

expect "a data set with every fault" 3 "$mien" check --data set --log-json
cp .stdout summary; cp .stderr log
has() { grep -q "\"$1\":$2[,}]" summary; }
for r in source_missing source_broken target_missing target_broken unreadable aspect_changed landmarks_broken landmarks_differ target_twice duplicate; do
    check "$r" has $r 1
done
check "faces_differ, by landmarks and by pupils" has faces_differ 2
check "broken_line, three kinds" has broken_line 3
check "all others are fine" grep -q '"lines":30,"fine":15,"bad_lines":15,"left_out":0' summary
for r in near_duplicate rescaled prompt_empty more_faces faces_unknown other_photo; do check "$r is a note" has $r 1; done
check "unnamed_file is a note" has unnamed_file 2
named() { grep '"event":"failed"' log | grep -qF -e "$1"; }
check "bad lines are named" named "\"path\":\"$(name 3)\",\"reason\":\"photo: target_missing: target/$(name 3).jpg is not there (line 4)\""
check "sizes are told" named "the photo is 500 x 400, its map 400 x 400 (line 7)"
check "a duplicate tells of what" named "duplicate: is target/$(name 15).jpg of line 16 (line 26)"
check "notes are named" grep -q '"event":"info","path":"near","message":"photo: near_duplicate: looks like' log
expect "the table" 3 "$mien" check --data set
check "names what is bad" said "(line 4)"
check "and not what is noted" not said near_duplicate:
check "but says how to see it" printed "--notes names what was noted"
check "has bad reasons" printed "  target_missing             1"
check "and notes apart" grep -q '^notes:' .stdout
expect "--notes" 3 "$mien" check --data set --notes --no-faces
check "names what is noted" said "looks like target/$(name 16).jpg of line 17"
check "and files" said "target/stray.jpg: unnamed_file"
check "and does not tell how" not printed "--notes"
expect "near-duplicates can be bad" 3 "$mien" check --data set --reject-near-duplicates --log-json
check "and are" sh -c 'grep -q "\"bad\":{.*\"near_duplicate\":1}" .stdout'
expect "without looking for faces" 3 env MIEN_MODELS=/nowhere "$mien" check --data set --no-faces --log-json
check "two are fine that were not" grep -q '"fine":17,"bad_lines":13' .stdout
expect "one thread finds the same" 3 "$mien" check --data set --log-json -j 1
sed 's/,"seconds".*//' summary >want
check "as many do" sh -c 'sed "s/,\"seconds\".*//" .stdout | diff - want'
check "nothing was written" diff -r set faulty

# ---- fix ----
expect "--fix --dry-run" 3 "$mien" check --data set --fix --dry-run
check "says what would be done" printed "14 lines would be moved to prompt.rejected.jsonl"
check "and does nothing" diff -r set faulty
expect "--fix" 3 "$mien" check --data set --fix
check "moves bad lines" printed "14 lines moved to prompt.rejected.jsonl; before: prompt.jsonl.bak"
sed '2,5d;7,9d;11d;13d;25,26d;28,30d' faulty/prompt.jsonl >want
check "and keeps the others in their order" cmp want set/prompt.jsonl
check "keeps the old file" cmp set/prompt.jsonl.bak faulty/prompt.jsonl
check "with reasons" grep -qxF "{\"format\": 1, \"reason\": \"target_missing\", \"detail\": \"target/$(name 3).jpg is not there\", \"files\": {\"photo\": null, \"map\": \"$(sha256sum "set/source/$(name 3).png" | cut -c1-64)\", \"landmarks\": \"$(sha256sum "set/source/$(name 3).json" | cut -c1-64)\"}, \"source\": \"source/$(name 3).png\", \"target\": \"target/$(name 3).jpg\", \"prompt\": \"photo $(name 3)\"}" set/prompt.rejected.jsonl
check "and lines that are none" grep -qF '"text": "no \"JSON\""' set/prompt.rejected.jsonl
check "all of them" test "$(wc -l <set/prompt.rejected.jsonl)" = 14
check "what can't be read now stays" grep -q "$(name 5)" set/prompt.jsonl
rmdir "set/target/$(name 5).jpg"; cp "photos/$(name 5).jpg" set/target
cp -r set fixed
expect "--fix again finds nothing" 0 "$mien" check --data set --fix
check "and writes nothing" diff -r set fixed
expect "rejecting near-duplicates later, nothing bad is left" 0 "$mien" check --data set --fix --reject-near-duplicates --quiet
check "keeps both old files" test -e set/prompt.jsonl.bak -a -e set/prompt.jsonl.bak.2
check "and appends" test "$(wc -l <set/prompt.rejected.jsonl)" = 15

# ---- selections ----
printf '%s\n# a remark\n%s\n' "$(name 3)" "$(name 21)" >list
rm -rf set; cp -r faulty set
expect "--only" 3 "$mien" check --data set --only list
check "checks these" printed "30 lines: 1 fine, 4 bad, 25 left out"
expect "--exclude" 3 "$mien" check --data set --exclude list --log-json
check "leaves these out" grep -q '"left_out":2' .stdout
check "and nothing else" has aspect_changed 1
sha256sum "set/target/$(name 21).jpg" | cut -c1-64 >list
expect "--only by hash" 3 "$mien" check --data set --only list --no-faces
check "finds it" printed "30 lines: 1 fine, 3 bad, 26 left out"
echo '{"'"$(name 21)"'": {"url": "http://www.example.com/x.jpg"}, "other": {"url": "http://example.org/"}}' >set/metadata.json
echo example.com >list
expect "--only by domain" 3 "$mien" check --data set --only list --no-faces
check "looks it up" printed "30 lines: 1 fine, 3 bad, 26 left out"

# ---- names and files that are no names and files ----
rm -rf odd; mkdir -p odd/source odd/target
printf '%s\n' '{"source": "source/\u001b[31m.png", "target": "target/\u001b]0;x\u0007.jpg", "prompt": ""}' >odd/prompt.jsonl
expect "a name with control characters" 3 "$mien" check --data odd --no-faces
check "is named" said 'target_missing: target/\x1b]0;x\x07.jpg is not there'
check "and they are shown as text" sh -c '! grep -q "$(printf "[\033\007]")" .stderr'
mkfifo odd/prompt.rejected.jsonl
expect "a FIFO in the place of a file" 1 timeout 20 "$mien" check --data odd --no-faces --fix
check "holds nobody up" said "is not a regular file"

{ echo typo-id; echo "$(name 21)"; echo nowhere.example; sha256sum "set/target/$(name 22).jpg"; } >list
expect "--only with lines that match nothing" 3 "$mien" check --data set --only list --no-faces
check "names them" said "2 lines of list matched nothing: typo-id, nowhere.example"
rm -f set/prompt.rejected.jsonl
{ echo typo-id; echo stray; echo "$(name 1)"; sha256sum "set/target/$(name 22).jpg" "set/target/$(name 21).jpg"; name 21; } >list
expect "--exclude" 3 "$mien" check --data set --exclude list --no-faces
check "names one, neither an unnamed file's nor one by id and hash" said "1 line of list matched nothing: typo-id"
expect "--exclude --fix" 3 "$mien" check --data set --exclude list --no-faces --fix
check "does so, too" said "1 line of list matched nothing: typo-id"
expect "once more" 3 "$mien" check --data set --exclude list --no-faces --fix
check "what was removed is no mistake" said "1 line of list matched nothing: typo-id"

# ---- files that no line names ----
make
mkdir -p set/annotated set/target/folder; for i in 0 1 2; do echo overlay >"set/annotated/$(name $i).png"; done
a=$(name 1); sed -i "/$a/d" set/prompt.jsonl                               # named by nothing
line "$(name 14)" >>set/prompt.jsonl; a=$(name 2); rm "set/source/$a.png"  # these two will be rejected
: >set/source/stray.png; : >set/target/.hidden.jpg; ln -s nowhere set/source/link.png
cp -r set was
expect "--remove-unnamed alone" 2 "$mien" check --data set --remove-unnamed
expect "with --only" 2 "$mien" check --data set --remove-unnamed --fix --only list
expect "--remove-unnamed --dry-run" 3 "$mien" check --data set --no-faces --fix --remove-unnamed --dry-run
check "says what would go" printed "5 files would be removed that no line names"
check "by name" said "annotated/$(name 1).png: would be removed: no line names it"
check "and does nothing" diff -r --no-dereference set was
expect "--remove-unnamed, nothing bad is left" 0 "$mien" check --data set --no-faces --fix --remove-unnamed
check "deletes these" printed "5 files removed that no line names"
expect "a second time" 0 "$mien" check --data set --no-faces --fix --remove-unnamed
check "it finds nothing: rejected lines name their files" sh -c '! grep "removed that" .stdout'
diff -rq --no-dereference was set | grep '^Only in was' | sed 's/^Only in was.//; s/: /\//' | sort >gone
printf '%s\n' "annotated/$(name 1).png" "source/$(name 1).json" "source/$(name 1).png" source/stray.png "target/$(name 1).jpg" >want
check "nothing else is gone" diff gone want
: >set/target/other.jpg
echo 'broken' >>set/prompt.rejected.jsonl
expect "a rejected line that can't be read" 0 "$mien" check --data set --no-faces --fix --remove-unnamed
check "could name anything: all stays" test -e set/target/other.jpg
check "and it is said" said "unnamed files stay: a line of prompt.rejected.jsonl can't be read"
rm set/prompt.rejected.jsonl; echo broken >>set/prompt.jsonl
expect "so could a broken line" 0 "$mien" check --data set --no-faces --fix --remove-unnamed
check "all stays" said "unnamed files stay: a line of prompt.jsonl is broken"
rm set/prompt.rejected.jsonl; : >set/source/other.png
printf '{"format":1,"kind":"download"}\n{"id":"other","status":"ok"}\n' >set/download.jsonl
expect "photos that download fetched" 0 "$mien" check --data set --no-faces --fix --remove-unnamed
check "stay, maps do not" test -e set/target/other.jpg -a ! -e set/source/other.png
: >set/prompt.jsonl; : >set/source/other.png
expect "without any line" 0 "$mien" check --data set --no-faces --fix --remove-unnamed
check "all stays" test -e set/source/other.png

# ---- misuse ----
expect "no data set" 2 "$mien" check --data nowhere
expect "--dry-run alone" 2 "$mien" check --data set --dry-run
expect "--merge with --fix" 2 "$mien" check --data set --merge --fix
expect "a list that is not there" 2 "$mien" check --data set --only nolist
echo "not a list, but a sentence" >sentence
expect "a list that is a sentence" 2 "$mien" check --data set --exclude sentence --no-faces
check "is refused by the number of its line" said "sentence: line 1: has more than one word"
mkdir empty
expect "a folder without a data set" 2 "$mien" check --data empty --no-faces
mkdir -p root/training; cp -r faulty root/training/laion-face-processed
expect "the original's root" 3 "$mien" check --data root --no-faces
finish
