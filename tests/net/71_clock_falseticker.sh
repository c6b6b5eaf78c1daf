#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# Four servers, one of which lies by two milliseconds from the start: it is shown as a falseticker, and the time is the
# others'. The selected one dies: another takes over, without a step and without a gap.
# variants: none/4
# kernel: no
. "$(dirname "$0")/clock/lib.sh"
LT_NODES=(server client second third fourth)
setup
declare -A pid=()
truth server --skew -5000 --delay 30000 --jitter 3000
pid[a]=$STARTED
truth second --delay 40000 --jitter 3000 --lie 2000000
truth third --delay 50000 --jitter 3000
pid[c]=$STARTED
truth fourth --delay 60000 --jitter 3000
pid[d]=$STARTED
{
    echo "[clockd]"
    for source in a:server b:second c:third d:fourth; do
        printf '[source %s]\naddress = %s\npoll-min = 250ms\npoll-max = 500ms\n' "${source%:*}" "$(address "${source#*:}")"
    done
} | clockd node client
synchronised node
wait_clock node 5 sources 's("b")["state"] == "falseticker"'
wait_clock node 5 sources 'all(s(n)["state"] in ("candidate", "selected") for n in "acd")'
judge node client 2
sound node
selected=$(clock_query node status 'r["selected"]')
[ -n "${pid[$selected]:-}" ] || fail "the falseticker is selected"
stop "${pid[$selected]}" KILL
judge node client 3 &
wait_clock node 10 status "r['selected'] not in ('b', '$selected')"
wait $!
sound node
assert_equal "$(clock_query node status 'r["disruptions"]')" 0 "disruptions"
