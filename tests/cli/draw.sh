#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# mien draw: what it refuses, and that nothing is overwritten.
. "$(dirname "$0")/lib"
cd "$T"

faces a.json 64 48
expect "draws" 0 "$mien" draw a.json -o a.png
check "prints what it did" printed "a.png: 64 x 48, 1 of 1 face drawn"
cp a.png first.png
expect "refuses an output that exists" 2 "$mien" draw a.json -o a.png
check "says how to go on" said "a.png: is there already (--force overwrites it)"
expect "--force" 0 "$mien" draw a.json -o a.png --force --quiet
check "--quiet prints nothing" silent
check "the same bytes again" cmp a.png first.png
expect "--size" 0 "$mien" draw a.json -o b.png --size 640x480
expect "info tells the size" 0 "$mien" info b.png
check "and that it is a map" printed "  a control map: black but for a map's colours"
check "it is that" printed "PNG picture, 640 x 480"
expect "--min-face leaves the face out" 0 "$mien" draw a.json -o c.png --min-face 60
check "none drawn" printed "0 of 1 face drawn"
expect "output = input" 2 "$mien" draw a.json -o ./a.json --force
expect "output = input by a link" 2 sh -c "ln a.json linked.json; '$mien' draw a.json -o linked.json --force"
check "the input is as it was" cmp a.json linked.json
mkdir folder
expect "output is a folder" 2 "$mien" draw a.json -o folder --force
mkfifo pipe
expect "output is a pipe" 2 "$mien" draw a.json -o pipe --force
expect "output in no folder" 2 "$mien" draw a.json -o nowhere/x.png
ln -s nowhere.png dangling.png
expect "output is a link to nothing" 2 "$mien" draw a.json -o dangling.png
check "it is as it was" test -L dangling.png
expect "timings in the output's place" 2 "$mien" draw a.json -o t.png --timings ./t.png
check "says so" said "--timings ./t.png: is the output"
check "and nothing is written" test ! -e t.png
expect "input missing" 2 "$mien" draw missing.json -o x.png
expect "input is a folder" 1 "$mien" draw folder -o x.png
expect "too large a map" 2 "$mien" draw a.json -o x.png --size 30000x30000
check "the limit is named" said "30000 x 30000 is more than 512000000 pixels"
expect "the limit can be moved" 1 "$mien" draw a.json -o x.png --max-pixels 3071

bad() { # NAME MESSAGE TEXT
    printf '%s' "$3" >bad.json
    expect "$1" 1 "$mien" draw bad.json -o x.png
    check "$1: says where" said "mien: bad.json: $2"
}
bad "an empty file" "line 1, column 1: " ''
bad "broken syntax" "line 2, column 8: ':' expected" '{"format":1,
"width", 3}'
bad "cut short" "line 1, column " "$(head -c 1000 a.json)"
bad "another format" "format: format 7 is unknown: this program reads format 1" '{"format":7}'
bad "another format, as a word" 'format: format "2" is unknown: this program reads format 1' "$(sed 's/"format":1/"format":"2"/' a.json)"
bad "a wrong value" "faces[0].landmarks[12][1]: a number was expected" "$(sed 's/\[0.840000,0.526667,/[0.840000,"x",/' a.json)"
bad "a doubled key" "line 1, column " '{"width":1,"width":2}'
bad "not JSON at all" "line 1, column 5: " 'hello'
check "no output was made of these" test ! -e x.png
expect "a bare list is read" 0 sh -c "sed 's/\"format\":1,//' a.json >bare.json; '$mien' draw bare.json -o bare.png"
check "and gives the same map" cmp bare.png a.png
expect "--log-json" 0 "$mien" draw a.json -o d.png --log-json
check "prints one object" grep -qx '{"event":"summary","width":64,"height":48,"faces":1,"drawn":1}' .stdout
expect "--timings and --profile" 0 "$mien" draw a.json -o e.png --timings t.json --profile
check "the timings file" grep -q '^{"load":0.*,"total":.*,"images":1,"peak_bytes":[1-9][0-9]*,"read":.*,"draw":.*,"encode":.*,"write":.*}$' t.json
check "the profile is on stderr" said "peak memory"
expect "a timings file of ours is replaced" 0 "$mien" draw a.json -o f.png --timings t.json
check "no leftovers" test -z "$(find . -name '*.mien-tmp-*')"
name=$(printf 'new\nline\033.json')
cp a.json "$name"
expect "an odd name" 0 "$mien" draw "$name" -o "$name.png"
check "is printed escaped" printed 'new\x0aline\x1b.json.png: '
name=$(printf 'a\342\200\256gnp\342\201\246.json \303\266\342\200\223')
expect "marks of direction in a name" 2 "$mien" draw "$name" -o x.png
check "are printed escaped, other letters as they are" said "$(printf 'a\\xe2\\x80\\xaegnp\\xe2\\x81\\xa6.json \303\266\342\200\223: ')"
finish
