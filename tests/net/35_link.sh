#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# The link goes down and up again under traffic, at each end in turn, long enough for retransmissions to back off: connections
# go on.
. "$(dirname "$0")/lib.sh"
setup
steady_traffic 4 1000 5
for node in server client; do
    sleep 0.3
    ip -n "$(ns $node)" link set eth0 down
    sleep 0.7
    ip -n "$(ns $node)" link set eth0 up
    # A device that goes down loses its IPv6 addresses and routes.
    ip -n "$(ns $node)" addr replace "fd00:77::$([ $node = server ] && echo 1 || echo 2)/64" dev eth0 nodad
    wait_for 5 "the link" link_up $node
done
sleep 0.3
offload_begin
sleep 0.7
offload_end 50000
steady_traffic_done 40
answered=$(sed -nE 's/^done [0-9]+ answered ([0-9]+).*/\1/p' "$LT_WORK/datagrams.out")
assert_less 20 "$answered" "datagrams answered"
