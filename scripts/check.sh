#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# Usage: scripts/check.sh [STEP...]
# All checks, or some of: unit fuzz net cppcheck format. Builds what it needs in build, build-asan and build-fuzz. The last
# line is "N passed, N failed[, N skipped]"; fails if anything failed. FUZZ_SECONDS (5): per fuzz target.
set -uo pipefail
cd "$(dirname "$0")/.." || exit
exec 2>&1

passed=0 failed=0 skipped=0
failures=()

step() {
    printf '\n== %s\n' "$*"
}

count() { # NAME PASSED FAILED SKIPPED
    passed=$((passed + $2)) failed=$((failed + $3)) skipped=$((skipped + $4))
    [ "$3" = 0 ] || failures+=("$1 ($3)")
}

finish() {
    echo
    [ "$failed" = 0 ] || printf 'failed: %s\n' "${failures[@]}"
    echo "$passed passed, $failed failed$([ "$skipped" = 0 ] || echo ", $skipped skipped")"
    [ "$failed" = 0 ]
    exit
}

# Configures directory $1 with the remaining arguments, if it is not yet.
configure() {
    local dir=$1
    shift
    # shellcheck disable=SC2086
    [ -f "$dir/build.ninja" ] || meson setup "$dir" ${MESON_OPTIONS:-} "$@" || return
}

# Runs a command and counts it as one check.
check_command() { # NAME COMMAND...
    local name=$1
    shift
    if "$@"; then
        echo "$name: ok"
        count "$name" 1 0 0
    else
        echo "$name: FAILED"
        count "$name" 0 1 0
    fi
}

sum_attribute() { # FILE ATTRIBUTE, over the test suites of a JUnit file
    grep -oE '<testsuite [^>]*>' "$1" | grep -oE " $2=\"[0-9]+\"" | tr -dc '0-9\n' | awk '{ sum += $1 } END { print sum + 0 }'
}

run_unit() { # BUILD_DIR
    local dir=$1 junit=$1/meson-logs/testlog.junit.xml status=0 total wrong skip
    step "unit tests in $dir"
    rm -f "$junit"
    UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1 \
        meson test -C "$dir" --no-rebuild --suite unit --print-errorlogs || status=$?
    if [ ! -f "$junit" ]; then
        count "unit tests in $dir" 0 1 0
        return
    fi
    total=$(sum_attribute "$junit" tests) skip=$(sum_attribute "$junit" skipped)
    wrong=$(($(sum_attribute "$junit" failures) + $(sum_attribute "$junit" errors)))
    # A program that crashed has no result for the test that it was in.
    if [ $status != 0 ] && [ "$wrong" = 0 ]; then
        wrong=1 total=$((total + 1))
    fi
    count "unit tests in $dir" $((total - wrong - skip)) "$wrong" "$skip"
}

build_all() { # the directory that the network tests use, too
    step "build"
    configure build && meson compile -C build || {
        count "build" 0 1 0
        finish
    }
}

build_asan() {
    step "build with sanitizers"
    configure build-asan -Db_sanitize=address,undefined -Db_lundef=false && meson compile -C build-asan || {
        count "build with sanitizers" 0 1 0
        return 1
    }
}

run_fuzz() {
    local target name
    step "fuzz targets, ${FUZZ_SECONDS:-5} s each"
    CC=clang configure build-fuzz -Dfuzz=true -Db_sanitize=address,undefined -Db_lundef=false &&
        meson compile -C build-fuzz fuzz-targets || {
        count "build of fuzz targets" 0 1 0
        return
    }
    check_command "build with clang" meson compile -C build-fuzz
    for target in build-fuzz/tests/fuzz/fuzz-*; do
        [ -f "$target" ] && [ -x "$target" ] || continue
        name=${target##*/fuzz-}
        check_command "fuzz $name" fuzz_one "$target" "$name"
    done
}

# New inputs stay in the build directory; a crashing one too, as crash-HASH.
fuzz_one() { # TARGET NAME
    local log=build-fuzz/fuzz-$2.log corpus=build-fuzz/corpus/$2
    mkdir -p "$corpus"
    "$1" -max_total_time="${FUZZ_SECONDS:-5}" -timeout=10 -rss_limit_mb=2048 -artifact_prefix="$corpus/../$2-" \
        "$corpus" "tests/fuzz/corpus/$2" >"$log" 2>&1 && return
    tail -n 40 "$log"
    return 1
}

run_net() {
    local log=build/net.log summary
    step "network tests"
    tests/net/run build 2>&1 | tee "$log"
    local status=${PIPESTATUS[0]}
    summary=$(grep -E '^[0-9]+ passed, [0-9]+ failed' "$log" | tail -n 1)
    if [ -z "$summary" ]; then
        count "network tests (ended early)" 0 1 0
        return
    fi
    read -r ran _ wrong _ skip _ <<<"$summary 0"
    [ "$status" = 0 ] || [ "$wrong" != 0 ] || wrong=1
    count "network tests" "$ran" "$wrong" "$skip"
}

run_cppcheck() {
    step "cppcheck"
    # shellcheck disable=SC2046
    check_command "cppcheck" cppcheck -q -j2 --std=c11 --enable=warning,performance,portability --inline-suppr \
        --suppressions-list=scripts/cppcheck-suppressions.txt --library=posix,gnu,scripts/cppcheck.cfg --error-exitcode=1 \
        -D_GNU_SOURCE -D__x86_64__ -D__linux__ '-DLOCKSTEP_VERSION=""' -I. -Iinclude $(scripts/sources.sh c)
}

# Names the files; "make format" mends them.
format_is_clean() {
    local file wrong=0
    while read -r file; do
        clang-format --dry-run -Werror "$file" 2>/dev/null || {
            echo "not formatted: $file"
            wrong=1
        }
    done < <(scripts/sources.sh c h)
    return "$wrong"
}

run_format() {
    step "clang-format"
    check_command "clang-format" format_is_clean
}

steps=" ${*:-unit fuzz net cppcheck format} "
case $steps in *" unit "* | *" net "*) build_all ;; esac
case $steps in *" unit "*)
    run_unit build
    build_asan && run_unit build-asan
    ;;
esac
case $steps in *" fuzz "*) run_fuzz ;; esac
case $steps in *" cppcheck "*) run_cppcheck ;; esac
case $steps in *" format "*) run_format ;; esac
case $steps in *" net "*) run_net ;; esac
finish
