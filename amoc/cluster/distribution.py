"""Which node gets which ids.

Pure: no I/O.
"""

from collections.abc import Sequence

from amoc.control import IdRange

__all__ = ["round_robin"]


def round_robin(first: int, last: int, nodes: Sequence[str], given: int = 0) -> dict[str, list[IdRange]]:
    """Ids first…last dealt out one by one; `given` ids were dealt before, so that the dealing goes on.

    With ten nodes user 1 goes to the first, user 10 to the tenth, user 11 to the first again.
    """
    ids = IdRange(first, last)
    dealt: dict[str, list[IdRange]] = {}
    for offset in range(min(len(nodes), len(ids))):
        share = ids.share(offset, len(nodes))
        assert share is not None
        dealt[nodes[(given + offset) % len(nodes)]] = [share]
    return dealt
