#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""A threaded, blocking HTTP server and clients in threads: every reply is the hash of what was posted, then its reverse.

http_threads.py server ADDRESS PORT
http_threads.py client URL THREADS REQUESTS
"""
import hashlib
import random
import socket
import sys
import threading
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        reply = hashlib.sha256(body).hexdigest().encode() + body[::-1]
        self.send_response(200)
        self.send_header("Content-Length", str(len(reply)))
        self.end_headers()
        self.wfile.write(reply)

    def log_message(self, *arguments):
        pass


def server(address, port):
    class Server(ThreadingHTTPServer):
        address_family = socket.AF_INET6 if ":" in address else socket.AF_INET
        request_queue_size = 128
        daemon_threads = True

    with Server((address, port), Handler) as running:
        print("ready", flush=True)
        running.serve_forever()


def client_thread(url, number, requests, failures):
    chance = random.Random(number)
    try:
        for _ in range(requests):
            body = chance.randbytes(chance.choice([0, 1, 1000, 20_000, 300_000]))
            with urllib.request.urlopen(urllib.request.Request(url, body, method="POST"), timeout=20) as answer:
                reply = answer.read()
            assert reply == hashlib.sha256(body).hexdigest().encode() + body[::-1], "the reply is wrong"
    except Exception as problem:  # reported by the main thread
        failures.append(f"thread {number}: {problem!r}")


def client(url, threads, requests):
    failures = []
    running = [threading.Thread(target=client_thread, args=(url, n, requests, failures)) for n in range(threads)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    print("\n".join(failures) or f"answered {threads * requests}")
    return 1 if failures else 0


def main():
    if sys.argv[1] == "server":
        server(sys.argv[2], int(sys.argv[3]))
        return 0
    return client(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))


if __name__ == "__main__":
    sys.exit(main())
