# SPDX-License-Identifier: BSD-2-Clause
"""flood.py ADDRESS PORT...: random and half-sensible NTP packets to the ports, for four seconds."""
import os
import random
import socket
import sys
import time

address, ports = sys.argv[1], [int(p) for p in sys.argv[2:]]
out = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
sent, end = 0, time.monotonic() + 4
while time.monotonic() < end:
    packet = bytearray(os.urandom(random.choice((1, 47, 48, 48, 48, 52, 68, 100, 500, 1400))))
    if random.random() < 0.5:
        packet[0] = random.choice((0x23, 0x24, 0x1B, 0x1C, 0xE3, 0x16, 0x27))
    try:
        out.sendto(packet, (address, random.choice(ports)))
        sent += 1
    except OSError:
        pass  # the port answers with ICMP
    if sent % 50 == 0:
        time.sleep(0.005)
print("sent", sent)
