"""Counts what a bus refused, and tells a person about it rarely enough.

Pure: `now` (monotonic seconds) comes in with every call.

One line a minute for each kind and sender, and at most MOST lines a minute altogether: whoever can reach the
master's port could otherwise fill its log.
"""

from collections import Counter
from collections.abc import Callable

__all__ = ["MOST", "PAUSE", "Complaints"]

PAUSE = 60.0  # seconds between two lines of one kind about one sender
MOST = 20  # lines a minute, and senders remembered: enough to see a pattern, too few to fill a disk


class Complaints:
    """`say` gets the lines. `counts` has everything that was noted, by kind."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self.counts: Counter[str] = Counter()
        self._say = say
        self._said: dict[tuple[str, str], float] = {}
        self._unsaid = 0

    def __repr__(self) -> str:
        return f"<Complaints {dict(self.counts)}>"

    def note(self, kind: str, who: str, text: str, now: float) -> None:
        """Count one more of `kind` from `who`; say `text` unless it was said lately."""
        self.counts[kind] += 1
        said = self._said.get((kind, who))
        if said is not None and now - said < PAUSE:
            self._unsaid += 1
            return
        if len(self._said) >= MOST:
            self._said = {key: when for key, when in self._said.items() if now - when < PAUSE}
            if len(self._said) >= MOST:
                self._unsaid += 1
                return
        self._said[(kind, who)] = now
        more = f" ({self._unsaid} more like this or others were not logged)" if self._unsaid else ""
        self._unsaid = 0
        self._say(text + more)
