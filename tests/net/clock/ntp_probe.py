# SPDX-License-Identifier: BSD-2-Clause
"""ntp_probe.py ADDRESS modes|flood COUNT|silence|rate: asks an NTP server what it must not answer, or too much."""
import os
import random
import select
import socket
import sys
import time

RATE = b"RATE"


def connect(address):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    s = socket.socket(family, socket.SOCK_DGRAM)
    s.connect((address, 123))
    return s


def request(first=0x23):
    return bytes([first]) + bytes(39) + os.urandom(8)


def ask(s, packet, seconds=0.3):
    """The answer, or None. Late ones from before are left out: an answer's origin is the request's transmit stamp."""
    s.send(packet)
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0 and select.select([s], [], [], left)[0]:
        try:
            answer = s.recv(2048)
        except ConnectionRefusedError:
            continue
        if answer[24:32] == packet[40:48]:
            return answer
    return None


def modes(s):
    """Only mode 3 of versions 3 and 4 is answered; control (6) and private (7) requests never."""
    for first in range(64):
        answer = ask(s, request(first), 0.1)
        wanted = first & 7 == 3 and first >> 3 in (3, 4)
        if (answer is not None) != wanted:
            sys.exit(f"mode {first & 7} version {first >> 3}: {answer}")
        if answer and (answer[0] & 7 != 4 or answer[0] >> 3 & 7 != first >> 3 or len(answer) != 48):
            sys.exit(f"mode {first & 7} version {first >> 3}: {answer}")
    for packet in (b"", b"\x23", request()[:47], bytes([0x16, 2]) + bytes(10), b"\x17\0\3\x2a" + bytes(44)):
        s.send(packet)
        if select.select([s], [], [], 0.1)[0]:
            sys.exit(f"answered: {packet}")


def flood(s, count):
    """Nothing that is altered at random makes a longer answer, and the server goes on."""
    generator = random.Random(1)
    sent = got = 0
    for _ in range(count):
        packet = bytearray(request()) + generator.randbytes(generator.choice((0, 4, 20, 24, 28, 100, 400, 1300)))
        if len(packet) > 52 and generator.random() < 0.7:  # an extension field, often one of NTS
            packet[48:52] = bytes(generator.choice(((1, 4), (2, 4), (3, 4), (4, 4), (9, 9)))) + (len(packet) - 48).to_bytes(2, "big")
        for _ in range(generator.randrange(3)):
            packet[generator.randrange(len(packet))] = generator.randrange(256)
        s.send(packet)
        sent += len(packet)
        while select.select([s], [], [], 0)[0]:
            got += len(s.recv(2048))
    if got > sent:
        sys.exit(f"{got} bytes for {sent}")
    time.sleep(0.2)
    while select.select([s], [], [], 0)[0]:
        s.recv(2048)
    if ask(s, request(), 2) is None:
        sys.exit("no answer afterwards")


def silence(s):
    if ask(s, request(), 0.5) is not None:
        sys.exit("answered")


def rate(s):
    """Four at once are answered, then there is a KoD, and most others get nothing."""
    answers = [ask(s, request(), 0.05) for _ in range(4)]
    if None in answers or any(a[1] == 0 for a in answers):
        sys.exit(f"the first: {answers}")
    answers = [ask(s, request(), 0.01) for _ in range(64)]
    kisses = [a for a in answers if a and a[1] == 0]
    if not kisses or any(a[12:16] != RATE or a[0] >> 6 != 3 for a in kisses):
        sys.exit(f"no KoD: {answers}")
    if answers.count(None) < 40:
        sys.exit(f"only {answers.count(None)} of 64 were left unanswered")


def main():
    s = connect(sys.argv[1])
    if sys.argv[2] == "flood":
        flood(s, int(sys.argv[3]))
    else:
        {"modes": modes, "silence": silence, "rate": rate}[sys.argv[2]](s)


main()
