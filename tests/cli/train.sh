#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# mien train: a small run, stopped and gone on with, beside one that was not; what it writes and refuses.
. "$(dirname "$0")/lib"
make_model=$(realpath "${BUILD:-build}/tests/make_model")
cd "$T"

"$make_model" sd1 base.safetensors --parts unet,vae,text
photo_set set 3 96 || exit 1
run() { "$mien" train --base base.safetensors --data set --batch 1 --size 64 --only-mid-control --lr 1e-3 --eval-every 0 -j 1 "$@"; }
losses() { sed 's/.*"loss":\([^,]*\),.*/\1/' "$1/log.jsonl"; }

expect "three steps" 0 run --out whole --steps 3
check "are told of" printed "whole: 3 steps, loss "
check "with what came of them" printed "newest checkpoint: whole/checkpoints/step-000003/control.safetensors"
check "the plan is told first" said "trained numbers"
check "each has a line" test "$(wc -l <whole/log.jsonl)" = 3
check "a checkpoint" test -s whole/checkpoints/step-000003/control.safetensors
check "settings" grep -q '"only-mid-control":true' whole/settings.json
expect "two steps" 0 run --out parts --steps 2 --quiet
expect "again without --resume" 2 run --out parts --steps 3
check "says what to do" said "there is a run already: --resume goes on with it"
expect "with other settings" 2 run --out parts --steps 3 --resume --accumulate 2
check "says which" said "accumulate is 1 there and 2 here"
expect "with another processor level" 2 run --out parts --steps 3 --resume --cpu reference
check "says which" said 'there and "reference" here'
expect "by a replay" 2 run --out parts --steps 3 --resume --replay base.safetensors
check "says so" said 'replay is null there and "'"$(sha256sum base.safetensors | cut -c1-64)"'" here'
expect "the third step" 0 run --out parts --steps 3 --resume --quiet
losses whole >a
losses parts >b
check "the same losses as in one go" cmp a b
check "the same weights" cmp whole/checkpoints/step-000003/control.safetensors parts/checkpoints/step-000003/control.safetensors
expect "what it made is read" 0 "$mien" info whole/checkpoints/step-000003/control.safetensors
check "as a whole ControlNet" printed "is whole"
check "that acts on the middle alone" grep -q 'mien.only_mid_control":"true"' whole/checkpoints/step-000003/control.safetensors
expect "of the run" 0 "$mien" info whole/
check "info says what it is" printed "whole: a training run of a ControlNet: 3 items, 64 x 64 pixels, batch 1, learning rate 0.001"
check "how far it is" printed "  steps done: 3 of 3, smoothed loss "
check "and which file to use" printed "  to use: whole/checkpoints/step-000003/control.safetensors (mien generate --control)"
expect "of its files" 0 "$mien" info whole/log.jsonl whole/settings.json whole/checkpoints/step-000003 whole/checkpoints/step-000003/checkpoint.json
check "of the log" printed "whole/log.jsonl: the log of a training run, 3 lines, one a step; the last is of step 3, smoothed loss "
check "of the settings" printed "whole/settings.json: the settings of a training run of a ControlNet: 3 items"
check "of the checkpoint" printed "whole/checkpoints/step-000003: a checkpoint of a training run, after step 3"
check "of its list" printed "checkpoint.json: the list of a checkpoint's files, after step 3 of a training run"
expect "generate with the run's folder" 1 "$mien" generate --base base.safetensors --control whole --map set/source/0.png --prompt x -o x.png
check "says what it is" said "whole: is the folder of a training run: a model is in each of its checkpoints"
cp -r whole begun && rm -r begun/checkpoints
expect "a run without a checkpoint" 0 "$mien" info begun
check "is told as such" printed "  no checkpoint yet; start.safetensors is the ControlNet before its first step"
rm begun/log.jsonl
expect "without a step" 0 "$mien" info begun
check "too" printed "  steps done: none yet of 3"
expect "a list of items" 1 "$mien" info set/prompt.jsonl
check "is none of what info knows" said "set/prompt.jsonl: lines of JSON: of such files only the log of a training run is known here"
cp -r set other && sed -i 's/face 0/face of another/' other/prompt.jsonl
expect "other data" 2 "$mien" train --base base.safetensors --data other --batch 1 --size 64 --only-mid-control --lr 1e-3 --out parts --steps 4 --resume
expect "a cache elsewhere" 0 run --out shared --steps 3 --quiet --cache-folder kept
check "has the items" test "$(find kept -type f | wc -l)" = 6
check "and the run has none" test ! -e shared/cache
find kept -type f -exec stat -c '%n %y' {} + | sort >before
expect "is shared" 0 run --out shared2 --steps 3 --quiet --cache-folder kept
find kept -type f -exec stat -c '%n %y' {} + | sort >after
check "and nothing computed again" cmp before after
losses shared >a
losses shared2 >b
check "with the same losses" cmp a b
# What is kept of a weight, of either kind and in both types, is in the checkpoints to the bit.
for how in "adamw f32" "adamw8 f32" "adamw auto" "adamw8 auto"; do
    kept() { run --optimizer ${how% *} --dtype ${how#* } --ema 0.9 --clip 0.05 --accumulate 2 --keep 1 --eval-every 0 --cache-folder kept --quiet "$@"; }
    rm -rf one two
    expect "$how: in one go" 0 kept --out one --steps 3
    expect "$how: stopped" 0 kept --out two --steps 2
    expect "$how: gone on with" 0 kept --out two --steps 3 --resume
    losses one >a
    losses two >b
    check "$how: the same losses" cmp a b
    for file in control control_average state; do check "$how: the same $file" cmp one/checkpoints/step-000003/$file.safetensors two/checkpoints/step-000003/$file.safetensors; done
done
check "moments of 8 bits are kept as such" grep -aq '"moments\.control[^"]*":{"dtype":"U8"' two/checkpoints/step-000003/state.safetensors
expect "another optimizer" 2 run --optimizer adamw --dtype auto --ema 0.9 --clip 0.05 --accumulate 2 --keep 1 --eval-every 0 --cache-folder kept --quiet --out two --steps 4 --resume
check "is refused by name" said 'optimizer is "adamw8" there and "adamw" here'
"$make_model" sd2 sd2.safetensors --parts unet,vae,text >/dev/null
two() { "$mien" train --base sd2.safetensors --data set --batch 1 --size 64 --steps 1 -j 1 --eval-every 0 "$@"; }
expect "a base that does not say what it predicts" 0 two --out looked
check "is looked at, and that is told" said "so it is taken for v"
check "in the plan, too" said "v   as one look at the base tells"
check "what it teaches says so" grep -aq '"mien.prediction":"v_prediction"' looked/checkpoints/step-000001/control.safetensors
expect "or it is said" 0 two --out told --prediction v
check "and not looked at" not said "taken for"
check "as the plan has it" said "v   as --prediction says"
expect "where there is no room for a look" 1 two --out tight --memory 50M
check "there is none, and it is told what helps" said "of memory are needed to look at what the model predicts, and 50.0 MB may be used (--memory); --prediction says it"
check "and no run" test ! -e tight
losses looked >a
losses told >b
check "with the same loss" cmp a b
expect "another prediction" 2 two --out told --resume --prediction epsilon
check "is another run" said "prediction is \"v\" there and \"epsilon\" here"
cp -r set drawable
for n in 0 1 2; do faces drawable/source/$n.json 96 96; "$mien" draw drawable/source/$n.json -o drawable/source/$n.png --force -q; done
sheet() { "$mien" train --base base.safetensors --data drawable --batch 1 --size 64 --only-mid-control -j 1 --steps 1 --eval-every 1 --quiet "$@"; }
expect "a sheet" 0 sheet --out shrunk
expect "of maps that are drawn" 0 sheet --out drawn --redraw
check "shows other maps" not cmp -s shrunk/samples/step-000001.png drawn/samples/step-000001.png
broken() { printf broken | dd of="$1/checkpoints/$2/state.safetensors" bs=1 seek=20000 conv=notrunc 2>/dev/null; }
expect "a run of four steps" 0 run --out back --steps 4 --checkpoint-every 2 --quiet
broken back step-000004
cp -r back short && printf x >>short/checkpoints/step-000004/control.safetensors
expect "a checkpoint of another size" 0 "$mien" info short
check "is not the newest" printed "  the checkpoint of step 4 is not whole: "
check "but the one before" printed "  newest checkpoint: step 2; there are others"
expect "goes back where the last checkpoint is broken" 0 run --out back --steps 3 --keep 1 --resume
check "and keeps what it wrote" test -s back/checkpoints/step-000003/state.safetensors
for step in back/checkpoints/*; do broken back "${step##*/}"; done
expect "with none that is whole" 1 run --out back --steps 4 --resume
check "it says so, and does not begin anew" said "can be gone on from"
expect "no steps" 2 run --out none --steps 0
expect "a cache without a name" 2 run --out none --steps 1 --cache-folder ""
expect "no base" 2 "$mien" train --data set --out x
expect "no data" 2 "$mien" train --base base.safetensors --data nowhere --out x --steps 1
expect "an odd size" 2 run --out x --size 100 --steps 1
check "nothing is made of it" test ! -e x
finish
