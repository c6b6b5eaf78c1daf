#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# needs: iperf3
# iperf3 over UDP: a rate that arrives without loss; reversed; datagrams that are fragmented on the way.
. "$(dirname "$0")/lib.sh"
setup
start server server iperf3 -s -B $SERVER -p 5202
wait_port server tcp 5202
offload_begin
for options in "-b 100M -l 1400" "-b 100M -l 1400 -R" "-b 100M -l 8192" "-b 50M -P 4 -l 1000"; do
    out="$LT_WORK/iperf${options// /}.json"
    # shellcheck disable=SC2086
    run client iperf3 -u -c $SERVER -p 5202 -J -t 1 -w 2M $options >"$out" 2>"$LT_WORK/iperf.err" ||
        fail "iperf3 -u $options: $(json "$out" 'r.get("error")')"
    "$LT_PYTHON" "$LT_HERE/iperf_check.py" "$out" 5000000 >&2 || fail "iperf3 -u $options"
done
offload_end 30000000
