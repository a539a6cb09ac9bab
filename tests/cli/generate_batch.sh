#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# mien generate: batches, and runs that are stopped, killed, or meet a full disk: what was finished is whole, and the next run goes on.
. "$(dirname "$0")/lib"
build=$(realpath "${BUILD:-build}")
all_models   # the vocabulary too
kills=${KILLS:-4}
cd "$T"
XDG_CACHE_HOME=$T/cache; export XDG_CACHE_HOME

"$build/tests/make_model" sd1 sd1.safetensors && "$build/tests/make_model" control1 c1.safetensors || exit 1
faces f.json 512 512
"$mien" draw f.json -o map.png --size 64x64 --quiet || exit 1
g="$mien generate -j 1 --dtype f32 --size 64 --base sd1.safetensors --control c1.safetensors --steps 1"
pause() { sleep "$(awk -v n="$1" 'BEGIN { print n / 100 }')"; }

# ---- a batch
cat >jobs.jsonl <<'J'
{"map":"map.png","prompt":"one","seed":1,"out":"one"}
{"faces":"f.json","prompt":"two","seed":2,"count":2,"out":"two.png"}

{"prompt":"default map","seed":3,"steps":2}
{"map":"map.png","promt":"misspelt"}
{"map":"gone.png","prompt":"","out":"gone"}
{"map":"map.png","out":"../up"}
{"map":"map.png","prompt":"a","out":"double"}
{"map":"map.png","prompt":"b","out":"double"}
not JSON
J
batch="$g --batch jobs.jsonl --map map.png -o out"
expect "a batch with broken lines" 3 $batch
check "pictures" printed "4 pictures made, 0 there before, 6 failed"
check "a misspelt key" said "line 5: promt: there is no such setting"
check "a map that is gone" said "line 6: gone.png: No such file or directory"
check "a name outside" said "line 7: out: a name of up to 200"
check "one name twice" said "line 8: another line writes double.png too: neither is done"
check "both of them" said "line 9: another line writes double.png too: neither is done"
check "no JSON" said "line 10: column "
check "the files" test "$(ls out | tr '\n' ' ')" = "000004.png one.png two-2.png two.png "
expect "a picture by itself" 0 $g --map map.png --prompt one --seed 1 -o single.png -q
check "is the same" cmp single.png out/one.png
cp -r out before
expect "once more" 3 $batch
check "nothing is made again" printed "0 pictures made, 4 there before, 6 failed"
check "all as it was" diff -r out before
rm out/two.png
expect "one is gone" 3 $batch --log-json
check "it alone is made" grep -q '^{"event":"summary","pictures":1,"skipped":3,"failed":6,' .stdout
check "the same again" diff -r out before
expect "other settings" 3 $batch --cfg 5
check "are no reason to overwrite" said "line 1: out/one.png is there, made with other settings (--force overwrites it)"
check "all as it was still" diff -r out before
expect "--force" 3 $batch --cfg 5 --force -q
check "does" not cmp -s out/one.png before/one.png
printf '{"prompt":"any seed","out":"any"}\n' >any.jsonl
expect "a random seed" 0 $g --batch any.jsonl --map map.png -o any -q
cp any/any.png any.png
expect "counts as done by any" 0 $g --batch any.jsonl --map map.png -o any
check "so it is left" printed "0 pictures made, 1 there before"
check "as it was" cmp any.png any/any.png
expect "with no memory to make it" 0 $g --batch any.jsonl --map map.png -o any --memory 50M
check "it is still there" printed "0 pictures made, 1 there before"
expect "without metadata" 0 $g --batch any.jsonl --map map.png -o bare --no-metadata -q
expect "being there is enough" 0 $g --batch any.jsonl --map map.png -o bare --no-metadata
check "so it is left, too" printed "0 pictures made, 1 there before"
expect "a batch that is not there" 2 $g --batch none.jsonl --map map.png -o x
expect "an output that is a file" 2 $g --batch any.jsonl --map map.png -o any.jsonl
expect "an output with a picture's name" 2 $g --batch any.jsonl --map map.png -o pictures.png
check "no folder is made" test ! -e pictures.png
: >empty.jsonl
expect "an empty batch" 0 $g --batch empty.jsonl -o empty

printf '{"seed":1}\n{"seed":2,"prompt":""}\n' >wordless.jsonl
expect "lines without a prompt" 3 $g --batch wordless.jsonl --map map.png -o wordless
check "are refused" said "line 1: prompt is missing"
check "an empty one is one" printed "1 picture made, 0 there before, 1 failed"
expect "one for all" 0 $g --batch wordless.jsonl --map map.png -p x -o all -q

cat >beside.jsonl <<'J'
{"prompt":"a","out":"a","count":2}
{"prompt":"b","out":"a-2"}
{"prompt":"c","out":"c"}
{"prompt":"d","out":"c.preview"}
{"prompt":"e","out":"e","seed":9223372036854775807,"count":3}
J
expect "names that meet by their numbers or previews" 3 $g --batch beside.jsonl --map map.png -o beside --preview 1 --force
check "by a number" said "line 1: another line writes a-2.png too: neither is done"
check "by a preview" said "line 4: another line writes c.preview.png too: neither is done"
check "seeds beyond the largest" said "seed is 9223372036854775807: the seeds of 3 pictures"
check "none is done" printed "0 pictures made"

mkdir in && cp map.png in/v.preview.png
printf '{"map":"in/v.preview.png","prompt":"x","out":"v"}\n' >in.jsonl
expect "a preview in an input's place" 3 $g --batch in.jsonl -o in --preview 1 --force
check "is refused, forced or not" said "in/v.preview.png: is an input"
check "it is as it was" cmp map.png in/v.preview.png

# Sixteen lines are taken together; from the next on, what the ones before hold is there.
i=0; while [ $i -lt 17 ]; do printf '{"prompt":"p","seed":%d}\n' $i; i=$((i + 1)); done >seventeen.jsonl
if ! grep -aq __asan_init "$mien"; then   # whose shadow counts
    expect "a batch in just the memory for it" 0 sh -c "ulimit -d 300000; exec $g --batch seventeen.jsonl --map map.png -o just"
    check "has all its pictures made" printed "17 pictures made, 0 there before"
fi

# ---- stopped
long="$g --map map.png --prompt x --seed 1 --count 1000"
# Background jobs of a shell ignore Ctrl-C, and so would the program.
heeding='import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_DFL); os.execv(sys.argv[1], sys.argv[1:])'
stop() { # stop FILE STATUS SIGNAL: stops the run $pid once FILE is there
    while [ ! -s "$1" ] && kill -0 $pid 2>/dev/null; do pause 2; done
    kill -s "$3" $pid; wait $pid; status=$?
    [ $status = "$2" ]
}
if command -v python3 >/dev/null; then
    python3 -c "$heeding" $long -o s.png >log 2>&1 & pid=$!
    check "Ctrl-C" stop s.png 130 INT
else
    $long -o s.png >log 2>&1 & pid=$!
    check "SIGTERM" stop s.png 143 TERM
fi
check "says what there is" grep -q '^stopped: [1-9][0-9]* picture' log
expect "what was finished is whole" 0 "$mien" info s.png
$long -o t.png --steps 500 --preview 1 >log 2>&1 & pid=$!
check "SIGTERM within a picture" stop t.preview.png 143 TERM
check "says what it does" grep -q 'stopping; again stops at once' log
check "leaves none" test ! -e t.png
check "nothing half-made is left" test -z "$(find . -name '*.mien-tmp-*')"

printf '{"prompt":"p","seed":1,"steps":500,"count":9,"out":"long"}\n' >one.jsonl
$g --batch one.jsonl --map map.png --preview 1 -o locked -q >log 2>&1 & pid=$!
while [ ! -s locked/long.preview.png ] && kill -0 $pid 2>/dev/null; do pause 2; done
expect "a second process on the folder" 1 $g --batch one.jsonl --map map.png -o locked
check "names the first" said "locked: is being written by process $pid on "
kill -s TERM $pid; wait $pid

# ---- killed
i=0; while [ $i -lt 24 ]; do printf '{"prompt":"p","seed":%d}\n' $i; i=$((i + 1)); done >many.jsonl
killed="$g --batch many.jsonl --map map.png -o killed -q"
there() { find killed -name '[0-9]*.png' 2>/dev/null | wc -l; }
k=0 torn=0 hit=0
while [ $k -lt "$kills" ]; do
    before=$(there)
    [ "$before" -lt 22 ] || rm -r killed
    $killed & pid=$!
    while [ "$(there)" -lt $((before + 2)) ] && kill -0 $pid 2>/dev/null; do pause 1; done
    pause $((k * 7 % 11))
    kill -9 $pid 2>/dev/null && hit=$((hit + 1))
    wait $pid 2>/dev/null
    for f in killed/*.png; do "$mien" info "$f" >/dev/null 2>&1 || torn=$((torn + 1)); done
    k=$((k + 1))
done
echo "# $hit of $kills kills hit a run; $(there) of 24 were there then"
check "no half picture" test $torn = 0
expect "the next run finishes" 0 $killed
check "all are there" test "$(there)" = 24
check "nothing else is" test "$(find killed -type f ! -name '[0-9]*.png' ! -name .mien.lock | wc -l)" = 0
expect "picture 20 by itself" 0 $g --map map.png --prompt p --seed 20 -o p20.png -q
check "is the same" cmp p20.png killed/000021.png

# ---- no space
mkdir full
if unshare -rm true 2>/dev/null && unshare -rm sh -c "mount -t tmpfs -o size=32k none full" 2>/dev/null; then
    expect "a full disk" 1 unshare -rm sh -c "mount -t tmpfs -o size=32k none full && $g --map map.png --prompt x --seed 1 --count 9 -o full/x.png; status=\$?;
        find full -name '*.mien-tmp-*'; exit \$status"
    check "what was finished is told of" printed "x.png: 64 x 64"
    check "then why not more" said "No space left on device"
    check "nothing half-made stays" not printed mien-tmp
    expect "a full disk ends a batch" 1 unshare -rm sh -c "mount -t tmpfs -o size=32k none full && $g --batch many.jsonl --map map.png -o full"
    check "at once" not said "line 4"
else
    skip "a full disk" "no tmpfs may be mounted here"
fi
finish
