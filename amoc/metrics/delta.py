"""What changed in a registry since its last flush: the message from a worker to the master's store.

Pure: plain data that msgspec encodes (`msgspec.msgpack.encode(delta)`, `decode(data, type=Delta)`).
"""

from typing import TYPE_CHECKING

import msgspec

from amoc.metrics.histogram import Distribution

if TYPE_CHECKING:
    from amoc.metrics.packed import PackedDelta

__all__ = ["Delta", "merge"]


class Delta(msgspec.Struct, omit_defaults=True):
    """Amounts since the last flush by name; gauges by their new value. A new metric is there with 0.

    Falsy when nothing changed, so that a worker can leave it out of its message.
    """

    counters: dict[str, int] = msgspec.field(default_factory=dict)
    spirals: dict[str, int] = msgspec.field(default_factory=dict)
    gauges: dict[str, float] = msgspec.field(default_factory=dict)
    histograms: dict[str, Distribution] = msgspec.field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.counters or self.spirals or self.gauges or self.histograms)

    def add(self, later: "Delta | PackedDelta") -> None:
        """Merge a later delta of the same registry in: amounts add up, a gauge takes its later value.

        Deltas of different registries are only merged by `Store`, which keeps their gauges apart.
        """
        for mine, theirs in ((self.counters, later.counters), (self.spirals, later.spirals)):
            for name, amount in theirs.items():
                mine[name] = mine.get(name, 0) + amount
        self.gauges.update(later.gauges)
        for name, distribution in later.histograms.items():
            self.histograms.setdefault(name, Distribution()).add(distribution)


def merge(earlier: Delta, later: Delta) -> Delta:
    """A new delta that holds both, as `Delta.add` does; neither argument is changed."""
    both = Delta()
    both.add(earlier)
    both.add(later)
    return both
