# SPDX-License-Identifier: BSD-2-Clause
"""tcp_flood.py ADDRESS PORT SECONDS SOURCE: opens connections as fast as it can, says nonsense on some and nothing on others,
and keeps 200 of them open. Prints how many there were."""
import collections
import os
import random
import socket
import sys
import time


def main():
    address, port, seconds = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
    source = sys.argv[4]
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    kept = collections.deque()
    count = 0
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        s = socket.socket(family)
        s.setblocking(False)
        s.bind((source, 0))
        s.connect_ex((address, port))
        kept.append(s)
        count += 1
        if len(kept) > 200:
            old = kept.popleft()
            try:
                old.send(random.choice((b"\x16\x03\x01\x02\x00", os.urandom(300), b"GET / HTTP/1.0\r\n\r\n")))
            except OSError:
                pass
            old.close()
        if count % 20 == 0:
            time.sleep(0.005)
    print(count, "connections", flush=True)


main()
