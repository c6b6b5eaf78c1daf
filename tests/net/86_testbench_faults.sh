#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# variants: both/4 both/6
# timeout: 120
# What can go wrong with a sender or a receiver: told to stop, its starter gone, killed, its peer absent, foreign messages, a
# bad job. It ends, says why, and keeps what it has.
. "$(dirname "$0")/lib.sh"
. "$LT_HERE/testbench.sh"
setup
cat >"$LT_WORK/pattern.csv" <<'EOF'
class,row,size_bytes,period_ms,limit_ms,port
lltcp,1,100,5,100,20001
tcp0,1,200000,20,100,
mcast,1,1000,10,100,
udp,1,12,5,100,20003
EOF
plan() { bench_plan "$LT_WORK/pattern.csv" --warmup 100ms "$@"; }

say "the starter of the receiver goes away"
plan --duration 60s
bench_pair
bench_go
wait_for 10 "messages" has_line "$LT_WORK/receiver.out" '"messages":[1-9]'
exec {TO_RECEIVER}>&-
status=0
finish "$RECEIVER" 10 || status=$?
assert_equal "$status" 1 "exit status of the receiver"
assert_equal "$(bench_result server.receive 'r["ending"], r["problem"]')" "('stopped', 'standard input ended')"
assert_less 50 "$(bench_result server.receive 't["udp.1"]["received"]["received"]')" "messages kept"
wait_for 10 "the sender's notice" has_line "$LT_WORK/sender.out" 'tcp0.1: the connection broke'
say "a signal to the sender"
kill -INT "$SENDER"
status=0
finish "$SENDER" 10 || status=$?
assert_equal "$status" 1 "exit status of the sender"
assert_equal "$(bench_result client.send 'r["ending"], r["problem"]')" "('stopped', 'interrupted')"
assert_equal "$(bench_result client.send 't["lltcp.1"]["cut"], t["lltcp.1"]["sent"]["unsent"] > 0')" "(True, True)"
exec {TO_SENDER}>&-

say "the receiver is killed"
plan --duration 3s
bench_pair
bench_go
wait_for 10 "messages" has_line "$LT_WORK/receiver.out" '"messages":[1-9]'
kill -9 "$RECEIVER"
wait "$RECEIVER" || true
finish "$SENDER" 20 || fail "sender: $(tail -n 1 "$LT_WORK/sender.err")"
assert_equal "$(bench_result client.send 't["tcp0.1"]["cut"], t["mcast.1"]["sent"]["unsent"]')" "(True, 0)"

say "the sender is killed"
plan --duration 3s
bench_pair
bench_go
wait_for 10 "messages" has_line "$LT_WORK/receiver.out" '"messages":[1-9]'
kill -9 "$SENDER"
wait "$SENDER" || true
finish "$RECEIVER" 20 || fail "receiver: $(tail -n 1 "$LT_WORK/receiver.err")"
assert_equal "$(bench_result server.receive 'r["ending"], t["lltcp.1"]["cut"]')" "('complete', True)"

say "foreign messages"
plan --duration 4s
bench_pair
bench_go
cat >"$LT_WORK/foreign.py" <<'EOF'
import os, socket, sys, time
address = sys.argv[1]
family = socket.AF_INET6 if ':' in address else socket.AF_INET
datagram = socket.socket(family, socket.SOCK_DGRAM)
for i in range(200):
    datagram.sendto(os.urandom(i % 30), (address, 20003))
stream = socket.create_connection((address, 20001))
stream.sendall(os.urandom(1000))
more = [socket.create_connection((address, 20001)) for _ in range(6)]
time.sleep(0.2)
EOF
run client "$LT_PYTHON" "$LT_WORK/foreign.py" "$SERVER" || fail "the foreign messages"
finish "$SENDER" 20 || fail "sender: $(tail -n 1 "$LT_WORK/sender.err")"
finish "$RECEIVER" 20 || fail "receiver: $(tail -n 1 "$LT_WORK/receiver.err")"
assert_less 200 "$(bench_result server.receive 'r["foreign"]')" "foreign messages and connections"
assert_equal "$(bench_result server.receive 't["lltcp.1"]["received"]["corrupt"], t["udp.1"]["received"]["corrupt"]')" "(10, 0)"
for type in lltcp.1 tcp0.1 mcast.1 udp.1; do
    assert_equal "$(bench_result server.receive "t['$type']['received']['received']")" \
        "$(bench_result client.send "t['$type']['sent']['sent']")" "messages of $type"
done

say "the receiver stands still for a second"
plan --duration 5s
bench_pair
bench_go
wait_for 10 "messages" has_line "$LT_WORK/receiver.out" '"messages":[1-9]'
kill -STOP "$RECEIVER"
sleep 1
kill -CONT "$RECEIVER"
finish "$SENDER" 20 || fail "sender: $(tail -n 1 "$LT_WORK/sender.err")"
finish "$RECEIVER" 20 || fail "receiver: $(tail -n 1 "$LT_WORK/receiver.err")"
# What was planned meanwhile has its waiting counted, every single message (no coordinated omission); streams lose nothing.
for type in lltcp.1 tcp0.1; do
    assert_less 700000000 "$(bench_result server.receive \
        "min(w['last_ns'] - w['planned_ns'] for w in t['$type']['received']['worst'])")" "the ten worst latencies of $type"
    assert_equal "$(bench_result server.receive "t['$type']['received']['received']")" \
        "$(bench_result client.send "t['$type']['sent']['sent']")" "messages of $type"
done
assert_equal "$(bench_result client.send 't["tcp0.1"]["sent"]["blocked"] > 0, t["tcp0.1"]["sent"]["late"] > 0')" \
    "(True, True)" "a stream that is backed up"
assert_equal "$(bench_result client.send 't["udp.1"]["sent"]["blocked"]')" 0 "others do not wait for it"
assert_less 0 "$(bench_result server.receive 'r["stalls"]["stalls"]')" "stalls that were noticed"
assert_less 700000000 "$(bench_result server.receive 'max(r["stalls"]["list"][1::2])')" "the longest of them"

say "no receiver"
rm -f "$LT_WORK"/*.in
bench_start early client send
status=0
finish "$STARTED" 30 || status=$?
assert_equal "$status" 3 "exit status of a sender without a receiver"
assert_equal "$(bench_result client.send 'r["ending"], r["problem"].split(":")[0]')" "('failed', 'lltcp.1')"
exec {COMMANDS}>&-

say "bad jobs"
status=0
at client "$TESTBENCH" receive "$LT_WORK/client.send.job" 2>"$LT_WORK/bad.err" || status=$?
assert_equal "$status" 2 "exit status for a job of the other role"
sed 's/"burst":1/"burst":0/' "$LT_WORK/client.send.job" >"$LT_WORK/bad.job"
status=0
at client "$TESTBENCH" send "$LT_WORK/bad.job" 2>"$LT_WORK/bad.err" || status=$?
assert_equal "$status" 2 "exit status for a bad job"
assert_line "$LT_WORK/bad.err" 'job: burst: 0 is not from 1 to 1000'
