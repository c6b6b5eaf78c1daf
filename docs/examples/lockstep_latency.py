#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Latencies of the connections of this moment, by program, and of the last day from the history: p50, p99, p99.9 in us."""

import datetime
from typing import Any

import lockstep
import numpy as np
import numpy.typing as npt

SHARES = (0.5, 0.99, 0.999)


def show(title: str, programs: "npt.NDArray[Any]", histograms: "npt.NDArray[Any]") -> None:
    print(title)
    for program in np.unique(programs):
        counts = histograms[programs == program].sum(axis=0, dtype=np.uint64)
        quantiles = lockstep.histogram.quantile(counts, SHARES) / 1000
        print(f"  {program:24} {counts.sum():12}", *(f"{value:10.1f}" for value in quantiles))


table = lockstep.table.read(histograms=True)
names = np.array([name.decode(errors="replace") for name in table.connections["program"]])
assert table.histograms is not None  # they were asked for
show("now", names, table.histograms)

since = datetime.datetime.utcnow() - datetime.timedelta(days=1)
try:
    with lockstep.history.History() as history:
        past = history.connections(since=since, histograms=True)
    show("since yesterday", past["program"].astype(str), past["histogram"])
except lockstep.history.HistoryError as problem:
    print(problem)
