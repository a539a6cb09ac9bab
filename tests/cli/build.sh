#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# mien build: the original's filters and files, captions from everywhere, names, what is refused, what is done again.
. "$(dirname "$0")/lib"
need_models
repository=$PWD make_photos=$(realpath "$(dirname "$mien")/tests/make_photos") face=$(realpath third_party/demo/astronaut.png)
[ -x "$make_photos" ] && [ -r "$face" ] || { skip "all of it" "no make_photos, or no third_party/demo/astronaut.png (make setup)"; finish; }
cd "$T"

# outcomes FOLDER: "outcome photo" of each photo, as the journals' last lines say.
outcomes() { cat "$1"/build*.jsonl | sed -n 's/^{"photo":"\([^"]*\)","run":\([0-9]*\),"outcome":"\([^"]*\)".*/\2 \1\t\3/p' | sort -k2,2 -k1,1n | awk -F'\t' '{ sub(/^[0-9]* /, "", $1); last[$1] = $2 } END { for (p in last) print last[p], p }' | LC_ALL=C sort; }
# as_before FOLDER...: nothing in them is newer or other than `note` saw it.
note() { find "$@" -type f ! -name 'build*.jsonl' -exec stat -c '%n %i %s %y' {} + | sort >"$T/.noted"; }
as_noted() { find "$@" -type f ! -name 'build*.jsonl' -exec stat -c '%n %i %s %y' {} + | sort | cmp - "$T/.noted"; }
photo() { "$make_photos" "$1.made" 1 --first "$2" --size "${3:-600x600}" ${4:---face "$face"} && mv "$1.made"/*.jpg "$1" && rmdir "$1.made"; }

# ---- as the original ----
(cd "$repository" && BUILD=$(dirname "$mien") FACE=$face tests/reference/build_set.sh "$T/set")
golden=$repository/tests/golden/build.txt
grep '^{' "$golden" | sed 's|source/\([^"]*\)\.jpg|source/\1.png|' >want
grep -v '^{' "$golden" | LC_ALL=C sort >want_out
cp -r set/target photos
expect "the original's filters, in place" 0 "$mien" build set/target --data set
check "prompt.jsonl is the original's, but for the maps' ending" cmp set/prompt.jsonl want
outcomes set | grep -v '^kept' | LC_ALL=C sort >got
check "what is left out, and why, is the original's" cmp got want_out
check "the table counts them" printed "         5  nsfw"
check "and the others" printed "         1  small_faces"
check "the first line sums up" printed "7 of 16 photos kept; 16 looked at now, 0 done before, 0 failed"
ls set/source | sed 's/\..*//' | sort -u >got
sed -n 's|.*"source/\([^.]*\).*|\1|p' want | sort >kept_names
check "maps and landmarks of these alone" cmp got kept_names
check "each map has its landmarks" test "$(ls set/source/*.png | wc -l)" = "$(ls set/source/*.json | wc -l)"
check "target/ is as it was" diff -r set/target photos
check "metadata.json has those ids" test "$(grep -o '"caption\|"utf-8\|"null' set/metadata.json | sort -u | wc -l)" -ge 3
expect "the maps are annotate's" 0 "$mien" annotate set/target/caption.jpg -o alone --min-face 64 --ignore-exif --json
check "byte for byte" cmp alone/caption.png set/source/caption.png
check "and the landmarks" cmp alone/caption.json set/source/caption.json
note set
expect "again" 0 "$mien" build set/target --data set
check "all was done before" printed "7 of 16 photos kept; 0 looked at now, 16 done before, 0 failed"
check "nothing was touched" as_noted set
expect "from elsewhere" 0 "$mien" build photos --data d
check "the same prompt.jsonl" cmp d/prompt.jsonl want
check "photos are hard links" test "$(stat -c %i photos/plain.jpg)" = "$(stat -c %i d/target/plain.jpg)"
check "and the maps the same" diff -r d/source set/source
check "as JSON" sh -c '"$0" build photos --data d --log-json | grep -q "{\"event\":\"summary\",\"total\":16,\"done\":0,\"skipped\":16,\"failed\":0,\"kept\":7,\"nsfw\":5,\"small\":2,\"large\":0,\"no_face\":1,\"small_faces\":1,"' "$mien"
rm -r d
expect "what is left out is listed" 0 "$mien" build photos --data d --log-json
check "with the reason" said '{"event":"info","path":"photos/likely.jpg","message":"left out: nsfw"}'

# ---- settings ----
expect "other filters" 0 "$mien" build photos --data d --min-size 383 --max-size 690 --min-face 50 --min-confidence 0.4 --overlay
outcomes d >got
check "--min-size lets more in" grep -q 'kept small-face.jpg' got
check "--max-size leaves the large ones out" grep -q 'large narrow.jpg' got
check "overlays" test -s d/annotated/caption.png
expect "other filters, fresh" 0 "$mien" build photos --data fresh --min-size 383 --max-size 690 --min-face 50 --min-confidence 0.4 --overlay
check "the same as fresh" diff -r -x 'build*.jsonl' d fresh
expect "back again" 0 "$mien" build photos --data d
check "the prompts are as they were" cmp d/prompt.jsonl want
check "the maps too" diff -r d/source set/source
check "what no line names any more is gone" test ! -e d/annotated/small-face.png -a ! -e d/target/small-face.jpg
check "an overlay of a photo that is kept is made again" test -s d/annotated/caption.png
expect "maps as JPEG" 0 "$mien" build photos --data d --map-format jpg
check "the prompts are the original's now" sh -c "grep '^{' '$golden' | cmp - d/prompt.jsonl"
check "the PNGs are gone" test "$(ls d/source/*.png 2>/dev/null | wc -l)$(ls d/source/*.jpg | wc -l)" = 07
note d
expect "again" 0 "$mien" build photos --data d --map-format jpg
check "nothing was touched" as_noted d
echo mine >d/source/plain.jpg
expect "a JPEG map that was changed" 3 "$mien" build photos --data d --map-format jpg --min-face 63
check "is not written over" grep -qx mine d/source/plain.jpg
check "and said" said "photos/plain.jpg: d/source/plain.jpg is there and was not made by mien (--force overwrites it)"
check "its line is out" not grep -q plain d/prompt.jsonl
expect "--force" 0 "$mien" build photos --data d --map-format jpg --min-face 63 --force
expect "and back" 0 "$mien" build photos --data d
check "all as it was" diff -r d/source set/source

# ---- captions and marks ----
mkdir more
for n in 1 2 3 4 5 6 7 8 9; do photo more/$n.jpg $n; done
printf 'a text\r\n  over two lines \r\n\r\nand not this\r\n' >more/1.txt
printf '\357\273\277 latin \351 \302\205 \n' >more/2.txt
printf '{"NSFW": 0.05}' >more/3.json; printf 'the text' >more/3.txt
printf '{"punsafe": 0.2}' >more/4.json
printf '{"caption": "json"}' >more/5.json; printf 'not the text' >more/5.txt
printf '{"NSFW": true}' >more/6.json
printf '{"nsfw": "nsfw"}' >more/7.json
printf '{"NSFW": -1}' >more/8.json
: >more/9.txt
expect "captions" 0 "$mien" build more --data m
cat >want_more <<'PROMPTS'
{"source": "source/1.png", "target": "target/1.jpg", "prompt": "a text over two lines"}
{"source": "source/2.png", "target": "target/2.jpg", "prompt": "latin \ufffd \u0085"}
{"source": "source/3.png", "target": "target/3.jpg", "prompt": "the text"}
{"source": "source/5.png", "target": "target/5.jpg", "prompt": "json"}
{"source": "source/9.png", "target": "target/9.jpg", "prompt": ""}
PROMPTS
check "from texts and sidecars" cmp m/prompt.jsonl want_more
check "numbers and strange marks" test "$(outcomes m | grep -c nsfw)" = 4
expect "--max-unsafe" 0 "$mien" build more --data m --max-unsafe 0.2
check "is asked anew of the sidecars" printed "6 of 9 photos kept; 1 looked at now, 8 done before"
printf '{"caption": "another", "url": "https://example.com/x"}' >more/1.json
expect "another caption" 0 "$mien" build more --data m --max-unsafe 0.2
check "finds no faces anew" printed "6 of 9 photos kept; 1 looked at now, 8 done before"
check "but writes the line" grep -q '"prompt": "another"' m/prompt.jsonl
check "and metadata.json" grep -q '"1": {"url": "https://example.com/x"' m/metadata.json
rm more/1.json
expect "a sidecar that is gone" 0 "$mien" build more --data m --max-unsafe 0.2
check "says nothing any more" grep -q '"prompt": "a text over two lines"' m/prompt.jsonl

# ---- hostile sidecars ----
mkdir bad
i=0
while IFS= read -r sidecar; do i=$((i + 1)); photo bad/$i.jpg $i; printf '%s' "$sidecar" >bad/$i.json; done <<'SIDECARS'
{"caption": "cut
[]
"text"
{"caption": "a", "caption": "b"}
{"NSFW": "UNLIKELY", "NSFW": "LIKELY"}
{"caption": 5}
{"caption": "\u0000"}
{"caption": "\ud800"}
{"punsafe": NaN}
SIDECARS
photo bad/deep.jpg 20; awk 'BEGIN { for (i = 0; i < 100000; i++) printf "["; }' >bad/deep.json
photo bad/long.jpg 21; awk 'BEGIN { printf "{\"caption\": \""; for (i = 0; i < 100000; i++) printf "x"; printf "\"}" }' >bad/long.json
photo bad/large.jpg 22; { printf '{"caption": "x", "more": "'; head -c 5000000 /dev/zero | tr '\0' x; printf '"}'; } >bad/large.json
photo bad/empty.jpg 23; : >bad/empty.json
photo bad/folder.jpg 24; mkdir bad/folder.json
photo bad/binary.jpg 25; printf 'a\0b' >bad/binary.txt
photo bad/good.jpg 26
expect "sidecars that can't be read" 3 "$mien" build bad --data b
check "leave their photos out, the others stay" printed "1 of 16 photos kept; 1 looked at now, 0 done before, 15 failed"
check "they are counted" printed "        15  broken_sidecar"
check "and named" said "mien: bad/4.jpg: bad/4.json: line 1"
expect "once more" 3 "$mien" build bad --data b
check "they are named again" said "mien: bad/4.jpg: bad/4.json: line 1"
printf '{}' >bad/1.json
expect "one that is put right" 3 "$mien" build bad --data b
check "lets its photo in" printed "2 of 16 photos kept; 1 looked at now, 1 done before, 14 failed"

# ---- photos that can't be read ----
mkdir broken
cp more/1.jpg broken/good.jpg
head -c 3000 more/2.jpg >broken/cut.jpg; : >broken/zero.jpg; echo text >broken/text.png; ln -s nowhere broken/dangling.jpg; mkfifo broken/pipe.jpg
expect "photos that can't be read" 3 "$mien" build broken --data br
check "are counted" printed "         5  unreadable"
check "and named" said "mien: broken/text.png: not a picture"
cp more/2.jpg broken/cut.jpg
expect "one that is put right" 3 "$mien" build broken --data br
check "is kept" printed "2 of 6 photos kept"

mkdir hanging; cp more/1.jpg hanging; ln -s nowhere hanging/1.json
expect "a sidecar that leads nowhere" 3 "$mien" build hanging --data ha
check "leaves its photo out" printed "         1  broken_sidecar"
for f in metadata.json prompt.jsonl; do
    mkdir "of-$f"; mkfifo "of-$f/$f"
    expect "a FIFO as $f" 1 timeout 20 "$mien" build broken --data "of-$f" --force
    check "holds nobody up" said "is not a regular file"
done

mkdir marks lost; cp more/1.jpg marks
for bad in SECRET '' '[]' 'http://example.com/1.jpg'; do
    printf '%s' "$bad" >lost/metadata.json
    expect "a metadata.json of '$bad'" 1 "$mien" build marks --data lost
    check "is not taken for one without marks" said "lost/metadata.json: is "
    check "and nothing is built" test ! -e lost/prompt.jsonl
done
echo '{"1": 5, "2": {"url": "http://example.com/2.jpg"}}' >lost/metadata.json
expect "one with a wrong entry" 0 "$mien" build marks --data lost
check "is told of" said "1 entry can't be used, and says nothing of the photos; the first: \"1\": an object {...} was expected"

mkdir -p around/inner/source around/inner/target around/source; cp more/1.jpg around; cp more/2.jpg around/source; cp more/3.jpg around/inner/source; cp more/4.jpg around/inner/target
: >around/inner/build.jsonl
expect "photos beside another data set" 0 "$mien" build around --data ar
check "its pictures are not taken" printed "2 of 2 photos kept"
check "and it is named" said "mien: around/inner: is a data set, and is not searched"
expect "the data set itself" 2 "$mien" build around/inner --data ar3
check "is no folder of photos" said "name the folder of its photos, around/inner/target"
expect "its photos" 0 "$mien" build around/inner/target --data ar3
rm around/inner/build.jsonl
expect "a folder that is none" 0 "$mien" build around --data ar2
check "is searched" printed " of 4 photos kept"

# ---- names ----
mkdir -p names/a names/b names/c
photo names/a/x.jpg 1; photo names/b/x.jpg 2; cp names/a/x.jpg names/c/x.jpeg; photo names/y.jpg 4
name=$(printf '%0250d' 7)
photo names/long.jpg 5; mv names/long.jpg "names/$name.jpg"
photo names/odd.jpg 6; mv names/odd.jpg "names/b/$(printf 'a b%%\n\303\251\377.JPG')"
expect "names" 0 "$mien" build names --data n
ls n/target >got
for f in a/x.jpg b/x.jpg; do printf 'x-%.8s.jpg\n' "$(printf %s $f | sha256sum)"; done >want_names
printf 'x-%.8s.jpeg\n' "$(printf %s c/x.jpeg | sha256sum)" >>want_names
echo y.jpg >>want_names; echo "$(printf '%0180d' 0).jpg" >>want_names; echo 'a_b____.JPG' >>want_names
LC_ALL=C sort -o want_names want_names; LC_ALL=C sort -o got got
check "ids are plain, cut, and told apart by the path's hash" cmp got want_names
note n
expect "again" 0 "$mien" build names --data n
check "nothing was touched" as_noted n
rm names/b/x.jpg names/c/x.jpeg
expect "no equal name any more" 0 "$mien" build names --data n
check "the plain name is back" test -e n/source/x.png -a -e n/target/x.jpg
check "the longer one is gone" not ls n/source/x-*
expect "fresh" 0 "$mien" build names --data n2
check "the same as fresh" diff -r n/source n2/source
check "and prompt.jsonl" cmp n/prompt.jsonl n2/prompt.jsonl
mkdir -p trap/1 trap/2
photo trap/1/x.jpg 1; photo trap/2/x.jpg 2
photo "trap/x-$(printf 1/x.jpg | sha256sum | head -c 8).jpg" 3
expect "a name that is another's longer one" 0 "$mien" build trap --data t
check "all are kept, apart" test "$(ls t/target | wc -l)" = 3
expect "names in place" 0 "$mien" build n2/target --data n2 --force
check "are kept as they are" test "$(wc -l <n2/prompt.jsonl)" = "$(ls n2/target | wc -l)"
cp more/3.jpg "n2/target/two words.jpg"; cp n2/target/y.jpg n2/target/y.jpeg
expect "a name that is no id" 3 "$mien" build n2/target --data n2 --force
check "is said" said "mien: n2/target/two words.jpg: its name is no id"
check "equal stems are told apart" grep -qE '"source/y-[0-9a-f]{8}.png", "target": "target/y.jpeg"' n2/prompt.jsonl

# ---- what changes ----
mkdir ch; for n in 1 2 3; do photo ch/$n.jpg $n; done
expect "three photos" 0 "$mien" build ch --data c
photo ch/new.jpg 9; mv ch/new.jpg ch/2.jpg
expect "a photo that changed" 0 "$mien" build ch --data c
check "is done again" printed "3 of 3 photos kept; 1 looked at now, 2 done before"
check "its target too" cmp ch/2.jpg c/target/2.jpg
expect "fresh" 0 "$mien" build ch --data c2
check "the same as fresh" diff -r -x 'build*.jsonl' c c2
touch ch/1.jpg
note c/source c/target
expect "a photo that was touched" 0 "$mien" build ch --data c
check "is not" as_noted c/source c/target
rm c/source/1.png; : >c/source/2.json; rm c/target/3.jpg; : >c/target/3.jpg
expect "outputs that are gone or lost their bytes" 0 "$mien" build ch --data c
check "are made again" diff -r -x 'build*.jsonl' c c2
rm ch/3.jpg
expect "a photo that is gone" 0 "$mien" build ch --data c --log-json
check "is said" said '"path":"c/source/3.png","message":"removed'
check "its line and map are gone" test "$(wc -l <c/prompt.jsonl)" = 2 -a ! -e c/source/3.png -a ! -e c/source/3.json
check "its photo stays: it may be the last" test -s c/target/3.jpg
mkdir nothing
expect "an empty folder instead" 2 "$mien" build nothing --data c
check "is refused" said "2 of the 2 photos that an earlier run took into c are not there: is it the right folder?"
check "nothing is lost" test -s c/source/1.png

# ---- after a download: the list's captions, marks and addresses ----
mkdir -p dl/target
for n in 1 2 3 4 5 6; do photo dl/target/$n.jpg $n; done
echo '{"caption": "own"}' >dl/target/5.json
cat >dl/metadata.json <<'LIST'
{"1": {"url": "http://a.example.com/1.jpg", "caption": "list \u00e9"}, "2": {"url": "http://b.example.org/2.jpg", "NSFW": "LIKELY", "caption": "x"},
 "3": {"url": "http://b.example.org/3.jpg", "caption": null}, "5": {"url": "http://b.example.org/5.jpg", "caption": "not this"},
 "6": {"url": "http://a.example.com/6.jpg", "caption": "six", "punsafe": 0.5}}
LIST
cp dl/metadata.json list.json
expect "in place, with a list" 0 "$mien" build dl/target --data dl
cat >want_list <<'PROMPTS'
{"source": "source/1.png", "target": "target/1.jpg", "prompt": "list \u00e9"}
{"source": "source/3.png", "target": "target/3.jpg", "prompt": ""}
{"source": "source/4.png", "target": "target/4.jpg", "prompt": ""}
{"source": "source/5.png", "target": "target/5.jpg", "prompt": "own"}
PROMPTS
check "its captions and marks count" cmp dl/prompt.jsonl want_list
check "the list stays as it is" cmp dl/metadata.json list.json
check "unsafe ones are out" test "$(outcomes dl | grep -c nsfw)" = 2
echo b.example.org >sites; sha256sum dl/target/1.jpg | cut -c1-64 >hashes; printf '# none\n4\n' >ids
expect "--exclude a domain" 0 "$mien" build dl/target --data dl --exclude sites
check "takes its photos out" test "$(outcomes dl | grep -c excluded)" = 3 -a "$(wc -l <dl/prompt.jsonl)" = 2
check "and their maps" test ! -e dl/source/3.png -a -e dl/source/1.png
check "not their photos, which are the user's here" test -s dl/target/3.jpg
expect "--exclude a hash" 0 "$mien" build dl/target --data dl --exclude hashes
check "takes that one out, and lets the others in" sh -c 'grep -v "source/1" want_list | cmp - dl/prompt.jsonl'
expect "without" 0 "$mien" build dl/target --data dl
check "all are back" cmp dl/prompt.jsonl want_list
printf '{"format":1,"kind":"removed"}\n' >dl/removed.jsonl
expect "--only" 0 "$mien" build dl/target --data dl --only ids --min-face 60
check "looks at these alone" printed "1 of 1 photo kept; 1 looked at now"
check "and leaves the others in" cmp dl/prompt.jsonl want_list
echo '/not/a/list' >wrong
expect "a list that is none" 2 "$mien" build dl/target --data dl --exclude wrong
check "does nothing" cmp dl/prompt.jsonl want_list

# ---- nothing of the user's is overwritten ----
mkdir -p u/source u/target
echo mine >u/source/1.png; echo mine >u/target/2.jpg
expect "files of the user's" 3 "$mien" build ch --data u
check "are named" said "mien: ch/1.jpg: u/source/1.png is there and was not made by mien (--force overwrites it)"
check "both" said "mien: ch/2.jpg: u/target/2.jpg is there and is another file: it is never written over"
check "and kept" sh -c 'grep -qx mine u/source/1.png && grep -qx mine u/target/2.jpg'
expect "--force" 3 "$mien" build ch --data u --force
check "does for the map, not for the photo" sh -c '! grep -qx mine u/source/1.png && grep -qx mine u/target/2.jpg'
mkdir p; echo '{"source": "a", "target": "b", "prompt": "mine"}' >p/prompt.jsonl
expect "somebody's prompt.jsonl" 2 "$mien" build ch --data p
check "is named" said "mien: p/prompt.jsonl is there and is not as mien build wrote it (--force replaces it)"
check "nothing is done" test "$(ls -A p)" = prompt.jsonl
expect "--force" 0 "$mien" build ch --data p --force
check "replaces it" cmp p/prompt.jsonl c/prompt.jsonl
echo x >>p/prompt.jsonl
expect "ours, changed since" 2 "$mien" build ch --data p
mkdir l; ln -s ../ch l/source
expect "source/ as a link" 2 "$mien" build more --data l
check "is said" said "l/source is a link: nothing is written through it"
expect "the data set's own folder" 2 "$mien" build c --data c
expect "its source/" 2 "$mien" build c/source --data c
mkdir c/target/sub
expect "a folder below its target/" 2 "$mien" build c/target/sub --data c
expect "no folder" 2 "$mien" build nowhere --data x
expect "a file" 2 "$mien" build ch/1.jpg --data x
check "nothing was made" test ! -e x
mkdir -p in/photos; cp ch/*.jpg in/photos
expect "photos in the data set's folder" 0 "$mien" build in/photos --data in
expect "the data set in the photos' folder" 0 "$mien" build in/photos --data in/photos/data
check "is not read" printed "2 of 2 photos kept"
expect "again" 0 "$mien" build in/photos --data in/photos/data
check "nor then" printed "2 of 2 photos kept; 0 looked at now, 2 done before"
mkdir readonly; cp ch/1.jpg readonly; ln ch/2.jpg readonly/2.jpg
printf '{"format":2,"kind":"build"}\n' >nothing/build.jsonl
expect "a journal of another format" 1 "$mien" build ch --data nothing

# ---- what is told of a folder ----
mkdir phone; cp "$repository/tests/golden/image/exif6.jpg" phone/turned.jpg; cp "$repository/tests/golden/image/exif1.jpg" phone/upright.jpg
expect "photos marked as turned" 0 "$mien" build phone --data phoned --min-size 1
check "are none here: no face was found in them" sh -c '! grep -q EXIF "$1"' - "$T/.stdout"
python3 - set/target/caption.jpg phone/face.jpg <<'END'
import sys   # the same photo with an EXIF segment that says: orientation 6
tiff = b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
data = open(sys.argv[1], "rb").read()
segment = b"Exif\0\0" + tiff
open(sys.argv[2], "wb").write(data[:2] + b"\xff\xe1" + (len(segment) + 2).to_bytes(2, "big") + segment + data[2:])
END
expect "one with a face" 0 "$mien" build phone --data phoned --min-size 1
check "is told of" printed "1 photo is marked as turned (EXIF). Training ignores the mark, so the map does too: see docs/data.md"
expect "other settings" 0 "$mien" build phone --data phoned --min-size 5000
check "that leave out what was kept are told of" printed "         1  left_the_set"
mkdir tars; : >tars/00000.tar
expect "tar files are no photos" 2 "$mien" build tars --data tarred
check "and are told what to do with" said "tars: holds tar files and no photos: unpack them first (tar -xf)"
finish
