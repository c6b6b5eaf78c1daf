#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# A daemon finds the time of one server within 5 seconds and keeps it, with an honest bound, over a LAN-like path: 50 us each
# way and jitter. The system clock is elsewhere (the truth is 1000 s ahead) and stays there.
# variants: none/4 none/6
# kernel: no
. "$(dirname "$0")/clock/lib.sh"
setup
truth server --skew 20000 --ahead 1000 --delay 50000 --jitter 5000
before=$(date +%s)
clockd_by node client "$SERVER"
synchronised node
judge node client 5
sound node
judged node 'r["first_s"] < 5 and r["rms_ns"] < 20000 and r["median_bound_ns"] < 50000'
assert_equal "$(clock_query node sources 's("truth")["state"], s("truth")["stamps"], s("truth")["interleaved"]')" \
    "('selected', 'kernel', True)" "the source"
assert_equal "$(clock_query node status 'r["sandbox"], r["stratum"], r["tai_utc_s"], r["disruptions"]')" \
    "(True, 2, 37, 0)" "the status"
clock_true node status 'abs(r["system_clock_offset_ns"] + 1e12) < 1e9' || fail "the system clock was touched"
assert_less $(($(date +%s) - before)) 60 "the system clock"
stop "$STARTED"
assert_no_line "$LT_WORK/node.err" 'error'
