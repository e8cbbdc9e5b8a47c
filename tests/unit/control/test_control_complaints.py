"""What is refused is counted always and said rarely."""

from amoc.control.complaints import MOST, PAUSE, Complaints


def test_the_same_is_said_once_a_minute_and_counted_each_time() -> None:
    said: list[str] = []
    complaints = Complaints(said.append)
    for second in range(120):
        complaints.note("decode", "a", f"at {second}", float(second))
    assert said == ["at 0", "at 60 (59 more like this or others were not logged)"]
    assert complaints.counts == {"decode": 120}


def test_another_kind_or_sender_is_said_at_once() -> None:
    said: list[str] = []
    complaints = Complaints(said.append)
    for kind, who in (("decode", "a"), ("decode", "b"), ("size", "a"), ("size", "a")):
        complaints.note(kind, who, f"{kind} {who}", 5.0)
    assert said == ["decode a", "decode b", "size a"]


def test_many_senders_do_not_fill_log_or_memory() -> None:
    said: list[str] = []
    complaints = Complaints(said.append)
    for number in range(10_000):
        complaints.note("key", f"key{number}", f"key{number}", number / 1000)
    assert len(said) == MOST
    assert len(complaints._said) == MOST
    assert complaints.counts["key"] == 10_000
    complaints.note("key", "one more", "one more", 10 + PAUSE)
    assert said[-1] == f"one more ({10_000 - MOST} more like this or others were not logged)"
    assert len(complaints._said) == 1
