"""What an agent and its worker processes say to each other over their pipe.

Pure: no I/O. Msgpack by msgspec, framed by `framing`. Both ends are the same release, so there is no version.
"""

from typing import Any

import msgspec

from amoc.control import Event, IdRange
from amoc.users import Failure, Leg, Source, Tally

__all__ = [
    "Begin",
    "Change",
    "Done",
    "Drop",
    "Failed",
    "FromWorker",
    "Happened",
    "HeldUp",
    "Lease",
    "Leg",
    "Legs",
    "Load",
    "Repace",
    "Report",
    "Tally",
    "ToWorker",
    "decode_from_worker",
    "decode_to_worker",
    "encode",
]


class ToWorker(msgspec.Struct, tag_field="to"):
    """From the agent to a worker."""


class Load(ToWorker, tag="load"):
    """Load the scenario. `layers`: arguments of `config.Config`; `settings`: the run-time settings.

    `lease`: as in `Lease`, None if there is none.
    """

    source: Source
    layers: dict[str, Any]
    extra_settings: tuple[str, ...]
    settings: dict[str, Any]
    seed: int
    lease: float | None = None


class Lease(ToWorker, tag="lease"):
    """Do not run users after `until` (monotonic seconds), whatever happens to the agent."""

    until: float


class Begin(ToWorker, tag="begin"):
    """Do a step: setup, init, stop, terminate, teardown or quit. `data` is what `setup()` returned."""

    step: str
    data: Any = None


class Legs(ToWorker, tag="legs"):
    """Start further users."""

    legs: list[Leg]


class Repace(ToWorker, tag="repace"):
    """Stretch the time after `at` (monotonic seconds) by `ratio`, for all users not started yet."""

    at: float
    ratio: float


class Drop(ToWorker, tag="drop"):
    """Remove those of these ids that are here; the next report answers it by its number.

    With `moved` they are let go to another node, which the reports tell when it has happened.
    """

    number: int
    ids: list[IdRange]
    force: bool
    moved: bool = False


class Change(ToWorker, tag="change"):
    """All run-time settings as they now are."""

    settings: dict[str, Any]


class FromWorker(msgspec.Struct, tag_field="from"):
    """From a worker to the agent."""


class Done(FromWorker, tag="done"):
    """A step is done: load, setup (with its data), init, stop, terminate, teardown."""

    step: str
    data: Any = None


class Failed(FromWorker, tag="failed"):
    """A step failed: one line, and the traceback."""

    step: str
    error: str
    traceback: str = ""


class Report(FromWorker, tag="report"):
    """Once a second, and before each answer: counts, what ended, an encoded metrics delta, failures, figures.

    `number` rises by one: no report is counted twice. `ended`, `released` and `dropped` (by the number of the `Drop`,
    how many users were there to be removed) say what is new in `tally`; all of it comes in one message, so that a
    worker that dies has said all of it or nothing.
    `cpu` is in percent of a core since the last report, `rss` in bytes, `lag_ms` the longest the loop was held up,
    `late_ms` the 99th percentile of how late users started since then.
    """

    number: int
    tally: Tally
    ended: list[IdRange]
    released: list[IdRange]
    dropped: dict[int, int]
    metrics: bytes
    failures: list[Failure]
    cpu: float
    rss: int
    lag_ms: float
    late_ms: float


class HeldUp(FromWorker, tag="held_up"):
    """From the watchdog while the loop is held up: the counts as they stand, only to be shown, and figures."""

    tally: Tally
    rss: int
    lag_ms: float


class Happened(FromWorker, tag="happened"):
    """A log line or another event."""

    event: Event


encode = msgspec.msgpack.Encoder().encode
decode_to_worker = msgspec.msgpack.Decoder(Load | Lease | Begin | Legs | Repace | Drop | Change).decode
decode_from_worker = msgspec.msgpack.Decoder(Done | Failed | Report | HeldUp | Happened).decode
