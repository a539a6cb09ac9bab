#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# mien package: zips without photos and shards with them: what goes in and what does not, the same bytes again, going on.
. "$(dirname "$0")/lib"
cd "$T"

# item ID PROMPT: a map, landmarks, a photo and a line.
item() {
    faces "ds/source/$1.json" 64 48
    "$mien" draw "ds/source/$1.json" -o "ds/source/$1.png" --quiet --force
    picture "ds/target/$1.bmp" 64 48 "$(printf '%s' "$1" | tail -c 1)"
    printf '{"source": "source/%s.png", "target": "/home/somebody/photos/%s.bmp", "prompt": "%s"}\n' "$1" "$1" "$2" >>ds/prompt.jsonl
}
mkdir -p ds/source ds/target
for i in 1 2 3; do item "a$i" "prompt $i"; done
item b.4 "a dot, \\u00e9"
item c5 ""
printf '{"a1": {"url": "http://example.com/a1.jpg", "caption": "one", "LICENSE": "?"},\n "stranger": {"url": "http://secret.example/x"},\n "b.4": {"url": "http://b.example/4"}}\n' >ds/metadata.json
echo private >ds/source/stray.txt
faces ds/source/stray.json 8 8

# By somebody else's readers.
names() { "${PYTHON:-python3}" -c 'import sys, zipfile; z = zipfile.ZipFile(sys.argv[1]); assert z.testzip() is None; print("\n".join(z.namelist()))' "$1"; }
unzipped() { "${PYTHON:-python3}" -c 'import sys, zipfile; sys.stdout.buffer.write(zipfile.ZipFile(sys.argv[1]).read("training/laion-face-processed/" + sys.argv[2]))' "$1" "$2"; }
members() { for tar; do TZ=UTC tar -tvf "$tar"; done; }
member() { tar -xOf "$1" "$2"; }

# ---- zip ----
expect "a zip" 0 "$mien" package --data ds -o a.zip
check "says what is in it" printed "a.zip: 5 of 5 items (5 maps, 5 with landmarks)"
check "warns of photos that nobody can fetch" said "3 of 5 photos have no URL in metadata.json"
cp -r ds own; sed 's/"url"/"URL"/' ds/metadata.json >own/metadata.json; echo b.example >list
expect "a field's name in capitals" 0 "$mien" package --data own -o own.zip --exclude list
check "is the same field" printed "4 of 5 items"
rm own.zip
printf '{"a1": {"url": null}, "a2": {"url": ""}, "a3": {}, "b.4": {"caption": "x"}}' >own/metadata.json
expect "photos of one's own" 0 "$mien" package --data own -o own.zip
check "all are without a URL" said "5 of 5 photos have no URL"
rm own/metadata.json
expect "no metadata.json" 0 "$mien" package --data own -o own.zip --force --log-json
check "the same" said '"5 of 5 photos have no URL'
for i in a1 a2 a3 b.4 c5; do printf '%s"%s": {"url": "http://x.example/%s"}' "$([ $i = a1 ] && echo '{' || echo ', ')" $i $i; done >own/metadata.json; echo '}' >>own/metadata.json
expect "all with a URL" 0 "$mien" package --data own -o own.zip --force
check "no warning" not said "no URL"
names a.zip >names
check "what it holds" cmp names - <<END
training/laion-face-processed/README.md
training/laion-face-processed/source/a1.png
training/laion-face-processed/source/a1.json
training/laion-face-processed/source/a2.png
training/laion-face-processed/source/a2.json
training/laion-face-processed/source/a3.png
training/laion-face-processed/source/a3.json
training/laion-face-processed/source/b.4.png
training/laion-face-processed/source/b.4.json
training/laion-face-processed/source/c5.png
training/laion-face-processed/source/c5.json
training/laion-face-processed/metadata.json
training/laion-face-processed/prompt.jsonl
END
unzipped a.zip metadata.json >m
check "of metadata.json what belongs to its items, as it was" cmp m - <<END
{"a1": {"url": "http://example.com/a1.jpg", "caption": "one", "LICENSE": "?"},
"b.4": {"url": "http://b.example/4"}}
END
unzipped a.zip prompt.jsonl >p
check "lines without their paths" grep -qxF '{"source": "source/b.4.png", "target": "target/b.4.bmp", "prompt": "a dot, \u00e9"}' p
check "as many as items" test "$(wc -l <p)" = 5
unzipped a.zip source/a2.png >map
check "the map's bytes" cmp map ds/source/a2.png
expect "an output that exists" 2 "$mien" package --data ds -o a.zip
check "is named" said "a.zip: is there already (--force overwrites it)"
cp a.zip first.zip; touch ds/source/*
expect "--force" 0 "$mien" package --data ds -o a.zip --force
check "the same bytes" cmp a.zip first.zip
mkdir root; mkdir -p root/training; cp -r ds root/training/laion-face-processed
expect "a root is accepted" 0 "$mien" package --data root -o root.zip --quiet
check "the same bytes" cmp root.zip first.zip
rm -r root
"${PYTHON:-python3}" -c 'import zipfile; zipfile.ZipFile("a.zip").extractall("root")'
expect "its own content, packed again" 0 "$mien" package --data root -o again.zip --quiet
check "is the same" cmp again.zip first.zip

cp -r ds null; head -n 1 ds/prompt.jsonl | sed 's/"prompt 1"/null/; s,/home/somebody/photos,target,' >null/prompt.jsonl
expect "a prompt of null" 0 "$mien" package --data null -o null.zip
unzipped null.zip prompt.jsonl >p
check "stays null" cmp p null/prompt.jsonl

# ---- what is refused ----
expect "no data set" 2 "$mien" package --data nowhere -o x.zip
expect "no such folder" 2 "$mien" package --data ds -o nowhere/x.zip
expect "a tar without --shards" 2 "$mien" package --data ds -o x.tar
check "says what writes tar files" said "x.tar: a name that ends in .zip was expected; tar files are what --shards writes"
expect "no ending" 2 "$mien" package --data ds -o zip
check "nothing was made of that" test ! -e x.tar -a ! -e zip
expect "no output" 2 "$mien" package --data ds
expect "no data" 2 "$mien" package -o x.zip
expect "an argument" 2 "$mien" package ds -o x.zip
expect "shards of a zip" 2 "$mien" package --data ds -o x.zip --shard-items 3
expect "the data set's own file" 2 "$mien" package --data ds -o ds/prompt.jsonl --force
expect "among its files" 2 "$mien" package --data ds -o ds/source/x.zip
expect "shards in its folder" 2 "$mien" package --data ds -o ds --shards
expect "shards in another's folder" 2 "$mien" package --data ds -o root/training/laion-face-processed --shards
mkdir folder.zip; expect "the output is a folder" 2 "$mien" package --data ds -o folder.zip --force
check "is said" said "folder.zip: is a folder"
check "nothing was made" test ! -e x.zip -a ! -e ds/source/x.zip
check "nor overwritten" test "$(wc -l <ds/prompt.jsonl)" = 5
expect "a full disk" 1 sh -c "ulimit -f 20; exec '$mien' package --data ds -o full.zip"
check "is named" said "File too large"
check "nothing stays of it" test -z "$(ls -A | grep full)"

# ---- items of no use ----
cp -r ds bad
rm bad/source/a1.png; echo hello >bad/source/a2.png; echo '{"format":1}' >bad/source/a3.json; cp bad/source/c5.png bad/source/c5.jpg
printf '{"source": "source/a1.png"}\n\n{"source": "source/c5.jpg", "target": "target/d.jpg", "prompt": ""}\n{"source": "source/c5.png", "target": "target/e.jpg", "prompt": "another"}\n' >>bad/prompt.jsonl
expect "broken items" 3 "$mien" package --data bad -o bad.zip
check "the others are in" printed "bad.zip: 3 of 9 items (2 maps, 2 with landmarks)"
check "a missing map" said "a1: map: source/a1.png is not there (line "
check "a map that is none" said "a2: map: source/a2.png: is no picture (line "
check "landmarks that are none" said "a3: landmarks: source/a3.json: \"width\" is missing (line "
check "a line without a target" said 'prompt.jsonl: "target" is missing (line 6)'
check "an empty line" said "prompt.jsonl: is empty (line 7)"
check "maps that differ in their endings" said "d: its map c5.jpg and another item's c5.png differ in their endings only"
names bad.zip >names
check "a map of two lines is in once" test "$(grep -c 'source/' names)" = 4
unzipped bad.zip prompt.jsonl >p
check "both lines are" test "$(grep -c c5.png p)" = 2
check "only lines of what is in" test "$(wc -l <p)" = 3
mkdir none; mkdir none/source; printf '{"source": "source/x.png", "target": "x.jpg", "prompt": ""}\n' >none/prompt.jsonl
expect "nothing of use" 1 "$mien" package --data none -o none.zip
check "makes no zip" test ! -e none.zip
: >none/prompt.jsonl
expect "nothing at all" 2 "$mien" package --data none -o none.zip

# ---- lists ----
printf 'a1\nb.example\n' >list
expect "--only" 0 "$mien" package --data ds -o only.zip --only list
check "only those" printed "only.zip: 2 of 5 items"
check "the rest is counted" printed "3 left out by lists"
expect "--exclude" 0 "$mien" package --data ds -o but.zip --exclude list
names but.zip >names
expect "a list that is not there" 2 "$mien" package --data ds -o nothing.zip --only nolist
expect "a list that is none" 2 "$mien" package --data ds -o nothing.zip --exclude ds/prompt.jsonl
check "all but those" test "$(grep -c 'png$' names)" = 3 -a -z "$(grep -e a1 -e b.4 names)"
unzipped but.zip metadata.json >m
check "nor what was known of them" test "$(cat m)" = "{}"

# A photo that was put there later: neither its own hash nor that of the one before, which the landmarks name, may be packed.
cp -r ds later; rm later/source/a1.png
hash() { sha256sum "$1" | cut -c1-64; }
sed "s/^{\"format\":1,/&\"photo\":{\"sha256\":\"$(hash ds/target/a1.bmp)\"},/" ds/source/a1.json >later/source/a1.json
"$mien" draw later/source/a1.json -o later/source/a1.png --quiet
picture later/target/a1.bmp 64 48 later
hash later/target/a1.bmp >new; hash ds/target/a1.bmp >old
expect "the hash of a photo that was put in later" 0 "$mien" package --data later -o later.zip --exclude new
check "leaves its item out" printed "later.zip: 4 of 5 items"
expect "the hash of the photo that the landmarks were made of" 0 "$mien" package --data later -o later.zip --exclude old --force
check "does too" printed "later.zip: 4 of 5 items"
expect "shards" 0 "$mien" package --data later -o latershards --shards --exclude new
check "alike" printed "4 of 5 items"
expect "--only" 0 "$mien" package --data later -o later.zip --only new --force
check "takes the photo that is there" printed "later.zip: 1 of 5 items"
rm later/target/a1.bmp
expect "without the photo" 0 "$mien" package --data later -o later.zip --exclude old --force
check "the landmarks tell" printed "later.zip: 4 of 5 items"
mkdir later/target/a1.bmp
expect "with one that can't be read" 3 "$mien" package --data later -o later.zip --exclude new --force
check "nobody knows whose it is" printed "later.zip: 4 of 5 items"
echo text >later/target/a2.bmp
expect "a photo that is none" 3 "$mien" package --data later -o latershards2 --shards --exclude new
check "is in no shard, hashed or not" said "a2: photo: "

# ---- shards ----
expect "shards" 0 "$mien" package --data ds -o sh --shards --shard-items 2
check "says what is in them" printed "sh: 3 shards, 5 of 5 items (5 maps, 5 with landmarks)"
check "says that they hold photos" said "shards hold the photos themselves"
members sh/*.tar | sed -n 's,^-rw-r--r-- 0/0  *[0-9]* 1970-01-01 ..:.. ,,p' >names
check "what they hold" cmp names - <<END
a1.bmp
a1.map.png
a1.json
a1.txt
a2.bmp
a2.map.png
a2.json
a2.txt
a3.bmp
a3.map.png
a3.json
a3.txt
b%2E4.bmp
b%2E4.map.png
b%2E4.json
b%2E4.txt
c5.bmp
c5.map.png
c5.json
c5.txt
END
member sh/00001.tar b%2E4.bmp >photo
check "the photo's bytes" cmp photo ds/target/b.4.bmp
member sh/00001.tar b%2E4.txt >prompt
check "the prompt's" test "$(cat prompt)" = "$(printf 'a dot, \303\251')"
member sh/00001.tar b%2E4.json >j
check "what is known of it" test "$(head -n 1 j)" = '{"shard":1,"id":"b.4","metadata":{"url": "http://b.example/4"},'
expect "its JSON is landmarks" 0 "$mien" draw j -o j.png
cp -r sh first
expect "shards that are there" 0 "$mien" package --data ds -o sh --shards --shard-items 2
check "are left alone" printed "5 done before"
rm sh/00001.tar
expect "one that is gone" 0 "$mien" package --data ds -o sh --shards --shard-items 2
check "is made again" diff -x shards.jsonl -r sh first
expect "and all is there" 0 "$mien" package --data ds -o sh --shards --shard-items 2
check "as before" printed "5 done before"
expect "other sizes" 2 "$mien" package --data ds -o sh --shards --shard-items 3
expect "another data set" 2 "$mien" package --data bad -o sh --shards --shard-items 2
cp -r ds changed; sed 's/prompt 3/prompt III/' ds/prompt.jsonl >changed/prompt.jsonl
expect "the data set has changed" 2 "$mien" package --data changed -o sh --shards --shard-items 2
check "is said" said "sh: the shards there were made of other items"
check "they are as they were" diff -x shards.jsonl -r sh first
expect "--force makes them anew" 0 "$mien" package --data changed -o sh --shards --shard-items 3 --force
check "all" test "$(ls sh | wc -l)" = 3
mkdir theirs; echo x >theirs/00000.tar
expect "somebody else's tar files" 2 "$mien" package --data ds -o theirs --shards --force
check "stay" test "$(cat theirs/00000.tar)" = x
expect "by bytes" 0 "$mien" package --data ds -o bytes --shards --shard-bytes 120000
check "no shard is larger" test -z "$(find bytes -name '*.tar' -size +120000c)" -a "$(ls bytes/*.tar | wc -l)" -gt 1
expect "an item without a photo" 3 sh -c "rm bad/target/b.4.bmp; '$mien' package --data bad -o shbad --shards"
check "is named" said "b.4: photo: target/b.4.bmp is not there (line "
cp bad/target/c5.bmp bad/target/c5.png; printf '{"source": "source/c5.png", "target": "target/c5.png", "prompt": "its id again"}\n' >>bad/prompt.jsonl
expect "an id that comes twice" 3 "$mien" package --data bad -o shbad2 --shards
check "is taken once" said "c5: another item has this id"

# ---- shards as a data set ----
expect "shards of shards" 0 "$mien" package --data first -o second --shards --shard-items 2 --quiet
check "are the same" diff -r first second
expect "a zip of shards" 0 "$mien" package --data first -o z.zip --quiet
check "is that of the folder" cmp z.zip first.zip
expect "its photos" 0 "$mien" package --data first -o z.zip --force
check "have no URL, some of them" said "3 of 5 photos have no URL"
cp -r first torn; head -c 20000 first/00001.tar >torn/00001.tar; rm torn/shards.jsonl
expect "a torn shard" 3 "$mien" package --data torn -o torn.zip
check "is named" said "torn/00001.tar: member "

# ---- stopped and killed ----
expect "--log-json" 0 "$mien" package --data ds -o json.zip --log-json
check "one object" grep -q '^{"event":"summary","total":5,"done":5,"skipped":0,"failed":0,.*"maps":5,"landmarks":5,"selected_out":0,"shards":0,"bytes":' .stdout
i=0
while [ $i -lt 60 ]; do cat ds/prompt.jsonl | sed "s/\"prompt\"/\"more\": $i, \"prompt\"/" >>many.jsonl; i=$((i + 1)); done
mkdir many; cp -r ds/source ds/target many
awk '{ printf "{\"source\": \"source/a1.png\", \"target\": \"target/x%03d.bmp\", \"prompt\": \"%d\"}\n", NR, NR }' many.jsonl >many/prompt.jsonl
for n in $(seq 300); do ln many/target/a1.bmp "many/target/x$(printf %03d "$n").bmp"; done
"$mien" package --data many -o whole --shards --shard-items 5 --quiet
n=0 early=0
while [ $n -lt 8 ] && [ ! -e cut/00059.tar ]; do
    "$mien" package --data many -o cut --shards --shard-items 5 --quiet 2>/dev/null &
    pid=$!; sleep 0.0$((n % 5 + 1)); kill -9 $pid 2>/dev/null; wait $pid 2>/dev/null; [ $? != 137 ] || early=$((early + 1)); n=$((n + 1))
done 2>/dev/null
echo "# $early of $n were killed before their end, with $(ls cut/*.tar 2>/dev/null | wc -l) of 60 shards made"
expect "killed again and again, then run to its end" 0 "$mien" package --data many -o cut --shards --shard-items 5
check "the same shards" diff -x shards.jsonl -r whole cut
"$mien" package --data many -o k.zip --quiet & pid=$!; sleep 0.01; kill -9 $pid 2>/dev/null; wait $pid 2>/dev/null
expect "a zip after one that was killed" 0 "$mien" package --data many -o k.zip --force --quiet
check "nothing else" test -z "$(find . -name '*.mien-tmp-*')"
finish
