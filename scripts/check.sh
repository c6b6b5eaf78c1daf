#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# Usage: scripts/check.sh [STEP...]
# All checks, or some of: unit fuzz thread net cppcheck format packages. Builds what it needs in build and build-*. The last
# line is "N passed, N failed[, N skipped]"; fails if anything failed. FUZZ_SECONDS (4): per fuzz target.
set -uo pipefail
cd "$(dirname "$0")/.." || exit
exec 2>&1

passed=0 failed=0 skipped=0
failures=() # what failed, each followed by the lines of its log that tell why

step() {
    printf '\n== %s\n' "$*"
}

count() { # NAME PASSED FAILED SKIPPED [LOG]
    passed=$((passed + $2)) failed=$((failed + $3)) skipped=$((skipped + $4))
    [ "$3" = 0 ] || failures+=("$1 ($3)$(why "${5:-}")")
}

why() { # LOG: the last lines that look like a reason, or just the last
    [ -s "$1" ] || return 0
    { grep -E 'not ok|[Ee]rror|ERROR|FAIL|Assertion' "$1" || cat "$1"; } | tail -n 8 | cut -c1-200 | sed 's/^/    /; 1s/^/\n/'
}

finish() {
    echo
    echo "took $((SECONDS / 60)) min $((SECONDS % 60)) s"
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
check_command() { # NAME LOG COMMAND...
    local name=$1 log=$2
    shift 2
    if "$@" >"$log" 2>&1; then
        echo "$name: ok"
        count "$name" 1 0 0
    else
        cat "$log"
        echo "$name: FAILED"
        count "$name" 0 1 0 "$log"
    fi
}

sum_attribute() { # FILE ATTRIBUTE, over the test suites of a JUnit file
    grep -oE '<testsuite [^>]*>' "$1" | grep -oE " $2=\"[0-9]+\"" | tr -dc '0-9\n' | awk '{ sum += $1 } END { print sum + 0 }'
}

unit_tests() { # BUILD_DIR
    rm -f "$1/meson-logs/testlog.junit.xml"
    UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1 \
        meson test -C "$1" --no-rebuild --suite unit --print-errorlogs >"$1/unit.log" 2>&1
    echo $? >"$1/unit.status"
}

count_unit() { # BUILD_DIR
    local dir=$1 junit=$1/meson-logs/testlog.junit.xml total wrong skip
    step "unit tests in $dir"
    cat "$dir/unit.log"
    if [ ! -f "$junit" ]; then
        count "unit tests in $dir" 0 1 0 "$dir/unit.log"
        return
    fi
    total=$(sum_attribute "$junit" tests) skip=$(sum_attribute "$junit" skipped)
    wrong=$(($(sum_attribute "$junit" failures) + $(sum_attribute "$junit" errors)))
    # A program that crashed has no result for the test that it was in.
    if [ "$(cat "$dir/unit.status")" != 0 ] && [ "$wrong" = 0 ]; then
        wrong=1 total=$((total + 1))
    fi
    count "unit tests in $dir" $((total - wrong - skip)) "$wrong" "$skip" "$dir/unit.log"
}

# In both directories at once: many tests wait for the kernel.
run_unit() { # BUILD_DIR...
    local dir
    step "unit tests"
    for dir in "$@"; do unit_tests "$dir" & done
    wait
    for dir in "$@"; do count_unit "$dir"; done
}

# Configures and builds; the last arguments are for meson.
build_in() { # NAME DIR TARGETS OPTIONS...
    local name=$1 dir=$2 targets=$3 log=$2/build.log
    shift 3
    step "$name"
    mkdir -p "$dir"
    # shellcheck disable=SC2086
    { configure "$dir" "$@" && meson compile -C "$dir" $targets; } >"$log" 2>&1
    local status=$?
    tail -n $((status ? 60 : 1)) "$log"
    [ $status = 0 ] || count "$name" 0 1 0 "$log"
    return $status
}

# The second compiler, sanitizers, and fuzz targets.
build_sanitized() { # TARGETS
    CC=clang build_in "build with clang and sanitizers" build-asan "$1" -Dfuzz=true -Db_sanitize=address,undefined -Db_lundef=false
}

run_fuzz() {
    local target name
    build_sanitized fuzz-targets || return
    step "fuzz targets, ${FUZZ_SECONDS:-4} s each"
    rm -f build-asan/fuzz-*.status
    for target in build-asan/tests/fuzz/fuzz-*; do
        [ -f "$target" ] && [ -x "$target" ] || continue
        [ "$(jobs -rp | wc -l)" -lt "$(nproc)" ] || wait -n
        fuzz_one "$target" "${target##*/fuzz-}" &
    done
    wait
    for target in build-asan/fuzz-*.status; do
        name=$(basename "$target" .status)
        check_command "${name/-/ }" "build-asan/$name.result" fuzz_result "build-asan/$name"
    done
}

# New inputs stay in the build directory; a crashing one too, as NAME-crash-HASH.
fuzz_one() { # TARGET NAME
    local corpus=build-asan/corpus/$2
    mkdir -p "$corpus"
    "$1" -max_total_time="${FUZZ_SECONDS:-4}" -timeout=10 -rss_limit_mb=2048 -artifact_prefix="$corpus/../$2-" \
        "$corpus" "tests/fuzz/corpus/$2" >"build-asan/fuzz-$2.log" 2>&1
    echo $? >"build-asan/fuzz-$2.status"
}
fuzz_result() { # NAME
    [ "$(cat "$1.status")" = 0 ] && return
    tail -n 40 "$1.log"
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

# Unit tests of what threads share, under ThreadSanitizer. (gcc's knows no fences and says so.)
thread_tests="clock_library clock_segment engine engine_options epoll journal lane memory platform polling spin_budget"

run_thread() {
    local name
    build_in "build for ThreadSanitizer" build-thread "$(printf 'test-%s ' $thread_tests)" -Db_sanitize=thread -Db_lundef=false \
        -Dc_args=-Wno-tsan || return
    step "ThreadSanitizer"
    for name in $thread_tests; do
        check_command "threads $name" "build-thread/$name.log" env TSAN_OPTIONS=halt_on_error=1:die_after_fork=0 \
            "build-thread/tests/unit/test-$name"
    done
}

run_cppcheck() {
    step "cppcheck"
    # shellcheck disable=SC2046
    check_command "cppcheck" build/cppcheck.log cppcheck -q -j2 --std=c11 --enable=warning,performance,portability --inline-suppr \
        --suppressions-list=scripts/cppcheck-suppressions.txt --library=posix,gnu,scripts/cppcheck.cfg --error-exitcode=1 \
        -D_GNU_SOURCE -D__x86_64__ -D__linux__ '-DLOCKSTEP_VERSION=""' -I. -Iinclude $(scripts/sources.sh c)
}

# Names the places; "make format" mends them.
format_is_clean() {
    scripts/sources.sh c h | xargs -P "$(nproc)" -n 20 clang-format --dry-run -Werror
}

run_format() {
    step "clang-format"
    check_command "clang-format" build/clang-format.log format_is_clean
}

run_packages() {
    step "Debian packages"
    check_command "packages" build/packages.log tests/packages/run build/packages
}

steps=" ${*:-unit fuzz thread net cppcheck format packages} "
mkdir -p build # for logs
case $steps in *" unit "* | *" net "*) build_in "build" build "" || finish ;; esac
case $steps in *" unit "*)
    dirs=(build)
    build_sanitized "" && dirs+=(build-asan)
    run_unit "${dirs[@]}"
    ;;
esac
case $steps in *" fuzz "*) run_fuzz ;; esac
case $steps in *" thread "*) run_thread ;; esac
case $steps in *" cppcheck "*) run_cppcheck ;; esac
case $steps in *" format "*) run_format ;; esac
case $steps in *" packages "*) run_packages ;; esac
case $steps in *" net "*) run_net ;; esac
finish
