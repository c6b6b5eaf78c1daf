#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# A program on the lane and on the Lockstep clock, which is 1000 s ahead of the system's: the stamps of messages that come over
# the lane and over loopback are on the same clock as its time of day.
# variants: server/4 server/6
# kernel: no
. "$(dirname "$0")/clock/lib.sh"
setup
truth client --ahead 1000 --delay 50000 --jitter 5000
clockd_by server server "$CLIENT"
synchronised server
cat >"$LT_WORK/stamps.py" <<'END'
import socket, struct, sys, time
NAMES = {"timestamp": 29, "timestampns": 35, "timestamping": 37}
option, count = NAMES[sys.argv[1]], int(sys.argv[2])
sock = socket.socket(socket.AF_INET6 if ":" in sys.argv[3] else socket.AF_INET, socket.SOCK_DGRAM)
sock.setsockopt(socket.SOL_SOCKET, option, 8 | 16 if sys.argv[1] == "timestamping" else 1)
sock.bind(("::" if ":" in sys.argv[3] else "0.0.0.0", 7062))
print("ready", flush=True)
for _ in range(count):
    data, control, _, sender = sock.recvmsg(100, 200)
    now = time.clock_gettime_ns(time.CLOCK_REALTIME)
    (level, kind, body), = control
    assert (level, kind) == (socket.SOL_SOCKET, option), (level, kind)
    seconds, part = struct.unpack("qq", body[:16])
    stamp = seconds * 10**9 + (part * 1000 if sys.argv[1] == "timestamp" else part)
    print(data.decode(), now - stamp, now, flush=True)
END
send() { # NODE ADDRESS TEXT
    at "$1" "$LT_PYTHON" -c 'if True:
    import socket, sys
    sock = socket.socket(socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET, socket.SOCK_DGRAM)
    sock.sendto(sys.argv[2].encode(), (sys.argv[1], 7062))' "$2" "$3"
}
four_messages() { [ "$(wc -l <"$1")" -ge 5 ]; }
LT_RUN_OPTIONS="--clock"
loopback=127.0.0.1
[ "$LT_FAMILY" = 4 ] || loopback=::1
for kind in timestamp timestampns timestamping; do
    start "$kind" server "$LT_PYTHON" "$LT_WORK/stamps.py" $kind 4 "$SERVER"
    started "$kind"
    assert_line "$LT_WORK/$kind.err" 'Lockstep time, within'
    assert_equal "$(report_query server connections 'any(f["local"].endswith(":7062") for f in r["flows"])')" True "the lane"
    for _ in 1 2; do
        send client "$SERVER" lane
        send server $loopback loopback
    done
    wait_for 10 "four messages" four_messages "$LT_WORK/$kind.out"
    assert_equal "$(grep -c '^lane' "$LT_WORK/$kind.out")/$(grep -c '^loopback' "$LT_WORK/$kind.out")" 2/2 "messages"
    while read -r way late now; do
        [ "$way" != ready ] || continue
        # A stamp is of before its message was read, and of the same clock.
        [ "$late" -ge -1000 ] && [ "$late" -lt 5000000000 ] || fail "$kind over $way: $late ns before"
        [ $((now / 1000000000 - $(date +%s))) -gt 990 ] || fail "$kind: the time of day is the system's"
    done <"$LT_WORK/$kind.out"
done
