#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# variants: server/4
# kernel: no
# needs: socat
# The services below a service manager and a journal (manager.py): ready, status, entries with fields, and a loop that stands
# still is noticed and started again, while programs go on.
. "$(dirname "$0")/clock/lib.sh"
setup without-service
WATCHDOG_S=3

# managed NAME NODE PROGRAM...: its pid in $MANAGED, the service's with service_of.
managed() {
    local name=$1 node=$2
    shift 2
    start_kernel "$name" "$node" unshare --mount "$LT_PYTHON" "$LT_HERE/manager.py" $WATCHDOG_S "$@"
    MANAGED=$STARTED
}
service_of() { sed -n 's/^started //p' "$LT_WORK/$1.out" | tail -n 1; }
said() { wait_for 20 "$1: $2" has_line "$LT_WORK/$1.out" "$2"; }
# entry NAME FIELD=VALUE...: the journal has one of these.
entry() {
    sed -n 's/^entry //p' "$LT_WORK/$1.out" | "$LT_PYTHON" -c 'if True:
    import json, sys
    wanted = dict(argument.split("=", 1) for argument in sys.argv[1:])
    sys.exit(0 if any(wanted.items() <= json.loads(line).items() for line in sys.stdin) else 1)' "${@:2}"
}
has_entry() { wait_for 20 "$1: an entry with ${*:2}" entry "$@"; }
feeds() { grep -c '^notify WATCHDOG=1' "$LT_WORK/$1.out"; }
fed_more() { [ "$(feeds "$1")" -gt "$2" ]; }

say "lockstep-netd"
dir=$(service_dir server)
mkdir -p "$dir"
printf '[netd]\ninterfaces = eth0\n' >"$LT_WORK/netd.conf"
managed netd server "$LT_BUILD/service/lockstep-netd" --config "$LT_WORK/netd.conf" --runtime-dir "$dir"
netd=$MANAGED
said netd '^notify READY=1'
said netd '^notify STATUS=0 accelerated programs'
has_entry netd LOCKSTEP_INTERFACE=eth0 LOCKSTEP_EVENT=attached SYSLOG_IDENTIFIER=lockstep-netd PRIORITY=6 LOCKSTEP_MODULE=network \
    CODE_FUNC=attach
said netd '^notify WATCHDOG=1'
assert_no_line "$LT_WORK/netd.out" '^stderr '

# The configuration is read again, with and without a mistake, and a program is refused.
printf '[rule none]\nprogram = socat\naction = kernel\n' >>"$LT_WORK/netd.conf"
kill -HUP "$(service_of netd)"
said netd '^notify RELOADING=1 MONOTONIC_USEC=[0-9]+'
has_entry netd LOCKSTEP_EVENT=reloaded PRIORITY=6 "MESSAGE=configuration read again: 1 rules"
echo 'user = nosuchuser' >>"$LT_WORK/netd.conf"
kill -HUP "$(service_of netd)"
has_entry netd LOCKSTEP_EVENT=reloaded PRIORITY=3 "MESSAGE=configuration not read again: $LT_WORK/netd.conf:6: [rule none] \
user: \"nosuchuser\" is not known: there is no user of this name"
sed -i '$d' "$LT_WORK/netd.conf" # it is to start with this file again
run server socat -u OPEN:/dev/null "TCP:$CLIENT:9" 2>/dev/null || true
has_entry netd LOCKSTEP_EVENT=lane-refused LOCKSTEP_PROGRAM=socat LOCKSTEP_MODULE=admission
assert_equal "$(grep -c '^notify READY=1' "$LT_WORK/netd.out")" 3 "times that it was ready"
# What happened is explained in the catalog.
sed -n 's/^entry .*"MESSAGE_ID": "\([0-9a-f]*\)".*/\1/p' "$LT_WORK/netd.out" | sort -u >"$LT_WORK/ids"
assert_equal "$(wc -l <"$LT_WORK/ids")" 3 "events"
while read -r id; do assert_line "$LT_HERE/../../system/lockstep.catalog" "^-- $id\$"; done <"$LT_WORK/ids"

steady_traffic 8 512
said netd '^notify STATUS=1 accelerated programs'
# Stopped, it feeds nothing; it is ended and started again, and the program brings its lane.
kill -STOP "$(service_of netd)"
said netd '^watchdog '
has_entry netd LOCKSTEP_EVENT=lanes-taken-over LOCKSTEP_MODULE=server
assert_equal "$(grep -c '^started ' "$LT_WORK/netd.out")" 2 "starts"
for one in "${STEADY[@]}"; do
    # shellcheck disable=SC2086
    steady_done $one 40
done
before=$(feeds netd)
wait_for 20 "the watchdog fed again" fed_more netd "$before"
assert_equal "$(grep -c '^watchdog' "$LT_WORK/netd.out")" 1 "loops that stood still"
kill -TERM "$netd"
said netd '^notify STOPPING=1'
finish "$netd" 10 || fail "the service's end"

say "lockstep-clockd"
truth client --delay 50000
printf '[clockd]\nstate-file = none\n[source truth]\naddress = %s\npoll-min = 250ms\npoll-max = 1s\n' "$CLIENT" >"$LT_WORK/clockd.conf"
managed clockd server "$CLOCKD" --config "$LT_WORK/clockd.conf" --runtime-dir "$LT_WORK/clock"
clockd=$MANAGED
said clockd '^notify READY=1'
has_entry clockd LOCKSTEP_EVENT=clock-synchronised LOCKSTEP_SOURCE=truth SYSLOG_IDENTIFIER=lockstep-clockd
said clockd '^notify STATUS=synchronised, by truth'
said clockd '^notify WATCHDOG=1'
kill -STOP "$(service_of clockd)"
said clockd '^watchdog '
wait_for 20 "the daemon again" eval '[ "$(grep -c "^notify READY=1" "$LT_WORK/clockd.out")" = 2 ]'
assert_no_line "$LT_WORK/clockd.out" '^stderr '
kill -TERM "$clockd"
said clockd '^notify STOPPING=1'
finish "$clockd" 10 || fail "the daemon's end"
