# SPDX-License-Identifier: BSD-2-Clause
"""liblockstep-clock as ctypes sees it: the declarations of lockstep/clock.h, nothing more."""

import ctypes
import functools
import os
from ctypes import POINTER, c_char_p, c_double, c_int, c_int32, c_int64, c_size_t, c_uint32, c_uint64, c_void_p
from typing import Any

SONAME = "liblockstep-clock.so.0"
LIBRARY_ENV = "LOCKSTEP_CLOCK_LIBRARY"

E_FOREIGN = -4200
E_VERSION = -4201
E_TRUNCATED = -4202
E_TORN = -4203
E_NO_TIME = -4204
E_RANGE = -4205


class TimeStruct(ctypes.Structure):
    """struct lockstep_time"""

    _fields_ = [
        ("ns", c_int64),
        ("earliest_ns", c_int64),
        ("latest_ns", c_int64),
        ("status", c_int),
        ("disruptions", c_uint32),
    ]


class InfoStruct(ctypes.Structure):
    """struct lockstep_clock_info"""

    _fields_ = [
        ("status", c_int),
        ("disruptions", c_uint32),
        ("updates", c_uint64),
        ("counter", ctypes.c_char * 16),
        ("counter_hz", c_double),
        ("age_ns", c_int64),
        ("bound_ns", c_int64),
        ("bound_utc_ns", c_int64),
        ("void_in_ns", c_int64),
        ("tai_utc_s", c_int32),
        ("leap", c_int32),
    ]


# Handles are c_void_p. Arrays are passed as addresses, so that those of NumPy need no copy.
_PROTOTYPES: "dict[str, tuple[Any, list[Any]]]" = {
    "lockstep_clock_error_text": (c_char_p, [c_int]),
    "lockstep_clock_open": (c_int, [c_char_p, POINTER(c_void_p)]),
    "lockstep_clock_close": (None, [c_void_p]),
    "lockstep_clock_now": (c_int, [c_void_p, c_int, POINTER(TimeStruct)]),
    "lockstep_clock_now_ordered": (c_int, [c_void_p, c_int, POINTER(TimeStruct)]),
    "lockstep_clock_counter": (c_uint64, [c_void_p]),
    "lockstep_clock_at": (c_int, [c_void_p, c_uint64, c_int, POINTER(TimeStruct)]),
    "lockstep_clock_at_many": (
        c_int,
        [c_void_p, c_void_p, c_size_t, c_int, c_void_p, c_void_p, POINTER(c_uint32)],
    ),
    "lockstep_clock_difference": (c_int, [c_void_p, c_uint64, c_uint64, POINTER(c_int64), POINTER(c_int64)]),
    "lockstep_clock_get_info": (c_int, [c_void_p, POINTER(InfoStruct)]),
    "lockstep_clock_wait": (c_int, [c_void_p, c_int64, c_int]),
    "lockstep_clock_fd": (c_int, [c_void_p]),
    "lockstep_clock_acknowledge": (c_int, [c_void_p]),
}


@functools.lru_cache(maxsize=None)
def library() -> ctypes.CDLL:
    """The library: $LOCKSTEP_CLOCK_LIBRARY, else the installed one. OSError if there is none, or it is too old."""
    name = os.environ.get(LIBRARY_ENV) or SONAME
    loaded = ctypes.CDLL(name)
    for function, (result, arguments) in _PROTOTYPES.items():
        try:
            entry = getattr(loaded, function)
        except AttributeError:
            raise OSError(f"{name} is too old: it has no {function}") from None
        entry.restype = result
        entry.argtypes = arguments
    return loaded
