"""A delta as it travels from a node to the master: histograms as planes of bits, or as two strings of numbers.

Pure: values in, bytes out.

A master with 1000 nodes takes in some 20,000 distributions a second, of 50 buckets and more each: too many to look at
every bucket. So the counts lie in *planes*: bit b of plane k is bit k of the count of bucket `low` + b. Planes are
whole numbers of some hundred bits, which `tally` adds up without looking into them. What lies too wide apart for that,
and the bucket of zero, far below all others, goes as lists of buckets and counts.
"""

import sys
from array import array
from collections.abc import Iterable, Sequence
from itertools import compress
from typing import Annotated

import msgspec

from amoc.metrics.delta import Delta
from amoc.metrics.histogram import LARGEST, Distribution

__all__ = ["PackedDelta", "PackedDistribution", "pack", "plane_counts", "unpack"]

_Sum = Annotated[float, msgspec.Meta(ge=0.0, le=sys.float_info.max)]
_Figure = Annotated[float, msgspec.Meta(ge=0.0, le=LARGEST)]

WIDE = 2  # planes may take so many times the bytes of the lists
HIGHEST_BUCKET = 0xFFFF
MOST_PLANES = 64

_CODES = {1: "B", 4: "I", 8: "Q"}  # bytes of a count, and how the array module calls such a number
_SPAN = HIGHEST_BUCKET + 8  # bits of a plane are in whole bytes
_SWAP = sys.byteorder == "big"  # what travels is little-endian


class PackedDistribution(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A `Distribution`: planes of counts, of `size` bytes each, from bucket `low` on (the lowest bit is that bucket's).

    `keys` and `counts`: buckets beside them, in two bytes each, and for each its count in one, four or eight bytes.
    """

    keys: bytes
    counts: bytes
    sum: _Sum
    min: _Figure
    max: _Figure
    low: Annotated[int, msgspec.Meta(ge=0, le=HIGHEST_BUCKET)] = 0
    size: Annotated[int, msgspec.Meta(ge=1, le=HIGHEST_BUCKET)] = 1
    planes: bytes = b""

    @classmethod
    def of(cls, distribution: Distribution) -> "PackedDistribution":
        """The packed form. Raises OverflowError for a count beyond 64 bits."""
        buckets, low, size, planes = distribution.buckets, 0, 1, b""
        if near := [bucket for bucket in buckets if bucket]:
            low, largest = min(near), max(buckets.values())
            size = (max(near) - low) // 8 + 1
            if size * largest.bit_length() <= WIDE * len(near) * (2 + _width(largest)):
                planes = _planes(low, size, near, buckets)
                buckets = {bucket: count for bucket, count in buckets.items() if not bucket}
        width = _width(max(buckets.values(), default=0))
        keys, counts = array("H", buckets), array(_CODES[width], buckets.values())
        if _SWAP:
            keys.byteswap()
            counts.byteswap()
        figures = distribution.sum, distribution.min, distribution.max
        return cls(keys.tobytes(), counts.tobytes(), *figures, *((low, size, planes) if planes else ()))

    @property
    def empty(self) -> bool:
        """Whether nothing was recorded."""
        return not self.keys and not self.planes

    def items(self) -> Iterable[tuple[int, int]]:
        """Buckets and their counts."""
        places = range(0, len(self.planes), self.size)
        planes = [int.from_bytes(self.planes[at : at + self.size], "little") for at in places]
        found = plane_counts(self.low, planes)
        for bucket, count in self.listed():
            found[bucket] = found.get(bucket, 0) + count
        return found.items()

    def listed(self) -> Iterable[tuple[int, int]]:
        """Buckets and counts of those that are in no plane."""
        keys = array("H", self.keys)
        counts = array(_CODES[len(self.counts) // len(keys)] if keys else "B", self.counts)
        if _SWAP:
            keys.byteswap()
            counts.byteswap()
        return zip(keys, counts, strict=True)


def _width(count: int) -> int:
    return 1 if count < 1 << 8 else 4 if count < 1 << 32 else 8


def _planes(low: int, size: int, near: list[int], buckets: dict[int, int]) -> bytes:
    planes = bytearray(size * max(buckets[bucket] for bucket in near).bit_length())
    for bucket in near:
        count, (byte, bit) = buckets[bucket], divmod(bucket - low, 8)
        while count:
            if count & 1:
                planes[byte] |= 1 << bit
            count >>= 1
            byte += size
    return bytes(planes)


def plane_counts(low: int, planes: Sequence[int]) -> dict[int, int]:
    """The counts, by bucket in order, that planes of weight 1, 2, 4 … hold."""
    span = max((plane.bit_length() for plane in planes), default=0)
    counts = [0] * span
    for place, plane in enumerate(planes):
        weight = 1 << place
        for at in compress(range(span), f"{plane:b}"[::-1].encode().translate(_BITS)):
            counts[at] += weight
    return {low + at: count for at, count in enumerate(counts) if count}


_BITS = bytes(code == ord("1") for code in range(256))


class PackedDelta(msgspec.Struct, omit_defaults=True):
    """A `Delta` with packed histograms, for `Store.apply`."""

    counters: dict[str, int] = {}
    spirals: dict[str, int] = {}
    gauges: dict[str, float] = {}
    histograms: dict[str, PackedDistribution] = {}


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(PackedDelta).decode


def pack(delta: Delta) -> bytes:
    """The delta, encoded."""
    histograms = {name: PackedDistribution.of(distribution) for name, distribution in delta.histograms.items()}
    return _encode(PackedDelta(delta.counters, delta.spirals, delta.gauges, histograms))


def unpack(data: bytes) -> PackedDelta:
    """What `pack` encoded; empty for no bytes. Raises msgspec.DecodeError for anything else."""
    if not data:
        return PackedDelta()
    delta = _decode(data)
    for name, packed in delta.histograms.items():
        if planes := len(packed.planes):
            size = packed.size
            if planes % size or planes > MOST_PLANES * size or packed.low + 8 * size > _SPAN:
                raise msgspec.ValidationError(f"{planes} bytes of planes of {size} from {packed.low} - at `$.{name}`")
            if not packed.keys and not packed.counts:
                continue
        buckets, counts = len(packed.keys), len(packed.counts)
        if buckets != 2 * counts and (buckets % 2 or counts not in (2 * buckets, 4 * buckets)):
            raise msgspec.ValidationError(f"{buckets} bytes of buckets, {counts} bytes of counts - at `$.{name}`")
    return delta
