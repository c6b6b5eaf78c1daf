#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# kernel: no
# The service is killed and started again while connections carry traffic: none is lost, they stay in the lane, and new ones
# join them.
. "$(dirname "$0")/lib.sh"
setup
steady_traffic 5 1000 10
sleep 0.5
for node in server client; do
    accelerated $node || continue
    kill -9 "$(service_pid $node)"
    wait_for 5 "the death of the service" gone "$(service_pid $node)"
    sleep 1
    service_start $node
    wait_for 5 "the programs' return to the service at $node" has_flows $node
done
sleep 0.5
offload_begin
run client "$LT_PYTHON" "$LT_HERE/steady.py" client $SERVER 7001 1 20000 >"$LT_WORK/new.out" 2>&1 ||
    fail "a new connection: $(tail -n 1 "$LT_WORK/new.out")"
offload_end 1000000
steady_traffic_done 30
