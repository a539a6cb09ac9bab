#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
. "$(dirname "$0")/lib"
golden=$(realpath "$(dirname "$0")/../golden/image")
cd "$T"

faces a.json 64 48
picture a.bmp 7 5
printf 'hello' >text
expect "a landmarks JSON" 0 "$mien" info a.json
check "its size and faces" printed "a.json: landmarks JSON, 64 x 48, 1 face"
expect "a picture" 0 "$mien" info a.bmp
check "its format and size" printed "a.bmp: BMP picture, 7 x 5"
check "and no word of turning" not printed EXIF
for n in 2 3 4 5 6 7 8; do
    expect "orientation $n" 0 "$mien" info "$golden/exif$n.jpg"
    check "is told" printed "EXIF orientation $n: stored "
done
expect "a photo on its side" 0 "$mien" info "$golden/exif6.jpg"
check "both sizes" sh -c "grep -q 'exif6.jpg: JPEG picture, 7 x 11$' .stdout && grep -q 'EXIF orientation 6: stored turned by 90 degrees, as 11 x 7;' .stdout"
for n in 1 9; do
    expect "orientation $n" 0 "$mien" info "$golden/exif$n.jpg"
    check "is as it should be" not printed EXIF
done
expect "something else" 1 "$mien" info text
check "says what was expected" said "text: neither a picture nor landmarks JSON"
expect "a missing file" 2 "$mien" info nowhere
expect "several, one of them broken" 1 "$mien" info a.json text a.bmp
check "the others are told of" printed "a.bmp: BMP picture"
need_models
expect "the machine" 0 "$mien" info
check "the version" printed "mien "
check "the processor" printed "processor: "
MIEN_MODELS=/nowhere; export MIEN_MODELS
expect "without models" 1 "$mien" info
check "the rest is told all the same" printed "processor: "
finish
