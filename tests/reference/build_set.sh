#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# build_set.sh DIR: makes DIR/target with photos and sidecars, one for each of the original's filters and captions. Needs
# build/tests/make_photos and the demo's photo. Used by tests/cli/build.sh and tests/reference/build_original.py.
set -eu
make_photos=${BUILD:-build}/tests/make_photos face=${FACE:-third_party/demo/astronaut.png}
mkdir -p "$1/target"

# photo NAME NUMBER WIDTHxHEIGHT [--face]: the number decides how large the face is drawn.
photo() {
    "$make_photos" "$1.made" 1 --first "$2" --size "$3" ${4:+--face "$face"}
    mv "$1.made"/*.jpg "$1.jpg"
    rmdir "$1.made"
}
cd_target() { (cd "$1" && pwd); }
t=$(cd_target "$1/target")

photo "$t/plain"       1 640x600 --face
photo "$t/caption"     2 600x640 --face; printf '%s' '{"caption": "a \"quoted\" caption, \u00e9 \u65e5\u672c \ud83d\ude00 \u0007 <b>\u001b[31m</b>\n", "key": [1, {}]}' >"$t/caption.json"
photo "$t/utf-8"       3 600x600 --face; printf '%s' '{"caption": "é 日本 😀 \\ / 	"}' | tr -d '\t' >"$t/utf-8.json"
photo "$t/null"        4 600x600 --face; printf '%s' '{"caption": null, "NSFW": null}' >"$t/null.json"
photo "$t/empty"       5 600x600 --face; printf '%s' '{"caption": "", "NSFW": "UNLIKELY"}' >"$t/empty.json"
photo "$t/none"        6 600x600 --face; printf '%s' '{"NSFW": "unLikely"}' >"$t/none.json"
photo "$t/likely"      7 600x600 --face; printf '%s' '{"caption": "x", "NSFW": "LIKELY"}' >"$t/likely.json"
photo "$t/unsure"      8 600x600 --face; printf '%s' '{"caption": "x", "NSFW": "UNSURE"}' >"$t/unsure.json"
photo "$t/nothing"     9 600x600 --face; printf '%s' '{"caption": "x", "NSFW": ""}' >"$t/nothing.json"
photo "$t/space"      10 600x600 --face; printf '%s' '{"caption": "x", "NSFW": "UNLIKELY "}' >"$t/space.json"
photo "$t/narrow"     11 383x700 --face
photo "$t/low"        12 700x383 --face
photo "$t/just"       19 640x384 --face
photo "$t/noface"     14 500x500; printf '%s' '{"caption": "nobody"}' >"$t/noface.json"
photo "$t/small-face" 15 384x384 --face
photo "$t/nsfw-small" 16 300x300; printf '%s' '{"NSFW": "LIKELY"}' >"$t/nsfw-small.json"
