#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# mien train --memory: a small model on pictures that make its activations most of what it takes. Runs stay inside what they are given, with the bits of one that had
# all it wanted; what can't fit is refused before anything is made, with the least that would do, which does.
. "$(dirname "$0")/lib"
make_model=$(realpath "${BUILD:-build}/tests/make_model")
cd "$T"

"$make_model" sd1 base.safetensors --parts unet,vae,text
photo_set set 2 256 || exit 1
run() { "$mien" train --base base.safetensors --data set --batch 2 --size 256 --lr 1e-3 -j 1 --dtype f32 --steps 1 --eval-every 0 --keep 1 --cache-folder kept "$@"; }
bytes_of() { sed -n "s/^$1 *\([0-9.]*\) \([KMG]\)B.*/\1 \2/p" "$2" | awk '{ print $1 * ($2 == "G" ? 1e9 : $2 == "M" ? 1e6 : 1e3) }'; }
peak_of() { sed -n 's/.*"peak_bytes":\([0-9]*\).*/\1/p' "$1/log.jsonl" | tail -n 1; }
within() { awk "BEGIN { exit !($1 <= $2) }"; }
if grep -aq __asan_init "$mien"; then
    skip "measured peaks" "AddressSanitizer keeps what was freed, and its shadow counts"
    measured() { true; }
else
    measured() { within "$@"; }
fi
same_weights() { cmp "$1/checkpoints/step-000001/control.safetensors" "$2/checkpoints/step-000001/control.safetensors"; }

expect "with all it wants" 0 run --out all
cp "$T/.stderr" plan
check "nothing is computed twice" grep -q 'activations .* nothing is computed twice' plan
check "it takes no more than was said" measured "$(peak_of all)" "$(bytes_of memory plan)"

# The cache is full now: no encoders.
expect "a megabyte" 1 run --out less --memory 1M
check "is too little, and the least is told" said "of memory are needed at least"
check "that the program alone takes more, too" said "Nothing fits: the program alone takes "
check "before there is anything" test ! -e less/checkpoints
least=$(sed -n 's/.* \([0-9.]*\) \([MG]\)B of memory are needed at least.*/\1\2/p' "$T/.stderr")
expect "a little less than the least" 1 run --out less --memory "$(awk "BEGIN { print int(${least%M} - 8) \"M\" }")"
check "what would fit" said "It would fit with --optimizer adamw8 ("
expect "much less" 1 run --out less --memory "$(awk "BEGIN { print int(${least%M} - 20) \"M\" }")"
check "would fit with smaller batches" said "It would fit with --batch 1 "
little=$(awk "BEGIN { print int($(bytes_of program plan) / 1e6 + 6) \"M\" }")
expect "hardly more than the program" 1 run --out less --memory "$little" --clip 1
check "and what comes nearest to fitting" said "Nothing fits at this --size: with --batch 1, --optimizer adamw8, no --clip it is still "
expect "so little for what saves most" 1 run --out less --memory "$little" --batch 1 --optimizer adamw8
check "is told as it is" said "Nothing fits at this --size: batch, optimizer and clipping are at their least already"
expect "the least that was told" 0 run --out less --memory "$least"
cp "$T/.stderr" plan
check "some is computed again" grep -q 'activations .* computing some again: +' plan
check "it stays inside" measured "$(peak_of less)" "$(bytes_of memory plan)"
check "which is inside what was given" within "$(bytes_of memory plan)" "$(echo "$least" | sed 's/M/e6/;s/G/e9/')"
check "and below the other" measured "$(peak_of less)" "$(awk "BEGIN { print 0.95 * $(peak_of all) }")"
check "the same weights" same_weights all less
five() { run --batch 5 --accumulate 2 --out five "$@"; }
expect "an odd batch" 1 five --memory 1M
expect "not all of it" 1 five --memory "$(sed -n 's/.* \([0-9.]*\) \([MG]\)B of memory are needed at least.*/\1\2/p' "$T/.stderr" | awk '{ m = $1 * ($1 ~ /G/ ? 1000 : 1); print int(m - 40) "M" }')"
check "would fit with as many pictures a step" said "--batch 1 --accumulate 10"
check "and not with two at a time" not said "--batch 2"

# A VAE's steps are of crops, its sheets and its scale of whole pictures.
vae() { run --what vae --crop 64 --dtype f32 --steps 2 --checkpoint-every 1 "$@"; }
for how in "--eval-every 1" "--eval-every 0 --measure-scale"; do
    rm -rf vae
    expect "$how: whole pictures" 0 vae --out vae $how
    cp "$T/.stderr" plan
    check "$how: are planned" grep -q '^sheets ' plan
    check "$how: it takes no more than was said" measured "$(peak_of vae)" "$(bytes_of memory plan)"
done
rm -rf vae
expect "much less for a scale" 1 vae --out vae --eval-every 0 --measure-scale --memory "$(awk "BEGIN { print int($(bytes_of memory plan) / 1e6 - 8) \"M\" }")"
check "is refused" said "of memory are needed at least"
expect "and for sheets" 0 vae --out vae --eval-every 1 --memory "$(awk "BEGIN { print int($(bytes_of memory plan) / 1e6 - 8) \"M\" }")"
check "goes without them" said "no sheets are made"
check "and says nothing of what isn't there" not said "take turns"
check "inside what was given" measured "$(peak_of vae)" "$(bytes_of memory plan)"

# Nothing kept: the encoders work in each step, beside the rest or in turns with it.
beside=$(run --out side --cache none 2>&1 >/dev/null | sed -n 's/^memory *\([0-9.]*\) \([MG]\)B.*/\1\2/p')
half=$(awk "BEGIN { print int(${beside%M} - 40) \"M\" }")
expect "less than encoders and activations take" 0 run --out turns --cache none --memory "$half"
check "in turns" said "in turns with activations"
check "stays inside" measured "$(peak_of turns)" "$(echo "$half" | sed 's/M/e6/;s/G/e9/')"
check "with the same weights" same_weights all turns
finish
