#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# mien train by several processes (mpirun), beside one with all of their pictures; stopped, failing and killed.
. "$(dirname "$0")/lib"
build=$(realpath "${BUILD:-build}")
# Any number of ranks on any number of cores, whoever we are, with no flags that only one MPI knows.
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 PRTE_ALLOW_RUN_AS_ROOT=1 PRTE_ALLOW_RUN_AS_ROOT_CONFIRM=1
export OMPI_MCA_rmaps_base_oversubscribe=1 OMPI_MCA_hwloc_base_binding_policy=none PRTE_MCA_rmaps_default_mapping_policy=:oversubscribe PRTE_MCA_hwloc_default_binding_policy=none
export OMPI_MCA_btl_vader_single_copy_mechanism=none     # a container may not look into other processes' memory
unset PMI_SIZE SLURM_STEP_NUM_TASKS

cd "$T"
"$build/tests/make_model" sd1 base.safetensors --parts unet,vae,text
photo_set set 8 96 || exit 1
all_models
train="$mien train --base base.safetensors --data set --size 64 --only-mid-control --lr 1e-4 --dtype f32 --eval-every 0 -j 1"

# ---- without MPI ----
mkdir -p bare && cp "$mien" bare/mien
expect "a build without MPI" 1 env OMPI_COMM_WORLD_SIZE=2 OMPI_COMM_WORLD_RANK=0 LD_LIBRARY_PATH= bare/mien train --base base.safetensors --data set --out none
check "says so" said "this build of mien has no MPI"
check "and trains nothing" sh -c '! test -e none'
[ -e "$build/mien_mpi.so" ] || { skip "the rest" "mien was built without MPI"; finish; }
command -v mpirun >/dev/null || { skip "the rest" "there is no mpirun"; finish; }
if ! timeout 60 mpirun -n 2 "$build/tests/ranks_try" sum 100 >.stdout 2>.stderr </dev/null; then
    skip "the rest" "mpirun starts nothing here: $(grep -v '^-*$' .stderr | head -n 1)"
    finish
fi

ranks() { n=$1; shift; timeout -s KILL 200 mpirun -n "$n" $train --batch $((4 / n)) "$@"; }
losses() { sed 's/.*"loss":\([^,]*\),.*/\1/' "$1/log.jsonl"; }
# near A B: as many losses, each within 1e-4 of the other's.
near() { losses "$1" >.a; losses "$2" >.b; paste .a .b | awk '{ d = $1 - $2; if (d < 0) d = -d; if ($2 == "" || d > 1e-4 * $1) exit 1 } END { if (NR < 1) exit 1 }'; }

# ---- what they tell each other ----
for n in 2 4; do
    expect "$n ranks add up" 0 timeout -s KILL 100 mpirun -n $n "$build/tests/ranks_try" sum 300000
    check "in their order, all the same" test "$(sort -u .stdout | grep -c ' 0 wrong$') $(wc -l <.stdout)" = "1 $n"
done
expect "one that fails" 1 timeout -s KILL 100 mpirun -n 3 "$build/tests/ranks_try" fail 1
check "is heard by all" test "$(grep -c 'rank 1: the disk is on fire' .stderr)" = 2
timeout -s KILL 100 mpirun -n 3 "$build/tests/ranks_try" die 1 >.stdout 2>.stderr </dev/null; status=$?
check "one that dies ends all" test $status != 0

# ---- runs ----
expect "one rank" 0 $train --batch 4 --out one --steps 5 --quiet
expect "two" 0 ranks 2 --out two --steps 5
check "say what all did" test "$(grep -c 'two: 5 steps' .stdout)" = 1
check "the plan is told once" test "$(grep -c 'trained numbers' .stderr)" = 1
expect "four" 0 ranks 4 --out four --steps 5 --quiet
check "the losses of two are those of one" near one two
check "and of four" near one four
expect "two again" 0 ranks 2 --out again --steps 5 --quiet
s=checkpoints/step-000005
check "the same losses" sh -c 'sed "s/.*\"loss\"/loss/; s/,\"smoothed.*//" two/log.jsonl >.a; sed "s/.*\"loss\"/loss/; s/,\"smoothed.*//" again/log.jsonl | cmp - .a'
check "the same bits" cmp two/$s/control.safetensors again/$s/control.safetensors
expect "two, stopped" 0 ranks 2 --out parts --steps 2 --quiet
expect "and gone on with" 0 ranks 2 --out parts --steps 5 --resume --quiet
check "the same bits" cmp two/$s/control.safetensors parts/$s/control.safetensors
check "of all that is kept" cmp two/$s/state.safetensors parts/$s/state.safetensors
expect "gone on with by four" 0 ranks 4 --out parts --steps 6 --resume --quiet
expect "and by one" 0 $train --batch 4 --out parts --steps 7 --resume --quiet
check "as if nothing were" test "$(grep -c . parts/log.jsonl)" = 7
expect "with clipping, accumulation and an average" 0 ranks 2 --out clip --steps 2 --clip 0.01 --accumulate 2 --ema 0.9 --quiet
expect "one of these" 0 $train --batch 4 --out clip1 --steps 2 --clip 0.01 --accumulate 2 --ema 0.9 --quiet
check "the same losses" near clip1 clip
check "the same norms" sh -c 'for r in clip1 clip; do sed "s/.*\"grad_norm\":\([0-9.e-]*\).*/\1/" $r/log.jsonl; done | awk "{ n[NR] = \$1 } END { exit !(NR == 4 && n[1] > 0 && (n[1] - n[3]) ^ 2 < 1e-6 * n[1] ^ 2) }"'

# ---- failures ----
# Each rank's number is in the environment, under a name for each MPI.
cat >differ <<'EOF'
what=$1; shift
[ "${OMPI_COMM_WORLD_RANK:-${PMI_RANK:-0}}" = 1 ] || what=
echo $$ >"pid.${OMPI_COMM_WORLD_RANK:-${PMI_RANK:-0}}"
case $what in
lr) exec "$@" --lr 0.5 ;;
cpu) exec "$@" --cpu reference ;;
data) exec "$@" --data elsewhere ;;
only) exec "$@" --only only.txt ;;
exclude) exec "$@" --exclude only.txt ;;
*) exec "$@" ;;
esac
EOF
differ() { timeout -s KILL 150 mpirun -n 2 sh differ "$@"; }
expect "a rank with other settings" 2 differ lr $train --batch 2 --out other --steps 2 --quiet
check "is told of by rank 0" said "mien: rank 1: its settings, models or list of data are not those of rank 0"
expect "a rank on another processor level" 2 differ cpu $train --batch 2 --out other --steps 2 --quiet
check "is told of by rank 0" said "mien: rank 1: it computes on the level reference and rank 0 on "
check "with what makes them one run" said ": --cpu reference for all ranks makes them one run"
expect "a rank without data" 2 differ data $train --batch 2 --out other --steps 2 --quiet
check "is told of by rank 0" said "mien: rank 1: elsewhere"
seq 0 5 >only.txt
for list in only exclude; do
    expect "a rank with a list of its own: --$list" 2 differ $list $train --batch 2 --out other --steps 2 --quiet
    check "is told of by rank 0" said "mien: rank 1: its data, or the lists of --only and --exclude, are not those of rank 0"
    check "and nothing stays" test ! -e other
done
expect "a loss that is not finite" 1 ranks 2 --out wild --lr 1 --weight-decay 1000 --steps 100 --quiet
check "is told of" said "not finite"

# ---- stopped and killed ----
# wait_for FILE LINES
wait_for() { tries=0; while [ "$(cat "$1" 2>/dev/null | wc -l)" -lt "$2" ] && [ $tries -lt 1000 ]; do sleep 0.1; tries=$((tries + 1)); done; }
gone() { tries=0; while kill -0 "$1" 2>/dev/null && [ $tries -lt 300 ]; do sleep 0.1; tries=$((tries + 1)); done; ! kill -0 "$1" 2>/dev/null; }
rm -f pid.*
differ no $train --batch 2 --out stopped >.out 2>.err </dev/null & job=$!
wait_for stopped/log.jsonl 2
kill -TERM "$(cat pid.1)"
wait $job; status=$?
check "a signal to one rank: its status is that of all, $status" test $status = 143
check "which is no failure" not grep -q '^mien: stopped' .err
steps=$(grep -c . stopped/log.jsonl)
check "ends all behind the same step" test -s "$(printf 'stopped/checkpoints/step-%06d/control.safetensors' "$steps")"
expect "it goes on" 0 ranks 2 --out stopped --resume --steps $((steps + 1)) --quiet
check "from there" test "$(grep -c . stopped/log.jsonl)" = $((steps + 1))
# Before the first step nobody has agreed on anything: the signal is told with the failure.
for signal in INT TERM; do
    rm -f pid.*
    differ no $train --batch 8 --size 256 --accumulate 64 --out early >.out 2>.err </dev/null & job=$!
    wait_for early/settings.json 1
    ignores=$(sed -n 's/^SigIgn:.*\(.\)$/\1/p' "/proc/$(cat pid.1)/status")
    case $signal$ignores in INT[2367abef]) kill -TERM "$(cat pid.1)"; wait $job; skip "SIGINT to one rank that loads" "it is ignored here"; continue ;; esac
    kill -$signal "$(cat pid.1)"
    wait $job; status=$?
    case $signal in INT) want=130 ;; *) want=143 ;; esac
    check "SIG$signal to one rank that loads: $status" test $status = $want
    check "no checkpoint is promised" not grep -q 'with a checkpoint' .err
    check "it says that nothing is kept" grep -q 'early: before its first step; nothing is kept' .out
    check "and nothing is" test ! -e early
done
rm -f pid.*
differ no $train --batch 2 --out full >.out 2>.err </dev/null & job=$!
wait_for full/log.jsonl 2
rm -rf full/checkpoints && : >full/checkpoints
kill -TERM "$(cat pid.1)"
wait $job; status=$?
check "a stop whose checkpoint can't be written" test $status != 0 -a $status != 137
check "is told of, with why" grep -q '^mien: .*full/checkpoints' .err
rm -f pid.*
differ no $train --batch 2 --out killed --checkpoint-every 2 >.out 2>.err </dev/null & job=$!
wait_for killed/log.jsonl 5
kill -9 "$(cat pid.1)"
wait $job; status=$?
check "a rank that is killed" test $status != 0
check "ends the other" gone "$(cat pid.0)"
steps=$(grep -c . killed/log.jsonl)
expect "it goes on" 0 ranks 2 --out killed --resume --steps $((steps + 2)) --quiet
check "from a checkpoint that is whole" test "$(grep -c . killed/log.jsonl)" = $((steps + 2))
finish
