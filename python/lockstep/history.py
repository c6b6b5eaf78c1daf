# SPDX-License-Identifier: BSD-2-Clause
"""The history database (lockstep-historyd) as NumPy arrays: a column each, by name.

    with lockstep.history.History() as history:
        past = history.connections(since="2026-11-01", program="redis*")
        print(past["opened"], past["local"], past["p99_ns"])
        clock = history.clock()
        plt.plot(clock["at"], clock["offset_ns"])

Opened for reading only; the recorder goes on. What is not known is NaN, NaT or "". Times are numpy.datetime64[ns] in UTC,
and so may be those that are asked with, or texts and datetimes that NumPy makes such of (without a time zone: UTC). Needs NumPy."""

import ipaddress
import os
import sqlite3
from typing import TYPE_CHECKING, Any, Callable, Dict, List, Optional, Sequence, Tuple
from urllib.parse import quote

from . import histogram

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Columns = Dict[str, npt.NDArray[Any]]

DEFAULT_FILE = "/var/lib/lockstep/history/history.db"
VERSIONS = (1, 2, 3)
_OPEN = 2**63 - 1  # closed_ns of a connection that is open


class HistoryError(Exception):
    """The database cannot be read; the text says why."""


def _numpy() -> Any:
    import numpy

    return numpy


def _numbers(values: Sequence[Any]) -> Any:
    return _numpy().array(values, dtype="int64")


def _reals(values: Sequence[Any]) -> Any:
    return _numpy().array([float("nan") if value is None else value for value in values], dtype="float64")


def _texts(values: Sequence[Any]) -> Any:
    return _numpy().array(["" if value is None else str(value) for value in values], dtype=object)


def _times(values: Sequence[Any]) -> Any:
    """0 and the end of a connection that is open: none."""
    np = _numpy()
    ns = np.array([0 if value is None else value for value in values], dtype="int64")
    times = ns.astype("datetime64[ns]")
    times[(ns <= 0) | (ns == _OPEN)] = np.datetime64("NaT")
    return times


def _addresses(values: Sequence[Any]) -> Any:
    return _texts([ipaddress.ip_address(value) if value else "" for value in values])


def _histograms(values: Sequence[Any]) -> Any:
    np = _numpy()
    rows = [histogram.unpack(value or b"") for value in values]
    return np.stack(rows) if rows else np.zeros((0, histogram.BUCKETS), dtype=np.uint32)


# Column of the result, its kind, and where it comes from if that has another name.
_Column = Tuple[str, Callable[[Sequence[Any]], Any], str]


def _columns(kind: Callable[[Sequence[Any]], Any], *names: str) -> List[_Column]:
    return [(name, kind, name) for name in names]


_CONNECTIONS: List[_Column] = [
    ("opened", _times, "opened_ns"),
    ("closed", _times, "closed_ns"),
    ("local", _addresses, "local"),
    ("remote", _addresses, "remote"),
    *_columns(_texts, "program", "interface"),
    *_columns(_numbers, "pid", "uid", "protocol", "kind", "accepted", "state", "ending", "local_port", "remote_port"),
    *_columns(_numbers, "rx_bytes", "tx_bytes", "rx_packets", "tx_packets", "ring_drops", "drops", "retransmissions"),
    *_columns(_numbers, "srtt_us", "latency_count"),
    *_columns(_reals, "duration_ns", "p50_ns", "p90_ns", "p99_ns", "p99_9_ns", "max_ns"),
]
_KERNEL: List[_Column] = [
    ("at", _times, "at_ns"),
    ("local", _addresses, "local"),
    ("remote", _addresses, "remote"),
    *_columns(_texts, "program", "reason"),
    *_columns(_numbers, "pid", "uid", "protocol", "local_port", "remote_port"),
]
_CLOCK: List[_Column] = [
    ("at", _times, "at_ns"),
    *_columns(_texts, "status", "selected"),
    *_columns(_reals, "stratum", "offset_ns", "bound_ns", "bound_utc_ns", "frequency_ppm", "frequency_sigma_ppb"),
    *_columns(_reals, "system_offset_ns", "root_delay_ns", "root_dispersion_ns", "disruptions"),
]
_COUNTERS: List[_Column] = [("at", _times, "at_ns"), *_columns(_numbers, "value", "change")]
_RUNS: List[_Column] = [
    ("at", _times, "at_ns"),
    *_columns(_numbers, "id", "nodes", "rounds"),
    *_columns(_reals, "duration_s"),
    *_columns(_texts, "title", "pattern", "version", "verdict", "reason"),
]
_RESULTS: List[_Column] = [
    *_columns(_texts, "stack", "phase", "name", "class", "verdict"),
    *_columns(_numbers, "level", "received", "lost"),
    *_columns(_reals, "limit_ns", "bound_ns", "p50_ns", "p99_ns", "p99_9_ns", "max_ns"),
]
_EVENTS: List[_Column] = [("at", _times, "at_ns"), *_columns(_texts, "subject", "text")]
_GAPS: List[_Column] = [
    ("begin", _times, "from_ns"),
    ("end", _times, "to_ns"),
    *_columns(_texts, "what", "text"),
    *_columns(_reals, "lost"),
]


def _ns(time: Any) -> int:
    return int(_numpy().datetime64(time, "ns").astype("int64"))


class History:
    """One database, for one thread. Close it, or use it with `with`."""

    def __init__(self, path: Optional[str] = None) -> None:
        self.path = path or DEFAULT_FILE
        if not os.path.exists(self.path):
            raise HistoryError(f"{self.path}: there is no such file: does lockstep-historyd run?")
        try:
            self._db = sqlite3.connect(f"file:{quote(self.path)}?mode=ro", uri=True, timeout=5.0)
            self.version: int = self._db.execute("PRAGMA user_version").fetchone()[0]
        except sqlite3.Error as error:
            raise HistoryError(f"{self.path}: {error}") from None
        if self.version not in VERSIONS:
            self._db.close()
            raise HistoryError(f"{self.path}: version {self.version} of the history, this is for {VERSIONS[-1]}")

    def __enter__(self) -> "History":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._db.close()

    def connections(
        self,
        since: Any = None,
        until: Any = None,
        program: Optional[str] = None,
        port: Optional[int] = None,
        histograms: bool = False,
    ) -> "Columns":
        """Accelerated connections that were open at some time between `since` and `until`, the earliest first. program: a
        pattern with "*"; port: local or remote. With histograms: "histogram", 128 counters a row."""
        where: List[Tuple[str, Any]] = []
        if since is not None:
            where.append(("closed_ns >= ?", _ns(since)))
        if until is not None:
            where.append(("opened_ns <= ?", _ns(until)))
        if program is not None:
            where.append(("program GLOB ?", program))
        if port is not None:
            where.append(("? IN (local_port, remote_port)", port))
        columns = _CONNECTIONS + ([("histogram", _histograms, "histogram")] if histograms else [])
        return self._select("connections", columns, where, "opened_ns, id")

    def kernel(self, since: Any = None, until: Any = None, program: Optional[str] = None) -> "Columns":
        """Sockets that stayed with the kernel, and why."""
        where = self._between(since, until)
        if program is not None:
            where.append(("program GLOB ?", program))
        return self._select("kernel", _KERNEL, where)

    def clock(self, since: Any = None, until: Any = None) -> "Columns":
        return self._select("clock", _CLOCK, self._between(since, until))

    def series(self) -> List[str]:
        """Names for counters()."""
        return [row[0] for row in self._rows("SELECT name FROM series ORDER BY name", ())]

    def counters(self, series: str, since: Any = None, until: Any = None) -> "Columns":
        """One counter over time: its value, and by how much it had grown since the sample before."""
        where = self._between(since, until)
        where.append(("series = (SELECT id FROM series WHERE name = ?)", series))
        return self._select("counters", _COUNTERS, where)

    def runs(self, since: Any = None, until: Any = None) -> "Columns":
        """Runs of the test bed; results() has each one's types of messages."""
        return self._select("runs", _RUNS, self._between(since, until))

    def results(self, run: int) -> "Columns":
        """run: an "id" of runs()."""
        return self._select("run_results", _RESULTS, [("run = ?", int(run))], "id")

    def events(self, since: Any = None, until: Any = None) -> "Columns":
        return self._select("events", _EVENTS, self._between(since, until))

    def gaps(self) -> "Columns":
        """Times of which the history does not know everything."""
        return self._select("gaps", _GAPS, [], "id")

    @staticmethod
    def _between(since: Any, until: Any) -> List[Tuple[str, Any]]:
        where: List[Tuple[str, Any]] = []
        if since is not None:
            where.append(("at_ns >= ?", _ns(since)))
        if until is not None:
            where.append(("at_ns <= ?", _ns(until)))
        return where

    def _rows(self, query: str, parameters: Sequence[Any]) -> List[Tuple[Any, ...]]:
        try:
            return self._db.execute(query, parameters).fetchall()
        except sqlite3.Error as error:
            raise HistoryError(f"{self.path}: {error}") from None

    def _select(
        self, table: str, columns: List[_Column], where: List[Tuple[str, Any]], order: str = "at_ns, id"
    ) -> "Columns":
        query = f"SELECT {', '.join(column[2] for column in columns)} FROM {table}"
        if where:
            query += " WHERE " + " AND ".join(condition for condition, _ in where)
        rows = self._rows(f"{query} ORDER BY {order}", [value for _, value in where])
        values = list(zip(*rows)) if rows else [()] * len(columns)
        return {name: kind(column) for (name, kind, _), column in zip(columns, values)}
