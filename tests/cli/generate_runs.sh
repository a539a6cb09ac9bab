#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# mien generate with small models: several pictures, control on part of the steps, faces that are chosen, --like, previews, what models do not say.
. "$(dirname "$0")/lib"
build=$(realpath "${BUILD:-build}")
all_models   # the vocabulary too
photo=$(realpath -m third_party/demo/astronaut.png)
cd "$T"
XDG_CACHE_HOME=$T/cache; export XDG_CACHE_HOME

for k in 1 2; do
    "$build/tests/make_model" sd$k sd$k.safetensors && "$build/tests/make_model" control$k c$k.safetensors || exit 1
done
"$build/tests/make_model" sd1 full.safetensors --parts unet,vae,text,control || exit 1
faces f.json 512 512
"$mien" draw f.json -o map.png --size 64x64 --quiet || exit 1
g="$mien generate -j 1 --dtype f32 --size 64 --base sd1.safetensors --control c1.safetensors"
small="$g --map map.png --prompt smile --steps 2 --seed 1"

# ---- several pictures
$small -o one.png -q && $small --seed 2 -o two.png -q || exit 1
expect "--count" 0 $small --count 2 -o c.png
check "each tells its seed" printed "c-2.png: 64 x 64, seed 2, 2 steps"
check "the first is that of its seed alone" cmp c.png one.png
check "so is the second" cmp c-2.png two.png
expect "one of them is there" 2 $small --count 3 -o c.png
check "nothing is begun" test ! -e c-3.png
expect "a file that holds both models" 0 $small --base full.safetensors --control full.safetensors -o full.png --no-metadata -q
expect "without --control too" 0 "$mien" generate -j 1 --dtype f32 --size 64 --base full.safetensors --map map.png --prompt smile --steps 2 --seed 1 -o alone.png --no-metadata -q
check "the same" cmp full.png alone.png

# ---- which steps have control
passes() { # passes NAME WITH STEPS OPTION...
    name=$1 with=$2 steps=$3; shift 3
    expect "$name" 0 $g --map map.png --prompt smile --seed 1 --no-metadata --force -o passes.png --log-json "$@"
    check "$name: runs of the ControlNet" printed "\"steps\":$steps,\"control_steps\":$with,"
}
passes "control on all steps" 4 4 --steps 4
passes "--start and --end" 2 4 --steps 4 --start 0.25 --end 0.75
expect "the profile tells the same" 0 $g --map map.png --prompt smile --seed 1 --no-metadata --force -o passes.png --steps 4 --start 0.5 --profile -q
check "two runs with control" grep -q '^ControlNet and UNet  *2 runs' .stderr
check "two without" grep -q '^UNet  *2 runs' .stderr
check "one of the hint network" grep -q '^hint network  *1 runs' .stderr
passes "strength 0" 0 2 --steps 2 --strength 0
cp passes.png none.png
passes "control that ends before it begins" 0 2 --steps 2 --end 0
check "the same picture" cmp passes.png none.png
passes "ddim_original takes 7 steps for 6" 3 7 --steps 6 --sampler ddim_original --end 0.5
passes "guess mode" 2 2 --steps 2 --guess
passes "the middle alone" 2 2 --steps 2 --only-mid-control

"$build/tests/make_model" control1 mid.safetensors --metadata mien.format=1 --metadata mien.only_mid_control=true || exit 1
cp passes.png mid.png
passes "a ControlNet that says it wants the middle alone" 2 2 --steps 2 --control mid.safetensors
check "the same picture" cmp passes.png mid.png

# ---- sizes, faces
expect "520 x 520, where the original crashes" 0 $g --faces f.json --prompt x --steps 1 --size 520x520 -o big.png
check "it is" printed "big.png: 520 x 520"
expect "a size of another aspect than the photo's" 0 $g --faces f.json --prompt x --steps 0 --size 64x128 --save-map cut.png
check "cuts, and says so" said "f.json: it is of another aspect than the picture, whose map shows"
expect "one of its aspect" 0 $g --faces f.json --prompt x --steps 0 --size 128 --save-map whole.png
check "shows all" not said aspect
picture grey.bmp 64 64 y
expect "a map that is a photo" 0 $g --map grey.bmp --prompt x --steps 0
check "is warned of" said "grey.bmp: does not look like a map of a face: 100% of it is neither black nor of a map's colours"
expect "a map" 0 $g --map map.png --prompt x --steps 0
check "is not" not said "does not look like"
picture black.bmp 64 64
expect "a map without lines" 0 $g --map black.bmp --prompt x --steps 0
check "is warned of, too" said "black.bmp: the map is empty"
expect "unless it is meant so" 0 $g --map black.bmp --prompt x --steps 0 --allow-empty
check "which says so" not said "the map is empty"
if [ -r "$MIEN_MODELS/face_landmark_with_attention.tflite" ] && [ -r "$photo" ]; then
    expect "no face" 1 $g --photo black.bmp --prompt x --steps 1 -o none2.png
    check "says so, and what may help" said "black.bmp: no face was found, so nothing would steer the picture"
    expect "no face, --allow-empty" 0 $g --photo black.bmp --allow-empty --prompt x --steps 1 -o none2.png --save-map none2-map.png -q
    expect "a photo" 0 $g --photo "$photo" --prompt x --steps 1 -o photo.png --save-map photo-map.png -q
    check "a face was drawn" not cmp -s none2-map.png photo-map.png
    "$mien" annotate "$photo" -o an --json -q && "$mien" draw an/astronaut.json -o drawn.png --size 64x64 -q
    expect "the map is that of the landmarks" 0 "$mien" generate --base sd1.safetensors --control c1.safetensors --map drawn.png --steps 0 --size 64 --save-map again.png -q
    check "the same" cmp again.png photo-map.png
else
    skip "photos" "no face models, or no photo (make setup)"
fi
sed 's/"faces":\[\(.*\)\]}$/"faces":[\1,\1]}/' f.json >ff.json
expect "more faces than are taken" 0 $g --faces ff.json --prompt x --steps 1 -o ff.png
check "says which" said "ff.json: 2 faces were found: number 1 is taken"
expect "a face that is not there" 2 $g --faces ff.json --face 3 --prompt x --steps 1 -o ff3.png
check "says how many are" said "face 3 was asked for, but 2 were found"

# ---- settings
expect "--like" 0 "$mien" generate -j 1 --base sd1.safetensors --control c1.safetensors --map map.png --like one.png -o like.png -q
check "the same picture" cmp like.png one.png
expect "--like, another seed" 0 "$mien" generate -j 1 --dtype f32 --base sd1.safetensors --control c1.safetensors --map map.png --seed 2 --like one.png -o like2.png -q
check "the picture of that seed" cmp like2.png two.png
if grep -q avx512_bf16 /proc/cpuinfo; then
    $small --dtype bf16 -o half.png -q || exit 1
    expect "--like of bf16" 0 "$mien" generate -j 1 --base sd1.safetensors --control c1.safetensors --map map.png --like half.png -o half2.png -q
    check "the same picture" cmp half.png half2.png
    expect "--like of bf16 without the instructions" 0 "$mien" generate -j 1 --cpu avx2 --base sd1.safetensors --control c1.safetensors --map map.png --like half.png -o half3.png
    check "says so" said "the settings are of a picture in bf16, which this processor does not have"
    expect "--dtype counts for more" 0 "$mien" generate -j 1 --dtype f32 --base sd1.safetensors --control c1.safetensors --map map.png --like half.png -o half4.png -q
    check "the picture of f32" cmp half4.png one.png
else
    skip "--like of bf16" "no AVX-512 bf16 here"
fi
expect "--like with another model" 0 "$mien" generate -j 1 --dtype f32 --base full.safetensors --map map.png --like one.png -o like3.png
check "warns" said "the settings are of a picture by another model"
expect "--like of a picture that says nothing" 2 $small --like map.png -o like4.png
words=$(i=0; while [ $i -lt 100 ]; do printf 'word '; i=$((i + 1)); done)
expect "a long prompt" 0 $g --map map.png --prompt "$words end" --added '' --steps 1 -o long.png
check "what was cut is told" said 'the prompt is longer than the 75 tokens that the model reads; this was cut off: "word word'
expect "a random seed" 0 $g --map map.png --prompt x --steps 1 -o random.png
check "is printed" grep -q 'random.png: 64 x 64, seed [0-9][0-9]*, 1 step' .stdout
expect "nothing but the rest" 0 $g --map map.png --prompt x --steps 0
check "says where the time went" grep -q '^load [0-9.]* s, map .* text .* hint .* decode .* in all$' .stdout
expect "--timings" 0 $small --steps 3 --force -o t.png --timings t.json -q
check "each step" grep -q '^{"load":[0-9.]*,"total":[0-9.]*,"images":1,"peak_bytes":[0-9]*,.*"decode":[0-9.]*,.*"steps":\[[0-9.]*,[0-9.]*,[0-9.]*\]}$' t.json
expect "a model that does not say what it predicts" 0 $g --base sd2.safetensors --control c2.safetensors --map map.png --prompt x --steps 1 -o p.png
check "is looked at" said "(--prediction says it)"
check "what it was taken for stands in the picture" eval '"$mien" info p.png | grep -q "Prediction: "'
expect "the other way" 0 $g --base sd2.safetensors --control c2.safetensors --map map.png --prompt x --steps 2 --seed 5 --prediction epsilon -o e.png
expect "--like takes that over" 0 $g --base sd2.safetensors --control c2.safetensors --map map.png --like e.png -o e2.png
check "without a look" not said "(--prediction says it)"
check "the same picture" cmp e.png e2.png
expect "bf16 without the instructions" 1 $small --dtype bf16 --cpu avx2 -o b.png
check "the reason" said "bf16 needs a processor with AVX-512 bf16"

expect "too little memory" 1 $small --memory 50M -o m.png
check "says what is needed, before anything is loaded" said "GB of memory are needed and 0.05 GB may be used: nothing would fit, the least is "
expect "too little memory in f32 for the size" 1 $small --memory 420M --size 1024x1024 -o m.png
check "says what would fit" said "it would fit with"
expect "memory enough" 0 $small --memory 3G -o m.png -q
check "changes nothing" cmp m.png one.png
if ! grep -aq __asan_init "$mien"; then   # which itself wants terabytes of addresses
    expect "too few addresses" 1 sh -c "ulimit -v 225000; exec $small -o m.png --force"
    check "is no crash" said "GB are needed beside the model"
fi
expect "kernels of AVX2" 0 $small --cpu avx2 -o avx2.png -q

# ---- names of others
$small --sampler dpmpp_2m_karras -o karras.png -q || exit 1
expect "a sampler as pictures name it" 0 $small --sampler "DPM++ 2M Karras" -o named.png -q
check "is the same" cmp karras.png named.png
for name in ddim_original:"DDIM original" euler_a:"Euler a" unipc:UNIPC; do
    expect "${name#*:}" 0 $small --steps 1 --sampler "${name#*:}" -o n.png --force -q
    $small --steps 1 --sampler "${name%%:*}" -o m.png --force -q
    check "is ${name%%:*}" cmp n.png m.png
done
printf '{"prompt":"smile","seed":1,"sampler":"DPM++ 2M Karras","out":"k"}\n{"prompt":"","sampler":"eular"}\n{"prompt":"","rng":"mine"}\n' >k.jsonl
expect "in a batch" 3 $g --map map.png --steps 2 --batch k.jsonl -o k
check "too" cmp k/k.png karras.png
check "samplers are listed" said "sampler: ddim, ddim_original, euler, euler_a, dpmpp_2m, dpmpp_2m_karras or unipc was expected"
check "kinds of noise too" said "rng: torch-cpu or torch-cuda was expected"
for option in negative-prompt:negative cfg-scale:cfg width:size height:size guidance-scale:cfg guidance:cfg num-inference-steps:steps controlnet:control; do
    expect "--${option%:*}" 2 $small "--${option%:*}" 7 -o n.png
    check "is named otherwise" said "--${option%:*}: no such option; did you mean --${option#*:}?"
done

# ---- previews
expect "--preview" 0 $small --steps 3 --preview 2 -o pre.png -q
check "is written" test -s pre.preview.png
check "and says what made it" grep -qa trainedAlgorithmicMedia pre.preview.png
rm pre.png
expect "an old preview is replaced" 0 $small --preview 1 -o pre.png -q
rm pre.png; cp map.png pre.preview.png
expect "another file is not" 2 $small --preview 1 -o pre.png -q
check "it is as it was" cmp map.png pre.preview.png
finish
