"""One timer for all who wait on a session, each until a time of its own.

Theory of operation. A timer of the loop costs two microseconds, a third of what it costs to wait for a stanza, and
nearly none ever rings: what was waited for has come. So the timer is not cancelled then. It stays, and who waits
next needs no other, unless for an earlier time. When it rings it finds who is late, and is set anew for the
earliest of the others, if there are any.
"""

import asyncio
from typing import Final

__all__ = ["Deadlines"]

EARLY: Final = 0.001  # seconds: uvloop's timers have whole milliseconds


class Deadlines:
    """A base for what keeps futures with deadlines. A subclass gives `_expire`, and calls `_silence` at its end."""

    __slots__ = ("_due", "_timer")

    def __init__(self) -> None:
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0.0

    def _deadline(self, loop: asyncio.AbstractEventLoop, seconds: float) -> float:
        """The time of the loop that is `seconds` away: `_expire` is called then, at the latest."""
        deadline = loop.time() + seconds
        if self._timer is None or deadline < self._due:
            self._ring_at(loop, deadline)
        return deadline

    def _expire(self, now: float) -> float | None:
        """Fail those whose deadline is not after `now`; the earliest deadline of the others."""
        raise NotImplementedError

    def _silence(self) -> None:
        """Nobody waits any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _ring_at(self, loop: asyncio.AbstractEventLoop, deadline: float) -> None:
        self._silence()
        self._due = deadline
        self._timer = loop.call_at(deadline, self._ring, loop)

    def _ring(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        due = self._expire(loop.time() + EARLY)
        if due is not None:
            self._ring_at(loop, due)
