"""Removing exactly as many users as was asked for, whatever ends by itself or is lost meanwhile.

Pure: no I/O. A removal chooses the newest users that are, as far as is known, still there. Some may end by themselves
before the command meets them: each node answers with how many it met, and what is missing is made up for by the next
newest. So it is also when a node answers late, after it was lost; a seat that is closed before it has answered
counts as if it had met all.
"""

from collections.abc import Container, Iterable, Mapping, Sequence

import msgspec

from amoc.control import IdRange, IdSet, compress, count, newest, subtract

__all__ = ["Chooser", "Removing"]


class Removing(msgspec.Struct):
    """One wish: `wanted` users, of `nodes` or of all; `number` is that of its first command.

    `asked`: by command and node, how many are to be removed and are not answered for. `met`: users by node. `owed`:
    how many are still to be chosen.
    """

    number: int
    wanted: int
    force: bool
    nodes: list[str] | None = None
    asked: dict[int, dict[str, int]] = msgspec.field(default_factory=dict)
    met: dict[str, int] = msgspec.field(default_factory=dict)
    owed: int = 0

    def ask(self, number: int, ids: Mapping[str, list[IdRange]]) -> None:
        """Command `number` asks the nodes to remove these; if they are fewer than are owed, there are no more."""
        self.owed = 0
        if ids:
            self.asked[number] = {node: count(ranges) for node, ranges in ids.items()}

    def answered(self, node: str, number: int, met: int) -> bool:
        """A node has met so many; False if it was not asked by that command, or has answered before."""
        asked = self.asked.get(number, {}).pop(node, None)
        if asked is None:
            return False
        self._forget(number)
        self.met[node] = self.met.get(node, 0) + met
        self.owed += asked - met
        return True

    def closed(self, node: str) -> None:
        """A node has lost its seat: it counts as having met whatever it was asked for."""
        for number in [n for n, asked in self.asked.items() if node in asked]:
            self.answered(node, number, self.asked[number][node])

    def open(self, nodes: Container[str]) -> dict[str, int]:
        """How many users the nodes among these have yet to answer for."""
        found: dict[str, int] = {}
        for asked in self.asked.values():
            for node, number in asked.items():
                if node in nodes:
                    found[node] = found.get(node, 0) + number
        return found

    def _forget(self, number: int) -> None:
        if not self.asked[number]:
            del self.asked[number]


class Chooser:
    """Whom to remove next: keeps what is left of each node's ids, so that nobody who is going is looked at again."""

    def __init__(self) -> None:
        self._live: dict[str, list[IdRange]] = {}
        self._doomed = IdSet()

    def given(self, node: str, ranges: Iterable[IdRange]) -> None:
        """A node has got ids; some may have been there before."""
        for ids in ranges:
            self._live.setdefault(node, []).append(ids)
            if self._doomed.touches(ids):
                for user_id in ids:
                    self._doomed.discard(user_id)

    def doomed(self, ranges: Iterable[IdRange]) -> None:
        """These are to be removed."""
        self._doomed.update(ranges)

    def taken(self, node: str, ranges: Sequence[IdRange]) -> None:
        """A node has given ids back."""
        self._live[node] = subtract(self._live.get(node, ()), ranges)

    def closed(self, node: str) -> None:
        """A node has lost its ids."""
        self._live.pop(node, None)

    def choose(self, wanted: int, nodes: Iterable[str], ended: IdSet) -> dict[str, list[IdRange]]:
        """The `wanted` newest users of the nodes, or all there are, who from now on are doomed."""
        live = {node: self._live[node] for node in nodes if node in self._live}
        gone = _Either(ended, self._doomed)
        chosen = newest([r for ranges in live.values() for r in ranges], wanted, gone)
        if not chosen:
            return {}
        lowest = chosen[-1]
        found: dict[str, list[IdRange]] = {}
        for node, ranges in live.items():
            mine = {i for r in ranges for i in _from(r, lowest) if i not in gone}
            if mine:
                found[node] = compress(mine)
            # Whoever is at or above `lowest` is gone or going: later removals look only below it.
            below = [r.before(-(-(lowest - r.first) // r.step)) for r in ranges]
            self._live[node] = [r for r in below if r is not None]
        for ranges in found.values():
            self._doomed.update(ranges)
        return found

    def pick(self, node: str, wanted: int, ended: IdSet, without: IdSet) -> list[IdRange]:
        """The `wanted` newest users of a node that are in none of the sets and not to be removed; nothing changes."""
        gone = _Either(_Either(ended, self._doomed), without)
        return compress(newest(self._live.get(node, ()), wanted, gone))


class _Either:
    """The ids that are in one of two sets."""

    def __init__(self, one: Container[int], other: Container[int]) -> None:
        self._one, self._other = one, other

    def __contains__(self, user_id: object) -> bool:
        return user_id in self._one or user_id in self._other


def _from(ids: IdRange, lowest: int) -> Iterable[int]:
    skipped = max(0, -(-(lowest - ids.first) // ids.step))
    rest = ids.after(skipped)
    return rest if rest is not None else ()
