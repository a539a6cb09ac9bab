#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# mien download killed, stopped, cut into parts, on a full disk: the same photos in the end, none of them cut, each told of
# once. KILLS=60 for the long form (make soak).
. "$(dirname "$0")/lib"
photos=$(realpath "$(dirname "$mien")/tests/make_photos") server=$(realpath tests/net/server.py)
command -v python3 >/dev/null || { skip "all of it" "no python3 for a server on loopback"; finish; }
unset http_proxy https_proxy HTTPS_PROXY all_proxy ALL_PROXY no_proxy NO_PROXY CURL_CA_BUNDLE SSL_CERT_FILE
cd "$T"
kills=${KILLS:-12} lifetime=$((900 + ${KILLS:-0} * 10))

"$photos" www 120 --size 64x48
python3 "$server" --pid $$ --lifetime $lifetime www >port 2>server.log & server_pid=$!
trap 'kill $server_pid 2>/dev/null; rm -rf "$T"' EXIT
while [ ! -s port ] && kill -0 $server_pid 2>/dev/null; do sleep 0.05; done
port=$(cat port) at=http://127.0.0.1:$port
python3 - "$at" >list.json <<'PY'
import json, sys
u = lambda path: {"url": sys.argv[1] + "/" + path, "caption": path}
photos = {"p%03d" % i: u(("%09d.jpg" if i % 4 else "_redirect/%09d.jpg") % i) for i in range(120)}
photos.update({"gone%d" % i: u("none%d.jpg" % i) for i in range(8)})
photos.update({"page%d" % i: u("_html/%d.jpg" % i) for i in range(8)})
photos.update({"cut%d" % i: u("_cut/00000000%d.jpg" % i) for i in range(4)})
photos.update({"wait%d" % i: u("_heal:503:1:0/00000001%d.jpg" % i) for i in range(4)})
photos["../escape"] = u("000000000.jpg"); photos["file"] = {"url": "file:///etc/passwd"}
json.dump(photos, sys.stdout)
PY
get() { folder=$1; shift; "$mien" download --data "$folder" --allow-private --host-rate 0 --host-connections 0 --retries 2 --retry-wait 0.01 --quiet "$@" 2>/dev/null; }
new() { mkdir -p "$1"; cp list.json "$1/metadata.json"; }
# state FOLDER: what became of each, by the last lines of its journals, and its photos.
state() {
    python3 - "$1" <<'PY'
import glob, hashlib, json, os, sys
last, count = {}, {}
for f in sorted(glob.glob(sys.argv[1] + "/download*.jsonl")):
    for l in open(f):
        if not l.endswith("\n"): continue
        j = json.loads(l)
        if "id" not in j: continue
        if j["id"] not in last or j["time"] >= last[j["id"]]["time"]: last[j["id"]] = j
        count[j["id"]] = count.get(j["id"], 0) + 1
for i in sorted(last): print(i, last[i]["status"], last[i].get("sha256", "-"), count[i])
for f in sorted(os.listdir(sys.argv[1] + "/target")):
    if not f.startswith("."): print(f, hashlib.sha256(open(sys.argv[1] + "/target/" + f, "rb").read()).hexdigest())
PY
}
# torn FOLDER: names of photos there that are not whole.
torn() {
    for f in "$1"/target/*.jpg; do
        [ -e "$f" ] || continue
        i=${f##*/}; i=${i%.jpg}
        case $i in p*) n=${i#p} ;; wait*) n=01${i#wait} ;; *) n=x ;; esac
        cmp -s "$f" "www/000000$n.jpg" || echo "$f"
    done
}
same() { state "$1" >"$1.state"; diff one.state "$1.state"; }
leftovers() { find "$1" -name '*mien-tmp*'; }

new one
get one; status=$?
state one >one.state
check "the unbroken run" test $status = 3 -a "$(grep -c '^[pw].* ok .* 1$' one.state)" = 124 -a "$(grep -c '\.jpg ' one.state)" = 124 -a -z "$(torn one)"
check "and what failed in it" test "$(grep -c ' 404 - 1$' one.state) $(grep -c ' not_a_picture .* 1$' one.state) $(grep -c ' cut - 1$' one.state)" = "8 8 4"

# ---- parts ----
for parts in 2 4; do
    new parts$parts
    part=1
    while [ $part -le $parts ]; do get parts$parts --part $part/$parts & part=$((part + 1)); eval "last=\$!"; parts_pids="${parts_pids-} $last"; done
    wait $parts_pids; parts_pids=
    check "$parts parts at once fetch the same" same parts$parts
    check "each with a journal" test "$(ls parts$parts/download.*-of-$parts.jsonl | wc -l)" = $parts -a ! -e parts$parts/download.jsonl
done
mkdir listed
get listed --part 1/3 --list list.json & a=$!; get listed --part 2/3 --list list.json & b=$!; get listed --part 3/3 --list list.json & c=$!
wait $a $b $c
check "parts that all bring the list write it once" python3 -c '
import json; old, new = json.load(open("list.json")), json.load(open("listed/metadata.json"))
old.pop("../escape"); assert old.keys() >= new.keys() and len(new) >= 144, (len(old), len(new))'
check "and fetch the same" sh -c 'grep "\.jpg " one.state >a; ls listed/target | wc -l >b; [ "$(cat b)" = "$(wc -l <a)" ]'
new mixed
"$mien" download --data mixed --allow-private --host-rate 60 --quiet --part 1/2 2>/dev/null & pid=$!
get mixed --part 2/2
kill -9 $pid 2>/dev/null; wait $pid 2>/dev/null
check "a part is killed: something is missing" not same mixed
for part in 3 1 4 2; do get mixed --part $part/4; done
check "another number of parts finishes it" same mixed
expect "check --merge" 0 "$mien" check --data mixed --merge
check "makes one journal of them" test "$(ls mixed/download*.jsonl)" = mixed/download.jsonl
check "of the same" same mixed
python3 "$server" --get "$at/_stats-reset" >/dev/null
get mixed; status=$?
check "and one process alone has nothing left to do" test "$(python3 "$server" --stats "$port" requests)" = -
check "and writes nothing" same mixed

# ---- killed ----
k=0 halves=0 middle=0
while [ $k -lt "$kills" ]; do
    [ $((k % 8)) = 0 ] && { rm -rf out; new out; }   # so that there is something to do
    "$mien" download --data out --allow-private --host-rate 150 --host-connections 0 --retries 2 --retry-wait 0.01 --quiet 2>/dev/null & pid=$!
    sleep "0.$((1 + k * 7 % 4))$((k * 3 % 10))"
    kill -9 $pid 2>/dev/null
    wait $pid 2>/dev/null
    here=$(ls out/target 2>/dev/null | grep -c '^p')
    [ "$here" -gt 0 ] && [ "$here" -lt 120 ] && middle=$((middle + 1))
    [ -z "$(torn out)" ] || halves=$((halves + 1))
    k=$((k + 1))
done
check "$kills kills left no half photo" test $halves = 0
check "some of them came in the middle of it" test $middle -gt 0
: >out/target/.p000.jpg.mien-tmp-999999999-0; : >out/.metadata.json.mien-tmp-999999999-0
get out; status=$?
check "the next run finishes the job" test $status = 3
check "as if it had never been broken, each told of once" same out
check "nothing else is left" test -z "$(leftovers out)"
cut=$(($(wc -c <out/download.jsonl) - 30)); head -c $cut out/download.jsonl >x; cp x out/download.jsonl
get out
check "a torn line of the journal is made up for" same out

# ---- stopped ----
python3 - "$mien" <<'PY' && passed "Ctrl-C: 130, and what was finished is kept; a second process is refused" || failed "Ctrl-C: 130, and what was finished is kept; a second process is refused"
import os, shutil, signal, subprocess, sys, time
signal.signal(signal.SIGINT, signal.SIG_DFL)
os.mkdir("stopped"); shutil.copy("list.json", "stopped/metadata.json")
command = [sys.argv[1], "download", "--data", "stopped", "--allow-private", "--host-rate", "20"]
run = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
for _ in range(20000):
    if os.path.exists("stopped/download.jsonl") and open("stopped/download.jsonl").read().count('"ok"') > 2: break
    time.sleep(0.005)
second = subprocess.run(command, capture_output=True)
run.send_signal(signal.SIGINT)
out, err = run.communicate(timeout=120)
print("#", run.returncode, out.decode().strip(), err.decode().strip(), second.returncode, second.stderr.decode().strip())
kept = open("stopped/download.jsonl").read().count('"ok"')
here = len([n for n in os.listdir("stopped/target") if n.startswith(("p", "w"))])
sys.exit(not (run.returncode == 130 and out.startswith(b"stopped: ") and 3 <= kept < 124 and kept == here
              and second.returncode == 1 and b"is being written by process" in second.stderr))
PY
check "nothing else is left" test -z "$(leftovers stopped)"
get stopped
check "the next run goes on to the same" same stopped

# ---- no room ----
mkdir full
if unshare -rm true 2>/dev/null && unshare -rm sh -c "mount -t tmpfs -o size=400k none full" 2>/dev/null; then
    cat >full.sh <<'SH'
mount -t tmpfs -o size=400k none full || exit 99
sed "s,:$port/0000,:$port/_redirect/0000,g" list.json >full/metadata.json   # in the queue, redirects take space of the same disk
get() { timeout 60 "$mien" download --data full --allow-private --host-rate 0 --host-connections 0 --retries 2 --retry-wait 0.01 "$@"; }
get --on-full stop >stop.out 2>stop.err; echo $? >stop.status
find full -name '*mien-tmp*' >stop.left
for f in full/target/p*.jpg; do n=${f##*/p}; cmp "$f" "www/000000$n"; done >stop.torn 2>&1
get --log-json >wait.out 2>wait.err & pid=$!
while ! grep -q 'waiting for space' wait.err && kill -0 $pid; do sleep 0.1; done
kill -0 $pid && echo yes >waits
mount -o remount,size=40m full
wait $pid; echo $? >wait.status
find full -name '*mien-tmp*' >wait.left
cp -r full filled
SH
    mien=$mien port=$port unshare -rm sh full.sh
    check "a full disk, --on-full stop: exit 1" test "$(cat stop.status)" = 1
    check "says so" grep -q "No space left on device" stop.err
    check "and what was done" grep -q "^stopped: " stop.out
    check "nothing half-written" test ! -s stop.left -a ! -s stop.torn
    check "else it waits, and says so" test "$(cat waits)" = yes
    check "until there is space" test "$(cat wait.status)" = 3
    check "then all is as it is without" same filled
    check "nothing else is left" test ! -s wait.left
else
    skip "a full disk" "no tmpfs may be mounted here"
fi
finish
