"""Many distributions of one histogram summed up, fast: the second that a store is in.

Pure: values in, numbers out.

Planes of bits (see `packed`) are added as a carry-save adder adds: three planes of one weight become one of that
weight, the sum without its carries, and one of twice the weight, the carries. That is five operations on whole numbers
for all the buckets at once, and one such step for each plane that came; buckets are looked at when all is added up.
"""

from amoc.metrics.histogram import Distribution
from amoc.metrics.packed import PackedDistribution, plane_counts

__all__ = ["MOST", "Tally"]

MOST = 1024
"""Pieces that wait to be added up: so many make the look at all buckets cheap, and are some 300 KB."""


class Tally:
    """The sum of what was added since the last `take`."""

    __slots__ = ("_pieces", "_total")

    def __init__(self) -> None:
        self._total = Distribution()
        self._pieces: list[PackedDistribution] = []

    def __repr__(self) -> str:
        return f"<Tally of {self._total.count}, {len(self._pieces)} waiting>"

    def add(self, piece: Distribution | PackedDistribution) -> None:
        """Merge a piece in."""
        if isinstance(piece, Distribution):
            self._total.add(piece)
            return
        self._pieces.append(piece)
        if len(self._pieces) >= MOST:
            self._add_up()

    def take(self) -> Distribution | None:
        """The sum, and begin anew; None if nothing was recorded."""
        if self._pieces:
            self._add_up()
        total, self._total = self._total, Distribution()
        return None if total.empty else total

    def _add_up(self) -> None:
        pieces, self._pieces = self._pieces, []
        total, high = self._total, 0.0
        base = min((piece.low for piece in pieces if piece.planes), default=0)
        weights = _planes(pieces, base)
        for piece in pieces:
            total.sum += piece.sum
            if piece.min < total.min:
                total.min = piece.min
            if piece.max > high:
                high = piece.max
            if piece.keys:
                total.count_in(piece.listed())
        total.max = max(total.max, high)
        total.count_in(plane_counts(base, _added(weights)).items())


def _planes(pieces: list[PackedDistribution], base: int) -> list[list[int]]:
    """All planes by weight, with bucket `base` as the lowest bit."""
    weights: list[list[int]] = []
    convert = int.from_bytes
    while pieces:
        at = len(weights)
        pieces = [p for p in pieces if len(p.planes) > p.size * at]
        weights.append([convert(p.planes[p.size * at : p.size * (at + 1)], "little") << p.low - base for p in pieces])
    return weights


def _added(weights: list[list[int]]) -> list[int]:
    """One plane of each weight: the sum of all planes."""
    sums: list[int] = []
    while len(sums) < len(weights):
        planes = weights[len(sums)]
        carries: list[int] = []
        while len(planes) > 1:
            three = iter((*planes, 0) if len(planes) % 3 == 2 else planes)
            left: list[int] = []
            for one, other, third in zip(three, three, three, strict=False):
                differ = one ^ other
                left.append(differ ^ third)
                carries.append(one & other | differ & third)
            planes = left + planes[len(planes) - len(planes) % 3 :] if len(planes) % 3 == 1 else left
        sums += planes or [0]
        if any(carries):
            if len(sums) == len(weights):
                weights.append([])
            weights[len(sums)] += carries
    return sums
