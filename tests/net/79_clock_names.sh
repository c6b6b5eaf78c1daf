#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# A server by its name, which has two addresses, the first of them dead: the second is asked. When the server moves to another
# address and the name with it, it is found again. The daemon runs as another user, without capabilities and behind its filter, and
# so does the child that looks the names up.
# variants: none/4
# kernel: no
. "$(dirname "$0")/clock/lib.sh"
LT_NODES=(server client third)
setup
hosts=/etc/netns/$(ns client)/hosts # `ip netns exec` puts it in the place of /etc/hosts
mkdir -p "${hosts%/*}"
LT_CLEANUP+=("rm -r '${hosts%/*}'")
chmod 755 "${hosts%/*}"
# The nearer one by its number is the first to be tried.
printf '%s time.test\n%s time.test\n' "$(address third)" "$SERVER" >"$hosts"
truth server --delay 20000 --jitter 2000
server=$STARTED
state=$LT_WORK/state/clock.state
chmod 777 "$LT_WORK"
clockd node client --user nobody <<END
[clockd]
state-file = $state
[source time.test]
poll-min = 62.5ms
poll-max = 250ms
[source nobody.test]
END
daemon=$STARTED
synchronised node 30
judge node client 1
sound node
assert_line "$LT_WORK/node.err" 'warning: nobody.test: nobody.test: (there is no such name|the name cannot be looked up)'
assert_equal "$(clock_query node sources 's("time.test")["address"]')" "$SERVER:123" "the address"

for pid in "$daemon" "$(pgrep -P "$daemon")"; do
    status=$(cat "/proc/$pid/status")
    for line in $'Uid:\t65534\t65534\t65534\t65534' $'CapEff:\t0000000000000000' $'CapPrm:\t0000000000000000' \
        $'CapBnd:\t0000000000000000' $'NoNewPrivs:\t1'; do
        grep -qF "$line" <<<"$status" || fail "process $pid: not $line: $(grep "^${line%%:*}:" <<<"$status")"
    done
done
grep -q $'^Seccomp:\t2' "/proc/$daemon/status" || fail "no filter"

# The server moves.
stop "$server"
printf '%s time.test\n' "$(address third)" >"$hosts"
truth third --delay 20000 --jitter 2000
wait_clock node 40 sources "s('time.test')['address'] == '$(address third):123' and s('time.test')['reach'] % 2 == 1"
synchronised node 10
assert_equal "$(clock_query node status 'r["disruptions"]')" 0 "disruptions"
wait_clock node 10 stats 's("time.test")["accepted"] >= 30 and s("time.test")["frequency_sigma_ppb"] < 1000'
stop "$daemon"
assert_line "$state" '^end$'
! pgrep -P "$daemon" || fail "the child has outlived the daemon"
