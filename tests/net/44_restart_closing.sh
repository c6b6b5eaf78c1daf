#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# variants: client/4 both/6
# kernel: no
# The service is killed and started again while a connection that its program has closed still has data to deliver: they
# arrive whole.
. "$(dirname "$0")/lib.sh"
setup
go=$LT_WORK/go
start reader server "$LT_PYTHON" -c "
import hashlib, os, socket, time
listening = socket.create_server(('$SERVER', 7001), family=socket.AF_INET6 if ':' in '$SERVER' else socket.AF_INET)
listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32768)
print('ready', flush=True)
connection, _ = listening.accept()
while not os.path.exists('$go'):
    time.sleep(0.02)
digest = hashlib.sha256()
while data := connection.recv(65536):
    digest.update(data)
print(digest.hexdigest(), flush=True)
"
reader=$STARTED
wait_for 10 "the reader" has_line "$LT_WORK/reader.out" ready
start writer client "$LT_PYTHON" -c "
import hashlib, os, socket, time
data = os.urandom(300000)
connection = socket.socket(socket.AF_INET6 if ':' in '$SERVER' else socket.AF_INET)
connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
connection.connect(('$SERVER', 7001))
connection.sendall(data)
connection.close()
print(hashlib.sha256(data).hexdigest(), flush=True)
time.sleep(60)
"
writer=$STARTED
wait_for 10 "the writer's close" has_line "$LT_WORK/writer.out" '^[0-9a-f]{64}$'
has_flows client || fail "the connection is gone already"
kill -9 "$(service_pid client)"
wait_for 5 "the death of the service" gone "$(service_pid client)"
service_start client
wait_for 5 "the connection's return to the service" has_flows client
offload_begin
touch "$go"
finish "$reader" 20 || fail "the reader: $(tail -n 1 "$LT_WORK/reader.err")"
assert_equal "$(tail -n 1 "$LT_WORK/reader.out")" "$(cat "$LT_WORK/writer.out")" "hash of what arrived"
offload_end 150000
stop "$writer"
