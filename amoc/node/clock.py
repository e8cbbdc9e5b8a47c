"""How far the master's clock is ahead of this node's, from the times that beats and their answers carry.

Pure: times come in. As NTP does it (RFC 5905, section 8): of an exchange with the four times t1 (sent), t2 (received),
t3 (answered), t4 (answer received) the offset is ((t2 - t1) + (t3 - t4)) / 2, wrong by at most half of the delay
(t4 - t1) - (t3 - t2); so the exchange with the least delay among the last ones is believed.
"""

from collections import deque

__all__ = ["Offset"]

KEPT = 8  # exchanges, as NTP keeps; at a beat a second a drifting clock is followed within seconds


class Offset:
    """The estimate from the last exchanges; times in seconds."""

    def __init__(self) -> None:
        self._exchanges: deque[tuple[float, float]] = deque(maxlen=KEPT)

    def __repr__(self) -> str:
        return f"<Offset {self.offset:.6f} ± {self.delay / 2:.6f} s>"

    def add(self, sent: float, received: float, answered: float, arrived: float) -> None:
        """One exchange; one that cannot be (a clock was set meanwhile) is left out."""
        delay = (arrived - sent) - (answered - received)
        if delay >= 0:
            self._exchanges.append((delay, ((received - sent) + (answered - arrived)) / 2))

    @property
    def offset(self) -> float:
        """Seconds by which the master's clock is ahead; 0 before the first exchange."""
        return min(self._exchanges, default=(0.0, 0.0))[1]

    @property
    def delay(self) -> float:
        """Seconds that the best exchange was on its way, there and back."""
        return min(self._exchanges, default=(0.0, 0.0))[0]
