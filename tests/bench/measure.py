# SPDX-License-Identifier: BSD-2-Clause
"""What is measured: each function runs one program pair once, in one variant, and returns a dictionary of figures."""
import contextlib
import csv
import io
import json
import os
import re
import signal
from dataclasses import dataclass

from nodes import CLIENT, SERVER, BenchError, wait_until

SERVER_CORE, CLIENT_CORE = 0, 1
PERCENTILES = ("p50", "p99", "p99.9")


@dataclass(frozen=True)
class Variant:
    name: str
    accelerated: bool = False
    injector: str = ""   # of accelerated and raw ones
    spinning: bool = False
    raw: bool = False


KERNEL = Variant("kernel")
SPINNING = Variant("kernel, spinning", spinning=True)
GUARDED = Variant("accelerated, guarded", accelerated=True, injector="guarded")
DIRECT = Variant("accelerated, direct", accelerated=True, injector="direct")
RAW_GUARDED = Variant("raw lane, guarded", injector="guarded", raw=True)
RAW_DIRECT = Variant("raw lane, direct", injector="direct", raw=True)


def busy_seconds():
    """Time that the machine's cores were not idle, since it started."""
    field = list(map(int, open("/proc/stat").readline().split()[1:]))
    return (sum(field[:3]) + sum(field[5:7])) / os.sysconf("SC_CLK_TCK")


def sockperf(pair, variant, protocol, size, seconds):
    """Round-trip times of sockperf ping-pong, in microseconds. Both ends on a core of their own."""
    options = ["-i", SERVER, "-p", "11111"] + (["--tcp"] if protocol == "tcp" else []) + (
        ["--nonblocked"] if variant.spinning else [])
    server = pair.start("server", ["sockperf", "server"] + options, variant, SERVER_CORE)
    try:
        pair.wait_port("server", protocol, 11111, variant)
        done = pair.run("client", ["sockperf", "ping-pong", "-m", str(size), "-t", str(seconds), "--full-rtt"] + options,
                        variant, CLIENT_CORE, seconds=seconds + 20)
    finally:
        server.stop()
    text = re.sub(r"\x1b\[[0-9;]*m", "", done.output)
    figures = {f"p{float(share):g}": float(value)
               for share, value in re.findall(r"percentile ([0-9.]+) = +([0-9.]+)", text)}
    dropped = re.search(r"dropped messages = (\d+); # duplicated messages = (\d+); # out-of-order messages = (\d+)", text)
    count = re.search(r"Total (\d+) observations", text)
    if not figures or not count:
        raise BenchError("sockperf printed no figures: " + text[-200:])
    return figures | {"count": int(count[1]), "wrong": sum(map(int, dropped.groups())) if dropped else None}


# What a page that is open and a Prometheus ask for, each second, on one connection.
ASKER = """
import http.client, time
connection = http.client.HTTPConnection("127.0.0.1", 9480, timeout=5)
while True:
    for path in ("/api/v1/live", "/metrics"):
        connection.request("GET", path)
        connection.getresponse().read()
        print("asked", flush=True)
    time.sleep(1)
"""


@contextlib.contextmanager
def watchers(pair):
    """Everything that watches: on both nodes the history and `lockstep top`, on the server the dashboard with somebody who looks."""
    programs = []
    try:
        for node in ("server", "client"):
            directory = ["--runtime-dir", pair.service_directory(node)]
            programs.append(pair.start(node, [os.path.join(pair.build, "monitor/lockstep-historyd"), "--config", "/dev/null", "--database",
                                              os.path.join(pair.directory, f"{node}.db"), "--runs", "none"] + directory))
            programs.append(pair.start(node, [pair.command(), "top", "--batch", "--csv"] + directory))
        programs.append(pair.start("server", [os.path.join(pair.build, "monitor/lockstep-web"), "--config", "/dev/null", "--history",
                                              os.path.join(pair.directory, "server.db")] + ["--runtime-dir", pair.service_directory("server")]))
        wait_until(lambda: pair.at("server", "ss", "-Hltn", "sport = :9480").strip(), "lockstep-web")
        programs.append(pair.start("server", ["python3", "-c", ASKER]))
        wait_until(lambda: "asked" in programs[-1].words(), "an answer of lockstep-web")
        yield
        for program in programs:
            if program.poll():
                raise BenchError(f"a watcher has ended: {program.words()[-200:]}")
    finally:
        for program in reversed(programs):
            program.stop()


def raw_lane(pair, variant, protocol, size, count):
    """Round-trip times over divert, ring and injector without a TCP/IP stack, in microseconds."""
    program = os.path.join(pair.build, "tests/bench/rawlane")
    options = ["--interface", "eth0", "--injector", variant.injector, "--protocol", protocol, "--size", str(size),
               "--attach", pair.attach]
    server = pair.start("server", [program, "--mode", "server", "--local", SERVER, "--remote", CLIENT] + options,
                        core=SERVER_CORE)
    try:
        wait_until(lambda: server.poll() or "ready" in server.words(), "rawlane")
        if server.poll():
            raise BenchError(server.words())
        done = pair.run("client", [program, "--mode", "client", "--local", CLIENT, "--remote", SERVER, "--count", str(count)]
                        + options, core=CLIENT_CORE)
    finally:
        server.stop()
    value = dict(line.split("=", 1) for line in done.output.splitlines() if "=" in line)
    return {"p50": int(value["rtt_p50_ns"]) / 1e3, "p99": int(value["rtt_p99_ns"]) / 1e3,
            "p99.9": int(value["rtt_p999_ns"]) / 1e3, "count": int(value["count"]), "wrong": int(value["lost"]),
            "attach": value["attach"]}


def iperf3(pair, variant, streams, seconds, profile):
    """TCP throughput in Gbit/s and processor time a gigabyte: of both programs, and of the whole machine (which counts
    the kernel's work wherever it was done, and whatever else ran)."""
    server = pair.start("server", ["iperf3", "-s", "-1", "-B", SERVER, "-p", "5201"], variant, profile=profile)
    try:
        pair.wait_port("server", "tcp", 5201, variant)
        busy = busy_seconds()
        done = pair.run("client", ["iperf3", "-c", SERVER, "-p", "5201", "-J", "-t", str(seconds), "-P", str(streams)],
                        variant, profile=profile, seconds=seconds + 20)
        busy = busy_seconds() - busy
        served = server.wait(10)
    finally:
        server.stop()
    report = json.loads(done.output)
    if "error" in report:
        raise BenchError("iperf3: " + report["error"])
    received = report["end"]["sum_received"]
    gigabytes = received["bytes"] / 1e9
    return {"gbit_s": received["bits_per_second"] / 1e9, "cpu_s_gb": (done.cpu_s + served.cpu_s) / gigabytes,
            "machine_s_gb": busy / gigabytes, "retransmits": report["end"]["sum_sent"].get("retransmits", 0)}


def redis(pair, variant, requests, profile):
    """redis-benchmark, 50 clients: requests a second."""
    server = pair.start("server", ["redis-server", "--bind", SERVER, "--port", "6379", "--save", "", "--appendonly", "no",
                                   "--protected-mode", "no", "--dir", pair.directory], variant, SERVER_CORE, profile)
    try:
        pair.wait_port("server", "tcp", 6379, variant)
        done = pair.run("client", ["redis-benchmark", "-h", SERVER, "-p", "6379", "-c", "50", "-n", str(requests), "-t",
                                   "set,get", "--csv"], variant, CLIENT_CORE, profile)
    finally:
        server.stop()
    figures = {}
    for row in csv.DictReader(io.StringIO(done.output[done.output.index('"test"'):])):
        test = row["test"].lower()
        figures[f"{test}_s"] = float(row["rps"])
        figures[f"{test}_p50"] = float(row["p50_latency_ms"]) * 1000
        figures[f"{test}_p99"] = float(row["p99_latency_ms"]) * 1000
    return figures


def round_trips(pair, variant, idle, size, seconds, profile):
    """idle_conns: round trips on one TCP connection beside idle ones, both ends sleeping in the kernel's way."""
    program = os.path.join(pair.build, "tests/bench/idle_conns")
    server = pair.start("server", [program, "server", SERVER, "7777"], variant, SERVER_CORE, profile)
    try:
        pair.wait_port("server", "tcp", 7777, variant)
        done = pair.run("client", [program, "client", SERVER, "7777", str(idle), str(size), str(seconds)], variant,
                        CLIENT_CORE, profile, seconds=seconds + 90)
    finally:
        server.stop(signal.SIGKILL)
    return json.loads(done.output)


def with_loss(pair, variant, loss_options, size, seconds, profile):
    """Request-response over a wire that loses packets in both directions."""
    loss = pair.start("middle", [os.path.join(pair.build, "tests/net/loss"), "server", "client"] + loss_options)
    try:
        wait_until(lambda: loss.poll() or "ready" in loss.words(), "the loss")
        if loss.poll():
            raise BenchError("loss: " + loss.words())
        figures = round_trips(pair, variant, 0, size, seconds, profile)
    finally:
        ended = loss.stop()
    seen = re.search(r"seen (\d+) dropped (\d+)", ended.output)
    return figures | {"seen": int(seen[1]), "dropped": int(seen[2])}
