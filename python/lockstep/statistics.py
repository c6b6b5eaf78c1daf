# SPDX-License-Identifier: BSD-2-Clause
"""What `lockstep status`, `connections` and `clock` report, read from their JSON.

A newer or older service may report other members: those that are missing are 0, empty or None here, and all that came is
in `raw`. An answer that is none is a StatisticsError."""

import dataclasses
import json
import subprocess
from typing import Any, Dict, List, Mapping, Optional, Tuple, Type, TypeVar

Raw = Mapping[str, Any]
_Record = TypeVar("_Record", bound="Record")

TIMEOUT_S = 10.0


class StatisticsError(Exception):
    """The service or the clock cannot be asked; the text is what `lockstep` says."""


@dataclasses.dataclass(frozen=True)
class Record:
    """Fields have the names of the report's members."""

    raw: Raw = dataclasses.field(repr=False, compare=False)

    @classmethod
    def from_json(cls: Type[_Record], raw: Any) -> _Record:
        if not isinstance(raw, dict):
            raise StatisticsError(f"{cls.__name__}: the report has {type(raw).__name__} where an object is expected")
        values: Dict[str, Any] = {"raw": raw}
        for field in dataclasses.fields(cls):
            if field.name != "raw" and field.name in raw:
                values[field.name] = _checked(cls.__name__, field, raw[field.name])
        return cls(**values)


def _checked(where: str, field: "dataclasses.Field[Any]", value: Any) -> Any:
    """The value, if it is of the kind that the field's default has; a default of None stands for any number."""
    kind: Any = dict if field.default is dataclasses.MISSING else type(field.default)
    if kind is tuple and isinstance(value, list):
        return tuple(value)
    if kind is type(None):
        kind = (int, float, type(None))
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise StatisticsError(f"{where}: the report's {field.name} is {value!r}")
    return value


@dataclasses.dataclass(frozen=True)
class Interface(Record):
    name: str = ""
    mode: str = ""  #: how the divert is attached: "xdp-native", "xdp-generic", "tc", "not attached"
    why: str = ""
    mtu: int = 0
    mac: str = ""
    up: bool = False
    addresses: Tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Lane(Record):
    """An accelerated process."""

    lane: int = 0
    pid: int = 0
    uid: int = 0
    program: str = ""
    injector: str = ""
    device: str = ""
    since: int = 0  #: seconds since 1970
    flows: int = 0
    ring_bytes: int = 0
    rx_packets: int = 0
    rx_bytes: int = 0
    tx_packets: int = 0
    tx_bytes: int = 0
    overruns: int = 0  #: packets lost because the ring was full
    bad_packets: int = 0
    wakeups: int = 0
    sleeps: int = 0
    ring_high_water: int = 0
    send_failures: int = 0


@dataclasses.dataclass(frozen=True)
class Status(Record):
    version: str = ""
    pid: int = 0
    uptime_s: int = 0
    interfaces: Tuple[Interface, ...] = ()
    lanes: Tuple[Lane, ...] = ()
    totals: Mapping[str, int] = dataclasses.field(default_factory=dict)
    divert: Mapping[str, int] = dataclasses.field(default_factory=dict)  #: packets, by what became of them


@dataclasses.dataclass(frozen=True)
class Flow(Record):
    """An accelerated socket."""

    lane: int = 0
    flow: int = 0
    pid: int = 0
    uid: int = 0
    program: str = ""
    protocol: str = ""  #: "tcp", "udp"
    family: str = ""  #: "ipv4", "ipv6"
    kind: str = ""  #: "connect", "bound", "multicast", "accepted"
    local: str = ""
    remote: str = ""
    state: str = ""
    interface: str = ""
    since: int = 0
    rx_bytes: int = 0
    tx_bytes: int = 0
    rx_packets: int = 0
    tx_packets: int = 0
    drops: int = 0
    ring_drops: int = 0
    retransmissions: int = 0
    srtt_us: int = 0  #: smoothed round trip
    cwnd: int = 0


@dataclasses.dataclass(frozen=True)
class KernelSocket(Record):
    """A socket that stayed with the kernel, and why."""

    pid: int = 0
    uid: int = 0
    program: str = ""
    protocol: str = ""
    local: str = ""
    remote: str = ""
    reason: str = ""
    since: int = 0


@dataclasses.dataclass(frozen=True)
class Connections(Record):
    flows: Tuple[Flow, ...] = ()
    kernel: Tuple[KernelSocket, ...] = ()  #: the latest


@dataclasses.dataclass(frozen=True)
class ClockStatus(Record):
    status: str = ""  #: "synchronised", "holdover", "unsynchronised", "disrupted"
    torn: bool = False
    updates: int = 0
    disruptions: int = 0
    counter: str = ""
    counter_hz: Optional[float] = None
    bound_ns: Optional[int] = None
    bound_utc_ns: Optional[int] = None
    age_ns: Optional[int] = None
    void_in_ns: Optional[int] = None
    tai_utc_s: int = 0
    leap: int = 0


def report(*arguments: str, program: str = "lockstep") -> Dict[str, Any]:
    """The document that `lockstep ARGUMENTS --json` prints. StatisticsError."""
    command = [program, *arguments, "--json"]
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=TIMEOUT_S, check=False)
    except OSError as error:
        raise StatisticsError(f"{program}: {error.strerror}") from None
    except subprocess.TimeoutExpired:
        raise StatisticsError(f"{' '.join(command)}: no answer within {TIMEOUT_S:g} s") from None
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip()
        raise StatisticsError(said or f"{' '.join(command)}: exit status {done.returncode}")
    try:
        document = json.loads(done.stdout)
    except ValueError as error:
        raise StatisticsError(f"{' '.join(command)}: not JSON: {error}") from None
    if not isinstance(document, dict):
        raise StatisticsError(f"{' '.join(command)}: the document is no object")
    return document


def _at(runtime_dir: Optional[str]) -> List[str]:
    return ["--runtime-dir", runtime_dir] if runtime_dir else []


def _records(kind: Type[_Record], document: Raw, key: str) -> Tuple[_Record, ...]:
    elements = document.get(key, [])
    if not isinstance(elements, list):
        raise StatisticsError(f"{key}: the report has {type(elements).__name__} where a list is expected")
    return tuple(kind.from_json(element) for element in elements)


def status_of(document: Raw) -> Status:
    """From a document that is there already (one that was stored)."""
    plain = {key: value for key, value in document.items() if key not in ("interfaces", "lanes")}
    return dataclasses.replace(
        Status.from_json(plain),
        raw=document,
        interfaces=_records(Interface, document, "interfaces"),
        lanes=_records(Lane, document, "lanes"),
    )


def connections_of(document: Raw) -> Connections:
    """From a document that is there already."""
    return Connections(
        raw=document, flows=_records(Flow, document, "flows"), kernel=_records(KernelSocket, document, "kernel")
    )


def status(runtime_dir: Optional[str] = None, program: str = "lockstep") -> Status:
    """The service, its interfaces and lanes. runtime_dir: lockstep-netd's, if not the usual one."""
    return status_of(report("status", *_at(runtime_dir), program=program))


def connections(runtime_dir: Optional[str] = None, program: str = "lockstep") -> Connections:
    """The accelerated sockets, and those that stayed with the kernel."""
    return connections_of(report("connections", *_at(runtime_dir), program=program))


def clock(path: Optional[str] = None, program: str = "lockstep") -> ClockStatus:
    """The clock's state, and lockstep-clockd's own report, if it runs, as raw["daemon"]."""
    return ClockStatus.from_json(report("clock", "status", *(["--clock", path] if path else []), program=program))


def clock_sources(runtime_dir: Optional[str] = None, program: str = "lockstep") -> Dict[str, Any]:
    """lockstep-clockd's servers."""
    return report("clock", "sources", *_at(runtime_dir), program=program)
