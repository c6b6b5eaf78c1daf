# SPDX-License-Identifier: BSD-2-Clause
"""The node's common time. All times are nanoseconds since 1970-01-01 00:00:00 on the named scale, as int."""

import ctypes
import enum
import operator
import os
import time as _time
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple, Optional, Type, Union

from . import _library
from ._library import InfoStruct, TimeStruct, library

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

_INT64_MAX = 2**63 - 1
_COUNTER_MAX = 2**64 - 1
_WAIT_MS_MAX = 2**31 - 1


class Timescale(enum.IntEnum):
    TAI = 0  #: no leap seconds; what intervals and comparisons between nodes should use
    UTC = 1  #: as the system's clock counts: an inserted leap second shows the last second twice


class Status(enum.IntEnum):
    UNSYNCHRONISED = 0  #: never set since the daemon's start, or out of date: there is no time
    SYNCHRONISED = 1
    HOLDOVER = 2  #: no server at present; the bound grows
    DISRUPTED = 3  #: the counter or the time jumped; there is no time until the daemon has found it again


class ClockError(Exception):
    """What the library says is wrong. code: its error, a negative number (lockstep/clock.h)."""

    def __init__(self, code: int, what: str = "") -> None:
        text = library().lockstep_clock_error_text(code).decode()
        super().__init__(f"{what}: {text}" if what else text)
        self.code = code


class ForeignError(ClockError):
    """Not a clock segment, or one of another boot or another counter."""


class VersionError(ClockError):
    """A segment of another ABI version."""


class TruncatedError(ClockError):
    """A segment that is shorter than it says."""


class TornError(ClockError):
    """The daemon died in the middle of an update; a new one mends it."""


class NoTimeError(ClockError):
    """Unsynchronised, disrupted or out of date. status says which."""

    def __init__(self, code: int, status: Status) -> None:
        super().__init__(code, status.name.lower())
        self.status = status


class RangeError(ClockError):
    """A counter value that is too far from the clock's reference."""


_ERRORS: "dict[int, Type[ClockError]]" = {
    _library.E_FOREIGN: ForeignError,
    _library.E_VERSION: VersionError,
    _library.E_TRUNCATED: TruncatedError,
    _library.E_TORN: TornError,
    _library.E_RANGE: RangeError,
}


def _error(code: int, what: str = "") -> Exception:
    """The exception for one of the library's errors: an OSError for the system's."""
    if code in _ERRORS:
        return _ERRORS[code](code, what)
    if -4096 < code < 0:
        return OSError(-code, os.strerror(-code), what or None)
    return ClockError(code, what)


class Time(NamedTuple):
    """A time with its error bound: the true time (of the server) lies between earliest_ns and latest_ns."""

    ns: int
    earliest_ns: int
    latest_ns: int
    status: Status
    disruptions: int  #: times with different counts must not be compared as if nothing had happened

    @property
    def bound_ns(self) -> int:
        return self.latest_ns - self.ns

    def datetime64(self) -> "np.datetime64":
        """As numpy.datetime64[ns]. Needs NumPy."""
        value: "np.datetime64" = _numpy().datetime64(self.ns, "ns")
        return value


class Interval(NamedTuple):
    """ns from one counter value to another, within error_ns."""

    ns: int
    error_ns: int


class Times(NamedTuple):
    """The times of an array of counter values, all by one state of the clock."""

    ns: "npt.NDArray[np.int64]"  #: where `valid` is false: the smallest int64, which datetime64 takes for "not a time"
    bound_ns: "npt.NDArray[np.int64]"  #: where `valid` is false: the largest int64
    valid: "npt.NDArray[np.bool_]"  #: false: too far from the clock's reference
    disruptions: int

    def datetime64(self) -> "npt.NDArray[np.datetime64]":
        """As datetime64[ns], the same memory; NaT where there is no time."""
        return self.ns.view("datetime64[ns]")


class Info(NamedTuple):
    """The clock's state. None: not known, or there is no time."""

    status: Status
    disruptions: int
    updates: int  #: of the segment, since it was made
    counter: str  #: "tsc", "monotonic_raw"
    counter_hz: Optional[float]  #: as estimated
    age_ns: Optional[int]  #: since the last update
    bound_ns: Optional[int]  #: now, to the server
    bound_utc_ns: Optional[int]  #: now, to UTC
    void_in_ns: Optional[int]  #: until the time is void; negative: since
    tai_utc_s: int
    leap: int  #: +1, -1: a leap second at the end of the day


class Clock:
    """The node's clock. May be used by many threads at once; close it when none uses it any more."""

    def __init__(self, path: Union[str, "os.PathLike[str]", None] = None) -> None:
        """path: the segment (None: $LOCKSTEP_CLOCK, else /run/lockstep/clock). Works whether or not the daemon runs at
        the moment; FileNotFoundError if it never did."""
        self._handle = ctypes.c_void_p()
        name = None if path is None else os.fspath(path)
        if name and "\0" in name:
            raise ValueError("a path has no zero byte")
        encoded = None if name is None else os.fsencode(name)
        code = library().lockstep_clock_open(encoded, ctypes.byref(self._handle))
        if code < 0:
            raise _error(code, name or os.environ.get("LOCKSTEP_CLOCK") or "/run/lockstep/clock")

    def close(self) -> None:
        """Closing it again does nothing; any other use of a closed clock is a ValueError."""
        handle, self._handle = self._handle, ctypes.c_void_p()
        if handle:
            library().lockstep_clock_close(handle)

    def __enter__(self) -> "Clock":
        return self

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        self.close()

    def __del__(self) -> None:
        if getattr(self, "_handle", None):
            self.close()

    @property
    def closed(self) -> bool:
        return not self._handle

    def _open_handle(self) -> ctypes.c_void_p:
        if not self._handle:
            raise ValueError("the clock is closed")
        return self._handle

    def now(self, scale: Timescale = Timescale.UTC) -> Time:
        """The time. NoTimeError if there is none."""
        out = TimeStruct()
        return _time_of(library().lockstep_clock_now(self._open_handle(), scale, ctypes.byref(out)), out)

    def now_ordered(self, scale: Timescale = Timescale.UTC) -> Time:
        """The same, never before a time that another thread has read and passed on."""
        out = TimeStruct()
        return _time_of(library().lockstep_clock_now_ordered(self._open_handle(), scale, ctypes.byref(out)), out)

    def counter(self) -> int:
        """The counter, read now: a stamp that costs little and is converted later."""
        return int(library().lockstep_clock_counter(self._open_handle()))

    def at(self, counter: int, scale: Timescale = Timescale.UTC) -> Time:
        """The time of a counter value of the past (up to 1000 s) or the near future. NoTimeError, RangeError."""
        out = TimeStruct()
        code = library().lockstep_clock_at(self._open_handle(), _counter(counter), scale, ctypes.byref(out))
        return _time_of(code, out)

    def at_many(self, counters: "npt.ArrayLike", scale: Timescale = Timescale.UTC) -> Times:
        """The times of an array of counter values (unsigned, or integers that are not negative), in its shape; all by
        one state of the clock. Values that are too far away have no time: see Times. Needs NumPy."""
        numpy = _numpy()
        values = _counters(numpy, counters)
        ns = numpy.empty(values.shape, dtype=numpy.int64)
        bound = numpy.empty(values.shape, dtype=numpy.int64)
        disruptions = ctypes.c_uint32()
        code = library().lockstep_clock_at_many(
            self._open_handle(),
            values.ctypes.data,
            values.size,
            scale,
            ns.ctypes.data,
            bound.ctypes.data,
            ctypes.byref(disruptions),
        )
        if code < 0 and code != _library.E_RANGE:
            raise self._no_time(code)
        return Times(ns, bound, ns != numpy.iinfo(numpy.int64).min, disruptions.value)

    def _no_time(self, code: int) -> Exception:
        if code != _library.E_NO_TIME:
            return _error(code)
        out = TimeStruct()
        library().lockstep_clock_now(self._open_handle(), Timescale.TAI, ctypes.byref(out))
        return NoTimeError(code, Status(out.status))

    def difference(self, earlier: int, later: int) -> Interval:
        """From one counter value to another by the difference clock, which never jumps when the time is corrected; for
        less than 1000 s. Negative if they are the other way round."""
        ns, error = ctypes.c_int64(), ctypes.c_int64()
        code = library().lockstep_clock_difference(
            self._open_handle(), _counter(earlier), _counter(later), ctypes.byref(ns), ctypes.byref(error)
        )
        if code < 0:
            raise self._no_time(code)
        return Interval(ns.value, error.value)

    def info(self) -> Info:
        out = InfoStruct()
        code = library().lockstep_clock_get_info(self._open_handle(), ctypes.byref(out))
        if code < 0:
            raise _error(code)
        begun = out.counter_hz > 0
        return Info(
            status=Status(out.status),
            disruptions=out.disruptions,
            updates=out.updates,
            counter=out.counter.decode(),
            counter_hz=out.counter_hz if begun else None,
            age_ns=out.age_ns if begun else None,
            bound_ns=out.bound_ns if out.bound_ns != _INT64_MAX else None,
            bound_utc_ns=out.bound_utc_ns if out.bound_utc_ns != _INT64_MAX else None,
            void_in_ns=out.void_in_ns if begun else None,
            tai_utc_s=out.tai_utc_s,
            leap=out.leap,
        )

    def wait(self, bound_ns: int = 0, timeout: Optional[float] = None) -> None:
        """Waits until the clock is synchronised with a bound of at most bound_ns (0: any). TimeoutError after timeout
        seconds (None: never). Signal handlers run meanwhile, and what they raise ends it."""
        end = None if timeout is None else _time.monotonic() + timeout
        while True:
            code = library().lockstep_clock_wait(self._open_handle(), bound_ns, _milliseconds_until(end))
            if code == 0:
                return
            error = _error(code)
            early = end is None or _time.monotonic() < end
            if isinstance(error, InterruptedError) or (isinstance(error, TimeoutError) and early):
                continue
            raise error

    def fileno(self) -> int:
        """A descriptor that becomes readable when the status or the disruption count changes, for select and asyncio;
        it is the clock's. acknowledge() makes it quiet again."""
        fd = library().lockstep_clock_fd(self._open_handle())
        if fd < 0:
            raise _error(fd)
        return int(fd)

    def acknowledge(self) -> Status:
        """Makes the descriptor quiet until the next change; the present status."""
        code = library().lockstep_clock_acknowledge(self._open_handle())
        if code < 0:
            raise _error(code)
        return Status(code)


def _time_of(code: int, out: TimeStruct) -> Time:
    if code == _library.E_NO_TIME:
        raise NoTimeError(code, Status(out.status))
    if code < 0:
        raise _error(code)
    return Time(out.ns, out.earliest_ns, out.latest_ns, Status(out.status), out.disruptions)


def _counter(value: int) -> int:
    """ctypes would cut off what does not fit."""
    number = operator.index(value)
    if not 0 <= number <= _COUNTER_MAX:
        raise OverflowError(f"{number} is not a counter value (0 to 2**64 - 1)")
    return number


def _milliseconds_until(end: Optional[float]) -> int:
    """-1: without limit. In pieces, where the C library's int is too small."""
    if end is None:
        return -1
    return int(min(max(0.0, end - _time.monotonic()) * 1000 + 0.999, _WAIT_MS_MAX))


def _numpy() -> Any:
    try:
        import numpy
    except ImportError:
        raise ImportError("arrays of times need NumPy (Debian: python3-numpy)") from None
    return numpy


def _counters(numpy: Any, counters: "npt.ArrayLike") -> "npt.NDArray[np.uint64]":
    """In C's order, without a copy if it is one of uint64 already. Floats would have lost the lowest bits."""
    values = numpy.asarray(counters)
    converted: "npt.NDArray[np.uint64]"
    if values.size == 0:
        converted = numpy.empty(values.shape, dtype=numpy.uint64)
    elif values.dtype == object:
        converted = numpy.array([_counter(value) for value in values.flat], dtype=numpy.uint64).reshape(values.shape)
    elif values.dtype.kind not in "ui":
        raise TypeError(f"counter values must be integers, not {values.dtype}")
    elif values.dtype.kind == "i" and (values < 0).any():
        raise OverflowError("a negative number is not a counter value")
    else:
        converted = numpy.ascontiguousarray(values, dtype=numpy.uint64).reshape(values.shape)
    return converted
