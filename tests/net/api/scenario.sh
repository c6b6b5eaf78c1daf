# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# The conformance cases: api_client at the client, against api_server at the server.
api_setup() {
    local node
    API_BLACKHOLE=${CLIENT%2}250
    setup
    for node in "${LT_NODES[@]}"; do
        ip -n "$(ns "$node")" neigh add "$API_BLACKHOLE" lladdr 02:00:00:00:00:fe nud permanent dev eth0
    done
    start peer server "$LT_BUILD/tests/net/api/api_server" "$LT_WORK/peer.sock" "$LT_FAMILY"
    wait_for 10 "the peer" test -S "$LT_WORK/peer.sock"
}
# Cases that Lockstep is known not to pass yet, as one pattern.
api_gaps() {
    [ "$LT_MODE" = kernel ] || sed -n 's/^\([^# ]\+\) .*/\1/p' "$(dirname "${BASH_SOURCE[0]}")/gaps" | paste -sd '|'
}
# api_cases PATTERN [BYTES SHARE]: runs the cases that match. At least BYTES must have crossed the wire, of which no more
# than SHARE by way of the kernel. Without them nothing is said about that: the cases are about sockets that move there.
api_cases() {
    local gaps
    gaps=$(api_gaps)
    offload_begin
    LT_LIMIT=280 run client "$LT_BUILD/tests/net/api/api_client" --server "$SERVER" --self "$CLIENT" \
        --blackhole "$API_BLACKHOLE" --control "$LT_WORK/peer.sock" --verbose ${gaps:+--except "$gaps"} "$1" >"$LT_WORK/cases.out" 2>&1 || {
        grep -E '^FAIL|passed,' "$LT_WORK/cases.out" >&2
        fail "api_client: $(tail -n 1 "$LT_WORK/cases.out")"
    }
    [ $# = 1 ] || offload_end "$2" "$3"
}
