# SPDX-License-Identifier: BSD-2-Clause
"""The benchmarks: which programs in which variants, round by round, on network pairs that are made when first used."""
import contextlib
import sys

import measure
from measure import DIRECT, GUARDED, KERNEL, RAW_DIRECT, RAW_GUARDED, SPINNING
from nodes import BenchError, Pair
from report import Case

LATENCY_COLUMNS = [("p50", "p50, us"), ("p99", "p99, us"), ("p99.9", "p99.9, us")]
RAW_COUNT_PER_S = 100_000
IDLE_STEPS = (10, 100, 1000, 10_000)
LOSSES = (("0.1", "0.1 % of the packets lost", ["--share", "0.1"]), ("1", "1 % of the packets lost", ["--share", "1"]),
          ("burst", "bursts of up to 20 packets lost (after each 2000)", ["--burst", "20", "2000"]))


def progress(text):
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


class Bench:
    """The options and the network pairs, made when first used."""

    def __init__(self, options, stack):
        self.options, self.stack = options, stack
        self.pairs = {}

    def pair(self, lockstep=False, bridge=False, raw=False):
        key = (lockstep, bridge, raw)
        if key not in self.pairs:
            self.pairs[key] = self.stack.enter_context(Pair(self.options.build, lockstep, bridge, self.options.attach))
        return self.pairs[key]

    def divert(self):
        """How the service attached the divert, in a line."""
        return self.pair(lockstep=True).attached()

    def rounds(self, case, variants, once):
        """Runs once(variant) for each variant, one after the other, again and again."""
        for number in range(self.options.rounds):
            for variant in variants:
                if variant.accelerated and self.options.kernel_only or variant.raw and self.options.kernel_only:
                    continue
                progress(f"{case.name}: round {number + 1}/{self.options.rounds}, {variant.name}")
                try:
                    case.add(variant.name, once(variant))
                except (BenchError, OSError, ValueError, KeyError, TypeError) as problem:
                    case.fail(variant.name, str(problem) or repr(problem))
        progress("")
        return case

    def round_trip(self, protocol, size):
        seconds = self.options.seconds
        case = Case(f"{protocol}-{size}", f"{protocol.upper()} round trip of {size} bytes (sockperf ping-pong, profile latency)",
                    LATENCY_COLUMNS, [KERNEL.name, SPINNING.name, RAW_GUARDED.name, RAW_DIRECT.name], ["p50", "p99"])

        def once(variant):
            if variant.raw:
                return measure.raw_lane(self.pair(raw=True), variant, protocol, size, int(RAW_COUNT_PER_S * seconds))
            return measure.sockperf(self.pair(variant.accelerated), variant, protocol, size, seconds)

        yield self.rounds(case, [KERNEL, SPINNING, GUARDED, DIRECT, RAW_GUARDED, RAW_DIRECT], once)

    def watched(self):
        """What watching costs: the same programs, with and without everything that watches beside them."""
        watched = measure.Variant("accelerated, guarded, watched", accelerated=True, injector=GUARDED.injector)
        for protocol in () if self.options.kernel_only else ("udp", "tcp"):
            case = Case(f"watched-{protocol}", f"{protocol.upper()} round trip of 64 bytes beside history, dashboard, metrics and top "
                        "(sockperf ping-pong, profile latency)", LATENCY_COLUMNS, [GUARDED.name], ["p50", "p99"], digits=3)

            def once(variant, protocol=protocol):
                pair = self.pair(lockstep=True)
                with measure.watchers(pair) if variant is watched else contextlib.nullcontext():
                    return measure.sockperf(pair, variant, protocol, 64, self.options.seconds)

            yield self.rounds(case, [GUARDED, watched], once)

    def bulk(self, streams):
        profile = self.options.profile or "balanced"
        case = Case(f"bulk-{streams}", f"TCP bulk, {streams} connection{'s' * (streams > 1)} (iperf3, MTU 1500, profile {profile}, "
                    f"the kernel with its offloads and {self.pair().congestion_control()})",
                    [("gbit_s", "Gbit/s"), ("cpu_s_gb", "CPU s/GB, programs"), ("machine_s_gb", "CPU s/GB, machine"),
                     ("retransmits", "retransmits")], [KERNEL.name], ["gbit_s", "machine_s_gb"])
        yield self.rounds(case, [KERNEL, GUARDED, DIRECT], lambda variant: measure.iperf3(
            self.pair(variant.accelerated), variant, streams, self.options.seconds, profile))

    def redis(self):
        profile = self.options.profile or "balanced"
        case = Case("redis", f"redis-benchmark, 50 clients (profile {profile})",
                    [("set_s", "SET/s"), ("get_s", "GET/s"), ("set_p99", "SET p99, us"), ("get_p99", "GET p99, us")],
                    [KERNEL.name], ["set_s", "get_s"])
        yield self.rounds(case, [KERNEL, GUARDED, DIRECT], lambda variant: measure.redis(
            self.pair(variant.accelerated), variant, int(50_000 * self.options.seconds), profile))

    def loss(self):
        profile = self.options.profile or "balanced"
        for name, title, how in LOSSES:
            case = Case(f"loss-{name}", f"TCP request-response of 1024 bytes, {title} (profile {profile})",
                        LATENCY_COLUMNS + [("max", "max, us")], [KERNEL.name], ["p50", "p99"])
            yield self.rounds(case, [KERNEL, GUARDED, DIRECT], lambda variant, how=how: measure.with_loss(
                self.pair(variant.accelerated, bridge=True), variant, how, 1024, self.options.seconds, profile))

    def idle(self):
        profile = self.options.profile or "balanced"
        for variant in (KERNEL, GUARDED):
            case = Case(f"idle-{variant.name}", f"TCP round trip of 64 bytes beside idle connections: {variant.name} "
                        f"(profile {profile})", LATENCY_COLUMNS + [("opening_s", "opening, s")], [f"{IDLE_STEPS[0]} idle"],
                        ["p50", "p99"])
            if variant.accelerated and self.options.kernel_only:
                continue
            steps = [measure.Variant(f"{idle} idle", variant.accelerated, variant.injector) for idle in IDLE_STEPS]
            yield self.rounds(case, steps, lambda step: measure.round_trips(
                self.pair(step.accelerated), step, int(step.name.split()[0]), 64, self.options.seconds, profile))
