#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# variants: both/4
# needs: bpftrace
# kernel: no
# timeout: 90
# The bpftrace examples of docs/probes.md, all at once, beside traffic, a connection that is moved to the kernel and a clock
# daemon.
. "$(dirname "$0")/clock/lib.sh"
readelf -n "$LT_BUILD/stack/liblockstep.so" | grep -q 'Provider: lockstep' || skip "built without probes"
"$LT_PYTHON" "$LT_HERE/../unit/probes.py" examples "$LT_HERE/../../docs/probes.md" "$LT_BUILD" >"$LT_WORK/examples.bt"
echo 'interval:ms:200 / !@said / { printf("attached\n"); @said = 1; }' >>"$LT_WORK/examples.bt"
setup without-service
start_kernel trace server bpftrace -B line "$LT_WORK/examples.bt"
trace=$STARTED
attached() { has_line "$LT_WORK/trace.out" '^attached$' || gone "$trace"; }
wait_for 30 "bpftrace" attached
alive "$trace" || fail "bpftrace: $(cat "$LT_WORK/trace.err")"
sleep 0.5 # the last of them
service_start server
service_start client

start server server "$LT_PYTHON" -c "
import os, socket, sys
listener = socket.create_server((sys.argv[1], 7001))
loopback = socket.create_server(('127.0.0.1', 7002))
print('ready', flush=True)
connection, peer = listener.accept()
while True:
    data = connection.recv(100)
    if not data:
        break
    connection.sendall(data)
" $SERVER
server=$STARTED
started server
wait_port server tcp 7001
run client "$LT_PYTHON" -c "
import os, socket, subprocess, sys, time
connection = socket.create_connection((sys.argv[1], 7001))
for i in range(20):
    connection.sendall(b'x' * 10)
    assert connection.recv(10)
    time.sleep(0.02)
os.set_inheritable(connection.fileno(), True)
subprocess.run(['true'], close_fds=False, check=True)
connection.sendall(b'after')
assert connection.recv(10)
" $SERVER
finish "$server" 10
truth server --skew 20000 --ahead 1000 --delay 50000 --jitter 5000
clockd_by node client "$SERVER"
synchronised node
sleep 0.5
kill -INT "$trace"
finish "$trace" 20 || true

out=$LT_WORK/trace.out
assert_line "$out" '^process [0-9]+ has lane [0-9]+$'
assert_line "$out" '^process [0-9]+ leaves lane [0-9]+, [0-9]+ flows$'
assert_line "$out" "^$server: 7001 $CLIENT:[0-9]+, [0-9]+ us\$"
assert_line "$out" "^[0-9]+: [0-9]+ $SERVER:7001, [0-9]+ us\$"
assert_line "$out" '^@left\[python3.*loopback.*\]: [1-9]'
assert_line "$out" "^@sent\\[$server, 6\\]: [1-9]"
assert_line "$out" '^@closed\[[0-9]+, 0\]: [1-9]'
assert_line "$out" '^@moved\[[0-9]+, 0\]: [1-9]'
assert_line "$out" '^@registered\[1, 0\]: [1-9]'
assert_line "$out" '^@registered\[0, 0\]: [1-9]'
assert_line "$out" '^@flows_added\[[0-9]+\]: [1-9]'
assert_line "$out" '^@flows_removed\[[0-9]+\]: [1-9]'
assert_line "$out" '^@spin\[python3.*, [01]\]: [1-9]'
for histogram in ring_us bytes; do
    assert_line "$out" "^@$histogram\\[$server\\]"
done
assert_line "$out" '^@slept_us\[python3'
assert_line "$out" '^truth: 4, was [0-9]$'
assert_line "$out" '^truth: verdict 0, residual -?[0-9]+ ns, round trip [1-9][0-9]+ ns$'
