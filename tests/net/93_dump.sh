#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# variants: both/4 both/6
# kernel: no
# needs: setpriv
# timeout: 90
# `lockstep dump`: what a program's stack says of itself agrees with what the program and its peer know.
. "$(dirname "$0")/lib.sh"
setup
dir=$(service_dir server)
out=$LT_WORK/out err=$LT_WORK/err
dump() { # STATUS ARGUMENT...
    local expected=$1 status=0
    shift
    exec_at server "$LT_LOCKSTEP" dump --runtime-dir "$dir" "$@" >"$out" 2>"$err" </dev/null || status=$?
    assert_equal $status "$expected" "exit status of lockstep dump $*: $(tail -n 1 "$err")"
}
said() { assert_line "$err" "$1"; }
# The members of the one socket of this kind with this local port.
of() { # KIND PORT EXPRESSION over s
    json "$out" "[($3) for s in r['sockets'] if s['kind'] == '$1' and s['local'].endswith(':$2')]"
}

# A server that reads 1000 of 5000 bytes of its first connection, has an epoll set, a datagram socket with three datagrams
# waiting, one connection that waits to be accepted, and a listener.
cat >"$LT_WORK/program.py" <<'PROGRAM'
import os, select, socket, sys, time
address, family = sys.argv[1], socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
listener = socket.create_server((address, 7001), family=family, backlog=5)
datagrams = socket.socket(family, socket.SOCK_DGRAM)
datagrams.bind((address, 7002))
print("listening", flush=True)
connection, peer = listener.accept()
connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
copy = os.dup(connection.fileno())
poll = select.epoll()
poll.register(connection.fileno(), select.EPOLLIN | select.EPOLLET)
connection.sendall(b"x" * 300)
got = b""
while len(got) < 1000:
    got += connection.recv(1000 - len(got))
print("peer", peer[1], connection.fileno(), copy, poll.fileno(), flush=True)
for line in sys.stdin:
    if line == "fork\n":
        child = os.fork()
        if child == 0:
            own = socket.create_server((address, 7003), family=family)
            own.setblocking(False)
            try:
                own.accept()
            except BlockingIOError:
                pass
            print("child", os.getpid(), flush=True)
            time.sleep(60)
        print("forked", child, flush=True)
    if line == "many\n":
        many = [socket.create_connection((sys.argv[2], 7004)) for i in range(400)]
        print("many", flush=True)
    if line == "close\n":
        connection.send(b"y")
        os.close(copy)
        connection.close()
        print("closed", flush=True)
PROGRAM
cat >"$LT_WORK/peer.py" <<'PROGRAM'
import socket, sys, time
address, family = sys.argv[1], socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
first = socket.create_connection((address, 7001))
first.sendall(b"z" * 5000)
got = b""
while len(got) < 300:
    got += first.recv(300)
datagrams = socket.socket(family, socket.SOCK_DGRAM)
listener = socket.create_server((sys.argv[2], 7004), family=family, backlog=1000)
for i in range(3):
    datagrams.sendto(b"d" * 100, (address, 7002))
second = socket.create_connection((address, 7001))
print("sent", first.getsockname()[1], second.getsockname()[1], flush=True)
time.sleep(60)
PROGRAM
mkfifo "$LT_WORK/orders"
exec 5<>"$LT_WORK/orders"
start_python() { # NAME NODE SCRIPT
    start "$1" "$2" bash -c 'exec "$0" "$@" <&5' "$LT_PYTHON" "$LT_WORK/$3.py" $SERVER $CLIENT
}
start_python program server program
pid=$STARTED
wait_for 10 "the program" has_line "$LT_WORK/program.out" listening
start_python peer client peer
peer=$STARTED
wait_for 10 "the bytes" has_line "$LT_WORK/program.out" peer
wait_for 10 "the peer" has_line "$LT_WORK/peer.out" sent
read -r _ port fd copy epoll_fd <<<"$(grep peer "$LT_WORK/program.out")"
read -r _ first second <<<"$(grep sent "$LT_WORK/peer.out")"
assert_equal "$port" "$first" "the peer's port"
everything_here() {
    dump 0 "$pid"
    [ "$(of connection 7001 's["tcp"]["receive"]["unread_bytes"]')" = "[4000]" ] &&
        [ "$(of datagram 7002 's["udp"]["queued_datagrams"]')" = "[3]" ] && [ "$(json "$out" 'len(r["closing"])')" = 1 ]
}
wait_for 10 "all that was sent" everything_here

# ---- what is known ----
assert_equal "$(json "$out" '(r["document"], r["pid"], r["program"][:6], r["complete"])')" "('lockstep dump', $pid, 'python', True)"
assert_equal "$(json "$out" '(r["stack"]["profile"]["name"], r["stack"]["injector"], r["stack"]["service_connected"])')" \
    "('balanced', 'guarded', True)"
assert_equal "$(json "$out" 'r["stack"]["lane"]')" "$(report_query server status "[l['lane'] for l in r['lanes'] if l['pid'] == $pid][0]")" "the lane"
assert_equal "$(of connection 7001 '(s["tcp"]["state"], sorted(s["descriptors"]), s["readable"], s["writable"])')" \
    "[('established', [$fd, $copy], True, True)]"
assert_equal "$(of connection 7001 's["flow"]["received_bytes"], s["flow"]["sent_bytes"]')" "[(5000, 300)]" "bytes"
assert_equal "$(of connection 7001 '[s["tcp"]["options"][o] for o in ("nodelay", "keepalive", "cork", "sack", "window_scale")]')" \
    "[[True, True, False, True, True]]" "options"
assert_equal "$(of connection 7001 '"keepalive_in_us" in s["tcp"]["timers"]')" "[True]" "the armed timer"
assert_equal "$(of connection 7001 's["epoll"][0]["epoll_descriptor"], s["epoll"][0]["events"], s["epoll"][0]["ready"]')" \
    "[($epoll_fd, 'in err hup et', 'in')]" "the epoll set"
assert_equal "$(json "$out" '[(e["descriptor"], e["members"]) for e in r["epoll_sets"]]')" "[($epoll_fd, 1)]" "the epoll sets"
assert_equal "$(of datagram 7002 's["udp"]["next_datagram_bytes"]')" "[100]" "the datagram"
assert_equal "$(of listener 7001 '(s["tcp"]["state"], s["tcp"]["backlog"], s["tcp"]["waiting_to_be_accepted"])')" "[('listen', 5, 1)]"
assert_equal "$(json "$out" '[(c["remote"].split(":")[-1], c["tcp"]["waits_to_be_accepted"]) for c in r["closing"]]')" "[('$second', True)]"
assert_equal "$(json "$out" 'len(set(x["destination"] for x in r["routes"] if x["usable"]))')" 1 "routes"

# Both ends agree about sequence numbers and windows.
cp "$out" "$LT_WORK/server.dump"
exec_at client "$LT_LOCKSTEP" dump --runtime-dir "$(service_dir client)" "$peer" >"$LT_WORK/client.dump"
ends() { # SERVER'S EXPRESSION CLIENT'S EXPRESSION
    local here there
    here=$(json "$LT_WORK/server.dump" "[s['tcp'] for s in r['sockets'] if (s['remote'] or '').endswith(':$first')][0]$1")
    there=$(json "$LT_WORK/client.dump" "[s['tcp'] for s in r['sockets'] if (s['local'] or '').endswith(':$first')][0]$2")
    assert_equal "$here" "$there" "server$1 and client$2"
}
ends "['send']['next_sequence']" "['receive']['next_sequence']"
ends "['receive']['next_sequence']" "['send']['next_sequence']"
ends "['receive']['window_scale']" "['send']['window_scale']"
end_of() { # NODE left edge, window, port: the right edge of the window that the server has announced
    json "$LT_WORK/$1.dump" "[$2 for t in [s['tcp'] for s in r['sockets'] if $3][:1]][0]"
}
announced=$(end_of server "t['receive']['announced_end_sequence']" "(s['remote'] or '').endswith(':$first')")
understood=$(end_of client "t['send']['unacknowledged_sequence'] + t['send']['window_bytes']" "(s['local'] or '').endswith(':$first')")
assert_less "abs(($announced - $understood + 2**31) % 2**32 - 2**31)" 1000 "the end of the window, rounded to its scale"
ends "['send']['in_flight_bytes']" "['receive']['out_of_order_bytes']"

# ---- one socket ----
flow=$(of connection 7001 's["flow"]["id"]' | tr -d '[]')
dump 0 --flow "$flow" "$pid"
assert_equal "$(json "$out" '[s["flow"]["id"] for s in r["sockets"]], len(r["closing"]), r["routes"]')" "([$flow], 0, [])"
dump 0 --connection "$SERVER_URL:7001-${SERVER_URL%1*}${CLIENT: -1}${SERVER_URL##*1}:$first" "$pid"
assert_equal "$(json "$out" '[s["flow"]["id"] for s in r["sockets"]]')" "[$flow]"
dump 0 --text --connection "$SERVER_URL:7001" "$pid"
assert_line "$out" "^process $pid \(python"
assert_equal "$(grep -cE '^socket |^connection without a socket' "$out")" 3 "sockets in the text"
assert_line "$out" 'unread_bytes 4000'
dump 1 --connection "$SERVER_URL:9" "$pid"
said 'has no such socket'

# ---- closed by the program, then a fork ----
echo close >&5
wait_for 5 "the close" has_line "$LT_WORK/program.out" closed
dump 0 "$pid"
assert_equal "$(of connection 7001 '1')" "[]"
echo fork >&5
wait_for 10 "the child" has_line "$LT_WORK/program.out" '^child'
child=$(sed -n 's/^child //p' "$LT_WORK/program.out")
dump 0 "$child"
assert_equal "$(json "$out" '[s["local"].split(":")[-1] for s in r["sockets"] if s["kind"] == "listener"]')" "['7003']" "the child's listener"
assert_equal "$(json "$out" 'sorted((s["local"][-4:], s["kind"], s["listens_undecided"]) for s in r["sockets"] if s["kind"] != "listener" and s["local"])')" \
    "[('7001', 'undecided', True), ('7002', 'inherited', False)]" "what the child inherited"
dump 0 "$pid"
assert_equal "$(of listener 7001 's["shared_with_child"]')" "[True]"

# ---- who may ask, and who does not answer ----
mkdir -p "$LT_WORK/nobody"
status=0
exec_at server setpriv --reuid 65534 --regid 65534 --clear-groups "$LT_LOCKSTEP" dump --runtime-dir "$dir" "$pid" >"$out" 2>"$err" || status=$?
assert_equal $status 1
said "process $pid belongs to another user"
assert_equal "$(wc -c <"$out")" 0 "bytes for nobody"
dump 1 $$
said "process $$ is not accelerated"
sleep 0 &
dead=$!
wait "$dead"
dump 1 "$dead"
said "process $dead does not exist"
dump 2
dump 2 nonsense
dump 2 --connection nonsense "$pid"
dump 2 --flow 1 --connection "$SERVER_URL:7001" "$pid"

kill -STOP "$pid"
dump 1 --timeout 300ms "$pid"
said "process $pid does not answer in time"
for ((i = 0; i < 20; i++)); do dump 1 --timeout 1ms "$pid"; done
kill -CONT "$pid"
dump 0 --timeout 20s "$pid"

# Who asks and reads nothing holds up neither the program nor, for longer than some seconds, others: a document that does not
# fit into the socket.
echo many >&5
wait_for 20 "connections" has_line "$LT_WORK/program.out" many
cat >"$LT_WORK/deaf.py" <<'DEAF'
import socket, struct, sys, time
service = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
service.connect(sys.argv[1] + "/netd.sock")
header = lambda kind, number: struct.pack("<IHHIi", 0x4c4b5350, 1, kind, number, 0)
service.send(header(1, 1) + b"deaf".ljust(64, b"\0"))
service.recv(4096)
service.send(header(13, 2) + struct.pack("<II36x", int(sys.argv[2]), 0))
kept = socket.recv_fds(service, 4096, 4)[1]
assert len(kept) == 1
print("deaf", flush=True)
time.sleep(60)
DEAF
start_kernel deaf server "$LT_PYTHON" "$LT_WORK/deaf.py" "$dir" "$pid"
wait_for 10 "the deaf" has_line "$LT_WORK/deaf.out" deaf
dump 0 --timeout 40s "$pid"
assert_equal "$(json "$out" 'len([s for s in r["sockets"] if (s["remote"] or "").endswith(":7004") and s["tcp"]["state"] == "established"])')" 400
assert_less 300000 "$(stat -c %s "$out")" "the document"

# ---- after a restart of the service ----
stop "$(service_pid server)"
dump 1 "$pid"
said "no service at $dir"
service_start server
adopted() { report_query server status "len([l for l in r['lanes'] if l['pid'] == $pid])" | grep -q 1; }
wait_for 10 "the lane" adopted
dump 0 --timeout 20s "$pid"
assert_equal "$(json "$out" '[r["stack"]["service_connected"], r["complete"]]')" "[True, True]"
