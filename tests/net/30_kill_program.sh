#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# kill -9 of a program: its peers see a reset within 100 ms, and its flows go. (The best of three tries counts: the machine may
# be busy. The kernel ends the connections of a killed program with a FIN, where nothing was left unread.)
. "$(dirname "$0")/lib.sh"
setup
connections=20

# kill_and_measure NODE PID PEERS_OUTPUT: the slowest end that the peers saw after the kill, in milliseconds.
kill_and_measure() {
    local begin ends='reset|eof'
    ! accelerated "$1" || ends='reset'
    begin=$(monotonic)
    kill -9 "$2"
    wait_for 10 "$connections ends" eval "[ \$(grep -cE '^(end )?($ends) ' '$3') = $connections ]"
    sed -nE "s/^(end )?($ends) ([0-9.]+).*/\3/p" "$3" | sort -n | tail -n 1 |
        "$LT_PYTHON" -c "print(round((float(input()) - $begin) * 1000, 1))"
}

best=100000
for _ in 1 2 3; do
    steady_server
    server=$STARTED
    steady hold client hold $SERVER 7001 $connections
    hold=$STARTED
    wait_for 15 "the connections" has_line "$LT_WORK/hold.out" ready
    ! accelerated server || has_flows server || fail "no flows of the server"
    ms=$(kill_and_measure server "$server" "$LT_WORK/hold.out")
    say "server killed: ends within $ms ms"
    best=$("$LT_PYTHON" -c "print(min($best, $ms))")
    ! accelerated server || wait_for 2 "the end of the server's flows" flows_gone server
    finish "$hold" 10
    ! accelerated client || wait_for 10 "the end of the client's flows" flows_gone client
done
assert_less "$best" 100 "milliseconds from the server's death to the last end"

best=100000
for _ in 1 2 3; do
    steady_server
    server=$STARTED
    steady hold client hold $SERVER 7001 $connections
    hold=$STARTED
    wait_for 15 "the connections" has_line "$LT_WORK/hold.out" ready
    ms=$(kill_and_measure client "$hold" "$LT_WORK/server.out")
    say "client killed: ends within $ms ms"
    best=$("$LT_PYTHON" -c "print(min($best, $ms))")
    ! accelerated client || wait_for 2 "the end of the client's flows" flows_gone client
    stop "$server"
done
assert_less "$best" 100 "milliseconds from the client's death to the last end"
