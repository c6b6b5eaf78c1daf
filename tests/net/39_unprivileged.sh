#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# needs: setpriv
# An unprivileged user gets a lane: `lockstep run` and the programs run as uid 65534 without any capability.
. "$(dirname "$0")/lib.sh"
setup
as_nobody=(setpriv --reuid 65534 --regid 65534 --clear-groups --no-new-privs --bounding-set=-all --inh-caps=-all)
nobody() { # NODE PROGRAM...: replaces this shell
    local node=$1
    shift
    ! accelerated "$node" || set -- "$LT_LOCKSTEP" run --runtime-dir "$(service_dir "$node")" -- "$@"
    exec ip netns exec "$(ns "$node")" "${as_nobody[@]}" "$@"
}
(nobody server "$LT_PYTHON" "$LT_HERE/steady.py" server $SERVER 7001) >"$LT_WORK/server.out" 2>&1 &
LT_PIDS+=($!)
server=$!
wait_for 10 "the echo server" has_line "$LT_WORK/server.out" ready
assert_equal "$(sed -nE 's/^Uid:\s+([0-9]+).*/\1/p' "/proc/$server/status")" 65534 "the server's uid"
offload_begin
(nobody client "$LT_PYTHON" "$LT_HERE/steady.py" client $SERVER 7001 2 20000) >"$LT_WORK/client.out" 2>&1 &
client=$!
LT_PIDS+=("$client")
if accelerated server; then
    wait_for 5 "the lane of uid 65534" eval "[ \"\$(report_query server status '[l[\"uid\"] for l in r[\"lanes\"]]')\" = '[65534]' ]"
fi
steady_done client "$client" 20
offload_end 1000000
