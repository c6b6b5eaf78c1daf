#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""flood.py DEVICE SECONDS [SEED [KIND...]]: sends malformed packets out of DEVICE (a bridge's port) to the node behind it.

It watches the traffic that passes on DEVICE to and from that node and sends, between plain random frames, altered copies: flipped
bits, wrong lengths, cut ends, other contents for what was acknowledged already, sequence numbers far out of window, stray
flags, overlapping fragments, ICMP errors that quote them. Nothing that it sends is a packet that a correct receiver would
believe: data within the window is never forged with a correct checksum. Prints the number of packets sent of each kind.
"""
import random
import socket
import struct
import sys
import time

ETH_P_ALL = 3
PACKET_OUTGOING = 4
ETHERNET = 14


def checksum(data):
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


class Packet:
    """A TCP or UDP packet that was seen, taken apart far enough to spoil it."""

    def __init__(self, frame):
        self.frame = frame
        self.version = {0x0800: 4, 0x86DD: 6}.get(struct.unpack("!H", frame[12:14])[0], 0)
        self.ip_length = 40 if self.version == 6 else (frame[14] & 15) * 4
        if self.version == 6:
            self.protocol, self.addresses = frame[20], frame[22:54]
        elif self.version == 4:
            self.protocol, self.addresses = frame[23], frame[26:34]
        else:
            self.protocol, self.addresses = 0, b""
        self.transport = ETHERNET + self.ip_length
        ports = frame[self.transport : self.transport + 4]
        half = len(self.addresses) // 2
        self.flow = self.addresses + ports
        self.reverse_flow = self.addresses[half:] + self.addresses[:half] + ports[2:] + ports[:2]
        self.acknowledged = None  # by the receiver of this flow, at the latest look
        self.usable = self.protocol in (6, 17) and len(frame) >= self.transport + (20 if self.protocol == 6 else 8)

    def rebuilt(self, segment):
        """The frame with another transport segment, lengths and checksums right."""
        head = bytearray(self.frame[: self.transport])
        if self.version == 6:
            head[18:20] = struct.pack("!H", len(segment))
        else:
            head[16:18] = struct.pack("!H", self.ip_length + len(segment))
            head[20:22] = b"\0\0"
            head[24:26] = b"\0\0"
            head[24:26] = struct.pack("!H", checksum(bytes(head[14 : self.transport])))
        at = 16 if self.protocol == 6 else 6
        if len(segment) >= at + 2:
            pseudo = self.addresses + struct.pack("!IHBB", len(segment), 0, 0, self.protocol)
            segment = segment[:at] + b"\0\0" + segment[at + 2 :]
            segment = segment[:at] + struct.pack("!H", checksum(pseudo + segment) or 0xFFFF) + segment[at + 2 :]
        return bytes(head) + segment

    def segment(self):
        return self.frame[self.transport :]


def random_frame(chance, packet):
    return packet.frame[:14] + chance.randbytes(chance.randrange(0, 200))


def random_ip(chance, packet):
    """Headers of IP, all after them random."""
    return packet.frame[: packet.transport] + chance.randbytes(chance.randrange(0, 100))


def spoilt(frame, packet):
    """The frame with a wrong checksum. What passes on virtual devices may carry an unfinished one, which says nothing about
    the contents: a copy with other contents would be believed."""
    at = packet.transport + (16 if packet.protocol == 6 else 6)
    if at + 2 <= len(frame):
        frame[at : at + 2] = b"\xde\xad"
    return bytes(frame)


def flipped(chance, packet):
    """Bits flipped behind the Ethernet header; the checksums stay as they were."""
    frame = bytearray(packet.frame)
    for _ in range(chance.choice([1, 1, 3, 20])):
        frame[chance.randrange(ETHERNET, len(frame))] ^= 1 << chance.randrange(8)
    if frame[ETHERNET:] == packet.frame[ETHERNET:]:
        return random_frame(chance, packet)
    return spoilt(frame, packet)


def cut(chance, packet):
    return packet.frame[: chance.randrange(ETHERNET, len(packet.frame))]


def lengths(chance, packet):
    frame = bytearray(packet.frame)
    if packet.version == 6:
        frame[18:20] = struct.pack("!H", chance.choice([0, 1, 7, len(frame) * 2, 65535]))
    else:
        choice = chance.randrange(3)
        if choice == 0:
            frame[14] = 0x40 | chance.randrange(16)
        elif choice == 1:
            frame[16:18] = struct.pack("!H", chance.choice([0, 19, 21, len(frame) * 2, 65535]))
        frame[24:26] = b"\0\0"
        frame[24:26] = struct.pack("!H", checksum(bytes(frame[14:34])))
    if packet.protocol == 6 and len(frame) > packet.transport + 12:
        frame[packet.transport + 12] = chance.randrange(256)
    return spoilt(frame, packet)[: -2 if len(frame) > packet.transport + 20 else None]


def tcp_with(packet, sequence=None, flags=None, payload=b"", options=b""):
    segment = bytearray(packet.segment()[:20])
    if sequence is not None:
        segment[4:8] = struct.pack("!I", sequence & 0xFFFFFFFF)
    if flags is not None:
        segment[13] = flags
    segment[12] = (5 + (len(options) + 3) // 4) << 4
    return packet.rebuilt(bytes(segment) + options.ljust((len(options) + 3) // 4 * 4, b"\0") + payload)


def stale(chance, packet):
    """Other contents for bytes that the receiver has acknowledged."""
    if packet.acknowledged is None:
        return random_ip(chance, packet)
    length = chance.randrange(1, 1200)
    return tcp_with(packet, packet.acknowledged - length - chance.choice([0, 0, 1, 200]), 0x10, chance.randbytes(length))


def far(chance, packet):
    """Data, FIN, SYN and RST far out of window."""
    if packet.protocol != 6:
        return random_ip(chance, packet)
    sequence = struct.unpack("!I", packet.segment()[4:8])[0] + chance.choice([-(1 << 30), 1 << 30, 1 << 31])
    return tcp_with(packet, sequence, chance.choice([0x10, 0x11, 0x04, 0x14, 0x02, 0x18]), chance.randbytes(100))


def bad_flags(chance, packet):
    """No flags, all flags, SYN on a connection: answered with a challenge or not at all (RFC 9293, 3.10.7.4)."""
    if packet.acknowledged is None:
        return random_ip(chance, packet)
    return tcp_with(packet, packet.acknowledged - 5, chance.choice([0x00, 0x02, 0x03, 0x12, 0x20, 0x3B]), chance.randbytes(3))


def bad_options(chance, packet):
    if packet.acknowledged is None:
        return random_ip(chance, packet)
    options = chance.choice([b"\x08\x00", b"\x02\x00\x05", b"\x08\xff\x01\x02", b"\x05\x02\x05\x01", b"\xfe\x03"])
    return tcp_with(packet, packet.acknowledged - 2, 0x10, b"x", options + chance.randbytes(6))


def fragments(chance, packet):
    """First and overlapping later fragments of a datagram that never gets complete, or has holes and overlaps."""
    if packet.version != 4:
        header = struct.pack("!BBHI", packet.protocol, 0, (chance.randrange(200) << 3) | 1, chance.getrandbits(32))
        frame = bytearray(packet.frame[:54])
        body = header + chance.randbytes(8 * chance.randrange(1, 20))
        frame[20] = 44
        frame[18:20] = struct.pack("!H", len(body))
        return bytes(frame) + body
    frame = bytearray(packet.frame[:34])
    body = chance.randbytes(8 * chance.randrange(1, 20) + chance.choice([0, 0, 3]))
    frame[14] = 0x45
    frame[16:18] = struct.pack("!H", 20 + len(body))
    frame[18:20] = struct.pack("!H", chance.randrange(50))
    frame[20:22] = struct.pack("!H", 0x2000 * chance.randrange(2) | chance.choice([0, 1, 2, 5, 100, 8191]))
    frame[24:26] = b"\0\0"
    frame[24:26] = struct.pack("!H", checksum(bytes(frame[14:34])))
    return bytes(frame) + body


def icmp(chance, packet):
    """ICMP errors that quote a packet with a sequence number that was never sent, or only a part of one."""
    quoted = bytearray(packet.frame[14 : 14 + packet.ip_length + chance.choice([0, 4, 8, 20])])
    half = len(packet.addresses) // 2
    at = 8 if packet.version == 6 else 12
    quoted[at : at + 2 * half] = packet.addresses[half:] + packet.addresses[:half]
    if len(quoted) >= packet.ip_length + 4:
        ports = quoted[packet.ip_length : packet.ip_length + 4]
        quoted[packet.ip_length : packet.ip_length + 4] = ports[2:] + ports[:2]
    if len(quoted) >= packet.ip_length + 8:
        quoted[packet.ip_length + 4 : packet.ip_length + 8] = chance.randbytes(4)
    if packet.version == 6:
        body = bytes([chance.choice([1, 3, 4, 77]), 0, 0, 0]) + chance.randbytes(4) + bytes(quoted)
        pseudo = packet.addresses + struct.pack("!IHBB", len(body), 0, 0, 58)
        body = body[:2] + struct.pack("!H", checksum(pseudo + body)) + body[4:]
        frame = bytearray(packet.frame[:54])
        frame[18:20] = struct.pack("!H", len(body))
        frame[20] = 58
        return bytes(frame) + body
    body = bytes([chance.choice([3, 11, 12]), chance.choice([0, 1, 4]), 0, 0]) + chance.randbytes(4) + bytes(quoted)
    body = body[:2] + struct.pack("!H", checksum(body)) + body[4:]
    frame = bytearray(packet.frame[:34])
    frame[14] = 0x45
    frame[16:18] = struct.pack("!H", 20 + len(body))
    frame[20:22] = b"\0\0"
    frame[23] = 1
    frame[24:26] = b"\0\0"
    frame[24:26] = struct.pack("!H", checksum(bytes(frame[14:34])))
    return bytes(frame) + body


KINDS = [random_frame, random_ip, flipped, cut, lengths, stale, far, bad_flags, bad_options, fragments, icmp]


def watch(sock, seen, acknowledged):
    """Takes what was captured since the last look: packets on their way to the node, and what it acknowledges."""
    for _ in range(256):
        try:
            frame, origin = sock.recvfrom(2048)
        except BlockingIOError:
            break
        packet = Packet(frame) if len(frame) >= 54 else None
        if packet is None or not packet.usable:
            continue
        if origin[2] == PACKET_OUTGOING:
            seen.append(packet)
        elif packet.protocol == 6 and packet.segment()[13] & 0x16 == 0x10:
            acknowledged[packet.reverse_flow] = struct.unpack("!I", packet.segment()[8:12])[0]
    del seen[:-32]
    for packet in seen:
        packet.acknowledged = acknowledged.get(packet.flow)


def main():
    device, seconds = sys.argv[1], float(sys.argv[2])
    chance = random.Random(int(sys.argv[3]) if len(sys.argv) > 3 else 1)
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    sock.bind((device, ETH_P_ALL))  # this socket does not see what it sends itself: spoilt packets are not spoilt again
    sock.setblocking(False)
    kinds = [kind for kind in KINDS if len(sys.argv) <= 4 or kind.__name__ in sys.argv[4:]]
    counts = dict.fromkeys((kind.__name__ for kind in kinds), 0)
    seen, acknowledged = [], {}
    end = time.monotonic() + seconds
    print("started", flush=True)
    while time.monotonic() < end:
        watch(sock, seen, acknowledged)
        if not seen:
            time.sleep(0.001)
            continue
        for _ in range(50):
            kind = chance.choice(kinds)
            frame = kind(chance, chance.choice(seen))
            try:
                sock.send(frame[:1514])
                counts[kind.__name__] += 1
            except OSError:
                pass  # the device's queue is full, or the frame too short for it
        time.sleep(0.002)
    print("sent", sum(counts.values()), counts)
    return 0 if min(counts.values()) > 0 else 1


if __name__ == "__main__":
    sys.exit(main())
