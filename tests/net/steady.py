#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Steady checked traffic for the fault scenarios. Times printed are CLOCK_MONOTONIC seconds.

steady.py server ADDRESS PORT                  echoes TCP and UDP; prints "end eof TIME" or "end reset TIME" a connection
steady.py client ADDRESS PORT SECONDS [SIZE] [CONNECTIONS]
                                               echo over connections that must never break, each byte compared;
                                               SIGTERM ends it as if the time were over
steady.py datagrams ADDRESS PORT SECONDS       echo over UDP; lost ones are counted, wrong ones are an error; SIGTERM as above
steady.py again ADDRESS PORT SECONDS           a new connection for each message
steady.py hold ADDRESS PORT CONNECTIONS        opens them; prints "ready", then "reset TIME" or "eof TIME" for each
steady.py up ADDRESS PORT BYTES                sends that many bytes to a `sink`, which must report their hash
steady.py sink ADDRESS PORT [PAUSE]            reads (with a pause before each read) and answers with the hash at the end
"""
import hashlib
import random
import signal
import socket
import sys
import threading
import time

PATIENCE_S = 25


def now():
    return time.clock_gettime(time.CLOCK_MONOTONIC)


output = threading.Lock()


def say(*words):
    with output:
        sys.stdout.write(" ".join(map(str, words)) + "\n")
        sys.stdout.flush()


def family(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def read_exactly(sock, count):
    parts = []
    while count:
        part = sock.recv(min(count, 1 << 20))
        if not part:
            raise EOFError("the connection ended early")
        parts.append(part)
        count -= len(part)
    return b"".join(parts)


def connect(address, port):
    sock = socket.create_connection((address, port), timeout=PATIENCE_S)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def listen(address, port):
    sock = socket.socket(family(address))
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind((address, port))
    sock.listen(512)
    return sock


def echo_stream(sock):
    try:
        while data := sock.recv(1 << 16):
            sock.sendall(data)
        say("end eof", now())
    except OSError as problem:
        say("end reset", now(), problem)
    sock.close()


def echo_datagrams(sock):
    while True:
        data, source = sock.recvfrom(65536)
        sock.sendto(data, source)


def server(address, port):
    listening = listen(address, port)
    datagrams = socket.socket(family(address), socket.SOCK_DGRAM)
    datagrams.bind((address, port))
    threading.Thread(target=echo_datagrams, args=(datagrams,), daemon=True).start()
    say("ready")
    while True:
        sock, _ = listening.accept()
        threading.Thread(target=echo_stream, args=(sock,), daemon=True).start()


def exchange(sock, message):
    sock.sendall(message)
    if read_exactly(sock, len(message)) != message:
        raise ValueError("the echo differs from what was sent")


def ended_by_signal():
    over = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: over.set())
    return over


def client(address, port, seconds, size=1000, connections=1):
    chance = random.Random(1)
    socks = [connect(address, port) for _ in range(connections)]
    end = now() + seconds
    count, longest = 0, 0.0
    over = ended_by_signal()
    say("started")
    while now() < end and not over.is_set():
        for sock in socks:
            begin = now()
            exchange(sock, chance.randbytes(size))
            longest = max(longest, now() - begin)
            count += 1
        time.sleep(0.002)
    for sock in socks:
        sock.shutdown(socket.SHUT_WR)
        if sock.recv(1):
            raise ValueError("bytes after the end")
    say("done", count, "longest_ms", round(longest * 1000, 1))


def datagrams(address, port, seconds):
    sock = socket.socket(family(address), socket.SOCK_DGRAM)
    sock.connect((address, port))
    sock.settimeout(0.1)
    end = now() + seconds
    sent = answered = refused = 0
    over = ended_by_signal()
    say("started")
    while now() < end and not over.is_set():
        message = b"%d " % sent + random.Random(sent).randbytes(500)
        try:
            sock.send(message)
            sent += 1
            while (answer := sock.recv(2000)) != message:
                number = int(answer.split(b" ", 1)[0])
                if answer != b"%d " % number + random.Random(number).randbytes(500):
                    raise ValueError("the echo differs from what was sent")
            answered += 1
        except (TimeoutError, ConnectionRefusedError, OSError) as problem:
            if isinstance(problem, ValueError):
                raise
            refused += 1
        time.sleep(0.005)
    say("done", sent, "answered", answered, "unanswered", refused)


def again(address, port, seconds):
    end = now() + seconds
    count = 0
    say("started")
    while now() < end:
        with connect(address, port) as sock:
            exchange(sock, random.Random(count).randbytes(20_000))
        count += 1
        time.sleep(0.02)
    say("done", count)


def watch(sock):
    try:
        data = sock.recv(1)
        say("eof" if not data else "data", now())
    except OSError as problem:
        say("reset", now(), problem)


def hold(address, port, connections):
    socks = [connect(address, port) for _ in range(connections)]
    for sock in socks:
        exchange(sock, b"hello")
        sock.settimeout(None)
    threads = [threading.Thread(target=watch, args=(sock,)) for sock in socks]
    for thread in threads:
        thread.start()
    say("ready")
    for thread in threads:
        thread.join()


def up(address, port, total):
    chance = random.Random(2)
    digest = hashlib.sha256()
    sock = connect(address, port)
    sent = 0
    say("started")
    while sent < total:
        block = chance.randbytes(min(1 << 16, total - sent))
        digest.update(block)
        sock.sendall(block)
        sent += len(block)
    sock.shutdown(socket.SHUT_WR)
    sock.settimeout(PATIENCE_S)
    if read_exactly(sock, 64).decode() != digest.hexdigest():
        raise ValueError("the receiver's hash differs")
    say("done", sent)


def sink(address, port, pause=0.0):
    listening = listen(address, port)
    say("ready")
    while True:
        sock, _ = listening.accept()
        digest = hashlib.sha256()
        while data := sock.recv(1 << 18):
            digest.update(data)
            if pause:
                time.sleep(pause)
        sock.sendall(digest.hexdigest().encode())
        sock.close()


def main():
    role, address, port = sys.argv[1:4]
    numbers = [float(text) if "." in text else int(text) for text in sys.argv[4:]]
    try:
        globals()[role](address, int(port), *numbers)
    except Exception as problem:
        say("failed", now(), repr(problem))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
