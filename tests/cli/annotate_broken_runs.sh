#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# mien annotate killed, stopped, run twice at once, on a full disk: no half file, and the next run finishes the job.
# KILLS=200 for the long form (make soak).
. "$(dirname "$0")/lib"
need_models
cd "$T"
kills=${KILLS:-12}

mkdir -p in/sub
i=0; while [ $i -lt 60 ]; do picture in/$i.bmp $((300 + i)) 200 $((i % 10)); picture in/sub/$i.bmp 200 $((300 + i)); i=$((i + 1)); done
job="$mien annotate in -o out --json --overlay --quiet"
$job && mv out whole
check "the unbroken run" test "$(find whole -type f | wc -l)" = 360

# whole_files: every output is complete, whatever was going on.
whole_files() {
    find out -type f ! -name '.*' | while read -r f; do cmp -s "$f" "whole/${f#out/}" || echo "$f"; done >halves
    [ ! -s halves ]
}
# pause N: about N/100 seconds.
pause() { sleep "$(awk -v n="$1" 'BEGIN { print n / 100 }')"; }

k=0 torn=0 made=0
while [ $k -lt "$kills" ]; do
    [ $((k % 6)) = 0 ] && rm -rf out   # so that there is something to do
    $job & pid=$!
    pause $((5 + k * 7 % 23))
    kill -9 $pid 2>/dev/null
    wait $pid 2>/dev/null
    [ -d out ] && { whole_files || torn=$((torn + 1)); }
    k=$((k + 1))
done
check "$kills kills left no half file" test $torn = 0
made=$(find out -type f ! -name '.*' | wc -l)
echo "# $made of 360 files were there before the last run"
mkdir -p out/sub                       # a slow machine may not have come so far
: >"out/.x.png.mien-tmp-999999999-0"   # of a process that is gone
: >"out/sub/.y.png.mien-tmp-$$-0"      # of one that lives
expect "the next run finishes the job" 0 $job
rm -f "out/sub/.y.png.mien-tmp-$$-0" && passed "what belongs to a living process stays" || failed "what belongs to a living process stays"
check "all is as if it had never been broken" diff -r out whole
check "nothing else is left" test "$(find out -type f | wc -l)" = 360

# ---- two at once ----
mkfifo list
"$mien" annotate - -o two <list 2>/dev/null >/dev/null & pid=$!
exec 3>list                            # it waits for its list, and holds the folder
while [ ! -s two/.mien.lock ]; do pause 1; done
expect "a second process" 1 "$mien" annotate in -o two
check "names the first" said "two: is being written by process $pid on "
expect "a part of another job" 1 "$mien" annotate in -o two --part 1/2
check "names it too" said "is being written by process $pid on "
exec 3>&-
wait $pid
expect "afterwards it may" 0 "$mien" annotate in/1.bmp -o two
check "no lock is left" test ! -e two/.mien.lock
"$mien" annotate - -o two --part 1/2 <list >/dev/null 2>&1 & pid=$!
exec 3>list
while [ ! -s two/.mien.lock.1-of-2 ]; do pause 1; done
expect "another part beside a part" 0 "$mien" annotate in -o two --part 2/2 --quiet
expect "the same part twice" 1 "$mien" annotate in -o two --part 1/2
check "names the first part" said "two: part 1 of 2 is being written by process $pid on "
expect "all of it beside a part" 1 "$mien" annotate in -o two
check "names the part's process" said "two: is being written by process $pid on "
exec 3>&-
wait $pid
check "parts leave no lock" test -z "$(find two -name '.mien.lock*')"

# ---- stopped ----
"$mien" annotate - -o waiting <list >.stdout 2>.stderr & pid=$!
exec 3>list
while [ ! -s waiting/.mien.lock ]; do pause 1; done
kill -s TERM $pid; wait $pid; status=$?
exec 3>&-
check "SIGTERM ends the wait for a list, with 143" test $status = 143
sh -c 'trap "" INT; exec "$0" annotate - -o waiting' "$mien" <list >.stdout 2>.stderr & pid=$!
exec 3>list
while [ ! -s waiting/.mien.lock ]; do pause 1; done
kill -s INT $pid; pause 10; (echo in/1.bmp >&3)
exec 3>&-
wait $pid; status=$?
check "a SIGINT that was ignored from the start still is" test $status = 0 -a -s waiting/1.png
if command -v python3 >/dev/null; then
    python3 - "$mien" <<'PY' && passed "Ctrl-C: 130, and what was finished is kept" || failed "Ctrl-C: 130, and what was finished is kept"
import os, signal, subprocess, sys, time
signal.signal(signal.SIGINT, signal.SIG_DFL)   # background jobs of a shell ignore it, and so would the child
run = subprocess.Popen([sys.argv[1], "annotate", "in", "-o", "stopped", "--jobs", "1", "--json", "--overlay"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
for _ in range(2000):
    if os.path.isdir("stopped") and any(n.endswith("_overlay.png") for n in os.listdir("stopped")): break
    time.sleep(0.005)
run.send_signal(signal.SIGINT)
out, err = run.communicate(timeout=60)
print("#", run.returncode, out.decode().strip(), err.decode().strip())
sys.exit(not (run.returncode == 130 and out.startswith(b"stopped: ") and not err))
PY
    check "no lock, no leftovers" test -z "$(find stopped -name '.*mien*')"
    expect "the next run goes on" 0 "$mien" annotate in -o stopped --json --overlay
    check "not from the start" not printed " 0 done before"
    check "and is complete" diff -r stopped whole
else
    skip "Ctrl-C" "no python3"
fi

# ---- no room ----
mkdir full
if unshare -rm true 2>/dev/null && unshare -rm sh -c "mount -t tmpfs -o size=256k none full" 2>/dev/null; then
    expect "a full disk" 1 unshare -rm sh -c "mount -t tmpfs -o size=256k none full && '$mien' annotate in -o full --json --overlay; status=\$?;
        find full -type f | wc -l; find full -name '*.mien-tmp-*'; exit \$status"
    check "stops the job" said "No space left on device"
    check "with one line" test "$(wc -l <.stderr)" = 1
    check "and says what was done" printed "stopped: "
    check "no temporary file is left" not printed ".mien-tmp-"
else
    skip "a full disk" "no tmpfs may be mounted here"
fi
{ head -c 54 in/1.bmp; head -c 300000 /dev/urandom; } >noise.bmp
expect "a limit on the size of files" 3 sh -c "ulimit -f 40; exec '$mien' annotate noise.bmp -o small --overlay"
check "is the reason" said "File too large"
check "nothing half is left" test -z "$(find small -type f)"
finish
