#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Usage: scripts/sources.sh SUFFIX...
# Lists the project's own files with these suffixes (c, h), one a line; does not need git.
cd "$(dirname "$0")/.." || exit
for suffix in "$@"; do
    find . \( -path './build*' -o -path ./.git -o -path ./.cache \) -prune -o -type f -name "*.$suffix" -print
done | sed 's|^\./||' | sort
