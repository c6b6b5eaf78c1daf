#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Many short connections of known length, and what the services' journals say of them.

many.py server ADDRESS PORT            echoes until SIGTERM
many.py client ADDRESS PORT COUNT      COUNT connections, four at a time: each sends SIZE bytes and reads them again; prints
                                       "connection LOCAL-PORT SIZE BEGIN END" (CLOCK_REALTIME) for each, then "done"; stays
many.py hold ADDRESS PORT COUNT        COUNT connections that send SIZE bytes, read them again and stay; then "held"
many.py datagrams ADDRESS PORT COUNT   COUNT sockets with one exchange each; prints "socket PORT SIZE", closes them on SIGUSR1
many.py check EVENTS WANTED...         EVENTS: of `lockstep connections --follow --json`; WANTED: see check()
"""
import collections
import json
import signal
import socket
import sys
import threading
import time

PATIENCE_S = 25
lock = threading.Lock()


def say(*words):
    with lock:
        print(*words, flush=True)


def family(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def size_of(number):
    return 1 + number * 37 % 3000


def echo(sock):
    with sock:
        while data := sock.recv(65536):
            sock.sendall(data)


def server(address, port):
    datagrams = socket.socket(family(address), socket.SOCK_DGRAM)
    datagrams.bind((address, port))
    listening = socket.create_server((address, port), family=family(address), backlog=256)

    def echo_datagrams():
        while True:
            datagrams.sendto(*datagrams.recvfrom(65536))

    threading.Thread(target=echo_datagrams, daemon=True).start()
    listening.settimeout(0.2)
    say("ready")
    while True:
        try:
            sock, _ = listening.accept()
        except TimeoutError:
            continue
        sock.setblocking(True)
        threading.Thread(target=echo, args=(sock,), daemon=True).start()


def connect(address, port):
    sock = socket.socket(family(address))
    sock.settimeout(PATIENCE_S)
    try:
        sock.connect((address, port))
    except OSError as problem:
        raise OSError(f"connect from {sock.getsockname()}: {problem}") from problem
    return sock


def exchange(sock, size):
    message = bytes(i % 251 for i in range(size))
    sock.sendall(message)
    got = b""
    while len(got) < size:
        part = sock.recv(65536)
        assert part, "the connection ended early"
        got += part
    assert got == message, "the echo differs"


def client(address, port, count):
    numbers = iter(range(count))

    def work():
        while True:
            with lock:
                number = next(numbers, None)
            if number is None:
                return
            begin = time.time()
            sock = connect(address, port)
            local = sock.getsockname()[1]
            exchange(sock, size_of(number))
            if number % 2: # who closes first differs
                sock.shutdown(socket.SHUT_WR)
                assert sock.recv(1) == b""
            sock.close()
            say("connection", local, size_of(number), begin, time.time())

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    say("done")
    time.sleep(60)


def hold(address, port, count):
    began = time.time()
    held = [connect(address, port) for _ in range(count)]
    for number, sock in enumerate(held):
        exchange(sock, size_of(number))
        say("connection", sock.getsockname()[1], size_of(number), began, time.time())
    say("held")
    time.sleep(60)


def datagrams(address, port, count):
    began = time.time()
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
    sockets = [socket.socket(family(address), socket.SOCK_DGRAM) for _ in range(count)]
    for number, sock in enumerate(sockets):
        sock.connect((address, port))
        sock.settimeout(PATIENCE_S)
        exchange(sock, size_of(number))
        say("connection", sock.getsockname()[1], size_of(number), began, time.time())
    say("held")
    signal.sigwait([signal.SIGUSR1])
    for sock in sockets:
        sock.close()
    say("closed")
    time.sleep(60)


def read_events(path):
    """Those that are whole; what is missing in a journal is a failure."""
    events = [json.loads(line) for line in open(path) if line.endswith("\n")]
    following = {}
    for event in events:
        assert event["event"] != "lost", f"{event['records']} records were lost"
        if "sequence" in event:
            last = following.get(event["instance"])
            assert last in (None, event["sequence"] - 1), f"a gap before {event}"
            following[event["instance"]] = event["sequence"]
    return events


def port_of(endpoint):
    return 0 if endpoint == "*" else int(endpoint.rpartition(":")[2])


def read_log(path):
    lines = [line.split() for line in open(path) if line.startswith("connection ")]
    return [(int(port), int(size), float(begin), float(end)) for _, port, size, begin, end in lines]


def check(path, log, side, protocol, program, begin, end):
    """What the events of `path` say of the connections in `log`, which is a client's: each was opened once in an
    instance and closed once in all, with its bytes. side: "local" at the client, "remote" at the server. Connections
    that were begun while there was no service (between begin and end) may be the kernel's."""
    lives = collections.defaultdict(list)
    for event in read_events(path):
        if event["event"] in ("opened", "closed") and event["protocol"] == protocol:
            lives[port_of(event[side])].append(event)
    wrong, missing, kernel = [], [], 0
    for port, size, began, ended in read_log(log):
        # Others may have had the port before.
        life = [event for event in lives[port] if began - 0.01 <= event["since_ms"] / 1000 <= ended + 0.01]
        openings = [event["instance"] for event in life if event["event"] == "opened"]
        ends = [event for event in life if event["event"] == "closed"]
        if not life and side == "local" and began <= end and ended >= begin:
            kernel += 1
        elif len(ends) != 1 or not openings:
            missing.append((port, len(openings), len(ends)))
        elif len(set(openings)) != len(openings) or ends[0]["instance"] not in openings:
            wrong.append((port, "opened", openings, "closed", ends[0]["instance"]))
        elif (ends[0]["rx_bytes"], ends[0]["tx_bytes"], ends[0]["program"]) != (size, size, program):
            wrong.append((port, size, ends[0]))
    print(len(read_log(log)), "connections,", kernel, "of the kernel,", len(missing), "not told once,", len(wrong), "wrong")
    for what in (missing + wrong)[:5]:
        print(what)
    return bool(missing or wrong)


def main():
    role, *rest = sys.argv[1:]
    if role == "check":
        return check(*rest[:5], float(rest[5]), float(rest[6]))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    address, port, *count = rest
    {"server": server, "client": client, "hold": hold, "datagrams": datagrams}[role](address, int(port), *map(int, count))
    return 0


if __name__ == "__main__":
    sys.exit(main())
