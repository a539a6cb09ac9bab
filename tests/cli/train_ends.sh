#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# mien train: what is said and left where a run begins again, where there is nothing to do, and where it is stopped before its first step; sheets of its last state.
. "$(dirname "$0")/lib"
make_model=$(realpath "${BUILD:-build}/tests/make_model")
cd "$T"
"$make_model" sd1 base.safetensors --parts unet,vae,text
photo_set set 3 96 || exit 1
run() { "$mien" train --base base.safetensors --data set --batch 1 --size 64 --only-mid-control --eval-every 0 -j 1 "$@"; }

# ---- nothing to do ----
expect "two steps" 0 run --out two --steps 2
check "nothing is gone on from" not said "goes on"
check "the plan says how many" said "steps                2"
check "and what disk they take" said "each: 1; one more every 30 minutes, up to 7"
cp two/settings.json settings && cp two/log.jsonl log
for steps in 2 1; do
    expect "no more of them: $steps" 0 run --out two --steps $steps --resume
    check "is nothing to do" printed "two: 2 steps are done already: nothing to do"
    check "with the checkpoint that is there" printed "newest checkpoint: two/checkpoints/step-000002/control.safetensors"
    check "nothing is planned" not said "memory"
    check "settings are as they were" cmp settings two/settings.json
    check "the log, too" cmp log two/log.jsonl
done
expect "for a program" 0 run --out two --steps 1 --resume --log-json
check "the same" printed '"stopped":false,"steps":0,"done":2,'
expect "by passes over the data" 0 run --out two --epochs 1 --resume
check "there is one step to do" printed "two: 1 step, 3 in all, loss "
check "from where it is" said "goes on from step 2"
check "as the plan says" said "steps                3   2 are done"
check "and settings" grep -q '"epochs":1' two/settings.json
expect "a batch of more pictures than there are" 0 run --out large --batch 4 --steps 1
check "is told of" said "batch                4   pictures a step, of 3 that there are: each is in it 1.3 times"
rm -r large/checkpoints
expect "ended before its first checkpoint" 0 run --out large --batch 4 --steps 1 --resume
check "it begins anew, as is said" said "begins anew: it was ended before its first checkpoint"

# ---- sheets ----
expect "a run shorter than its sheets are apart" 0 run --out shown --steps 3 --eval-every 2 --quiet
check "shows the last state as well" test "$(ls shown/samples | tr '\n' ' ')" = "step-000002.png step-000003.png "
# Three rows of 256 pixels: map, picture, photo; and captions.
check "with a row for the photos" test "$(od -An -tu1 -j 20 -N 4 shown/samples/step-000003.png | awk '{ print $3 * 256 + $4 }')" -gt 800
run --out late --steps 2 --eval-every 2 --quiet && rm late/samples/*
expect "a sheet that was missed" 0 run --out late --steps 3 --eval-every 2 --resume --quiet
check "is made up" cmp shown/samples/step-000002.png late/samples/step-000002.png
check "and the others are the same" cmp shown/samples/step-000003.png late/samples/step-000003.png
check "none where none are wanted" test ! -e two/samples

# ---- stopped before the first step ----
# begun OUT FILE: a run that takes a while to its first step is stopped as soon as there is such a file. Whether that came soon enough.
begun() {
    "$mien" train --base base.safetensors --data set --size 512 --batch 16 --accumulate 64 --eval-every 0 -j 1 --out "$1" >.stdout 2>.stderr </dev/null & pid=$!
    i=0
    while [ -z "$(find "$1/$2" -type f 2>/dev/null)" ] && [ $i -lt 6000 ] && kill -0 $pid 2>/dev/null; do sleep 0.01; i=$((i + 1)); done
    kill -TERM $pid
    wait $pid; status=$?
    ! printed "newest checkpoint"
}
if begun early settings.json; then
    check "stopped while it loads: 143" test $status = 143
    check "says what was kept" printed "stopped: early: before its first step; nothing is kept"
    check "which is nothing at all, not even a folder" test ! -e early -o -e early/cache
    check "it is told" grep -q '^mien: stopping; again stops at once$' .stderr
    check "and no checkpoint is promised" not said "with a checkpoint"
else skip "stopped while it loads" "it was too fast"; fi
if begun encoded cache; then
    check "stopped while it encodes: 143" test $status = 143
    check "says what was kept" printed "stopped: encoded: before its first step; nothing is kept but its cache, which the same line begins with"
    check "its cache alone" test "$(ls encoded)" = cache
    check "until stopped, said the plan" said "steps        until stopped"
    find encoded -type f -exec stat -c '%n %y' {} + | sort >before
    expect "the same line begins again" 0 run --out encoded --steps 1
    check "with what was encoded" eval 'find encoded/cache -type f -exec stat -c "%n %y" {} + | sort >after; [ -s before ] && [ -z "$(comm -23 before after)" ]'
else skip "stopped while it encodes" "it was too fast"; fi
finish
