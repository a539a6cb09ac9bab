#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# make install into a prefix that is then moved: the program runs from anywhere, docs/example.c and
# docs/example_iterate.c build against the library through pkg-config and run, only mien_ is exported, and uninstall leaves nothing.
set -u
n=0
ok() { # ok STATUS NAME [LOG]
    n=$((n + 1))
    if [ "$1" = 0 ]; then echo "ok $n - $2"
    else [ -z "${3:-}" ] || sed 's/^/# /' "$3"; echo "not ok $n - $2"; fi
}
BUILD=${BUILD:-build}
echo 1..12
CC=${CC:-gcc} MAKE=${MAKE:-make}
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
# What helps the build tree must not help the installed program.
unset MIEN_MODELS LD_LIBRARY_PATH PKG_CONFIG_PATH

make_() { $MAKE --no-print-directory BUILD="$BUILD" CC="$CC" ${MODELS_DIR:+MODELS_DIR="$MODELS_DIR"} ${CLIP_DIR:+CLIP_DIR="$CLIP_DIR"} PREFIX=/opt/mien DESTDIR="$tmp/stage" "$@"; }
make_ install >"$tmp/log" 2>&1
ok $? "make install" "$tmp/log"
mv "$tmp/stage/opt/mien" "$tmp/moved here" 2>/dev/null
prefix="$tmp/moved here"

# All that is promised is there, and nothing holds the path it was built or staged at.
(cd "$prefix" && for file in bin/mien include/mien.h lib/libmien.so lib/libmien.so.0 lib/pkgconfig/mien.pc \
        share/man/man1/mien.1 share/mien/models/face_detection_short_range.tflite \
        share/mien/models/face_landmark_with_attention.tflite share/mien/models/bpe_simple_vocab_16e6.txt $([ ! -e models/tiny/mien-tiny.safetensors ] || echo share/mien/models/tiny/mien-tiny.safetensors) share/doc/mien/LICENSE share/doc/mien/NOTICE \
        $([ "${ONEDNN:-}" = system ] || echo lib/mien/libdnnl.so.3); do
    [ -e "$file" ] || echo "$file is missing"
done; grep -rl "$tmp" . | sed 's/$/ holds the staging path/'
find . ! -type l -perm /022 | sed 's/$/ is writable for others/') >"$tmp/log" 2>&1
[ ! -s "$tmp/log" ]
ok $? "every promised file, no path of the staging folder" "$tmp/log"

rpath=$(readelf -d "$prefix/bin/mien" "$prefix/lib/libmien.so.0" | sed -n 's/.*R[UN]*PATH.*\[\(.*\)\]/\1/p' | tr '\n' ' ')
# oneDNN is opened when it is needed, by these.
case $rpath in
'$ORIGIN/../lib/mien $ORIGIN/mien ') ok 0 "run-time paths" ;;
*) echo "$rpath" >"$tmp/log"; [ "${ONEDNN:-}" = system ]; ok $? "run-time paths" "$tmp/log" ;;
esac

(cd / && "$prefix/bin/mien" --version) >"$tmp/log" 2>&1 && grep -q '0\.' "$tmp/log"
ok $? "mien --version" "$tmp/log"

(cd / && ldd "$prefix/bin/mien" "$prefix/lib/libmien.so.0") >"$tmp/log" 2>&1 && ! grep 'not found' "$tmp/log" >/dev/null
ok $? "its libraries are found" "$tmp/log"

nm -D --defined-only "$prefix/lib/libmien.so.0" | awk '$2 ~ /[A-Z]/ && $3 !~ /^mien_/ { print $3 }' >"$tmp/log"
[ ! -s "$tmp/log" ] && nm -D --defined-only "$prefix/lib/libmien.so.0" | grep -q ' T mien_open$'
ok $? "the library exports mien_ and nothing else" "$tmp/log"

# A picture to look at: the demo photo if set-up brought it, else a small grey one, in which there is no face.
photo=third_party/demo/astronaut.png
if [ ! -e $photo ]; then
    photo=$tmp/grey.bmp
    { printf 'BM\066\003\0\0\0\0\0\0\066\0\0\0\050\0\0\0\020\0\0\0\020\0\0\0\001\0\030\0\0\0\0\0\0\003\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0'
      head -c 768 /dev/zero | tr '\0' '\200'; } >"$photo"
fi
photo=$(realpath "$photo")
(cd / && "$prefix/bin/mien" annotate "$photo" -o "$tmp/out" --json) >"$tmp/log" 2>&1 &&
    [ -s "$tmp/out/$(basename "${photo%.*}").png" ] && [ -s "$tmp/out/$(basename "${photo%.*}").json" ]
ok $? "the moved program finds its models and annotates" "$tmp/log"

# pkg-config answers with escaped paths, which the shell that reads its answer must take apart.
flags=$(PKG_CONFIG_PATH="$prefix/lib/pkgconfig" pkg-config --cflags --libs mien 2>"$tmp/log")
eval "$CC -Wall -Wextra -Werror docs/example.c -o '$tmp/example' $flags" >>"$tmp/log" 2>&1
ok $? "docs/example.c builds through pkg-config" "$tmp/log"
(cd / && LD_LIBRARY_PATH="$prefix/lib" "$tmp/example" "$photo" "$tmp/overlay.png") >"$tmp/log" 2>&1 && [ -s "$tmp/overlay.png" ] &&
    { [ "${photo##*/}" != astronaut.png ] || grep -q '^face 0: score 0\.[5-9]\|^face 0: score 1' "$tmp/log"; }
ok $? "the example finds the models beside the library and runs" "$tmp/log"

# A data set of that photo and its map, with and without a prompt, and a line of nothing.
eval "$CC -Wall -Wextra -Werror docs/example_iterate.c -o '$tmp/example_iterate' $flags" >"$tmp/log" 2>&1
ok $? "docs/example_iterate.c builds through pkg-config" "$tmp/log"
mkdir "$tmp/set" "$tmp/set/source" "$tmp/set/target" && cp "$photo" "$tmp/set/target" && cp "$tmp/out/$(basename "${photo%.*}").png" "$tmp/set/source"
for prompt in '"a face"' null; do
    printf '{"source": "source/%s", "target": "target/%s", "prompt": %s}\n' "$(basename "${photo%.*}").png" "$(basename "$photo")" "$prompt"
done >"$tmp/set/prompt.jsonl"
echo '{"source": "source/no.png", "target": "target/no.jpg", "prompt": ""}' >>"$tmp/set/prompt.jsonl"
(cd / && LD_LIBRARY_PATH="$prefix/lib" "$tmp/example_iterate" "$tmp/set") >"$tmp/log" 2>&1 && grep -q ': "a face", its first pixel -*[01]\.[0-9]' "$tmp/log" &&
    grep -q ': "an image", its' "$tmp/log" && grep -qx '2 items, 1 left out' "$tmp/log"
ok $? "it goes through a data set" "$tmp/log"

mkdir -p "$tmp/stage/opt" && mv "$prefix" "$tmp/stage/opt/mien" && make_ uninstall >"$tmp/log" 2>&1
find "$tmp/stage" ! -type d >"$tmp/log"
[ ! -s "$tmp/log" ]
ok $? "uninstall leaves nothing" "$tmp/log"
