#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# The route to a peer changes under traffic from on-link to a gateway and back: connections follow it.
export LT_TOPOLOGY=bridge
. "$(dirname "$0")/lib.sh"
setup
if [ "$LT_FAMILY" = 6 ]; then gateway=fd00:77::fe bits=128; else gateway=10.77.0.254 bits=32; fi
ip -n "$(ns middle)" addr add 10.77.0.254/24 dev br0
ip -n "$(ns middle)" addr add fd00:77::fe/64 dev br0 nodad
at middle sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1 net.ipv4.conf.all.send_redirects=0 \
    net.ipv4.conf.br0.send_redirects=0
at client sysctl -qw net.ipv4.conf.all.accept_redirects=0 net.ipv6.conf.eth0.accept_redirects=0
forwarded() { at middle cat /proc/net/snmp /proc/net/snmp6 | awk '/^Ip: [0-9]/ { n += $7 } /^Ip6OutForwDatagrams/ { n += $2 } END { print n }'; }
steady_traffic 3.5
sleep 0.3
before=$(forwarded)
offload_begin
ip -n "$(ns client)" route add "$SERVER/$bits" via $gateway dev eth0
sleep 1
through=$(forwarded)
assert_less $((before + 100)) "$through" "packets through the gateway"
ip -n "$(ns client)" route del "$SERVER/$bits" via $gateway dev eth0
sleep 0.5
direct=$(forwarded)
sleep 0.7
assert_less "$(($(forwarded) - direct))" 20 "packets through the gateway after the way back"
offload_end 100000
steady_traffic_done 30
