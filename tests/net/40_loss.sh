#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# Packets are lost on the way, in both directions: 0.1 %, 1 %, 5 % at random and bursts of 20. Bulk data arrive whole, and a
# request-response goes on; how fast is the benchmark's business.
export LT_TOPOLOGY=bridge
. "$(dirname "$0")/lib.sh"
loss=$LT_BUILD/tests/net/loss
[ -x "$loss" ] || skip "loss is not built"
setup
steady_server
steady sink server sink $SERVER 7002
wait_for 10 "the sink" has_line "$LT_WORK/sink.out" ready
offload_begin
for how in "--share 0.1" "--share 1" "--share 5" "--burst 20 700"; do
    bytes=20000000
    [ "$how" != "--share 5" ] || bytes=3000000
    # shellcheck disable=SC2086
    start_kernel loss middle "$loss" client server $how
    pid=$STARTED
    wait_for 5 "the loss" has_line "$LT_WORK/loss.out" ready
    LT_LIMIT=40 run client "$LT_PYTHON" "$LT_HERE/steady.py" up $SERVER 7002 $bytes >"$LT_WORK/up.out" 2>&1 ||
        fail "bulk with $how: $(tail -n 1 "$LT_WORK/up.out")"
    LT_LIMIT=40 run client "$LT_PYTHON" "$LT_HERE/steady.py" client $SERVER 7001 1 1000 2 >"$LT_WORK/client.out" 2>&1 ||
        fail "request-response with $how: $(tail -n 1 "$LT_WORK/client.out")"
    kill "$pid"
    wait "$pid"
    say "$how: $(tail -n 1 "$LT_WORK/loss.out"), $(tail -n 1 "$LT_WORK/client.out")"
    dropped=$(sed -nE 's/.*dropped ([0-9]+)/\1/p' "$LT_WORK/loss.out")
    [ "$how" = "--share 0.1" ] || assert_less 0 "$dropped" "packets dropped"
done
offload_end 60000000
