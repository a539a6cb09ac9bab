#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# mien init --scratch: a base from config files, and that everything else takes it. (How its numbers are spread, and which configs make a
# model: tests/unit/test_scratch.c; beside diffusers: bench/scratch_exact.py.)
. "$(dirname "$0")/lib"
make_model=$(realpath "${BUILD:-build}/tests/make_model")
clip=$(realpath -m "${CLIP_DIR:-third_party/clip}")
cd "$T"

small_configs small && mkdir small/scheduler
sed 's/"layers_per_block"/"scaling_factor": 0.5, "layers_per_block"/' small/vae/config.json >t && mv t small/vae/config.json
echo '{"_class_name": "DDIMScheduler", "prediction_type": "v_prediction", "beta_schedule": "scaled_linear", "steps_offset": 1}' >small/scheduler/scheduler_config.json

expect "a base" 0 "$mien" init --scratch small -o base.safetensors --seed 3
check "says how" printed "base.safetensors: 238 tensors newly drawn with seed 3, 112 newly made as zeros, 74 as ones; 5.0 M parameters, 20.1 MB"
expect "again" 0 "$mien" init --scratch small/ -o again.safetensors --seed 3 -j 1 --verbose
check "the same bytes" cmp base.safetensors again.safetensors
check "--verbose names what is new" said "newly made: model.diffusion_model.out.2.weight (zeros)"
expect "another seed" 0 "$mien" init --scratch small -o other.safetensors --seed 4 --log-json
check "other bytes" not cmp -s base.safetensors other.safetensors
check "and a sum as JSON" grep -q '^{"event":"summary","copied":0,"zero":112,"ones":74,"drawn":238,"parameters":5034795,"bytes":20139180,"tokens":0,"seed":4,"seconds":[0-9.]*}$' .stdout
expect "in bf16" 0 "$mien" init --scratch small -o half.safetensors --seed 3 --dtype bf16 --quiet
expect "is the same rounded" 0 sh -c "'$mien' convert base.safetensors rounded.safetensors --to ldm --dtype bf16 --quiet && cmp rounded.safetensors half.safetensors"
expect "info" 0 "$mien" info base.safetensors
for said in "UNet: is whole, and its tensors fit together" "VAE: is whole, and its tensors fit together" "text encoder: is whole, and its tensors fit together" \
    "prediction: v (from metadata)" "attention: 4 heads" "made for: 64 x 64 pixels" "mien.text_heads = 2" "mien.text_activation = gelu" "mien.vae_scale = 0.5"; do check "says $said" printed "$said"; done
expect "of what was made of it, the same" 0 sh -c "'$mien' convert base.safetensors folder --to diffusers --quiet && '$mien' init --scratch folder -o from.safetensors --seed 3 --quiet"
check "byte for byte" cmp base.safetensors from.safetensors
expect "a part alone" 0 sh -c "mkdir one && cp -r small/vae one && '$mien' init --scratch one -o vae.safetensors && '$mien' info vae.safetensors"
check "is whole" printed "VAE: is whole"

expect "a ControlNet of it" 0 "$mien" init --base base.safetensors -o control.safetensors --quiet
if ls "$clip"/bpe_* >/dev/null 2>&1; then
    photo_set set 1 64
    expect "generate runs with it" 0 "$mien" generate --base base.safetensors --control control.safetensors --map set/source/0.png --prompt "a face" -o out.png --steps 2 -q
    check "to a picture of the size that it is for" eval '"$mien" info out.png >size && grep -q "64 x 64" size'
    expect "train runs on it" 0 "$mien" train --base base.safetensors --data set --out run --batch 1 --size 64 --steps 2 --eval-every 0 -q
    check "to a ControlNet" test -s run/checkpoints/step-000002/control.safetensors
    "$make_model" sd1 words.safetensors --vocabulary 2048 >/dev/null && "$mien" init --base words.safetensors -o words_control.safetensors -q
    expect "CLIP's vocabulary is too large for it" 1 "$mien" generate --base words.safetensors --control words_control.safetensors --map set/source/0.png --prompt x -o no.png --size 64 --steps 1
    check "says so" said "the text encoder knows 2048 tokens, but CLIP's vocabulary gives ids up to 49407"
    expect "for training too" 1 "$mien" train --base words.safetensors --data set --out no --batch 1 --size 64 --steps 1
    check "says so again" said "the text encoder knows 2048 tokens, but CLIP's vocabulary gives ids up to 49407; a base whose own tokenizer fits is made by mien init --scratch --captions"
    expect "a VAE could be trained all the same" 0 "$mien" train --what vae --base words.safetensors --data set --out words --batch 1 --size 64 --steps 1 --eval-every 0
    check "but it is told what that is not good for" said "of what comes of this, nothing but the VAE will be of use: the text encoder knows 2048 tokens"
    expect "of one that fits" 0 "$mien" train --what vae --base base.safetensors --data set --out fits --batch 1 --size 64 --steps 1 --eval-every 0
    check "nothing is said" not said "of use"
else skip "generate and train" "no vocabulary (make setup)"; fi

# A tokenizer of its own, which the file carries.
mkdir -p learnt/text_encoder learnt/source learnt/target
sed 's/"hidden_size"/"vocab_size": 600, "hidden_size"/' small/text_encoder/config.json >t && cp -r small learnt/configs && mv t learnt/configs/text_encoder/config.json
for i in 0 1 2 3 4; do echo '{"source": "source/0.png", "target": "target/0.jpg", "prompt": "a smiling woman, looking left"}'; done >learnt/prompt.jsonl
picture learnt/source/0.png 64 64
"$built/tests/make_photos" learnt/photos 1 --size 64x64 >/dev/null
cp learnt/photos/* learnt/target/0.jpg
expect "a tokenizer learnt from captions" 0 "$mien" init --scratch learnt/configs --captions learnt/prompt.jsonl -o learnt.safetensors
check "of as many tokens as there are" printed "; a tokenizer of 531 tokens"
check "the end fills up" grep -aq '"mien.pad_token":"530"' learnt.safetensors
"$mien" convert learnt.safetensors learnt-folder --to diffusers --prediction epsilon -q
for m in learnt.safetensors learnt-folder; do
    expect "a picture by $m" 0 "$mien" generate --base $m --prompt smile --size 64 --steps 1 -o words.png --force
    check "no word of a text that nobody wrote" not said "was cut off"
    "$mien" info words.png >words.txt
    check "which is not added either" eval 'grep -q "smile$" words.txt && not grep -qi "negative prompt" words.txt'
done
expect "again, of lines" 0 sh -c "sed 's/.*prompt\": \"//; s/\"}//' learnt/prompt.jsonl >lines.txt && '$mien' init --scratch learnt/configs --captions lines.txt -o lines.safetensors -q"
check "the same bytes" cmp learnt.safetensors lines.safetensors
expect "info" 0 "$mien" info learnt.safetensors
check "tells of it" printed "tokenizer: its own, 531 tokens"
expect "a ControlNet of it" 0 "$mien" init --base learnt.safetensors -o learnt_control.safetensors -q
check "carries none" not grep -aq mien.merges learnt_control.safetensors
unset_models="env MIEN_MODELS=$T/nothing"
expect "generate, by the file alone" 0 $unset_models "$mien" generate --base learnt.safetensors --control learnt_control.safetensors --map learnt/source/0.png --prompt "a woman" -o learnt.png --steps 1 -q
check "with what suits it: nothing is added to the prompt" eval '"$mien" info learnt.png >own.txt && grep -q "a woman$" own.txt && grep -q "CFG scale: 3[^0-9]" own.txt'
expect "train" 0 "$mien" train --what base --base learnt.safetensors --data learnt --out learnt_run --batch 1 --size 64 --steps 1 --eval-every 0 -q
check "the checkpoint carries it on" sh -c "'$mien' info learnt_run/checkpoints/step-000001/base.safetensors | grep -q 'tokenizer: its own, 531 tokens'"
expect "as a folder" 0 sh -c "'$mien' convert learnt.safetensors learnt_folder --to diffusers -q && '$mien' init --scratch learnt_folder -o learnt_again.safetensors -q"
check "with its files" test -s learnt_folder/tokenizer/vocab.json -a -s learnt_folder/tokenizer/merges.txt
check "from which the same is made" cmp learnt.safetensors learnt_again.safetensors
expect "and back" 0 "$mien" convert learnt_folder learnt_back.safetensors --to ldm -q
check "it carries it again" grep -aq mien.merges learnt_back.safetensors
sed 's/"i ng<\/w>": [0-9]*/"i ng<\/w>": 5/; s/: 520,/: 521,/' learnt_folder/tokenizer/vocab.json >t && cp -r learnt_folder other_folder && mv t other_folder/tokenizer/vocab.json
expect "ids in another order" 0 "$mien" init --scratch other_folder -o other_ids.safetensors
check "are told of" said "its ids don't follow from its merges"
check "and not carried" not grep -aq mien.merges other_ids.safetensors
expect "as a file" 0 "$mien" convert other_folder other_file.safetensors --to ldm
check "are told of, too" said "other_folder/tokenizer: the ids of its tokenizer don't follow from its merges, so the file can't carry it"
cp -r learnt_folder cut_folder && truncate -s -1 cut_folder/tokenizer/merges.txt
expect "merges whose last line has no end" 0 "$mien" convert cut_folder cut_back.safetensors --to ldm
check "are carried, too" grep -aq mien.merges cut_back.safetensors
check "in silence" not said "can't carry"
expect "and made a folder of again" 0 "$mien" convert cut_back.safetensors cut_again --to diffusers -q
check "with the same files" sh -c 'cmp learnt_folder/tokenizer/merges.txt cut_again/tokenizer/merges.txt && cmp learnt_folder/tokenizer/vocab.json cut_again/tokenizer/vocab.json'
LC_ALL=C sed 's/"mien.pad_token":"530"/"mien.pad_token":"777"/' learnt.safetensors >pad.safetensors
expect "a token to fill up with that there is none of" 1 "$mien" convert pad.safetensors no_folder --to diffusers
check "is refused by all that open it" said "pad.safetensors: prompts are filled up with token 777, its text encoder knows 531"
LC_ALL=C sed 's/#version: 0.2\\n\(.\) /#version: 0.2\\n\1x/' learnt.safetensors >broken.safetensors
expect "a broken list" 1 "$mien" generate --base broken.safetensors --control learnt_control.safetensors --map learnt/source/0.png --prompt x -o no.png --steps 1
check "is told of" said "broken.safetensors: its tokenizer: line 2 of the merges is no pair of tokens"
expect "fewer words than CLIP has, and no captions" 1 "$mien" init --scratch learnt/configs -o no.safetensors
check "are refused at once" said "learnt/configs/text_encoder/config.json: vocab_size is 600, but there is no tokenizer/ in this folder, and CLIP's has 49408 tokens: --captions FILE"
check "nothing is made" test ! -e no.safetensors
expect "a ControlNet learns no words" 2 "$mien" init --base base.safetensors --captions lines.txt -o no.safetensors
expect "captions that are not there" 1 "$mien" init --scratch learnt/configs --captions nothing.txt -o no.safetensors
check "are named" said "nothing.txt"

# refused WHAT STATUS PART SED MESSAGE: the part's config with that change.
refused() {
    rm -rf wrong && cp -r small wrong && sed "$4" "small/$3" >"wrong/$3"
    expect "$1" "$2" "$mien" init --scratch wrong -o wrong.safetensors
    check "says so: $5" said "$5"
    check "nothing is left" test ! -e wrong.safetensors
}
U=unet/config.json V=vae/config.json X=text_encoder/config.json S=scheduler/scheduler_config.json
refused "another activation" 1 $U 's/"sample_size"/"act_fn": "gelu", "sample_size"/' 'unet/config.json: act_fn: it is "gelu": mien computes with "silu"'
refused "a slip of the pen" 1 $U 's/attention_head_dim/attention_head_dims/' 'attention_head_dims: mien does not know this field'
refused "a width that groups can't divide" 1 $U 's/32, 64/32, 65/' 'block_out_channels[1]: 65 channels can'
refused "heads that don't divide it" 1 $U 's/"attention_head_dim": 4/"attention_head_dim": 5/' "a level of 64 channels can't be split into heads: 5"
refused "blocks of SDXL's kind" 1 $U 's/"CrossAttnDownBlock2D"/"AttnDownBlock2D"/' 'down_block_types[1]: it is "AttnDownBlock2D": mien knows DownBlock2D and CrossAttnDownBlock2D'
refused "a decoder unlike its encoder" 1 $U 's/"CrossAttnUpBlock2D", "UpBlock2D"/"UpBlock2D", "CrossAttnUpBlock2D"/' "attention on other levels"
refused "no widths" 1 $U 's/"block_out_channels": \[32, 64\], //' "block_out_channels"
refused "a width of millions" 1 $U 's/32, 64/32, 64000000/' "block_out_channels[1]"
refused "text and UNet that don't meet" 1 $X 's/"hidden_size": 64/"hidden_size": 128/' "cross_attention_dim of the UNet is 64, hidden_size of the text encoder 128"
refused "a VAE of three levels" 1 $V 's/32, 32, 32, 64/32, 32, 64/' "3 levels: 4 are needed"
refused "a VAE for latents of 16" 1 $V 's/"scaling_factor"/"latent_channels": 16, "scaling_factor"/' "latent_channels: it is 16: mien computes with 4"
refused "too few positions" 1 $X 's/"hidden_size"/"max_position_embeddings": 32, "hidden_size"/' "max_position_embeddings"
refused "another schedule" 1 $S 's/scaled_linear/squaredcos_cap_v2/' "beta_schedule"
refused "no JSON" 1 $U 's/{/[/' "unet/config.json: line 1"
expect "an empty folder" 2 sh -c "mkdir empty && '$mien' init --scratch empty -o x.safetensors"
check "says what was looked for" said "there is no unet/config.json, vae/config.json or text_encoder/config.json in it"
expect "no folder" 2 "$mien" init --scratch nowhere -o x.safetensors
expect "base and scratch" 2 "$mien" init --scratch small --base base.safetensors -o x.safetensors
expect "--to" 2 "$mien" init --scratch small -o x.safetensors --to ldm
expect "an output that exists" 2 "$mien" init --scratch small -o base.safetensors
expect "an output among the configs" 2 "$mien" init --scratch small -o small/x.safetensors
expect "no space left" 1 sh -c "ulimit -f 1000; '$mien' init --scratch small -o x.safetensors"
check "keeps nothing" test ! -e x.safetensors
check "no leftovers" test -z "$(find . -name '*.mien-tmp-*')"
finish
