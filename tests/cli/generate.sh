#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# mien generate with small models: what it refuses before any work, what it writes, and that the same settings give the same picture.
. "$(dirname "$0")/lib"
build=$(realpath "${BUILD:-build}")
all_models   # the vocabulary too
photo=$(realpath -m third_party/demo/astronaut.png)
onednn=$(realpath -m "${ONEDNN:-third_party/onednn}")
cd "$T"
XDG_CACHE_HOME=$T/cache; export XDG_CACHE_HOME

"$build/tests/make_model" sd1 sd1.safetensors && "$build/tests/make_model" control1 c1.safetensors || exit 1
"$build/tests/make_model" control2 c2.safetensors || exit 1
faces f.json 512 512
"$mien" draw f.json -o map.png --size 64x64 --quiet || exit 1
g1="$mien generate --base sd1.safetensors --control c1.safetensors -j 1 --dtype f32 --size 64"
small="$g1 --map map.png --prompt smile --steps 2 --seed 1"

# ---- misuse: nothing is begun
mkdir -p elsewhere/bin && cp "$mien" elsewhere/bin/mien   # from where no mien-tiny is seen
expect "no model" 2 elsewhere/bin/mien generate --map map.png --prompt x -o o.png
check "says so" said "mien-tiny, the small model that comes with mien, is not there: mien-tiny.safetensors is neither in ../share/mien/models/tiny"
expect "no output" 2 $g1 --map map.png --prompt x
check "says so" said "-o is missing"
expect "nothing that steers" 2 $g1 --prompt x -o o.png
check "says so" said "--photo PHOTO is missing (or --map or --faces)"
check "and how to do without" said "without --control the base makes one alone"
for o in "--save-map m.png" --check "--keep-best 1" "--face 1" "--max-faces 2" --allow-empty; do
    expect "the base alone: $o" 2 "$mien" generate --base sd1.safetensors --prompt x -o o.png $o
    check "says why" said "${o%% *}: without --photo, --map or --faces there is no map"
done
expect "no prompt" 2 $g1 --map map.png -o o.png
check "says so" said "--prompt TEXT is missing"
expect "two things that steer" 2 $g1 --prompt x --map map.png --faces f.json -o o.png
expect "an unknown sampler" 2 $small --sampler eular -o o.png
check "lists them" said "ddim, ddim_original, euler, euler_a, dpmpp_2m, dpmpp_2m_karras or unipc was expected; did you mean euler?"
expect "an odd size" 2 $small --size 500x512 -o o.png
check "names near ones" said "such as 496 or 504"
expect "an output that is no PNG" 2 $small -o o.jpg
expect "an output in no folder" 2 $small -o nowhere/o.png
check "says so" said "nowhere/o.png: the folder is not there"
expect "an output below a file" 2 $small -o map.png/o.png
check "says so, too" said "map.png: is not a folder"
expect "a model that is not there" 2 $g1 --prompt x --base none.safetensors --map map.png -o o.png
expect "a photo that is not there" 2 $g1 --prompt x --photo none.jpg -o o.png
expect "a model that is none" 1 $g1 --prompt x --base map.png --map map.png -o o.png
expect "a ControlNet of another family" 2 $g1 --prompt x --control c2.safetensors --map map.png -o o.png
expect "ddim_original cannot do 27 steps" 2 $small --steps 27 --sampler ddim_original -o o.png
expect "a map of another aspect" 2 $small --size 64x80 -o o.png
check "says by how much" said "the aspects differ by 25.0%, 2% is bearable"
expect "eta with euler" 2 $small --sampler euler --eta 1 -o o.png
expect "timings in the output's place" 2 $small -o o.png --timings o.png
expect "the map in the output's place" 2 $small -o o.png --save-map ./o.png
check "says so" said "o.png: the map is to be saved there, and a picture or preview too"
expect "in a further output's" 2 $small -o o.png --count 2 --save-map o-2.png
expect "in a preview's" 2 $small -o o.png --preview 1 --save-map o.preview.png
expect "timings in a further output's" 2 $small -o o.png --count 2 --timings o-2.png
expect "seeds beyond the largest" 2 $small --seed 9223372036854775807 --count 2 -o o.png
check "says so" said "the seeds of 2 pictures from there on would be too large"
check "nothing was written" test ! -e o.png

# ---- the base alone
b1="$mien generate --base sd1.safetensors -j 1 --dtype f32 --size 64 --prompt smile --steps 2 --seed 1"
expect "a base alone" 0 $b1 -o alone.png
check "says so" said "without a photo, a map or landmarks the base makes the picture alone: no face steers it"
check "tells of a square picture" printed "alone.png: 64 x 64, seed 1, 2 steps (0 with control)"
"$mien" info alone.png >alone.txt
check "its settings name no ControlNet" not grep -q ControlNet alone.txt
check "but the model" grep -q "Model hash" alone.txt
expect "with a ControlNet whose strength is 0" 0 $small --strength 0 -o none.png -q
expect "without metadata" 0 $b1 -o alone0.png --no-metadata -q
expect "the other without" 0 $small --strength 0 -o none0.png --no-metadata -q
check "is the same picture" cmp alone0.png none0.png
"$build/tests/make_model" sd1 both1.safetensors --parts unet,vae,text,control || exit 1
expect "a base with a ControlNet in its file, alone" 0 $b1 --base both1.safetensors -o alone1.png
check "says so" said "the base makes the picture alone"
check "none of its steps has control" printed "(0 with control)"
expect "at its usual size" 0 "$mien" generate --base sd1.safetensors -j 1 --prompt smile --steps 0 -o usual.png
check "is square" printed "usual.png: 512 x 512"
expect "settings of a steered picture" 0 $small -o steered.png -q
expect "taken over" 0 "$mien" generate --base sd1.safetensors -j 1 --like steered.png -o unsteered.png
check "without a word of another ControlNet" not said "another ControlNet"
check "tell nothing of control" printed "(0 with control)"

# ---- a picture
expect "a picture" 0 $small -o o.png --save-map m.png
check "says size, seed and steps" printed "o.png: 64 x 64, seed 1, 2 steps"
check "the map is the one that was given" cmp m.png map.png
expect "a map is told to be one" 0 "$mien" info m.png
check "without settings" printed "  a control map: black but for a map's colours; by which settings"
expect "its settings are shown" 0 "$mien" info o.png
check "it is no map" not printed "a control map"
check "prompt" printed "smile, best quality, extremely detailed"
check "settings" printed "Steps: 2, Sampler: DDIM, CFG scale: 9, Seed: 1, Size: 64x64, Model hash: "
check "no path is in it" not grep -qa -e 'map\.png' -e 'safetensors' -e "$T" o.png
check "the mark of a machine is" grep -qa 'digitalsourcetype/trainedAlgorithmicMedia' o.png
expect "is not overwritten" 2 $small -o o.png
check "says how to go on" said "o.png: is there already (--force overwrites it)"
expect "the same again" 0 $small -o p.png --quiet
check "--quiet prints nothing" silent
check "the same bytes" cmp o.png p.png
expect "another seed" 0 $small --seed 2 -o q.png
check "another picture" not cmp -s o.png q.png
expect "without metadata" 0 $small -o r.png --no-metadata
check "there is none" not grep -qa -e parameters -e trainedAlgorithmicMedia r.png
expect "the map may not be the output" 2 $small -o map.png --force
check "it is as it was" cmp m.png map.png
cp o.png like.png
expect "nor the picture of --like" 2 $small --like like.png -o like.png --force
expect "nor be written over by the map" 2 $small --like like.png -o new.png --save-map like.png --force
check "it is as it was too" cmp o.png like.png
expect "no prompt is wanted" 0 $g1 --map map.png --prompt '' --added '' --steps 1 --seed 1 -o bare.png -q
expect "the largest seed" 0 $small --seed 9223372036854775807 -o large.png
check "is told" printed "seed 9223372036854775807"
# ---- no model is named: mien-tiny, wherever it is found; with what suits it, unless something else is said

own() { # own NAME MODELS COMMAND...: its settings go to own.txt
    name=$1 models=$2; shift 2
    rm -f o.png
    expect "$name" 0 env MIEN_MODELS="$models" "$@" -j 1 --dtype f32 --map map.png --prompt smile --steps 1 --seed 1 -o o.png
    "$mien" info o.png >own.txt
}
mkdir -p named/tiny installed/bin installed/share/mien/models/tiny
ln -s "$T/sd1.safetensors" named/tiny/mien-tiny.safetensors && ln -s "$T/c1.safetensors" named/tiny/mien-tiny-control.safetensors
ln -s "$MIEN_MODELS"/bpe_* named/
own "no base" "$T/named" "$mien" generate --size 64
check "tells which it takes" said "no base was named: this is mien-tiny, the small model that comes with mien"
check "adds nothing to the prompt, and guides less" eval 'grep -q "smile$" own.txt && grep -q "CFG scale: 3[^0-9]" own.txt && not grep -qi "negative" own.txt'
own "by its name" "$T/named" "$mien" generate --base mien-tiny --size 64 --cfg 2 --added "in red"
check "says nothing of it" not said "no base was named"
check "takes what else is said" eval 'grep -q "smile, in red" own.txt && grep -q "CFG scale: 2[^0-9]" own.txt'
cp "$mien" installed/bin/mien && cp -L named/tiny/* installed/share/mien/models/tiny && ln -s "$MIEN_MODELS"/bpe_* installed/share/mien/models/
own "as it is installed, by a variable that has none" "$T/nowhere" env LD_LIBRARY_PATH="$onednn/lib:${LD_LIBRARY_PATH:-}" installed/bin/mien generate --size 64
rm installed/share/mien/models/tiny/mien-tiny-control.safetensors
expect "without its ControlNet" 2 env MIEN_MODELS="$T/nowhere" installed/bin/mien generate --map map.png --prompt x --size 64 -o no.png
check "says so" said "mien-tiny's ControlNet, the small model that comes with mien, is not there"
expect "alone it needs none" 0 env MIEN_MODELS="$T/nowhere" LD_LIBRARY_PATH="$onednn/lib:${LD_LIBRARY_PATH:-}" installed/bin/mien generate -j 1 --prompt smile --size 64 --steps 1 -o tiny-alone.png
check "says what it takes" said "no base was named: this is mien-tiny"
check "and that no face steers it" said "the base makes the picture alone"
own "one is named" "$T/named" "$mien" generate --control c1.safetensors --size 64

finish
