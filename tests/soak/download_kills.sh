#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# mien download killed by -9 every second for a minute (KILLS=60), alone and as two parts in turns, from a server on loopback
# with ITEMS=4000 photos and some that are none: no file is ever half, and a last run makes the same set as one that was never
# broken off, with each item in the journal once and nothing fetched without need.
. "$(dirname "$0")/../cli/lib"
make_photos=$(realpath "$(dirname "$mien")/tests/make_photos") server=$(realpath "$(dirname "$0")/../net/server.py")
[ -x "$make_photos" ] || { skip "all of it" "no make_photos (make tests)"; finish; }
command -v python3 >/dev/null || { skip "all of it" "no python3"; finish; }
cd "$T"
kills=${KILLS:-60} items=${ITEMS:-4000}

"$make_photos" web "$items" --size 200x160
python3 "$server" --pid $$ --lifetime 3600 web >port 2>server.log & server_pid=$!
trap 'kill $server_pid 2>/dev/null; rm -rf "$T"' EXIT
while [ ! -s port ]; do sleep 0.1; done
read -r port <port
stats() { python3 "$server" --stats "$port" "$@"; }

# Every 50th is not there, or no picture, or elsewhere, or late; nine hosts.
list() {
    awk -v n="$items" -v port="$port" 'BEGIN {
        split("_status:404/ _html/ _redirect/ _delay:0.5/ _header:X-Robots-Tag:noai/ _chunked/", odd, " ")
        for (i = 0; i < n; i++)
            printf "%s\"%09d\": {\"url\": \"http://127.0.0.%d:%d/%s%09d.jpg\", \"caption\": \"%d\"}", i ? ", " : "{", i, i % 9 + 1, port, i % 50 == 7 ? odd[int(i / 50) % 6 + 1] : "", i, i
        printf ", \"../x\": {\"url\": \"http://127.0.0.1:%d/x\"}, \"y\": {\"url\": \"file:///etc/passwd\"}}", port }'
}
mkdir whole out
list >whole/metadata.json; cp whole/metadata.json out/
download() { "$mien" download --allow-private --quiet "$@" 2>>log; }
# outcomes FOLDER: what the last line of each item says.
outcomes() {
    cat "$1"/download*.jsonl | sed -n 's/.*"id": *"\([^"]*\)".*"status": *"\([^"]*\)".*/\1 \2/p' | awk '{ last[$1] = $2 } END { for (id in last) print id, last[id] }' | sort
}
has_merge() { "$mien" help check 2>/dev/null | grep -q -e --merge; }

download --data whole --host-rate 0 --host-connections 0; status=$?
check "the unbroken run" test $status = 3 -a "$(ls whole/target | wc -l)" -ge $((items * 97 / 100))

# round NUMBER: starts one or two processes, and kills them after a second. True if there was nothing left to do.
round() {
    if [ $(($1 / 10 % 2)) = 1 ]; then set -- --part 1/2 --part 2/2; else set --; fi
    "$mien" download --allow-private --quiet --data out ${1+"$1" "$2"} 2>>log & first=$!
    second=; [ $# = 0 ] || { "$mien" download --allow-private --quiet --data out "$3" "$4" 2>>log & second=$!; }
    sleep 1
    kill -9 $first $second 2>/dev/null
    { wait $first; ended=$?; } 2>/dev/null
    if [ -n "$second" ]; then { wait $second; [ $? = 137 ] && ended=137; } 2>/dev/null; fi
    [ $ended != 137 ]
}
halves() { [ ! -d out/target ] || diff -rq -x '.*' out/target whole/target | grep -v '^Only in whole'; }

k=0 torn=0 done=0
while [ $k -lt "$kills" ]; do
    ! round $k || done=$((done + 1))
    [ -z "$(halves | tee -a torn)" ] || torn=$((torn + 1))
    k=$((k + 1))
done
echo "# $(ls out/target | wc -l) of $items photos were there after $kills kills; $done rounds ended before theirs"
check "$kills kills left no half file" test $torn = 0 || head -n 5 torn | sed 's/^/# /'

download --data out --host-rate 0 --host-connections 0; status=$?
check "the last run finishes the job" test $status = 3
check "the photos are as if it had never been broken off" diff -rq out/target whole/target
outcomes out >have; outcomes whole >want
check "and so is what became of each item" cmp have want || diff have want | head -n 10 | sed 's/^/# /'
check "all of them are there" test "$(wc -l <have)" -ge "$items"
cat out/download*.jsonl | grep -c '"status": *"ok"' >ok
check "none is there twice" test "$(cat ok)" = "$(ls out/target | wc -l)"
check "nothing else is left" test -z "$(find out -name '.*mien*' ! -name '.mien.lock*')"
if has_merge; then
    expect "the journals are merged" 0 "$mien" check --data out --merge
    check "into one" test "$(ls out | grep -c '^download.*\.jsonl$')" = 1
    outcomes out >have
    check "that says the same" cmp have want
fi
stats requests >before
download --data out; status=$?
stats requests >after
check "another run touches no network" cmp before after
python3 - "$port" <<'PY' >requests
import json, sys, urllib.request
stats = json.load(urllib.request.urlopen("http://127.0.0.1:%s/_stats" % sys.argv[1]))
plain = {p: n for p, n in stats["requests"].items() if not p.startswith("/_")}
print(sum(plain.values()), len(plain))
PY
read -r requests paths <requests
echo "# $requests requests for $paths photos, of which each is asked for twice anyway: once by the unbroken run"
# What was under way when it was killed is asked for again: 4 connections to each of 9 hosts.
check "nothing is fetched without need" test "$requests" -le $((2 * paths + kills * 2 * 36))
finish
