#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Every header compiles alone, without a warning; mien.h in C++ too. A template, to be included after some definitions, is
# no such header: it says so in its first line of words (" * Template ...").
set -u

# What somebody would write in C++: every struct has a name to be called by.
use_in_cxx() { cat <<'END'
#include "mien.h"
int annotate(const char *const *photos, int n, volatile int *stop) {
    mien *m = nullptr;
    mien_options how = {};
    how.cpu = "avx2";
    if (mien_open(&how, &m) < 0) return -1;
    mien_annotate_times times = {};
    mien_annotate_options job = {};
    job.inputs = photos, job.n_inputs = n, job.output = "maps", job.hooks.stop = stop, job.times = &times;
    job.faces = mien_face_defaults();
    job.faces.search = MIEN_SEARCH_AUTO;
    job.hooks.log = [](void *, mien_log_kind kind, const char *, const char *message) { if (kind == MIEN_LOG_WARNING) (void)message; };
    mien_progress p = {};
    int rc = mien_annotate(m, &job, &p);
    mien_close(m);
    return rc < 0 ? rc : times.find > 0 && p.failed == 0;
}
END
}

CC=${CC:-gcc}
headers=$(find include src -name '*.h' | LC_ALL=C sort | while read -r header; do
    sed -n 3p "$header" | grep -q '^ \* Template ' || echo "$header"
done)
n=0
echo "1..$(($(echo "$headers" | wc -l) + 1))"
for header in $headers; do
    n=$((n + 1))
    case $header in
    *_avx2.h) isa="-mavx2 -mfma -mf16c" ;;
    *_avx512*.h) isa="-mavx2 -mfma -mf16c -mavx512f -mavx512bw -mavx512dq -mavx512vl" ;;
    *onednn_inside.h) [ "${ONEDNN:-system}" = system ] && isa= || isa="-I$ONEDNN/include" ;;
    *) isa= ;;
    esac
    if faults=$($CC -std=gnu11 -Wall -Wextra -Werror -Isrc -Iinclude $isa -fsyntax-only -x c "$header" 2>&1); then
        echo "ok $n - $header"
    else
        echo "$faults" | sed 's/^/# /'
        echo "not ok $n - $header"
    fi
done

n=$((n + 1))
for cxx in "$CC" clang g++; do
    echo 'int x;' | $cxx -fsyntax-only -x c++ - 2>/dev/null || continue
    if faults=$(use_in_cxx | $cxx -std=c++11 -Wall -Wextra -Werror -pedantic -Iinclude -fsyntax-only -x c++ - 2>&1); then
        echo "ok $n - mien.h as C++"
    else
        echo "$faults" | sed 's/^/# /'
        echo "not ok $n - mien.h as C++"
    fi
    exit
done
echo "no C++ compiler here"
echo "ok $n # SKIP mien.h as C++"
