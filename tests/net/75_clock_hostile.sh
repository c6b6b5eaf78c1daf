#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# Forged, replayed, altered and random packets beside each reply, from the server's own address and port; and a flood of random
# packets from another host at the daemon's port and at its control socket's node. The time stays right, and what was dropped is
# counted.
# variants: none/4 none/6
# kernel: no
. "$(dirname "$0")/clock/lib.sh"
LT_NODES=(server client third)
setup
truth server --skew -3000 --delay 20000 --jitter 2000 --evil
clockd node client <<END
[clockd]
[source truth]
address = $SERVER
poll-min = 125ms
poll-max = 250ms
[serve]
allow = all
local-stratum = 10
END
synchronised node
port=$(at client ss -Hunp | grep clockd | grep -F "$SERVER" | sed -E 's/.*:([0-9]+) .*:123 .*/\1/' | head -n 1)
[[ $port =~ ^[0-9]+$ ]] || fail "no port of the daemon: $port"
start_kernel flood third "$LT_PYTHON" "$LT_HERE/clock/flood.py" "$CLIENT" "$port" 123
judge node client 5
sound node
judged node 'r["rms_ns"] < 20000'
finish "$STARTED" 10
assert_line "$LT_WORK/flood.out" '^sent [0-9]{4}'
assert_less 10 "$(clock_query node stats 'sum(s("truth")["dropped"].values())')" "dropped packets"
assert_less 10 "$(clock_query node stats 's("truth")["dropped"].get("origin", 0) + s("truth")["dropped"].get("duplicate", 0)')" "forgeries"
assert_less 100 "$(clock_query node stats 'r["server"]["malformed"]')" "malformed requests"
assert_equal "$(clock_query node status 'r["disruptions"]')" 0 "disruptions"
