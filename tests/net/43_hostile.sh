#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# kernel: no
# variants: server/4 server/6
# needs: setpriv
# An unprivileged program sends garbage on the control socket, hoards lanes, and forges packets through its own lane: others go
# on unharmed, nothing forged gets out, the service stays up and counts it.
. "$(dirname "$0")/lib.sh"
setup
socket=$(service_dir server)/netd.sock
netd=$(service_pid server)
mkfifo "$LT_WORK/hold"
exec {hold}<>"$LT_WORK/hold" # hostile programs keep what they have until this is closed
hostile() { # NAME ROLE ARGUMENTS...: in the background, as nobody
    ip netns exec "$(ns server)" setpriv --reuid 65534 --regid 65534 --clear-groups \
        "$LT_PYTHON" "$LT_HERE/hostile.py" "${@:2}" >"$LT_WORK/$1.out" 2>&1 <"$LT_WORK/hold" &
    STARTED=$!
    LT_PIDS+=("$STARTED")
}
steady_server
steady client client client $SERVER 7001 8
client=$STARTED
started client

hostile garbage garbage "$socket" 600
finish "$STARTED" 30 || fail "garbage: $(tail -n 1 "$LT_WORK/garbage.out")"
assert_less 100 "$(report_query server status 'r["totals"]["rejected_messages"]')" "messages that the service rejected"

hostile hoard hoard "$socket" 1000
hoard=$STARTED
wait_for 30 "the hoard" has_line "$LT_WORK/hoard.out" '^got'
say "$(cat "$LT_WORK/hoard.out")"
assert_less "$(sed -nE 's/^got ([0-9]+).*/\1/p' "$LT_WORK/hoard.out")" 1000 "lanes that one user got"
assert_less 0 "$(report_query server status 'r["totals"]["denied_requests"]')" "requests that the service denied"
# Another user still gets a lane.
steady other server server $SERVER 7003
other=$STARTED
wait_for 10 "the other program" has_line "$LT_WORK/other.out" ready
offload_begin
run client "$LT_PYTHON" "$LT_HERE/steady.py" client $SERVER 7003 0.5 20000 >"$LT_WORK/new.out" 2>&1 ||
    fail "the other program: $(tail -n 1 "$LT_WORK/new.out")"
offload_end 500000
kill -9 "$hoard"
wait_for 5 "the end of the hoard" eval '[ "$(report_query server status "len(r[\"lanes\"])")" -le 3 ]'
stop "$other"

start_kernel sniffer client "$LT_PYTHON" -c "
import socket, time
sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
sock.bind(('eth0', 3))
sock.settimeout(0.2)
print('ready', flush=True)
end = time.monotonic() + 4
while time.monotonic() < end:
    try:
        frame, origin = sock.recvfrom(2048)
    except TimeoutError:
        continue
    if origin[2] != 4 and (b'forged' in frame or b'right' in frame):
        print('saw', 'forged' if b'forged' in frame else 'right', frame.hex(), flush=True)
"
sniffer=$STARTED
wait_for 5 "the sniffer" has_line "$LT_WORK/sniffer.out" ready
hostile forge forge "$socket" $SERVER $CLIENT 7001
forge=$STARTED
wait_for 10 "the forger" has_line "$LT_WORK/forge.out" 'read from'
guard=$(report_query server status '[l["guard_drops"] for l in r["lanes"] if l["uid"] == 65534]')
say "guard: $guard"
assert_less 500 "$("$LT_PYTHON" -c "print(sum(sum(d.values()) for d in $guard))")" "packets that the guard dropped and counted"
finish "$sniffer" 10
assert_line "$LT_WORK/sniffer.out" 'saw right' "the forger's own packets"
assert_no_line "$LT_WORK/sniffer.out" 'saw forged' "a forged packet got out"
assert_no_line "$LT_WORK/forge.out" "read from the device: b'." "the device gave the forger something"
kill -9 "$forge"
exec {hold}>&-

steady_done client "$client" 30
alive "$netd" || fail "the service died"
