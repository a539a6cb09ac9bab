#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# `mien info` of models: what a file or folder is, of any layout, and what is wrong with what can't be used.
. "$(dirname "$0")/lib"
golden=$(realpath "$(dirname "$0")/../golden/weights")
make_model=$(realpath "${BUILD:-build}/tests/make_model")
cd "$T"

"$make_model" sd1 sd1.safetensors --parts unet,vae
"$make_model" sd2 unet2.safetensors --parts unet --type bf16 --without unet.out.2.bias
"$make_model" control1 bare.safetensors --type f32 --metadata license=openrail --metadata only_mid_control=true
"$make_model" control2 prefixed.safetensors --prefix
"$make_model" sd1 both.safetensors --parts unet,control --type mixed

expect "a base without its text encoder" 0 "$mien" info sd1.safetensors
check "what it is" printed "sd1.safetensors: safetensors, "
check "its family and what is missing" printed ": Stable Diffusion 1.x, base, not whole, without text encoder"
check "the UNet" printed "  UNet: 3.5 M parameters in 684 tensors, F16, context 768 wide; original names under model.diffusion_model."
check "the VAE" printed "  VAE: 1.0 M parameters in 180 tensors, F16; original names under first_stage_model."
check "its prediction and where that is from" printed "  prediction: epsilon (from the family)"
check "what is not used" printed "(moving averages 2, schedule 3, "
check "that the licence is not told" printed "  licence: not told"
expect "a UNet of 2.x that lacks a tensor" 0 "$mien" info unet2.safetensors
check "its type" printed "tensors, BF16, context 1024 wide"
check "names it" printed '  UNet: is not whole: the tensor "model.diffusion_model.out.2.bias" is missing'
check "that the prediction can't be seen" printed "  prediction: epsilon or v: "
expect "a ControlNet alone" 0 "$mien" info bare.safetensors
check "what it is" printed ": Stable Diffusion 1.x, ControlNet alone"
check "its names" printed "338 tensors, F32, context 768 wide; original names without a prefix"
check "its licence" printed "  licence: openrail"
check "its metadata" printed "  metadata: license = openrail"
check "what it steers" printed "  only_mid_control: "
check "no word of prediction" not printed prediction
expect "a ControlNet with a prefix" 0 "$mien" info prefixed.safetensors
check "its names" printed "original names under control_model."
expect "both in one" 0 "$mien" info both.safetensors
check "what it is" printed ": Stable Diffusion 1.x, base and ControlNet in one, without text encoder, without VAE"
check "several types" sh -c "grep -q 'UNet: .*, F32 ([0-9]*), F16 ([0-9]*), BF16 ([0-9]*), context' .stdout"
expect "in JSON" 0 "$mien" info --log-json bare.safetensors
check "each line an event" printed '{"event":"info","message":"  licence: openrail"}'

# Shapes: what any tensor must be follows from the others.
check "a whole one is told to be so" sh -c "'$mien' info bare.safetensors | grep -q '  ControlNet: is whole, and its tensors fit together'"
misfit() { # NAME SHAPE WHAT-IS-SAID
    "$make_model" control1 misfit.safetensors --prefix $2
    expect "$1" 0 "$mien" info misfit.safetensors
    check "says so" printed "  ControlNet: does not fit together: $3"
    rm -f misfit2.safetensors
    expect "to convert it" 1 "$mien" convert misfit.safetensors misfit2.safetensors --to control
    check "says so" said "mien: misfit.safetensors: $3"
    check "writes nothing" [ ! -e misfit2.safetensors ]
}
misfit "a convolution that is none" "--shape control.zero_convs.2.0.weight=806" '"control_model.zero_convs.2.0.weight": 806 is no odd square'
misfit "a bias of another length" "--shape control.input_blocks.1.0.out_layers.3.bias=61" '"control_model.input_blocks.1.0.out_layers.3.weight": conv2d: the bias has another length'
misfit "a block of another width" "--shape control.input_blocks.1.0.out_layers.3.weight=64,32,3,3 --shape control.input_blocks.1.0.out_layers.3.bias=64" \
    'behind "control_model.input_blocks.1.0.out_layers.3.'
misfit "an output that no UNet takes" "--shape control.zero_convs.2.0.weight=64,32,1,1 --shape control.zero_convs.2.0.bias=64" \
    '"control_model.zero_convs.2.0.weight": 64 outputs, but the UNet'
misfit "keys of another length" "--shape control.input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight=40,768" 'behind "control_model.input_blocks.1.1.transformer_blocks.0.attn2.to_q.weight"'
"$make_model" sd1 wide.safetensors --parts unet --shape unet.input_blocks.1.0.in_layers.2.bias=33
expect "init of a base that does not fit" 1 "$mien" init --base wide.safetensors -o never.safetensors
check "names the tensor" said '"model.diffusion_model.input_blocks.1.0.in_layers.2.weight": conv2d: the bias'
check "writes nothing" [ ! -e never.safetensors ]
"$make_model" sd1 latents.safetensors --parts vae --shape vae.decoder.conv_in.weight=64,16,3,3
expect "a VAE for other latents" 0 "$mien" info latents.safetensors
check "can't be used" printed "  VAE: can't be used to generate: the VAE's decoder begins with weights"
expect "but carried" 0 "$mien" convert latents.safetensors carried.safetensors --to ldm
check "with a warning" said "the VAE can't be used to generate: "

mkdir folder folder/unet folder/scheduler broken broken/unet
header='{"conv_in.weight":{"dtype":"F16","shape":[32,4,3,3],"data_offsets":[0,2304]},"x":{"dtype":"F16","shape":[2],"data_offsets":[2304,2308]}}'
{ printf "$(number ${#header} 8)"; printf %s "$header"; head -c 2308 /dev/zero; } >folder/unet/diffusion_pytorch_model.safetensors
echo '{"prediction_type":"v_prediction"}' >folder/scheduler/scheduler_config.json
expect "a folder" 0 "$mien" info folder
check "its kind" printed "folder: diffusers folder, 2452 bytes, 2 tensors: Stable Diffusion 1.x, base, not whole"
check "its names" printed "F16; diffusers names under unet/"
check "the prediction of its scheduler" printed "  prediction: v (from scheduler_config.json)"
touch folder/unet/diffusion_pytorch_model.bin
expect "a folder with a choice" 0 "$mien" info folder
check "what was left out" printed "  note: folder/unet: diffusion_pytorch_model.safetensors was read, and not diffusion_pytorch_model.bin"
expect "a folder without weights" 1 "$mien" info broken
check "says which" said "broken/unet: there are no weights"
expect "another folder" 1 "$mien" info .
check "names a model in it" said "; did you mean the file bare.safetensors in it?"

expect "a Lightning checkpoint" 0 "$mien" info "$golden/lightning.ckpt"
check "its format" printed "lightning.ckpt: PyTorch checkpoint, "
check "its step" printed "  metadata: global_step = 470000"
check "what was left out" printed "pytorch_lightning.callbacks.model_checkpoint.ModelCheckpoint"
expect "a malicious checkpoint" 0 "$mien" info "$golden/evil_system.pth"
check "warns" printed "  note: names posix.system, which no model needs and which may do harm"
check "that it is of no use here" printed "  can't be used to generate or train: "
check "runs nothing" [ ! -e mien-was-here ]
expect "some safetensors" 0 "$mien" info "$golden/every.safetensors"
check "its metadata" printed "  metadata: licence = café"
expect "an object of unknown class" 1 "$mien" info "$golden/object.pth"
check "says so" said "is a Python object (mine.Net) and not a state dict"

head -c 3000000 bare.safetensors >cut.safetensors
expect "a file that is cut short" 1 "$mien" info cut.safetensors
check "says so" said "it is cut short"
head -c 1500 "$golden/every.pth" >cut.pth
expect "a checkpoint that is cut short" 1 "$mien" info cut.pth
check "says so" said "the zip file has no end: it is cut short"
printf 'version https://git-lfs.github.com/spec/v1\noid sha256:0\n' >pointer.ckpt
expect "a pointer to a model" 1 "$mien" info pointer.ckpt
check "says what it is" said "is a Git LFS pointer"
printf '\144\0\0\0\0\0\0\0{"\\u001b[31m":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}' >terminal.safetensors
head -c 200 /dev/zero | tr '\0' ' ' >>terminal.safetensors
head -c 109 terminal.safetensors >red.safetensors
expect "a name that would colour the terminal" 0 "$mien" info red.safetensors
check "is escaped" printed 'the first tensor is "\x1b[31m"'

# A header that tells of 5 GB: nothing of them is read. The file has no blocks of its own.
header='{"model.diffusion_model.x":{"dtype":"F32","shape":[1342177280],"data_offsets":[0,5368709120]}}'
{ printf "$(number ${#header} 8)"; printf %s "$header"; } >huge.safetensors
if truncate -s $((8 + ${#header} + 5368709120)) huge.safetensors 2>/dev/null; then
    # AddressSanitizer itself wants terabytes of addresses.
    limit=8000000; grep -aq __asan_init "$mien" && limit=unlimited
    expect "a file of 5 GB" 0 sh -c "ulimit -v $limit; exec '$mien' info huge.safetensors"
    check "its size" printed "huge.safetensors: safetensors, 5.37 GB, 1 tensor"
else skip "a file of 5 GB" "this file system has no such files"
fi
finish
