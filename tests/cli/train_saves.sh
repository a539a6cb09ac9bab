#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# A training run's folder (by tests/tools/save_loop.c, which trains nothing): killed while it saves, on a full disk, with checkpoints that were cut or
# changed; and what other commands make of what was saved. KILLS=200 for more of them.
. "$(dirname "$0")/lib"
build=$(realpath "${BUILD:-build}") golden=$(realpath tests/golden)
kills=${KILLS:-8}
cd "$T"
make=$build/tests/make_model
"$make" sd1 sd1.safetensors --parts unet --type f16 --metadata license=openrail && "$make" control1 c1.safetensors --type f16 --metadata license=openrail-c || exit 1
"$make" sd2 sd2.safetensors --vocabulary 64 && "$make" control2 c2.safetensors --type bf16 || exit 1
loop="$build/tests/save_loop sd1.safetensors c1.safetensors"
pause() { sleep "$(awk -v n="$1" 'BEGIN { print n / 1000 }')"; }
# tensors FILE: "name TYPE [shape]" of each, sorted.
tensors() {
    n=$(od -An -tu8 -N8 "$1" | tr -d ' ')
    tail -c +9 "$1" | head -c "$n" | sed 's/"__metadata__":{[^}]*},//; s/},"/}\n"/g' |
        sed -n 's/^{*"\([^"]*\)":{"dtype":"\([A-Z0-9_]*\)","shape":\(\[[0-9,]*\]\).*/\1 \2 \3/p' | LC_ALL=C sort
}
names() { tensors "$1" | sed 's/ [A-Z0-9]* / /'; }
# planned FOLDER: a checkpoint takes what the last run had said, but for headers.
planned() {
    n=$(sed -n 's/^planned //p' "$T/.stdout") is=$(cat "$1"/* | wc -c)
    echo "$n planned, $is taken"
    [ "$is" -le "$n" ] && [ $((is * 100)) -ge $((n * 96)) ]
}
no_leftovers() { test -z "$(find "$1" -name '*.mien-tmp-*')"; }
list() { (cd "$1/checkpoints" && echo step-*); }

# ---- a run ----
expect "a run of 9 steps" 0 $loop run 9
check "of the size it said" planned run/checkpoints/step-000009
check "keeps the last three, and the best" test "$(list run)" = "step-000007 step-000008 step-000009"   # 7 * 8 % 11 is the least
expect "three steps more" 0 $loop run 12 --resume
check "go on from the last" printed "resumed 9"
check "11 is the best now" test "$(list run)" = "step-000010 step-000011 step-000012"
expect "and three" 0 $loop run 16 --resume
check "which stays" test "$(list run)" = "step-000011 step-000014 step-000015 step-000016"
check "the log is one run's" test "$(grep -c . run/log.jsonl)" = 16
check "nothing half written" no_leftovers run
expect "without --resume" 2 $loop run 12
check "is refused" said "run: there is a run already: --resume goes on with it"
expect "other settings" 2 $loop run 12 --resume --seed 5 --unlock
check "are refused by name" said "seed is 0 there and 5 here; unlock-decoder is false there and true here"
expect "other data" 2 $loop run 17 --resume --data 99
check "is refused" said "run: the data has changed: 99 items, and 100 when the run was begun (--data-changed ok goes on with it)"
expect "unless that is meant" 0 $loop run 17 --resume --data 99 --data-changed
check "which is said" said "run: the data has changed: 99 items, and 100 when the run was begun"
expect "from then on" 0 $loop run 17 --resume --data 99
mkdir folder && touch folder/thesis.txt
expect "a folder of something else" 2 $loop folder 1
check "is left alone" test "$(ls -A folder)" = thesis.txt
expect "nothing to go on with" 2 $loop nowhere 1 --resume
check "says so, and makes nothing" sh -c "grep -q 'nowhere: there is no run' .stderr && ! test -e nowhere"

# ---- what is in it ----
last=run/checkpoints/step-000017
check "its licence is carried" grep -aq '"license":"openrail-c"' $last/control.safetensors
names c1.safetensors >.want; names $last/control.safetensors >.got
check "names and shapes of SD 1.x" cmp .want .got
tensors $last/control.safetensors >.got
check "names, types and shapes as listed" cmp "$golden/train_control1.txt" .got
expect "an average, as bf16" 0 $loop one 1 --average --bf16
names one/checkpoints/step-000001/control_average.safetensors >.got
check "names and shapes" cmp .want .got
check "with metadata of the run's" grep -aq '"mien.only_mid_control":"true"' one/checkpoints/step-000001/control_average.safetensors
check "in bf16" sh -c "! grep -aq '\"dtype\":\"F' one/checkpoints/step-000001/control_average.safetensors"
expect "of which nothing is lost" 0 $loop one 1 --average --bf16 --resume
expect "moments of 8 bits, weights in two halves" 0 $loop eight 2 --average --eight
check "of the size it said" planned eight/checkpoints/step-000002
expect "gone on with" 0 $loop eight 3 --average --eight --resume
expect "and in bf16, with the decoder" 0 $loop eight2 1 --bf16 --eight --unlock
expect "of which nothing is lost" 0 $loop eight2 1 --bf16 --eight --unlock --resume
tensors one/checkpoints/step-000001/control.safetensors | sed 's/ BF16 / F32 /' >.want; tensors eight/checkpoints/step-000003/control.safetensors >.got
check "the ControlNet is f32 and whole" cmp .want .got
rm -rf eight eight2
expect "SD 2.x, with the decoder" 0 "$build/tests/save_loop" sd2.safetensors c2.safetensors both 1 --unlock
b=both/checkpoints/step-000001
check "of the size it said" planned $b
tensors $b/control.safetensors >.got
check "names, types and shapes as listed" cmp "$golden/train_control2.txt" .got
names c2.safetensors >.want; names $b/control.safetensors >.got
check "which are the ControlNet's" cmp .want .got
names sd2.safetensors | grep -v '^model_ema\.' >.want; names $b/base.safetensors >.got
check "the base is whole" cmp .want .got
tensors sd2.safetensors | grep -v '^model_ema\.' >.a; tensors $b/base.safetensors >.b
check "what changed is the decoder" sh -c "cmp -s .a .b || diff .a .b | grep '^>' | sed 's/^> model.diffusion_model.\(out[a-z_]*\).*/\1/' | sort -u | tr '\n' ' ' | grep -qx 'out output_blocks '"
expect "gone on with" 0 "$build/tests/save_loop" sd2.safetensors c2.safetensors both 1 --unlock --resume
check "from there" printed "resumed 1"
expect "converted to diffusers" 0 "$mien" convert $b/control.safetensors c2 --to diffusers -q
zcat "$golden/names/small2.txt.gz" | sed -n 's/^controlnet\///p' | awk '{ gsub("x", ",", $2); print $1, "F32 [" $2 "]" }' | LC_ALL=C sort >.want
tensors c2/diffusion_pytorch_model.safetensors >.got
check "names and shapes are those of diffusers' class" cmp .want .got

# ---- generate takes it ----
all_models
faces f.json 512 512
"$mien" draw f.json -o map.png --size 64x64 --quiet || exit 1
"$make" sd2 whole.safetensors && "$mien" convert whole.safetensors whole --to diffusers --prediction epsilon -q 2>.stderr || exit 1
g="$mien generate --no-metadata --prediction epsilon --seed 1 --map map.png --prompt face --steps 1 --size 64 --dtype f32 -q"
expect "a base and a ControlNet" 0 "$build/tests/save_loop" whole.safetensors c2.safetensors gen 1 --unlock
expect "the same of a folder" 0 "$build/tests/save_loop" whole c2.safetensors two 1 --unlock
r=checkpoints/step-000001
expect "generate takes the ControlNet" 0 $g --base whole.safetensors --control gen/$r/control.safetensors -o out.png
expect "and the base" 0 $g --base gen/$r/base.safetensors --control gen/$r/control.safetensors -o out1.png
expect "and the folder's, as one file" 0 $g --base two/$r/base.safetensors --control two/$r/control.safetensors -o out2.png
check "the same picture" cmp out1.png out2.png
check "which is not the untrained one's" not cmp -s out.png out1.png
expect "converted to ldm" 0 "$mien" convert two/$r/base.safetensors ldm.safetensors --to ldm -q
check "it has the original's names" grep -aq '"model.diffusion_model.output_blocks.0.0.in_layers.0.weight"' ldm.safetensors
rm -rf one gen two both c2 whole whole.safetensors ldm.safetensors

# ---- killed ----
n=0 wrong=0 done=4
expect "a run to be killed" 0 $loop killed 4 --keep 2
while [ $n -lt "$kills" ]; do
    $loop killed 100000 --resume --keep 2 >.out 2>.err & pid=$!
    tries=0
    while [ ! -s .out ] && [ $tries -lt 2000 ]; do pause 5; tries=$((tries + 1)); done
    pause $((n * 73 % 400))
    kill -9 $pid 2>/dev/null
    wait $pid 2>/dev/null; status=$?
    [ $status = 137 ] || { wrong=$((wrong + 1)); sed 's/^/# /' .err; }
    saved=$(sed -n 's/^saved //p; s/^resumed //p' .out | tail -n 1)   # a kill may come between a checkpoint and its line
    [ -z "$saved" ] || done=$saved
    ls killed/checkpoints/step-*/checkpoint.json >/dev/null || wrong=$((wrong + 1))
    n=$((n + 1))
done
check "$kills kills" test $wrong = 0
expect "the next goes on" 0 $loop killed $((done + 2)) --resume --keep 2
at=$(sed -n 's/^resumed //p' .stdout)
check "from what was said to be saved, or the step that was being saved" test "$at" = "$done" -o "$at" = $((done + 1))
check "with nothing half written left" no_leftovers killed
seq 1 $((done + 2)) >.want; sed 's/^{"step":\([0-9]*\),.*/\1/' killed/log.jsonl >.got
check "and a log as if it had never been broken" cmp .want .got
check "of which the losses follow" test "$(sed -n 's/.*"loss":\([0-9.e-]*\),.*/\1/p' killed/log.jsonl | sed -n 4p)" = 0.25

# ---- broken ----
cp -r run broken
truncate -s -1 broken/checkpoints/step-000017/state.safetensors
expect "a file that is cut" 0 $loop broken 17 --resume --data 99
check "is told of" said "step-000017: this checkpoint is not whole, and an earlier one is looked for: state.safetensors: has"
check "the one before is taken" printed "resumed 16"
check "the log is cut" said "log.jsonl: 1 line behind step 16 cut off: it is computed again"
expect "the step is written anew" 0 $loop broken 17 --resume --data 99
check "whole" printed "resumed 17"
size=$(stat -c %s broken/checkpoints/step-000017/control.safetensors)
printf 'x' | dd of=broken/checkpoints/step-000017/control.safetensors bs=1 seek=$((size / 2)) conv=notrunc 2>/dev/null
echo '{"format":2}' >broken/checkpoints/step-000016/checkpoint.json
rm broken/checkpoints/step-000015/state.safetensors
expect "a changed byte, an unknown format, a file that is gone" 0 $loop broken 15 --resume --data 99
check "the byte is seen" said "control.safetensors: its bytes are not those that were written"
check "the format is named" said "format 2 is unknown: this mien writes and reads 1"
check "the file is named" said "state.safetensors: No such file or directory"
check "an early one is whole" printed "resumed 11"
printf '{"format":1,"kind":"tra' >broken/settings.json
expect "settings that are cut" 1 $loop broken 20 --resume --data 99
check "are named" said "broken/settings.json: line 1, column"
cp -r run torn && printf '{"step":18,"lo' >>torn/log.jsonl
sed -i '3s/.*/\x00\x00/' torn/log.jsonl
expect "a log that is torn" 0 $loop torn 17 --resume --data 99
check "loses what can't be read" test "$(grep -ac . torn/log.jsonl)" = 16
check "and says so" said "1 line could not be read and is left out"

# ---- in the way ----
# A file, a link and folders by the names of what comes: all of it stays, and nothing is written through the link.
cp -r run way && mkdir -p elsewhere way/checkpoints/step-000020 way/checkpoints/step-000021
echo mine >way/checkpoints/step-000018
ln -s ../../elsewhere way/checkpoints/step-000019
echo mine >way/checkpoints/step-000020/control.safetensors
cp -r way/checkpoints/step-000017/. way/checkpoints/step-000021 && echo mine >way/checkpoints/step-000021/note.txt && sed -i 's/"step":17/"step":21/' way/checkpoints/step-000021/checkpoint.json
expect "a file, a link and folders in the way of checkpoints" 0 $loop way 21 --resume --data 99 --keep 9
check "are named" said "step-000021: this checkpoint is not whole"
check "as is the state of another step by its sums" said "state.safetensors: is of step 17, and the folder of step 21"
check "the latest that is whole is taken" printed "resumed 17"
for n in 18 19 20 21; do check "step $n is written" test -s way/checkpoints/step-0000$n/checkpoint.json -a -s way/checkpoints/step-0000$n/state.safetensors; done
check "where the file went is said" said "step-000018: what was there is no checkpoint that could be gone on with, and is way/checkpoints/step-000018.aside-1 now"
check "the file is there" test "$(cat way/checkpoints/step-000018.aside-1)" = mine
check "the link is there" test "$(readlink way/checkpoints/step-000019.aside-1)" = ../../elsewhere
check "and nothing behind it" test -z "$(ls -A elsewhere)"
check "the folder is there" test "$(cat way/checkpoints/step-000020.aside-1/control.safetensors)" = mine
check "so is what lay beside a checkpoint" test "$(ls way/checkpoints/step-000021.aside-1)" = note.txt
check "nothing hidden stays" no_leftovers way
# A checkpoint of which only a model was kept by hand, and one that a kill left half removed.
rm way/checkpoints/step-000018/checkpoint.json way/checkpoints/step-000018/state.safetensors
mv way/checkpoints/step-000019 way/checkpoints/.step-000019.mien-tmp-1-0 && rm way/checkpoints/.step-000019.mien-tmp-1-0/checkpoint.json && echo mine >way/checkpoints/.step-000019.mien-tmp-1-0/note.txt
expect "a model that was kept by hand" 0 $loop way 22 --resume --data 99 --keep 1
check "stays" test -s way/checkpoints/step-000018/control.safetensors
check "what was half removed goes" no_leftovers way
check "but for the note in it" test "$(ls way/checkpoints/step-000019.aside-2)" = note.txt
check "what is no longer kept goes" test ! -e way/checkpoints/step-000020 -a ! -e way/checkpoints/step-000021
mkdir disk && mv way/checkpoints/step-000022 disk/ && ln -s ../../disk/step-000022 way/checkpoints/step-000022
expect "a checkpoint that was moved to another disk" 0 $loop way 26 --resume --data 99 --keep 1
check "is gone on from" printed "resumed 22"
# One of two may stay as the best so far.
mv way/checkpoints/step-000026 disk/ && ln -s ../../disk/step-000026 way/checkpoints/step-000026
expect "so is another" 0 $loop way 30 --resume --data 99 --keep 1
check "stays behind its link" test -L way/checkpoints/step-000022 -a -s disk/step-000022/checkpoint.json -a -s disk/step-000022/state.safetensors
check "and is not said to be none" not said "no longer a checkpoint"
rm -rf way elsewhere disk

# ---- a full disk ----
# About two checkpoints have room.
size=$(du -sk run/checkpoints/step-000017 | cut -f 1)
mkdir full
if unshare -rm true 2>/dev/null && unshare -rm sh -c "mount -t tmpfs -o size=256k none full" 2>/dev/null; then
    expect "a full disk" 1 unshare -rm sh -c "mount -t tmpfs -o size=$((size * 5 / 2))k none full && $loop full/run 4 --keep 5; status=\$?
        ls full/run/checkpoints; find full -name '*.mien-tmp-*'; $loop full/run 2 --resume --keep 5; echo \$?; exit \$status"
    check "is told of" printed "No space left on device"
    check "the earlier ones are whole" sh -c "grep -qx 'saved 2' .stdout && grep -qx 'step-000002' .stdout && ! grep -q step-000003\$ .stdout"
    check "nothing half written stays" sh -c "! grep -q mien-tmp .stdout"
    check "and may be gone on with" sh -c "grep -qx 'resumed 2' .stdout && tail -n 1 .stdout | grep -qx 0"
else
    skip "a full disk" "no tmpfs may be mounted here"
fi
expect "a limit on the size of files" 1 sh -c "trap '' XFSZ; ulimit -f 1000; exec $loop limited 2"
check "is told of" printed "failed 2: "
check "leaves nothing half written" no_leftovers limited

# ---- two at once ----
$loop two 100000 >.out2 2>&1 & pid=$!
tries=0; while ! grep -q begun .out2 2>/dev/null && [ $tries -lt 2000 ]; do pause 5; tries=$((tries + 1)); done
expect "a second process" 1 $loop two 3 --resume
check "names the first" said "two: is being written by process $pid on "
kill -9 "$pid"; wait "$pid" 2>/dev/null
expect "which is gone now" 0 $loop two 1 --resume
check "tensorboard files lie one behind the other" test "$(ls run | grep -c '^events.out.tfevents.17000000[0-9][0-9].mien$')" -ge 5
finish
