#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# kernel: no
# variants: both/4 both/6
# timeout: 120
# The journal, as `lockstep connections --follow` prints it: 2,000 connections through programs are told once each, also when the
# service is restarted or killed or the program is killed meanwhile; UDP sockets, also when they are closed while there is no
# service; sockets that stay with the kernel.
. "$(dirname "$0")/lib.sh"
setup
many() { # NAME NODE ROLE [COUNT]
    start "$1" "$2" "$LT_PYTHON" "$LT_HERE/many.py" "$3" $SERVER 7001 "${@:4}"
}
for node in server client; do
    start_kernel $node-events $node "$LT_LOCKSTEP" connections --follow --json --runtime-dir "$(service_dir $node)"
    printf -v "${node}_follow" %s "$STARTED"
done
events() { echo "$LT_WORK/$1-events.out"; }
# told LOG PROTOCOL [BEGIN END]: at both ends, within some seconds; BEGIN to END: without the client's service.
told() {
    local side begin=${3:-0} end=${4:-0}
    for side in server:remote client:local; do
        wait_for 10 "the events of $1 at ${side%:*}: $(told_at "${side%:*}" "${side#*:}" "$1" "$2" "$begin" "$end" 2>&1)" \
            told_at "${side%:*}" "${side#*:}" "$1" "$2" "$begin" "$end"
        say "$1 at ${side%:*}: $(told_at "${side%:*}" "${side#*:}" "$1" "$2" "$begin" "$end")"
    done
}
told_at() { # NODE SIDE LOG PROTOCOL BEGIN END
    "$LT_PYTHON" "$LT_HERE/many.py" check "$(events "$1")" "$LT_WORK/$3.out" "$2" "$4" "$name" "$5" "$6"
}
client_done() { # NAME
    wait_for 30 "the end of $1: $(tail -n 1 "$LT_WORK/$1.err")" has_line "$LT_WORK/$1.out" '^done'
}
has_lane() { [ "$(report_query "$1" status 'len(r["lanes"])')" != 0 ]; }
event_count() { # NODE PATTERN
    grep -cE -- "$2" "$(events "$1")" || true
}

many server server server
server=$STARTED
wait_for 10 "the server" has_line "$LT_WORK/server.out" ready
wait_for 10 "the server's flows" has_flows server
name=$(report_query server connections 'r["flows"][0]["program"]')

# ---- undisturbed ----
many plain client client 700
client_done plain
stop "$STARTED" # what is in TIME_WAIT is open until then
told plain tcp

# ---- the services are restarted, and killed ----
for signal in TERM KILL; do
    many $signal client client 650
    pid=$STARTED
    wait_for 10 "connections" has_line "$LT_WORK/$signal.out" '^connection'
    sleep 0.2
    begin=$(date +%s.%N)
    for node in server client; do
        kill -$signal "$(service_pid $node)"
        wait_for 5 "the end of the service" gone "$(service_pid $node)"
    done
    for node in server client; do service_start $node; done
    wait_for 5 "the server's return" has_flows server
    wait_for 5 "the client's return" has_lane client
    end=$(date +%s.%N)
    client_done $signal
    stop "$pid"
    told $signal tcp "$begin" "$end"
done

# ---- the program is killed ----
many held client hold 100
pid=$STARTED
wait_for 10 "connections" has_line "$LT_WORK/held.out" '^held'
kill -KILL "$pid"
told held tcp

# ---- datagrams: closed while the service is there, and while it is not ----
for service in there away; do
    many $service client datagrams 20
    pid=$STARTED
    wait_for 10 "sockets" has_line "$LT_WORK/$service.out" '^held'
    if [ $service = away ]; then
        kill -KILL "$(service_pid client)"
        wait_for 5 "the end of the service" gone "$(service_pid client)"
    fi
    kill -USR1 "$pid"
    wait_for 10 "the end of the sockets" has_line "$LT_WORK/$service.out" '^closed'
    [ $service = there ] || service_start client
    wait_for 10 "the events of datagrams: $(told_at client local $service udp 0 0)" told_at client local $service udp 0 0
done

# ---- in words ----
start_kernel words client "$LT_LOCKSTEP" connections --follow --runtime-dir "$(service_dir client)"
words=$STARTED
wait_for 5 "the follower" has_line "/proc/$words/comm" '^lockstep$'
many spoken client client 20
pid=$STARTED
client_done spoken
stop "$pid"
wait_for 5 "the words" has_line "$LT_WORK/words.out" " $name \\(process $pid\\): tcp .*:7001 closed: .* received, .* sent, latency p99 "
stop "$words" INT

# ---- with the kernel: at once, also in a program that has no other socket; and the follower's own end ----
for kind in STREAM DGRAM; do
    run client "$LT_PYTHON" -c "
import socket
family, address = (socket.AF_INET6, '::1') if ':' in '$SERVER' else (socket.AF_INET, '127.0.0.1')
socket.socket(family, socket.SOCK_$kind).connect_ex((address, 7009))
"
    protocol=$([ $kind = STREAM ] && echo tcp || echo udp)
    wait_for 5 "the socket of the kernel" has_line "$(events client)" "\"event\":\"kernel\".*\"protocol\":\"$protocol\".*:7009\",\"reason\":\"loopback\""
done
stop "$server"
wait_for 5 "the server's end" has_line "$(events server)" '"event":"lane-closed"'
for follow in "$server_follow" "$client_follow"; do
    stop "$follow" INT
done
assert_equal "$(event_count client '"event":"gone"')" 3 "ends of the client's service"
