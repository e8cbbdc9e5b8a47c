"""The master's view: deltas of all workers merged, with the last minute by the second.

Pure: `now` (seconds of a clock that does not go back) comes in with every call.

Memory is bounded: per metric one total and at most a minute of one-second slots, whatever the number of
sources; per gauge one level for each source that has not been forgotten.

A master with 1000 nodes takes in a thousand deltas a second: they are added up as they come (`Tally`), and go
into slots and totals once a second, or when somebody looks.

Rates. Workers flush about once a second, so what came in during "the last 10 seconds" is sometimes 9 and
sometimes 11 flushes. A rate therefore runs from one arrival to another: what came in after the last arrival
of the first second, divided by the time from that arrival to the latest one.
"""

from typing import Any

import msgspec

from amoc.metrics.delta import Delta
from amoc.metrics.histogram import Distribution
from amoc.metrics.packed import PackedDelta
from amoc.metrics.tally import Tally

__all__ = ["KEPT", "SavedStore", "Store"]

KEPT = 60
"""Seconds of history by the second: a spiral's `one` and the widest window of a rate."""

SILENT = 2.0
"""Seconds without a delta after which time counts against a rate, though it may have been a late flush."""


class SavedStore(msgspec.Struct):
    """A store's totals as plain data: kinds by name, amounts, distributions, gauges by source."""

    kinds: dict[str, str] = {}
    totals: dict[str, int] = {}
    gauges: dict[str, dict[str, float]] = {}
    histograms: dict[str, Distribution] = {}


class Store:
    """Merged metrics of one run."""

    def __init__(self) -> None:
        self._kinds: dict[str, str] = {}
        self._totals: dict[str, int] = {}
        self._gauges: dict[str, dict[str, float]] = {}
        # by name, then by second of arrival, oldest first
        self._amounts: dict[str, dict[int, int]] = {}
        self._recent: dict[str, dict[int, Distribution]] = {}
        # the sum of all seconds but a histogram's latest: a delta is merged once, a second once more
        self._closed: dict[str, Distribution] = {}
        # what came in during the second `_second` and is in none of the above yet
        self._second = 0
        self._counted: dict[str, dict[str, int]] = {"counter": {}, "spiral": {}}
        self._tallies: dict[str, Tally] = {}
        # by second: when its last delta arrived
        self._arrivals: dict[int, float] = {}
        self._first: int | None = None
        self._latest = 0.0

    def __repr__(self) -> str:
        return f"<Store of {len(self._kinds)} metrics>"

    def apply(self, source: str, delta: Delta | PackedDelta, now: float) -> None:
        """Merge a delta of `source`, the name of a worker or node. Call it for an empty delta too.

        Should two sources use a name for different kinds, the kind that came first stays.
        """
        if self._first is None:
            self._first = int(now)
        now = self._latest = max(now, self._latest)
        second = int(now)
        if second != self._second:
            self._settle()
            self._second = second
        self._arrivals[second] = now
        _forget_before(self._arrivals, second - KEPT)
        for kind, amounts in (("counter", delta.counters), ("spiral", delta.spirals)):
            counted = self._counted[kind]
            for name, amount in amounts.items():
                if name in counted:
                    counted[name] += amount
                elif self._is(name, kind):
                    counted[name] = amount
        for name, level in delta.gauges.items():
            if self._is(name, "gauge"):
                self._gauges.setdefault(name, {})[source] = level
        tallies = self._tallies
        for name, distribution in delta.histograms.items():
            tally = tallies.get(name)
            if tally is None:
                if not self._is(name, "histogram"):
                    continue
                tally = tallies[name] = Tally()
            tally.add(distribution)

    def forget(self, source: str) -> None:
        """Drop the gauges of a source that is gone; what it counted stays."""
        for levels in self._gauges.values():
            levels.pop(source, None)

    def saved(self) -> SavedStore:
        """The totals, for a file; the last minute by the second is not in it."""
        self._settle()
        histograms = {name: self._whole(name) for name, kind in self._kinds.items() if kind == "histogram"}
        return SavedStore(self._kinds, self._totals, self._gauges, histograms)

    def restore(self, saved: SavedStore) -> None:
        """Make this fresh store have the totals that were saved."""
        for name, kind in saved.kinds.items():
            self._is(name, kind)
        self._totals.update(saved.totals)
        self._gauges.update(saved.gauges)
        self._closed.update(saved.histograms)

    def points(self, now: float) -> dict[str, dict[str, Any]]:
        """Every metric's figures by name, sorted, with its `type`.

        counter: value; spiral: one (last minute), count; gauge: value; histogram: count mean min max
        median 95 99 999.
        """
        self._settle()
        found: dict[str, dict[str, Any]] = {}
        for name, kind in sorted(self._kinds.items()):
            if kind == "counter":
                found[name] = {"type": kind, "value": self._totals[name]}
            elif kind == "spiral":
                one = _since(self._amounts[name], int(now) - KEPT)
                found[name] = {"type": kind, "one": one, "count": self._totals[name]}
            elif kind == "gauge":
                found[name] = {"type": kind, "value": sum(self._gauges[name].values())}
            else:
                found[name] = {"type": kind, **self._whole(name).points()}
        return found

    def rate(self, name: str, now: float, window: float = 10.0) -> float:
        """Per second over the last `window` seconds (1 … 60); 0 for what is not a counter or spiral."""
        self._settle()
        amounts = self._amounts.get(name)
        if amounts is None or self._first is None:
            return 0.0
        edge = max(int(now) - _bounded(window), self._first)
        begin = next((self._arrivals[s] for s in (edge, edge - 1, edge - 2) if s in self._arrivals), edge + 1.0)
        end = self._latest if now - self._latest < SILENT else now
        # not less than a flush's second: the arrivals of two workers may be milliseconds apart
        return _since(amounts, edge) / max(end - begin, 1.0)

    def rates(self, now: float, window: float = 10.0) -> dict[str, float]:
        """The rate of every counter and spiral by name."""
        return {name: self.rate(name, now, window) for name in sorted(self._amounts)}

    def recent(self, name: str, now: float, window: float = 10.0) -> dict[str, float]:
        """A histogram's figures over the last `window` seconds (1 … 60), all 0 for an unknown name."""
        self._settle()
        oldest = int(now) - _bounded(window)
        total = Distribution()
        for second, distribution in self._recent.get(name, {}).items():
            if second > oldest:
                total.add(distribution)
        return total.points()

    def _is(self, name: str, kind: str) -> bool:
        """Whether the name is of this kind; a new name is from now on."""
        known = self._kinds.get(name)
        if known is None:
            self._kinds[name] = kind
            if kind in ("counter", "spiral"):
                self._totals[name] = 0
                self._amounts[name] = {}
            elif kind == "histogram":
                self._closed[name] = Distribution()
                self._recent[name] = {}
            return True
        return known == kind

    def _settle(self) -> None:
        """Put what came in into slots and totals."""
        second = self._second
        for counted in self._counted.values():
            for name, amount in counted.items():
                if amount:
                    counted[name] = 0
                    self._totals[name] += amount
                    slots = self._amounts[name]
                    slots[second] = slots.get(second, 0) + amount
                    _forget_before(slots, second - KEPT)
        for name, tally in self._tallies.items():
            distribution = tally.take()
            if distribution is not None and not distribution.empty:
                self._record(name, distribution, second)

    def _record(self, name: str, distribution: Distribution, second: int) -> None:
        slots = self._recent[name]
        slot = slots.get(second)
        if slot is None:
            if slots:
                self._closed[name].add(slots[next(reversed(slots))])
            slots[second] = distribution
            _forget_before(slots, second - KEPT)
        else:
            slot.add(distribution)

    def _whole(self, name: str) -> Distribution:
        """All that a histogram ever recorded."""
        whole, slots = Distribution(), self._recent[name]
        whole.add(self._closed[name])
        if slots:
            whole.add(slots[next(reversed(slots))])
        return whole


def _bounded(window: float) -> int:
    return min(max(round(window), 1), KEPT)


def _since(slots: dict[int, int], edge: int) -> int:
    """The sum of the slots after the second `edge`."""
    return sum(amount for second, amount in slots.items() if second > edge)


def _forget_before(slots: dict[int, Any], oldest: int) -> None:
    """Drop slots before the second `oldest`; they are in the order of their seconds."""
    while (second := next(iter(slots))) < oldest:
        del slots[second]
