"""The scenarios' sources that this node has fetched, with their helper modules, kept by their content hash.

Pure: no I/O. They stay in memory and never touch the disk, so that no file of the node can be run instead.
"""

from collections import OrderedDict

from amoc.scenario import Source

__all__ = ["MOST", "Sources"]

MOST = 8  # as many scenarios as somebody alternates between; each is at most 4 MiB (scenario/bundle.py)


class Sources:
    """The ones used last."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, Source] = OrderedDict()

    def __repr__(self) -> str:
        return f"<Sources {[source.name for source in self._kept.values()]}>"

    def get(self, version: str) -> Source | None:
        """The source of that version, if it is here."""
        source = self._kept.get(version)
        if source is not None:
            self._kept.move_to_end(version)
        return source

    def keep(self, source: Source) -> None:
        """Keep it; the one that was not used for longest may go for it."""
        self._kept[source.version] = source
        self._kept.move_to_end(source.version)
        while len(self._kept) > MOST:
            self._kept.popitem(last=False)
