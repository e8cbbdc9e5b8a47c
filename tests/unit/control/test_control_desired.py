"""The desired state: every command, gaps, repetitions, commands of another run."""

from typing import Any

import msgspec
import pytest

from amoc.control import (
    PHASES,
    Assign,
    Change,
    Close,
    Command,
    Desired,
    Grant,
    IdRange,
    Join,
    Lead,
    Own,
    Ping,
    Removal,
    Remove,
    Run,
    Seat,
    Start,
    Step,
    Stop,
    apply,
)

RUN = Run("r1", "chat", "v1", {"rounds": 3}, ["a", "b"], 1.0, 7)
SEATS = {"a": "a1", "b": "b1"}
STARTED = apply(Desired(), Start(1, RUN, 0.05, SEATS))


def phased(phase: str) -> Desired:
    return msgspec.structs.replace(STARTED, phase=phase)


def test_start_begins_anew() -> None:
    old = Desired(
        number=4,
        run=msgspec.structs.replace(RUN, id="r0"),
        phase="over",
        data=[1],
        force=True,
        settings={"old": 1},
        seats={"a": Seat("a0", 1, [Grant(2, [IdRange(1, 2)])], [Removal(3, [IdRange(1, 2)], True)])},
        given=2,
        highest=2,
        orphans=[IdRange(2, 2)],
        reason="stopped",
        failed=True,
        ended_at=1.0,
    )
    new = apply(old, Start(5, RUN, 0.02, SEATS))
    seats = {"a": Seat("a1", 5), "b": Seat("b1", 5)}
    assert new == Desired(
        number=5, run=RUN, phase="setup", interval=0.02, settings={"rounds": 3}, seats=seats, leader="a"
    )


def test_steps_go_forward_only() -> None:
    state = STARTED
    for number, phase in enumerate(PHASES[1:], start=2):
        state = apply(state, Step(number, "r1", phase))
        assert state.phase == phase
    for number, phase in enumerate(PHASES, start=state.number + 1):
        state = apply(state, Step(number, "r1", phase))
        assert (state.phase, state.number) == ("over", number)


def test_data_of_setup_stays_through_later_steps() -> None:
    state = apply(STARTED, Step(2, "r1", "init", {"room": "x"}))
    state = apply(state, Step(3, "r1", "run"))
    assert state.data == {"room": "x"}


def test_grants_add_up_by_node() -> None:
    state = apply(STARTED, Assign(2, "r1", {"a": [IdRange(1, 9, 2)], "b": [IdRange(2, 10, 2)]}))
    state = apply(state, Assign(3, "r1", {"a": [IdRange(11, 11)], "z": [IdRange(12, 12)]}))
    assert state.seats["a"].grants == [Grant(2, [IdRange(1, 9, 2)]), Grant(3, [IdRange(11, 11)])]
    assert state.seats["b"].grants == [Grant(2, [IdRange(2, 10, 2)])]
    assert (state.given, state.highest) == (12, 12)


def test_ids_that_move_are_not_new() -> None:
    state = apply(STARTED, Assign(2, "r1", {"a": [IdRange(1, 9)], "b": [IdRange(10, 19)]}))
    state = apply(state, Close(3, "r1", "b", [IdRange(10, 19)]))
    assert (list(state.seats), state.orphans) == (["a"], [IdRange(10, 19)])
    state = apply(state, Join(4, "r1", "c", "c1"))
    moved = Assign(5, "r1", {"c": [IdRange(10, 19), IdRange(8, 9)]}, [], {"a": [IdRange(8, 9)]})
    state = apply(state, moved)
    assert state.seats["a"].grants == [Grant(2, [IdRange(1, 7)])]
    assert state.seats["c"] == Seat("c1", 4, [Grant(5, [IdRange(10, 19), IdRange(8, 9)])])
    assert (state.given, state.highest, state.orphans) == (19, 19, [])


def test_a_node_that_joins_anew_has_nothing_of_what_it_had() -> None:
    state = apply(STARTED, Assign(2, "r1", {"a": [IdRange(1, 9)]}))
    state = apply(state, Join(3, "r1", "a", "a2"))
    assert state.seats["a"] == Seat("a2", 3)
    assert state.given == 9


def test_removals_keep_the_number_of_their_command() -> None:
    state = apply(STARTED, Remove(2, "r1", {"a": [IdRange(9, 9)]}, False))
    state = apply(state, Remove(3, "r1", {"a": [IdRange(7, 7)], "b": [IdRange(8, 8)]}, True))
    state = apply(state, Remove(4, "r1", {"a": [IdRange(6, 6)], "z": [IdRange(1, 1)]}, False, True))
    assert state.seats["a"].removed == [
        Removal(2, [IdRange(9, 9)], False),
        Removal(3, [IdRange(7, 7)], True),
        Removal(4, [IdRange(6, 6)], False, True),
    ]
    assert state.seats["b"].removed == [Removal(3, [IdRange(8, 8)], True)]


def test_change_replaces_all_settings() -> None:
    state = apply(STARTED, Change(2, "r1", {"pause": 1}, 0.5, {"a": Own({"pause": 2}, 0.1)}))
    assert (state.settings, state.interval) == ({"pause": 1}, 0.5)
    assert (state.seats["a"].own, state.seats["b"].own) == (Own({"pause": 2}, 0.1), None)
    state = apply(state, Change(3, "r1", {"pause": 3}, 0.5))
    assert state.seats["a"].own is None


def test_another_node_leads() -> None:
    assert (STARTED.leader, apply(STARTED, Lead(2, "r1", "b")).leader) == ("a", "b")


def test_ping_changes_only_the_number() -> None:
    assert apply(STARTED, Ping(2)) == msgspec.structs.replace(STARTED, number=2)


def test_the_first_reason_stays_and_the_end_is_when_the_users_have_ended() -> None:
    state = apply(STARTED, Stop(2, "r1", False, "init() raised", True))
    state = apply(state, Stop(3, "r1", True))
    assert (state.reason, state.failed, state.ended_at) == ("init() raised", True, None)
    state = apply(state, Step(4, "r1", "teardown", None, 7.0))
    state = apply(state, Step(5, "r1", "over", None, 9.0))
    assert state.ended_at == 7.0


@pytest.mark.parametrize(
    ("before", "after"), [*((phase, "stop") for phase in ("setup", "init", "run", "stop")), ("teardown", "teardown")]
)
def test_stop_never_goes_back(before: str, after: str) -> None:
    assert apply(phased(before), Stop(2, "r1", False)).phase == after


def test_force_stays() -> None:
    state = apply(STARTED, Stop(2, "r1", True))
    assert apply(state, Stop(3, "r1", False)).force


OF_A_RUN: list[Any] = [
    lambda n, run: Step(n, run, "init"),
    lambda n, run: Assign(n, run, {"a": [IdRange(1, 2)]}),
    lambda n, run: Remove(n, run, {"a": [IdRange(1, 2)]}, True),
    lambda n, run: Change(n, run, {"x": 1}, 9.0),
    lambda n, run: Stop(n, run, True),
    lambda n, run: Lead(n, run, "b"),
    lambda n, run: Join(n, run, "a", "a2"),
    lambda n, run: Close(n, run, "a", []),
]


@pytest.mark.parametrize("make", OF_A_RUN)
def test_a_command_of_another_run_changes_only_the_number(make: Any) -> None:
    assert apply(STARTED, make(2, "r0")) == msgspec.structs.replace(STARTED, number=2)
    assert apply(Desired(), make(1, "r1")) == Desired(number=1)


@pytest.mark.parametrize("make", OF_A_RUN)
def test_a_command_heard_twice_changes_nothing(make: Any) -> None:
    command: Command = make(2, "r1")
    once = apply(STARTED, command)
    assert once != STARTED
    assert apply(once, command) is once
    assert apply(once, Start(1, RUN, 0.05, SEATS)) is once


@pytest.mark.parametrize("number", [3, 4, 100])
def test_a_gap_is_told(number: int) -> None:
    with pytest.raises(ValueError, match=f"{number} does not follow 1"):
        apply(STARTED, Step(number, "r1", "init"))


def test_the_state_given_is_left_as_it_is() -> None:
    before = msgspec.json.encode(STARTED)
    for make in OF_A_RUN:
        apply(STARTED, make(2, "r1"))
    assert msgspec.json.encode(STARTED) == before
