# SPDX-License-Identifier: BSD-2-Clause
"""The Lockstep clock and the statistics of the accelerated path, from Python.

    import lockstep

    with lockstep.Clock() as clock:
        clock.wait(bound_ns=50_000, timeout=10)
        now = clock.now()
        print(now.datetime64(), "within", now.bound_ns, "ns")

    for connection in lockstep.statistics.connections().flows:
        print(connection.program, connection.local, connection.remote, connection.rx_bytes)

    table = lockstep.table.read(histograms=True)                # NumPy arrays of the moment
    print(lockstep.histogram.quantile(table.histograms, 0.99))  # each connection's

    with lockstep.history.History() as history:                 # and of the past
        print(history.connections(since="2026-11-01", program="redis*")["p99_ns"])

Nothing is compiled: the clock is read by ctypes through liblockstep-clock. NumPy is used by what converts arrays, and is
needed by nothing else.
"""

from . import histogram, history, statistics, table
from .clock import (
    Clock,
    ClockError,
    ForeignError,
    Info,
    Interval,
    NoTimeError,
    RangeError,
    Status,
    Time,
    Times,
    Timescale,
    TornError,
    TruncatedError,
    VersionError,
)

__all__ = [
    "Clock",
    "ClockError",
    "ForeignError",
    "Info",
    "Interval",
    "NoTimeError",
    "RangeError",
    "Status",
    "Time",
    "Times",
    "Timescale",
    "TornError",
    "TruncatedError",
    "VersionError",
    "histogram",
    "history",
    "statistics",
    "table",
]
