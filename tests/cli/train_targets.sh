#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# mien train --what base and --what vae: small runs, stopped and gone on with, beside ones that were not; what they write, keep and refuse.
. "$(dirname "$0")/lib"
clip=$(realpath -m "${CLIP_DIR:-third_party/clip}")
cd "$T"
ls "$clip"/bpe_* >/dev/null 2>&1 || { echo "1..0 # SKIP no vocabulary (make setup)"; exit 0; }

small_configs small
"$mien" init --scratch small -o base.safetensors --seed 3 -q
"$mien" init --base base.safetensors -o control.safetensors -q
photo_set set 3 96 || exit 1
run() { "$mien" train --base base.safetensors --data set --batch 2 --size 64 --lr 1e-3 -j 1 --eval-every 0 --quiet "$@"; }
losses() { sed 's/.*"loss":\([^,]*\),.*/\1/' "$1/log.jsonl"; }

# twice NAME OPTION...: three steps in one go, and as two and one.
twice() {
    this=$1
    shift
    expect "$this: three steps" 0 run --out "$this" --steps 3 "$@"
    expect "$this: two of them" 0 run --out "$this-parts" --steps 2 "$@"
    expect "$this: the third" 0 run --out "$this-parts" --steps 3 --resume "$@"
    losses "$this" >a
    losses "$this-parts" >b
    check "$this: the same losses" cmp a b
    for file in base.safetensors base_average.safetensors state.safetensors; do
        check "$this: the same bytes of $file" cmp "$this/checkpoints/step-000003/$file" "$this-parts/checkpoints/step-000003/$file"
    done
    check "$this: and no ControlNet" test ! -e "$this/checkpoints/step-000003/control.safetensors"
}

twice base --what base --ema 0.9 --prompt-dropout 0.5
made=base/checkpoints/step-000003/base.safetensors
check "latents are cached, and no texts" sh -c 'ls -d base/cache/latents-* && ! ls -d base/cache/texts-*'
expect "generate takes it" 0 "$mien" generate --base $made --control control.safetensors --map set/source/0.png --prompt "a face" -o out.png --size 64 --steps 2 -q
check "for a picture" test -s out.png
expect "info reads it" 0 "$mien" info $made
for said in "UNet: is whole" "VAE: is whole" "text encoder: is whole" "attention: 4 heads"; do check "says $said" printed "$said"; done
check "the average is another" not cmp -s $made base/checkpoints/step-000003/base_average.safetensors
check "is made for what it was trained at" printed "made for: 64 x 64 pixels"
expect "trained at another size" 0 "$mien" train --base base.safetensors --data set --batch 1 --size 128 -j 1 --eval-every 0 --what base --out sized --steps 1
check "says what it was made for" said "the base was made for 64 x 64 pixels, and the size here is 128 x 128: the base that comes of it says so"
expect "info of it" 0 "$mien" info sized/checkpoints/step-000001/base.safetensors
check "has the new size" printed "made for: 128 x 128 pixels"
expect "generate's own size" 0 "$mien" generate --base sized/checkpoints/step-000001/base.safetensors --prompt "a face" --steps 1 -o sized.png
check "is that" printed "sized.png: 128 x 128"
expect "a ControlNet at a size of its own" 0 "$mien" train --base sized/checkpoints/step-000001/base.safetensors --data set --batch 1 --size 64 -j 1 --eval-every 0 --out small-control --steps 1
check "is told of" said "the base was made for 128 x 128 pixels, and the size here is 64 x 64"
expect "it can be gone on from" 0 run --what base --out further --steps 1 --base $made
check "from where it is" test "$(losses further)" != "$(losses base | head -1)"
expect "a ControlNet and its base" 0 run --out together --steps 1 --base $made --unlock-decoder
u=together/checkpoints/step-000001
expect "with it" 0 "$mien" generate --base $u/base.safetensors --control $u/control.safetensors --map set/source/0.png --prompt x --steps 1 --size 64 -o t1.png
check "no warning" not said "trained together with another base"
expect "with the one before" 0 "$mien" generate --base $made --control $u/control.safetensors --map set/source/0.png --prompt x --steps 1 --size 64 --no-metadata -o t2.png
check "a warning" said "the ControlNet was trained together with another base ($(sha256sum $u/base.safetensors | head -c 10); this is $(sha256sum $made | head -c 10))"
expect "its folder as the ControlNet" 1 "$mien" generate --base $made --control $u --map set/source/0.png --prompt x -o never.png
check "both files are named" said "control.safetensors is the ControlNet, base.safetensors is the base"
expect "it steers a ControlNet's training" 0 run --out steered --steps 1 --base $made --only-mid-control

expect "info knows the data" 0 "$mien" info set
check "as a data set" printed "set: a data set, 3 lines in prompt.jsonl"
check "with its first lines" printed '  0: map 0.png, photo 0.jpg, "face 0"'
expect "and events" 0 sh -c "'$mien' info base/events.out.tfevents.*"
check "as such" printed ": the events of a training run, "
expect "info knows the run" 0 "$mien" info base
check "as one of a base" printed "base: a training run of a base: 3 items"
check "with the file to use" printed "  to use: base/checkpoints/step-000003/base.safetensors (the whole model, "
check "and the averaged one" printed "  of averaged weights: base/checkpoints/step-000003/base_average.safetensors (used the same way)"
expect "a checkpoint's folder as the ControlNet" 1 "$mien" generate --base $made --control base/checkpoints/step-000003 --map set/source/0.png --prompt x -o never.png
check "says which file is what" said "is a checkpoint of a training run: name a file in it: base.safetensors is the base"
expect "configs alone" 1 "$mien" info small
check "say what they are for" said "of config files alone \`mien init --scratch\` makes a base"
"$mien" convert $made made-folder --to diffusers --prediction epsilon -q
for m in $made made-folder; do
    expect "info of $m" 0 "$mien" info $m
    check "has the same kind" printed ": of Stable Diffusion's kind, in a size of its own, base"
done
twice frozen --what base --freeze-text --ema 0.9
check "texts are cached where they are frozen" sh -c 'ls -d frozen/cache/texts-*'
losses base >b
check "with other losses" not cmp -s a b
expect "its text encoder is the one it had" 0 sh -c "
    '$mien' convert frozen/checkpoints/step-000003/base.safetensors x --to diffusers -q && '$mien' convert base.safetensors y --to diffusers -q && cmp x/text_encoder/model.safetensors y/text_encoder/model.safetensors"

twice vae --what vae --crop 32 --ema 0.9 --measure-scale
check "nothing is cached" test ! -e vae/cache
check "the log has the divergence" grep -q '"divergence":' vae/log.jsonl
check "settings have the crop" grep -q '"crop":32' vae/settings.json
check "the scale is measured" grep -aq '"mien.vae_scale":"[0-9.]*"' vae/checkpoints/step-000003/base.safetensors
expect "generate takes it" 0 "$mien" generate --base vae/checkpoints/step-000003/base.safetensors --control control.safetensors --map set/source/0.png --prompt "a face" -o out2.png --size 64 --steps 2 -q
check "another decoder" not cmp -s out.png out2.png
expect "a VAE alone" 0 sh -c "mkdir one && cp -r small/vae one && '$mien' init --scratch one -o vae.safetensors -q"
expect "is trained, too" 0 run --what vae --base vae.safetensors --out alone --steps 2 --vae-loss mse --kl-weight 0.01 --eval-every 2
check "with a sheet" test -s alone/samples/step-000002.png
check "it is said how near" grep -aq 'vae/psnr' alone/events.out.tfevents.*
expect "another loss can't be gone on with" 2 run --what vae --base vae.safetensors --out alone --steps 3 --resume --kl-weight 0.01
check "says which" said 'vae-loss is "mse" there and "l1" here'
expect "nor another crop" 2 run --what vae --base base.safetensors --out vae --steps 4 --resume --crop 48 --measure-scale --ema 0.9

# A sheet and the scale are of those that are trained with: the last item, chosen of three, is the one of another data set; a removed one is not there either. (No step
# changes a weight, so that the noise of another item doesn't either.)
mkdir -p last/source last/target && cp set/source/2.png last/source && cp set/target/2.jpg last/target && tail -n 1 set/prompt.jsonl >last/prompt.jsonl
cp -r set gone && printf '{"format":1,"kind":"removed"}\n{"id": "0"}\n{"id": "1"}\n' >gone/removed.jsonl
echo 2 >only.txt
seen() { out=$1; shift; expect "a sheet: $out" 0 run --what vae --batch 1 --lr 1e-30 --steps 1 --eval-every 1 --measure-scale --out "$out" "$@"; }
scale() { grep -ao '"mien.vae_scale":"[0-9.]*"' "$1/checkpoints/step-000001/base.safetensors"; }
seen by-itself --data last
seen chosen --only only.txt
seen removed --data gone
seen all
for out in chosen removed; do
    check "$out: has what is trained with" cmp by-itself/samples/step-000001.png $out/samples/step-000001.png
    check "$out: is measured of it" test "$(scale by-itself)" = "$(scale $out)"
done
check "all have another sheet" not cmp -s by-itself/samples/step-000001.png all/samples/step-000001.png
check "and another scale" test "$(scale by-itself)" != "$(scale all)"

# What a checkpoint would have besides is no reason to be without one: the list is gone when the scale is measured.
"$mien" train --base base.safetensors --data set --batch 2 --size 64 -j 1 --what vae --crop 32 --only only.txt --measure-scale --eval-every 0 --out unmeasured --quiet >.stdout 2>.stderr </dev/null & pid=$!
i=0
while [ ! -s unmeasured/log.jsonl ] && [ $i -lt 600 ]; do sleep 0.1; i=$((i + 1)); done
rm only.txt
kill -TERM $pid
wait $pid
check "a scale that can't be measured is told of" said "the scale of the latents could not be measured: only.txt"
check "and a checkpoint written" sh -c 'ls unmeasured/checkpoints/step-*/base.safetensors'

expect "pictures of a base" 0 run --what base --out shown --steps 1 --eval-every 1
check "are on a sheet" test -s shown/samples/step-000001.png
expect "a folder with a tokenizer" 0 run --what base --base y --out folder --steps 1
check "which comes along" cmp y/tokenizer/vocab.json folder/checkpoints/step-000001/tokenizer/vocab.json
expect "and is used" 0 "$mien" generate --base folder/checkpoints/step-000001/base.safetensors --control control.safetensors --map set/source/0.png --prompt "a face" -o out3.png --size 64 --steps 1 -q
echo '{' >folder/checkpoints/step-000001/tokenizer/vocab.json
expect "from there" 1 "$mien" generate --base folder/checkpoints/step-000001/base.safetensors --control control.safetensors --map set/source/0.png --prompt "a face" -o out4.png --size 64 --steps 1 -q
expect "goes with its checkpoint" 0 run --what base --base y --out folder --steps 2 --resume --keep 1
expect "and the next" 0 run --what base --base y --out folder --steps 3 --resume --keep 1
check "when that goes" sh -c 'test "$(ls folder/checkpoints | wc -l)" -le 2 && test ! -e folder/checkpoints/step-000002'

# refused WHAT OPTION...: with a word of the message.
refused() {
    word=$1
    shift
    expect "refused: $*" 2 run --out no --steps 1 "$@"
    check "says why" said "$word"
    check "nothing is made of it" test ! -e no
}
for what in base vae; do
    for option in "--control control.safetensors" --only-mid-control --unlock-decoder --redraw; do refused "${option%% *} is not for --what $what, but for control" --what $what $option; done
done
for option in "--min-snr 5" "--noise-offset 0.1" "--prompt-dropout 0.1" "--prediction v"; do refused "${option%% *} is not for --what vae, but for control and base" --what vae $option; done
for what in base control; do
    for option in "--crop 32" "--vae-loss mse" "--kl-weight 1" --measure-scale; do refused "${option%% *} is not for --what $what, but for vae" --what $what $option; done
done
for what in vae control; do refused "--freeze-text is not for --what $what, but for base" --what $what --freeze-text; done
refused "Try 'mien train --help'" --freeze-text
refused "--crop 36: a multiple of 8 up to --size, which is 64, was expected" --what vae --crop 36
refused "--crop 128: a multiple of 8 up to --size, which is 64, was expected; without --crop the whole square is taken" --what vae --crop 128
expect "a rate that falls without end" 2 run --out no --lr-schedule cosine
check "is refused by its name" said "--lr-schedule cosine needs --steps or --epochs"
refused "are not for --replay" --replay base.safetensors --mirror
refused "--cache-folder" --cache-folder ""
expect "a VAE is no base" 2 run --what base --base vae.safetensors --out no --steps 1
finish
