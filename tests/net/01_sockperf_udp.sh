#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# variants: both/4 server/4 client/4
# needs: sockperf
# sockperf over UDP: ping-pong with its data check, under-load, throughput. (sockperf 3.7 knows IPv4 only.)
. "$(dirname "$0")/lib.sh"
setup
start server server sockperf server -i $SERVER -p 11111
wait_port server udp 11111
offload_begin

run client sockperf ping-pong -i $SERVER -p 11111 -m 1024 -t 1 --data-integrity \
    --full-log "$LT_WORK/pp.csv" >"$LT_WORK/pp.out" 2>&1
assert_line "$LT_WORK/pp.out" 'dropped messages = 0; # duplicated messages = 0; # out-of-order messages = 0'
# Every reply that sockperf logged carries a sending time before its receiving time.
"$LT_PYTHON" "$LT_HERE/sockperf_log.py" "$LT_WORK/pp.csv" 1000

run client sockperf under-load -i $SERVER -p 11111 -m 200 -t 1 --mps 2000 --reply-every 2 >"$LT_WORK/ul.out" 2>&1
assert_line "$LT_WORK/ul.out" 'dropped messages = 0; # duplicated messages = 0; # out-of-order messages = 0'

run client sockperf throughput -i $SERVER -p 11111 -m 1400 -t 1 --mps 20000 >"$LT_WORK/tp.out" 2>&1
assert_line "$LT_WORK/tp.out" 'Summary: Message Rate is [1-9][0-9]* '
offload_end 3000000
