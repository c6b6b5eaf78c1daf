#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""A program that means harm, as far as the control socket and a lane of its own let it.

hostile.py garbage SOCKET COUNT       datagrams of every wrong kind on the control socket
hostile.py hoard SOCKET LANES         opens lanes until it is refused; prints "got N", keeps them until stdin closes
hostile.py forge SOCKET OWN PEER VICTIM_PORT
                                      sends from addresses and ports that it does not hold, and one packet that is right
"""
import array
import os
import random
import socket
import struct
import sys
import time

MAGIC, VERSION = 0x4C4B5350, 1
HELLO, LANE_OPEN, ROUTE, FLOW_ADD = 1, 2, 4, 5
TYPES = 12
FLOW_BOUND = 1
OWN_PORT = 9001


class Refused(Exception):
    pass


class Control:
    """A connection to the service."""

    def __init__(self, path):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.sock.settimeout(5)
        self.sock.connect(path)
        self.sequence = 0
        self.request(HELLO, b"hostile".ljust(64, b"\0"))

    def request(self, kind, body, fds=()):
        """The reply's body and descriptors."""
        self.sequence += 1
        message = struct.pack("=IHHIi", MAGIC, VERSION, kind, self.sequence, 0) + body
        if fds:
            socket.send_fds(self.sock, [message], list(fds))
        else:
            self.sock.send(message)
        reply, got, _, _ = socket.recv_fds(self.sock, 4096, 8)
        if len(reply) < 16:
            raise Refused("the service hung up")
        status = struct.unpack("=IHHIi", reply[:16])[4]
        if status:
            raise Refused(status)
        return reply[16:], got


def mapped(address):
    if ":" in address:
        return socket.inet_pton(socket.AF_INET6, address)
    return b"\0" * 10 + b"\xff\xff" + socket.inet_aton(address)


def attempt(action):
    try:
        return action()
    except (OSError, Refused) as problem:
        return problem


def garbage(path, count):
    chance = random.Random(7)
    pipe = os.pipe()

    def connection():
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        sock.settimeout(5)
        sock.connect(path)
        return sock

    for number in range(count):
        sock = connection()
        if number % 2:
            attempt(lambda: sock.send(struct.pack("=IHHIi", MAGIC, VERSION, HELLO, 1, 0) + bytes(64)))
            attempt(lambda: sock.recv(4096))
        kind = number % 6
        header = struct.pack("=IHHIi", MAGIC, VERSION, chance.randrange(TYPES + 3), 1, 0)
        if kind == 0:
            data = chance.randbytes(chance.randrange(1, 500))
        elif kind == 1:
            data = header + chance.randbytes(chance.randrange(0, 300))
        elif kind == 2:
            data = header[: chance.randrange(1, 16)]
        elif kind == 3:
            data = struct.pack("=IHHIi", MAGIC, chance.randrange(2, 99), HELLO, 1, 0) + bytes(64)
        elif kind == 4:
            data = struct.pack("=IHHIi", MAGIC, VERSION, FLOW_ADD, 1, 0) + chance.randbytes(72)
        else:
            data = chance.randbytes(60_000)
        if number % 3 == 0:
            attempt(lambda: socket.send_fds(sock, [data], list(pipe) * chance.randrange(1, 4)))
        else:
            attempt(lambda: sock.send(data))
        if number % 5:
            sock.setblocking(False)
            attempt(lambda: sock.recv(4096))
        sock.close()
    print("sent", count)


def hoard(path, lanes):
    held = []
    refused = None
    for _ in range(lanes):
        try:
            control = Control(path)
            _, fds = control.request(LANE_OPEN, struct.pack("=II", 0, 0))
            held.append((control, fds))
        except (Refused, OSError) as problem:
            refused = problem
            break
    print("got", len(held), "refused", refused, flush=True)
    sys.stdin.read()


def checksum(data):
    if len(data) % 2:
        data += b"\0"
    total = sum(array.array("H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return struct.pack("=H", ~total & 0xFFFF)


def udp_packet(source, source_port, destination, port, payload, protocol=17, fragment=0):
    """An IP packet; with protocol 6 the same bytes as if they were TCP's."""
    six = ":" in source
    family = socket.AF_INET6 if six else socket.AF_INET
    addresses = socket.inet_pton(family, source) + socket.inet_pton(family, destination)
    length = 8 + len(payload)
    segment = struct.pack("!HHHH", source_port, port, length, 0) + payload
    check = checksum(addresses + struct.pack("!IHBB", length, 0, 0, protocol) + segment)
    segment = segment[:6] + check + segment[8:]
    if six:
        return struct.pack("!IHBB", 6 << 28, length, protocol, 64) + addresses + segment
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + length, 1, fragment, 64, protocol, 0) + addresses
    return head[:10] + checksum(head) + head[12:] + segment


def forge(path, own, peer, victim_port):
    control = Control(path)
    _, fds = control.request(LANE_OPEN, struct.pack("=II", 0, 0))
    tap = fds[2]
    family = socket.AF_INET6 if ":" in own else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_DGRAM)
    bound.bind((own, OWN_PORT))
    control.request(FLOW_ADD, struct.pack("=II16sH16s16s2xIII", FLOW_BOUND, 0, bytes(16), 0, bytes(16), bytes(16), 0, 0, 0),
                    [bound.fileno()])
    reply, _ = control.request(ROUTE, mapped(peer) + bytes(16) + struct.pack("=II", 0, 0))
    nexthop = struct.unpack("=H", reply[24:26])[0]
    ethertype = b"\x86\xdd" if family == socket.AF_INET6 else b"\x08\x00"
    right_frame = b"\x02LS\0" + struct.pack("!H", nexthop) + b"\x02LS\0\0\0" + ethertype
    strange = "fd00:77::55" if family == socket.AF_INET6 else "10.77.0.55"
    chance = random.Random(3)

    def send(packet, frame=right_frame):
        attempt(lambda: os.write(tap, bytes(10) + frame + packet))

    forged = b"forged"
    for number in range(100):
        send(udp_packet(own, victim_port, peer, 9002, forged))  # a port of another program
        send(udp_packet(own, 22, peer, 9002, forged))
        send(udp_packet(strange, OWN_PORT, peer, 9002, forged))  # an address of another host
        send(udp_packet(peer, OWN_PORT, peer, 9002, forged))
        send(udp_packet(own, OWN_PORT, peer, 9002, forged, protocol=6))  # TCP from a port held for UDP
        send(udp_packet(own, OWN_PORT, peer, 9002, forged, protocol=1))  # ICMP
        send(udp_packet(own, OWN_PORT, peer, 9002, forged), right_frame[:4] + b"\xff\xf0" + right_frame[6:])  # no such hop
        send(udp_packet(own, OWN_PORT, peer, 9002, forged), b"\xff" * 6 + right_frame[6:])
        if family == socket.AF_INET:
            send(udp_packet(own, OWN_PORT, peer, 9002, forged, fragment=0x2000))
            send(udp_packet(own, OWN_PORT, peer, 9002, forged, fragment=4))
        send(chance.randbytes(chance.randrange(1, 200)))
        send(chance.randbytes(60), b"\xff" * 12 + b"\x08\x06")  # ARP
        attempt(lambda: os.write(tap, chance.randbytes(chance.randrange(1, 300))))  # random offload headers, too
    for _ in range(5):
        send(udp_packet(own, OWN_PORT, peer, 9002, b"right"))
        time.sleep(0.02)
    os.set_blocking(tap, False)
    print("read from the device:", attempt(lambda: os.read(tap, 2048)), flush=True)
    sys.stdin.read()


def main():
    role, path = sys.argv[1:3]
    if role == "forge":
        forge(path, sys.argv[3], sys.argv[4], int(sys.argv[5]))
    else:
        globals()[role](path, int(sys.argv[3]))


if __name__ == "__main__":
    main()
