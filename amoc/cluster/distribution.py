"""Which node gets which ids: strategies that deal out the ids first…last to nodes.

Pure: no I/O. `given` ids were dealt before, so that the dealing goes on where it stopped. What comes out are ranges:
ten million ids cost as much as ten.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from math import gcd
from typing import Any

import msgspec

from amoc.control import IdRange, count
from amoc.errors import BadInput

__all__ = ["STRATEGIES", "Place", "Strategy", "blocks", "checked", "round_robin", "spread", "weighted"]

MOST_SLOTS = 10_000  # of one turn of `weighted`: each becomes a range
MOST_RANGES = 1000  # of a user's function: they are compared with each other


class Place(msgspec.Struct, frozen=True):
    """A node that takes users: its name, its cores, and how many users it has."""

    name: str
    cores: int = 1
    users: int = 0


Dealt = dict[str, list[IdRange]]
Strategy = Callable[[int, int, Sequence[Place], int], Dealt]


def round_robin(first: int, last: int, nodes: Sequence[Place], given: int = 0) -> Dealt:
    """One by one: with ten nodes user 1 goes to the first, user 10 to the tenth, user 11 to the first again."""
    return _in_turn(first, last, [node.name for node in nodes], given)


def weighted(first: int, last: int, nodes: Sequence[Place], given: int = 0) -> Dealt:
    """As many to each node, in each turn, as it has cores."""
    cores = [max(1, node.cores) for node in nodes]
    shared = reduce(gcd, cores, 0) or 1
    while sum(cores) // shared > MOST_SLOTS:
        shared *= 2
    turn = [node.name for node, n in zip(nodes, cores, strict=True) for _ in range(max(1, n // shared))]
    return _in_turn(first, last, turn, given)


def blocks(first: int, last: int, nodes: Sequence[Place], given: int = 0) -> Dealt:
    """Neighbours together: each node gets one block of consecutive ids, all of one size but for one."""
    size = last - first + 1
    edges = [first + size * index // len(nodes) for index in range(len(nodes) + 1)]
    return {
        node.name: [IdRange(begin, end - 1)]
        for node, begin, end in zip(nodes, edges, edges[1:], strict=False)
        if begin < end
    }


STRATEGIES: dict[str, Strategy] = {"round_robin": round_robin, "blocks": blocks, "weighted": weighted}


def spread(ranges: Sequence[IdRange], nodes: Sequence[Place]) -> Dealt:
    """Ids that have lost their node, to those with the fewest users first, in turn."""
    names = [node.name for node in sorted(nodes, key=lambda node: (node.users, node.name))]
    dealt: Dealt = {}
    given = 0
    for ids in ranges:
        for offset in range(min(len(names), len(ids))):
            share = ids.share(offset, len(names))
            assert share is not None
            dealt.setdefault(names[(given + offset) % len(names)], []).append(share)
        given += len(ids)
    return dealt


def _in_turn(first: int, last: int, turn: Sequence[str], given: int) -> Dealt:
    """Ids to the names of `turn`, one after the other, again and again."""
    ids = IdRange(first, last)
    dealt: Dealt = {}
    for offset in range(min(len(turn), len(ids))):
        share = ids.share(offset, len(turn))
        assert share is not None
        dealt.setdefault(turn[(given + offset) % len(turn)], []).append(share)
    return dealt


def checked(found: Any, first: int, last: int, nodes: Sequence[Place]) -> Dealt:
    """What a user's function has returned: {name: [(first, last, step), …]}; BadInput unless each id is in it once."""
    if not isinstance(found, Mapping):
        raise BadInput(f"distribution: the function must return {{node: [(first, last, step), …]}}, not {found!r:.200}")
    unknown = found.keys() - {node.name for node in nodes}
    if unknown:
        raise BadInput(f"distribution: the function gives users to {', '.join(map(str, sorted(unknown, key=str)))}")
    try:
        dealt = {name: [IdRange(*ids) for ids in ranges] for name, ranges in found.items() if ranges}
    except (TypeError, ValueError) as error:
        raise BadInput(f"distribution: the function returns no ranges (first, last, step): {error}") from None
    every = [ids for ranges in dealt.values() for ids in ranges]
    if len(every) > MOST_RANGES:
        raise BadInput(f"distribution: the function returns {len(every)} ranges; the most is {MOST_RANGES}")
    if count(every) != last - first + 1 or any(ids.first < first or ids.last > last for ids in every):
        raise BadInput(
            f"distribution: the function deals out {count(every)} ids, not just those from {first} to {last}"
        )
    for index, ids in enumerate(every):
        for other in every[:index]:
            if (common := _common(ids, other)) is not None:
                raise BadInput(f"distribution: the function gives user {common} to two nodes")
    return dealt


def _common(one: IdRange, other: IdRange) -> int | None:
    """The lowest id that is in both ranges (the Chinese remainder theorem), or None."""
    shared = gcd(one.step, other.step)
    if (other.first - one.first) % shared:
        return None
    step = one.step // shared * other.step
    turns = (other.first - one.first) // shared * pow(one.step // shared, -1, other.step // shared)
    low = max(one.first, other.first)
    common = one.first + turns % (other.step // shared) * one.step
    common += -(-(low - common) // step) * step
    return common if common <= min(one.last, other.last) else None
