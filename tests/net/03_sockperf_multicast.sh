#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# variants: both/4 server/4 client/4
# needs: sockperf
# sockperf over UDP multicast: the server answers to the group, so both ends receive by membership.
. "$(dirname "$0")/lib.sh"
setup
for node in server client; do ip -n "$(ns $node)" route add 224.0.0.0/4 dev eth0; done
start server server sockperf server -i 239.77.0.1 -p 11112 --mc-rx-if $SERVER --mc-tx-if $SERVER
wait_port server udp 11112
sleep 0.3 # the group is joined after the bind
offload_begin
run client sockperf ping-pong -i 239.77.0.1 -p 11112 --mc-rx-if $CLIENT --mc-tx-if $CLIENT -m 200 -t 1 \
    >"$LT_WORK/pp.out" 2>&1
assert_line "$LT_WORK/pp.out" 'dropped messages = 0; # duplicated messages = 0; # out-of-order messages = 0'
messages=$(sed -nE 's/.*\[Valid Duration\].*ReceivedMessages=([0-9]+).*/\1/p' "$LT_WORK/pp.out" | head -n 1)
assert_less 1000 "${messages:-0}" "round trips"
run client sockperf under-load -i 239.77.0.1 -p 11112 --mc-rx-if $CLIENT --mc-tx-if $CLIENT -m 200 -t 1 --mps 1000 \
    --reply-every 1 >"$LT_WORK/ul.out" 2>&1
assert_line "$LT_WORK/ul.out" 'dropped messages = 0; # duplicated messages = 0; # out-of-order messages = 0'
offload_end 400000
