#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# variants: server/4 both/6
# A program that is stopped does not drain its ring: what is too much is dropped and counted, other programs on the same
# interface are unharmed, and when it goes on, so does its connection.
. "$(dirname "$0")/lib.sh"
setup
steady_server
steady stopped server server $SERVER 7002
stopped=$STARTED
wait_for 10 "the second server" has_line "$LT_WORK/stopped.out" ready
steady patient client client $SERVER 7002 2
patient=$STARTED
started patient
sleep 0.3
kill -STOP "$stopped"
offload_begin
# A flood of datagrams for the stopped program, while the other one is being used.
start flood client "$LT_PYTHON" -c "
import socket, time
sock = socket.socket(socket.AF_INET6 if ':' in '$SERVER' else socket.AF_INET, socket.SOCK_DGRAM)
sock.connect(('$SERVER', 7002))
end = time.monotonic() + 2.5
while time.monotonic() < end:
    try:
        sock.send(bytes(1400))
    except OSError:
        pass
"
flood=$STARTED
run client "$LT_PYTHON" "$LT_HERE/steady.py" client $SERVER 7001 2 1000 4 >"$LT_WORK/other.out" 2>&1 ||
    fail "the other program: $(tail -n 1 "$LT_WORK/other.out")"
finish "$flood" 20 || true
if accelerated server; then
    assert_less 0 "$(report_query server status 'sum(l["overruns"] for l in r["lanes"])')" "overruns that were counted"
fi
kill -CONT "$stopped"
steady_done patient "$patient" 30
run client "$LT_PYTHON" "$LT_HERE/steady.py" client $SERVER 7002 0.5 >"$LT_WORK/after.out" 2>&1 ||
    fail "the program that was stopped: $(tail -n 1 "$LT_WORK/after.out")"
