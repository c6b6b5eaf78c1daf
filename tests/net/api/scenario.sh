# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# api_cases PATTERN BYTES SHARE: runs the conformance cases (api_client) that match at the client, against api_server at the
# server. At least BYTES must have crossed the wire, of which no more than SHARE by way of the kernel: some cases are
# about sockets that have to move there.
api_cases() {
    local blackhole=${CLIENT%2}250 node
    for node in "${LT_NODES[@]}"; do
        ip -n "$(ns "$node")" neigh add "$blackhole" lladdr 02:00:00:00:00:fe nud permanent dev eth0
    done
    start peer server "$LT_BUILD/tests/net/api/api_server" "$LT_WORK/peer.sock" "$LT_FAMILY"
    wait_for 10 "the peer" test -S "$LT_WORK/peer.sock"
    offload_begin
    LT_LIMIT=280 run client "$LT_BUILD/tests/net/api/api_client" --server "$SERVER" --self "$CLIENT" \
        --blackhole "$blackhole" --control "$LT_WORK/peer.sock" --verbose "$1" >"$LT_WORK/cases.out" 2>&1 || {
        grep -E '^FAIL|passed,' "$LT_WORK/cases.out" >&2
        fail "api_client: $(tail -n 1 "$LT_WORK/cases.out")"
    }
    offload_end "$2" "$3"
}
