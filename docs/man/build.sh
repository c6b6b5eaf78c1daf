#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Usage: docs/man/build.sh SCDOC SOURCE VERSION [PROGRAM...]
# Writes a man page to stdout. The source's line "@OPTIONS@" becomes what "PROGRAM... --man" prints, @VERSION@ the version.
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
    *@VERSION@*) printf '%s%s%s\n' "${line%%@VERSION@*}" "$version" "${line#*@VERSION@}" ;;
    *) printf '%s\n' "$line" ;;
    esac
done <"$source" | "$scdoc"
