#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""The control protocol as a Lockstep of another version would speak it: every message is refused by a header alone.

other_version.py serve DIRECTORY     a service of version VERSION + 1; prints "ready"
other_version.py ask DIRECTORY       a program of version VERSION + 1 says hello; prints the version and status of the answer
"""
import os
import socket
import struct
import sys

MAGIC, VERSION, HELLO, NAME_BYTES, BAD_VERSION = 0x4C4B5350, 1, 1, 64, -4098
HEADER = struct.Struct("=IHHIi")


def serve(path):
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    if os.path.exists(path):
        os.unlink(path)
    listening.bind(path)
    os.chmod(path, 0o666)
    listening.listen()
    print("ready", flush=True)
    while True:
        program, _ = listening.accept()
        with program:
            request = program.recv(4096)
            if len(request) >= HEADER.size:
                _, _, kind, sequence, _ = HEADER.unpack_from(request)
                program.send(HEADER.pack(MAGIC, VERSION + 1, kind, sequence, BAD_VERSION))


def ask(path):
    service = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    service.settimeout(10)
    service.connect(path)
    service.send(HEADER.pack(MAGIC, VERSION + 1, HELLO, 7, 0) + bytes(NAME_BYTES + 100))
    _, version, _, sequence, status = HEADER.unpack(service.recv(4096))
    print(version, sequence, status, service.recv(4096))


if __name__ == "__main__":
    {"serve": serve, "ask": ask}[sys.argv[1]](os.path.join(sys.argv[2], "netd.sock"))
