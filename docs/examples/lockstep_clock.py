#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""The Lockstep clock's segment in plain Python: times of counter values that were recorded elsewhere.

    lockstep_clock.py [--segment FILE] COUNTER...

prints a line for each value: counter, TAI and UTC in ns since 1970, the error bound in ns, and the status. The layout is
described in lockstep-clock-segment(5). A program in C reads the time by itself with liblockstep-clock(3); this is for the
analysis of what it has recorded: counter values are small to store, and convertible up to 1000 s later.
"""
import argparse
import collections
import mmap
import os
import struct
import sys
import time

MAGIC, ABI, PAST_NS = 0x4B434F4C43534C, 1, 10**12
HEAD = struct.Struct("=QIIII d 16s 16x")  # magic, abi, size, counter kind, reserved, nominal Hz, boot id
# sequence, status, shift, leap, counter kind, disruptions, TAI - UTC, switch, holdover after, void after, bound, growth,
# leap at, and twice: counter, time, fraction, multiplier
LINE = struct.Struct("=I BBbB I i QQQ qQq QqQQ QqQQ")
STATUS = (None, "unsynchronised", "synchronised", "holdover", "disrupted")
COUNTERS = {1: "tsc", 2: "monotonic_raw", 3: "simulated"}

Piece = collections.namedtuple("Piece", "counter time_ns fraction multiplier")
Line = collections.namedtuple(
    "Line", "status shift leap disruptions tai_utc_s switch holdover_after void_after bound_ns growth leap_at_ns pieces")
Time = collections.namedtuple("Time", "tai_ns utc_ns bound_ns status disruptions")


class ClockError(Exception):
    pass


class Segment:
    """A mapped segment; line() takes a consistent copy of what the daemon published last."""

    def __init__(self, path=None):
        path = path or os.environ.get("LOCKSTEP_CLOCK") or "/run/lockstep/clock"
        with open(path, "rb") as file:
            if os.fstat(file.fileno()).st_size < HEAD.size + LINE.size:
                raise ClockError(f"{path}: truncated")
            self.map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        magic, abi, size, kind, _, self.nominal_hz, boot_id = HEAD.unpack_from(self.map)
        if magic != MAGIC:
            raise ClockError(f"{path}: not a clock segment")
        if abi != ABI:
            raise ClockError(f"{path}: ABI version {abi}, not {ABI}")
        if size > len(self.map):
            raise ClockError(f"{path}: truncated")
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            if bytes.fromhex(file.read().strip().replace("-", "")) != boot_id:
                raise ClockError(f"{path}: of another boot")
        self.counter = COUNTERS.get(kind, "unknown")

    def line(self):
        for _ in range(1000):
            data = bytes(self.map[HEAD.size : HEAD.size + LINE.size])
            again = self.map[HEAD.size : HEAD.size + 4]
            (sequence, status, shift, leap, _, disruptions, tai_utc_s, switch, holdover_after, void_after, bound_ns,
             growth, leap_at_ns, *pieces) = LINE.unpack(data)
            if sequence % 2 == 0 and data[:4] == again:
                return Line(STATUS[status] if status < len(STATUS) else None, shift, leap, disruptions, tai_utc_s,
                            switch, holdover_after, void_after, bound_ns, growth, leap_at_ns,
                            (Piece(*pieces[:4]), Piece(*pieces[4:])))
            time.sleep(0.0001)
        raise ClockError("torn: its daemon died in the middle of an update")


def scaled(ticks, shift, multiplier, fraction=0):
    """Ticks in ns, rounded down (Python's >> does so for negative numbers, too)."""
    return ((ticks << shift) * multiplier + fraction) >> 64


def time_at(line, counter):
    """The time of a counter value, as lockstep_clock_at gives it."""
    first, second = line.pieces
    if line.status not in ("synchronised", "holdover"):
        raise ClockError(f"the clock has no time: {line.status}")
    if counter > line.void_after:
        raise ClockError(f"{counter}: after the time became void")
    if counter < first.counter:  # goes on with the rate that is not slewed
        piece = first._replace(multiplier=second.multiplier)
    else:
        piece = first if counter < line.switch else second
    tai_ns = piece.time_ns + scaled(counter - piece.counter, line.shift, piece.multiplier, piece.fraction)
    if tai_ns < first.time_ns - PAST_NS:
        raise ClockError(f"{counter}: more than 1000 s before the last update")
    offset_s = line.tai_utc_s + (line.leap if tai_ns >= line.leap_at_ns else 0)
    bound_ns = line.bound_ns + 1 + scaled(abs(counter - first.counter), line.shift, line.growth)
    status = "holdover" if counter > line.holdover_after else line.status
    return Time(tai_ns, tai_ns - offset_s * 10**9, bound_ns, status, line.disruptions)


def main():
    parser = argparse.ArgumentParser(description="Times of recorded counter values by the Lockstep clock.")
    parser.add_argument("--segment", help="default: $LOCKSTEP_CLOCK, else /run/lockstep/clock")
    parser.add_argument("counter", type=int, nargs="+")
    arguments = parser.parse_args()
    try:
        line = Segment(arguments.segment).line()
        for counter in arguments.counter:
            moment = time_at(line, counter)
            print(counter, moment.tai_ns, moment.utc_ns, moment.bound_ns, moment.status)
    except (ClockError, OSError) as error:
        sys.exit(f"lockstep_clock.py: {error}")


if __name__ == "__main__":
    main()
