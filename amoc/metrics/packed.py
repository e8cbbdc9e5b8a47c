"""A delta as it travels from a node to the master: histograms as two strings of numbers.

Pure: values in, bytes out.

A master with 1000 nodes takes in some 20,000 distributions a second. Read from a msgpack map, each of their buckets
costs as much as merging it does; read from two arrays, next to nothing.
"""

import sys
from array import array
from collections.abc import Iterable
from typing import Annotated

import msgspec

from amoc.metrics.delta import Delta
from amoc.metrics.histogram import LARGEST, Distribution

__all__ = ["PackedDelta", "PackedDistribution", "pack", "unpack"]

_Sum = Annotated[float, msgspec.Meta(ge=0.0, le=sys.float_info.max)]
_Figure = Annotated[float, msgspec.Meta(ge=0.0, le=LARGEST)]

_CODES = {1: "B", 4: "I", 8: "Q"}  # bytes of a count, and how the array module calls such a number
_SWAP = sys.byteorder == "big"  # what travels is little-endian


class PackedDistribution(msgspec.Struct, frozen=True, array_like=True):
    """A `Distribution`: its buckets in two bytes each, and for each its count in one, four or eight bytes."""

    keys: bytes
    counts: bytes
    sum: _Sum
    min: _Figure
    max: _Figure

    @classmethod
    def of(cls, distribution: Distribution) -> "PackedDistribution":
        """The packed form. Raises OverflowError for a count beyond 64 bits."""
        buckets = distribution.buckets
        largest = max(buckets.values(), default=0)
        width = 1 if largest < 1 << 8 else 4 if largest < 1 << 32 else 8
        keys, counts = array("H", buckets), array(_CODES[width], buckets.values())
        if _SWAP:
            keys.byteswap()
            counts.byteswap()
        return cls(keys.tobytes(), counts.tobytes(), distribution.sum, distribution.min, distribution.max)

    @property
    def empty(self) -> bool:
        """Whether nothing was recorded."""
        return not self.keys

    def items(self) -> Iterable[tuple[int, int]]:
        """Buckets and their counts."""
        keys = array("H", self.keys)
        if len(self.counts) == len(keys) and not _SWAP:
            return zip(keys, self.counts, strict=True)
        counts = array(_CODES[len(self.counts) // len(keys)] if keys else "B", self.counts)
        if _SWAP:
            keys.byteswap()
            counts.byteswap()
        return zip(keys, counts, strict=True)


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
        buckets, counts = len(packed.keys), len(packed.counts)
        if buckets != 2 * counts and (buckets % 2 or counts not in (2 * buckets, 4 * buckets)):
            raise msgspec.ValidationError(f"{buckets} bytes of buckets, {counts} bytes of counts - at `$.{name}`")
    return delta
