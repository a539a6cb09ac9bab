#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# What mien check removed, mien download does not bring back: not by its id, its URL, nor its bytes from elsewhere.
. "$(dirname "$0")/lib"
photos=$(realpath "${BUILD:-build}/tests/make_photos")
server=$(realpath tests/net/server.py)
command -v python3 >/dev/null || { skip "all of it" "no python3 for a server on loopback"; finish; }
cd "$T"

"$photos" www 4 --size 64x64
cp www/000000001.jpg www/elsewhere.jpg
python3 "$server" --pid $$ www >port 2>server.log & pid=$!
while [ ! -s port ] && kill -0 $pid 2>/dev/null; do sleep 0.05; done
at=http://127.0.0.1:$(head -n 1 port)
list() { printf '{'; comma=; for i in $*; do printf '%s"%s": {"url": "%s/%s.jpg"}' "$comma" "${i%=*}" "$at" "${i#*=}"; comma=', '; done; echo '}'; }
mkdir set
list a=000000000 b=000000001 c=000000002 d=000000003 >set/metadata.json
download() { "$mien" download --data set --allow-private --host-rate 0 --quiet; }
expect "a download" 0 download
check "of four photos" test "$(ls set/target | wc -l)" = 4
{ echo b; echo "$at/000000002.jpg"; sha256sum set/target/d.jpg | cut -c1-64; } >who
expect "three are removed from what was never built" 0 "$mien" check --data set --exclude who --fix --no-faces
check "from target/" test "$(ls set/target | tr '\n' ' ')" = "a.jpg "
check "and from metadata.json" sh -c "! grep -q -e '\"b\"' -e 000000002 set/metadata.json"
check "and from the journal" sh -c "! grep -q -e '\"b\"' -e 000000002 set/download.jsonl"
expect "a check of what was never built" 2 "$mien" check --data set --no-faces
check "says what is missing" said "there is no prompt.jsonl yet: \`mien build\` makes it"
list a=000000000 b=000000001 c=000000002 d=000000003 e=000000001 f=000000002 g=elsewhere >set/metadata.json
download
check "the list again, under other ids and from elsewhere, brings none back" test "$(ls set/target | tr '\n' ' ')" = "a.jpg "
kill $pid 2>/dev/null
finish
