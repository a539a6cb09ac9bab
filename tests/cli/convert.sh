#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# mien convert: what it says, what it refuses, and that nothing of the user's is lost. (What it writes: tests/unit/test_convert.c.)
. "$(dirname "$0")/lib"
make_model=$(realpath "${BUILD:-build}/tests/make_model")
cd "$T"

# tensors FILE: the header without metadata, and the hash of the bytes behind it.
tensors() {
    n=$(od -An -tu8 -N8 "$1" | tr -d ' ')
    tail -c +9 "$1" | head -c "$n" | sed 's/"__metadata__":{[^}]*},//; s/ *$//'
    tail -c +$((n + 9)) "$1" | sha256sum
}
same() { tensors "$1" >.a; tensors "$2" >.b; cmp .a .b; }
no_leftovers() { test -z "$(find . -name '*.mien-tmp-*')"; }

"$make_model" sd1 base.safetensors --parts unet,vae,control --type f16 --metadata license=creativeml-openrail-m
expect "a whole model to a folder" 0 "$mien" convert base.safetensors folder --to diffusers
check "says what was carried along" printed "of them carried along for the way back"
check "and what was not" said "2 tensors of a moving average (model_ema.) were left out; --ema takes them"
check "with its config files" grep -q '"_class_name": "UNet2DConditionModel"' folder/unet/config.json
check "and the index" grep -q StableDiffusionControlNetPipeline folder/model_index.json
expect "the way back" 0 "$mien" convert folder back.safetensors --to ldm
expect "the first in our own order" 0 "$mien" convert base.safetensors first.safetensors --to ldm
check "gives the same tensors" same first.safetensors back.safetensors
check "the licence is carried" grep -aq '"license":"creativeml-openrail-m"' back.safetensors
expect "again" 0 "$mien" convert folder again.safetensors --to ldm --quiet
check "gives the same bytes" cmp back.safetensors again.safetensors
check "--quiet prints nothing" silent
expect "the ControlNet alone" 0 "$mien" convert folder control.safetensors --to control
check "without a prefix" sh -c "! grep -aq control_model control.safetensors && grep -aq zero_convs.11.0 control.safetensors"
expect "as a folder" 0 "$mien" convert control.safetensors control --to diffusers
check "of one network" test -f control/diffusion_pytorch_model.safetensors
expect "back" 0 "$mien" convert control control2.safetensors --to control --log-json
check "--log-json prints one object" grep -q '^{"event":"summary","tensors":338,"bytes":[0-9]*,"extra":0,"ema":0,"moved":0,"seconds":[0-9.]*}$' .stdout
check "the same tensors" same control.safetensors control2.safetensors
expect "--dtype" 0 "$mien" convert control.safetensors f32.safetensors --to control --dtype f32
expect "and back" 0 "$mien" convert f32.safetensors f16.safetensors --to control --dtype f16
check "loses nothing" same control.safetensors f16.safetensors

expect "an output that exists" 2 "$mien" convert base.safetensors folder --to diffusers
check "says how to go on" said "folder: is there already (--force overwrites it)"
expect "a file that exists" 2 "$mien" convert folder back.safetensors --to ldm
touch folder/mine.txt
expect "--force" 0 "$mien" convert base.safetensors folder --to diffusers --force --quiet
check "leaves other files alone" test -f folder/mine.txt
expect "--force on a file" 0 "$mien" convert folder back.safetensors --to ldm --force
check "the same" cmp back.safetensors again.safetensors
expect "output = input" 2 "$mien" convert control.safetensors ./control.safetensors --to control --force
check "says so" said "./control.safetensors: is an input"
expect "output = input by a link" 2 sh -c "ln control.safetensors linked.safetensors; '$mien' convert control.safetensors linked.safetensors --to control --force"
expect "an output in the input folder" 2 "$mien" convert folder folder/x.safetensors --to ldm
check "says so" said "lies in the input folder"
expect "an input in the output folder" 2 "$mien" convert control/diffusion_pytorch_model.safetensors control --to diffusers --force
expect "a folder where a file should be" 2 "$mien" convert base.safetensors folder --to ldm --force
expect "a file where a folder should be" 2 "$mien" convert base.safetensors again.safetensors --to diffusers --force
expect "in no folder" 2 "$mien" convert base.safetensors nowhere/x.safetensors --to ldm
for end in ckpt PTH pt bin; do expect "an output .$end" 2 "$mien" convert folder x.$end --to ldm; done
check "is refused, with the reason" said "let it end in .safetensors"
expect "but a folder may be called so" 0 "$mien" convert base.safetensors x.bin --to diffusers --quiet
# Models by the names of pull.
mkdir -p cache/models/sd15 && cp base.safetensors cache/models/sd15/v1-5-pruned-emaonly.safetensors
expect "a pulled model" 0 env MIEN_CACHE="$T/cache" "$mien" convert sd15 pulled.safetensors --to ldm --quiet
check "is that file" cmp pulled.safetensors first.safetensors
expect "info of it" 0 env MIEN_CACHE="$T/cache" "$mien" info sd15
check "says where it is" printed "/cache/models/sd15/v1-5-pruned-emaonly.safetensors: safetensors"
expect "a transfer between such" 0 env MIEN_CACHE="$T/cache" "$mien" convert --transfer sd15 --from sd15 --onto sd15 pulled-moved.safetensors --quiet
expect "one that was not pulled" 2 env MIEN_CACHE="$T/cache" "$mien" convert --transfer sd15 --from sd21 --onto sd15 y.safetensors
check "is told how to" said "mien pull sd21"
expect "info of one" 2 env MIEN_CACHE="$T/cache" "$mien" info face-sd15
expect "no input" 2 "$mien" convert nowhere.safetensors x.safetensors --to ldm
expect "no ControlNet in it" 2 sh -c "'$make_model' sd1 unet.safetensors --parts unet; '$mien' convert unet.safetensors x.safetensors --to control"
check "says what there is" said "there is no ControlNet in it, only: UNet"
expect "nothing known in it" 1 sh -c 'printf "\\100\\0\\0\\0\\0\\0\\0\\0%-64s" "{\"x\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}}" >odd.safetensors; "$0" convert odd.safetensors x.safetensors --to ldm' "$mien"
check "says so" said 'holds no UNet, ControlNet, VAE or text encoder of Stable Diffusion that mien knows (its first tensor is "x")'
expect "cut short" 1 sh -c "head -c 100000 control.safetensors >cut.safetensors; '$mien' convert cut.safetensors x.safetensors --to ldm"
expect "a tensor is missing" 1 sh -c "'$make_model' control1 less.safetensors --without control.middle_block_out.0.weight; '$mien' convert less.safetensors x --to diffusers"
check "by its name" said 'less.safetensors: the tensor "middle_block_out.0.weight" is missing'
expect "--to is missing" 2 "$mien" convert base.safetensors x.safetensors
expect "an unknown layout" 2 "$mien" convert base.safetensors x.safetensors --to onnx
expect "one argument" 2 "$mien" convert base.safetensors --to ldm
"$make_model" sd2 two.safetensors --parts unet --type f16
expect "a folder must say what a 2.x predicts" 2 "$mien" convert two.safetensors two --to diffusers
check "says how" said "give --prediction epsilon or v"
expect "--prediction" 0 "$mien" convert two.safetensors two --to diffusers --prediction v
check "is in the scheduler's config" grep -q '"prediction_type": "v_prediction"' two/scheduler/scheduler_config.json
expect "and in a file's metadata" 0 "$mien" convert two two2.safetensors --to ldm
check "as mien's" grep -aq '"mien.prediction":"v_prediction"' two2.safetensors

expect "no space left" 1 sh -c "ulimit -f 4000; '$mien' convert base.safetensors full.safetensors --to ldm"
check "says which" said "full.safetensors: "
check "keeps nothing" test ! -e full.safetensors
expect "no space left for a folder" 1 sh -c "ulimit -f 4000; '$mien' convert base.safetensors full --to diffusers"
check "keeps nothing of it" test ! -e full
check "no leftovers" no_leftovers

"$make_model" sd1 old.safetensors --parts unet --type f16 --seed 2
"$make_model" sd1 new.safetensors --parts unet --type f16 --seed 3
expect "--transfer" 0 "$mien" convert --transfer control.safetensors --from old.safetensors --onto new.safetensors moved.safetensors
check "says how much" printed "moved.safetensors: 338 tensors, 3.1 MB, 296 of them offset"
expect "--transfer onto where it comes from" 0 "$mien" convert --transfer control.safetensors --from old.safetensors --onto old.safetensors still.safetensors
check "changes nothing but roundings" test -s still.safetensors
expect "--from is missing" 2 "$mien" convert --transfer control.safetensors --onto new.safetensors x.safetensors
expect "output = a base" 2 "$mien" convert --transfer control.safetensors --from old.safetensors --onto new.safetensors new.safetensors --force
expect "another family" 2 "$mien" convert --transfer control.safetensors --from old.safetensors --onto two.safetensors x.safetensors
check "is told by a shape" said "has another shape than in control.safetensors"
expect "--from without --transfer" 2 "$mien" convert base.safetensors x.safetensors --to ldm --from old.safetensors

expect "--ema where there is none" 2 "$mien" convert control.safetensors x.safetensors --to control --ema
check "says so" said "there is no moving average"
expect "--ema" 0 "$mien" convert base.safetensors ema.safetensors --to ldm --ema
check "takes it" sh -c '! cmp -s first.safetensors ema.safetensors'
check "no leftovers in the end" no_leftovers
finish
