"""User ids as ranges and sets: what travels is (first, last, step), whatever the number of users.

Pure: no I/O. A range is never empty. A set is a bitmap in chunks, so that a million ids cost 125 KB.
"""

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from heapq import merge
from itertools import islice

import msgspec

__all__ = ["HIGHEST", "IdRange", "IdSet", "compress", "count", "newest", "shown", "subtract"]

HIGHEST = 2**53 - 1  # the largest whole number that every reader of JSON keeps exact

CHUNK_BITS = 4096  # 512 bytes a chunk: small against a scattered set, large against the dict entry


class IdRange(msgspec.Struct, frozen=True, array_like=True):
    """The ids first, first + step, …, last; `last` is one of them, step >= 1."""

    first: int
    last: int
    step: int = 1

    def __post_init__(self) -> None:
        if not (1 <= self.first <= self.last and self.step >= 1):
            raise ValueError(f"not a range of ids: {self.first}..{self.last} step {self.step}")
        if (self.last - self.first) % self.step:
            raise ValueError(f"{self.last} is not in the range {self.first}.. step {self.step}")

    def __len__(self) -> int:
        return (self.last - self.first) // self.step + 1

    def __iter__(self) -> Iterator[int]:
        return iter(range(self.first, self.last + 1, self.step))

    def __contains__(self, user_id: object) -> bool:
        return (
            isinstance(user_id, int) and self.first <= user_id <= self.last and (user_id - self.first) % self.step == 0
        )

    def share(self, index: int, shares: int) -> "IdRange | None":
        """Every `shares`-th id, beginning with the `index`-th: one receiver's part, in round robin."""
        size = len(self)
        if index >= size:
            return None
        mine = (size - index - 1) // shares
        first = self.first + index * self.step
        return IdRange(first, first + mine * shares * self.step, self.step * shares)

    def after(self, skipped: int) -> "IdRange | None":
        """What is left when the first `skipped` ids are taken off."""
        if skipped >= len(self):
            return None
        return IdRange(self.first + skipped * self.step, self.last, self.step)

    def before(self, kept: int) -> "IdRange | None":
        """The first `kept` ids."""
        if kept <= 0:
            return None
        return IdRange(self.first, self.first + (min(kept, len(self)) - 1) * self.step, self.step)


def count(ranges: Iterable[IdRange]) -> int:
    """How many ids the ranges hold together."""
    return sum(len(r) for r in ranges)


def compress(ids: Iterable[int]) -> list[IdRange]:
    """The given ids, sorted, as few ranges: greedy runs of equal steps."""
    ordered = sorted(ids)
    ranges: list[IdRange] = []
    at = 0
    while at < len(ordered):
        if at + 1 == len(ordered):
            ranges.append(IdRange(ordered[at], ordered[at]))
            break
        step = ordered[at + 1] - ordered[at]
        end = at + 1
        while end + 1 < len(ordered) and ordered[end + 1] - ordered[end] == step:
            end += 1
        if end == at + 1 and end + 1 < len(ordered):  # a pair is no run: its second may begin a longer one
            ranges.append(IdRange(ordered[at], ordered[at]))
            at += 1
            continue
        ranges.append(IdRange(ordered[at], ordered[end], step))
        at = end + 1
    return ranges


def subtract(ranges: Iterable[IdRange], gone: Sequence[IdRange]) -> list[IdRange]:
    """The ids of `ranges` that are in none of the `gone`."""
    kept: list[IdRange] = []
    for ids in ranges:
        near = [r for r in gone if r.first <= ids.last and ids.first <= r.last]
        kept += compress(i for i in ids if not any(i in r for r in near)) if near else [ids]
    return kept


def shown(ranges: Sequence[IdRange], most: int = 3) -> str:
    """The ranges for people: how many users, and which."""
    texts = [
        str(r.first) if len(r) == 1 else f"{r.first} to {r.last}" + (f" step {r.step}" if r.step > 1 else "")
        for r in ranges[:most]
    ]
    more = ", …" if len(ranges) > most else ""
    number = count(ranges)
    return f"{number} user{'' if number == 1 else 's'}" + (f" ({', '.join(texts)}{more})" if texts else "")


class IdSet:
    """A growing set of ids."""

    __slots__ = ("_chunks", "_size")

    def __init__(self, ranges: Iterable[IdRange] = ()) -> None:
        self._chunks: dict[int, bytearray] = {}
        self._size = 0
        self.update(ranges)

    def __len__(self) -> int:
        return self._size

    def __contains__(self, user_id: object) -> bool:
        if not isinstance(user_id, int):
            return False
        chunk = self._chunks.get(user_id // CHUNK_BITS)
        bit = user_id % CHUNK_BITS
        return chunk is not None and bool(chunk[bit >> 3] & (1 << (bit & 7)))

    def add(self, user_id: int) -> None:
        """Add one id; adding it again changes nothing."""
        chunk = self._chunks.setdefault(user_id // CHUNK_BITS, bytearray(CHUNK_BITS // 8))
        bit = user_id % CHUNK_BITS
        mask = 1 << (bit & 7)
        if not chunk[bit >> 3] & mask:
            chunk[bit >> 3] |= mask
            self._size += 1

    def discard(self, user_id: int) -> None:
        """Take one id out, if it is in."""
        if user_id in self:
            bit = user_id % CHUNK_BITS
            self._chunks[user_id // CHUNK_BITS][bit >> 3] &= ~(1 << (bit & 7))
            self._size -= 1

    def update(self, ranges: Iterable[IdRange]) -> None:
        """Add every id of the ranges."""
        for ids in ranges:
            for user_id in ids:
                self.add(user_id)

    def rest(self, ranges: Iterable[IdRange]) -> list[IdRange]:
        """The ids of the ranges that are not in the set; a range of which none is stays as it is."""
        left: list[IdRange] = []
        for ids in ranges:
            if self.touches(ids):
                left += compress(i for i in ids if i not in self)
            else:
                left.append(ids)
        return left

    def touches(self, ids: IdRange) -> bool:
        """Whether an id of the set may be in the range; False: certainly none is."""
        first, last = ids.first // CHUNK_BITS, ids.last // CHUNK_BITS
        if last - first < len(self._chunks):
            return any(number in self._chunks for number in range(first, last + 1))
        return any(first <= number <= last for number in self._chunks)

    def bitmap(self) -> dict[int, bytes]:
        """The set as plain data, for `of_bitmap`."""
        return {number: bytes(chunk) for number, chunk in self._chunks.items()}

    @classmethod
    def of_bitmap(cls, bitmap: Mapping[int, bytes]) -> "IdSet":
        """The set that `bitmap` was made of."""
        ids = cls()
        ids._chunks = {number: bytearray(chunk) for number, chunk in bitmap.items()}
        ids._size = sum(int.from_bytes(chunk, "big").bit_count() for chunk in bitmap.values())
        return ids

    def __repr__(self) -> str:
        return f"<IdSet of {self._size}>"


def newest(ranges: Sequence[IdRange], wanted: int, without: Container[int]) -> list[int]:
    """The `wanted` highest ids of the ranges that are not in `without`, highest first."""
    descending = merge(*(range(r.last, r.first - 1, -r.step) for r in ranges), reverse=True)
    return list(islice((i for i in descending if i not in without), wanted))
