"""The master's knowledge: who is removed, what beats change and what they do not, errors merged."""

from typing import Any

import pytest

from amoc.cluster.state import MOST_ERRORS, ClusterState
from amoc.control import Beat, Counts, ErrorCount, Hello, IdRange, Remove, Run, WorkerFigures

NODES = ["a", "b", "c"]


def cluster(last: int = 0, nodes: list[str] = NODES, run_id: str = "r1") -> ClusterState:
    state = ClusterState()
    for name in nodes:
        state.hello(Hello(name, f"{name}1", 1, "0.1", 2), 0.0)
    state.start(Run(run_id, "chat", "v1", {}, nodes, 0.0, 1), 0.05)
    if last:
        state.step("run")
        state.assign(1, last)
    return state


def beat(name: str, number: int, run: str | None = "r1", **fields: Any) -> Beat:
    common: dict[str, Any] = {"node": name, "incarnation": f"{name}1", "seq": number, "run_id": run}
    return Beat(**{"applied": 0, "state": "running", **common, **fields})


def error(key: str = "k", count: int = 1, kind: str = "OSError") -> ErrorCount:
    return ErrorCount(key, kind, "start", f"text of {key}", "", 1, count)


def ids(command: Remove | None) -> dict[str, list[int]]:
    assert command is not None
    return {node: sorted(i for r in ranges for i in r) for node, ranges in command.ids.items()}


# Removals


def test_the_newest_over_all_nodes_are_removed_first() -> None:
    state = cluster(10)  # a: 1 4 7 10, b: 2 5 8, c: 3 6 9
    assert ids(state.remove(4, False)) == {"a": [7, 10], "b": [8], "c": [9]}
    assert ids(state.remove(2, True)) == {"b": [5], "c": [6]}
    assert ids(state.remove(100, False)) == {"a": [1, 4], "b": [2], "c": [3]}
    assert state.remove(1, False) is None


def test_who_has_ended_is_not_chosen() -> None:
    state = cluster(10)
    state.beat(beat("c", 1, ended=[IdRange(9, 9)]), 1.0)
    state.beat(beat("a", 1, ended=[IdRange(1, 10, 3)]), 1.0)
    assert ids(state.remove(3, False)) == {"b": [5, 8], "c": [6]}
    assert ids(state.remove(9, False)) == {"b": [2], "c": [3]}


def test_users_added_later_are_newer() -> None:
    state = cluster(4)
    assert ids(state.remove(1, False)) == {"a": [4]}
    state.assign(5, 7)
    assert ids(state.remove(4, False)) == {"a": [7], "b": [5], "c": [3, 6]}
    assert (state.highest, state.given) == (7, 7)


@pytest.mark.parametrize("first", [1, 2, 3, 1000])
@pytest.mark.parametrize("counts", [[1] * 10, [3, 3, 3, 1], [9, 1], [4, 5, 6]])
def test_every_user_is_chosen_once_whatever_the_steps(first: int, counts: list[int]) -> None:
    state = cluster()
    state.step("run")
    state.assign(first, first + 6)
    state.assign(first + 7, first + 9)
    chosen = [i for count in counts for ranges in ids(state.remove(count, False)).values() for i in ranges]
    assert sorted(chosen) == list(range(first, first + 10))


def test_a_removal_is_known_when_all_nodes_addressed_have_told() -> None:
    state = cluster(10)
    command = state.remove(2, False)  # 10 of a, 9 of c
    assert command is not None
    assert state.dropped(command) is None
    state.beat(beat("a", 1, dropped={command.number: 1}), 1.0)
    state.beat(beat("b", 1, dropped={}), 1.0)
    assert state.dropped(command) is None
    assert state.removed == 1
    state.beat(beat("c", 1, dropped={command.number: 0}), 1.0)
    assert state.dropped(command) == {"a": 1, "c": 0}
    assert state.removed == 1


# Beats


def test_a_repeated_beat_changes_nothing() -> None:
    state = cluster(10)
    first = beat("a", 1, counts=Counts(running=4), errors=[error(count=2)], ended=[IdRange(1, 1)], dropped={7: 1})
    assert state.beat(first, 1.0)
    assert state.beat(beat("a", 2, counts=Counts(running=3), errors=[error(count=1)]), 2.0)
    assert not state.beat(beat("a", 2, counts=Counts(running=9), errors=[error(count=5)]), 3.0)
    assert not state.beat(first, 4.0)
    assert state.counts() == Counts(running=3)
    assert state.errors["k"].count == 3
    assert state.nodes["a"].heard == 4.0  # it lives all the same


@pytest.mark.parametrize("stranger", [{"node": "z"}, {"incarnation": "a0"}])
def test_a_stranger_changes_nothing(stranger: dict[str, str]) -> None:
    state = cluster(10)
    assert not state.beat(beat("a", 1, counts=Counts(running=4), **stranger), 9.0)
    assert state.counts() == Counts()
    assert state.nodes["a"].heard == 0.0


@pytest.mark.parametrize("run_id", [None, "r0"])
def test_a_beat_of_another_run_is_not_counted(run_id: str | None) -> None:
    state = cluster(10)
    old = beat("a", 1, run_id, phase="over", error="old", counts=Counts(running=4), errors=[error()], dropped={3: 2})
    assert state.beat(old, 1.0)
    assert state.counts() == Counts()
    assert (state.failure(), state.errors, state.removed) == (None, {}, 0)
    assert not state.reached("setup")
    assert ids(state.remove(1, False)) == {"a": [10]}


def test_phases_are_reached_when_every_node_has_done_them() -> None:
    state = cluster(10)
    for name, phase in [("a", "run"), ("b", "init"), ("c", None)]:
        state.beat(beat(name, 1, phase=phase), 1.0)
    assert not state.reached("setup")
    state.beat(beat("c", 2, phase="setup"), 2.0)
    assert state.reached("setup")
    assert not state.reached("init")


def test_acknowledgement_is_by_all_nodes() -> None:
    state = cluster(10)
    number = state.desired.number
    for name in NODES:
        assert not state.applied(number)
        state.beat(beat(name, 1, applied=number), 1.0)
    assert state.applied(number)
    assert not state.applied(number + 1)


def test_the_first_node_in_error_is_told() -> None:
    state = cluster(10)
    state.beat(beat("b", 1, error="init() raised"), 1.0)
    assert state.failure() == ("b", "init() raised")


def test_counts_are_the_sum_of_the_nodes() -> None:
    state = cluster(10)
    state.beat(beat("a", 1, counts=Counts(running=1, starts=4)), 1.0)
    state.beat(beat("b", 1, counts=Counts(running=2, waiting=5)), 1.0)
    assert state.counts() == Counts(running=3, waiting=5, starts=4)


def test_a_new_run_begins_with_nothing() -> None:
    state = cluster(10)
    removal = state.remove(2, False)
    assert removal is not None
    done = beat(
        "a", 1, counts=Counts(running=1), workers=[WorkerFigures(0)], errors=[error()], dropped={removal.number: 1}
    )
    state.beat(done, 1.0)
    state.start(Run("r2", "chat", "v1", {}, NODES, 5.0, 1), 0.05)
    assert state.active()
    assert (state.counts(), state.errors, state.removed, state.given, state.highest) == (Counts(), {}, 0, 0, 0)
    assert state.nodes["a"].workers == []
    assert state.remove(1, False) is None
    state.assign(1, 3)
    assert ids(state.remove(9, False)) == {"a": [1], "b": [2], "c": [3]}


def test_a_node_that_comes_back_is_a_new_one() -> None:
    state = cluster(10)
    state.beat(beat("a", 5, counts=Counts(running=4)), 1.0)
    state.hello(Hello("a", "a2", 1, "0.1", 2), 2.0)
    assert not state.beat(beat("a", 6, counts=Counts(running=4)), 3.0)
    assert state.beat(beat("a", 1, incarnation="a2", counts=Counts(running=2)), 3.0)
    assert state.counts() == Counts(running=2)


def test_before_any_run() -> None:
    state = ClusterState()
    assert not state.active()
    assert not state.reached("over")
    assert (state.of_run(), state.failure(), state.counts(), state.removed) == ([], None, Counts(), 0)


# Errors


def test_errors_of_all_nodes_are_merged_by_key() -> None:
    state = cluster(10)
    state.beat(beat("a", 1, errors=[error("k1", 2), error("k2", 1)]), 1.0)
    state.beat(beat("b", 1, errors=[error("k1", 5)]), 1.0)
    assert {key: e.count for key, e in state.errors.items()} == {"k1": 7, "k2": 1}


def test_errors_are_bounded_and_none_is_left_uncounted() -> None:
    state = cluster(10)
    for seq in range(1, 2 * MOST_ERRORS + 1):
        state.beat(beat("a", seq, errors=[error(f"k{seq}", 1, f"Kind{seq % 2}")]), 1.0)
    assert len(state.errors) <= MOST_ERRORS + 2
    assert sum(e.count for e in state.errors.values()) == 2 * MOST_ERRORS
