"""What the nodes have told of their users, each piece once: counts, ends, errors, answers to removals.

Pure: no I/O. Each seat of the run has an account. What a node is silent about, and what is left of a seat that was
closed, is decided here, so that every user that was ever given is counted in exactly one state:

* of a node that is lost, who was planned or present is lost, as long as it is;
* of a seat that is closed, who was to be removed is removed, and the rest is lost or goes on elsewhere.
"""

from collections.abc import Container, Mapping

import msgspec

from amoc.control import Beat, Counts, ErrorCount, IdRange, IdSet, Removal, Seat, count, granted

__all__ = ["MOST_ERRORS", "Account", "Books", "SavedBooks"]

MOST_ERRORS = 200  # distinct failures kept for the report; workers keep 100 each


class Account(msgspec.Struct):
    """What was told from one seat: the last counts, and how many users each removal met.

    `settled`: the counts that remain of it since it was closed. `presumed`: users who count as removed because they
    were to be, and whose node never answered.
    """

    node: str
    incarnation: str
    seat: int
    counts: Counts = msgspec.field(default_factory=Counts)
    shown: Counts | None = None
    dropped: dict[int, int] = msgspec.field(default_factory=dict)
    settled: Counts | None = None
    presumed: int = 0

    def total(self, given: int, *, missing: bool = False, shown: bool = False) -> Counts:
        """The users of this seat, which has got `given` in all; who was not told of yet is planned.

        `missing`: its node is lost; `shown`: as people are to see it.
        """
        counts = self.counts
        if self.settled is not None:  # what it started does not become undone
            return msgspec.structs.replace(self.settled, starts=counts.starts, restarted=counts.restarted)
        if missing:
            lost = given - counts.over + counts.lost
            return msgspec.structs.replace(counts, planned=0, running=0, waiting=0, leaving=0, lost=lost)
        if shown and self.shown is not None:
            counts = self.shown
        untold = given - counts.planned - counts.present - counts.over
        return msgspec.structs.replace(counts, planned=counts.planned + untold) if untold else counts


class SavedBooks(msgspec.Struct):
    """The books as plain data."""

    seqs: dict[str, int]
    accounts: list[Account]
    ended: dict[int, bytes]
    errors: list[ErrorCount]


class Books:
    """The books of one run, and up to which beat each incarnation's news are in them."""

    def __init__(self) -> None:
        self.seqs: dict[str, int] = {}
        self.clear()

    def __repr__(self) -> str:
        return f"<Books of {len(self.accounts)} seats, {len(self.ended)} ended>"

    def clear(self) -> None:
        """A new run begins; the numbers of beats go on."""
        self.accounts: dict[tuple[str, int], Account] = {}
        self.ended = IdSet()
        self.errors: dict[str, ErrorCount] = {}

    def open(self, node: str, seat: Seat) -> None:
        """A node has got a seat."""
        self.accounts[node, seat.number] = Account(node, seat.incarnation, seat.number)

    def account(self, node: str, seat: Seat) -> Account:
        """The account of a seat."""
        return self.accounts[node, seat.number]

    def lacks(self, beat: Beat) -> bool:
        """Whether the beat tells just the news that are not in the books yet, and no others."""
        known = self.seqs.get(beat.incarnation, 0)
        return beat.seq > known and beat.seq - beat.covers == known

    def take(self, beat: Beat, *, of_run: bool) -> Account | None:
        """Enter the news of a beat that `lacks` let in; returns its account, if there is one of this run."""
        self.seqs[beat.incarnation] = beat.seq
        account = self.accounts.get((beat.node, beat.seat)) if of_run else None
        if account is None:
            return None
        account.counts, account.shown = beat.counts, beat.shown
        if account.settled is None:  # afterwards its users are decided about
            account.dropped |= beat.dropped
            self.ended.update(beat.ended)
        for error in beat.errors:
            self._count_error(error)
        return account

    def _count_error(self, error: ErrorCount) -> None:
        known = self.errors.get(error.key)
        if known is None and len(self.errors) >= MOST_ERRORS:
            error.key = f"{error.type}:more"
            known = self.errors.get(error.key)
        if known is None:
            self.errors[error.key] = error
        else:
            known.count += error.count

    def close(self, node: str, seat: Seat, *, lose: bool) -> list[IdRange]:
        """A seat is closed: its users are decided about. Returned are those who are left: lost, if `lose` says so."""
        account = self.account(node, seat)
        doomed = IdSet(ids for removal in seat.removed if not removal.moved for ids in removal.ids)
        left = self.ended.rest(granted(seat.grants))
        rest = doomed.rest(left) if doomed else left
        removed = count(left) - count(rest)
        counts = account.counts
        account.settled = msgspec.structs.replace(
            counts, planned=0, running=0, waiting=0, leaving=0, removed=counts.removed + removed
        )
        if lose:
            account.settled.lost += count(rest)
        # Who of them ended by himself meanwhile cannot be known: a removal has what it asked for, no more and no less.
        account.presumed = sum(count(removal.ids) for removal in self.unanswered(node, seat))
        return rest

    def unanswered(self, node: str, seat: Seat) -> list[Removal]:
        """The removals that a seat has not answered yet."""
        dropped = self.account(node, seat).dropped
        return [removal for removal in seat.removed if not removal.moved and removal.number not in dropped]

    def counts(self, seats: Mapping[str, Seat], missing: Container[str], *, shown: bool = False) -> Counts:
        """All users of the run; `missing` are the nodes that are lost."""

        def given(account: Account) -> int:
            seat = seats.get(account.node)
            return count(granted(seat.grants)) if seat is not None and seat.number == account.seat else 0

        accounts = self.accounts.values()
        return Counts.total(a.total(given(a), missing=a.node in missing, shown=shown) for a in accounts)

    @property
    def removed(self) -> int:
        """How many users the remove commands of this run have met, as far as the nodes have said so."""
        return sum(sum(account.dropped.values()) + account.presumed for account in self.accounts.values())

    def saved(self) -> SavedBooks:
        """As plain data, for the master's file."""
        return SavedBooks(self.seqs, list(self.accounts.values()), self.ended.bitmap(), list(self.errors.values()))

    def restore(self, saved: SavedBooks) -> None:
        """As they were saved."""
        self.seqs = dict(saved.seqs)
        self.accounts = {(account.node, account.seat): account for account in saved.accounts}
        self.ended = IdSet.of_bitmap(saved.ended)
        self.errors = {error.key: error for error in saved.errors}
