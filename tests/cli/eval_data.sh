#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# mien eval over a data set: what it makes is what generate makes; kills, parts and what journals say cannot show in the report.
. "$(dirname "$0")/lib"
build=$(realpath "${BUILD:-build}")
need_models
all_models
cd "$T"
XDG_CACHE_HOME=$T/cache; export XDG_CACHE_HOME

"$build/tests/make_model" sd1 sd1.safetensors && "$build/tests/make_model" control1 c1.safetensors || exit 1
mkdir -p set/source set/target
for i in 0 1 2 3 4 5; do
    faces set/source/$i.json 96 64
    "$mien" draw set/source/$i.json -o set/source/$i.png --quiet || exit 1
    picture set/target/$i.png 96 64 $i
    printf '{"source": "source/%s.png", "target": "target/%s.png", "prompt": "face <%s> & co"}\n' $i $i $i >>set/prompt.jsonl
done
rm set/source/4.json            # no landmarks, and no face on its grey photo
printf 'no line\n' >>set/prompt.jsonl
g="$mien generate -j 1 --dtype f32 --size 64 --base sd1.safetensors --control c1.safetensors --steps 1 -q"
e="$mien eval -j 1 --dtype f32 --size 64 --base sd1.safetensors --control c1.safetensors --steps 1 --data set --seeds 2"

# ---- a report
expect "a report with items that cannot be used" 3 $e --out whole
check "of all others" printed "5 items measured, 10 pictures with control, 10 pictures without control, 5 pictures in photos through the VAE"
check "no landmarks, and no face" said "4: no landmarks lie beside its map, and no face is found on its photo"
check "a line that is none" said "line 7: "
check "the caveat" printed "Judge and annotator are the same network"
check "the files" test "$(ls whole | tr '\n' ' ')" = "eval.jsonl pictures report.html report.json settings.json "
check "the pictures" test "$(ls whole/pictures | wc -l)" = 25
seed=$(ls whole/pictures | sed -n 's/000003-2-control-\([0-9]*\).png/\1/p' | head -n 1)
expect "generate, by the same seed" 0 $g --map set/source/2.png --prompt "face <2> & co" --seed "$seed" -o same.png
check "makes the same picture" cmp same.png "whole/pictures/000003-2-control-$seed.png"
expect "and without control" 0 $g --map set/source/2.png --prompt "face <2> & co" --seed "$seed" --strength 0 -o free.png
check "the same, too" cmp free.png "whole/pictures/000003-2-free-$seed.png"
check "no script, nothing from elsewhere" not grep -qE "<script|https?://|src=\"[^d]" whole/report.html
check "captions are escaped" grep -q "face &lt;2&gt; &amp; co" whole/report.html
check "and are as they are in JSON" grep -qF '"prompt":"face <2> & co"' whole/report.json
check "no path" not grep -q "$T" whole/report.json whole/report.html whole/settings.json
cp -r whole before
expect "once more" 3 $e --out whole
check "nothing is measured again" printed "whole: 0 pictures measured, 25 before"
check "all as it was" diff -r whole before
expect "other settings" 2 $e --out whole --cfg 5
check "are refused" said "was begun with other settings: cfg is 9 there and 5 here"
expect "other items" 2 $e --out whole --count 3
expect "a folder of something else" 2 $e --out set
check "is left alone" test ! -e set/settings.json
expect "without the model's settings" 2 $mien eval --data set
check "what is missing" said "--out REPORT is missing"

# ---- parts, and kills
$e --out parts --part 1/2 -q 2>/dev/null
check "parts that are not all: no report" test ! -e parts/report.json
expect "the rest, alone" 3 $e --out parts
check "makes it" cmp parts/report.json whole/report.json
check "the page, too" cmp parts/report.html whole/report.html
expect "three parts, the first" 3 $e --out three --part 1/3 --log-json
$e --out three --part 2/3 -q 2>/dev/null
expect "the last of them" 3 $e --out three --part 3/3 --log-json
check "reports" grep -q '"missing":0,"reported":true' .stdout
check "the same" cmp three/report.json whole/report.json
k=1
while [ $k -le "${KILLS:-3}" ]; do
    $e --out killed -q 2>/dev/null & pid=$!
    while [ ! -e killed/eval.jsonl ] || [ "$(wc -l <killed/eval.jsonl)" -lt $((k * 4)) ]; do kill -0 $pid 2>/dev/null || break; sleep 0.02; done
    kill -9 $pid 2>/dev/null; wait $pid 2>/dev/null
    k=$((k + 1))
done
expect "after kills" 3 $e --out killed
check "the same report" cmp killed/report.json whole/report.json
check "the same page" cmp killed/report.html whole/report.html
check "the same pictures" diff -r killed/pictures whole/pictures
$e --out stopped -q 2>/dev/null & pid=$!
while [ ! -e stopped/eval.jsonl ]; do kill -0 $pid 2>/dev/null || break; sleep 0.02; done
kill -TERM $pid; wait $pid; status=$?
check "a stopped run says so" test $status = 143 -o $status = 3
expect "and goes on" 3 $e --out stopped -q
check "to the same" cmp stopped/report.json whole/report.json

# ---- journals that lie
cp -r whole torn && head -c -20 whole/eval.jsonl >torn/eval.jsonl && rm torn/report.*
expect "a torn last line" 3 $e --out torn
check "is done again" printed "torn: 1 picture measured, 24 before"
check "to the same" cmp torn/report.json whole/report.json
cp -r whole foreign && printf '{"format":1,"kind":"build"}\n' >foreign/eval.jsonl
expect "another job's journal" 1 $e --out foreign
check "is left alone" test "$(cat foreign/eval.jsonl)" = '{"format":1,"kind":"build"}'
for line in '{"picture":"control","line":-1,"seed":1,"faces":{}}' '{"item":"x","line":1,"from":"landmarks","prompt":"","width":1e9,"height":1,"map":"","faces":{}}' '[]' '{"picture":[]}' '{'; do
    rm -rf lies; cp -r whole lies; printf '%s\n' "$line" >>lies/eval.jsonl
    $e --out lies -q >/dev/null 2>.stderr; status=$?
    check "a line that is none: $line" test $status = 1 -o $status = 3
done
mkdir half && cp whole/settings.json half && grep -v '"picture":"control"' whole/eval.jsonl >half/eval.jsonl && mv set/source/0.png away
expect "a map that is gone by now" 3 $e --out half
check "ends no report" test -s half/report.json
check "that says so" grep -q '"failed":"set/source/0.png: No such file' half/report.json
mv away set/source/0.png
expect "and is there again" 3 $e --out half -q
check "is in it, too" cmp half/report.json whole/report.json
expect "memory that suffices for no item" 3 $e --out small --memory 20M
check "fails them, each for itself" test "$(grep -c '"why":"[^"]*memory' small/eval.jsonl)" = 20
expect "and with more" 3 $e --out small -q
check "they are measured" cmp small/report.json whole/report.json
cp -r set locked && rm locked/source/3.json && ln -s 3.json locked/source/3.json     # there, and cannot be read
expect "landmarks that can't be read" 3 ${e%% --data*} --data locked --seeds 2 --out locked.report
check "are not taken for none" said "3: locked/source/3.json: "
rm whole/pictures/*photo.png
expect "pictures that are gone" 3 $e --out whole -q
check "do not matter to the numbers" cmp before/report.json whole/report.json
mkdir linked; ln -s "$T/set" linked/pictures; cp before/settings.json linked/
expect "a link in the folder" 2 $e --out linked
check "is not followed" test ! -e "set/000003-2-photo.png"

# ---- what there is to leave out
expect "a base alone" 3 $mien eval -j 1 --size 64 --base sd1.safetensors --steps 1 --data set --out alone --no-photos --no-pictures
check "is judged without control" printed "5 items measured, 5 pictures without control"
check "keeps no pictures" test ! -e alone/pictures
printf '2\n3\n' >list
expect "a list, drawn again" 0 $e --out listed --only list --redraw --size 96x64 --no-free --show 0
check "has just these" printed "2 items measured, 4 pictures with control, 2 pictures in photos through the VAE"
check "and no pictures in its page" not grep -q "<img" listed/report.html
expect "none left" 2 $e --out none --exclude set/prompt.jsonl --only list
finish
