"""Beats that the master may still need: in order, once each, and what becomes of one that it cannot read."""

from amoc.control import Beat, ErrorCount, Event, IdRange
from amoc.metrics import Delta, pack, unpack
from amoc.node.outbox import MOST, Outbox


def made(seq: int, **news: object) -> Beat:
    return Beat("a", "a1", seq, 0, "running", run_id="r", seat=1, **news)  # type: ignore[arg-type] # any field


def full(seq: int) -> Beat:
    return made(
        seq,
        metrics=pack(Delta(counters={"said": seq})),
        ended=[IdRange(seq, seq)],
        dropped={seq: 1},
        errors=[ErrorCount("k", "E", "w", "t", "", 1, 1)],
        events=[Event("log", 0.0, "INFO", "line", "a")],
    )


def sent(outbox: Outbox, count: int = 1, durable: int = 0) -> None:
    """So many beats, each answered."""
    for _ in range(count):
        beat = outbox.next(full)
        assert outbox.answered(beat.seq, durable)


def test_an_unanswered_beat_is_sent_again_as_it_was() -> None:
    outbox = Outbox()
    first = outbox.next(full)
    assert outbox.next(full) is first
    assert outbox.answered(1, 0)
    assert (outbox.next(full).seq, outbox.next(full).covers) == (2, 1)


def test_what_a_restarted_master_lacks_is_told_again_at_once() -> None:
    outbox = Outbox()
    sent(outbox, 4)
    assert outbox.answered(1, 1)
    again = outbox.next(full)
    assert (again.seq, again.covers) == (4, 3)
    assert unpack(again.metrics).counters == {"said": 2 + 3 + 4}
    assert again.ended == [IdRange(2, 2), IdRange(3, 3), IdRange(4, 4)]
    assert again.errors[0].count == 3


def test_a_master_that_has_lost_what_was_on_its_disk() -> None:
    outbox = Outbox()
    sent(outbox, 3)
    assert outbox.answered(3, 3)
    assert not outbox.answered(1, 0)
    bridge = outbox.next(full)
    assert (bridge.seq, bridge.covers) == (4, 3)


def test_beats_that_are_kept_are_bounded() -> None:
    outbox = Outbox()
    sent(outbox, MOST + 10)
    assert repr(outbox) == f"<Outbox at {MOST + 10}, {MOST} kept>"


def test_an_unreadable_beat_is_told_without_what_may_be_the_reason() -> None:
    outbox = Outbox()
    sent(outbox)
    outbox.next(full)
    assert outbox.refused() == "its metrics, failures and log lines"
    again = outbox.next(full)
    assert (again.seq, again.covers, again.metrics, again.errors, again.events) == (2, 1, b"", [], [])
    assert (again.ended, again.dropped) == ([IdRange(2, 2)], {2: 1}), "nobody's end is lost"
    assert outbox.answered(2, 0)
    assert outbox.next(full).seq == 3
    assert outbox.given_up == 1


def test_an_unreadable_beat_is_given_up_and_the_next_bridges_the_gap() -> None:
    outbox = Outbox()
    sent(outbox)
    outbox.next(full)
    outbox.refused()
    assert outbox.refused() == "all its news (users and counts are not complete)"
    following = outbox.next(full)
    assert (following.seq, following.covers) == (3, 2)
    assert following.metrics, "what comes next is told whole"
    assert outbox.answered(3, 0)
    assert outbox.next(full).covers == 1
    assert outbox.given_up == 1


def test_a_restarted_master_is_not_told_again_what_was_unreadable() -> None:
    outbox = Outbox()
    outbox.next(lambda seq: made(seq, metrics=b"\xc1"))
    outbox.refused()
    assert outbox.answered(1, 0)
    sent(outbox)
    assert outbox.answered(0, 0), "all that it lacks is here"
    again = outbox.next(full)
    assert (again.seq, again.covers) == (2, 2)
    assert unpack(again.metrics).counters == {"said": 2}


def test_a_merged_beat_that_is_unreadable_is_given_up_as_a_whole() -> None:
    outbox = Outbox()
    sent(outbox, 3)
    assert outbox.answered(1, 1)
    assert outbox.next(full).covers == 2
    outbox.refused()
    assert (outbox.next(full).metrics, outbox.given_up) == (b"", 2)
    outbox.refused()
    assert (outbox.next(full).seq, outbox.next(full).covers) == (4, 3)


def test_nothing_is_given_up_when_nothing_is_under_way() -> None:
    outbox = Outbox()
    assert outbox.refused() == ""
    sent(outbox)
    assert (outbox.refused(), outbox.given_up) == ("", 0)
