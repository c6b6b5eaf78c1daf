#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""What a network namespace's device carried, and what the kernel's IP layer saw of it.

counters.py snapshot                          print the counters of this network namespace as JSON
counters.py check BEFORE AFTER BYTES SHARE    fail unless eth0 carried BYTES and the kernel at most SHARE of them
"""
import json
import sys

ETHERNET_HEADER = 14
SLACK_BYTES = 60_000  # neighbour discovery, ICMP, the few packets of connections that are set up in the kernel


def table(path, prefix):
    """Pairs of lines "Prefix: names" and "Prefix: values" of /proc/net/snmp and netstat."""
    rows = [line.split() for line in open(path) if line.startswith(prefix + ":")]
    return dict(zip(rows[0][1:], map(int, rows[1][1:])))


def devices():
    counters = {}
    for line in open("/proc/net/dev"):
        if ":" not in line:
            continue
        name, values = line.split(":")
        field = list(map(int, values.split()))
        counters[name.strip()] = {"rx": field[0] - ETHERNET_HEADER * field[1], "tx": field[8] - ETHERNET_HEADER * field[9]}
    return counters


def snapshot():
    ip4 = table("/proc/net/netstat", "IpExt")
    ip6 = dict((name, int(value)) for name, value in map(str.split, open("/proc/net/snmp6")))
    device = devices()
    return {
        "device_in": device["eth0"]["rx"],
        "device_out": device["eth0"]["tx"],
        "kernel_in": ip4["InOctets"] + ip6["Ip6InOctets"] - device["lo"]["rx"],
        "kernel_out": ip4["OutOctets"] + ip6["Ip6OutOctets"] - device["lo"]["tx"],
        "tcp_in": table("/proc/net/snmp", "Tcp")["InSegs"],
        "tcp_out": table("/proc/net/snmp", "Tcp")["OutSegs"],
        "udp_in": table("/proc/net/snmp", "Udp")["InDatagrams"] + ip6["Udp6InDatagrams"],
    }


def check(before, after, least, share):
    delta = {name: after[name] - before[name] for name in after}
    print("counters:", " ".join(f"{name}={value}" for name, value in delta.items()))
    carried = delta["device_in"] + delta["device_out"]
    kernel = delta["kernel_in"] + delta["kernel_out"]
    if carried < least:
        print(f"the device carried {carried} bytes, at least {least} were expected")
        return 1
    if kernel > carried * share + SLACK_BYTES or kernel > carried * 0.5 + 1500:
        print(f"{kernel} of {carried} bytes went through the kernel's IP layer")
        return 1
    return 0


def main():
    if sys.argv[1:] == ["snapshot"]:
        print(json.dumps(snapshot()))
        return 0
    _, _, before, after, least, share = sys.argv
    return check(json.load(open(before)), json.load(open(after)), int(least), float(share))


if __name__ == "__main__":
    sys.exit(main())
