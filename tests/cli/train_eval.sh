#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# mien train --eval-data: evaluations change no step, go on with the run, and are told.
. "$(dirname "$0")/lib"
build=$(realpath "${BUILD:-build}")
need_models
all_models
cd "$T"

"$build/tests/make_model" sd1 base.safetensors || exit 1
for set in set held; do
    mkdir -p $set/source $set/target
    for i in 0 1 2; do
        faces $set/source/$i.json 64 64
        "$mien" draw $set/source/$i.json -o $set/source/$i.png --quiet || exit 1
        picture $set/target/$i.png 64 64 $i
        printf '{"source": "source/%s.png", "target": "target/%s.png", "prompt": "%s %s"}\n' $i $i $set $i >>$set/prompt.jsonl
    done
done
train="$mien train --base base.safetensors --data set --batch 1 --size 64 --lr 1e-3 -j 1 --dtype f32 --checkpoint-every 3 --keep 9"
evaluated="$train --eval-every 2 --eval-data held --eval-items 2 --eval-cfg 2"
figures() { sed 's/"seconds":[^,]*,//;s/"images_per_second":[^,]*,//;s/"wait":[^,]*,//;s/,"peak_bytes.*//' "$1/log.jsonl"; }

expect "a run with evaluations" 0 $evaluated --out one --steps 5
check "of the beginning" said "step 0: 0% of the faces of 2 items are found at their places; score 10.00"
check "and at every second step" said "step 4: 0% of the faces of 2 items"
check "in the log" test "$(grep -c '"eval_score"' one/log.jsonl)" = 2
check "and for TensorBoard" grep -qa 'eval/score_low' one/events.out.tfevents.*
check "with a sheet each" test -s one/samples/step-000004.png
expect "without" 0 $train --eval-every 0 --out none --steps 5 -q
check "each step is the same" cmp one/checkpoints/step-000005/control.safetensors none/checkpoints/step-000005/control.safetensors
expect "broken off" 0 $evaluated --out two --steps 3 -q
expect "and gone on with" 0 $evaluated --out two --steps 5 --resume -q
figures one >one.log && figures two >two.log
check "the same figures" cmp one.log two.log
check "the same state" cmp one/checkpoints/step-000005/state.safetensors two/checkpoints/step-000005/state.safetensors
check "a checkpoint that was not evaluated has no measure" grep -q '"measure":null' one/checkpoints/step-000003/checkpoint.json
expect "by other items" 2 $evaluated --out two --steps 6 --resume --eval-items 3
check "is another run" said "eval-items is 2 there and 3 here"
expect "by other data" 2 $evaluated --out two --steps 6 --resume --eval-data set
expect "without" 2 $train --out two --steps 6 --resume
expect "a data set that is not there" 2 $evaluated --out gone --steps 1 --eval-data nowhere
check "nothing is begun" test ! -e gone
expect "of a base" 2 $evaluated --out base --what base
check "nothing obeys" said "eval"
expect "never" 2 $evaluated --out never --eval-every 0 --steps 1
finish
