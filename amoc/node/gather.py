"""What workers counted, gathered for the next beat.

Pure: no I/O. Counters, spirals and histograms of the workers add up; gauges are kept per worker and their
sum is the node's, so that a worker that dies takes its share with it.
"""

import msgspec

from amoc.metrics import Delta, pack

__all__ = ["Gathered"]

_decode = msgspec.msgpack.Decoder(Delta).decode


class Gathered:
    """Metric deltas of one node's workers since the last `take`."""

    def __init__(self) -> None:
        self._delta = Delta()
        self._gauges: dict[int, dict[str, float]] = {}
        self._moved = False

    def add(self, worker: int, data: bytes) -> None:
        """Take in an encoded delta of a worker."""
        delta = _decode(data)
        if delta.gauges:
            self._gauges.setdefault(worker, {}).update(delta.gauges)
            self._moved = True
            delta.gauges = {}
        self._delta.add(delta)

    def forget(self, worker: int) -> None:
        """The worker is gone: its gauges no longer count."""
        for name in self._gauges.pop(worker, {}):
            self._gauges.setdefault(-1, {})[name] = 0.0  # so that the sum is sent once more
            self._moved = True

    def take(self) -> bytes:
        """Everything since the last call, packed; empty when nothing changed."""
        delta, self._delta = self._delta, Delta()
        if self._moved:
            self._moved = False
            for gauges in self._gauges.values():
                for name, value in gauges.items():
                    delta.gauges[name] = delta.gauges.get(name, 0.0) + value
        return pack(delta) if delta else b""
