#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# needs: iperf3
# iperf3 over TCP: one stream, eight, reversed, both directions at once. What was to be sent must have been received.
. "$(dirname "$0")/lib.sh"
setup
start server server iperf3 -s -B $SERVER -p 5201
wait_port server tcp 5201
offload_begin
for options in "" "-P 8" "-R" "--bidir"; do
    out="$LT_WORK/iperf${options// /}.json"
    # shellcheck disable=SC2086
    run client iperf3 -c $SERVER -p 5201 -J -t 1 $options >"$out" 2>"$LT_WORK/iperf.err" ||
        fail "iperf3 $options: $(json "$out" 'r.get("error")')"
    "$LT_PYTHON" "$LT_HERE/iperf_check.py" "$out" 20000000 >&2 || fail "iperf3 $options"
done
offload_end 200000000
