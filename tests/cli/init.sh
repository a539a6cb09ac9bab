#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# mien init: what it says and refuses. (What it writes: tests/unit/test_convert.c.)
. "$(dirname "$0")/lib"
make_model=$(realpath "${BUILD:-build}/tests/make_model")
cd "$T"

"$make_model" sd2 base.safetensors --parts unet,vae --metadata license=openrail++
expect "makes one" 0 "$mien" init --base base.safetensors -o control.safetensors
check "says how" printed "control.safetensors: 140 tensors copied, 16 newly made as zeros, 14 newly drawn with seed 0; 3.6 M parameters"
check "the licence is carried" grep -aq '"license":"openrail++"' control.safetensors
expect "again" 0 "$mien" init --base base.safetensors -o again.safetensors --verbose
check "the same bytes" cmp control.safetensors again.safetensors
check "--verbose names what is new" said "newly made: input_hint_block.14.bias (zeros)"
expect "--log-json" 0 "$mien" init --base base.safetensors -o other.safetensors --seed 1 --log-json
check "names it too" test "$(grep -c newly .stderr)" = 30
check "and sums up" grep -q '^{"event":"summary","copied":140,"zero":16,"ones":0,"drawn":14,"parameters":3582928,"bytes":7165856,"tokens":0,"seed":1,"seconds":[0-9.]*}$' .stdout
check "another seed, other bytes" not cmp -s control.safetensors other.safetensors
expect "--to ldm" 0 "$mien" init --base base.safetensors -o whole.safetensors --to ldm --quiet
expect "has the same ControlNet in it" 0 "$mien" convert whole.safetensors taken.safetensors --to control --quiet
check "byte for byte" cmp control.safetensors taken.safetensors
expect "of a folder" 0 sh -c "'$mien' convert base.safetensors folder --to diffusers --prediction epsilon --quiet && '$mien' init --base folder -o from.safetensors --quiet"
check "the same tensors" test "$(tail -c 7165856 from.safetensors | sha256sum)" = "$(tail -c 7165856 control.safetensors | sha256sum)"
expect "an output that exists" 2 "$mien" init --base base.safetensors -o control.safetensors
expect "--force" 0 "$mien" init --base base.safetensors -o control.safetensors --force
expect "output = base" 2 "$mien" init --base base.safetensors -o base.safetensors --force
expect "a name of PyTorch's files" 2 "$mien" init --base base.safetensors -o x.ckpt
check "is refused, with the reason" eval 'said "let it end in .safetensors" && [ ! -e x.ckpt ]'
expect "no base" 2 "$mien" init -o x.safetensors
expect "a base that is not there" 2 "$mien" init --base nowhere.safetensors -o x.safetensors
expect "a ControlNet as base" 2 "$mien" init --base control.safetensors -o x.safetensors
check "says so" said "there is no UNet in it, only: ControlNet"
expect "no space left" 1 sh -c "ulimit -f 1000; '$mien' init --base base.safetensors -o x.safetensors"
check "keeps nothing" test ! -e x.safetensors
check "no leftovers" test -z "$(find . -name '*.mien-tmp-*')"
finish
