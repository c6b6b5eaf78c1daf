# SPDX-License-Identifier: BSD-2-Clause
"""Latency histograms of connections: 128 counters, four to a power of two (from 16 ns), as arrays. Needs NumPy."""

from typing import TYPE_CHECKING, Any, Union

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Counts = npt.NDArray[np.uint32]

BUCKETS = 128
_FINE_PER_POWER = 16
_FINE_PER_BUCKET = 4


class HistogramError(ValueError):
    """The bytes are no histogram."""


def bounds() -> "npt.NDArray[np.uint64]":
    """Smallest and largest latency (ns) of each bucket, shape (128, 2). The last one has no upper end: 2**64 - 1."""
    import numpy as np

    fine = np.arange(0, BUCKETS * _FINE_PER_BUCKET, _FINE_PER_BUCKET, dtype=np.uint64)
    shift = np.maximum(fine // _FINE_PER_POWER, 1) - 1
    low = np.where(fine < _FINE_PER_POWER, fine, (_FINE_PER_POWER + fine % _FINE_PER_POWER) << shift)
    high = np.append(low[1:] - 1, np.uint64(2**64 - 1))
    result: "npt.NDArray[np.uint64]" = np.stack([low, high], axis=1).astype(np.uint64)
    return result


def quantile(histogram: "npt.ArrayLike", q: "Union[float, npt.ArrayLike]") -> "npt.NDArray[np.float64]":
    """The latency (ns) that a share q (0 to 1) of what was counted does not exceed; NaN if nothing was. Buckets are in the
    last dimension, of which any number before it are merged by the caller's sum(). Values are taken as evenly spread in their
    bucket; those of the last one count as its lower end."""
    import numpy as np

    counts = np.asarray(histogram, dtype=np.float64)
    if counts.shape[-1:] != (BUCKETS,):
        raise HistogramError(f"a histogram has {BUCKETS} counters, not {counts.shape}")
    shares = np.asarray(q, dtype=np.float64)
    if not ((shares >= 0) & (shares <= 1)).all():
        raise ValueError(f"a share is 0 to 1, not {q!r}")
    rows = counts.reshape(-1, BUCKETS)
    columns = [_quantiles(np, rows, share) for share in shares.reshape(-1)]
    result: "npt.NDArray[np.float64]" = np.array(columns).reshape(shares.size, rows.shape[0]).T
    return result.reshape(counts.shape[:-1] + shares.shape)


def _quantiles(np: Any, rows: "npt.NDArray[np.float64]", share: float) -> "npt.NDArray[np.float64]":
    """One share of each row."""
    low, high = bounds().astype(np.float64).T
    sums = np.cumsum(rows, axis=1)
    total = sums[:, -1]
    rank = np.maximum(1.0, np.ceil(share * total))  # nearest rank
    bucket = np.minimum((sums < rank[:, None]).sum(axis=1), BUCKETS - 1)
    row = np.arange(len(rows))
    inside = np.maximum(rows[row, bucket], 1.0)
    part = np.where(bucket == BUCKETS - 1, 0.0, (rank - (sums[row, bucket] - inside)) / inside)
    result: "npt.NDArray[np.float64]" = np.where(total == 0, np.nan, low[bucket] + (high - low)[bucket] * part)
    return result


def unpack(packed: bytes) -> "Counts":
    """A histogram as the history database keeps it: for each bucket in use the empty ones before it and its count, as
    numbers of seven bits a byte. HistogramError."""
    import numpy as np

    counts = np.zeros(BUCKETS, dtype=np.uint32)
    numbers = list(_numbers(packed))
    if len(numbers) % 2:
        raise HistogramError("a packed histogram ends early")
    bucket = 0
    for empty, count in zip(numbers[::2], numbers[1::2]):
        bucket += empty
        if bucket >= BUCKETS or not 0 < count < 2**32:
            raise HistogramError("a packed histogram has a number out of range")
        counts[bucket] = count
        bucket += 1
    return counts


def _numbers(packed: bytes) -> Any:
    value = shift = 0
    for byte in packed:
        value |= (byte & 127) << shift
        shift += 7
        if shift > 35:
            raise HistogramError("a packed histogram has a number out of range")
        if byte < 128:
            yield value
            value = shift = 0
    if shift:
        raise HistogramError("a packed histogram ends early")
