"""Making a failing sequence of reads as small as it still fails: whole reads first, then bytes of them."""

from collections.abc import Callable, Sequence
from itertools import combinations
from typing import TypeVar

__all__ = ["shrink"]

Read = tuple[int, bytes]
_Item = TypeVar("_Item", Read, int)
MAX_TRIES = 20_000


def shrink(reads: list[Read], fails: Callable[[list[Read]], bool]) -> list[Read]:
    """A part of `reads` for which `fails` is still true, from which nothing small can be left out."""
    tries = 0

    def still(candidate: list[Read]) -> bool:
        nonlocal tries
        tries += 1
        return tries <= MAX_TRIES and fails(candidate)

    before: list[Read] | None = None
    while reads != before:
        before = reads
        reads = _without(reads, still)
        for at in range(len(reads)):
            reads = _joined(reads, at, still)
        for at in range(len(reads)):
            reads = _shortened(reads, at, still)
    return [read for read in reads if read[1]]


def _shortened(reads: list[Read], at: int, fails: Callable[[list[Read]], bool]) -> list[Read]:
    """Leave out bytes of read `at`, as long as that fails."""
    connection, data = reads[at]

    def put(left: list[int]) -> list[Read]:
        return [*reads[:at], (connection, bytes(left)), *reads[at + 1 :]]

    def still(left: list[int]) -> bool:
        return fails(put(left))

    return put(_without(_without_spans(list(data), still), still))


def _without(items: list[_Item], fails: Callable[[list[_Item]], bool]) -> list[_Item]:
    """Leave out runs of items, long ones first, as long as that fails."""
    size = max(1, len(items) // 2)
    while True:
        at = 0
        while at < len(items):
            candidate = items[:at] + items[at + size :]
            if fails(candidate):
                items = candidate
            else:
                at += size
        if size == 1:
            return items
        size //= 2


def _without_spans(data: list[int], fails: Callable[[list[int]], bool]) -> list[int]:
    """Leave out whole elements, or whatever else lies between tags, longest first, as long as that fails."""
    ends = [0, *(at + (byte == ord(">")) for at, byte in enumerate(data) if byte in b"<>"), len(data)]
    spans = sorted(combinations(dict.fromkeys(ends), 2), key=lambda span: span[0] - span[1])
    for start, end in spans:
        candidate = data[:start] + data[end:]
        if fails(candidate):
            return _without_spans(candidate, fails)
    return data


def _joined(reads: Sequence[Read], at: int, fails: Callable[[list[Read]], bool]) -> list[Read]:
    """Join read `at` with the next one of the same connection, if that still fails."""
    reads = list(reads)
    if at >= len(reads):
        return reads
    connection, data = reads[at]
    following = next((there for there in range(at + 1, len(reads)) if reads[there][0] == connection), None)
    if following is None:
        return reads
    candidate = [read for there, read in enumerate(reads) if there not in (at, following)]
    candidate.insert(at, (connection, data + reads[following][1]))
    return candidate if fails(candidate) else reads
