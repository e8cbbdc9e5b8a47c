"""The four kinds of metric, as a process counts with them, and the timer.

Threads. Any method may be called from any thread, and every increment and record is counted exactly once:
`x += n` on plain numbers and `list.append` are not interrupted by CPython's interpreter lock (it changes
hands at calls and backward jumps, and between load and store there is neither). What a flush takes is
guarded by a lock; an update that runs beside a flush is in this delta or in the next. `Gauge.set` beside
`Gauge.increment`: the later one wins. Free-threaded builds of Python give no such guarantee.

Cost. A counter is one addition. A record *is* `list.append`, without a Python frame around it; buckets
are computed for the whole list at once when the registry is flushed. So what waits is bounded by what can
be recorded between two flushes (32 bytes a value; a worker flushes every second), and a value that is not
a number >= 0 is found at the flush: it is left out, and a warning names the histogram and the value.
"""

import logging
import math
import operator
import threading
from collections.abc import Callable
from time import perf_counter
from types import TracebackType

from amoc.errors import BadInput
from amoc.metrics.histogram import Distribution

__all__ = ["Counter", "Gauge", "Histogram", "Metric", "MetricError", "Spiral", "Timer"]

_log = logging.getLogger(__name__)
_ONE = 1


class MetricError(BadInput):
    """A metric was used in a way that cannot be counted: wrong name, wrong kind, wrong amount."""


class Metric:
    """What all kinds share: a name, and whether a flush has announced it to the master."""

    kind = "metric"
    __slots__ = ("_announced", "name")

    def __init__(self, name: str) -> None:
        self.name = name
        self._announced = False

    def __repr__(self) -> str:
        return f"<{self.kind} {self.name}>"


class Counter(Metric):
    """Counts upwards."""

    kind = "counter"
    __slots__ = ("_taken", "_value")

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._value = 0
        self._taken = 0

    def increment(self, n: int = 1) -> None:
        """Add a whole number >= 0; MetricError for anything else."""
        if n is not _ONE:
            n = self._checked(n)
        self._value += n

    def take(self) -> int | None:
        """The amount since the last take; None when there is none, but 0 the first time."""
        value = self._value
        amount = value - self._taken
        if not amount and self._announced:
            return None
        self._taken = value
        self._announced = True
        return amount

    def _checked(self, n: int) -> int:
        try:
            amount = operator.index(n)
        except TypeError:
            amount = -1
        if amount < 0:
            raise MetricError(f"{self.kind} {self.name}: cannot increment by {n!r}, only by a whole number >= 0")
        return amount


class Spiral(Counter):
    """Counts upwards; the store also knows the count of the last minute."""

    kind = "spiral"
    __slots__ = ()


class Gauge(Metric):
    """A level that goes up and down. Every worker has its own; the store shows their sum."""

    kind = "gauge"
    __slots__ = ("_taken", "_value")

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._value = 0.0
        self._taken = 0.0

    def set(self, value: float) -> None:
        """Take a finite number as the new level; MetricError for anything else."""
        self._value = self._checked(value)

    def increment(self, n: float = 1) -> None:
        """Raise the level by a finite number."""
        n = self._checked(n)
        self._value += n

    def decrement(self, n: float = 1) -> None:
        """Lower the level by a finite number."""
        n = self._checked(n)
        self._value -= n

    def take(self) -> float | None:
        """The level if it changed since the last take, or the first time; otherwise None."""
        value = self._value
        if value == self._taken and self._announced:
            return None
        self._taken = value
        self._announced = True
        return value

    def _checked(self, value: float) -> float:
        try:
            if math.isfinite(value):
                return float(value)
        except (TypeError, OverflowError):  # not a number; an int beyond every float
            pass
        raise MetricError(f"gauge {self.name}: {value!r} is not a finite number")


class Histogram(Metric):
    """The distribution of a value, usually a time in µs."""

    kind = "histogram"
    __slots__ = ("_lock", "_pending", "_warned", "record")

    record: Callable[[float], None]
    """Record a number >= 0, usually µs."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._pending: list[float] = []
        self._lock = threading.Lock()
        self._warned = False
        self.record = self._pending.append

    def take(self) -> Distribution | None:
        """The values since the last take; None when there are none, but an empty one the first time."""
        if not self._pending and self._announced:
            return None
        with self._lock:
            self._announced = True
            count = len(self._pending)  # what other threads append from here on stays for the next take
            values = self._pending[:count]
            del self._pending[:count]
        taken = Distribution()
        unusable = taken.fold(values)
        if unusable and not self._warned:
            self._warned = True
            _log.warning("histogram %s: %.200r is not a number >= 0; such values are left out", self.name, unusable[0])
        return taken


class Timer:
    """Context manager that records the µs its block took, if the block ends without an exception.

    A failure is a counter's matter: a timeout, or a user who was removed in the middle of a wait, would
    only distort the times of what worked. One timer object times one block after another, not nested ones.
    """

    __slots__ = ("_record", "_started")

    def __init__(self, histogram: Histogram) -> None:
        self._record = histogram.record
        self._started = 0.0

    def __enter__(self) -> "Timer":
        self._started = perf_counter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._record((perf_counter() - self._started) * 1e6)
