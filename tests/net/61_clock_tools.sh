#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# `lockstep clock` and `lockstep run --clock` at a node whose clock is 1000 s ahead of the system's.
# variants: none/4
# kernel: no
. "$(dirname "$0")/clock/lib.sh"
setup
out=$LT_WORK/out err=$LT_WORK/err
# lockstep STATUS COMMAND...: at the client; output in $out, errors in $err.
lockstep() {
    local expected=$1 status=0
    shift
    exec_at client env LOCKSTEP_RUNTIME_DIR="$LT_WORK/node" LOCKSTEP_CLOCK="$LT_WORK/node/clock" "$LT_LOCKSTEP" "$@" \
        >"$out" 2>"$err" </dev/null || status=$?
    assert_equal $status "$expected" "exit status of lockstep $*: $(tail -n 1 "$err")"
}
# ahead SECONDS: what the program printed is so far before the system clock.
ahead() { assert_equal "$(json "$out" "abs(r - $(date +%s) - $1) < 5")" True "seconds ahead"; }

# ---- without the daemon ----
for command in status compare; do
    lockstep 1 clock $command
    assert_line "$err" 'No such file or directory: is lockstep-clockd running'
done
for command in sources stats record; do
    lockstep 1 clock $command
    assert_line "$err" 'no clock daemon at .*: is lockstep-clockd running'
done
lockstep 1 clock wait --timeout 200ms
lockstep 2 clock
lockstep 2 clock nonsense
lockstep 2 clock compare --tai --segment /nowhere
lockstep 0 run --clock-only -- date +%s
assert_line "$err" "date: the kernel's time as long as there is no other: clock: No such file"
ahead 0

# ---- with it ----
truth server --ahead 1000 --delay 50000 --jitter 5000
clockd_by node client "$SERVER"
daemon=$STARTED
lockstep 0 clock wait --timeout 10s --bound 1ms
lockstep 0 clock status
assert_line "$out" '^Status +: synchronised$'
assert_line "$out" '^Error bound +: [0-9.]+ us to the server'
assert_line "$out" '^System clock +: 1000 s behind this clock$'
assert_line "$out" '^Source +: truth$'
lockstep 0 clock status --json
assert_equal "$(json "$out" 'r["status"], r["daemon"]["selected"], r["utc_ns"] + 37 * 10**9 == r["tai_ns"]')" \
    "('synchronised', 'truth', True)" "the status"
lockstep 0 clock sources
assert_line "$out" '^\* +truth +1 .* kernel +none +selected$'
lockstep 0 clock sources --json
assert_equal "$(json "$out" 'r["sources"][0]["name"]')" truth "the source"
lockstep 0 clock stats
assert_line "$out" '^truth +[0-9]+ '
lockstep 0 clock stats --prometheus --output "$LT_WORK/clock.prom"
assert_line "$LT_WORK/clock.prom" '^lockstep_clock_status\{status="synchronised"\} 1$'
assert_line "$LT_WORK/clock.prom" '^lockstep_clock_source_used_total\{source="truth"\} [0-9]+$'
lockstep 1 clock stats --prometheus --output /nowhere/clock.prom
lockstep 0 clock compare --count 30 --interval 10ms --json --samples --plot "$LT_WORK/plot.svg"
assert_equal "$(json "$out" 'r["count"] == len(r["samples"]) == 30, abs(r["mean_ns"] + 1e12) < 1e9')" "(True, True)" "compare"
assert_line "$LT_WORK/plot.svg" '^</svg>$'
lockstep 0 clock compare --segment "$LT_WORK/node/clock" --count 5 --interval 1ms --json
assert_equal "$(json "$out" 'abs(r["mean_ns"]) < 100')" True "the clock against itself"
lockstep 0 clock record --count 5 --output "$LT_WORK/trace"
assert_equal "$(wc -l <"$LT_WORK/trace")" 7 "lines of the trace"
lockstep 0 clock replay --json "$LT_WORK/trace"
assert_equal "$(json "$out" 'r["sources"][0]["exchanges"], r["sources"][0]["accepted"]')" "(5, 5)" "the replay"
lockstep 1 clock replay "$LT_WORK/plot.svg"
assert_line "$err" 'plot.svg: line 1'

# ---- programs on the clock ----
for how in --clock --clock-only; do
    lockstep 0 run $how -- date +%s
    assert_line "$err" '^lockstep: date: Lockstep time, within '
    ahead 1000
    lockstep 0 run $how -- "$LT_PYTHON" -c 'import time; print(time.time())'
    ahead 1000
done
lockstep 0 run -- date +%s
ahead 0

# ---- when it has gone ----
stop "$daemon"
lockstep 0 clock status
lockstep 1 clock sources
lockstep 0 run --clock --quiet -- date +%s
ahead 1000
