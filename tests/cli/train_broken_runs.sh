#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# mien train killed, stopped, without room, with data that changed, are broken, or hostile: what was computed is there, and what a run goes on to has
# the bits of one that was never broken. (Checkpoints alone: train_saves.sh.) KILLS=300 for more of them.
. "$(dirname "$0")/lib"
build=$(realpath "${BUILD:-build}")
kills=${KILLS:-4}
all_models
cd "$T"
"$build/tests/make_model" sd1 base.safetensors && "$build/tests/make_photos" photos 5 --size 96x96 >/dev/null || exit 1
mkdir -p set/source set/target
for n in 0 1 2 3 4; do
    cp "photos/00000000$n.jpg" "set/target/$n.jpg" && picture "set/source/$n.png" 96 96 $n || exit 1
    echo "{\"source\": \"source/$n.png\", \"target\": \"target/$n.jpg\", \"prompt\": \"face $n looks left\"}"
done >set/prompt.jsonl
# All that a step may depend on: chance, sums, clipping, an average, a rate that falls. One thread: the machine's others may not change the order of a sum.
small="--base base.safetensors --data set --size 64 --batch 1 --only-mid-control --eval-every 0 -j 1 --quiet"
all="$small --steps 8 --accumulate 2 --clip 0.5 --ema 0.9 --lr 1e-3 --lr-schedule cosine --mirror --prompt-dropout 0.3 --seed 7 --checkpoint-every 3 --eval-every 4 --keep 1"
losses() { sed 's/.*\("loss":[^,]*,"smoothed":[^,]*,"lr":[^,]*,"grad_norm":[^,]*\),.*/\1/' "$1/log.jsonl"; }
same_run() { losses "$1" >.a && losses "$2" >.b && cmp .a .b && same_step "$1" "$2" 000008; }
same_step() { for f in control.safetensors control_average.safetensors state.safetensors; do cmp "$1/checkpoints/step-$3/$f" "$2/checkpoints/step-$3/$f" || return 1; done; }
last_step() { tail -n 1 "$1/log.jsonl" | sed 's/{"step":\([0-9]*\),.*/\1/'; }
pause() { sleep "$(awk -v n="$1" 'BEGIN { print n / 1000 }')"; }
# until_there COMMAND...: waits for it, as long as $pid lives.
until_there() { tries=0; until "$@" >/dev/null 2>&1 || [ $tries -gt 6000 ] || ! kill -0 $pid 2>/dev/null; do pause 10; tries=$((tries + 1)); done; }

filled() { [ "$(find killed/cache -type f 2>/dev/null | wc -l)" -ge "$1" ]; }

# ---- killed ----
begin=$(date +%s%N)
expect "a run that is not broken" 0 "$mien" train $all --out whole
length=$((($(date +%s%N) - begin) / 1000000))
check "has sheets" test -s whole/samples/step-000004.png -a -s whole/samples/step-000008.png
n=0 finished=0 wrong=0
while [ $n -lt "$kills" ]; do
    resume= more=
    [ ! -e killed/settings.json ] || resume=--resume
    case $((n % 4)) in
    1) rm -rf killed/cache ;;
    2) more='--checkpoint-every 1' ;;   # it does little else
    3) more='--eval-every 1' ;;
    esac
    "$mien" train $all --out killed $resume $more >.out 2>.err & pid=$!
    [ $((n % 4)) != 1 ] || until_there filled 2
    [ $((n % 4)) = 1 ] || pause "$(awk -v n=$n -v most=$length 'BEGIN { srand(n + 1); rand(); print int(rand() * most) }')"
    kill -9 $pid 2>/dev/null
    n=$((n + 1))
    wait $pid 2>/dev/null; status=$?
    case $status in
    0) finished=$((finished + 1)); same_run whole killed >>.differ 2>&1 || wrong=$((wrong + 1)); rm -rf killed ;;
    137) ;;
    *) wrong=$((wrong + 1)); sed 's/^/# /' .err ;;
    esac
done
# A cache may be another machine's, too: what is half written there goes when it is an hour old.
find killed -path '*/cache/*' -name '*.mien-tmp-*' -exec touch -d '2 hours ago' {} + 2>/dev/null
resume=; [ ! -e killed/settings.json ] || resume=--resume
expect "after $kills kills (and $finished runs that came to their end meanwhile) the last goes on" 0 "$mien" train $all --out killed $resume
check "to the losses and weights of one that was not broken" same_run whole killed
check "and so did the others" test $wrong = 0
check "nothing half written is left" test -z "$(find killed -name '*.mien-tmp-*')"
rm -rf killed

# ---- stopped ----
if command -v python3 >/dev/null; then
    for s in INT TERM; do
        [ $s = INT ] && want=130 || want=143
        # A shell's background jobs ignore SIGINT.
        python3 -c 'import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_DFL); os.execv(sys.argv[1], sys.argv[1:])' "$mien" train $all --out part --checkpoint-every 0 --eval-every 0 & pid=$!
        until_there test -s part/log.jsonl
        kill -s $s $pid 2>/dev/null
        wait $pid 2>/dev/null; status=$?
        if [ $status = 0 ]; then skip "SIG$s" "it was done first"; rm -rf part; continue; fi
        check "SIG$s: $want" test $status = $want
        check "with a checkpoint of the last step" test -s "part/checkpoints/step-$(printf %06d "$(last_step part)")/checkpoint.json"
        expect "which is gone on with" 0 "$mien" train $all --out part --resume
        check "to the same end" same_run whole part
        rm -rf part
    done
else
    skip "stopped" "no python3"
fi

# ---- data ----
"$mien" train $small --out data --steps 2 || exit 1
cp set/prompt.jsonl kept.jsonl
sed -i 's/face 3/another/' set/prompt.jsonl
expect "data that changed" 2 "$mien" train $small --out data --steps 3 --resume
check "are refused" said "data: the data has changed since the run was begun (--data-changed ok goes on with it)"
expect "unless that is meant" 0 "$mien" train $small --out data --steps 3 --resume --data-changed ok
expect "then they are the run's" 0 "$mien" train $small --out data --steps 4 --resume
cp kept.jsonl set/prompt.jsonl
expect "and the old ones are others" 2 "$mien" train $small --out data --steps 5 --resume
rm -r data
cp -r set faulty
rm faulty/target/1.jpg
head -c 500 set/target/2.jpg >faulty/target/2.jpg
picture faulty/source/3.png 96 48
echo '{"source": "../../x' >>faulty/prompt.jsonl
expect "items that are missing, broken and mismatched" 3 "$mien" train --base base.safetensors --data faulty --size 64 --batch 1 --only-mid-control -j 1 --steps 6 --out faults
check "are left out and counted" printed "4 items left out"
for i in 'faulty/target/1.jpg: No such file' 'faulty/target/2.jpg: ' 'faulty/target/3.jpg: 96x96 pixels, while its map has 96x48' 'faulty/prompt.jsonl, line 6: '; do check "and told of: $i" test "$(grep -cF "mien: $i" .stderr)" = 1; done
check "the others are trained on" test "$(wc -l <faults/log.jsonl)" = 6
rm -f faulty/target/*.jpg
expect "no item of use at all" 1 "$mien" train --base base.safetensors --data faulty --size 64 --batch 1 -j 1 --steps 6 --out none --quiet
check "says so" said "there seems to be no item that can be used"
check "a folder that was made for it is gone" test ! -e none
rm -rf faults none

# ---- numbers that are not finite ----
# A decay of 1000 a step: soon the loss is infinite. What was before is kept, average and all, with the bits of a run that ends there.
for how in "" "--clip 0.5 --accumulate 2"; do
    wild="$small --lr 1 --weight-decay 1000 --ema 0.9 $how"
    expect "a loss that is not finite${how:+, $how}" 1 "$mien" train $wild --steps 100 --out wild
    n=$(grep -c . wild/log.jsonl)
    check "the step before is kept" grep -q "the loss is not finite; it began at .*; the checkpoint of step $n has the numbers before" .stderr
    expect "as many steps" 0 "$mien" train $wild --steps "$n" --out tame
    check "the same bits" same_step wild tame "$(printf %06d "$n")"
    rm -rf wild tame
done
# One bias of 1e25, behind which a gradient's square is beyond what f32 has, while the loss is as it should be.
"$mien" init --base base.safetensors -o large.safetensors --dtype f32 -q || exit 1
n=$(od -An -tu8 -N8 large.safetensors | tr -d ' ')
at=$(tail -c +9 large.safetensors | head -c "$n" | sed 's/.*"middle_block.2.out_layers.3.bias":{[^}]*"data_offsets":\[\([0-9]*\),.*/\1/')
printf '\121\131\004\151' | dd of=large.safetensors bs=1 seek=$((8 + n + at)) conv=notrunc 2>/dev/null
expect "moments that are not finite beside a loss that is" 1 "$mien" train $small --control large.safetensors --steps 3 --checkpoint-every 2 --out large
check "are named" said "after step 2 the v of control.middle_block_out.0.weight is not finite: no checkpoint is made of that"
check "and not kept" test ! -e large/checkpoints/step-000002
rm -rf large large.safetensors

# ---- a folder that is moved, emptied or removed meanwhile ----
# goes WHAT [OPTION...]: a run of seven steps and more in `here`; then whatever WHAT does, and a stop.
goes() {
    what=$1; shift
    "$mien" train $small --out here --steps 100000 --checkpoint-every 0 --eval-every 0 "$@" 2>.stderr & pid=$!
    until_there sh -c '[ "$(wc -l <here/log.jsonl)" -ge 7 ]'
    eval "$what"
    kill -TERM $pid
    wait $pid; status=$?
}
# kept NAME: what is there is gone on with to the bits of a run that was left alone.
kept() {
    last=$(ls "$1/checkpoints" | tail -n 1 | sed 's/^step-0*//')
    rm -rf alone
    "$mien" train $small --out "$1" --resume --steps $((last + 1)) --eval-every 0 2>>.stderr && "$mien" train $small --out alone --steps $((last + 1)) --eval-every 0 2>>.stderr &&
        for f in control state; do cmp "$1/checkpoints/step-$(printf %06d $((last + 1)))/$f.safetensors" "alone/checkpoints/step-$(printf %06d $((last + 1)))/$f.safetensors" || return 1; done
}
goes 'mv here there; mkdir -p here; echo mine >here/note.txt'
check "moved: stopped as ever" test $status = 143
check "is told of" said "here: the run's folder was moved; what is written goes to $(realpath there)"
check "nothing is lost" kept there
check "the lock went along" test ! -e there/.mien.lock
check "what is in its place stays as it is" test "$(ls here | grep -v cache)" = note.txt
rm -rf here there
goes 'rm -rf here 2>/dev/null || rm -rf here'
check "removed: stopped as ever" test $status = 143
check "nothing that is in memory is lost" kept here
rm -rf here
# again_there: log and events go on in the new folder.
again_there() { rm -rf here 2>/dev/null || rm -rf here; until_there test -s here/log.jsonl; }
goes again_there --checkpoint-every 3
check "removed: a log and events are begun anew" test -s here/log.jsonl -a -s here/events.out.tfevents.*.mien
check "which is told" said "here/log.jsonl is not the file that was written to, which was removed or replaced"
check "the log goes on to the end" test "$(last_step here)" = "$(ls here/checkpoints | tail -n 1 | sed 's/^step-0*//')"
check "nothing is lost" kept here
rm -f here/log.jsonl
newest=$(ls here/checkpoints | tail -n 1 | sed 's/^step-0*//')
expect "info of one without a log" 0 "$mien" info here
check "tells what the checkpoints tell" printed "  steps done: $newest of $newest, by the newest checkpoint; there is no log of them"
ln -s log.jsonl here/log.jsonl
expect "info of one whose log can't be opened" 0 "$mien" info here
check "tells of it" printed "  the log can't be read: here/log.jsonl: "
check "and of the checkpoints" printed "  newest checkpoint: step $newest"
mv "here/checkpoints/$(printf step-%06d "$newest")" here/checkpoints/step-777777
expect "info of a checkpoint in another one's folder" 0 "$mien" info here
check "is as --resume is" printed "  the checkpoint of step 777777 is not whole: here/checkpoints/step-777777/checkpoint.json: is of step $newest"
sed 's/"batch":[0-9]*/"batch":{}/' here/settings.json >.broken && mv .broken here/settings.json
expect "info of settings that are damaged" 1 "$mien" info here/settings.json
check "knows whose they are" said "settings.batch"
rm -rf here
goes 'rm -rf here; echo mine >here' --cache none
check "removed, with a file in its place" kept here-1
check "which is told" said "here: the run's folder is gone, with all that was in it; what is kept from now on goes to here-1"
check "the file stays" test "$(cat here)" = mine
rm -rf here here-1
goes 'rm -f here/settings.json here/log.jsonl here/start.safetensors'
check "emptied: settings are written again" said "here: settings.json was removed; it is written again"
check "nothing is lost" kept here
rm -rf here alone

# ---- hostile replays ----
# replay FILE ITEM TIMESTEP FIRST [ROWS [SIZE]]: two micro-batches of one; FIRST: a number of the noise, as printf's octal.
replay() {
    rows=${5:-2} h="{\"items\":{\"dtype\":\"I64\",\"shape\":[2,1],\"data_offsets\":[0,16]},\"timesteps\":{\"dtype\":\"I64\",\"shape\":[2,1],\"data_offsets\":[16,32]},\"noise\":{\"dtype\":\"F32\",\"shape\":[$rows,1,4,8,8],\"data_offsets\":[32,$((32 + rows * 1024))]},\"posterior\":{\"dtype\":\"F32\",\"shape\":[2,1,4,8,8],\"data_offsets\":[$((32 + rows * 1024)),$((32 + rows * 1024 + 2048))]}}"
    {
        printf "$(number "${6:-${#h}}" 8)"; printf %s "$h"; printf "$(number 0 8)$(number "$2" 8)$(number 999 8)$(number "$3" 8)$4"
        head -c $((rows * 1024 - 4 + 2048)) /dev/zero
    } >"$1"
}
one='\000\000\200\077' nan='\377\377\377\377' infinite='\000\000\200\377'
replay draws 4 0 "$one"
expect "a replay of two steps" 0 "$mien" train $small --replay draws --out replayed
check "are two" test "$(wc -l <replayed/log.jsonl)" = 2
refused() { # refused NAME WORDS
    expect "$1" 1 "$mien" train $small --replay draws --out refused
    check "is refused: $2" said "$2"
    check "before anything is made" test ! -e refused
}
replay draws 5 0 "$one"; refused "an item that is not there" "items[1,0] is 5, and should be 0 to 4"
replay draws -1 0 "$one"; refused "an item before the first" "items[1,0] is -1, and should be 0 to 4"
replay draws 0 1000 "$one"; refused "a timestep beyond the last" "timesteps[1,0] is 1000, and should be 0 to 999"
replay draws 0 0 "$nan"; refused "noise that is no number" "noise[0,0] has a number that is not finite"
replay draws 0 0 "$infinite"; refused "noise without end" "noise[0,0] has a number that is not finite"
replay draws 0 0 "$one" 3; refused "more noise than items" "noise is [3,1,4,8,8] F32, and should be [S,1,4,8,8] F32"
replay draws 0 0 "$one" 2 1152921504606846976; refused "a header without end" "draws: "
replay draws 0 0 "$one"; truncate -s -1 draws; refused "a file that is cut" "draws: "
echo not a replay >draws; refused "something else" "draws: "
expect "none" 1 "$mien" train $small --replay nowhere --out refused
check "nothing is made" test ! -e refused
rm -rf replayed

# ---- a disk that is full for a while, and one that takes nothing ----
cat >no_room <<'SH'
mount -t tmpfs -o size=1g none full || exit 99
"$mien" train $all --out full/run --steps 100000 --lr-schedule constant --checkpoint-every 5 --eval-every 0 2>said & pid=$!
later() { tries=0; until eval "$1" || [ $tries -gt 6000 ] || ! kill -0 $pid 2>/dev/null; do sleep 0.01; tries=$((tries + 1)); done; eval "$1"; }
newest() { ls full/run/checkpoints | tail -n 1; }
later 'test -e full/run/checkpoints/step-000005' || exit 98
kill -STOP $pid
dd if=/dev/zero of=full/filler bs=1M 2>/dev/null; dd if=/dev/zero bs=1 >>full/filler 2>/dev/null
before=$(newest)
kill -CONT $pid
later 'grep -q "checkpoints/step-.*No space left" said' || exit 97
kill -0 $pid || exit 96
test "$(newest)" = "$before" && test -s full/run/checkpoints/$before/checkpoint.json || exit 95
rm full/filler
later 'test "$(newest)" != "$before"' || exit 94
kill -TERM $pid
wait $pid
status=$?
cat said
find full -name '*.mien-tmp-*'
last=$(newest)
rm -rf full/other
"$mien" train $all --out full/other --steps "$(echo $last | sed 's/step-0*//')" --lr-schedule constant --checkpoint-every 0 --eval-every 0 --cache-folder full/run/cache || exit 93
cmp full/run/checkpoints/$last/state.safetensors full/other/checkpoints/$last/state.safetensors && cmp full/run/checkpoints/$last/control.safetensors full/other/checkpoints/$last/control.safetensors && echo same
mkdir full/locked && mount -o remount,ro full && "$mien" train $small --out full/locked/run --steps 1; echo "read-only $?"
exit $status
SH
mkdir full
if unshare -rm true 2>/dev/null && unshare -rm sh -c "mount -t tmpfs -o size=256k none full" 2>/dev/null; then
    export mien all small
    expect "a disk that is full for a while" 143 unshare -rm sh no_room
    check "is told of" printed "No space left on device"
    check "and nothing is lost" printed "same"
    check "nothing half written stays" not printed mien-tmp
    check "a folder that takes nothing is refused" printed "read-only 1"
    check "with the reason" said "Read-only file system"
else
    skip "a full disk" "no tmpfs may be mounted here"
fi
finish
