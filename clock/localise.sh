#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Usage: localise.sh OUTPUT.a FIRST.a [OTHER.a...]
# A static library of one object file: all of the first archive and what it needs of the others, with no global names but
# lockstep_clock_*.
set -eu
output=$1 first=$2
shift 2
object=${output%.a}.o
ld -r -o "$object" --whole-archive "$first" --no-whole-archive "$@"
objcopy --wildcard --keep-global-symbol='lockstep_clock_*' "$object"
rm -f "$output"
ar rcs "$output" "$object"
