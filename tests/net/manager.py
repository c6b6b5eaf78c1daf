# SPDX-License-Identifier: BSD-2-Clause
"""A service manager and a journal for one service: manager.py WATCHDOG_SECONDS PROGRAM [ARGUMENT...], in a mount namespace of
its own (/run is replaced). The service's stderr is the journal's, and it is killed and started again if it does not feed the
watchdog. Prints a line for all that comes: "notify TEXT", "entry JSON", "stderr TEXT", "started PID", "watchdog PID"."""
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import time

NOTIFY = "/run/systemd/notify"
JOURNAL = "/run/systemd/journal/socket"


def say(what, text):
    print(what, text, flush=True)


def listen(path):
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    listener.bind(path)
    return listener


def start(command, watchdog):
    reader, writer = os.pipe()
    status = os.fstat(writer)
    child = subprocess.Popen(command, stderr=writer, env={
        **os.environ, "NOTIFY_SOCKET": NOTIFY, "WATCHDOG_USEC": str(int(watchdog * 1e6)),
        "JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"})
    os.close(writer)
    say("started", child.pid)
    return child, reader


def entry(datagram):
    return dict(line.split("=", 1) for line in datagram.decode().splitlines())


def main():
    watchdog, command = float(sys.argv[1]), sys.argv[2:]
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", "/run"], check=True)
    os.makedirs(os.path.dirname(JOURNAL))
    notify, journal = listen(NOTIFY), listen(JOURNAL)
    child, stderr = start(command, watchdog)
    signal.signal(signal.SIGTERM, lambda *_: child.terminate())
    selector = selectors.DefaultSelector()
    for source in (notify, journal, stderr):
        selector.register(source, selectors.EVENT_READ)
    fed = time.monotonic()
    while True:
        for key, _ in selector.select(0.05):
            if key.fileobj is notify:
                text = notify.recv(65536).decode()
                say("notify", text.replace("\n", " "))
                fed = time.monotonic()
            elif key.fileobj is journal:
                say("entry", json.dumps(entry(journal.recv(65536))))
            else:
                text = os.read(stderr, 65536).decode()
                if text:
                    say("stderr", text.strip())
                    continue
                # It has ended, and whatever it has told before is here.
                selector.unregister(stderr)
                os.close(stderr)
                if child.wait() != -signal.SIGABRT:
                    sys.exit(0 if child.returncode == 0 else 1)
                child, stderr = start(command, watchdog)
                selector.register(stderr, selectors.EVENT_READ)
                fed = time.monotonic()
        if time.monotonic() - fed > watchdog:
            say("watchdog", child.pid)
            child.send_signal(signal.SIGABRT)
            child.send_signal(signal.SIGCONT)
            fed = time.monotonic()


main()
