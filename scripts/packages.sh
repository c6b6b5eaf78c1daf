#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# Usage: scripts/packages.sh DIR
# Builds the Debian packages from this tree into DIR, offline; "make deps" has fetched what the build needs. The tree is copied
# first, so that nothing is written into it.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
[ $# = 1 ] || { echo "usage: scripts/packages.sh DIR" >&2; exit 2; }
[ -e "$root/.cache/lwip" ] && [ -e "$root/.cache/uplot" ] || { echo "packages: run \"make deps\" first" >&2; exit 1; }
rm -rf "$1"
mkdir -p "$1/source"
out=$(cd "$1" && pwd)
cd "$root"
if [ -e .git ]; then
    git ls-files -z --cached --others --exclude-standard
else
    find . \( -path './build*' -o -path ./.cache \) -prune -o -type f -print0
fi | while IFS= read -r -d '' file; do [ ! -e "$file" ] || printf '%s\0' "$file"; done |
    tar --create --null --no-recursion --files-from - | tar --extract --directory "$out/source"
ln -s "$root/.cache" "$out/source/.cache"
cd "$out/source"
# What has been compiled before is taken from ccache, which would not find its directory: debhelper gives each build a home of its own.
export CCACHE_DIR=${CCACHE_DIR:-$(ccache --get-config cache_dir 2>/dev/null || true)}
[ "$CCACHE_DIR" ] || unset CCACHE_DIR
# The whole log only if it fails.
dpkg-buildpackage --build=binary --unsigned-changes --no-check-builddeps >"$out/log" 2>&1 || {
    tail -n 60 "$out/log" >&2
    echo "packages: the build failed: $out/log" >&2
    exit 1
}
rm -rf "$out/source"
ls "$out"/*.deb
