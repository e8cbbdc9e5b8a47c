"""The distribution behind a histogram: log-linear buckets that fold fast and merge exactly.

Pure: values in, numbers out.

A value's bucket is the upper half of its IEEE 754 single-precision pattern: 8 bits of exponent and 7 of
mantissa, so 128 buckets to each power of two. Buckets are ordered as their values are, there is no
configuration that two processes could disagree about, and the array module computes them at C speed.
A bucket is at most 1/128 of its lower edge wide and is reported by its middle, so a percentile is off by
at most 1/256 (0.4 %); counts, `min`, `max` and `sum` are exact.

Percentiles are nearest-rank: the smallest recorded value that at least p of all values do not exceed.
"""

import math
import struct
import sys
from array import array
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from amoc.metrics.packed import PackedDistribution

__all__ = ["LARGEST", "PERCENTILES", "RELATIVE_ERROR", "Distribution", "bucket_of", "middle_of"]

LARGEST = 1e15
"""Values above this (31 years in µs) count as this: it keeps sums and means finite."""

RELATIVE_ERROR = 1 / 256
"""How far a percentile may be from the recorded value, relative to it, for values of 1e-30 and above."""

PERCENTILES = {"median": 500, "95": 950, "99": 990, "999": 999}
"""The points that are percentiles, with their rank in thousandths."""

_UPPER_HALVES = slice(1 if sys.byteorder == "little" else 0, None, 2)


class Distribution(msgspec.Struct, array_like=True):
    """Counts per bucket, with the exact sum and extremes (LARGEST and 0 while empty). Usually in µs."""

    buckets: dict[int, int] = msgspec.field(default_factory=dict)
    sum: float = 0.0
    min: float = LARGEST
    max: float = 0.0

    @property
    def count(self) -> int:
        """How many values were recorded."""
        return sum(self.buckets.values())

    @property
    def empty(self) -> bool:
        """Whether nothing was recorded."""
        return not self.buckets

    def items(self) -> Iterable[tuple[int, int]]:
        """Buckets and their counts."""
        return self.buckets.items()

    def fold(self, values: Sequence[float]) -> Sequence[object]:
        """Record every value; return those that were left out because they are not numbers >= 0."""
        if not values:
            return ()
        try:
            halves = array("H", array("f", values).tobytes())[_UPPER_HALVES]
            total, low, high = float(sum(values)), float(min(values)), float(max(values))
        except (TypeError, ValueError, ArithmeticError):  # text, huge ints, Decimals beside floats
            total = math.nan
        if not (math.isfinite(total) and low >= 0.0 and high <= LARGEST):  # one NaN makes the sum NaN
            usable, unusable = _sorted_out(values)
            self.fold(usable)
            return unusable
        self._merge(Counter(halves).items(), total, low, high)
        return ()

    def add(self, other: "Distribution | PackedDistribution") -> None:
        """Merge the other in. Counts and extremes are exact, the sum to the last bit of a float."""
        self._merge(other.items(), other.sum, other.min, other.max)

    def points(self) -> dict[str, float]:
        """The reported figures: count mean min max median 95 99 999; all 0 when nothing was recorded."""
        count = self.count
        if count == 0:
            return dict.fromkeys(("count", "mean", "min", "max", *PERCENTILES), 0)
        points = {"count": count, "mean": self.sum / count, "min": self.min, "max": self.max}
        return points | self._percentiles(count)

    def _percentiles(self, count: int) -> dict[str, float]:
        """Every percentile in one pass over the buckets; ranks in whole numbers, so nothing is rounded."""
        waiting = [(name, -(-count * rank // 1000)) for name, rank in PERCENTILES.items()]
        found: dict[str, float] = {}
        seen = 0
        for bucket in sorted(self.buckets):
            seen += self.buckets[bucket]
            while waiting and seen >= waiting[0][1]:
                name, _ = waiting.pop(0)
                found[name] = min(max(middle_of(bucket), self.min), self.max)
        return found

    def _merge(self, counts: Iterable[tuple[int, int]], total: float, low: float, high: float) -> None:
        self.sum += total
        if low < self.min:
            self.min = low
        if high > self.max:
            self.max = high
        self.count_in(counts)

    def count_in(self, counts: Iterable[tuple[int, int]]) -> None:
        """Add counts by bucket, whose sum and extremes are in already."""
        buckets = self.buckets
        if not buckets:
            self.buckets = dict(counts)
            return
        get = buckets.get
        for bucket, count in counts:
            buckets[bucket] = get(bucket, 0) + count


def bucket_of(value: float) -> int:
    """The bucket that a value (0 … LARGEST) is counted in."""
    bits: int = struct.unpack("=I", struct.pack("=f", value))[0]
    return bits >> 16


def middle_of(bucket: int) -> float:
    """The value that a bucket is reported as: its middle; 0 for the bucket of zero."""
    if bucket == 0:
        return 0.0
    value: float = struct.unpack("=f", struct.pack("=I", bucket << 16 | 0x8000))[0]
    return value


def _sorted_out(values: Sequence[object]) -> tuple[list[float], list[object]]:
    """What can be recorded of the values, as floats up to LARGEST, and what cannot."""
    usable: list[float] = []
    unusable: list[object] = []
    for value in values:
        try:
            number = math.nan if isinstance(value, str) else float(value)  # type: ignore[arg-type]  # tried
        except OverflowError:
            number = LARGEST if value > 0 else math.nan  # type: ignore[operator]  # a number: only those overflow
        except (TypeError, ValueError, ArithmeticError):
            number = math.nan
        if number >= 0.0:
            usable.append(min(number, LARGEST))
        else:
            unusable.append(value)
    return usable, unusable
