#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# kernel: no
# variants: server/4 server/6
# timeout: 90
# Rules of netd.conf with real programs: by program, user, port and network; read again under traffic, and with a mistake.
. "$(dirname "$0")/lib.sh"
conf=$LT_WORK/netd.conf
LT_NETD_OPTIONS="--config $conf" LT_NETD_INTERFACES=
interfaces=eth0
printf '[netd]\ninterfaces = eth0\n' >"$conf"
setup
dir=$(service_dir server)
status() { "$LT_LOCKSTEP" status --runtime-dir "$dir"; }
reason() { report server connections | "$LT_PYTHON" -c 'import json, sys; print([k["reason"] for k in json.load(sys.stdin)["kernel"]])'; }
# rules OK|FAILED TEXT: the file anew, and what comes of it.
rules() {
    printf '[netd]\nring-bytes = 1M\ninterfaces = %s\n%b' "$interfaces" "$2" >"$conf"
    local before
    before=$(report_query server status 'r["configuration"].get("last_reload", {}).get("count", 0)')
    kill -HUP "$(service_pid server)"
    wait_for 10 "the reading of the configuration" eval \
        "[ \"\$(report_query server status 'r[\"configuration\"][\"last_reload\"][\"count\"]')\" -gt $before ]"
    assert_equal "$(report_query server status 'r["configuration"]["last_reload"]["failed"]')" "$1" "failed"
}
# A listener and one connection to it; whether the listener's flow is there.
listener() { # PORT
    start_count=$((${start_count:-0} + 1))
    start "listener$start_count" server "$LT_PYTHON" "$LT_HERE/steady.py" server $SERVER "$1"
    wait_for 10 "the listener" has_line "$LT_WORK/listener$start_count.out" ready
    run client "$LT_PYTHON" "$LT_HERE/steady.py" client $SERVER "$1" 0.3 1000 >"$LT_WORK/client.out" 2>&1 ||
        fail "port $1: $(tail -n 1 "$LT_WORK/client.out")"
    assert_equal "$(report_query server connections "any(f['local'].endswith(':$1') for f in r['flows'])")" "$2" "a flow of port $1"
    stop "$STARTED"
}
listener 7101 True

# Reading again under traffic, many times: nothing is lost, and what the new rules would deny stays.
steady_traffic 5 1000 4
for ((i = 0; i < 30; i++)); do
    printf '[netd]\ninterfaces = eth0\n[rule some]\nlocal-port = %s\naction = kernel\n' $((7001 + i % 2)) >"$conf"
    "$LT_LOCKSTEP" policy reload --runtime-dir "$dir" >/dev/null
done
rules False '[rule ports]\nlocal-port = 7001, 7102\ndirection = listen\naction = kernel\n'
listener 7102 False
[[ $(reason) == *'policy: rule "ports"'* ]] || fail "no reason: $(reason)"
listener 7103 True
rules True '[rule ports]\nlocal-port = 0\naction = kernel\n'
assert_equal "$(report_query server status 'r["configuration"]["rules"]')" 1 "rules in force"
status >"$LT_WORK/status.out"
"$LT_LOCKSTEP" policy test --config "$conf" --runtime-dir "$dir" >"$LT_WORK/test.out" 2>&1 && fail "the file with a mistake"
assert_line "$LT_WORK/test.out" '^lockstep policy: .*netd.conf:5: \[rule ports\] local-port: "0" must be'
printf '[netd]\n' >"$conf" # it is right by now, but not read
"$LT_LOCKSTEP" policy test --config "$conf" --runtime-dir "$dir" >"$LT_WORK/test.out"
assert_line "$LT_WORK/test.out" '^note: the service has kept its old rules, for a mistake: .*netd.conf:5'
assert_line "$LT_WORK/status.out" 'NOT read again .*netd.conf:5: \[rule ports\] local-port: "0" must be'
listener 7102 False # the old rules stay
has_flows server
steady_traffic_done 30

# By program: the interpreter of a script. And by user.
rules False '[rule python]\nprogram = python*\naction = kernel\n'
listener 7106 False
[[ $(reason) == *'policy: rule "python"'* ]] || fail "no reason: $(reason)"
"$LT_LOCKSTEP" run --runtime-dir "$dir" -- "$LT_PYTHON" -c pass 2>"$LT_WORK/run.err"
assert_line "$LT_WORK/run.err" "kernel's stack: policy: rule \"python\""
rules False '[rule root]\nuser = root\ngroup = root\naction = kernel\n'
listener 7107 False
rules False '[rule other]\nuser = nobody\naction = kernel\n'
listener 7108 True

# A second link; and a peer that never answers, so that connections to it stay; it is a gateway as well.
if [ "$LT_FAMILY" = 4 ]; then
    second=10.78.0. bits=24 deaf=10.77.0.9 far=10.99.1.7 far_net=10.99.1.0/24 farther=10.99.2.7 all_far=10.99.0.0/16
    group=239.1.2.3 groups=239.1.0.0/16 other_group=239.2.2.3 loopback=127.0.0.1
else
    second=fd00:78:: bits=64 deaf=fd00:77::9 far=fd00:99:1::7 far_net=fd00:99:1::/48 farther=fd00:99:2::7 all_far=fd00:99::/32
    group=ff15:1::3 groups=ff15:1::/32 other_group=ff15:2::3 loopback=::1
fi
ip -n "$(ns server)" link add eth1 type veth peer name eth1 netns "$(ns client)"
ip -n "$(ns server)" addr add "${second}1/$bits" dev eth1
ip -n "$(ns client)" addr add "${second}2/$bits" dev eth1
ip -n "$(ns server)" link set eth1 up
ip -n "$(ns client)" link set eth1 up
ip -n "$(ns server)" neigh add $deaf lladdr 02:00:00:00:00:09 dev eth0
ip -n "$(ns server)" route add $all_far via $deaf
wait_for 5 "the second link" link_up server eth1

# ---- an interface comes and goes, under traffic over the other ----
mode() { report_query server status '[i["mode"] for i in r["interfaces"] if i["name"] == "eth1"]'; }
steady beside client client $SERVER 7001 3 1000 2
beside=$STARTED
interfaces=eth0,nothing
rules True ''
assert_line "$LT_WORK/server.netd.log" 'not read again: .*netd.conf:3: \[netd\] interfaces: no interface nothing here'
interfaces=eth0,eth1
rules False ''
assert_equal "$(mode)" "['tc']" "the second interface"
start second server "$LT_PYTHON" "$LT_HERE/steady.py" server "${second}1" 7801
second_server=$STARTED
wait_port server tcp 7801
start_kernel hold client "$LT_PYTHON" "$LT_HERE/steady.py" hold "${second}1" 7801 1
wait_for 10 "a connection over it" has_line "$LT_WORK/hold.out" ready
over_it() { report_query server connections "[f['interface'] for f in r['flows'] if f['local'].endswith(':7801') and f['kind'] == 'accepted']"; }
wait_for 5 "the connection" eval '[ "$(over_it)" = "['"'eth1'"']" ]'
interfaces=eth0
rules True '[rule new]\naction = kernel\n' # it is in use: all of the old configuration stays
assert_line "$LT_WORK/server.netd.log" 'not read again: .*netd.conf: \[netd\] interfaces: eth1 cannot go: 1 connections and groups use it'
assert_equal "$(mode) $(report_query server status 'r["configuration"]["rules"]')" "['tc'] 0" "the old configuration"
stop "$STARTED"
stop "$second_server"
unused() { [ "$(over_it)" = '[]' ]; }
wait_for 10 "the end of the connection" unused
rules False ''
assert_equal "$(mode)" "[]" "the second interface"
steady_done beside "$beside" 30

# ---- what the tool says is what happens ----
rules False "
[rule web]\nprotocol = tcp\nremote-port = 81, 8000-8099\naction = kernel
[rule names]\nprotocol = udp\nremote-port = 53\naction = kernel
[rule far]\nremote-network = $far_net\naction = kernel
[rule listeners]\nprotocol = tcp\ndirection = listen\nlocal-port = 7200-7299\naction = kernel
[rule sinks]\nprotocol = udp\ndirection = listen\nlocal-port = 7300-7399\naction = kernel
[rule fixed]\ndirection = connect\nlocal-port = 7400\naction = kernel
[rule groups]\ndirection = multicast\nlocal-network = $groups\naction = kernel
[rule wired]\ninterface = eth0\nremote-port = 90\naction = kernel
[rule here]\ninterface = eth0\ndirection = listen, multicast\nlocal-port = 7502-7504\naction = kernel
[rule unused]\ninterface = eth1\naction = kernel
[rule mine]\nlocal-network = $SERVER\nlocal-port = 7500\naction = kernel
"
cat >"$LT_WORK/cases" <<CASES
accelerate tcp connect $deaf 80 7601
kernel tcp connect $deaf 81 7602 rule "web"
kernel tcp connect $deaf 8099 7603 rule "web"
accelerate tcp connect $deaf 8100 7604
accelerate udp connect $deaf 82 0
kernel udp connect $deaf 53 0 rule "names"
# bound first, a UDP socket is decided on when it is bound
accelerate udp connect $deaf 53 7704
kernel udp connect $deaf 83 7399 rule "sinks"
kernel tcp connect $deaf 90 7605 rule "wired"
accelerate tcp connect $deaf 91 7606
kernel tcp connect $deaf 92 7400 rule "fixed"
# by a gateway
kernel tcp connect $far 93 7607 rule "far"
accelerate tcp connect $farther 94 7608
# not over an accelerated interface
kernel tcp connect ${second}2 95 7609 eth1 is not accelerated
kernel udp connect ${second}2 96 0 eth1 is not accelerated
kernel tcp connect $loopback 98 7611 loopback
kernel tcp listen $loopback 7505 0 loopback
kernel tcp connect $SERVER 97 7610 destination is this host
# listeners and open ports
accelerate tcp listen $SERVER 7199 0
kernel tcp listen $SERVER 7200 0 rule "listeners"
kernel tcp listen $ANY 7299 0 rule "listeners"
accelerate udp listen $SERVER 7201 0
kernel udp listen $ANY 7300 0 rule "sinks"
accelerate tcp listen $ANY 7301 0
kernel tcp listen $SERVER 7500 0 rule "mine"
accelerate tcp listen $SERVER 7501 0
kernel tcp listen $SERVER 7502 0 rule "here"
accelerate tcp listen $ANY 7503 0
# groups
kernel udp multicast $group 7701 0 rule "groups"
accelerate udp multicast $other_group 7702 0
kernel udp multicast $other_group 7504 0 rule "here"
CASES
mkfifo "$LT_WORK/keep"
exec 7<>"$LT_WORK/keep"
open_cases() { # NAME PYTHON...: with the sockets of the file NAME
    start "$1" server bash -c 'exec "$@" <&7' - "${@:2}" "$LT_HERE/policy_cases.py" open "$LT_WORK/$1"
    wait_for 10 "the sockets" has_line "$LT_WORK/$1.out" ready
}
open_cases cases "$LT_PYTHON"
cases=$STARTED
report server connections >"$LT_WORK/report"
exec_at server "$LT_PYTHON" "$LT_HERE/policy_cases.py" compare "$LT_WORK/cases" "$LT_WORK/report" "$LT_LOCKSTEP" policy test \
    --config "$conf" --runtime-dir "$dir" --program "$LT_PYTHON" >"$LT_WORK/compare.out" || fail "$(grep WRONG "$LT_WORK/compare.out")"
stop "$cases"

# A group that is left to the kernel, and one that is not: from either each datagram comes once.
cat >"$LT_WORK/groups.py" <<'PROGRAM'
import select, socket, struct, sys
where, family = socket.if_nametoindex("eth0"), socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
receivers = []
for number, group in enumerate(sys.argv[1:3]):
    receiver = socket.socket(family, socket.SOCK_DGRAM)
    receiver.bind(("", 7701 + number))
    if family == socket.AF_INET:
        receiver.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, socket.inet_aton(group) + struct.pack("=4xi", where))
    else:
        receiver.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, socket.inet_pton(family, group) + struct.pack("=i", where))
    receivers.append(receiver)
print("ready", flush=True)
counts = [0, 0]
while not all(counts) or select.select(receivers, [], [], 0.5)[0]:
    for receiver in select.select(receivers, [], [], 20)[0] or sys.exit("nothing came"):
        counts[receivers.index(receiver)] += receiver.recv(10) == b"group"
print("counts", *counts, flush=True)
PROGRAM
start groups server "$LT_PYTHON" "$LT_WORK/groups.py" "$group" "$other_group"
receiver=$STARTED
wait_for 10 "the receiver" has_line "$LT_WORK/groups.out" ready
at client "$LT_PYTHON" -c "
import socket, struct, sys
where, family = socket.if_nametoindex('eth0'), socket.AF_INET6 if ':' in sys.argv[1] else socket.AF_INET
sender = socket.socket(family, socket.SOCK_DGRAM)
if family == socket.AF_INET:
    sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, struct.pack('=8xi', where))
else:
    sender.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, where)
for i in range(10):
    for number, group in enumerate(sys.argv[1:3]):
        sender.sendto(b'group', (group, 7701 + number))
" "$group" "$other_group"
finish "$receiver" 30
assert_line "$LT_WORK/groups.out" '^counts 10 10$'

# A user's limit, and a program that gains privileges.
decision() { # STATUS OPTION...
    local status=0
    exec_at server "$LT_LOCKSTEP" policy test --config "$conf" --runtime-dir "$dir" "${@:2}" >"$LT_WORK/decision" 2>&1 || status=$?
    assert_equal $status "$1" "exit status of policy test: $(cat "$LT_WORK/decision")"
}
has_flow() { report_query server connections "any(f['local'].endswith(':$1') for f in r['flows'])"; }
interfaces=$'eth0\nlanes-per-user = 1'
rules False ''
nobody=(setpriv --reuid 65534 --regid 65534 --clear-groups "$LT_PYTHON")
for port in 7811 7812; do echo "any tcp listen $SERVER $port 0" >"$LT_WORK/nobody$port"; done
decision 0 --user 65534 --program "$LT_PYTHON" --local "$SERVER_URL:7811"
open_cases nobody7811 "${nobody[@]}"
assert_equal "$(has_flow 7811)" True "the first program"
decision 3 --user 65534 --program "$LT_PYTHON" --local "$SERVER_URL:7812"
assert_line "$LT_WORK/decision" '^kernel: the user has all of its lanes-per-user$'
open_cases nobody7812 "${nobody[@]}"
assert_equal "$(has_flow 7812)" False "the second program"
cp "$LT_PYTHON" "$LT_WORK/privileged"
chown 65534 "$LT_WORK/privileged"
chmod 4755 "$LT_WORK/privileged"
echo "any tcp listen $SERVER 7813 0" >"$LT_WORK/privileged.case"
open_cases privileged.case "$LT_WORK/privileged"
case $(has_flow 7813) in
False) decision 3 --program "$LT_WORK/privileged" --local "$SERVER_URL:7813" ;;
*) decision 0 --program "$LT_WORK/privileged" --local "$SERVER_URL:7813" ;; # a file system without such programs
esac

# Without the service there are the rules.
dir=$LT_WORK/none
printf '[rule web]\nremote-port = 80\naction = kernel\n[netd]\ninterfaces = eth0\n' >"$conf"
decision 3 --program /bin/x --remote 192.0.2.1:80
assert_line "$LT_WORK/decision" '^kernel: policy: rule "web" \(.*netd.conf:1\)'
decision 0 --program /bin/x --remote 192.0.2.1:81
assert_line "$LT_WORK/decision" 'netd.conf:1: rule "web" does not match: remote-port is 81, not 80'
"$LT_LOCKSTEP" policy check "$conf" >"$LT_WORK/check"
assert_line "$LT_WORK/check" '^remote-port = 80'
"$LT_LOCKSTEP" policy reload --runtime-dir "$(service_dir server)" >"$LT_WORK/reload"
assert_line "$LT_WORK/reload" '^1 rules'
