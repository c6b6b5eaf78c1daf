# SPDX-License-Identifier: BSD-2-Clause
"""Many connections to an accelerated server (idle_conns), of which some carry something at any time: load.py CONNECTIONS PER_SECOND
is the far end. And what processes take meanwhile."""
import os
import socket
import sys
import time

from measure import GUARDED
from nodes import SERVER, wait_until

PORT = 7777


class Load:
    """The far end: connections on the kernel's stack that send a byte each, one after the other. A process of its own, for it needs a
    network namespace."""

    def __init__(self, count, per_second):
        self.sockets = [self.connect() for _ in range(count)]
        self.per_second = per_second

    @staticmethod
    def connect():
        connection = socket.create_connection((SERVER, PORT), timeout=20)
        connection.sendall(b"x")
        connection.recv(1)
        return connection

    def run(self):
        print("ready", flush=True)
        chunk = max(1, self.per_second // 20)
        while self.per_second == 0:
            time.sleep(1)
        while True:
            for begin in range(0, len(self.sockets), chunk):
                part = self.sockets[begin:begin + chunk]
                for connection in part:
                    connection.sendall(b"x")
                for connection in part:
                    connection.recv(1)
                time.sleep(0.05)


def cpu_s(pid):
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

def memory_kib(pid):
    with open(f"/proc/{pid}/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmHWM"))


def start_load(pair, connections, per_second):
    """The accelerated server at the pair's server, and the far end, running, when all connections are there."""
    program = os.path.join(pair.build, "tests/bench/idle_conns")
    pair.start("server", [program, "server", SERVER, str(PORT)], GUARDED, profile="balanced")
    pair.wait_port("server", "tcp", PORT, GUARDED)
    load = pair.start("client", [sys.executable, os.path.abspath(__file__), str(connections), str(per_second)])
    wait_until(lambda: load.poll() or "ready" in load.text(load.out), "the connections", 120)
    return load


if __name__ == "__main__":
    Load(*map(int, sys.argv[1:])).run()
