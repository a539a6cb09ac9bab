#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Nothing of the user's is overwritten: through links, by edited files, by names given twice.
. "$(dirname "$0")/lib"
need_models
cd "$T"

# ---- links ----
mkdir -p a/sub aout b bout
picture a/sub/photo.png 8 8; picture a/other.bmp 8 8
ln -s ../a/sub aout/sub
cp a/sub/photo.png saved
: >a/sub/.z.png.mien-tmp-999999999-0
for force in "" --force; do
    expect "an output folder that leads to the input $force" 3 "$mien" annotate a -o aout $force
    check "is refused $force" said "mien: a/sub/photo.png: aout/sub is a link: nothing is written through it"
    check "the photo is as it was $force" cmp a/sub/photo.png saved
done
check "nothing is cleaned up behind the link" test -e a/sub/.z.png.mien-tmp-999999999-0
check "the rest is done" test -s aout/other.png
picture bout/photo.png 8 8
ln -s ../bout/photo.png b/photo.png
for force in "" --force; do
    expect "a photo that is a link to its output $force" 3 "$mien" annotate b -o bout $force
    check "is refused $force" said "bout/photo.png is the photo: it would be overwritten by its own map"
    check "and is as it was $force" cmp bout/photo.png saved
done
if unshare -rm sh -c "mkdir -p bound/sub && mount --bind a/sub bound/sub" 2>/dev/null; then
    expect "a folder of photos mounted on their outputs' folder" 3 unshare -rm sh -c "mount --bind a/sub bound/sub && '$mien' annotate a -o bound --force"
    check "is noticed" said "bound/sub/photo.png is the photo: it would be overwritten by its own map"
    check "the photo is still as it was" cmp a/sub/photo.png saved
else
    skip "a folder of photos mounted on their outputs' folder" "nothing may be mounted here"
fi
mkdir c; picture c/p.bmp 8 8; mkdir cout
for target in nowhere ../saved; do
    ln -sf $target cout/p.png
    expect "a link to $target in the output's place" 3 "$mien" annotate c -o cout
    check "is refused" said "cout/p.png is there and was not made by mien"
    check "and kept" test -L cout/p.png
done
expect "--force replaces the link" 0 "$mien" annotate c -o cout --force
check "not what it leads to" cmp saved bout/photo.png

# ---- edited landmarks ----
mkdir e; picture e/p.bmp 8 8
"$mien" annotate e -o eout --json --overlay -q
expect "other settings over what is as mien wrote it" 0 "$mien" annotate e -o eout --json --overlay --max-faces 4
check "make it again" printed "1 of 1 photo annotated"
edit() { # NAME WHAT SED ARGUMENT...: the edited JSON stays, and so does the map beside it
    name=$1 what=$2 sed=$3; shift 3
    rm -rf eout; "$mien" annotate e -o eout --json --overlay -q
    sed "$sed" eout/p.json >edited && cp edited eout/p.json && cp eout/p.png map.png
    [ -z "$what" ] || rm "eout/$what"
    expect "$name" 3 "$mien" annotate e -o eout --json --overlay "$@"
    check "$name: says so" said "mien: e/p.bmp: eout/p.json may have been changed since mien wrote it (--force overwrites it)"
    check "$name: is kept" cmp eout/p.json edited
}
edit "edited, other settings" "" 's/"width":8/"width":9/' --max-faces 4
check "the map is kept too" cmp eout/p.png map.png
edit "edited, no overlay" p_overlay.png 's/"width":8/"width":9/'
edit "edited, no map" p.png 's/"width":8/"width":9/'
edit "edited, not valid any more" "" 's/"width":8/"width":/'
edit "edited, another photo" "" 's/"sha256":"../"sha256":"00/'
expect "--force overwrites it" 0 "$mien" annotate e -o eout --json --overlay --force
check "with what mien finds" not cmp -s eout/p.json edited
rm -rf eout; "$mien" annotate e -o eout --json -q; cp eout/p.json first.json
rm eout/p.png; stat -c %i eout/p.json >before
expect "not edited, no map" 0 "$mien" annotate e -o eout --json
check "is finished" test -s eout/p.png
stat -c %i eout/p.json >after
check "and the JSON not written again" cmp before after
sed 's/"width":8/"width":9/' first.json >edited; cp edited eout/p.json
expect "a map drawn from edited landmarks in its place" 0 "$mien" draw eout/p.json -o ./eout/../eout/p.png --force
expect "is left alone" 0 "$mien" annotate e -o eout --json
check "as done before" printed "1 done before"
expect "and does not vouch for them" 3 "$mien" annotate e -o eout --json --max-faces 4
check "so they are kept" cmp eout/p.json edited

# ---- what an earlier run left ----
mkdir k; picture k/p.bmp 8 8
expect "all three outputs" 0 "$mien" annotate k -o kout --json --overlay
expect "then the map alone, by other settings" 0 "$mien" annotate k -o kout --max-faces 3
check "takes the landmarks along" grep -q '"max_faces":3' kout/p.json
expect "so that all are as they would be" 0 "$mien" annotate k -o kout --max-faces 3 --json --overlay
check "with nothing left to do" printed "1 done before"
sed 's/"faces":/"faces": /' kout/p.json >edited; cp edited kout/p.json
expect "edited landmarks that are not asked for" 0 "$mien" annotate k -o kout --max-faces 4
check "are not touched" cmp kout/p.json edited

# ---- closed descriptors ----
mkdir d; picture d/p.bmp 8 8; echo no >d/q.bmp
"$mien" annotate d -o whole -q 2>said.txt
"$mien" annotate d -o closed -j 1 <&- >&- 2>&-; status=$?
check "annotate without descriptors ends as with them" test $status = 3
check "its words go into no file" diff -r whole closed
expect "a list from a closed descriptor" 1 sh -c "'$mien' annotate - -o closed <&-"
check "is an error" said "Bad file descriptor"

# ---- hidden files ----
mkdir h; picture h/p.bmp 8 8
mkdir hout; echo precious >hout/.mien.lock; cp hout/.mien.lock precious
expect "a lock file with other words" 1 "$mien" annotate h -o hout
check "is not taken for one" said "hout/.mien.lock: is there and is no lock of mien"
check "and kept" cmp hout/.mien.lock precious
: >empty; ln -f empty hout/.mien.lock
expect "a lock file with two names" 1 "$mien" annotate h -o hout
check "is kept too" test -e hout/.mien.lock -a ! -s empty
echo "process 12 on nowhere" >hout/new; mv hout/new hout/.mien.lock
: >hout/.notes.txt.mien-tmp-999999999-0; : >hout/.p.png.mien-tmp-999999999-0
expect "a lock file of a process that is gone" 0 "$mien" annotate h -o hout
check "is no lock any more" test ! -e hout/.mien.lock
check "what it left is removed" test ! -e hout/.p.png.mien-tmp-999999999-0
check "what it cannot have left is not" test -e hout/.notes.txt.mien-tmp-999999999-0
finish
