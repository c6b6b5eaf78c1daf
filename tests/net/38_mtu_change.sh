#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# The MTU becomes smaller and larger again under a bulk transfer, first that of the devices, then that of a gateway's far side
# (path MTU discovery through ICMP). The data arrive whole.
export LT_TOPOLOGY=bridge
. "$(dirname "$0")/lib.sh"
setup
steady sink server sink $SERVER 7001 0.0005
wait_for 10 "the sink" has_line "$LT_WORK/sink.out" ready
steady up client up $SERVER 7001 400000000
up=$STARTED
started up
offload_begin
for mtu in 1300 1500 1280; do
    sleep 0.2
    for node in client server; do ip -n "$(ns $node)" link set eth0 mtu $mtu; done
done
steady_done up "$up" 40
for node in client server; do ip -n "$(ns $node)" link set eth0 mtu 1500; done
offload_end 300000000

# A gateway whose way on is narrow. The way back is on-link.
if [ "$LT_FAMILY" = 6 ]; then far=fd00:78::1 bits=128 gateway=fd00:77::fe; else far=10.78.0.1 bits=32 gateway=10.77.0.254; fi
at middle sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1 net.ipv4.conf.all.send_redirects=0 \
    net.ipv4.conf.br0.send_redirects=0
ip -n "$(ns middle)" addr add 10.77.0.254/24 dev br0
ip -n "$(ns middle)" addr add fd00:77::fe/64 dev br0 nodad
# shellcheck disable=SC2046
ip -n "$(ns server)" addr add "$far/$bits" dev eth0 $([ "$LT_FAMILY" = 4 ] || echo nodad)
ip -n "$(ns middle)" route add "$far/$bits" via $SERVER dev br0 mtu lock 1350
ip -n "$(ns client)" route add "$far/$bits" via $gateway dev eth0
steady far server sink $far 7002
wait_for 10 "the far sink" has_line "$LT_WORK/far.out" ready
run client "$LT_PYTHON" "$LT_HERE/steady.py" up $far 7002 20000000 >"$LT_WORK/far.up" 2>&1 ||
    fail "through the narrow gateway: $(tail -n 1 "$LT_WORK/far.up")"
refused() { at middle cat /proc/net/snmp /proc/net/snmp6 | awk '/^IcmpMsg: [0-9]/ { n += $NF } /^Icmp6OutPktTooBigs/ { n += $2 } END { print n + 0 }'; }
assert_less 0 "$(refused)" "ICMP errors that the gateway sent"
