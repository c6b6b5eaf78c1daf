#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# A LAN without any time source: one node is named the reference. Another daemon and chronyd follow it; when the reference's
# daemon is killed and starts anew, its time goes on without a step, and its clients do not notice.
# variants: none/4 none/6
# kernel: no
# needs: chronyd
. "$(dirname "$0")/clock/lib.sh"
LT_NODES=(server client third)
setup
clockd reference server <<END
[clockd]
[serve]
local-stratum = 8
allow = 10.77.0.0/24
allow = fd00:77::/64
END
reference=$STARTED
synchronised reference
assert_equal "$(clock_query reference status 'r["local_reference"], r["stratum"], r["serving"]')" "(True, 8, True)" "the reference"
clockd node client <<END
[clockd]
[source reference]
address = $SERVER
poll-min = 125ms
poll-max = 250ms
END
synchronised node
assert_equal "$(clock_query node status 'r["stratum"]')" 9 "stratum"
# Both have the same system clock: how far they are apart from it tells how far they are apart.
apart() {
    local a b
    a=$(clock_query reference status 'r["system_clock_offset_ns"]')
    b=$(clock_query node status 'r["system_clock_offset_ns"]')
    [ $((a - b)) -lt 20000 ] && [ $((b - a)) -lt 20000 ]
}
wait_for 5 "the same time at both" apart
wait_clock reference 5 stats 'r["server"]["interleaved"] >= 5'

exec_at third chronyd -x -Q -u root -t 8 "server $SERVER iburst maxsamples 4" "pidfile $LT_WORK/chronyd.pid" >"$LT_WORK/chronyd.out" 2>&1 ||
    fail "chronyd: $(cat "$LT_WORK/chronyd.out")"
assert_line "$LT_WORK/chronyd.out" 'System clock wrong by -?0\.000'

stop "$reference" KILL
clockd_again reference server
assert_line "$LT_WORK/reference.err" 'goes on with the time published before'
wait_clock node 10 sources 's("reference")["reach"] % 2 == 1'
wait_for 5 "the same time at both again" apart
assert_equal "$(clock_query node status 'r["disruptions"]')" 0 "disruptions"
