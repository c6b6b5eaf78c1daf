#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# Addresses come and go under traffic: what uses others goes on, a new one is accelerated at once, a removed one answers no
# longer.
. "$(dirname "$0")/lib.sh"
setup
if [ "$LT_FAMILY" = 6 ]; then new=fd00:77::100 any=::; else new=10.77.0.100 any=0.0.0.0; fi
steady server server server $any 7001
wait_for 10 "the echo server" has_line "$LT_WORK/server.out" ready
steady client client client $SERVER 7001 4
client=$STARTED
started client
nodad() { [ "$LT_FAMILY" = 4 ] || echo nodad; }
# shellcheck disable=SC2046
ip -n "$(ns server)" addr add "$new/$PREFIX_BITS" dev eth0 $(nodad)
sleep 0.3
offload_begin
run client "$LT_PYTHON" "$LT_HERE/steady.py" client $new 7001 0.5 20000 >"$LT_WORK/new.out" 2>&1 ||
    fail "the new address: $(tail -n 1 "$LT_WORK/new.out")"
offload_end 1000000
steady onto client client $new 7001 20
onto=$STARTED
started onto
ip -n "$(ns server)" addr del "$new/$PREFIX_BITS" dev eth0
sleep 0.3
if run client timeout 2 "$LT_PYTHON" "$LT_HERE/steady.py" client $new 7001 0.1 >"$LT_WORK/removed.out" 2>&1; then
    fail "the removed address still answers"
fi
kill "$onto"
steady_done client "$client" 30
