#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Help, versions and misuse: everything wrong is said, before any work, with status 2.
. "$(dirname "$0")/lib"
cd "$T"

expect "--help" 0 "$mien" --help
for command in annotate draw info; do check "--help names $command" printed "$command"; done
expect "--version" 0 "$mien" --version
check "--version prints it" grep -qx 'mien [0-9]*\.[0-9]*\.[0-9]*' .stdout
expect "help COMMAND" 0 "$mien" help annotate
for option in --json --overlay --max-faces --min-confidence --min-face --ignore-exif --search --force --jobs --part --max-pixels --quiet --log-json --profile \
    --timings --cpu; do
    check "annotate --help names $option" printed " $option"
done
cp .stdout help
expect "COMMAND --help" 0 "$mien" annotate --help
check "both print the same" cmp help .stdout
expect "help of an unknown command" 2 "$mien" help anotate

expect "no command" 2 "$mien"
expect "an unknown command" 2 "$mien" anotate
check "the near one is named" said "anotate: no such command: annotate, build, check, convert, download, draw, eval, generate, init, package, preview, pull, synth, train, info or help was expected; did you mean annotate?"
expect "help for an option" 2 "$mien" help --size
check "a command is expected" said "--size: a command was expected, not an option: annotate, build"
expect "a control character in a command" 2 "$mien" "$(printf 'x\033[2J')"
check "is escaped" said 'x\x1b[2J'

wrong() { # NAME MESSAGE ARGUMENT...
    what=$1 message=$2; shift 2
    expect "$what" 2 "$mien" "$@"
    check "$what: says so" said "$message"
    check "$what: prints nothing" silent
}
picture a.bmp 4 4
wrong "no input" "a photo or a folder was expected" annotate -o out
wrong "no output" "-o DIR is missing" annotate a.bmp
wrong "an unknown option" "did you mean --max-faces?" annotate --max-face5 3 a.bmp -o out
wrong "an unknown letter" "-x: no such option" annotate -x a.bmp -o out
wrong "letters after a number" "--max-faces 5x: a whole number from 1 to 100 was expected" annotate a.bmp -o out --max-faces 5x
wrong "a blank before a number" "--max-faces  5" annotate a.bmp -o out --max-faces ' 5'
wrong "a number too large" "--jobs 99999999999999999999" annotate a.bmp -o out --jobs 99999999999999999999
wrong "zero jobs" "--jobs 0" annotate a.bmp -o out --jobs 0
wrong "not a number" "--min-confidence nan: a number from 0 to 1 was expected" annotate a.bmp -o out --min-confidence nan
wrong "an empty value" "--min-confidence : a number" annotate a.bmp -o out --min-confidence ''
wrong "hexadecimal" "--min-face 0x10" annotate a.bmp -o out --min-face 0x10
wrong "an unknown choice" "--search autp: none or auto was expected; did you mean auto?" annotate a.bmp -o out --search autp
wrong "a part too many" "--part 3/2: I/N was expected" annotate a.bmp -o out --part 3/2
wrong "part nought" "--part 0/2" annotate a.bmp -o out --part 0/2
wrong "an option without its value" "--max-faces: a value was expected" annotate a.bmp -o out --max-faces
wrong "a value too many" "--json takes no value" annotate a.bmp -o out --json=yes
wrong "a missing input" "nowhere.jpg: No such file or directory" annotate nowhere.jpg a.bmp -o out
wrong "a size" "--size 0x5: WIDTHxHEIGHT was expected" draw a.json -o b.png --size 0x5
wrong "two inputs to draw" "one landmarks JSON was expected" draw a.json b.json -o b.png
wrong "what is not there yet" "--edit: no such option" draw a.json -o b.png --edit smile=1
# One mistake, one line; what it was meant to say is not missed as well.
once() { # NAME MESSAGE ARGUMENT...
    wrong "$@"
    check "$1: nothing else is" test "$(wc -l <.stderr)" = 2
}
mkdir set photos
once "an unknown option with a value" "--minsize: no such option; did you mean --min-size?" build photos --data set --minsize 3
once "a required one" "--daat: no such option; did you mean --data?" build photos --daat set
once "with an equals sign" "--daat=set: no such option; did you mean --data?" build photos --daat=set
once "an unknown flag before an argument" "--jsn: no such option; did you mean --json?" annotate --jsn a.bmp -o out
once "like no option, before a value" "--frobnicate: no such option" annotate --frobnicate 7 a.bmp -o out
once "like no option, before an argument" "--frobnicate: no such option" annotate --frobnicate a.bmp -o out
once "-o for build" "-o: no such option; did you mean --data?" build photos -o set
once "--output for build" "--output: no such option; did you mean --data?" build photos --output set
once "-o for check" "-o: no such option; did you mean --data?" check -o set
for command in check download; do once "$command of a folder" "mien $command: set: did you mean --data set?" $command set; done
once "package of a folder" "set: did you mean --data set?" package set -o x.zip
once "preview of a folder" "set: did you mean --data set?" preview set -o x.png
once "package to a folder" "sh: did you mean -o sh?" package --data set --shards sh
once "an argument too many" "more: nothing but options was expected" check --data set more
once "build into a folder" "set: one folder was expected; did you mean --data set?" build photos set
expect "package of one into another" 2 "$mien" package set x.zip
check "both are said" said "did you mean --data set?"
check "and the other" said "x.zip: did you mean -o x.zip?"
check "a data set is still empty" test -z "$(ls -A set)"
rm -r set photos
t="train --base b --data d --out o"
wrong "a seed that a double has not" "--seed 9007199254740993: a whole number from 0 to 9007199254740992" $t --seed 9007199254740993
wrong "no memory" "--memory 0: a number of bytes was expected" $t --memory 0
expect "an odd Slurm array" 2 env SLURM_ARRAY_TASK_COUNT=3 SLURM_ARRAY_TASK_ID=5 SLURM_ARRAY_TASK_MIN=1 SLURM_ARRAY_TASK_MAX=7 "$mien" annotate a.bmp -o out
check "an odd Slurm array: says so" said "not evenly spaced: give --part I/N"
expect "several mistakes" 2 "$mien" annotate --jobs 0 --search x --nonsense
for text in "--jobs 0" "--search x" "--nonsense" "a photo or a folder" "-o DIR is missing" "Try 'mien annotate --help'"; do check "all are said: $text" said "$text"; done
echo mine >notes.json
wrong "--timings over a file of the user's" "notes.json: is there and holds no timings" annotate a.bmp -o out --timings notes.json
check "it is as it was" grep -qx mine notes.json
wrong "--timings in no folder" "--timings nowhere/t.json: No such file or directory" annotate a.bmp -o out --timings nowhere/t.json
mkdir folder
wrong "--timings in the output folder" "--timings ./folder/t.json: lies in the output folder" annotate a.bmp -o folder --timings ./folder/t.json
check "nothing was made there" test -z "$(ls -A folder)"
wrong "-o is a file" "notes.json: is not a folder" annotate a.bmp -o notes.json
wrong "-o leads through a file" "notes.json/x: is not a folder" annotate a.bmp -o notes.json/x
"$mien" annotate - -o folder <folder 2>.stderr; status=$?
check "a folder as the list of paths" test $status = 2
check "is named" grep -q 'standard input is a folder' .stderr
check "no output folder was made by any of this" test ! -e out
if [ -w /dev/full ]; then
    "$mien" --help >/dev/full 2>.stderr; status=$?
    check "a full standard output is an error" test $status = 1
else
    skip "a full standard output is an error" "no /dev/full"
fi
finish
