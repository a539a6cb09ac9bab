#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# mien preview: the pages it makes, what it marks, what it refuses, what it leaves alone.
. "$(dirname "$0")/lib"
cd "$T"

# ---- a data set of ten items ----
mkdir -p set/source set/target
for i in 0 1 2 3 4 5 6 7 8 9; do
    picture set/source/p$i.png 80 60; picture set/target/p$i.jpg 80 60 x; faces set/source/p$i.json 80 60
    echo "{\"source\": \"source/p$i.png\", \"target\": \"target/p$i.jpg\", \"prompt\": \"picture number $i\"}" >>set/prompt.jsonl
done
find set -type f -exec cksum {} + | sort >before
expect "a whole set" 0 "$mien" preview --data set -o sheet.png
check "one page" printed "sheet.png: 10 items on 1 page, 0 marked"
check "the statistics" printed "sheet-statistics.png: 10 items: 10 with landmarks of 10 faces, 0 without, 0 broken; 0 unusable"
check "the files" test "$(ls *.png | tr '\n' ' ')" = "sheet-statistics.png sheet.png "
expect "they are pictures" 0 "$mien" info sheet.png sheet-statistics.png
check "of this size" printed "sheet.png: PNG picture, 1872 x "
check "and this" printed "sheet-statistics.png: PNG picture, 1872 x "
expect "again" 2 "$mien" preview --data set -o sheet.png
check "is refused" said "sheet.png: is there already (--force overwrites it)"
mv sheet.png kept.png
expect "a statistics page that is there" 2 "$mien" preview --data set -o sheet.png
check "is refused before any work" said "sheet-statistics.png: is there already"
check "nothing was drawn" test ! -e sheet.png
expect "without statistics" 0 "$mien" preview --data set -o sheet.png --no-statistics
check "the page comes out the same" cmp sheet.png kept.png
expect "--force" 0 "$mien" preview --data set -o sheet.png --force --jobs 3
check "the same, by any number of threads" cmp sheet.png kept.png
expect "only the statistics" 0 "$mien" preview --data set -o only.png --pages 0 --statistics numbers.png --quiet
check "--quiet prints nothing" silent
check "no page" test ! -e only.png
check "the same statistics" cmp numbers.png sheet-statistics.png
expect "a root that holds the set" 0 sh -c "mkdir -p root/training; cp -r set root/training/laion-face-processed; '$mien' preview --data root -o root.png"
check "shows the same but for its name" printed "root.png: 10 items on 1 page"

# ---- numbers ----
expect "--log-json" 0 "$mien" preview --data set -o logged.png --log-json
check "two objects" test "$(wc -l <.stdout)" = 2
check "the statistics are one" grep -q '^{"event":"statistics","items":10,"unusable":0,"with_landmarks":10,"without_landmarks":0,"broken_landmarks":0,"without_size":0,"without_faces":0,"total_faces":10,"short_side":{"unit":"pixels","count":10,"least":60,"most":60,"mean":60,"median":60,"from":0,"step":32,"below":0,"above":0,"bins":\[0,10,0,' .stdout
for name in long_side aspect faces face_size face_share gaze_x gaze_y yaw roll mouth prompt; do check "with $name" grep -q "\"$name\":{\"unit\":\"" .stdout; done
check "the summary is the other" grep -q '^{"event":"summary","total":20,"done":20,"skipped":0,"failed":0,"pages":1,"shown":10,"marked":0,"selected_out":0,"seconds":' .stdout
if command -v python3 >/dev/null; then
    check "it is JSON" python3 -c 'import json; s = [json.loads(l) for l in open(".stdout")]; assert sum(s[0]["yaw"]["bins"]) + s[0]["yaw"]["below"] + s[0]["yaw"]["above"] == 10'
else
    skip "it is JSON" "no python3"
fi
expect "--timings" 0 "$mien" preview --data set -o timed.png --timings t.json
check "are written" grep -q '"images":10,"peak_bytes":' t.json

# ---- what is broken or missing ----
cp -r set bad
rm bad/target/p1.jpg bad/source/p2.json bad/source/p3.png bad/source/p3.json
echo '<html>' >bad/target/p4.jpg; head -c 100 set/source/p5.png >bad/source/p5.png; echo '{"width":1' >bad/source/p6.json
picture bad/target/p7.jpg 40 60; : >bad/target/p8.jpg
printf '{"source": 3}\n\nnot json\n' >>bad/prompt.jsonl
expect "a set with faults" 3 "$mien" preview --data bad -o bad.png
check "marked" printed "bad.png: 13 items on 1 page, 9 marked"
check "counted" printed "13 items: 7 with landmarks of 7 faces, 2 without, 1 broken; 3 unusable"
for text in "p1: photo: target/p1.jpg is not there (line 2)" "p3: map: source/p3.png is not there (line 4)" "p4: photo: target/p4.jpg: not a picture" "p5: map: source/p5.png: " \
    "p6: landmarks: source/p6.json: line " "p8: photo: target/p8.jpg: not a picture: no bytes at all" "prompt.jsonl: source: a string was expected (line 11)" \
    "prompt.jsonl: is empty (line 12)" "prompt.jsonl: column "; do check "said: $text" test "$(grep -cF "mien: $text" .stderr)" = 1; done
check "each once" test "$(wc -l <.stderr)" = 9
expect "without statistics they are told, too" 3 "$mien" preview --data bad -o bad2.png --no-statistics
check "each once again" test "$(wc -l <.stderr)" = 9
check "the same page" cmp bad.png bad2.png
expect "with the statistics alone" 3 "$mien" preview --data bad -o bad3.png --pages 0
check "what they find is told" test "$(wc -l <.stderr)" = 4

expect "--max-pixels" 3 "$mien" preview --data set -o few.png --max-pixels 4799
check "marks larger ones" printed "few.png: 10 items on 1 page, 10 marked"
check "and says the limit" said "p0: photo: target/p0.jpg: too many pixels: 80x60, the limit is 4799"

# ---- hostile prompts ----
mkdir hostile; cp -r set/source set/target hostile/
printf '%s\n' '{"source": "source/p0.png", "target": "target/p0.jpg", "prompt": "\u202egnp.exe\u0000\u001b[2J\n\t\ud83d\ude00\ud800 <script>"}' \
    "{\"source\": \"../../etc/p1.png\", \"target\": \"/p1.jpg\", \"prompt\": \"$(head -c 100000 /dev/zero | tr '\0' w)\"}" \
    '{"source": "source/p2.png", "target": "target/p2.jpg", "prompt": null}' >hostile/prompt.jsonl
printf '{"source": "source/p3.png", "target": "target/p3.jpg", "prompt": "\377\300 \033[1m"}\n' >>hostile/prompt.jsonl
"$mien" preview --data hostile -o hostile.png >.stdout 2>.stderr; status=$?
check "hostile prompts end well" test $status = 0 -o $status = 3
check "a page is there" test -s hostile.png
check "nothing of them reaches the terminal" not grep -q "$(printf '\033')" .stdout .stderr

# ---- which items ----
mkdir -p many/source many/target
picture many/source/m.png 8 8; picture many/target/m.jpg 8 8
i=0; while [ $i -lt 100 ]; do echo '{"source": "source/m.png", "target": "target/m.jpg", "prompt": "n '$i'"}'; i=$((i + 1)); done >many/prompt.jsonl
expect "a large set" 0 "$mien" preview --data many -o m.png
check "gives one page" printed "m.png: 24 of 100 items on 1 page, 0 marked"
check "and statistics of all" printed "100 items: 0 with landmarks of 0 faces, 100 without"
expect "the same draw again" 0 "$mien" preview --data many -o m2.png --no-statistics
check "is the same" cmp m.png m2.png
expect "another seed" 0 "$mien" preview --data many -o m3.png --no-statistics --seed 1
check "is another" not cmp -s m.png m3.png
expect "--pages 3" 0 "$mien" preview --data many -o n.png --pages 3
check "is three pages" printed "n.png to n-3.png: 72 of 100 items on 3 pages"
check "of these names" test -s n.png -a -s n-2.png -a -s n-3.png -a ! -e n-4.png -a -s n-statistics.png
expect "more pages than there are" 0 "$mien" preview --data many -o a.png --pages 99 --no-statistics
check "are as many as there are" printed "a.png to a-5.png: 100 items on 5 pages"
expect "--first" 0 "$mien" preview --data many -o f.png --first 90 --no-statistics
check "goes to the end" printed "f.png: 11 items on 1 page"
expect "--first 1 of all pages" 0 "$mien" preview --data many -o g.png --first 1 --pages 5 --no-statistics --jobs 4
check "is all of it" printed "g.png to g-5.png: 100 items on 5 pages"
check "the last page has four items" test "$("$mien" info g-5.png | grep -c '1872 x 632')" = 1
expect "--sample" 0 "$mien" preview --data many -o s.png --sample 30 --no-statistics
check "is so many" printed "s.png to s-2.png: 30 items on 2 pages"
: >n-2.png; rm n.png n-statistics.png n-3.png
expect "a further page that is there" 2 "$mien" preview --data many -o n.png --pages 3
check "is named" said "n-2.png: is there already"
check "and no other is begun" test ! -e n.png -a ! -e n-statistics.png
expect "but a page that would not be written is no hindrance" 0 "$mien" preview --data many -o n.png
expect "an empty set" 0 sh -c "mkdir empty; : >empty/prompt.jsonl; '$mien' preview --data empty -o e.png"
check "has no page" test ! -e e.png -a -s e-statistics.png

# ---- tar shards ----
if command -v tar >/dev/null; then
    mkdir flat shards
    for i in 0 1 2 3 4 5 6 7 8 9; do
        cp set/target/p$i.jpg flat/; cp set/source/p$i.png flat/p$i.map.png; cp set/source/p$i.json flat/; printf 'picture number %s' $i >flat/p$i.txt
    done
    rm flat/p4.jpg flat/p7.json
    (cd flat && ls | LC_ALL=C sort | tar cf ../shards/00000.tar -T -)
    expect "a set in shards" 3 "$mien" preview --data shards -o shards.png
    check "is shown" printed "shards.png: 10 items on 1 page, 1 marked"
    check "is counted" printed "10 items: 9 with landmarks of 9 faces, 1 without"
    check "what is missing is told" said "p4: photo: is not there (line 5)"
    head -c 9000 shards/00000.tar >shards/00001.tar
    expect "a shard that was cut" 3 "$mien" preview --data shards -o cut.png
    check "is named" said "00001.tar: "
else
    skip "a set in shards" "no tar"
fi

# ---- what was removed ----
cp -r set gone
for i in 0 1 2 3 4 5 6 7 8 9; do picture gone/target/p$i.jpg 80 60 $i; done
cp -r gone rest; sed -i '/p3[.]/d;/p5[.]/d' rest/prompt.jsonl
printf '{"p5": {"url": "http://x.example/5"}}' >gone/metadata.json
printf '{"format":1,"kind":"removed"}\n{"id":"p3"}\n{"url":"http://x.example/5"}\n' >gone/removed.jsonl
expect "items that were removed, by id and URL" 0 "$mien" preview --data gone -o gone.png
check "are not shown" printed "gone.png: 8 items on 1 page, 0 marked"
check "but counted" printed "2 items left out, which removed.jsonl names"
check "nor in the statistics" printed "8 items: 8 with landmarks"
expect "--first" 0 "$mien" preview --data gone -o gone2.png --first 4 --no-statistics
check "counts all lines, and shows those left" printed "gone2.png: 5 items on 1 page"
printf '{"sha256":"%s"}\n' "$(sha256sum gone/target/p7.jpg | cut -c1-64)" >>gone/removed.jsonl
expect "and by the hash" 0 "$mien" preview --data gone -o gone3.png --log-json
check "too" grep -q '"pages":1,"shown":7,"marked":0,"selected_out":3,' .stdout
check "so the page is another" not cmp -s gone.png gone3.png

# ---- misuse ----
wrong() { # NAME MESSAGE ARGUMENT...
    what=$1 message=$2; shift 2
    expect "$what" 2 "$mien" preview "$@"
    check "$what: says so" said "$message"
    check "$what: prints nothing" silent
}
wrong "no data" "--data DIR is missing" -o x.png
wrong "no output" "-o sheet.png is missing" --data set
wrong "no data set" "there is no data set" --data nowhere -o x.png
wrong "not a PNG" "x.jpg: a name that ends in .png was expected" --data set -o x.jpg
wrong "statistics not a PNG" "s.txt: a name that ends in .png was expected" --data set -o x.png --statistics s.txt
wrong "statistics in a page's place" "x.png: is a page and the statistics, too" --data set -o x.png --statistics ./x.png
wrong "no such item" "there is no item 11: the data set has 10" --data set -o x.png --first 11
wrong "first of a sample" "one of both" --data set -o x.png --first 1 --sample 3
wrong "pages of a sample" "one of both" --data set -o x.png --pages 1 --sample 3
wrong "nothing to do" "leave nothing to do" --data set -o x.png --pages 0 --no-statistics
wrong "output in no folder" "nowhere/x.png: the folder is not there" --data set -o nowhere/x.png
wrong "an argument" "set: nothing but options was expected" set --data set -o x.png
wrong "among the set's maps" "set/source/p0.png: lies among the data set's own pictures" --data set -o set/source/p0.png --force
wrong "among the set's photos" "lies among the data set's own pictures" --data set -o x.png --statistics "$T/set/target/s.png"
ln -s set/source linked; mkdir x.png.d
wrong "among them by a link" "lies among the data set's own pictures" --data set -o linked/p0.png --force
mkdir folder.png; mkfifo pipe.png
wrong "output is a folder" "folder.png: is a folder" --data set -o folder.png --force
wrong "output is a pipe" "pipe.png: is not a regular file" --data set -o pipe.png --force
check "no page was made by any of this" test ! -e x.png
find set -type f -exec cksum {} + | sort >after
check "the data set is as it was" cmp before after
check "no leftovers" test -z "$(find . -name '*.mien-tmp-*' -o -name '.mien.lock*')"
finish
