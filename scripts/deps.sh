#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# Usage: scripts/deps.sh [SECTION...]
# Installs the Debian packages of the sections of scripts/packages.txt (default: all), and fetches the source of lwIP
# into .cache/lwip and packages of npm into .cache. Does nothing when all is there.
set -euo pipefail
cd "$(dirname "$0")/.."

cache=$PWD/.cache
lwip_version=2.1.3 # a prefix of the Debian version
lwip_orig_sha256=0a8276d09fc4e97bbba2f953d74af2388fc2195ea156be9d7589e297a68fde24

fail() {
    echo "deps: $*" >&2
    exit 1
}

as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        fail "installing packages needs root: run \"make deps\" as root once"
    fi
}

listed_packages() {
    awk -v wanted="$*" '
        /^#/ || NF == 0 { next }
        /^\[/ { section = substr($1, 2, length($1) - 2); next }
        wanted == "" || index(" " wanted " ", " " section " ") { print $1 }' scripts/packages.txt
}

missing_packages() {
    local package
    for package in $(listed_packages "$@"); do
        case $(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true) in
        installed) ;;
        *) echo "$package" ;;
        esac
    done
}

# The test programs' packages would start their servers; policy-rc.d (Debian policy 9.3.3.1) keeps those off.
install_packages() {
    local policy=/usr/sbin/policy-rc.d made_policy=no status=0
    if [ ! -e "$policy" ]; then
        made_policy=yes
        printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
        as_root chmod 755 "$policy"
    fi
    as_root apt-get update -q || echo "deps: some package lists could not be fetched; going on" >&2
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends \
        -o Dpkg::Options::=--force-confold "$@" || status=$?
    if [ "$made_policy" = yes ]; then
        as_root rm -f "$policy"
    fi
    [ "$status" = 0 ] || fail "apt-get could not install: $*"
}

# Debian's own entries among the machine's apt sources, as deb-src, into the directory $1. Signed by a key that is
# not Debian's means: a third party's.
copy_apt_sources() {
    local ours='(//|[.])debian[.]org(:[0-9]+)?/|/debian(-security)?/?$|/archive/debian(-security)?/'
    local file
    for file in /etc/apt/sources.list.d/*.sources; do
        [ -e "$file" ] || continue
        awk -v RS= -v ORS='\n\n' -v ours="$ours" '{
            uri = components = signed = ""; enabled = 1; text = "Types: deb-src"
            count = split($0, line, "\n")
            for (i = 1; i <= count; i++) {
                name = tolower(line[i]); sub(/:.*/, ":", name)
                value = line[i]; sub(/^[^:]*:[ \t]*/, "", value)
                if (line[i] ~ /^#/ || name ~ /^(types|architectures):/) continue
                if (name == "uris:") uri = value
                if (name == "components:") components = " " value " "
                if (name == "signed-by:") signed = value
                if (name == "enabled:" && tolower(value) ~ /^(no|false|0)/) enabled = 0
                text = text "\n" line[i]
            }
            sub(/[ \t].*/, "", uri)
            if (enabled && uri ~ ours && components ~ / main / && (signed !~ /^\// || signed ~ /debian-archive/))
                print text
        }' "$file" >"$1/$(basename "$file")"
    done
    for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
        [ -e "$file" ] || continue
        awk -v ours="$ours" '$1 == "deb" {
            options = ""
            if (match($0, /\[[^]]*\]/)) {
                options = substr($0, RSTART, RLENGTH)
                $0 = substr($0, 1, RSTART - 1) " " substr($0, RSTART + RLENGTH)
            }
            if ($2 !~ ours || " " $0 " " !~ / main / || (options ~ /signed-by/ && options !~ /debian-archive/)) next
            sub(/[^ \[]*arch=[^ \]]*/, "", options)
            if (options ~ /^\[ *\]$/) options = ""
            $1 = "deb-src " options
            print
        }' "$file" >"$1/$(basename "$file" .list).list"
    done
    find "$1" -type f -size 0 -delete
    [ -n "$(ls "$1")" ] ||
        fail "no Debian archive among the machine's apt sources; get the lwIP $lwip_version source by hand and" \
            "configure with -Dlwip_source=DIR"
}

# apt reads the machine's settings (proxies and so on) but keeps its sources, lists and cache in our directory.
fetch_lwip() {
    local apt=$cache/apt version dsc
    rm -rf "$apt"
    mkdir -p "$apt/sources.d" "$apt/lists/partial" "$apt/archives/partial" "$apt/download"
    copy_apt_sources "$apt/sources.d"
    local -a private=(-o Dir::Etc::sourcelist=/dev/null -o "Dir::Etc::sourceparts=$apt/sources.d"
        -o "Dir::State::lists=$apt/lists" -o "Dir::Cache=$apt" -o APT::Sandbox::User= -o Acquire::Languages=none
        -o Acquire::Check-Valid-Until=false -o Acquire::Retries=3)
    echo "deps: fetching the lwIP source package"
    apt-get -q "${private[@]}" update >"$apt/log" 2>&1 || true # what counts is whether lwIP is found
    version=$(apt-cache "${private[@]}" showsrc lwip 2>>"$apt/log" |
        awk -v prefix="$lwip_version" '$1 == "Version:" && index($2, prefix) == 1 && !found { found = 1; print $2 }')
    [ -n "$version" ] || {
        cat "$apt/log" >&2
        fail "lwIP $lwip_version is not in the Debian archive that this machine uses (sources: $apt/sources.d)"
    }
    (cd "$apt/download" && apt-get -q "${private[@]}" source --download-only --only-source "lwip=$version") \
        >>"$apt/log" 2>&1 || {
        cat "$apt/log" >&2
        fail "cannot download the source package lwip $version"
    }
    echo "$lwip_orig_sha256  $(echo "$apt"/download/lwip_*.orig.tar.xz)" | sha256sum --check --quiet ||
        fail "the lwIP source is not the expected one"
    dsc=$(echo "$apt"/download/lwip_*.dsc)
    rm -rf "$cache/lwip.new" "$cache/lwip"
    dpkg-source --no-copy -x "$dsc" "$cache/lwip.new" >>"$apt/log" 2>&1 || {
        cat "$apt/log" >&2
        fail "cannot unpack $dsc"
    }
    mv "$cache/lwip.new" "$cache/lwip"
    rm -rf "$apt"
    echo "deps: lwIP $version is in .cache/lwip"
}

# A package of the npm registry, unpacked into .cache/NAME. Any npm will do: Debian's only where there is none.
fetch_npm() { # NAME VERSION SHA256
    local work=$cache/$1.new
    [ ! -e "$cache/$1/package.json" ] || return 0
    command -v npm >/dev/null || install_packages npm
    rm -rf "$work"
    mkdir -p "$work"
    echo "deps: fetching $1 $2"
    (cd "$work" && npm pack --silent "$1@$2") >"$work/log" 2>&1 || {
        cat "$work/log" >&2
        fail "cannot download $1 $2 from npm"
    }
    echo "$3  $work/$1-$2.tgz" | sha256sum --check --quiet || fail "$1 is not the expected one"
    tar -xzf "$work/$1-$2.tgz" -C "$work" --strip-components=1
    rm -rf "$work/$1-$2.tgz" "${cache:?}/$1"
    mv "$work" "$cache/$1"
}

[ -e /etc/debian_version ] || fail "this needs Debian (for other systems see DEVELOPERS.md)"
missing=$(missing_packages "$@")
if [ -n "$missing" ]; then
    # shellcheck disable=SC2086
    install_packages $missing
fi
[ -e "$cache/lwip/src/include/lwip/init.h" ] || fetch_lwip
# Draws the reports' figures (embedded at build).
fetch_npm uplot 1.6.32 4b8a8191e425658e3ea8c8c1314b0fc679c861ee3a1af2b20c7b16ba50b5133d
# Drives Chromium in the tests.
fetch_npm playwright-core 1.64.1 3af03703c967c95037454f2283f709d53ce804a4776d4219d319f5bbcc2a0185
