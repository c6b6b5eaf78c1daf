#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# variants: server/4 both/6
# kernel: no
# kill -9 of a program and of the service at once: nothing of the dead program is answered by a lane any more, so its peers get
# the kernel's reset; a new service starts clean and a new program is accelerated.
. "$(dirname "$0")/lib.sh"
setup
steady_server
server=$STARTED
steady client client client $SERVER 7001 60
client=$STARTED
started client
kill -9 "$server" "$(service_pid server)"
wait_for 15 "the client's end" gone "$client"
assert_line "$LT_WORK/client.out" '^failed .*(Reset|reset)'
service_start server
wait_for 5 "the end of the old flows" flows_gone server
steady_server
offload_begin
run client "$LT_PYTHON" "$LT_HERE/steady.py" client $SERVER 7001 1 20000 >"$LT_WORK/new.out" 2>&1 ||
    fail "a new connection: $(tail -n 1 "$LT_WORK/new.out")"
offload_end 1000000
