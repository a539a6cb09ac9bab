#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# mien build killed, stopped, cut into parts, on a full disk: the data set is the same bytes in the end. KILLS=200 for the
# long form (make soak).
. "$(dirname "$0")/lib"
need_models
make_photos=$(realpath "$(dirname "$mien")/tests/make_photos") face=$(realpath third_party/demo/astronaut.png)
[ -x "$make_photos" ] && [ -r "$face" ] || { skip "all of it" "no make_photos, or no third_party/demo/astronaut.png (make setup)"; finish; }
cd "$T"
kills=${KILLS:-12}

"$make_photos" in 42 --size 560x520 --face "$face" --faces-every 2 --captions json --folders 3
"$make_photos" in/again 6 --size 560x520 --face "$face" --captions txt   # names that are there already
printf '{"NSFW": "LIKELY"}' >"$(find in -name 000000004.json | head -n 1)"
echo broken >in/again/000000003.jpg
build() { "$mien" build in "$@" --quiet 2>/dev/null; }
# whole FOLDER: all but the journals is as the unbroken run made it.
whole() { diff -r -x 'build*.jsonl' "$1" one; }
# pause N: about N/100 seconds.
pause() { sleep "$(awk -v n="$1" 'BEGIN { print n / 100 }')"; }

build --data one --jobs 1 --overlay; status=$?
check "the unbroken run" test $status = 3 -a "$(wc -l <one/prompt.jsonl)" -ge 20
for jobs in 2 4; do
    build --data jobs$jobs --jobs $jobs --overlay
    check "--jobs $jobs gives the same" whole jobs$jobs
done
cp -r in shuffled; rm -r in; mkdir in; (cd shuffled && find . -type f | LC_ALL=C sort -r) | while read -r f; do mkdir -p "in/$(dirname "$f")"; cp -p "shuffled/$f" "in/$f"; done
build --data order --overlay
check "so does another order of the folders" whole order

# ---- parts ----
has_merge() { "$mien" help check 2>/dev/null | grep -q -e --merge; }
# merged FOLDER: writes prompt.jsonl of what the parts have done.
merged() { if has_merge; then "$mien" check --data "$1" --merge --quiet >/dev/null 2>&1; [ $? -lt 100 ]; else build --data "$1" --overlay; fi; }
for parts in 1 2 4; do
    part=1
    while [ $part -le $parts ]; do build --data parts$parts --overlay --part $part/$parts & part=$((part + 1)); done
    wait
    check "$parts parts write no prompt.jsonl" test ! -e parts$parts/prompt.jsonl
    merged parts$parts
    check "and give the same in the end" whole parts$parts
done
"$mien" build in --data mixed --overlay --jobs 1 --part 1/2 --quiet 2>/dev/null & pid=$!
build --data mixed --overlay --part 2/2
kill -9 $pid 2>/dev/null; wait $pid 2>/dev/null
build --data mixed --overlay --part 1/3
"$mien" build in --data mixed --overlay --jobs 1 --part 3/3 --quiet 2>/dev/null & pid=$!
pause 10; kill -9 $pid 2>/dev/null; wait $pid 2>/dev/null
for part in 1 2 3 4; do build --data mixed --overlay --part $part/4; done
merged mixed
check "parts that are killed are finished by another number of parts" whole mixed
for part in 1/1 1/2 2/2 1/3 2/3 3/3; do build --data crowd --overlay --part $part & done
wait
merged crowd
check "nor do parts of different numbers at once do harm" whole crowd
rm -r in/again
build --data mixed --overlay --part 1/2; build --data mixed --overlay --part 2/2
merged mixed
build --data fewer --overlay
check "what is gone is told by the parts" diff mixed/prompt.jsonl fewer/prompt.jsonl
check "and its maps go" diff -r mixed/source fewer/source
rm -r in; mv shuffled in

# ---- killed ----
k=0 torn=0
while [ $k -lt "$kills" ]; do
    [ $((k % 6)) = 0 ] && rm -rf out   # so that there is something to do
    "$mien" build in --data out --overlay --quiet 2>/dev/null & pid=$!
    pause $((5 + k * 7 % 23))
    kill -9 $pid 2>/dev/null
    wait $pid 2>/dev/null
    find out -type f ! -name '.*' ! -name 'build*.jsonl' 2>/dev/null | while read -r f; do cmp -s "$f" "one/${f#out/}" || echo "$f"; done >halves
    [ -s halves ] && torn=$((torn + 1))
    k=$((k + 1))
done
check "$kills kills left no half file" test $torn = 0
mkdir -p out/source out/target
: >out/source/.x.png.mien-tmp-999999999-0; : >out/target/.y.jpg.mien-tmp-999999999-0; : >out/.prompt.jsonl.mien-tmp-999999999-0
build --data out --overlay; status=$?
check "the next run finishes the job" test $status = 3
check "all is as if it had never been broken, and nothing else is left" whole out
check "each photo is noted" test "$(grep -o '"photo":"[^"]*"' out/build.jsonl | sort -u | wc -l)" = 48
cut=$(($(wc -c <out/build.jsonl) - 30)); head -c $cut out/build.jsonl >x; mv x out/build.jsonl
build --data out --overlay
check "a torn line of the journal is made up for" whole out

# ---- stopped, twice at once ----
if command -v python3 >/dev/null; then
    python3 - "$mien" <<'PY' && passed "Ctrl-C: 130, and what was finished is kept" || failed "Ctrl-C: 130, and what was finished is kept"
import os, signal, subprocess, sys, time
signal.signal(signal.SIGINT, signal.SIG_DFL)
run = subprocess.Popen([sys.argv[1], "build", "in", "--data", "stopped", "--jobs", "1", "--overlay"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
for _ in range(2000):
    if os.path.isdir("stopped/source") and any(n.endswith(".png") for n in os.listdir("stopped/source")): break
    time.sleep(0.005)
second = subprocess.run([sys.argv[1], "build", "in", "--data", "stopped"], capture_output=True)
run.send_signal(signal.SIGINT)
out, err = run.communicate(timeout=60)
print("#", run.returncode, out.decode().strip(), err.decode().strip(), second.returncode, second.stderr.decode().strip())
beside = second.returncode == 1 and b"is being written by process" in second.stderr or run.returncode == 3
sys.exit(not ((run.returncode == 130 and out.startswith(b"stopped: ") or run.returncode == 3) and beside))
PY
    check "no lock, no leftovers" test -z "$(find stopped -name '.*mien*')"
    build --data stopped --overlay
    check "the next run goes on to the same" whole stopped
else
    skip "Ctrl-C" "no python3"
fi

# ---- no room ----
mkdir full
if unshare -rm true 2>/dev/null && unshare -rm sh -c "mount -t tmpfs -o size=200k none full" 2>/dev/null; then
    expect "a full disk" 1 unshare -rm sh -c "mount -t tmpfs -o size=200k none full && '$mien' build in --data full --overlay; status=\$?;
        find full -name '*.mien-tmp-*'; mount -o remount,size=40m full && '$mien' build in --data full --overlay -q; diff -r -x 'build*.jsonl' full one && echo whole; exit \$status"
    check "stops the job" said "No space left on device"
    check "and says what was done" printed "stopped: "
    check "no temporary file is left" not printed ".mien-tmp-"
    check "with room again the next run finishes the job" printed "whole"
else
    skip "a full disk" "no tmpfs may be mounted here"
fi
finish
