#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Every source file says its licence in its first lines; the version is the same wherever it is written.
set -u
echo 1..2

files=$(git ls-files --cached --others --exclude-standard 2>/dev/null ||
        find . \( -name .git -o -name third_party -o -name 'build*' \) -prune -o -type f -print)
missing=$(echo "$files" | sort -u | while read -r file; do
    [ -f "$file" ] || continue
    case $file in
    *.c|*.h|*.cu|*.py|*.sh|*.awk|*.mk|*.1|Makefile|*/Makefile) ;;
    *) head -c 2 "$file" | grep -q '#!' || continue ;;
    esac
    head -n 3 "$file" | grep -q 'SPDX-License-Identifier: Apache-2\.0' || echo "$file"
done)
if [ -z "$missing" ]; then echo "ok 1 - SPDX lines"
else echo "$missing" | sed 's/^/# no SPDX line: /'; echo "not ok 1 - SPDX lines"; fi

version=$(sed -n 's/^VERSION *= *//p' Makefile)
wrong=
grep -q "^version: $version\$" CITATION.cff || wrong="$wrong CITATION.cff"
grep -q "\"mien $version\"" docs/mien.1 || wrong="$wrong docs/mien.1"
if [ -z "$wrong" ]; then echo "ok 2 - version $version"
else echo "# not $version in:$wrong"; echo "not ok 2 - version $version"; fi
