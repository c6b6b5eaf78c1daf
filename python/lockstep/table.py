# SPDX-License-Identifier: BSD-2-Clause
"""Lanes and connections of the moment as NumPy arrays, straight from lockstep-netd: quicker than its JSON, with each
connection's latency histogram.

    table = lockstep.table.read(histograms=True)
    busy = table.connections[table.connections["rx_bytes"] > 1_000_000]
    print(lockstep.histogram.quantile(table.histograms.sum(axis=0), [0.5, 0.99, 0.999]))

The layout is that of service/connection_table.h, whose version is checked. Needs NumPy."""

import array
import ctypes
import dataclasses
import ipaddress
import os
import socket
import struct
from typing import TYPE_CHECKING, Any, List, Optional, Tuple, Type

from .histogram import BUCKETS
from .statistics import StatisticsError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

DEFAULT_DIR = "/run/lockstep"
TIMEOUT_S = 10.0
_MAGIC = 0x4C535442
_VERSION = 1
_CONTROL_MAGIC = 0x4C4B5350
_CONTROL_VERSION = 1
_HELLO = 1
_REPORT = 12
_REPORT_TABLE = 2
_REPORT_HISTOGRAMS = 3


class _Header(ctypes.Structure):
    _fields_ = [
        ("magic", ctypes.c_uint32),
        ("version", ctypes.c_uint16),
        ("histogram_buckets", ctypes.c_uint16),
        ("lane_size", ctypes.c_uint32),
        ("connection_size", ctypes.c_uint32),
        ("lane_count", ctypes.c_uint32),
        ("connection_count", ctypes.c_uint32),
        ("instance", ctypes.c_uint64),
        ("monotonic_ns", ctypes.c_uint64),
        ("realtime_ns", ctypes.c_int64),
    ]


class _Endpoint(ctypes.Structure):
    _fields_ = [("address", ctypes.c_uint8 * 16), ("port", ctypes.c_uint16)]


class _Lane(ctypes.Structure):
    _fields_ = [
        ("lane", ctypes.c_uint32),
        ("pid", ctypes.c_uint32),
        ("uid", ctypes.c_uint32),
        ("injector", ctypes.c_uint32),
        ("program", ctypes.c_char * 64),
        ("device", ctypes.c_char * 16),
        ("since_ns", ctypes.c_int64),
        ("ring_bytes", ctypes.c_uint64),
        ("ring_high_water", ctypes.c_uint64),
        ("rx_packets", ctypes.c_uint64),
        ("rx_bytes", ctypes.c_uint64),
        ("tx_packets", ctypes.c_uint64),
        ("tx_bytes", ctypes.c_uint64),
        ("overruns", ctypes.c_uint64),
        ("bad_packets", ctypes.c_uint64),
        ("send_failures", ctypes.c_uint64),
        ("guard_drops", ctypes.c_uint64),
        ("sleeps", ctypes.c_uint64),
        ("wakeups", ctypes.c_uint64),
        ("spin_ns", ctypes.c_uint64),
        ("flows", ctypes.c_uint32),
        ("pad", ctypes.c_uint32),
    ]


class _Connection(ctypes.Structure):
    _fields_ = [
        ("key", ctypes.c_uint64),
        ("lane", ctypes.c_uint32),
        ("flow", ctypes.c_uint32),
        ("pid", ctypes.c_uint32),
        ("uid", ctypes.c_uint32),
        ("program", ctypes.c_char * 64),
        ("interface", ctypes.c_char * 16),
        ("local", _Endpoint),
        ("remote", _Endpoint),
        ("protocol", ctypes.c_uint8),
        ("kind", ctypes.c_uint8),
        ("accepted", ctypes.c_uint8),
        ("tcp_state", ctypes.c_uint8),
        ("slot", ctypes.c_uint32),
        ("since_ns", ctypes.c_int64),
        ("rx_bytes", ctypes.c_uint64),
        ("tx_bytes", ctypes.c_uint64),
        ("rx_packets", ctypes.c_uint64),
        ("tx_packets", ctypes.c_uint64),
        ("ring_drops", ctypes.c_uint64),
        ("drops", ctypes.c_uint32),
        ("retransmissions", ctypes.c_uint32),
        ("srtt_us", ctypes.c_uint32),
        ("cwnd", ctypes.c_uint32),
        ("snd_wnd", ctypes.c_uint32),
        ("latency_p50_ns", ctypes.c_uint32),
        ("latency_p90_ns", ctypes.c_uint32),
        ("latency_p99_ns", ctypes.c_uint32),
        ("latency_p999_ns", ctypes.c_uint32),
        ("latency_max_ns", ctypes.c_uint32),
        ("latency_count", ctypes.c_uint64),
    ]


@dataclasses.dataclass(frozen=True)
class Table:
    """Arrays have one row for each lane or connection, and the fields that service/connection_table.h explains; "local" and
    "remote" have the fields "address" (16 bytes) and "port", see endpoint()."""

    instance: int  #: of the service: keys of connections are unique within one
    monotonic_ns: int  #: when it was made
    realtime_ns: int
    lanes: "npt.NDArray[np.void]"
    connections: "npt.NDArray[np.void]"
    histograms: "Optional[npt.NDArray[np.uint32]]"  #: one row of 128 counters for each connection, or None


def endpoint(value: Any) -> Tuple[str, int]:
    """Address and port of a "local" or "remote"."""
    address = ipaddress.IPv6Address(bytes(value["address"]))
    return str(address.ipv4_mapped or address), int(value["port"])


def _rows(structure: Type[ctypes.Structure], data: bytes, at: int, count: int, size: int) -> "npt.NDArray[np.void]":
    """A newer service's rows are longer."""
    import numpy as np

    names: List[str] = [field[0] for field in structure._fields_]
    formats: List[Any] = []
    for name in names:
        kind = dict((field[0], field[1]) for field in structure._fields_)[name]
        if kind is _Endpoint:
            formats.append(
                np.dtype({"names": ["address", "port"], "formats": [("u1", 16), "u2"], "offsets": [0, 16], "itemsize": 18})
            )
        elif issubclass(kind, ctypes.Array):
            formats.append(f"S{ctypes.sizeof(kind)}")
        else:
            formats.append(np.dtype(kind))
    offsets = [getattr(structure, name).offset for name in names]
    row = np.dtype({"names": names, "formats": formats, "offsets": offsets, "itemsize": size})
    return np.frombuffer(data, dtype=row, count=count, offset=at)


def parse(data: bytes) -> Table:
    """A table that was fetched before. StatisticsError: it is none, or of another version."""
    import numpy as np

    if len(data) < ctypes.sizeof(_Header):
        raise StatisticsError(f"the table has {len(data)} bytes, less than its header")
    head = _Header.from_buffer_copy(data)
    if head.magic != _MAGIC:
        raise StatisticsError("this is no table of connections")
    if head.version != _VERSION:
        raise StatisticsError(f"the table is of version {head.version}, this is for {_VERSION}")
    plain = head.connection_size - 4 * head.histogram_buckets
    if (
        head.histogram_buckets not in (0, BUCKETS)
        or head.lane_size < ctypes.sizeof(_Lane)
        or plain < ctypes.sizeof(_Connection)
        or head.lane_size % 8
        or head.connection_size % 8
        or ctypes.sizeof(_Header) + head.lane_size * head.lane_count + head.connection_size * head.connection_count
        > len(data)
    ):
        raise StatisticsError("the table's header does not fit its contents")
    at = ctypes.sizeof(_Header)
    lanes = _rows(_Lane, data, at, head.lane_count, head.lane_size)
    at += head.lane_size * head.lane_count
    connections = _rows(_Connection, data, at, head.connection_count, head.connection_size)
    histograms = None
    if head.histogram_buckets:
        counters = np.dtype(
            {"names": ["c"], "formats": [("u4", BUCKETS)], "offsets": [plain], "itemsize": head.connection_size}
        )
        histograms = np.frombuffer(data, dtype=counters, count=head.connection_count, offset=at)["c"]
    return Table(head.instance, head.monotonic_ns, head.realtime_ns, lanes, connections, histograms)


# ---- asking the service (service/control.h) ----

_CONTROL = struct.Struct("=IHHIi")


def _exchange(sock: socket.socket, kind: int, sequence: int, body: bytes) -> int:
    """The descriptor of the answer (the caller closes it), or -1."""
    sock.send(_CONTROL.pack(_CONTROL_MAGIC, _CONTROL_VERSION, kind, sequence, 0) + body)
    data, ancillary, _, _ = sock.recvmsg(65536, socket.CMSG_SPACE(8 * 4), socket.MSG_CMSG_CLOEXEC)
    files = array.array("i")
    for level, what, content in ancillary:
        if (level, what) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            files.frombytes(content[: len(content) - len(content) % files.itemsize])
    for extra in files[1:]:
        os.close(extra)
    first = files[0] if files else -1
    if len(data) < _CONTROL.size:
        problem = "the service has hung up" if not data else "the service's answer is too short"
    else:
        magic, _, answered, number, status = _CONTROL.unpack_from(data)
        if (magic, answered, number) == (_CONTROL_MAGIC, kind, sequence) and status == 0:
            return first
        problem = f"the service has refused ({status})" if magic == _CONTROL_MAGIC else "this is not the service"
    if first >= 0:
        os.close(first)
    raise StatisticsError(problem)


def _fetch(directory: str, kind: int) -> bytes:
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as sock:
        sock.settimeout(TIMEOUT_S)
        sock.connect(os.path.join(directory, "netd.sock"))
        state = _exchange(sock, _HELLO, 1, b"python3".ljust(64, b"\0"))
        if state >= 0:
            os.close(state)
        report = _exchange(sock, _REPORT, 2, struct.pack("=II", kind, 0))
        if report < 0:
            raise StatisticsError("the service has sent no table")
        with open(report, "rb") as file:
            file.seek(0)
            return file.read()


def read(histograms: bool = False, runtime_dir: Optional[str] = None) -> Table:
    """The table now, with a histogram for each connection if wanted. runtime_dir: lockstep-netd's, if neither the usual one
    nor $LOCKSTEP_RUNTIME_DIR. StatisticsError."""
    directory = runtime_dir or os.environ.get("LOCKSTEP_RUNTIME_DIR") or DEFAULT_DIR
    try:
        data = _fetch(directory, _REPORT_HISTOGRAMS if histograms else _REPORT_TABLE)
    except OSError as error:
        raise StatisticsError(f"lockstep-netd at {directory} cannot be asked: {error.strerror or error}") from None
    return parse(data)
