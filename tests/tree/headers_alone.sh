#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Every header compiles alone, without a warning; mien.h in C++ too. A template, to be included after some definitions, is
# no such header: it says so in its first line of words (" * Template ...").
set -u
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
    if faults=$($cxx -std=c++11 -Wall -Wextra -Werror -pedantic -fsyntax-only -x c++ include/mien.h 2>&1); then
        echo "ok $n - mien.h as C++"
    else
        echo "$faults" | sed 's/^/# /'
        echo "not ok $n - mien.h as C++"
    fi
    exit
done
echo "no C++ compiler here"
echo "ok $n # SKIP mien.h as C++"
