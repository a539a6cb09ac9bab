#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# mien check --exclude LIST --fix: no trace of what is listed stays, by id, URL, domain and hash; build does not bring it back; killed
# at any time, the next run ends it.
. "$(dirname "$0")/lib"
need_models
photos=$(realpath "${BUILD:-build}/tests/make_photos")
astronaut=$(realpath third_party/demo/astronaut.png)
[ -r "$astronaut" ] || { skip "all of it" "no third_party/demo/astronaut.png (make setup)"; finish; }
cd "$T"
kills=${KILLS:-12}

"$photos" photos 16 --face "$astronaut" --size 400x400 --captions json
sed -i 's#http://example.com/000000005.jpg#https://cdn.pics.example.org:8080/a?b#' photos/000000005.json
cp photos/000000006.jpg photos/again.jpg                                   # one photo under two names
build() { "$mien" build photos --data set --min-face 20 --min-size 100 --overlay --quiet "$@"; }
check_set() { "$mien" check --data set --no-faces "$@"; }
expect "a data set" 0 build
check "of all photos" test "$(wc -l <set/prompt.jsonl)" = 17
cp set/prompt.jsonl set/prompt.jsonl.bak; cp set/metadata.json set/metadata.json.bak
echo '{"format": 1, "reason": "x", "detail": "", "source": "source/000000001.png", "target": "target/000000001.jpg", "prompt": "picture number 1"}' >set/prompt.rejected.jsonl
: >set/target/.000000001.jpg.mien-tmp-999999999-0
cp set/target/000000007.jpg set/target/unbuilt.jpg; echo more >>set/target/unbuilt.jpg
hash_of() { sha256sum "$1" | cut -c1-64; }
{ echo '# who asked'; echo 000000001; echo http://example.com/000000003.jpg; echo pics.example.org; hash_of set/target/000000006.jpg; hash_of set/target/unbuilt.jpg; } >list
sha1=$(hash_of set/target/000000001.jpg) sha3=$(hash_of set/target/000000003.jpg) sha5=$(hash_of set/target/000000005.jpg)
cp -r set whole

expect "without --fix it is left out" 0 check_set --exclude list --log-json
check "all five lines" grep -q '"left_out":5' .stdout
check "and stays" diff -r set whole
expect "--dry-run" 0 check_set --exclude list --fix --dry-run
check "says what would go" sh -c 'grep -q "target/000000001.jpg: would be removed" .stderr && grep -q "would be removed for good" .stdout'
check "and does nothing" diff -r set whole

# traces NAME: what of it is left but in removed.jsonl.
traces() { { find set -name "*$1*"; grep -rl -e "$1" set --include='*.json' --include='*.jsonl*' --include='*.bak*'; } | grep -v '^set/removed.jsonl$'; }
gone() { for n in 000000001 000000003 000000005 000000006 again unbuilt 'number 1"' pics.example; do traces "$n"; done >left; [ ! -s left ]; }
expect "--fix" 0 check_set --exclude list --fix
cp .stdout summary; cp .stderr log
check "leaves no trace" gone
cat left | head -n 5 | sed 's/^/# /'
check "says how many" grep -q '^6 items removed for good' summary
check "and which files" grep -q 'target/000000003.jpg: removed' log
check "leaves the others" test "$(wc -l <set/prompt.jsonl)" = 12
check "and what is not in the set" test -e photos/000000001.jpg
for i in 000000000 000000002; do for f in target/$i.jpg source/$i.png source/$i.json annotated/$i.png; do cmp -s set/$f whole/$f || echo $f; done; done >left
check "as they were" test ! -s left
grep -v -e 000000001 -e 000000003 -e 000000005 -e 000000006 -e again whole/prompt.jsonl >want
check "their lines too" cmp want set/prompt.jsonl
for w in 000000001 000000003 000000005 000000006 again unbuilt $sha1 $sha3 $sha5 http://example.com/000000003.jpg; do grep -qF "$w" set/removed.jsonl || echo $w; done >left
check "ids, URLs and hashes are remembered" test ! -s left
cp -r set clean
expect "again there is nothing to do" 0 check_set --exclude list --fix
check "and nothing is written" diff -r set clean
expect "without the list, too" 0 check_set --fix
check "nothing is written" diff -r set clean

# ---- it stays away ----
expect "build goes on" 0 build
check "and does not bring it back" sh -c 'cmp want set/prompt.jsonl && [ ! -e set/target/000000001.jpg ] && [ ! -e set/target/again.jpg ] && ! grep -q -e 000000001 -e number.1\" set/metadata.json'
cp photos/000000001.jpg photos/other.jpg; cp photos/000000000.json photos/other.json
expect "nor under another name" 0 build
check "for the hash is known" sh -c 'cmp want set/prompt.jsonl && [ ! -e set/target/other.jpg ]'
rm photos/other.*
cp whole/target/000000003.jpg whole/target/000000001.jpg set/target; mv set/target/000000001.jpg set/target/renamed.jpg
for e in png json; do cp whole/source/000000003.$e set/source; cp whole/source/000000001.$e set/source/renamed.$e; done
grep 000000003 whole/prompt.jsonl >>set/prompt.jsonl; grep 000000001 whole/prompt.jsonl | sed 's/000000001/renamed/g' >>set/prompt.jsonl
expect "put back by hand it is bad" 3 check_set
check "by its id and by its hash" printed "removed                    2"
expect "and removed once more, so that nothing bad is left" 0 check_set --fix
traces 000000003 >left; traces renamed >>left
check "without a trace" test ! -s left

# ---- a twin that was rejected, and one that no line names ----
rm -rf set; cp -r whole set; rm set/prompt.jsonl.bak
expect "a twin is rejected" 0 sh -c '"$0" check --data set --no-faces --fix >/dev/null; grep -q again set/prompt.rejected.jsonl && ! grep -q again set/prompt.jsonl' "$mien"
cp set/target/000000006.jpg set/target/unnamed.jpg
echo 000000006 >one; cp -r set before
expect "removing by id, --dry-run" 0 check_set --exclude one --fix --dry-run
check "tells of both twins" sh -c 'grep -q "target/again.jpg: would be removed" .stderr && grep -q "target/unnamed.jpg: would be removed" .stderr'
check "and does nothing" diff -r set before
expect "removing by id" 0 check_set --exclude one --fix
for n in 000000006 again unnamed; do traces $n; done >left
check "takes both twins in the same run" test ! -s left
cp -r set before.2
expect "the next run" 0 check_set --exclude one --fix
check "has nothing to do" diff -r set before.2
mkdir -p twice/target; cp whole/target/000000001.jpg whole/target/000000002.jpg twice/target; cp twice/target/000000001.jpg twice/target/twin.jpg
echo '{}' >twice/metadata.json; echo 000000001 >one
expect "of what was never built, too" 0 "$mien" check --data twice --exclude one --fix
check "only the other is left" test "$(ls twice/target)" = 000000002.jpg


# ---- a map that another line needs ----
mkdir -p few/source few/target
cp whole/source/000000008.png few/source/shared.png; cp whole/source/000000009.png few/source/odd.png; : >few/source/odd.json
for i in 000000008 000000009 000000010; do cp whole/target/$i.jpg few/target; done
for i in 000000008 000000010; do echo '{"source": "source/shared.png", "target": "target/'$i'.jpg", "prompt": ""}'; done >few/prompt.jsonl
echo '{"source": "source/odd.png", "target": "target/000000009.jpg", "prompt": ""}' >>few/prompt.jsonl
printf '000000008\n000000009\n' >two
expect "maps under other names" 0 "$mien" check --data few --exclude two --fix --no-faces
check "go with the last that names them" sh -c '[ "$(ls few/source few/target | tr "\n" " ")" = "few/source: shared.png  few/target: 000000010.jpg " ]'

# ---- never built ----
mkdir -p new/target; cp whole/target/00000000[1-7].jpg new/target; cp whole/metadata.json new
cp -r new new.before
expect "what was never built" 0 "$mien" check --data new --exclude list --fix --dry-run
check "is found, and what has the same hash in metadata.json" printed "5 items would be removed for good: 4 files"
check "and stays with --dry-run" diff -r new new.before
expect "and goes" 0 "$mien" check --data new --exclude list --fix
check "by id, URL, domain and hash" test "$(ls new/target | tr '\n' ' ')" = "000000002.jpg 000000004.jpg 000000007.jpg "
check "from metadata.json, too" sh -c '! grep -q -e 000000001 -e 000000003 -e 000000005 -e 000000006 new/metadata.json'
expect "a check of it" 2 "$mien" check --data new

# ---- beside a broken metadata.json ----
echo 000000001 >one
for bad in '' ' ' '{"000000001": {"url": "http' 'SECRET'; do
    rm -rf beside; cp -r whole beside; printf '%s' "$bad" >beside/metadata.json
    case $bad in *[!\ ]*) want=1 ;; *) want=0 ;; esac
    cp -r beside beside.before
    expect "beside a metadata.json of '$bad'" $want "$mien" check --data beside --exclude one --fix --no-faces
    check "the line goes" not grep -q 000000001 beside/prompt.jsonl beside/prompt.jsonl.bak beside/prompt.rejected.jsonl beside/build.jsonl beside/metadata.json.bak
    check "and the files" test ! -e beside/target/000000001.jpg -a ! -e beside/source/000000001.png -a -e beside/target/000000002.jpg
    check "and it is remembered" grep -q 000000001 beside/removed.jsonl
    check "it stays as it is" cmp beside/metadata.json beside.before/metadata.json
    [ $want = 0 ] || check "and is told of" said "may still name what was removed: put it right, or delete it"
    rm -rf beside.before
done
expect "once it is put right" 0 sh -c 'cp whole/metadata.json beside; "$0" check --data beside --fix --no-faces' "$mien"
check "its entry goes" sh -c 'grep -q 000000002 beside/metadata.json && ! grep -q 000000001 beside/metadata.json'

# ---- links ----
cp -r whole linked; mv linked/target elsewhere; ln -s ../elsewhere linked/target
expect "a target/ that is a link" 0 "$mien" check --data linked --exclude one --fix --no-faces
check "is followed" test ! -e elsewhere/000000001.jpg -a -e elsewhere/000000002.jpg

# ---- no folder ----
: >file
for c in "check --no-faces" "check --fix --no-faces" "check --merge" "build photos" "download --contact a@example.org"; do
    expect "$c, of a file" 2 "$mien" $c --data file
    check "says so" said "file: is not a folder"
    check "and has no table" test ! -s .stdout
done

# ---- shards ----
"$mien" package --data whole --shards --shard-items 5 -o shards --quiet >/dev/null 2>&1
cp -r shards shards.before
expect "shards are checked" 3 "$mien" check --data shards
check "as the folder is" printed "17 lines: 16 fine, 1 bad"
expect "--fix" 3 "$mien" check --data shards --fix --no-faces
check "does not touch them" diff -r shards shards.before
check "and says so" said "what is bad stays in the shards"
expect "--exclude --fix" 0 "$mien" check --data shards --exclude list --fix --no-faces
check "takes members out" sh -c 'cat shards/*.tar | grep -aq -e 000000001 -e 000000003 -e 000000005 -e 000000006 -e again; [ $? = 1 ]'
check "and leaves the others" printed "12 lines: 12 fine, 0 bad"
expect "nothing is left to do" 0 "$mien" check --data shards --exclude list --fix --no-faces
check "and it is not said" not printed "removed"

# ---- killed ----
pause() { sleep "$(awk -v n="$1" 'BEGIN { print n / 1000 }')"; }
k=0 wrong=0 early=0 halfway=0
while [ $k -lt "$kills" ]; do
    rm -rf set; cp -r whole set
    "$mien" check --data set --exclude list --fix --no-faces >/dev/null 2>&1 & pid=$!
    pause $((3 + k * 11 % 60))
    kill -9 $pid 2>/dev/null
    wait $pid 2>/dev/null
    [ $? != 137 ] || early=$((early + 1))
    [ ! -s set/removed.jsonl ] || gone || halfway=$((halfway + 1))
    # Whatever is left of a line has all its files or will go: the next run ends it.
    check_set --exclude list --fix >/dev/null 2>&1 || wrong=$((wrong + 1))
    gone || wrong=$((wrong + 1))
    cmp -s want set/prompt.jsonl || wrong=$((wrong + 1))
    build && cmp -s want set/prompt.jsonl || wrong=$((wrong + 1))
    k=$((k + 1))
done
echo "# $early of $kills were killed before their end, $halfway of these between remembering and the last file"
check "$kills kills: the next run removes the rest" test $wrong = 0

# ---- locked ----
mkfifo list.fifo
"$mien" annotate - -o set <list.fifo >/dev/null 2>&1 & pid=$!
exec 3>list.fifo
while [ ! -s set/.mien.lock ]; do pause 10; done
expect "is not fixed" 1 check_set --fix
check "and it is said why" said "is being written by process $pid"
expect "nor merged" 1 "$mien" check --data set --merge
expect "but it is read" 0 check_set
exec 3>&-
wait $pid
finish
