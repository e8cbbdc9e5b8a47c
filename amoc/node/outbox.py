"""The beats that the master may still need: each piece of news is counted there once, whatever is lost or restarted.

Pure: no I/O. A beat tells the news since an earlier one. The master takes them in if it has exactly those up to
there, and answers up to which beat it has them, and up to which they are on its disk. So here is kept

* the beat that is not answered yet, which is sent again as it was, before anything newer;
* every beat since the one that is on disk: when a restarted master says that it has less than was answered, what
  it lacks is merged into one beat (one for each seat that the node had meanwhile).

A beat that the master cannot read would be sent for ever. It is tried once more without what may be the reason
(metrics, failures, log lines), so that no user's end is lost with them; then its news are given up.
"""

from collections import deque
from collections.abc import Callable
from itertools import takewhile

import msgspec

from amoc.control import Beat, ErrorCount
from amoc.metrics import Delta, pack, unpack

__all__ = ["MOST", "Outbox"]

MOST = 1000
"""Beats kept for a master that does not get its books written: some minutes; then the oldest are merged."""


class Outbox:
    """Beats of one incarnation, numbered from 1."""

    def __init__(self) -> None:
        self._seq = 0
        self._kept: deque[Beat] = deque()
        self._flight: Beat | None = None
        self._gap = 0
        self._bare = False
        self.given_up = 0  # beats whose news the master never got, or not all of them

    def __repr__(self) -> str:
        return f"<Outbox at {self._seq}, {len(self._kept)} kept>"

    def next(self, make: Callable[[int], Beat]) -> Beat:
        """The beat to send: the unanswered one, or what `make` makes of the next number."""
        if self._flight is None:
            self._seq += 1
            self._flight = make(self._seq)
            self._flight.covers, self._gap = 1 + self._gap, 0
            self._kept.append(self._flight)
            if len(self._kept) > MOST:
                self._kept.appendleft(_merged([self._kept.popleft(), self._kept.popleft()]))
        return self._flight

    def answered(self, seq: int, durable: int) -> bool:
        """The master has the news up to beat `seq`, and up to `durable` on disk.

        Whether all that it lacks is here; if not, it has forgotten what was on its disk, and something is counted
        wrong.
        """
        while self._kept and self._kept[0].seq <= durable:
            self._kept.popleft()
        self._flight, self._bare = None, False
        if seq >= self._seq:
            self._seq = seq
            return True
        lacking = [beat for beat in self._kept if beat.seq > seq]
        if not lacking:  # nothing of it is here any more: a beat of what comes next has to bridge the gap
            self._gap = self._seq - seq
            return False
        first = lacking[0]
        together = list(takewhile(lambda beat: (beat.run_id, beat.seat) == (first.run_id, first.seat), lacking))
        beat = _merged(together)
        self._flight = msgspec.structs.replace(beat, covers=beat.seq - seq)
        return first.seq - first.covers == seq

    def refused(self) -> str:
        """The master cannot read the beat under way; what is given up of it, for people."""
        flight = self._flight
        if flight is None:
            return ""
        untold = [beat for beat in self._kept if flight.seq - flight.covers < beat.seq <= flight.seq]
        others = [beat for beat in self._kept if beat not in untold]
        if not self._bare:
            self._bare = True
            self.given_up += flight.covers
            self._flight = _bare(flight)
            self._kept = deque(sorted([*others, *map(_bare, untold)], key=lambda beat: beat.seq))
            return "its metrics, failures and log lines"
        self._kept = deque(others)
        self._flight, self._bare = None, False
        self._gap += flight.covers
        return "all its news (users and counts are not complete)"


def _bare(beat: Beat) -> Beat:
    """The beat without what only numbers and texts of the scenario's can make unreadable."""
    return msgspec.structs.replace(beat, metrics=b"", errors=[], events=[])


def _merged(beats: list[Beat]) -> Beat:
    """One beat that tells the news of all; what is, as the last one says. Earlier log lines are left out."""
    if len(beats) == 1:
        return beats[0]
    last = beats[-1]
    delta = Delta()
    errors: dict[str, ErrorCount] = {}
    for beat in beats:
        if beat.metrics:
            delta.add(unpack(beat.metrics))
        for error in beat.errors:
            known = errors.setdefault(error.key, msgspec.structs.replace(error, count=0))
            known.count += error.count
    return msgspec.structs.replace(
        last,
        covers=last.seq - beats[0].seq + beats[0].covers,
        metrics=pack(delta) if delta else b"",
        ended=[ids for beat in beats for ids in beat.ended],
        released=[ids for beat in beats for ids in beat.released],
        dropped={number: met for beat in beats for number, met in beat.dropped.items()},
        errors=list(errors.values()),
        events=[event for beat in beats for event in beat.events if beat is last or event.event != "log"],
    )
