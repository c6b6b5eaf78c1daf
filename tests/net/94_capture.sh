#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# variants: server/4 server/6
# kernel: no
# needs: tshark setpriv bpftool
# timeout: 120
# `lockstep capture`: what is diverted and injected, in every way of attachment, as tshark reads it.
. "$(dirname "$0")/lib.sh"
setup without-service
dir=$(service_dir server)
ip=ip.src
[ "$LT_FAMILY" = 4 ] || ip=ipv6.src

capture() { # NAME OPTION...: in the background, into NAME.pcapng; its pid in $CAPTURE
    start_kernel "$1" server "$LT_LOCKSTEP" capture --runtime-dir "$dir" --write "$LT_WORK/$1.pcapng" "${@:2}"
    CAPTURE=$STARTED
    wait_for 10 "the capture $1" has_line "$LT_WORK/$1.err" 'capturing|: '
    assert_line "$LT_WORK/$1.err" 'lockstep capture: capturing'
}
done_capture() { # NAME PID [SIGNAL]
    sleep 0.1 # what is in the buffers
    kill "-${3:-INT}" "$2"
    finish "$2" 10 || fail "$1: $(tail -n 1 "$LT_WORK/$1.err")"
    assert_line "$LT_WORK/$1.err" 'packets, 0 lost$'
}
# fields NAME FILTER FIELD...: a line for each packet that matches, members separated by tabs.
fields() {
    local name=$1 filter=$2 field list=()
    shift 2
    for field in "$@"; do list+=(-e "$field"); done
    tshark -n -r "$LT_WORK/$name.pcapng" -Y "$filter" -T fields -E separator=/t "${list[@]}" 2>"$LT_WORK/tshark.err" | sed 's/0x0000000//g'
}
count() { fields "$1" "$2" frame.number | wc -l; }
payload() { # NAME FILTER: what was said in TCP, in order
    fields "$1" "$2" tcp.payload | tr -d '\n :' | xxd -r -p
}
talk() { # one connection that says "question" and hears "answer", and a datagram each way
    start talk server "$LT_PYTHON" -c "
import socket, sys
family = socket.AF_INET6 if ':' in sys.argv[1] else socket.AF_INET
listener = socket.create_server((sys.argv[1], 7001), family=family)
datagrams = socket.socket(family, socket.SOCK_DGRAM)
datagrams.bind((sys.argv[1], 7002))
print('ready', flush=True)
connection, peer = listener.accept()
assert connection.recv(100) == b'question'
connection.sendall(b'answer')
data, other = datagrams.recvfrom(100)
datagrams.sendto(data.upper(), other)
connection.recv(100)
" $SERVER
    TALK=$STARTED
    started talk
    wait_port server tcp 7001
    at client "$LT_PYTHON" -c "
import socket, sys
family = socket.AF_INET6 if ':' in sys.argv[1] else socket.AF_INET
connection = socket.create_connection((sys.argv[1], 7001))
connection.sendall(b'question')
assert connection.recv(100) == b'answer'
datagrams = socket.socket(family, socket.SOCK_DGRAM)
datagrams.settimeout(10)
datagrams.sendto(b'datagram', (sys.argv[1], 7002))
assert datagrams.recv(100) == b'DATAGRAM'
" $SERVER
    finish "$TALK" 10
}
realtime() { date +%s.%N; }

# ---- without a divert ----
start_kernel none server "$LT_LOCKSTEP" capture --runtime-dir "$dir" --write /dev/null
! finish "$STARTED" 10
assert_line "$LT_WORK/none.err" 'is lockstep-netd running'

# ---- the three ways of attachment ----
# rows NAME CONDITION PRINT: over one reading of the file, since tshark takes its time.
rows() { awk -F '\t' "$2 { print $3 }" "$LT_WORK/$1.rows"; }
read_rows() { # NAME
    fields "$1" frame "$ip" tcp.port tcp.flags.syn tcp.flags.ack tcp.len tcp.payload udp.port frame.packet_flags_direction \
        frame.interface_name frame.comment frame.time_epoch eth.src >"$LT_WORK/$1.rows"
}
check_talk() { # NAME BEFORE AFTER
    local name=$1 here="\$1 == \"$SERVER\"" there="\$1 != \"$SERVER\"" tcp='$2 ~ /7001/' udp='$7 ~ /7002/'
    read_rows "$name"
    assert_equal "$(rows "$name" "$tcp && $there && \$5 > 0" '$6' | xxd -r -p)" question "$name: what came in"
    assert_equal "$(rows "$name" "$tcp && $here && \$5 > 0" '$6' | xxd -r -p)" answer "$name: what went out"
    assert_equal "$(rows "$name" "$udp" 1 | wc -l)" 2 "$name: datagrams"
    assert_equal "$(rows "$name" '$3 == 1' '$4, $8' | xargs)" "0 1 1 2" "$name: handshake"
    assert_equal "$(rows "$name" "$there" '$8' | sort -u)" 1 "$name: inbound"
    assert_equal "$(rows "$name" "$here" '$8' | sort -u)" 2 "$name: outbound"
    assert_equal "$(rows "$name" 1 '$9' | sort -u)" eth0 "$name: interface"
    assert_equal "$(rows "$name" '$2 == "" && $7 == ""' 1 | wc -l)" 0 "$name: packets of nobody"
    rows "$name" 1 '$10' | sort -u >"$LT_WORK/comments"
    assert_equal "$(wc -l <"$LT_WORK/comments")" 1 "$name: comments: $(cat "$LT_WORK/comments")"
    assert_line "$LT_WORK/comments" "^lane [0-9]+, python3[.0-9]* \\($TALK\\)"
    # In order, and when it happened.
    rows "$name" 1 '$11' >"$LT_WORK/times"
    sort -nc "$LT_WORK/times" || fail "$name: not in order"
    assert_less "$2" "$(head -n 1 "$LT_WORK/times")" "$name: the first packet's time"
    assert_less "$(tail -n 1 "$LT_WORK/times")" "$3" "$name: the last packet's time"
    # Both ends' addresses are the wire's.
    assert_equal "$(rows "$name" "$here && $tcp" '$12' | sort -u)" "$(at server cat /sys/class/net/eth0/address)" "$name: MAC address"
}
# While nobody captures, a packet costs three instructions: the address of a word, loading it, and a branch.
check_idle() { # ATTACHMENT: its program as the kernel has it
    local kind=xdp id
    [ "$1" != tc ] || kind=tc
    id=$(at server bpftool -j net show dev eth0 | "$LT_PYTHON" -c 'import json, sys; print(json.load(sys.stdin)[0][sys.argv[1]][0]["id"])' $kind)
    # The program itself, without the functions that it calls.
    bpftool prog dump xlated id "$id" | awk '/^[a-z].*:$/ { functions++ }
        functions == 1 && /^ *[0-9]+: / { sub(/^ *[0-9]+: \([0-9a-f]+\) /, ""); print }' >"$LT_WORK/$1.code"
    assert_equal "$(grep -A2 -F '[0]+0' "$LT_WORK/$1.code" | sed -E 's/r[0-9]+/r/g; s/w[0-9]+/w/g; s/id:[0-9]+/id/; s/pc\+[0-9]+/there/')" \
        'r = map[id][0]+0
r = *(u32 *)(r +0)
if w == 0x0 goto there' "what is done for a capture ($1)"
}
for attach in tc xdp-native xdp-generic; do
    LT_NETD_OPTIONS="--attach $attach"
    service_start server
    check_idle "$attach"
    assert_equal "$(report_query server status 'r["interfaces"][0]["mode"]')" $attach "the attachment"
    before=$(realtime)
    capture $attach
    talk
    done_capture $attach "$CAPTURE"
    check_talk $attach "$before" "$(realtime)"
    [ $attach = xdp-generic ] || stop "$(service_pid server)"
done
stop "$(service_pid server)"
program=$(sed -nE '1s/^lane [0-9]+, (.*) \([0-9]+\)$/\1/p' "$LT_WORK/comments")
printf '[netd]\nring-bytes = 64K\n' >"$LT_WORK/netd.conf"
LT_NETD_OPTIONS="--config $LT_WORK/netd.conf"
service_start server

# ---- into a pipe, with filters ----
exec_at server "$LT_LOCKSTEP" capture --runtime-dir "$dir" --write - --count 3 udp or tcp port 7001 2>"$LT_WORK/pipe.err" |
    tshark -n -r - -T fields -e tcp.flags.syn >"$LT_WORK/pipe.out" 2>"$LT_WORK/tshark.err" &
pipe=$!
wait_for 10 "the capture" has_line "$LT_WORK/pipe.err" capturing
# Only one at a time.
start_kernel second server "$LT_LOCKSTEP" capture --runtime-dir "$dir" --write /dev/null
! finish "$STARTED" 10
assert_line "$LT_WORK/second.err" 'process [0-9]+ captures already'
talk
finish $pipe 10
assert_equal "$(xargs <"$LT_WORK/pipe.out")" "1 1 0" "three packets in the pipe"
# Nobody reads any more.
start_kernel head server bash -c "'$LT_LOCKSTEP' capture --runtime-dir '$dir' --write - | head -c 10 >/dev/null"
finish "$STARTED" 10
capture ports --port 7002 --host $CLIENT --snaplen 60
talk
done_capture ports "$CAPTURE" TERM
assert_equal "$(count ports udp)$(count ports tcp)" 20 "packets of one port"
capture nobody --program nobody
talk
done_capture nobody "$CAPTURE"
assert_equal "$(count nobody frame)" 0 "packets of another program"
capture somebody --program "$program"
talk
done_capture somebody "$CAPTURE"
assert_less 6 "$(count somebody "tcp.port == 7001")" "packets of a program"
capture while --duration 300ms
finish "$CAPTURE" 10
status=0
exec_at server "$LT_LOCKSTEP" capture --runtime-dir "$dir" --write /dev/null port nonsense 2>"$LT_WORK/err" || status=$?
assert_equal $status 2
assert_line "$LT_WORK/err" 'port nonsense'

# ---- who may ----
status=0
exec_at server setpriv --reuid 65534 --regid 65534 --clear-groups "$LT_LOCKSTEP" capture --runtime-dir "$dir" --write - >"$LT_WORK/out" 2>"$LT_WORK/err" || status=$?
assert_equal "$status $(cat "$LT_WORK/err")" "1 lockstep capture: capturing needs root"

# ---- files of a limited size, and a full ring, beside a program that does not run ----
start silent server "$LT_PYTHON" -c "
import socket, sys, time
family = socket.AF_INET6 if ':' in sys.argv[1] else socket.AF_INET
datagrams = socket.socket(family, socket.SOCK_DGRAM)
datagrams.bind((sys.argv[1], 7003))
print('ready', flush=True)
time.sleep(60)
" $SERVER
silent=$STARTED
started silent
wait_port server udp 7003
kill -STOP "$silent"
flood() { # 200 datagrams of 1000 bytes
    at client "$LT_PYTHON" -c "
import socket, sys
datagrams = socket.socket(socket.AF_INET6 if ':' in sys.argv[1] else socket.AF_INET, socket.SOCK_DGRAM)
for i in range(200):
    datagrams.sendto(bytes(1000), (sys.argv[1], 7003))
" $SERVER
}
capture overrun --dropped --pid "$silent"
flood
done_capture overrun "$CAPTURE"
assert_equal "$(count overrun 'udp.dstport == 7003')" 200 "packets for the ring"
lost=$(count overrun 'frame.comment contains "lost: the ring was full"')
assert_less 100 "$lost" "packets that the ring had no room for"
assert_equal "$(report_query server status "[l['overruns'] for l in r['lanes'] if l['pid'] == $silent]")" "[$lost]" "as the service counts them"
# A capture that does not run itself loses packets, says so, and holds nobody up.
capture deaf --all --buffer 16K
kill -STOP "$CAPTURE"
flood
kill -CONT "$CAPTURE"
sleep 0.1
kill -INT "$CAPTURE"
finish "$CAPTURE" 10
assert_line "$LT_WORK/deaf.err" ' packets, [1-9][0-9]* lost for want of room \(--buffer\)$'
lost=$(sed -nE 's/.* packets, ([0-9]+) lost.*/\1/p' "$LT_WORK/deaf.err")
assert_equal $(($(count deaf 'udp.dstport == 7003') + lost)) 200 "packets that were written and lost"
# Two files of those that there were.
capture series --all --file-size 16K --files 2
for i in 1 2 3; do
    flood
    sleep 0.1 # for the capture to write
done
done_capture series "$CAPTURE"
assert_equal "$(find "$LT_WORK" -name 'series*.pcapng' | wc -l)" 2 "the files that were kept"
for file in "$LT_WORK"/series-*.pcapng; do
    tshark -n -r "$file" -Y 'udp.dstport == 7003' >"$LT_WORK/one" 2>"$LT_WORK/err" || fail "$file: $(cat "$LT_WORK/err")"
done
kill -CONT "$silent"
stop "$silent"
status=0
exec_at server "$LT_LOCKSTEP" capture --runtime-dir "$dir" --write - --file-size 1M >"$LT_WORK/out" 2>"$LT_WORK/err" || status=$?
assert_equal "$status $(cat "$LT_WORK/err")" "2 lockstep capture: --file-size needs --write FILE"

# ---- large packets, cut and whole ----
capture large
start sink server "$LT_PYTHON" "$LT_HERE/steady.py" sink $SERVER 7004
wait_port server tcp 7004
at client "$LT_PYTHON" "$LT_HERE/steady.py" up $SERVER 7004 3000000 >"$LT_WORK/up.out"
done_capture large "$CAPTURE"
# What was sent twice counts once.
assert_equal "$(fields large "tcp.dstport == 7004 && tcp.len > 0" tcp.seq tcp.len | sort -n |
    awk '$1 + $2 > end { sum += $1 + $2 - ($1 > end ? $1 : end); end = $1 + $2 } END { print sum }')" 3000000 "bytes of the stream"

# ---- what is not let out, and what is left to the kernel ----
capture dropped --dropped
"$LT_PYTHON" - "$LT_WORK/hold" <<<'import os, sys; os.mkfifo(sys.argv[1])'
exec 6<>"$LT_WORK/hold"
ip netns exec "$(ns server)" "$LT_PYTHON" "$LT_HERE/hostile.py" forge "$dir/netd.sock" $SERVER $CLIENT 22 >"$LT_WORK/forge.out" 2>&1 <&6 &
forge=$!
LT_PIDS+=($forge)
wait_for 20 "the forger" has_line "$LT_WORK/forge.out" .
done_capture dropped "$CAPTURE"
assert_less 4 "$(count dropped 'frame.comment contains "refused: the source is not registered"')" "forged sources"
assert_less 1 "$(count dropped 'frame.comment contains "refused: no such next hop"')" "forged next hops"
kill "$forge"
capture all --all
at client "$LT_PYTHON" -c "
import socket, sys
socket.socket(socket.AF_INET6 if ':' in sys.argv[1] else socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', (sys.argv[1], 9))
" $SERVER
done_capture all "$CAPTURE"
assert_equal "$(count all 'udp.port == 9 && frame.comment contains "left to the kernel"')" 1 "datagrams for nobody"

# ---- the direct injector ----
LT_RUN_OPTIONS="--injector direct"
before=$(realtime)
capture direct
talk
done_capture direct "$CAPTURE"
check_talk direct "$before" "$(realtime)"
LT_RUN_OPTIONS=

# ---- a capture that was killed leaves nothing in the way; one goes on when the service is restarted ----
capture killed
kill -KILL "$CAPTURE"
finish "$CAPTURE" 5 || true
again() {
    exec_at server "$LT_LOCKSTEP" capture --runtime-dir "$dir" --write /dev/null --duration 10ms
}
wait_for 10 "the end of the killed one's claim" again
capture restart
stop "$(service_pid server)"
service_start server
sleep 1.5 # it looks for others every second
talk
done_capture restart "$CAPTURE"
assert_equal "$(payload restart "tcp.port == 7001 && $ip == $CLIENT && tcp.len > 0")" question "after the restart"
