#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# timeout: 90
# A flood of malformed, truncated, overlapping, out-of-window and random packets, altered from those that pass by, beats on both
# ends while data are carried: nothing breaks and no byte is wrong.
export LT_TOPOLOGY=bridge
. "$(dirname "$0")/lib.sh"
setup
steady_server
server=$STARTED
steady sink server sink $SERVER 7002 0.002
wait_for 10 "the sink" has_line "$LT_WORK/sink.out" ready
offload_begin
flood=()
seed=${LT_SEED:-$$}
say "seed $seed"
for node in server client; do
    start_kernel flood.$node middle "$LT_PYTHON" "$LT_HERE/flood.py" $node 6 "$seed"
    flood+=("$STARTED")
done
steady client client client $SERVER 7001 5 700 4
client=$STARTED
steady datagrams client datagrams $SERVER 7001 5
datagrams=$STARTED
steady up client up $SERVER 7002 100000000
up=$STARTED
steady_done client "$client" 40
steady_done datagrams "$datagrams" 40
steady_done up "$up" 60
for pid in "${flood[@]}"; do finish "$pid" 20 || fail "flood: $(cat "$LT_WORK"/flood.*.out)"; done
say "$(cat "$LT_WORK"/flood.*.out | grep sent)"
offload_end 100000000 0.3
alive "$server" || fail "the server died"
if accelerated server; then
    assert_less 0 "$(report_query server status 'sum(l["bad_packets"] for l in r["lanes"])')" "bad packets that were counted"
fi
run client "$LT_PYTHON" "$LT_HERE/steady.py" client $SERVER 7001 0.5 >"$LT_WORK/after.out" 2>&1 ||
    fail "after the flood: $(tail -n 1 "$LT_WORK/after.out")"
