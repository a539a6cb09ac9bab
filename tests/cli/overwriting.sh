#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Nothing of the user's is overwritten: through links, by edited files, by names given twice.
. "$(dirname "$0")/lib"
need_models
cd "$T"

# ---- links ----
mkdir -p a/sub aout b bout
picture a/sub/photo.png 8 8; picture a/other.bmp 8 8
ln -s ../a/sub aout/sub
cp a/sub/photo.png saved
: >a/sub/.z.png.mien-tmp-999999999-0
for force in "" --force; do
    expect "an output folder that leads to the input $force" 3 "$mien" annotate a -o aout $force
    check "is refused $force" said "mien: a/sub/photo.png: aout/sub is a link: nothing is written through it"
    check "the photo is as it was $force" cmp a/sub/photo.png saved
done
check "nothing is cleaned up behind the link" test -e a/sub/.z.png.mien-tmp-999999999-0
check "the rest is done" test -s aout/other.png
picture bout/photo.png 8 8
ln -s ../bout/photo.png b/photo.png
for force in "" --force; do
    expect "a photo that is a link to its output $force" 3 "$mien" annotate b -o bout $force
    check "is refused $force" said "bout/photo.png is the photo: it would be overwritten by its own map"
    check "and is as it was $force" cmp bout/photo.png saved
done
if unshare -rm sh -c "mkdir -p bound/sub && mount --bind a/sub bound/sub" 2>/dev/null; then
    expect "a folder of photos mounted on their outputs' folder" 3 unshare -rm sh -c "mount --bind a/sub bound/sub && '$mien' annotate a -o bound --force"
    check "is noticed" said "bound/sub/photo.png is the photo: it would be overwritten by its own map"
    check "the photo is still as it was" cmp a/sub/photo.png saved
else
    skip "a folder of photos mounted on their outputs' folder" "nothing may be mounted here"
fi
mkdir c; picture c/p.bmp 8 8; mkdir cout
for target in nowhere ../saved; do
    ln -sf $target cout/p.png
    expect "a link to $target in the output's place" 3 "$mien" annotate c -o cout
    check "is refused" said "cout/p.png is there and was not made by mien"
    check "and kept" test -L cout/p.png
done
expect "--force replaces the link" 0 "$mien" annotate c -o cout --force
check "not what it leads to" cmp saved bout/photo.png
finish
