#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# mien pull, with a server on loopback that cuts, stalls, lies and changes its mind. A model of a few hundred KB stands for the large ones.
. "$(dirname "$0")/lib"
server=$(realpath tests/net/server.py)
command -v python3 >/dev/null || { skip "all of it" "no python3 for a server on loopback"; finish; }
unset http_proxy https_proxy HTTPS_PROXY all_proxy ALL_PROXY no_proxy NO_PROXY CURL_CA_BUNDLE SSL_CERT_FILE XDG_CACHE_HOME
export MIEN_CACHE="$T/cache"
cd "$T"
mkdir www
python3 -c 'import random; open("www/m.safetensors", "wb").write(random.Random(7).randbytes(300001))'
cp www/m.safetensors first; sum=$(sha256sum www/m.safetensors | cut -c1-64) zeros=0000000000000000000000000000000000000000000000000000000000000000
face=CrucibleAI/ControlNetMediaPipeFace/resolve/main/control_v2p_sd15_mediapipe_face.safetensors
mkdir -p "www/$(dirname $face)" && cp first "www/$face"
openssl=; openssl version >/dev/null 2>&1 && openssl="--tls tls"
python3 "$server" --pid $$ $openssl www >port 2>server.log & server_pid=$!
trap 'kill $server_pid 2>/dev/null; rm -rf "$T"' EXIT
while [ ! -s port ] && kill -0 $server_pid 2>/dev/null; do sleep 0.05; done
read -r port tls_port <port; at=http://127.0.0.1:$port
stats() { python3 "$server" --stats "$port" "$@"; }
reset() { python3 "$server" --get "$at/_stats-reset" >/dev/null; }
pull() { path=$1; shift; "$mien" pull "$at/$path" --to to --insecure --allow-private --retry-wait 0.01 --stall-timeout 100 "$@"; }
clean() { rm -rf to; }
whole() { cmp -s "to/${1:-m.safetensors}" "${2:-first}" && [ ! -e "to/${1:-m.safetensors}.part" ] && [ ! -e "to/${1:-m.safetensors}.part.json" ]; }
nothing() { [ -z "$(ls to 2>/dev/null)" ]; }
size() { stat -c %s "$1" 2>/dev/null || echo none; }

# ---- the list, and what is refused ----
expect "the list" 0 "$mien" pull
check "it names the models" eval 'printed sd15 && printed sd21-base && printed face-sd21 && printed face-sd15'
check "with sizes, licences, addresses, and that SD 2.x was withdrawn" eval 'printed "4.27 GB" && printed openrail++ && printed https://huggingface.co/CrucibleAI && printed withdrew'
check "with the base that a ControlNet goes with" eval 'printed "goes with sd21-base" && printed "goes with sd15"'
expect "the list for programs" 0 "$mien" pull --log-json
check "is JSON, one a line" python3 -c 'import json; [json.loads(l)["sha256"] for l in open("'"$T"'/.stdout")]'
expect "a restricted model without --accept-license" 2 "$mien" pull sd15
check "says which licence" eval 'said creativeml-openrail-m && said --accept-license && [ ! -e cache ]'
expect "an unknown name" 2 "$mien" pull sd16
check "lists the known ones" said "sd15, sd21-base"
expect "two names" 2 "$mien" pull sd15 sd21
expect "options without a name" 2 "$mien" pull --to x
expect "a URL without --to" 2 "$mien" pull https://example.com/x.safetensors
for url in ftp://example.com/x http://example.com/x file:///etc/passwd; do expect "$url" 2 "$mien" pull "$url" --to to; done
for end in "" .hidden a%2fb "a b" "..;"; do expect "a name like \"$end\"" 2 "$mien" pull "https://example.com/$end" --to to; done
expect "a sum that is none" 2 pull m.safetensors --sha256 12
expect "a sum for a known model" 2 "$mien" pull sd15 --sha256 $sum --accept-license
expect "loopback" 1 "$mien" pull "$at/m.safetensors" --to to --insecure
check "needs --allow-private" said --allow-private
check "nothing was asked" [ "$(stats requests)" = - ]
clean

# ---- whole files ----
expect "a file, as the hub says" 0 pull _linked/_range/m.safetensors
check "it is whole, and says so" eval 'whole && printed "the hub tells" && printed $sum'
check "where it is from stands beside it" python3 -c 'import json; j = json.load(open("to/m.safetensors.pull.json")); assert j["bytes"] == 300001 and j["sha256"] == "'$sum'" and "_linked" in j["url"]'
reset
expect "again" 0 pull _linked/_range/m.safetensors
check "nothing is asked" eval 'printed "was there already" && [ "$(stats requests)" = - ]'
expect "the same file by another URL" 0 pull _range/m.safetensors --sha256 $sum
rm to/m.safetensors.pull.json
expect "without its record its sum is taken" 0 pull _range/m.safetensors --sha256 $sum
check "and the record written" [ -e to/m.safetensors.pull.json ]
rm to/m.safetensors.pull.json
expect "without record and sum it is anybody's" 1 pull _range/m.safetensors
echo mine >to/m.safetensors
expect "another file is not overwritten" 1 pull _range/m.safetensors --sha256 $sum
check "it is still there" eval 'said "another file" && [ "$(cat to/m.safetensors)" = mine ]'
clean
expect "a file that nobody vouches for" 0 pull m.safetensors
check "is unverified" eval 'whole && printed unverified'
clean
expect "for programs" 0 pull _chunked/m.safetensors --log-json
check "is JSON" eval 'whole && python3 -c "import json; assert json.load(open(\"$T/.stdout\"))[\"verified\"] == \"unverified\"" && printed "\"fetched\":300001"'
clean

# ---- cuts ----
reset
expect "cut twice, then whole" 0 pull _linked/_times:2:_cut/_range/m.safetensors
check "it went on where it was" eval 'whole && said "trying again" && [ "$(stats last_headers /_times:2:_cut/_range/m.safetensors range)" = bytes=225000- ]'
check "the ETag was told" [ "$(stats last_headers /_times:2:_cut/_range/m.safetensors if-range)" = "\"$(md5sum <first | cut -c1-32)\"" ]
clean
reset
for how in _cut _reset _stall-body _chunked-cut _status:503 _heal:502:1:0; do
    expect "once $how, then whole" 0 pull _linked/_times:1:$how/_range/m.safetensors --stall-timeout 1
    check "it is whole" whole
    clean
done
reset
expect "cut, and no more tries" 1 pull _times:1:_cut/_range/m.safetensors --retries 0
check "what came is kept" [ "$(size to/m.safetensors.part)" = 150000 ]
reset
expect "the same line goes on" 0 pull _times:0:x/_range/m.safetensors --sha256 $sum
check "with the rest alone" eval 'whole && printed "150001 of them fetched now" && said "goes on after"'
clean
pull _cut/_range/m.safetensors --retries 0 >/dev/null 2>&1
expect "a server that knows no parts" 0 pull m.safetensors --sha256 $sum
check "gives all of it" eval 'whole && printed "300001 of them"'
clean
pull _cut/m.safetensors --retries 0 >/dev/null 2>&1
check "a part of which nothing is known is not kept" nothing
expect "it begins again" 0 pull _range/m.safetensors
check "whole" eval 'whole && printed "300001 of them"'
clean

# ---- another file by now ----
python3 -c 'import random; open("second", "wb").write(random.Random(8).randbytes(310000))'
for how in _range _range:blind; do
    pull _times:1:_cut/$how/m.safetensors --retries 0 >/dev/null 2>&1
    cp second www/m.safetensors
    expect "the file changed between two runs ($how)" 0 pull _times:1:_cut/$how/m.safetensors
    check "the new one is whole" eval 'whole m.safetensors second && said "all of it is fetched"'
    cp first www/m.safetensors; clean; reset
done
head -c 100000 second >head
mkdir to && cp head to/m.safetensors.part
expect "a part of something else, and a known sum" 0 pull _range/m.safetensors --sha256 $sum
check "is found out, and all fetched again" eval 'whole && said "put together"'
clean; mkdir to && cp head to/m.safetensors.part && echo '{"format":1,"bytes":5,"etag":"\"a\r\nCookie: b\"","url":3' >to/m.safetensors.part.json
expect "notes of a part that are garbage" 0 pull _range/m.safetensors
check "begin again" whole
clean; mkdir to && ln -s "$T/first" to/m.safetensors.part
expect "a part that is a link" 1 pull _range/m.safetensors
check "is not written through" eval 'cmp -s first www/m.safetensors'
clean; mkdir to && cat first head >to/m.safetensors.part
expect "a part that is too long" 0 pull _range/m.safetensors --sha256 $sum
check "whole" whole
clean; mkdir to && cp first to/m.safetensors.part
expect "a part that is whole" 0 pull _range/m.safetensors --sha256 $sum
check "whole" whole
clean

# ---- lies ----
expect "a wrong sum" 1 pull _range/m.safetensors --sha256 $zeros
check "is told, and nothing kept" eval 'said $sum && said $zeros && nothing'
expect "a hub that tells a wrong sum" 1 pull _linked:$zeros/m.safetensors
check "nothing is kept" eval 'said "says the hub" && nothing'
reset
expect "a hub with another file than the one asked for" 1 pull _linked/m.safetensors --sha256 $zeros
check "nothing is fetched" eval 'said "another file" && [ "$(stats requests /m.safetensors)" = - ]'
expect "a hub that tells a wrong size" 1 pull _linked:$sum:7/m.safetensors
check "is told" said "where the hub speaks of 7"
expect "longer than it is" 1 pull _linked/_longer/_range/m.safetensors --retries 1
expect "shorter than it is" 1 pull _linked:$sum:/_shorter/m.safetensors
for how in _length:-5 _length:9999999999999999999999 _garbage _refuse _http09 _headers-endless _as:206 _empty; do
    clean
    expect "$how" 1 pull _linked:$sum:/$how/m.safetensors --retries 1
    check "leaves no file" [ ! -e to/m.safetensors ]
done
clean
expect "more than the disk has" 1 pull _length:900000000000000000/_range/m.safetensors
check "is said at once, and leaves nothing" eval 'said "the disk has" && nothing'
clean

expect "packed, though it was asked for as it is" 1 pull _gzip/m.safetensors
check "is refused, and leaves nothing" eval 'said "Content-Encoding" && nothing'
expect "a server that packs where it may" 0 pull _packs/m.safetensors
check "was asked not to" whole
clean
: >www/empty.safetensors
expect "an empty file" 1 pull empty.safetensors
check "is no model, and leaves nothing" eval 'said "an empty file came" && nothing'
printf '\n<!DOCTYPE html>\n<title>Log in</title>\n' >www/page.safetensors
expect "a web page" 1 pull page.safetensors
check "is none either" eval 'said "a web page came" && nothing'
clean

# ---- errors ----
for status in 404 403 401 400 410; do expect "status $status" 1 pull _status:$status/m.safetensors; done
check "is told, and leaves nothing" eval 'said "HTTP 410" && nothing'
expect "trouble that lasts" 1 pull _status:500/m.safetensors --retries 2
check "is told" said "HTTP 500"
reset
expect "a server that wants an hour" 1 pull _retry:503:3600/m.safetensors
check "is asked once" [ "$(stats requests /_retry:503:3600/m.safetensors)" = 1 ]
expect "redirects without an end" 1 pull _loop/m.safetensors
check "are left" said redirects
expect "five redirects" 0 pull _hops:5/m.safetensors
expect "a redirect to nowhere" 1 pull _nowhere/m2.safetensors
expect "a redirect to a file" 1 pull _location:file%3A%2F%2F%2Fetc%2Fpasswd/m2.safetensors
check "is not followed" said "not https"
expect "nobody there" 1 "$mien" pull http://127.0.0.1:1/m2.safetensors --to to --insecure --allow-private
check "is told at once" said "cannot be reached"
expect "no such host" 1 "$mien" pull https://nowhere.invalid/m2.safetensors --to to
check "is told" said "cannot be reached"
echo x >file
expect "a folder that is a file" 1 pull m.safetensors --to file
clean
if [ -n "$openssl" ]; then
    tls=https://localhost:$tls_port
    expect "a certificate of nobody" 1 "$mien" pull "$tls/m.safetensors" --to to --allow-private
    export CURL_CA_BUNDLE=$T/tls/cert.pem
    expect "https" 0 "$mien" pull "$tls/_linked/m.safetensors" --to to --allow-private
    check "whole" whole
    clean
    expect "https that leads to http" 1 "$mien" pull "$tls/_location:http%3A%2F%2F127.0.0.1%3A$port%2Fm.safetensors/m.safetensors" --to to --allow-private
    check "is refused" said "not https"
    unset CURL_CA_BUNDLE
else skip "https" "no openssl"; fi
clean

# ---- the known ones, from a mirror ----
reset
expect "a mirror with another file" 1 "$mien" pull face-sd15 --accept-license --insecure --allow-private --url-base "$at/_linked/" --retry-wait 0.01
check "is refused before it is fetched" eval 'said "another file" && said 5be501156709895f && [ "$(stats requests /$face)" = - ]'
expect "one that does not tell" 1 "$mien" pull face-sd15 --accept-license --insecure --allow-private --url-base "$at"
check "is found out" eval 'said $sum && [ -z "$(find cache -type f)" ]'
expect "a mirror that has it not" 1 "$mien" pull sd21-base --accept-license --insecure --allow-private --url-base "$at"
check "says that it was withdrawn, and of mirrors" eval 'said 404 && said withdrew && said --url-base'
expect "a known one that is cut" 1 "$mien" pull face-sd15 --accept-license --insecure --allow-private --url-base "$at/_cut/_range" --retries 0
check "goes to the cache" [ "$(size cache/models/face-sd15/control_v2p_sd15_mediapipe_face.safetensors.part)" = 150000 ]
unset MIEN_CACHE
expect "XDG_CACHE_HOME" 1 env XDG_CACHE_HOME="$T/xdg" "$mien" pull face-sd15 --accept-license --insecure --allow-private --url-base "$at/_cut/_range" --retries 0
check "is obeyed" [ -d xdg/mien/models/face-sd15 ]
expect "no home" 2 env -u HOME "$mien" pull face-sd15 --accept-license
check "is told" said MIEN_CACHE

# ---- stopped, killed, full, two at once ----
slow=_trickle:30000/_range/m.safetensors
begin() { "$mien" pull "$at/$slow" --to to --insecure --allow-private >out 2>err & job=$!; n=0; while [ "$(size to/m.safetensors.part)" = none ] || [ "$(size to/m.safetensors.part)" = 0 ]; do sleep 0.05; n=$((n + 1)); [ $n -lt 1000 ] || break; done; }
begin
expect "a second one at the same file" 1 pull $slow
check "is told" said "another process"
kill -TERM $job; wait $job; got=$?
check "SIGTERM ends it with 143" [ $got = 143 ]
check "and says what is kept" grep -q 'stopped: [0-9]* bytes are kept' err
expect "it goes on" 0 pull _range/m.safetensors --sha256 $sum
check "whole, and not from the beginning" eval 'whole && ! printed "300001 of them"'
clean
for round in 1 2 3; do
    begin
    kill -9 $job; wait $job 2>/dev/null
    had=$(size to/m.safetensors.part)
    check "kill -9, round $round: what came is there" [ "$had" -gt 0 ]
done
expect "it goes on" 0 pull _range/m.safetensors --sha256 $sum
check "whole, and not from the beginning" eval 'whole && ! printed "300001 of them"'
clean
(ulimit -f 200; pull _range/m.safetensors) >out 2>err; got=$?
check "a file that may not grow" [ $got = 1 ]
check "is told, and what came is kept" eval 'grep -q "is kept" err && [ "$(size to/m.safetensors.part)" -gt 0 ]'
expect "with room it goes on" 0 pull _range/m.safetensors
check "whole" eval 'whole && ! printed "300001 of them"'
clean
(ulimit -f 200; pull _no-length/m.safetensors) >out 2>err; got=$?
check "a file without a tag that may not grow" [ $got = 1 ]
check "is thrown away, and that is told" eval 'grep -q "thrown away" err && nothing'
"$mien" pull "$at/_trickle:30000/m.safetensors" --to to --insecure --allow-private >out 2>err & job=$!
while [ "$(size to/m.safetensors.part)" = none ] || [ "$(size to/m.safetensors.part)" = 0 ]; do sleep 0.05; done
kill -TERM $job; wait $job
check "nor is it kept when it is stopped" eval 'grep -q "nothing is kept" err && nothing'
finish
