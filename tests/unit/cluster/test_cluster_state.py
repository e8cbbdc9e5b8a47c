"""The master's knowledge: what beats change and what they do not, phases, acknowledgements, failures."""

from typing import Any

import pytest

from amoc.cluster.books import MOST_ERRORS
from amoc.cluster.rules import FixedRules
from amoc.cluster.saved import decode, encode, restore, save
from amoc.cluster.state import ClusterState
from amoc.control import (
    Beat,
    BeatReply,
    Counts,
    ErrorCount,
    Fetch,
    Fetched,
    IdRange,
    Refused,
    Snapshot,
    SnapshotReply,
    Step,
    Stop,
    Welcome,
)
from amoc.metrics import Delta, pack
from tests.unit.cluster.played import SOURCE, Played


def error(key: str = "k", count: int = 1, kind: str = "OSError") -> ErrorCount:
    return ErrorCount(key, kind, "start", f"text of {key}", "", 1, count)


# Who may speak


def test_another_protocol_is_refused_with_what_to_do() -> None:
    played = Played(nodes=())
    reply = played.hello("a", protocol=99, version="9.9")
    assert isinstance(reply, Refused)
    assert reply.code == "version"
    assert reply.reason == (
        "node a runs amoc 9.9 (control protocol 99), this master amoc 0.1 (control protocol 1): "
        "install the same amoc on both"
    )
    assert not played.state.members.by_name


@pytest.mark.parametrize("request_", [Beat, Snapshot])
def test_a_stranger_is_told_to_say_hello(request_: Any) -> None:
    played = Played(nodes=())
    stranger = Beat("a", "a1", 1, 0, "idle") if request_ is Beat else Snapshot("a", "a1")
    reply = played.ask(stranger)
    assert isinstance(reply, Refused)
    assert reply.code == "unregistered"


def test_hello_again_changes_nothing() -> None:
    played = Played().running(10)
    played.beat("a", phase="run", counts=Counts(running=4, starts=4))
    assert played.hello("a") == Welcome(played.state.desired.number, played.seqs["a1"])
    assert played.state.counts().starts == 4
    assert played.said == []


def test_a_node_twice_under_one_name() -> None:
    played = Played()
    reply = played.hello("a", "2")
    assert isinstance(reply, Refused)
    assert (reply.code, "a node named a is connected already" in reply.reason) == ("twice", True)
    played.tick(3.0)
    assert isinstance(played.hello("a", "2"), Welcome)
    for request in (Beat("a", "a1", 1, 0, "idle"), Snapshot("a", "a1")):
        superseded = played.ask(request)
        assert isinstance(superseded, Refused)
        assert superseded.code == "superseded"
    refused = played.hello("a", "1")
    assert isinstance(refused, Refused)
    assert refused.code == "superseded"


def test_snapshot_and_source() -> None:
    played = Played()
    played.start(5)
    assert played.ask(Snapshot("a", "a1")) == SnapshotReply(played.state.desired)
    fetched = played.ask(Fetch("a", "a1", SOURCE.version))
    assert fetched == Fetched(SOURCE.name, SOURCE.path, SOURCE.text, SOURCE.version, {"_rooms.py": "ROOMS = 3"})
    assert isinstance(played.ask(Fetch("a", "a1", "other")), Refused)


# Beats: each piece of news once


def test_a_repeated_beat_changes_nothing() -> None:
    played = Played().running(10)
    metrics = pack(Delta(counters={"n": 3}))
    news: dict[str, Any] = {"errors": [error(count=2)], "metrics": metrics, "ended": [IdRange(1, 1)]}
    for _ in range(3):
        reply = played.beat("a", seq=4, phase="run", counts=Counts(running=3, finished=1, starts=4), **news)
        assert played.counted(reply) == 4
    assert played.state.counts().finished == 1
    assert played.state.books.errors["k"].count == 2
    assert played.state.store.points(played.now)["n"]["value"] == 3


def test_a_beat_that_leaves_something_out_is_not_taken() -> None:
    played = Played().running(10)
    reply = played.beat("a", seq=6, phase="run", counts=Counts(running=4), errors=[error()])
    assert played.counted(reply) == 3
    assert played.state.books.errors == {}
    reply = played.beat("a", seq=6, covers=3, phase="run", counts=Counts(running=4), errors=[error()])
    assert played.counted(reply) == 6
    assert played.state.books.errors["k"].count == 1
    reply = played.beat("a", seq=7, covers=4, phase="run", errors=[error()])  # it would be counted twice
    assert played.counted(reply) == 6


def test_metrics_that_cannot_be_read_are_refused() -> None:
    played = Played().running(10)
    reply = played.beat("a", seq=4, metrics=b"\xc1", errors=[error()])
    assert isinstance(reply, Refused)
    assert "metrics of node a cannot be read" in reply.reason
    assert (played.state.books.errors, played.state.books.seqs["a1"]) == ({}, 3)


@pytest.mark.parametrize("other", [{"run_id": None}, {"run_id": "r0"}, {"seat": 77}])
def test_a_beat_of_another_run_or_seat_is_not_counted(other: dict[str, Any]) -> None:
    played = Played()
    played.start(10)
    reply = played.beat(
        "a", **{"phase": "over", "error": "old", "counts": Counts(running=4), "errors": [error()], **other}
    )
    assert played.counted(reply) == 1  # that it was said is noted all the same
    assert played.state.counts() == Counts()
    assert (played.state.failure(), played.state.books.errors) == (None, {})
    assert not played.state.reached("setup")


def test_what_is_on_disk_is_told() -> None:
    played = Played().running(10)
    assert played.beat("a") == BeatReply(4, played.state.desired.number, 4, played.now, played.now)
    played.state.durable = {"a1": 2}
    assert played.beat("a") == BeatReply(5, played.state.desired.number, 2, played.now, played.now)


def test_counts_are_the_sum_of_the_nodes_and_who_was_not_told_of_is_planned() -> None:
    played = Played().running(10)
    assert played.state.counts() == Counts(planned=10)
    played.beat("a", phase="run", counts=Counts(running=1, planned=3, starts=4))
    played.beat("b", phase="run", counts=Counts(running=2, waiting=1, starts=3))
    assert played.state.counts() == Counts(planned=6, running=3, waiting=1, starts=7)


def test_what_a_held_up_worker_says_is_shown_and_not_relied_on() -> None:
    played = Played(["a"]).running(4)
    played.beat("a", phase="run", counts=Counts(running=4), shown=Counts(running=3, finished=1))
    assert played.state.counts() == Counts(running=4)
    assert played.state.counts(shown=True) == Counts(running=3, finished=1)


def test_errors_of_all_nodes_are_merged_by_key() -> None:
    played = Played().running(10)
    played.beat("a", errors=[error("k1", 2), error("k2", 1)])
    played.beat("b", errors=[error("k1", 5)])
    assert {key: e.count for key, e in played.state.books.errors.items()} == {"k1": 7, "k2": 1}


def test_errors_are_bounded_and_none_is_left_uncounted() -> None:
    played = Played(["a"]).running(10)
    for number in range(2 * MOST_ERRORS):
        played.beat("a", errors=[error(f"k{number}", 1, f"Kind{number % 2}")])
    errors = played.state.books.errors
    assert len(errors) <= MOST_ERRORS + 2
    assert sum(e.count for e in errors.values()) == 2 * MOST_ERRORS


# Phases


def test_a_run_goes_through_its_phases_when_all_nodes_have() -> None:
    played = Played(["a", "b"])
    played.start(3)
    played.beat("a", phase="setup")
    played.beat("b", phase="setup")
    assert played.state.desired.phase == "setup"  # the leader has not run setup()
    played.beat("a", phase="setup", led=True, data={"room": 7})
    assert (played.state.desired.phase, played.state.desired.data) == ("init", {"room": 7})
    played.beat("a", phase="init", led=True)
    assert played.state.desired.given == 0
    played.beat("b", phase="init")
    assert (played.state.desired.phase, played.state.desired.given) == ("run", 3)
    played.state.stop(False, "enough")
    for phase in ("stop", "teardown", "over"):
        assert played.state.ending()
        for name in ("a", "b"):
            played.beat(name, phase=phase)
    assert (played.state.desired.phase, played.state.ending()) == ("over", False)
    assert played.said[-1] == "chat is over: enough"
    assert played.state.desired.ended_at == played.now
    assert [type(c).__name__ for c in played.commands] == ["Start", "Step", "Assign", "Step", "Stop", "Step", "Step"]


def test_an_error_of_the_scenario_ends_the_start_for_all() -> None:
    played = Played()
    played.start(10)
    played.beat("b", error="worker 0: init() raised OSError")
    assert isinstance(played.commands[-1], Stop)
    assert played.commands[-1].reason == "b: worker 0: init() raised OSError"
    assert (played.commands[-1].failed, played.commands[-1].force) == (True, False)


def test_an_error_of_one_node_leaves_the_others() -> None:
    played = Played()
    played.start(4)
    for phase in ("setup", "init"):
        played.beat("a", phase=phase, led=True)
        played.beat("b", phase=phase)
        played.beat("c", error="worker 0 cannot be started: no room", alone=True)
    assert played.state.desired.phase == "run"
    assert {node: len(seat.grants) for node, seat in played.state.desired.seats.items()} == {"a": 1, "b": 1, "c": 0}
    played.beat("b", phase="run", error="no worker is left", alone=True)
    assert played.state.desired.phase == "run"
    played.beat("a", phase="run", error="no worker is left", alone=True)
    assert (played.state.desired.phase, played.state.desired.force) == ("stop", True)


def test_the_leader_is_replaced_before_setup_and_before_teardown() -> None:
    played = Played()
    played.start(3)
    played.tick(10.5, alive=["b", "c"])
    assert (played.state.desired.leader, played.state.desired.phase) == ("b", "setup")
    assert "a is lost: no beat for 10 s; 0 users" in played.said
    played.beat("b", phase="setup", led=True, data=[1])
    played.beat("c", phase="setup")
    assert (played.state.desired.phase, played.state.desired.data) == ("init", [1])


def test_a_start_whose_nodes_are_all_lost_fails() -> None:
    played = Played()
    played.start(3)
    played.tick(10.5)
    assert (played.state.desired.reason, played.state.desired.phase) == ("all its nodes are lost", "over")


def test_acknowledgement_is_by_the_nodes_addressed() -> None:
    played = Played().running(10)
    ping = played.state.ping()
    played.beat("a")
    assert played.state.acknowledged(ping.number, ["a"])
    assert not played.state.acknowledged(ping.number, ["a", "b"])
    played.beat("b")
    assert played.state.acknowledged(ping.number, ["a", "b"])


def test_a_new_run_begins_with_nothing() -> None:
    played = Played(["a"]).running(10)
    played.beat("a", phase="run", counts=Counts(running=10, starts=10), errors=[error()], ended=[])
    played.state.remove(3, False)
    played.state.stop(True)
    for phase in ("stop", "teardown", "over"):
        played.beat("a", phase=phase, counts=Counts(stopped=10, starts=10))
    played.start(2, "r2")
    state = played.state
    assert (state.counts(), state.books.errors, state.books.removed, state.desired.given) == (Counts(), {}, 0, 0)
    assert not state.removings
    assert state.active()


def test_before_any_run() -> None:
    state = Played(nodes=()).state
    assert not state.active()
    assert not state.ending()
    assert not state.reached("over")
    assert (state.failure(), state.counts(), state.books.removed) == (None, Counts(), 0)


def test_when_all_users_have_ended_it_is_said_once() -> None:
    played = Played(["a", "b"]).running(4)
    for _ in range(2):
        played.beat("a", phase="run", counts=Counts(finished=2))
        played.tick()
    assert played.said == []
    for _ in range(2):
        played.beat("b", phase="run", counts=Counts(finished=1, failed=1))
        played.tick()
    assert played.said == ["all users have ended: 3 finished, 1 failed, 0 removed"]
    played.state.assign(5, 6)
    played.tick()
    assert len(played.said) == 1


def test_steps_tell_when() -> None:
    played = Played(["a"])
    played.start(1)
    played.beat("a", phase="setup", led=True)
    step = played.commands[-1]
    assert isinstance(step, Step)
    assert step.time == played.now


def test_nobody_waits_for_a_node_that_has_told_the_end_and_was_started_anew() -> None:
    played = Played().running(9, lease=60.0)
    played.state.stop(force=True)
    for phase in ("stop", "teardown", "over"):
        for name in ("a", "b"):
            played.beat(name, phase=phase)
    played.tick(5)
    for name in ("a", "b", "c"):  # c was ended before it had told anything
        assert isinstance(played.hello(name, "2"), Welcome)
    assert played.state.unfinished() == {"c1": "c"}
    assert played.state.quiet_at() > played.now + 50
    restarted = ClusterState(FixedRules(), "0.1")
    restore(restarted, decode(encode(save(played.state))), played.now)
    assert restarted.unfinished() == {"c1": "c"}
    played.tick(70, alive=())
    assert played.state.quiet_at() <= played.now
    played.start(9, run_id="r2", nodes=["a", "b"])
    assert played.state.through == set()
    assert played.state.unfinished() == {"a2": "a", "b2": "b"}
