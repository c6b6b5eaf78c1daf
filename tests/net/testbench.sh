# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# For scenarios that run lockstep-testbench by hand: sourced after lib.sh. Clocks are the system's own (CLOCK_TAI, which all
# nodes of one machine share), with an assumed bound.

TESTBENCH=$LT_BUILD/testbed/lockstep-testbench
PATTERN=$LT_HERE/../../testbed/patterns/daq48.csv
TO_RECEIVER=9
BENCH_NODES=(-s "client=$CLIENT" -r "server=$SERVER")

# bench_plan PATTERN OPTION...: writes client.send.job and server.receive.job.
bench_plan() {
    "$TESTBENCH" plan "${BENCH_NODES[@]}" --jobs "$LT_WORK" --clock system --assume-bound 1000 "${@:2}" "$1" >/dev/null
}
# bench_start NAME NODE ROLE: starts a process; waits until it is ready, but for NAME "early". Its commands go to descriptor
# $COMMANDS; its pid is in $STARTED.
bench_start() {
    mkfifo "$LT_WORK/$1.in"
    # Without the other's commands, whose end it would keep open.
    # shellcheck disable=SC2016
    eval 'start "$1" "$2" bash -c '\''exec "$0" "$1" "$2" <"$3"'\'' "$TESTBENCH" "$3" "$LT_WORK/$2.$3.job" \
        "$LT_WORK/$1.in"' "$TO_RECEIVER>&-"
    exec {COMMANDS}>"$LT_WORK/$1.in"
    [ "$1" = early ] || wait_for 15 "$1" has_line "$LT_WORK/$1.out" '"ready"'
}
# The receiver, then the sender, both ready: RECEIVER, SENDER (pids), TO_RECEIVER, TO_SENDER (descriptors).
bench_pair() {
    rm -f "$LT_WORK"/*.in
    exec {TO_RECEIVER}>&-
    bench_start receiver server receive
    RECEIVER=$STARTED TO_RECEIVER=$COMMANDS
    bench_start sender client send
    SENDER=$STARTED TO_SENDER=$COMMANDS
}
bench_go() {
    local start
    start=$("$LT_PYTHON" -c 'import time; print(time.clock_gettime_ns(time.CLOCK_TAI) + 300_000_000)')
    echo "start $start" >&"$TO_RECEIVER"
    echo "start $start" >&"$TO_SENDER"
}
# An expression over the result `r` of PROCESS; `t` are its types by name.
bench_result() { json "$LT_WORK/$1.json" "(lambda t: ($2))({x['name']: x for x in r['types']})"; }
