#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# Somebody steps the system clock by an hour, and back by two, again and again: the Lockstep clock does not notice. Then the
# machine is suspended, and the counter jumps: both are announced, and the time is found again. All of it is made up for this one
# daemon (fake_clocks.c); the machine's clocks stay as they are.
# variants: none/4
# kernel: no
. "$(dirname "$0")/clock/lib.sh"
setup
truth server --skew 4000 --delay 20000 --jitter 2000
fake() { "$CLOCK_TOOLS/fake_clocks" "$LT_WORK/fake" "$1" "$2"; }
fake realtime 0
cat >"$LT_WORK/disturbed-clockd" <<END
#!/bin/sh
FAKE_CLOCKS=$LT_WORK/fake LD_PRELOAD=$CLOCK_TOOLS/libfake_clocks.so exec $CLOCKD "\$@"
END
chmod +x "$LT_WORK/disturbed-clockd"
CLOCKD=$LT_WORK/disturbed-clockd
clockd node client <<END
[clockd]
[source truth]
address = $SERVER
poll-min = 62.5ms
poll-max = 125ms
END
synchronised node
wait_clock node 5 stats 's("truth")["accepted"] >= 30'
judge node client 5 &
judging=$!
for _ in 1 2 3; do
    fake realtime 3600000000000
    wait_clock node 2 status 'r["system_clock_offset_ns"] > 3.5e12'
    sleep 0.4
    fake realtime -7200000000000
    wait_clock node 2 status 'r["system_clock_offset_ns"] < -3.5e12'
    sleep 0.4
    fake realtime 3600000000000
done
wait "$judging"
sound node
used=$(clock_query node stats 's("truth")["used"]')
wait_clock node 5 stats "s('truth')['used'] > $used + 10"
assert_equal "$(clock_query node status 'r["disruptions"]')" 0 "disruptions"
assert_equal "$(clock_query node stats 's("truth")["restarts"]')" 0 "restarts"

disturb() { # CLOCK NS COUNT PATTERN
    fake "$1" "$2"
    wait_clock node 5 status "r['disruptions'] == $3 and '$4' in r['last_disruption']"
    synchronised node 10
    judge node client 1
    judged node 'r["backwards"] == 0 and r["no_time"] == 0 and r["max_abs_ns"] < 200000'
    assert_equal "$(clock_query node status 'r["disruptions"]')" "$3" "disruptions"
}
disturb boottime 30000000000 1 'suspended for 30'
disturb raw 5000000000 2 'the counter moved'
