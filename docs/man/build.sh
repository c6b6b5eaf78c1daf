#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Usage: docs/man/build.sh SCDOC SOURCE VERSION [PROGRAM...]
# Writes a man page to stdout. The source's line "@OPTIONS@" becomes what "PROGRAM... --man" prints, "@OPTIONS WORD@" the options
# of "PROGRAM... WORD" without a heading and without those that all have, @VERSION@ the version.
set -eu
scdoc=$1 source=$2 version=$3
shift 3
options=
[ $# -eq 0 ] || options=$("$@" --man)
# A page's date would differ from build to build.
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-1767225600}
export SOURCE_DATE_EPOCH
while IFS= read -r line; do
    case $line in
    @OPTIONS@) printf '%s\n' "$options" ;;
    "@OPTIONS "*@)
        word=${line#@OPTIONS }
        "$@" "${word%@}" --man | sed -e '1,2d' -e '/^\*-h\*/,$d'
        ;;
    *@VERSION@*) printf '%s%s%s\n' "${line%%@VERSION@*}" "$version" "${line#*@VERSION@}" ;;
    *) printf '%s\n' "$line" ;;
    esac
done <"$source" | "$scdoc"
