#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Sends and receives numbered multicast datagrams, IPv4 or IPv6, any-source or source-specific.

multicast.py receive GROUP PORT INTERFACE COUNT [SOURCE]   prints "ready"; exits 0 when COUNT datagrams came in order
multicast.py send GROUP PORT INTERFACE COUNT
"""
import hashlib
import socket
import struct
import sys
import time

IP_ADD_SOURCE_MEMBERSHIP = 39
MCAST_JOIN_SOURCE_GROUP = 46


def payload(number):
    body = hashlib.sha256(b"%d" % number).digest() * (1 + number % 30)
    return struct.pack("!I", number) + body


def storage(family, address):
    """struct sockaddr_storage with an address."""
    if family == socket.AF_INET6:
        raw = struct.pack("=HHI", family, 0, 0) + socket.inet_pton(family, address)
    else:
        raw = struct.pack("=HH", family, 0) + socket.inet_pton(family, address)
    return raw.ljust(128, b"\0")


def join(sock, family, group, index, source):
    level = socket.IPPROTO_IPV6 if family == socket.AF_INET6 else socket.IPPROTO_IP
    if source:
        request = struct.pack("=I4x", index) + storage(family, group) + storage(family, source)
        sock.setsockopt(level, MCAST_JOIN_SOURCE_GROUP, request)
    elif family == socket.AF_INET6:
        request = socket.inet_pton(family, group) + struct.pack("=I", index)
        sock.setsockopt(level, socket.IPV6_JOIN_GROUP, request)
    else:
        request = socket.inet_pton(family, group) + struct.pack("=4xI", index)
        sock.setsockopt(level, socket.IP_ADD_MEMBERSHIP, request)


def receive(family, group, port, index, count, source):
    sock = socket.socket(family, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    sock.settimeout(10)
    sock.bind((group, port))
    join(sock, family, group, index, source)
    print("ready", flush=True)
    for number in range(count):
        data = sock.recv(65536)
        if data != payload(number):
            print("datagram", number, "is not what was sent; it is number", struct.unpack("!I", data[:4])[0])
            return 1
    print("received", count)
    return 0


def send(family, group, port, index, count):
    sock = socket.socket(family, socket.SOCK_DGRAM)
    if family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, struct.pack("=I", index))
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 2)
    else:
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, struct.pack("=8xI", index))
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 2)
    for number in range(count):
        sock.sendto(payload(number), (group, port))
        if number % 20 == 19:
            time.sleep(0.002)
    return 0


def main():
    role, group, port, interface, count = sys.argv[1:6]
    source = sys.argv[6] if len(sys.argv) > 6 else None
    family = socket.AF_INET6 if ":" in group else socket.AF_INET
    arguments = (family, group, int(port), socket.if_nametoindex(interface), int(count))
    return receive(*arguments, source) if role == "receive" else send(*arguments)


if __name__ == "__main__":
    sys.exit(main())
