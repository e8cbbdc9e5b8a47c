"""Many distributions of one histogram summed up, fast: the second that a store is in.

Pure: values in, numbers out.

A bucket of a dict costs some 90 ns, an element of a list a third of that. A list as long as there are buckets is
too much for the few distributions that one machine sends in a second, and pays off for those of many.
"""

from itertools import compress

from amoc.metrics.histogram import LARGEST, Distribution, bucket_of
from amoc.metrics.packed import PackedDistribution

__all__ = ["FEW", "Tally"]

FEW = 8
"""Distributions until the list is made: so many cost about as much as making and emptying it."""

_SIZE = bucket_of(LARGEST) + 1


class Tally:
    """The sum of what was added since the last `take`."""

    __slots__ = ("_added", "_table", "_total")

    def __init__(self) -> None:
        self._total = Distribution()
        self._added = 0
        self._table: list[int] = []  # counts by bucket, beside those in `_total`; empty while there are few

    def __repr__(self) -> str:
        return f"<Tally of {self._added}>"

    def add(self, piece: Distribution | PackedDistribution) -> None:
        """Merge a piece in. A bucket above that of LARGEST, which no histogram has, is left out when there are many."""
        total = self._total
        self._added += 1
        if self._added <= FEW:
            total.add(piece)
            return
        table = self._table = self._table or [0] * _SIZE
        total.sum += piece.sum
        if piece.min < total.min:
            total.min = piece.min
        if piece.max > total.max:
            total.max = piece.max
        pairs = iter(piece.items())
        while True:
            try:
                for bucket, count in pairs:
                    table[bucket] += count
                return
            except IndexError:
                continue

    def take(self) -> Distribution | None:
        """The sum, and begin anew; None if nothing was added."""
        if not self._added:
            return None
        total, self._total = self._total, Distribution()
        if self._added > FEW:
            low, high = bucket_of(total.min), bucket_of(total.max) + 1
            counts = self._table[low:high]
            self._table[low:high] = [0] * len(counts)
            total.add(Distribution(dict(zip(compress(range(low, high), counts), filter(None, counts), strict=True))))
        else:
            self._table = []
        self._added = 0
        return total
