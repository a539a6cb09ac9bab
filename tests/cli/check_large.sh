#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# mien check of many lines: memory does not grow with them, and a fix that is killed at any time loses no line and doubles none.
# LINES=200000 KILLS=200 for the long form.
. "$(dirname "$0")/lib"
photos=$(realpath "${BUILD:-build}/tests/make_photos")
cd "$T"
lines=${LINES:-10000} kills=${KILLS:-12}

# 500 photos of 32 x 32, which all lines share by hard links: the 2nd to 20th of each are duplicates.
mkdir -p set/source
"$photos" photos 500 --size 32x32
echo '{"format":1,"width":32,"height":32,"faces":[]}' >empty.json
"$mien" draw empty.json -o set/source/map.png --quiet
mv photos set/target
seq 0 $((lines - 1)) | awk '{ printf "{\"source\": \"source/map.png\", \"target\": \"target/%09d.jpg\", \"prompt\": \"number %d\"}\n", $1 % 500, $1 }' >all.jsonl
head -n 1000 all.jsonl >set/prompt.jsonl
peak() { sed 's/.*"peak_bytes":\([0-9]*\).*/\1/' "$1"; }
expect "1000 lines" 3 "$mien" check --data set --no-faces --quiet --timings small.json
cp all.jsonl set/prompt.jsonl
expect "$lines lines" 3 "$mien" check --data set --no-faces --log-json --timings large.json
check "of 500 photos" grep -q "\"lines\":$lines,\"fine\":500," .stdout
echo "# peak of memory: $(peak small.json) bytes with 1000 lines, $(peak large.json) with $lines"
if grep -aq __asan_init "$mien"; then skip "memory stays" "AddressSanitizer keeps what was freed"
else check "memory stays" test "$(peak large.json)" -lt $(($(peak small.json) + 24000000)); fi

# ---- killed ----
sort all.jsonl >want
pause() { sleep "$(awk -v n="$1" 'BEGIN { print n / 1000 }')"; }
# The lines that are in prompt.jsonl and those that were rejected, as they were.
both() { { cat set/prompt.jsonl; [ ! -e set/prompt.rejected.jsonl ] || sed 's/^{"format": 1, "reason": "[^"]*", "detail": "[^"]*", "files": {[^}]*}, /{/' set/prompt.rejected.jsonl; } | sort; }
k=0 wrong=0 early=0
while [ $k -lt "$kills" ]; do
    rm -f set/prompt.*; cp all.jsonl set/prompt.jsonl
    "$mien" check --data set --no-faces --fix --quiet >/dev/null 2>&1 & pid=$!
    pause $((20 + k * 37 % 400))
    kill -9 $pid 2>/dev/null
    wait $pid 2>/dev/null
    [ $? != 137 ] || early=$((early + 1))    # one that ended by itself can be killed, too, until it was waited for
    "$mien" check --data set --no-faces --fix --quiet >/dev/null 2>&1
    "$mien" check --data set --no-faces --quiet >/dev/null 2>&1 || wrong=$((wrong + 1))
    both | cmp -s - want || wrong=$((wrong + 1))
    [ "$(wc -l <set/prompt.jsonl)" = 500 ] && cmp -s set/prompt.jsonl.bak all.jsonl || wrong=$((wrong + 1))
    k=$((k + 1))
done
echo "# $early of $kills were killed before their end"
check "$kills kills: no line lost, none twice" test $wrong = 0
finish
