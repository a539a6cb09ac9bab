#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Every command and every option of the program's own help is in the man page, and every option of the page in the help.
set -u
mien=${MIEN:-build/mien}
echo 1..3
page=$(sed 's/\\-/-/g; s/\\f.//g' docs/mien.1)
commands=$("$mien" help | sed -n 's/^  \([a-z]*\)  .*/\1/p' | grep -vx help)
help=$("$mien" help; for command in $commands; do "$mien" help "$command"; done)

missing=
for word in $(for c in $commands; do echo "mien_$c"; done) mien_help $(echo "$help" | grep -o -e '--[a-z][a-z-]*' | sort -u); do
    echo "$page" | grep -q -e "$(echo "$word" | tr _ ' ')\\([^a-z-]\\|\$\\)" || missing="$missing $word"
done
if [ -n "$commands" ] && [ -z "$missing" ]; then echo "ok 1 - the man page has what the help has"
else echo "# not in docs/mien.1:$missing"; echo "not ok 1 - the man page has what the help has"; fi

unknown=
for word in $(echo "$page" | sed '/^\.SH SEE/,$d' | grep -o -e '--[a-z][a-z-]*' | sort -u); do
    case $word in --version) continue ;; esac
    echo "$help" | grep -q -e "$word\\([^a-z-]\\|\$\\)" || unknown="$unknown $word"
done
if [ -z "$unknown" ]; then echo "ok 2 - the help has what the man page has"
else echo "# not in the help:$unknown"; echo "not ok 2 - the help has what the man page has"; fi

# A command's own options, which stand above those of every command, are in its own section.
missing=
for command in $commands; do
    section=$(echo "$page" | sed -n "/^\.SH OPTIONS OF $(echo "$command" | tr a-z A-Z)\$/,/^\.SH OPTIONS OF [^$]*\$/p" | sed '1d;$d')
    for word in $("$mien" help "$command" | sed '/^Options of every command/,$d' | grep -o -e '^  *\(-., \)\?--[a-z][a-z-]*' | grep -o -e '--.*'); do
        echo "$section" | grep -q -e "$word\\([^a-z-]\\|\$\\)" || missing="$missing $command:$word"
    done
done
if [ -z "$missing" ]; then echo "ok 3 - each command's section has its options"
else echo "# not in their sections of docs/mien.1:$missing"; echo "not ok 3 - each command's section has its options"; fi
