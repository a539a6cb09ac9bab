#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# mien build killed by -9 every second for a minute (KILLS=60), alone and as two parts in turns, over PHOTOS=4000 photos: no file
# is ever half, and a last run makes the same data set as one that was never broken off, with nothing in it twice.
. "$(dirname "$0")/../cli/lib"
need_models
make_photos=$(realpath "$(dirname "$mien")/tests/make_photos") face=$(realpath third_party/demo/astronaut.png)
[ -x "$make_photos" ] && [ -r "$face" ] || { skip "all of it" "no make_photos, or no third_party/demo/astronaut.png (make setup)"; finish; }
cd "$T"
kills=${KILLS:-60} photos=${PHOTOS:-4000}

"$make_photos" in "$photos" --size 560x520 --face "$face" --faces-every 2 --captions json --folders 5
"$make_photos" in/again 50 --size 560x520 --face "$face" --captions txt   # names that are there already
echo broken >in/again/000000003.jpg
"$mien" build in --data whole --overlay --quiet 2>/dev/null; status=$?
check "the unbroken run" test $status = 3 -a "$(wc -l <whole/prompt.jsonl)" -ge $((photos / 4))
has_merge() { "$mien" help check 2>/dev/null | grep -q -e --merge; }


same() { diff -r -x 'build*.jsonl' out whole; }
# round NUMBER: starts one or two processes, and kills them after a second. True if there was nothing left to do.
round() {
    if [ $(($1 / 10 % 2)) = 1 ] && has_merge; then set -- --part 1/2 --part 2/2; else set --; fi
    "$mien" build in --data out --overlay --quiet ${1+"$1" "$2"} 2>>log & first=$!
    second=; [ $# = 0 ] || { "$mien" build in --data out --overlay --quiet "$3" "$4" 2>>log & second=$!; }
    sleep 1
    kill -9 $first $second 2>/dev/null
    { wait $first; ended=$?; } 2>/dev/null
    if [ -n "$second" ]; then { wait $second; [ $? = 137 ] && ended=137; } 2>/dev/null; fi
    [ $ended != 137 ]
}
# halves: files that are not what they are in the end. (Journals grow; what is hidden is not there yet.)
halves() { diff -rq -x '.*' -x 'build*.jsonl' out whole | grep -v '^Only in whole'; }

k=0 torn=0 again=0
while [ $k -lt "$kills" ]; do
    if round $k && [ $k -lt $((kills - 5)) ] && [ -e out/prompt.jsonl ]; then rm -rf out; again=$((again + 1)); fi
    [ ! -d out ] || [ -z "$(halves | tee -a torn)" ] || torn=$((torn + 1))
    k=$((k + 1))
done
echo "# $(find out -name '*.json' -path '*/source/*' 2>/dev/null | wc -l) maps were there after $kills kills; $again times all was done, and begun again"
check "$kills kills left no half file" test $torn = 0 || head -n 5 torn | sed 's/^/# /'
check "each run got as far as it could" not grep -vE 'again/000000003|^$' log

"$mien" build in --data out --overlay --quiet 2>/dev/null; status=$?
check "the last run finishes the job" test $status = 3
check "the data set is as if it had never been broken off" same
check "no line is there twice" test -z "$(sort out/prompt.jsonl | uniq -d)"
check "nothing else is left" test -z "$(find out -name '.*mien*')"
if has_merge; then
    expect "the journals are merged" 0 "$mien" check --data out --merge
    check "into one" test "$(ls out | grep -c '^build.*\.jsonl$')" = 1
    check "the data set stays as it is" same
fi
check "each photo is noted" test "$(grep -o '"photo":"[^"]*"' out/build.jsonl | sort -u | wc -l)" = $((photos + 50))
before=$(cat out/build*.jsonl | wc -l)
"$mien" build in --data out --overlay --quiet 2>/dev/null
check "another run adds no photo to the journal" test "$(cat out/build*.jsonl | grep -c '"photo"')" -le "$before"
check "and changes nothing" same
finish
