#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Who may use whom: every include line of src/ is compared with the map of rooms in docs/architecture.md. Nothing points
# upward or sideways; an include line names the room; an outside library has one door.
#
# include_directions.sh [ROOT]: with a ROOT only that tree is checked (one line a fault, exit status 1).
set -u

check() { # check ROOT: prints the faults
    (cd "$1" && find src include -name '*.[ch]' | LC_ALL=C sort | xargs awk '
    function room(name, users) { uses[name] = " " name " " users " " }
    function fault(text) { printf "%s:%d: %s\n", FILENAME, FNR, text; faults++ }
    function exists(path,   line, found) { found = (getline line < path) >= 0; close(path); return found }
    BEGIN {
        # Each room with all it may use (itself, the rooms in its brackets on the map, and what those use).
        room("base",      "")
        room("image",     "base")
        room("nn",        "base")
        room("tflite",    "nn base")
        room("face",      "image tflite nn base mien.h")
        room("synth",     "image base mien.h")
        room("data",      "image face tflite nn base mien.h")
        room("weights",   "nn base mien.h")
        room("model",     "nn weights base")
        room("diffusion", "nn base")
        room("generate",  "face model diffusion image tflite nn weights base mien.h")
        room("eval",      "data generate face model diffusion image tflite nn weights base mien.h")
        room("train",     "data eval generate face model diffusion image tflite nn weights base mien.h")
        room("api",       "train data eval generate synth face model diffusion image tflite nn weights base mien.h")
        room("serve",     "base mien.h")
        room("cli",       "base mien.h")

        door["oneapi/dnnl/"] = door["dnnl"] = " src/nn/cpu/onednn_inside.h "
        door["jpeglib.h"] = door["jerror.h"] = " src/image/jpeg_errors.h src/image/jpeg_errors.c src/image/jpeg_write.c "
        door["spng.h"]       = " src/image/png.c "
        door["libdeflate.h"] = " src/image/png.c src/image/png_chunk.c src/image/png_write.c src/base/archive_zip.c src/base/gunzip.c src/weights/zip.c "
        door["webp/"]        = " src/image/webp.c "
        door["jansson.h"]    = " src/base/json.c "
        door["nettle/"]      = " src/base/hash.c "
        door["yajl/"]        = " src/base/json_stream.c src/base/json_fields.c "
        door["curl/"]        = " src/base/http_curl.h "
        door["mpi.h"]        = " src/train/ranks_mpi.c "
        door["archive"]      = " src/base/archive.c "
        # The C library and the compiler belong to everyone.
        own = " assert ctype errno fenv float inttypes limits locale malloc math setjmp signal stdalign stdarg stdatomic stdbool stdio_ext " \
              "stddef stdint stdio stdlib string strings time threads wchar argp dirent dlfcn endian fcntl fnmatch ftw " \
              "getopt glob poll pthread sched semaphore termios unistd cpuid immintrin x86intrin emmintrin "
    }
    FNR == 1 { split(FILENAME, part, "/"); here = part[1] == "include" ? "mien.h" : part[2] }
    here != "mien.h" && !(here in uses) && FNR == 1 { fault("src/" here "/ is not a room of the map") }

    /^[ \t]*#[ \t]*include[ \t]*"/ {
        split($0, quoted, "\""); target = quoted[2]
        if (here == "mien.h") { fault("mien.h is for strangers and includes nothing of ours: " target); next }
        if (target == "mien.h") to = "mien.h"
        else {
            if (target !~ /\// || target ~ /\.\./) { fault("the include line must name the room: " target); next }
            to = target; sub(/\/.*/, "", to)
            if (!exists("src/" target)) { fault("no such header: src/" target); next }
        }
        if (index(uses[here], " " to " ") == 0) fault(here " may not use " to ": " target)
    }
    /^[ \t]*#[ \t]*include[ \t]*</ {
        target = $0; sub(/^[^<]*</, "", target); sub(/>.*/, "", target)
        stem = target; sub(/\.h$/, "", stem)
        if (index(own, " " stem " ") || target ~ /^(sys|linux|arpa|netinet|net)\//) next
        for (library in door)
            if (index(target, library) == 1) {
                if (index(door[library], " " FILENAME " ") == 0) fault("only" door[library] "may include <" target ">")
                next
            }
        fault("<" target "> has no door (tests/tree/include_directions.sh lists them)")
    }
    /GOMP_|omp_(get|set)_|#[ \t]*pragma[ \t]+omp/ && FILENAME !~ /^src\/base\/parallel\.[ch]$/ {
        line = $0; sub(/^[ \t]*(\/\*|\*|\/\/).*/, "", line)
        if (line ~ /GOMP_|omp_(get|set)_|pragma[ \t]+omp/) fault("only src/base/parallel.c calls the OpenMP runtime")
    }
    FILENAME ~ /\.c$/ && FILENAME != "src/base/parallel.c" && /^extern / { fault("include the header that owns it: " $0) }
    END { exit faults > 0 }')
}

if [ $# -gt 0 ]; then check "$1"; exit; fi

echo 1..2
if faults=$(check .); then echo "ok 1 - every include line of the tree"
else echo "$faults" | sed 's/^/# /'; echo "not ok 1 - every include line of the tree"; fi

# A tree with one fault of each kind: each must be found, and nothing else.
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
mkdir -p "$tmp/include" "$tmp/src/base" "$tmp/src/image" "$tmp/src/nn/cpu" "$tmp/src/face" "$tmp/src/cli" "$tmp/src/attic"
echo '#include <stdint.h>' > "$tmp/include/mien.h"
for header in base/error.h image/image.h nn/graph.h face/face.h; do echo '#include <stddef.h>' > "$tmp/src/$header"; done
printf '%s\n' '#include "image/image.h"' '#include <jansson.h>' > "$tmp/src/base/up.c"                  # 2 faults
printf '%s\n' '#include "nn/graph.h"' '#include "base/error.h"' '#include "mien.h"' > "$tmp/src/image/sideways.c"   # 2
printf '%s\n' '#include "error.h"' '#include "../base/error.h"' '#include "base/gone.h"' > "$tmp/src/nn/room.c"     # 3
printf '%s\n' '#include <oneapi/dnnl/dnnl.h>' 'extern int f(void);' > "$tmp/src/nn/cpu/door.c"          # 2
printf '%s\n' '#include <curl/curl.h>' '#include "mien.h"' '#include "nn/graph.h"' > "$tmp/src/face/new.c"          # 1
printf '%s\n' '#include "face/face.h"' '#include "mien.h"' ' #pragma omp parallel' > "$tmp/src/cli/inside.c"        # 2
echo '/* GOMP_parallel, said only */' > "$tmp/src/attic/room.c"                                         # 1
found=$(check "$tmp" | wc -l)
if [ "$found" = 13 ]; then echo "ok 2 - faults are found"
else check "$tmp" | sed 's/^/# /'; echo "# $found faults, 13 were made"; echo "not ok 2 - faults are found"; fi
