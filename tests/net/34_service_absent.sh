#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# kernel: no
# variants: both/4 both/6
# Without the service, or with one of another version, programs run on the kernel, and `lockstep run` says so in one line; one that
# runs already goes on.
. "$(dirname "$0")/lib.sh"
setup without-service
for node in server client; do mkdir -p "$(service_dir $node)"; done
steady_server
run client "$LT_PYTHON" "$LT_HERE/steady.py" client $SERVER 7001 1 >"$LT_WORK/client.out" 2>"$LT_WORK/client.err" ||
    fail "client: $(tail -n 1 "$LT_WORK/client.out")"
assert_line "$LT_WORK/client.out" '^done'
assert_line "$LT_WORK/client.err" '[Kk]ernel' "what lockstep run says"
assert_equal "$(wc -l <"$LT_WORK/client.err")" 1 "lines that lockstep run says"
status=0
run client sh -c 'exit 7' 2>/dev/null || status=$?
assert_equal $status 7 "the program's exit status"
stop "$STARTED"

# ---- another version ----
version=$("$LT_LOCKSTEP" version | grep -oE '[0-9]+\.[0-9.]+' | head -n 1)
other_version() { "$LT_PYTHON" "$LT_HERE/other_version.py" "$@"; }
# A program of a newer version is refused by a service that says which it is.
service_start server
assert_equal "$(other_version ask "$(service_dir server)")" "1 7 -4098 b''" "the service's answer"
assert_line "$LT_WORK/server.netd.log" "process [0-9]+ speaks version 2 of the control protocol, Lockstep $version here version 1"
# A newer service takes the place of this one: an accelerated program goes on, also with new connections of its known peers.
steady_server
server=$STARTED
wait_for 10 "the server's flows" has_flows server
run client "$LT_PYTHON" "$LT_HERE/steady.py" client $SERVER 7001 0.2 >"$LT_WORK/client.out" 2>&1 ||
    fail "client: $(tail -n 1 "$LT_WORK/client.out")"
kill -KILL "$(service_pid server)"
wait_for 5 "the end of the service" gone "$(service_pid server)"
# Who asks for the first time meanwhile, and nobody is left to say the way to it, gets the kernel's listener.
case $SERVER in *:*) stranger=fd00:77::99 length=64 ;; *) stranger=10.77.0.99 length=24 ;; esac
ip -n "$(ns client)" addr add "$stranger/$length" dev eth0 $([ $length = 24 ] || echo nodad)
at client "$LT_PYTHON" -c "
import socket
datagrams = socket.socket(socket.AF_INET6 if ':' in '$SERVER' else socket.AF_INET, socket.SOCK_DGRAM)
datagrams.settimeout(10)
datagrams.bind(('$stranger', 0))
datagrams.sendto(b'hello', ('$SERVER', 7001))
assert datagrams.recv(100) == b'hello'
connection = socket.create_connection(('$SERVER', 7001), timeout=20, source_address=('$stranger', 0))
connection.sendall(b'hello')
assert connection.recv(100) == b'hello'
" || fail "a stranger is not answered without the service"
for node in server client; do
    start_kernel newer-$node $node "$LT_PYTHON" "$LT_HERE/other_version.py" serve "$(service_dir $node)"
    wait_for 10 "the newer service" has_line "$LT_WORK/newer-$node.out" ready
done
both="speaks version 2 of the control protocol, Lockstep $version here version 1"
wait_for 10 "what the program says" has_line "$LT_WORK/server.err" "the service at $(service_dir server) cannot be used: it $both"
run client "$LT_PYTHON" "$LT_HERE/steady.py" client $SERVER 7001 1 >"$LT_WORK/client.out" 2>"$LT_WORK/client.err" ||
    fail "client: $(tail -n 1 "$LT_WORK/client.out")"
assert_line "$LT_WORK/client.out" '^done'
assert_line "$LT_WORK/client.err" "runs on the kernel's stack: the service at .* cannot be used: it $both"
assert_equal "$(wc -l <"$LT_WORK/client.err")" 1 "lines that lockstep run says"
alive "$server" || fail "the server has ended"
status=0
"$LT_LOCKSTEP" status --runtime-dir "$(service_dir client)" 2>"$LT_WORK/status.err" || status=$?
assert_equal $status 1 "exit status of lockstep status"
assert_line "$LT_WORK/status.err" "$both"
