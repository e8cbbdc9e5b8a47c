"""Who starts when: absolute deadlines, so that lateness never accumulates.

Pure: time comes in as `now` (seconds of the monotonic clock, which all processes of a machine share).

A *leg* is a range of ids with equally spaced deadlines: the k-th id is due at `at + k * spacing`. Legs are
kept in a heap by their next deadline. When the worker was held up, what is overdue is not started in one
burst but at twice the planned rate until it has caught up; with a spacing of 0 everything is due at once and
only the caller's `limit` bounds a batch.
"""

from collections.abc import Iterable
from heapq import heappop, heappush, heapreplace
from math import ceil

import msgspec

__all__ = ["Arrival", "Leg"]

# Event loops wake in whole milliseconds: who is due within half of one is started now rather than a whole one late.
EARLY = 0.0005
# Later than this is a hold-up, not the timer's grain (1 ms) and the work of a few starts.
HELD_UP = 0.01


class Leg(msgspec.Struct, frozen=True, array_like=True):
    """Ids first, first + step, …, last; deadlines at, at + spacing, … (seconds, monotonic clock)."""

    first: int
    last: int
    step: int
    at: float
    spacing: float

    def __len__(self) -> int:
        return (self.last - self.first) // self.step + 1

    def ids(self) -> range:
        """The ids, in order."""
        return range(self.first, self.last + 1, self.step)

    def after(self, skipped: int) -> "Leg | None":
        """What is left when the first `skipped` ids are taken off."""
        if skipped >= len(self):
            return None
        first = self.first + skipped * self.step
        return Leg(first, self.last, self.step, self.at + skipped * self.spacing, self.spacing)

    def due_before(self, now: float) -> int:
        """How many of the ids are due before `now`."""
        if now <= self.at:
            return 0
        if self.spacing <= 0:
            return len(self)
        return min(len(self), ceil((now - self.at) / self.spacing))

    def repaced(self, at: float, ratio: float) -> list["Leg"]:
        """The leg with the time after `at` stretched by `ratio`: one or two legs."""
        kept = self.due_before(at)
        legs: list[Leg] = []
        if kept:
            legs.append(Leg(self.first, self.first + (kept - 1) * self.step, self.step, self.at, self.spacing))
        rest = self.after(kept)
        if rest is not None:
            stretched = at + (rest.at - at) * ratio
            legs.append(Leg(rest.first, rest.last, rest.step, stretched, rest.spacing * ratio))
        return legs

    def without(self, user_id: int) -> list["Leg"]:
        """The leg with one of its ids taken out: none, one or two legs."""
        position = self.position(user_id)
        if position is None:
            return [self]
        before = [msgspec.structs.replace(self, last=user_id - self.step)] if position else []
        after = self.after(position + 1)
        return before if after is None else [*before, after]

    def position(self, user_id: int) -> int | None:
        """Which one in the leg the id is, from 0; None if it is not in it."""
        if not self.first <= user_id <= self.last or (user_id - self.first) % self.step:
            return None
        return (user_id - self.first) // self.step


class _Cursor:
    __slots__ = ("leg", "next", "size")

    def __init__(self, leg: Leg) -> None:
        self.leg = leg
        self.size = len(leg)
        self.next = 0

    def deadline(self) -> float:
        return self.leg.at + self.next * self.leg.spacing


class Arrival:
    """The plan of one worker's user starts."""

    __slots__ = ("_dropped", "_gate", "_heap", "_order", "planned")

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, _Cursor]] = []
        self._order = 0
        self._dropped: set[int] = set()
        self._gate = 0.0
        self.planned = 0

    def add(self, legs: Iterable[Leg]) -> None:
        """Plan further legs."""
        for leg in legs:
            heappush(self._heap, (leg.at, self._order, _Cursor(leg)))
            self._order += 1
            self.planned += len(leg)

    def repace(self, at: float, ratio: float) -> None:
        """Stretch the time from `at` on: who is due later than `at` is due `ratio` times as long after it."""
        heap, self._heap = sorted(self._heap, key=lambda entry: entry[:2]), []
        planned = self.planned
        for _, _, cursor in heap:
            left = cursor.leg.after(cursor.next)
            if left is not None:
                self.add(left.repaced(at, ratio))
        self.planned = planned  # as before: nobody is added, and the dropped stay dropped

    def drop(self, user_id: int) -> bool:
        """Take a user that is not started yet out of the plan; False if it is not in it."""
        if user_id in self._dropped or self._position(user_id) is None:
            return False
        self._dropped.add(user_id)
        self.planned -= 1
        return True

    def clear(self) -> None:
        """Start nobody any more."""
        self._heap.clear()
        self._dropped.clear()
        self.planned = 0

    def due(self, now: float, limit: int = 500) -> list[tuple[int, float]]:
        """Up to `limit` users to start now, with the deadline each was due at (`now` if all are due at once)."""
        heap = self._heap
        found: list[tuple[int, float]] = []
        while heap and len(found) < limit:
            deadline, order, cursor = heap[0]
            if deadline > now + EARLY:
                break
            leg = cursor.leg
            user_id = leg.first + cursor.next * leg.step
            dropped = user_id in self._dropped
            if not dropped and leg.spacing and now - deadline > HELD_UP:
                if self._gate > now:
                    break
                # A turn of a busy loop takes some ms: what it missed meanwhile is let through in the next.
                self._gate = max(self._gate, now - HELD_UP) + leg.spacing / 2
            cursor.next += 1
            if cursor.next < cursor.size:
                heapreplace(heap, (cursor.deadline(), order, cursor))
            else:
                heappop(heap)
            if dropped:
                self._dropped.discard(user_id)
                continue
            self.planned -= 1
            found.append((user_id, deadline if leg.spacing else now))
        return found

    def next_at(self) -> float | None:
        """When to ask `due` again; None when nobody is planned."""
        if not self._heap:
            return None
        deadline = self._heap[0][0]
        return max(deadline, self._gate) if self._gate > deadline + HELD_UP else deadline

    def _position(self, user_id: int) -> int | None:
        """Where a planned id stands, or None if it has been started or was never planned."""
        for _, _, cursor in self._heap:
            position = cursor.leg.position(user_id)
            if position is not None and cursor.next <= position < cursor.size:
                return position
        return None
