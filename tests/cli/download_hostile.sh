#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# mien download against lists and servers that mean harm, or merely do.
. "$(dirname "$0")/lib"
photos=$(realpath "$(dirname "$mien")/tests/make_photos") server=$(realpath tests/net/server.py)
command -v python3 >/dev/null || { skip "all of it" "no python3 for a server on loopback"; finish; }
unset http_proxy https_proxy HTTPS_PROXY all_proxy ALL_PROXY no_proxy NO_PROXY CURL_CA_BUNDLE SSL_CERT_FILE
cd "$T"

"$photos" www 8 --size 64x48
"$photos" wide 1 --size 128x48; "$photos" large 1 --size 128x96; mv wide/000000000.jpg www/wide.jpg; mv large/000000000.jpg www/large.jpg
picture www/bmp.jpg 40 30 M
python3 -c '
import struct, zlib
def chunk(k, d): return struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d))
open("www/a.png", "wb").write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">2I5B", 40, 30, 8, 2, 0, 0, 0)) + chunk(b"IDAT", zlib.compress((b"\0" + bytes(120)) * 30)) + chunk(b"IEND", b""))'
printf 'User-agent: *\nDisallow: /private\n' >www/robots.txt
printf 'User-agent: mien\nDisallow: /\n' >www/robots.127.0.0.2.txt
seq 1 20000 >www/words.txt; mkdir www/private; cp www/000000000.jpg www/private/a.jpg
openssl=; openssl version >/dev/null 2>&1 && openssl="--tls tls"
python3 "$server" --pid $$ $openssl www >port 2>server.log & server_pid=$!
python3 "$server" --pid $$ --robots-status 503 www >port503 2>server503.log & server503_pid=$!
trap 'kill $server_pid $server503_pid 2>/dev/null; rm -rf "$T"' EXIT
while { [ ! -s port ] || [ ! -s port503 ]; } && kill -0 $server_pid $server503_pid 2>/dev/null; do sleep 0.05; done
read -r port tls_port <port; port503=$(cat port503) at=http://127.0.0.1:$port
get() { folder=$1; shift; "$mien" download --data "$folder" --host-rate 0 --host-connections 0 --retry-wait 0.01 "$@"; }
stats() { python3 "$server" --stats "$port" "$@"; }
reset() { python3 "$server" --get "$at/_stats-reset" >/dev/null; }
# of SET ID FIELD: what its last line says.
of() { value=$(grep -F "\"id\":\"$2\"" "$1/download.jsonl" | tail -n 1 | sed -nE "s/.*\"$3\":(\"([^\"]*)\"|([0-9.]+)).*/\2\3/p"); echo "${value:-none}"; }
# harmless FILE...: no control character but a newline, no mark of direction.
harmless() { ! LC_ALL=C grep -alE "$(printf '[\001-\010\013-\037\177]|\342\200[\252-\256]')" "$@"; }
# table NAME: of lines "id status requests url", on stdin, where requests - is not looked at and a URL without a scheme is a path at
# the server, NAME/metadata.json and NAME.want.
table() {
    mkdir -p "$1"; cat >"$1.want"
    python3 - "$1" "$at" <<'PY'
import json, sys
rows = [l.split(None, 3) for l in open(sys.argv[1] + ".want")]
url = lambda u: u.strip() if ":/" in u.split("/_", 1)[0] and not u.startswith("_") else sys.argv[2] + "/" + u.strip()
json.dump({r[0]: {"url": url(r[3])} for r in rows}, open(sys.argv[1] + "/metadata.json", "w"))
PY
}
# as_wanted NAME: a test a line.
as_wanted() {
    stats >stats.json
    python3 - "$1" >as_wanted.out <<'PY'
import json, sys
name = sys.argv[1]
got, requests = {}, json.load(open("stats.json"))["requests"]
for l in open(name + "/download.jsonl"):
    j = json.loads(l)
    if "id" in j: got[j["id"]] = j
for l in open(name + ".want"):
    i, status, n, path = l.split(None, 3)
    g = got.get(i, {"status": "no line"})
    asked = requests.get("/" + path.strip(), 0)
    good = g["status"] in status.split("|") and (n == "-" or int(n) == asked)
    print("good" if good else "bad", i, g["status"], asked, "%s %s" % (g.get("http", ""), g.get("why", "")))
PY
    while read -r good rest; do
        set -- $rest
        if [ "$good" = good ]; then passed "$1: $2, after $3 requests"; else failed "$1" "$rest" "$(grep "^$1 " *.want)"; fi
    done <as_wanted.out
}

# ---- what comes, and what doesn't ----
long=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
table all <<END
plain ok 1 000000007.jpg
chunked ok 1 _chunked/000000000.jpg
no-length ok 1 _no-length/000000000.jpg
no-type ok 1 _type:text%2Fplain/000000000.jpg
bmp ok 1 bmp.jpg
png ok 1 a.png
hop ok 1 _redirect/000000000.jpg
hop301 ok 1 _redirect:301/000000001.jpg
hop308 ok 1 _redirect:308/000000001.jpg
relative ok 1 _relative/000000002.jpg
other-host ok 1 _host:127.0.0.3/000000003.jpg
hops5 ok 1 _hops:5/000000004.jpg
hops6 redirects 1 _hops:6/000000005.jpg
loop redirects 6 _loop/a.jpg
nowhere other_status 1 _nowhere/a.jpg
to-file bad_url 1 _location:file%3A%2F%2F%2Fetc%2Fpasswd/a.jpg
to-ftp bad_url 1 _location:ftp%3A%2F%2F127.0.0.1%2Fa.jpg/b.jpg
to-data bad_url 1 _location:data%3Aimage%2Fjpeg,x/a.jpg
to-user bad_url 1 _location:http%3A%2F%2Fu%3Ap@127.0.0.1%2Fa.jpg/a.jpg
to-terminal bad_url 1 _location:gopher%3A%2F%2F%1b]0;x%07%1b[31m%C3%A2%C2%80%C2%AEred/a.jpg
file bad_url - file:///etc/passwd
ftp bad_url - ftp://127.0.0.1/a.jpg
user bad_url - http://me:secret@127.0.0.1:$port/000000000.jpg
no-host bad_url - http:///000000000.jpg
port0 bad_url|connect - http://127.0.0.1:99999/a.jpg
nobody connect - http://127.0.0.1:1/a.jpg
unknown dns - http://$long.invalid/a.jpg
s403 403 1 _status:403/a.jpg
s404 404 1 none.jpg
s410 410 1 _status:410/a.jpg
s451 4xx 1 _status:451/a.jpg
s400 4xx 1 _status:400/a.jpg
s429 429 3 _status:429/a.jpg
s500 5xx 3 _status:500/a.jpg
s503 5xx 3 _retry:503:0/a.jpg
s599 5xx 3 _status:599/a.jpg
s204 other_status 1 _status:204/a.jpg
s304 other_status 1 _status:304/a.jpg
s206 other_status 1 _as:206/000000000.jpg
heal429 ok 3 _heal:429:2:0/000000000.jpg
heal503 ok 2 _heal:503:1:0/000000001.jpg
heal500 ok 3 _heal:500:2/000000002.jpg
html not_a_picture 1 _html/x.jpg
empty not_a_picture 1 _empty/x.jpg
text not_a_picture 1 words.txt
gzip not_a_picture 1 _gzip/000000000.jpg
shorter not_a_picture 1 _shorter:300/000000000.jpg
cut cut 3 _cut/000000000.jpg
reset cut 3 _reset/000000000.jpg
longer cut 3 _longer/000000000.jpg
chunked-cut cut 3 _chunked-cut/000000000.jpg
refuse cut - _refuse/a.jpg
garbage protocol 1 _garbage/a.jpg
no-http protocol 1 _http09/000000000.jpg
length protocol|cut - _length:-5/000000000.jpg
headers protocol 1 _headers-endless/a.jpg
huge too_large 1 _huge:2000000/a.jpg
endless too_large 1 _endless/a.jpg
noai opted_out 1 _header:X-Robots-Tag:noai/000000000.jpg
noimageai opted_out 1 _header:X-Robots-Tag:all,%20noimageai/000000000.jpg
noindex opted_out 1 _header:x-robots-tag:NoIndex/000000000.jpg
noimageindex opted_out 1 _header:X-Robots-Tag:noimageindex/000000000.jpg
tdm opted_out 1 _header:TDM-Reservation:1/000000000.jpg
tdm0 ok 1 _header:tdm-reservation:0/000000000.jpg
other-bot ok 1 _header:X-Robots-Tag:otherbot%3A%20noai/000000000.jpg
END
reset
expect "a list of all that is bad" 3 get all --allow-private --retries 2 --max-bytes 1000000
cp "$T/.stderr" all.err; cp "$T/.stdout" all.out
as_wanted all
check "what is no picture leaves no file" sh -c 'for f in all/target/*; do i=$(basename $f .jpg); grep -q "^$i ok " all.want || { echo $i; exit 1; }; done'
check "and what is one is there" sh -c 'grep -E "^[^ ]+ ok " all.want | while read -r i rest; do [ -s all/target/$i.jpg ] || { echo $i; exit 1; }; done'
check "whatever its kind: BMP" cmp www/bmp.jpg all/target/bmp.jpg
check "PNG" cmp www/a.png all/target/png.jpg
check "with its size" test "$(of all png width)x$(of all png height)" = 40x30
check "redirects are noted" test "$(of all other-host final_url)" = "http://127.0.0.3:$port/000000003.jpg"
check "the one to a file is told" grep -qF ': a redirect to file:///etc/passwd' all.err
check "nothing else of this machine was read" sh -c '! grep -rl root: all'
check "the table counts by reason" grep -qE '^  not_a_picture +5 ' all.out
check "and by opt-outs" grep -qE '^  opted_out +5 ' all.out
check "without robots.txt being asked for" test "$(stats requests /robots.txt)" = -
check "no cookies, no compression asked for" test "$(stats cookies) $(stats accept_encoding)" = "0 0"
check "a server's escapes reach no terminal" harmless all.err all.out all/download.jsonl
check "nothing is left behind" test -z "$(find all -name '*mien*' ! -name '.mien*lock*')"
reset
expect "again: all has been tried" 0 get all --allow-private
check "nobody is asked" test "$(stats requests)" = -
expect "--ignore-opt-outs" 0 get all --allow-private --ignore-opt-outs --retry-failed=opted_out
check "takes them" sh -c 'for i in noai noimageai noindex noimageindex tdm; do cmp www/000000000.jpg all/target/$i.jpg || exit 1; done'
expect "more redirects on request" 0 get all --allow-private --redirects 6 --retry-failed=redirects --only /dev/stdin
echo hops6 >only
expect "of one" 0 get all --allow-private --redirects 6 --retry-failed=redirects --only only
check "are followed" cmp www/000000005.jpg all/target/hops6.jpg
echo shorter >only
expect "--check header" 0 get all --allow-private --check header --retry-failed --only only
check "looks at the size alone" test "$(of all shorter status) $(of all shorter width)x$(of all shorter height) $(wc -c <all/target/shorter.jpg)" = "ok 64x48 $(($(wc -c <www/000000000.jpg) - 300))"

{ for i in 1 2 3 4; do echo "w$i not_a_picture - words.txt"; echo "p$i ok 1 00000000$i.jpg"; done; } | table after
reset
get after --allow-private --connections 1 --quiet 2>/dev/null
as_wanted after
check "what was longer leaves nothing in the photo after it" sh -c 'for i in 1 2 3 4; do cmp www/00000000$i.jpg after/target/p$i.jpg || exit 1; done'

# ---- patience ----
table patient <<END
seconds ok 2 _heal:503:1:2/000000000.jpg
END
reset
get patient --allow-private --log-json >out 2>/dev/null
check "Retry-After is kept" sh -c 'python3 -c "import json; j = json.load(open(\"out\")); assert j[\"done\"] == 1 and j[\"seconds\"] >= 2, j"'
as_wanted patient
table date <<END
date ok 2 _heal:429:1:date+3/000000000.jpg
END
get date --allow-private --log-json >out 2>/dev/null
check "as a date too" sh -c 'python3 -c "import json; j = json.load(open(\"out\")); assert j[\"done\"] == 1 and j[\"seconds\"] >= 1, j"'
table never <<END
never 5xx - _retry:503:100000/a.jpg
good ok 1 000000000.jpg
never429 429 - _retry:429:date+100000/b.jpg
END
reset
expect "a server that asks for a day" 3 get never --allow-private
as_wanted never
check "is not asked again for these" test "$(stats hosts 127.0.0.1 requests)" = 3
{ seq 1 20 | sed 's/.*/n& 5xx - _retry:503:100000\/&.jpg/'; echo "other ok - http://127.0.0.4:$port/000000001.jpg"; } | table nevers
reset
expect "one that says so each time" 3 "$mien" download --data nevers --allow-private --host-rate 0 --host-connections 1
as_wanted nevers
check "is asked three times" test "$(stats hosts 127.0.0.1 requests)" = 3
table stalls <<END
headers timeout 2 _stall-headers/a.jpg
half-headers timeout 2 _stall-half-headers/a.jpg
body timeout 2 _stall-body/000000000.jpg
END
expect "what stalls" 3 get stalls --allow-private --stall-timeout 1 --retries 1
as_wanted stalls
table slow <<END
trickle timeout 1 _trickle:200/000000000.jpg
END
expect "what never ends" 3 get slow --allow-private --timeout 2 --retries 0
as_wanted slow
check "a part of a photo is none" test -z "$(ls -A stalls/target slow/target | grep jpg)"

# ---- lists ----
mkdir ids
python3 - "$at" <<'PY'
import json, sys
url = sys.argv[1] + "/000000000.jpg"
json.dump({i: {"url": url, "caption": "c"} for i in
           ["../../x", "/etc/x", "a/b", ".hidden", "..", "", "x" * 201, "\x1b[31mred\x07", "\u202egpj", "sp ace", "<script>alert(1)</script>", "-n"]},
          open("ids/metadata.json", "w"))
json.dump({"script": {"url": url, "caption": "<script>alert(1)</script>"}, "escapes": {"url": sys.argv[1] + "/none/%1b/<script>", "caption": "\x1b]0;owned\x07\x1b[2J\u202e"},
           "in-url": {"url": sys.argv[1] + "/\x1b[31m.jpg"}, "direction": {"url": sys.argv[1] + "/\u202egpj.exe"}, "number": {"url": 7}, "none": {}, "list": [1]}, open("captions.json", "w"))
PY
expect "ids that are no names" 3 get ids --allow-private
cp "$T/.stderr" ids.err; cp "$T/.stdout" ids.out
check "are refused" grep -qE '^  bad_id +11 ' ids.out
check "and told of, each" test "$(grep -c "the id can't be a file's name" ids.err)" = 11
check "only the one that is one comes" test "$(ls ids/target)" = "-n.jpg"
check "nothing is written elsewhere" sh -c '[ ! -e x ] && [ ! -e x.jpg ] && [ ! -e ../x.jpg ] && [ ! -e ../../x.jpg ] && [ ! -e /etc/x.jpg ]'
expect "captions and URLs with escapes" 3 get captions --allow-private --list captions.json
cp "$T/.stderr" captions.err; cp "$T/.stdout" captions.out
get captions2 --allow-private --list captions.json --log-json >captions.json.out 2>captions.json.err
check "reach no terminal, log or journal" harmless ids.err ids.out captions.err captions.out captions.json.err captions.json.out captions/download.jsonl captions/metadata.json
check "as JSON it is JSON" python3 -c 'import json; [json.loads(l) for f in ("captions.json.err", "captions.json.out") for l in open(f)]'
check "the captions stay what they were" python3 -c '
import json; m = json.load(open("captions/metadata.json"))
assert m["script"]["caption"] == "<script>alert(1)</script>" and m["escapes"]["caption"] == "\x1b]0;owned\x07\x1b[2J\u202e" and len(m) == 3, m'
check "what is no entry is counted" grep -qE '^  bad_url +4 ' captions.out

# ---- private addresses ----
table private <<END
loopback private_address 0 000000000.jpg
name private_address 0 http://localhost:$port/000000000.jpg
short private_address 0 http://127.1:$port/000000000.jpg
hex private_address 0 http://0x7f000001:$port/000000000.jpg
number private_address 0 http://2130706433:$port/000000000.jpg
zero private_address 0 http://0.0.0.0:$port/000000000.jpg
six private_address|connect 0 http://[::1]:$port/000000000.jpg
mapped private_address|connect 0 http://[::ffff:127.0.0.1]:$port/000000000.jpg
metadata private_address 0 http://169.254.169.254/latest/meta-data/a.jpg
ten private_address 0 http://10.0.0.1/a.jpg
END
reset
connections=$(stats connections)
expect "private addresses" 3 get private
as_wanted private
check "are never connected to" test "$(stats connections)" = "$((connections + 2))"   # but for these questions
# A redirect from a public address needs one: the server, as a proxy, is all the web there is.
table led <<END
public ok 0 http://photos.example/000000000.jpg
led private_address 0 http://photos.example/_location:http%3A%2F%2F169.254.169.254%2Flatest%2Fmeta-data/a.jpg
led-home private_address 0 http://photos.example/_location:http%3A%2F%2F127.0.0.1%3A$port%2F000000000.jpg/a.jpg
led-name private_address 0 http://photos.example/_location:http%3A%2F%2Flocalhost%3A$port%2F000000000.jpg/a.jpg
END
reset
expect "redirects to private addresses" 3 env http_proxy="$at" "$mien" download --data led --host-rate 0
as_wanted led
check "are not followed" test "$(stats hosts photos.example requests) $(stats hosts 169.254.169.254) $(stats hosts 127.0.0.1) $(stats hosts localhost)" = "4 - - -"

# ---- is it the one ----
mkdir -p same/source
sha() { sha256sum "www/$1" | cut -c1-64; }
other=$(printf %064d 7)
cat >same/metadata.json <<END
{"size": {"url": "$at/000000000.jpg", "width": 64, "height": 48},
 "scaled": {"url": "$at/large.jpg", "width": 64, "height": 48},
 "almost": {"url": "$at/large.jpg", "width": 1000, "height": 745},
 "not-almost": {"url": "$at/large.jpg", "width": 1000, "height": 738},
 "other": {"url": "$at/wide.jpg", "width": 64, "height": 48},
 "hash": {"url": "$at/000000001.jpg", "width": 10, "height": 48, "sha256": "$(sha 000000001.jpg)"},
 "other-hash": {"url": "$at/000000002.jpg", "sha256": "$other"},
 "other-hash-same-size": {"url": "$at/000000002.jpg", "sha256": "$other", "width": 64, "height": 48},
 "map": {"url": "$at/000000003.jpg"}, "map-scaled": {"url": "$at/large.jpg"}, "map-other": {"url": "$at/wide.jpg"}, "map-jpg": {"url": "$at/wide.jpg"},
 "list-scaled-map-other": {"url": "$at/large.jpg", "width": 64, "height": 48},
 "map-broken": {"url": "$at/wide.jpg"}}
END
for i in map map-scaled map-other; do picture same/source/$i.png 64 48; done
picture same/source/map-jpg.jpg 64 48; picture same/source/list-scaled-map-other.png 48 64; echo no picture >same/source/map-broken.png
expect "sizes, hashes, maps" 3 get same --allow-private
for i in "size ok none" "scaled ok rescaled" "almost ok rescaled" "not-almost replaced none" "other replaced none" "hash ok none" "other-hash replaced none" \
         "other-hash-same-size ok rescaled" "map ok none" "map-scaled ok rescaled" "map-other replaced none" "map-jpg replaced none" \
         "list-scaled-map-other replaced none" "map-broken ok none"; do
    set -- $i
    note=$(of same "$1" note)
    check "$1: $2, $3" test "$(of same "$1" status) ${note%%:*} $([ -e "same/target/$1.jpg" ] && echo ok || echo replaced)" = "$2 $3 $2"
done
check "the table tells them apart" sh -c "grep -qE '^  rescaled +4 ' '$T/.stdout' && grep -qE '^  replaced +6 ' '$T/.stdout'"
check "and the journal says why" test "$(of same map-other why)" = "128x48, by its map it was 64x48"
expect "again" 0 get same --allow-private
check "rescaled ones are known" grep -qE '^  rescaled +4 ' "$T/.stdout"

# ---- robots.txt ----
mkdir robots
cat >robots/metadata.json <<END
{"a": {"url": "$at/000000000.jpg"}, "b": {"url": "$at/private/a.jpg"}, "c": {"url": "$at/000000001.jpg"}, "d": {"url": "$at/_redirect/private/a.jpg"},
 "e": {"url": "http://127.0.0.2:$port/000000000.jpg"}, "f": {"url": "http://127.0.0.2:$port/000000001.jpg"}}
END
reset
expect "--robots" 3 get robots --robots --allow-private
check "is asked once a host" test "$(stats requests /robots.txt)" = 2
check "and obeyed, after a redirect too" test "$(ls robots/target | tr '\n' ' ') $(stats requests /private/a.jpg)" = "a.jpg c.jpg  -"
check "as told" test "$(for i in b d e f; do of robots $i status; done | sort -u)" = robots
expect "without it" 0 get robots --retry-failed=robots --allow-private
check "they come" test "$(ls robots/target | wc -l)" = 6
echo "http://127.0.0.1:$port503/000000000.jpg" >list503
expect "a server whose robots.txt is out of order" 3 get robots503 --robots --allow-private --retries 1 --list list503
check "is left alone" test "$(python3 "$server" --stats "$port503" requests | tr -d ' \n')" = '{"/robots.txt":2}'
rm www/robots.txt
echo "$at/private/a.jpg" >list404
expect "where there is none" 0 get robots404 --robots --allow-private --list list404

# ---- TLS ----
if [ -n "$openssl" ]; then
    echo "https://127.0.0.1:$tls_port/000000000.jpg" >secret; echo "https://127.0.0.1:$tls_port/_redirect/000000001.jpg" >>secret
    reset
    expect "a certificate of nobody" 3 get tls --allow-private --list secret
    check "is refused" grep -qE '^  tls +2 ' "$T/.stdout"
    check "before anything is asked, and once" test "$(stats requests)" = -
    expect "--insecure" 0 get tls --allow-private --insecure --retry-failed=tls
    check "takes it" test "$(ls tls/target | wc -l)" = 2
    expect "or it is one to trust" 0 env CURL_CA_BUNDLE="$T/tls/cert.pem" "$mien" download --data trusted --allow-private --list secret
    check "from https to http" sh -c "! grep -q '\"status\":\"tls\"' trusted/download.jsonl && [ \$(ls trusted/target | wc -l) = 2 ]"
else
    skip "TLS" "no openssl to make certificates"
fi
finish
