"""The desired state: every command, gaps, repetitions, commands of another run."""

from typing import Any

import msgspec
import pytest

from amoc.control import (
    PHASES,
    Assign,
    Change,
    Command,
    Desired,
    IdRange,
    Removal,
    Remove,
    Run,
    Start,
    Step,
    Stop,
    apply,
)

RUN = Run("r1", "chat", "v1", {"rounds": 3}, ["a", "b"], 1.0, 7)
STARTED = apply(Desired(), Start(1, RUN, 0.05))


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
        assigned={"a": [IdRange(1, 2)]},
        removed={"a": [Removal(3, [IdRange(1, 2)], True)]},
    )
    new = apply(old, Start(5, RUN, 0.02))
    assert new == Desired(number=5, run=RUN, phase="setup", interval=0.02, settings={"rounds": 3})


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


def test_assignments_add_up_by_node() -> None:
    state = apply(STARTED, Assign(2, "r1", {"a": [IdRange(1, 9, 2)], "b": [IdRange(2, 10, 2)]}))
    state = apply(state, Assign(3, "r1", {"a": [IdRange(11, 11)]}))
    assert state.assigned == {"a": [IdRange(1, 9, 2), IdRange(11, 11)], "b": [IdRange(2, 10, 2)]}


def test_removals_keep_the_number_of_their_command() -> None:
    state = apply(STARTED, Remove(2, "r1", {"a": [IdRange(9, 9)]}, False))
    state = apply(state, Remove(3, "r1", {"a": [IdRange(7, 7)], "b": [IdRange(8, 8)]}, True))
    assert state.removed == {
        "a": [Removal(2, [IdRange(9, 9)], False), Removal(3, [IdRange(7, 7)], True)],
        "b": [Removal(3, [IdRange(8, 8)], True)],
    }


def test_change_replaces_all_settings() -> None:
    state = apply(STARTED, Change(2, "r1", {"pause": 1}, 0.5))
    assert (state.settings, state.interval) == ({"pause": 1}, 0.5)


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
    assert apply(once, Start(1, RUN, 0.05)) is once


@pytest.mark.parametrize("number", [3, 4, 100])
def test_a_gap_is_told(number: int) -> None:
    with pytest.raises(ValueError, match=f"{number} does not follow 1"):
        apply(STARTED, Step(number, "r1", "init"))


def test_the_state_given_is_left_as_it_is() -> None:
    before = msgspec.json.encode(STARTED)
    for make in OF_A_RUN:
        apply(STARTED, make(2, "r1"))
    assert msgspec.json.encode(STARTED) == before
