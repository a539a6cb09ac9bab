#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# mien generate and convert with models of which no right picture can come, files that get shorter, signals, and what killed runs left.
. "$(dirname "$0")/lib"
build=$(realpath "${BUILD:-build}")
cd "$T"
XDG_CACHE_HOME=$T/cache; export XDG_CACHE_HOME
unset MIEN_CACHE

"$build/tests/make_model" sd1 sd1.safetensors && "$build/tests/make_model" control1 c1.safetensors || exit 1
faces f.json 512 512
"$mien" draw f.json -o map.png --size 64x64 --quiet || exit 1
g="$mien generate -j 1 --dtype f32 --size 64 --control c1.safetensors --map map.png --prompt smile --seed 1"

# ---- models
"$build/tests/make_model" sd1 short.safetensors --vocabulary 100 || exit 1
expect "fewer tokens than the vocabulary has" 1 $g --base short.safetensors --steps 1 -o o.png
check "says so" said "the text encoder knows 100 tokens, but CLIP's vocabulary gives ids up to 49407"

header=$(od -An -tu8 -N8 sd1.safetensors | tr -d ' ')
at=$(head -c $((8 + header)) sd1.safetensors | grep -ao '"first_stage_model.decoder.conv_out.bias":{[^}]*}' | sed 's/.*"data_offsets":\[\([0-9]*\),.*/\1/')
cp sd1.safetensors nan.safetensors
printf '\377\377\377\377' | dd of=nan.safetensors bs=1 seek=$((8 + header + at)) conv=notrunc 2>/dev/null
expect "an autoencoder that gives no numbers" 1 $g --base nan.safetensors --steps 1 -o o.png
check "says so" said "nan.safetensors: its autoencoder's numbers ran over"
check "no picture is written" test ! -e o.png

# ---- models by their names
MIEN_CACHE=$T/pulled; export MIEN_CACHE
expect "a known model that was not pulled" 2 $g --base sd15 --steps 1 -o o.png
check "says how it is" said "the model of that name was not pulled yet (mien pull sd15)"
mkdir -p pulled/models/sd15 && cp sd1.safetensors pulled/models/sd15/v1-5-pruned-emaonly.safetensors
expect "one that was" 0 $g --base sd15 --steps 1 -o named.png -q
expect "by its path" 0 $g --base sd1.safetensors --steps 1 -o path.png -q
check "the same picture" cmp named.png path.png
check "hashes are kept in that cache" test -d pulled/hashes
expect "init takes names too" 0 "$mien" init --base sd15 -o n.safetensors -q
unset MIEN_CACHE

# ---- signals
# shellcheck disable=SC2086
begin() { rm -f p.preview.png; $g --base "$1" --steps 500 --preview 1 -o p.png >log 2>&1 & pid=$!; while [ ! -s p.preview.png ] && kill -0 $pid 2>/dev/null; do sleep 0.05; done; }
begin sd1.safetensors; kill -s TERM $pid; wait $pid; status=$?
check "SIGTERM stops" test $status = 143
check "and says when, and how to stop at once" grep -q '^mien: stopping; again stops at once$' log

# ---- files that get shorter
# A model's pages are all read by the time of a first preview but for the autoencoder's; truncated, whatever is read next is not there.
cp sd1.safetensors cut.safetensors
begin cut.safetensors
: >cut.safetensors
wait $pid; status=$?
check "a model that gets shorter is a failure like others" test $status = 1
check "which says of which file" grep -q '^mien: .*/cut.safetensors: was cut short, or could not be read, while it was in use$' log

# ---- what killed runs left
sh -c 'exit 0' & gone=$!; wait $gone
: >.k.safetensors.mien-tmp-$gone-0; : >.other.safetensors.mien-tmp-$gone-0
mkdir -p .kd.mien-tmp-$gone-0/unet && : >.kd.mien-tmp-$gone-0/unet/config.json
expect "convert to a file" 0 "$mien" convert sd1.safetensors k.safetensors --to ldm -q
check "what a killed run left of it is gone" test ! -e .k.safetensors.mien-tmp-$gone-0
check "that of others stays" test -e .other.safetensors.mien-tmp-$gone-0
expect "convert to a folder" 0 "$mien" convert sd1.safetensors kd --to diffusers --prediction epsilon -q
check "what a killed run left of it is gone" test ! -e .kd.mien-tmp-$gone-0
: >.i.safetensors.mien-tmp-$gone-0
expect "init" 0 "$mien" init --base sd1.safetensors -o i.safetensors -q
check "what a killed run left of it is gone" test ! -e .i.safetensors.mien-tmp-$gone-0

# ---- the hashes by which pictures name a folder's models
hash_of() { grep -ao "$1" "$2" | head -n 1; }
control_hash() { hash_of 'control \[[0-9a-f]*\]' "$1"; }
"$build/tests/make_model" sd1 whole.safetensors --parts unet,vae,text,control && "$build/tests/make_model" sd1 whole2.safetensors --parts unet,vae,text,control --seed 2 || exit 1
for i in '' 2; do "$mien" convert whole$i.safetensors kw$i --to diffusers --prediction epsilon -q || exit 1; done
w="$mien generate -j 1 --dtype f32 --size 64 --base kw --map map.png --prompt smile --seed 1 --steps 1"
expect "a folder" 0 $w -o w1.png -q
mv kw/unet/diffusion_pytorch_model.safetensors kw/unet/diffusion_pytorch_model.bf16.safetensors
expect "a UNet of another variant" 0 $w -o w2.png -q
check "has the same hash" test "$(hash_of 'Model hash: [0-9a-f]*' w1.png)" = "$(hash_of 'Model hash: [0-9a-f]*' w2.png)"
printf '{"prompt":"smile","seed":1,"out":"a"}\n' >w.jsonl
expect "in a batch" 0 $w --batch w.jsonl -o w -q
rm -r kw/controlnet && mv kw2/controlnet kw
expect "another ControlNet in its place" 0 $w -o w3.png -q
check "has another hash" test "$(control_hash w1.png)" != "$(control_hash w3.png)"
check "which is its own" test "$(control_hash w3.png)" = "control [$(sha256sum kw/controlnet/*.safetensors | cut -c 1-10)]"
expect "what the other made" 3 $w --batch w.jsonl -o w
check "is not taken for done" said "w/a.png is there, made with other settings"
rm -r kw kw2 whole.safetensors whole2.safetensors

# ---- settings of a folder that change pictures and are not honoured
refuses() { # refuses NAME SED-EXPRESSION WORDS
    sed "$2" kd/scheduler/scheduler_config.json >sc.json && cp -r kd kx && cp sc.json kx/scheduler/scheduler_config.json
    expect "$1" 1 $g --base kx --steps 1 -o o.png
    check "says so" said "$3"
    rm -r kx
}
sed 's/"clip_sample": *false/"clip_sample":true/' kd/scheduler/scheduler_config.json >sc.json && cp -r kd kx && cp sc.json kx/scheduler/scheduler_config.json
expect "clipping" 0 $g --base kx --steps 1 -o clip.png
check "is told of" said "scheduler_config.json has clip_sample, as no Stable Diffusion wants it"
expect "with another sampler" 0 $g --base kx --steps 1 --sampler euler -o euler.png
check "it does not matter" not said clip_sample
expect "without it" 0 $g --base kd --steps 1 -o whole.png
check "nothing is told" not said scheduler_config
echo '[]' >kx/scheduler/scheduler_config.json
expect "settings that are a list" 1 $g --base kx --steps 1 -o list.png
rm -r kx
refuses "rescaled betas" 's/^{/{"rescale_betas_zero_snr":true,/' 'rescale_betas_zero_snr is not for mien'
refuses "betas of one's own" 's/^{/{"trained_betas":[0.1],/' 'trained_betas is not for mien'
refuses "thresholding" 's/^{/{"thresholding":true,/' 'thresholding is not for mien'
refuses "an unknown spacing" 's/"timestep_spacing": *"[a-z]*"/"timestep_spacing":"evil"/; t; s/^{/{"timestep_spacing":"evil",/' 'timestep_spacing is "evil"'
finish
