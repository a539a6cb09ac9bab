#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# mien download with a server that does what it should: lists of all kinds, what is kept and counted, going on, options.
. "$(dirname "$0")/lib"
photos=$(realpath "$(dirname "$mien")/tests/make_photos") server=$(realpath tests/net/server.py)
command -v python3 >/dev/null || { skip "all of it" "no python3 for a server on loopback"; finish; }
unset http_proxy https_proxy HTTPS_PROXY all_proxy ALL_PROXY no_proxy NO_PROXY CURL_CA_BUNDLE SSL_CERT_FILE
cd "$T"

"$photos" www 12 --size 64x48
python3 "$server" --pid $$ www >port 2>server.log & server_pid=$!
while [ ! -s port ] && kill -0 $server_pid 2>/dev/null; do sleep 0.05; done
port=$(cat port) at=http://127.0.0.1:$port
# get FOLDER OPTION...: as fast as it goes.
get() { folder=$1; shift; "$mien" download --data "$folder" --allow-private --host-rate 0 --retry-wait 0.01 "$@"; }
stats() { python3 "$server" --stats "$port" "$@"; }
reset() { python3 "$server" --get "$at/_stats-reset" >/dev/null; }
# value PYTHON: of the JSON that the last command printed, `j`.
value() { python3 -c 'import json, sys; j = json.load(open(sys.argv[1])); print(eval(sys.argv[2]))' "$T/.stdout" "$1"; }
is() { [ "$(value "$1")" = "$2" ] || { echo "$1 is $(value "$1")"; cat "$T/.stdout"; false; }; }
# line FILE ID: the last line about it; field NAME: of that on stdin.
line() { grep -F "\"id\":\"$2\"" "$1" | tail -n 1; }
field() { python3 -c 'import json, sys; print(json.loads(sys.stdin.read()).get(sys.argv[1]))' "$1"; }
names() { ls "$1" | tr '\n' ' '; }

# ---- misuse ----
expect "without a folder: misuse" 2 "$mien" download
check "says so" said "--data DIR is missing"
expect "a folder without a list: misuse" 2 "$mien" download --data nothing
check "says what is missing" said "metadata.json is not there: give a list of photos (--list)"
expect "a list that is not there" 2 get x1 --list missing.csv
check "is named" said "missing.csv"
check "and nothing is made" test ! -e x1
expect "something that is no option" 2 "$mien" download --data x2 photo.jpg
expect "a contact that would break a header" 2 get x2 --list www --contact "$(printf 'a\nb')"
expect "a part that there is none of" 2 get x2 --part 3/2
printf '{"a": {"url": "%s/000000000.jpg"}' "$at" >torn.json
expect "a list that is cut off fails" 1 get x3 --list torn.json
check "and makes no metadata.json" test ! -e x3/metadata.json

# ---- lists ----
mkdir kinds
cat >kinds/a.json <<END
{"a": {"url": "$at/000000000.jpg", "caption": "one", "similarity": 0.25}, "b": {"url": "$at/000000001.jpg", "caption": null, "NSFW": "UNLIKELY"}}
END
printf '{"url": "%s/000000000.jpg", "id": "a", "caption": "one", "extra": [1, {"x": 2}]}\n{"URL": "%s/000000001.jpg", "key": "b"}\n' "$at" "$at" >kinds/a.jsonl
printf 'URL,TEXT,id,WIDTH,HEIGHT\n%s/000000000.jpg,"one, ""two""\nthree",a,64,48\n%s/000000001.jpg,,b,,\n' "$at" "$at" >kinds/a.csv
printf 'id\turl\na\t%s/000000000.jpg\nb\t%s/000000001.jpg\n' "$at" "$at" >kinds/a.tsv
printf '# two photos\n%s/000000000.jpg\n\n%s/000000001.jpg\r\n' "$at" "$at" >kinds/a.txt
for kind in json jsonl csv tsv; do
    expect "a list: .$kind" 0 get set-$kind --list kinds/a.$kind
    check "brings its photos" cmp www/000000001.jpg set-$kind/target/b.jpg
    check "all of them" test "$(names set-$kind/target)" = "a.jpg b.jpg "
    check "and metadata.json of both" test "$(python3 -c 'import json; print(" ".join(json.load(open("set-'$kind'/metadata.json"))))')" = "a b"
done
expect "a list of URLs alone" 0 get set-txt --list kinds/a.txt
check "gives each a name of its own" test "$(ls set-txt/target | grep -cE '^[0-9a-f]{16}\.jpg$')" = 2
expect "the same list on standard input" 0 sh -c "cat kinds/a.csv | '$mien' download --data set-stdin --list - --allow-private"
check "brings the same" diff -r set-stdin/target set-csv/target
meta() { python3 -c 'import json, sys; print(eval(sys.argv[2], {"m": json.load(open(sys.argv[1]))}))' "$1" "$2"; }
check "what else a list says of a photo stays: .json" test "$(meta set-json/metadata.json 'm["a"]["similarity"], m["b"]["NSFW"]')" = "(0.25, 'UNLIKELY')"
check "what else a list says of a photo stays: .jsonl" test "$(meta set-jsonl/metadata.json 'm["a"]["extra"]')" = "[1, {'x': 2}]"
check "a caption of several lines too" test "$(meta set-csv/metadata.json 'm["a"]["caption"]')" = 'one, "two"
three'
printf 'PAR1....' >kinds/a.parquet
expect "a Parquet file is refused by name" 2 get x4 --list kinds/a.parquet
check "saying what to do" said "is a Parquet file: export it as JSON lines or CSV"
printf 'id,link,cap\n1,%s/a.jpg,one\n' "$at" >columns.csv
expect "a table without a column of URLs is refused" 2 get x5 --list columns.csv
check "naming what it has" said 'names no column "url": id,link,cap'
check "and nothing is made" test ! -e x4 -a ! -e x5

# ---- added to a metadata.json ----
mkdir old
printf '{ "z":{"url" :"%s/000000002.jpg","caption":"\\u00e9\\ud83d\\ude00", "deep": {"x": [1,2,   3]}}\n,"a": {"url": "%s/000000003.jpg"}   }\n\n' "$at" "$at" >old/metadata.json
cp old/metadata.json before.json
expect "a list is added to metadata.json" 0 get old --list kinds/a.json
check "what it was is kept" cmp old/metadata.json.bak before.json
check "old entries stand there byte for byte" python3 -c '
old, new = open("before.json").read(), open("old/metadata.json").read()
assert new.startswith(old.rstrip()[:-1].rstrip()), new
import json; m = json.loads(new)
assert list(m) == ["z", "a", "b"] and m["a"]["url"].endswith("3.jpg"), m'
check "the old entry of an id counts" cmp www/000000003.jpg old/target/a.jpg
check "all three are there" test "$(names old/target)" = "a.jpg b.jpg z.jpg "
cp old/metadata.json before2.json
expect "the same list again" 0 get old --list kinds/a.json
check "changes nothing" cmp old/metadata.json before2.json
check "and leaves the copy" cmp old/metadata.json.bak before.json
mkdir hollow; printf '{}' >hollow/metadata.json
expect "an empty metadata.json" 0 get hollow --list kinds/a.json
check "is filled" test "$(names hollow/target)" = "a.jpg b.jpg "
mkdir broken; printf '{"a": {"url": ' >broken/metadata.json
expect "a broken one fails" 1 get broken --list kinds/a.json
check "and stays as it is" test "$(cat broken/metadata.json)" = '{"a": {"url": '

# ---- before, after ----
list() { printf '{'; c=; for i in $*; do printf '%s"%s": {"url": "%s/%s"}' "$c" "${i%%=*}" "$at" "${i#*=}"; c=', '; done; echo '}'; }
mkdir set
list a=000000000.jpg b=000000001.jpg c=none.jpg d=000000003.jpg >set/metadata.json
expect "some that fail: exit 3" 3 get set --timings times.json
check "before: how many, how large, how much room" said "mien: 4 photos to fetch (0 done or failed before), about 320.0 KB at 80.0 KB each (a guess); the disk has "
check "the failed one is named with its reason" said "mien: c: 404: $at/none.jpg"
check "the end says what came" printed "3 of 4 photos fetched, 1 failed; 0 done or failed before"
check "a table of reasons" grep -qE '^  404 +1 +25\.0%$' "$T/.stdout"
check "its first line is what came" grep -qE '^  ok +3 +75\.0%$' "$T/.stdout"
check "and what to expect" printed "75.0% are alive. Links rot by about 1% a month: 60 to 70% alive is normal for LAION's."
check "times" python3 -c '
import json; t = json.load(open("times.json"))
assert t["images"] == 3 and t["total"] > 0 and t["peak_bytes"] > 0 and all(t[k] >= 0 for k in ("network_cpu", "check_cpu", "read", "hash", "verify", "write")), t'
line set/download.jsonl a >a.line
check "the journal: status and size" test "$(for f in id url status http width height bytes; do field $f <a.line; done | tr '\n' ' ')" = "a $at/000000000.jpg ok 200 64 48 $(wc -c <www/000000000.jpg) "
check "the journal: sha256" test "$(field sha256 <a.line)" = "$(sha256sum www/000000000.jpg | cut -c1-64)"
check "the journal: seconds and time" sh -c 'grep -qE "\"seconds\":[0-9]+\.[0-9]{3},\"time\":\"20[0-9]{2}-[01][0-9]-[0-3][0-9]T[0-9:]{8}Z\"}$" a.line'
check "the journal: a failure" test "$(line set/download.jsonl c | field status) $(line set/download.jsonl c | field http)" = "404 404"
check "the journal begins with its format" test "$(head -n 1 set/download.jsonl)" = '{"format":1,"kind":"download"}'
cp set/download.jsonl journal.before
reset
connections=$(stats connections)
expect "a second run: nothing is left to do" 0 get set
check "makes no connection" test "$(stats requests) $(stats connections)" = "- $((connections + 2))"   # but for these two questions
check "says that" printed "0 of 4 photos fetched, 0 failed; 4 done or failed before"
check "with the same table" grep -qE '^  404 +1 +25\.0%$' "$T/.stdout"
check "writes nothing" cmp set/download.jsonl journal.before
rm set/target/b.jpg
expect "a photo that was deleted" 0 get set
check "comes again, alone" test "$(stats requests | tr -d ' \n') $(names set/target)" = '{"/000000001.jpg":1} a.jpg b.jpg d.jpg '
check "and the mean of what came is known" said "1 photo to fetch (3 done or failed before)"
check "for the estimate" said "each (the mean so far)"

# ---- JSON ----
get json --list set/metadata.json --log-json >"$T/.stdout" 2>events
check "each event on stderr is JSON" python3 -c 'import json; [json.loads(l) for l in open("events")]'
check "the plan too" python3 -c '
import json; p = [json.loads(l) for l in open("events") if "\"plan\"" in l]
assert len(p) == 1 and p[0]["items"] == 4 and p[0]["bytes"] == 320000 and p[0]["mean_is_guess"] is True and p[0]["free_bytes"] > 0, p'
check "the failed one" grep -qF "{\"event\":\"failed\",\"path\":\"c\",\"reason\":\"404: $at/none.jpg\"}" events
check "the summary" is 'j["event"], j["total"], j["done"], j["skipped"], j["failed"], j["alive"], j["known"]' "('summary', 4, 3, 0, 1, 3, 4)"
check "counts by reason" is 'j["reasons"]["ok"], j["reasons"]["404"], j["reasons"]["dns"]' "(3, 1, 0)"
check "what to expect" is 'j["expected"]' "{'alive_least': 0.6, 'alive_most': 0.7, 'rot_a_month': 0.01}"

# ---- trying again ----
list a=000000000.jpg b=000000001.jpg c=late.jpg d=000000003.jpg e=_status:410/x >set/metadata.json
get set --quiet 2>/dev/null
cp www/000000004.jpg www/late.jpg
reset
expect "--retry-failed=REASON: what failed for another stays" 0 get set --retry-failed=dns
check "without a request" test "$(stats requests)" = -
expect "--retry-failed REASON, as two words" 3 get set --retry-failed 410
check "tries these only" test "$(stats requests | tr -d ' \n')" = '{"/_status:410/x":1}'
expect "--retry-failed=REASON" 0 get set --retry-failed=404
check "brings what is there by now" cmp www/late.jpg set/target/c.jpg
reset
expect "--retry-failed: all that failed" 3 get set --retry-failed --quiet
check "and what did not is left alone" test "$(stats requests | tr -d ' \n')" = '{"/_status:410/x":1}'
expect "a reason that there is none of" 2 get set --retry-failed=rain
expect "or a success" 2 get set --retry-failed=ok

# ---- choosing ----
list a=000000000.jpg b=000000001.jpg c=000000002.jpg d=000000003.jpg a=000000005.jpg >all.json
echo a >ids; echo "$at/000000001.jpg" >>ids
expect "--only: by id and URL" 0 get only --list all.json --only ids
check "brings these" test "$(names only/target)" = "a.jpg b.jpg "
check "an id that comes twice counts once" cmp www/000000000.jpg only/target/a.jpg
expect "the rest later" 0 get only
check "are all" test "$(names only/target)" = "a.jpg b.jpg c.jpg d.jpg "
sha256sum www/000000002.jpg | cut -c1-64 >hash; echo d >>hash
expect "--exclude: by id and sha256" 0 get not --list all.json --exclude hash
check "leaves these out" test "$(names not/target)" = "a.jpg b.jpg "
check "and counts them apart" grep -qE '^  excluded +2 ' "$T/.stdout"
echo 127.0.0.1 >domain
reset
expect "a domain" 0 get not2 --list all.json --exclude domain
check "is not asked" test "$(stats requests)" = -
mkdir gone; cp all.json gone/metadata.json
printf '{"format":1,"kind":"removed"}\n{"id":"a"}\n{"url":"%s/000000001.jpg"}\n{"sha256":"%s"}\n' "$at" "$(head -n 1 hash)" >gone/removed.jsonl
expect "removed.jsonl" 0 get gone
check "lets nothing of it come back" test "$(names gone/target)" = "d.jpg "
reset
expect "nor again" 0 get gone
check "and asks for nothing" test "$(stats requests)" = -

# ---- what was there ----
mkdir -p there/target; cp all.json there/metadata.json
cp www/000000009.jpg there/target/a.jpg; : >there/target/b.jpg; mkdir there/target/c.jpg
expect "files that are there already" 3 get there
check "are checked, not overwritten" cmp www/000000009.jpg there/target/a.jpg
check "and noted" test "$(line there/download.jsonl a | field status) $(line there/download.jsonl a | field note)" = "ok was there"
check "one that is no picture stays, and is told" test ! -s there/target/b.jpg -a "$(line there/download.jsonl b | field status)" = broken_file
check "nor is a folder in the way touched" test -d there/target/c.jpg -a "$(line there/download.jsonl c | field status)" = broken_file
check "the others come" cmp www/000000003.jpg there/target/d.jpg
rm there/target/b.jpg
expect "when it is gone" 3 get there --retry-failed
check "the photo comes" cmp www/000000001.jpg there/target/b.jpg

# One that comes into being while its photo is under way.
echo "{\"a\": {\"url\": \"$at/_delay:2/000000000.jpg\"}}" >late.json
get late --list late.json --quiet & pid=$!
while [ "$(stats requests /_delay:2/000000000.jpg)" = - ] && kill -0 $pid 2>/dev/null; do sleep 0.1; done
cp www/000000009.jpg late/target/.x; mv late/target/.x late/target/a.jpg
wait $pid
check "nor is one that came in between" cmp www/000000009.jpg late/target/a.jpg
check "it counts, as what was there" test "$(line late/download.jsonl a | field note) $(line late/download.jsonl a | field sha256)" = "was there $(sha256sum www/000000009.jpg | cut -c1-64)"

# ---- manners ----
list a=000000000.jpg b=000000001.jpg c=000000002.jpg d=000000003.jpg e=000000004.jpg f=000000005.jpg g=000000006.jpg >seven.json
reset
"$mien" download --data polite --list seven.json --allow-private --host-rate 3 --contact "https://example.org/who" --log-json >"$T/.stdout" 2>/dev/null
check "the host's rate is kept: 7 photos at 3 a second" is 'j["done"], j["seconds"] >= 2' "(7, True)"
"$mien" download --data polite5 --list seven.json --allow-private --log-json >"$T/.stdout" 2>/dev/null
check "and at 5 a second, by default" is 'j["done"], j["seconds"] >= 1.2' "(7, True)"
check "and who asks is said" sh -c "python3 '$server' --stats $port agents | grep -qE '\"mien/[0-9.]+[^\"]* \(\+https://example.org/who\)\": 7'"
printf '{' >slow.json; c=; for i in 1 2 3 4 5 6 7 8 9; do printf '%s"s%d": {"url": "%s/_delay:0.2/00000000%d.jpg"}' "$c" $i "$at" $i; c=,; done >>slow.json; echo '}' >>slow.json
reset
get hosts --list slow.json --host-connections 2 --quiet
check "as are the connections to it" test "$(stats hosts 127.0.0.1 most_at_once) $(ls hosts/target | wc -l)" = "2 9"
reset
get hosts4 --list slow.json --quiet
check "4 of them by default" test "$(stats hosts 127.0.0.1 most_at_once)" -le 4
reset
get hosts0 --list slow.json --host-connections 0 --connections 3 --quiet
check "--connections is kept where there is no such limit" test "$(stats hosts 127.0.0.1 most_at_once)" -le 3

# ---- the server is gone ----
kill $server_pid; wait $server_pid 2>/dev/null
expect "a finished set needs no server" 0 get only
check "and all is there" printed "0 of 4 photos fetched, 0 failed; 4 done or failed before"
check "nothing is left behind" test -z "$(find . -name '*mien-tmp*')"
finish
