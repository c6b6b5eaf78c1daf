#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# The server's time jumps. By 200 us: it is believed after a while and slewed, the clock runs on without going back. By 50 ms:
# above the step limit, stepped and announced as a disruption.
# variants: none/4
# kernel: no
. "$(dirname "$0")/clock/lib.sh"
setup
config() { # STEP_LIMIT
    cat <<END
[clockd]
slew = 1000
step-limit = 1ms
[source truth]
address = $SERVER
poll-min = 125ms
poll-max = 125ms
END
}
truth server --delay 20000 --jitter 2000 --step -200000
small=$STARTED
config | clockd node client
synchronised node
wait_clock node 5 stats 's("truth")["accepted"] >= 20'
judge node client 6 &
judging=$!
sleep 0.3
kill -USR1 "$small"
wait "$judging"
judged node 'r["backwards"] == 0 and r["no_time"] == 0 and abs(r["last_ns"]) < 20000'
assert_equal "$(clock_query node status 'r["disruptions"]')" 0 "disruptions"
stop "$small"
truth server --delay 20000 --jitter 2000 --step 50000000
clock_true node status 'r["disruptions"] == 0' || fail "a server that is absent for a moment is no disruption"
kill -USR1 "$STARTED"
wait_clock node 10 status 'r["disruptions"] == 1'
synchronised node 10
wait_clock node 5 status 'r["remaining_ns"] is not None and abs(r["remaining_ns"]) < 1000'
judge node client 2
judged node 'abs(r["median_ns"]) < 20000 and r["no_time"] == 0'
assert_equal "$(clock_query node status 'r["disruptions"]')" 1 "disruptions"
