"""What the master writes down: one piece of plain data, from which a restarted master goes on.

Pure: no I/O. The desired state and the books are written together, so that a decision is never on disk without
what it was decided from. What nodes have told since is told again by them (node/outbox.py). Metrics keep their totals;
the history by the second begins anew.
"""

from typing import Any

import msgspec

from amoc.cluster.books import SavedBooks
from amoc.cluster.members import Known
from amoc.cluster.removals import Removing
from amoc.cluster.state import ClusterState
from amoc.control import Desired, Event, granted, subtract
from amoc.metrics import SavedStore
from amoc.scenario import Info, Source

__all__ = ["FORMAT", "Saved", "decode", "encode", "restore", "save"]

FORMAT = 1


class Saved(msgspec.Struct):
    """The master's file. `runtime`: settings changed at run time; `info`: of the scenario, with the run's settings."""

    format: int
    desired: Desired
    known: list[Known]
    former: dict[str, str]
    absent: dict[str, str]
    books: SavedBooks
    store: SavedStore
    removings: list[Removing]
    through: list[str] = []
    source: Source | None = None
    info: Info | None = None
    runtime: dict[str, Any] = {}
    events: list[Event] = []


encode = msgspec.msgpack.Encoder().encode
decode = msgspec.msgpack.Decoder(Saved).decode


def save(state: ClusterState) -> Saved:
    """The state as it is; the shell adds what it has itself."""
    return Saved(
        format=FORMAT,
        desired=state.desired,
        known=state.members.known(),
        former={incarnation: name for incarnation, (name, _) in state.members.former.items()},
        absent=state.absent,
        books=state.books.saved(),
        store=state.store.saved(),
        removings=state.removings,
        through=sorted(state.through),
        source=state.source,
    )


def restore(state: ClusterState, saved: Saved, now: float) -> None:
    """Make a fresh state the one that was saved; `now`: the master's monotonic clock.

    Every node counts as heard just now, so that nobody is missed before he could be heard, nor a lease over too early.
    """
    state.desired = saved.desired
    state.members.restore(saved.known, saved.former, now)
    state.absent = dict(saved.absent)
    state.books.restore(saved.books)
    state.store.restore(saved.store)
    state.removings = saved.removings
    state.through = set(saved.through)
    state.source = saved.source
    state.durable = dict(saved.books.seqs)
    if saved.desired.phase == "over":
        state.told.add("over")
    for node, seat in saved.desired.seats.items():
        state.chooser.given(node, granted(seat.grants))
        if seat.grants:
            state.balanced.add((node, seat.number))
        for removal in seat.removed:
            held = subtract(removal.ids, subtract(removal.ids, granted(seat.grants)))
            (state.moving.update if removal.moved else state.chooser.doomed)(held)
