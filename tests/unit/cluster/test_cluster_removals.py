"""Removing: the newest first, exactly as many as wanted, whatever has ended meanwhile or is lost."""

import pytest

from amoc.control import Counts, IdRange, Remove
from tests.unit.cluster.played import Played, ids


def removed(played: Played, wanted: int, force: bool = False, nodes: list[str] | None = None) -> dict[str, list[int]]:
    """What the command of a removal names; nobody answers it."""
    played.forget()
    if played.state.remove(wanted, force, nodes) is None:
        return {}
    played.advance()
    command = last(played)
    assert command.force == force
    return ids(command)


def last(played: Played) -> Remove:
    command = played.commands[-1]
    assert isinstance(command, Remove)
    return command


def test_the_newest_over_all_nodes_are_removed_first() -> None:
    played = Played().running(10)  # a: 1 4 7 10, b: 2 5 8, c: 3 6 9
    assert removed(played, 4) == {"a": [7, 10], "b": [8], "c": [9]}
    assert removed(played, 2, True) == {"b": [5], "c": [6]}
    assert removed(played, 100) == {"a": [1, 4], "b": [2], "c": [3]}
    assert removed(played, 1) == {}


def test_only_of_some_nodes() -> None:
    played = Played().running(10)
    assert removed(played, 3, nodes=["a", "c"]) == {"a": [7, 10], "c": [9]}
    assert removed(played, 3) == {"b": [5, 8], "c": [6]}


def test_who_has_ended_is_not_chosen() -> None:
    played = Played().running(10)
    played.beat("c", phase="run", ended=[IdRange(9, 9)])
    played.beat("a", phase="run", ended=[IdRange(1, 10, 3)])
    assert removed(played, 3) == {"b": [5, 8], "c": [6]}
    assert removed(played, 9) == {"b": [2], "c": [3]}


def test_users_added_later_are_newer() -> None:
    played = Played().running(4)
    assert removed(played, 1) == {"a": [4]}
    played.state.assign(5, 7)
    assert removed(played, 4) == {"a": [7], "b": [5], "c": [3, 6]}
    assert (played.state.desired.highest, played.state.desired.given) == (7, 7)


@pytest.mark.parametrize("counts", [[1] * 10, [3, 3, 3, 1], [9, 1], [4, 5, 6]])
def test_every_user_is_chosen_once_whatever_the_steps(counts: list[int]) -> None:
    played = Played().running(7)
    played.state.assign(8, 10)
    chosen = [i for count in counts for many in removed(played, count).values() for i in many]
    assert sorted(chosen) == list(range(1, 11))


def test_what_is_missing_is_made_up_for_when_all_have_answered() -> None:
    played = Played().running(10)
    removing = played.state.remove(4, False)
    assert removing is not None
    number = played.state.desired.number
    played.advance()
    played.forget()
    played.beat("a", phase="run", dropped={number: 1})
    played.beat("b", phase="run", dropped={number: 0})
    assert (played.commands, played.state.removed(removing)) == ([], False)
    played.beat("c", phase="run", dropped={number: 1})
    assert ids(last(played)) == {"b": [5], "c": [6]}
    number += 1
    played.beat("b", phase="run", dropped={number: 1})
    played.beat("c", phase="run", dropped={number: 1})
    assert played.state.removed(removing)
    assert removing.met == {"a": 1, "b": 1, "c": 2}
    assert played.state.books.removed == 4
    assert played.state.removings == []


def test_a_lost_node_is_not_chosen_from_and_its_late_answer_is_made_up_for() -> None:
    played = Played().running(10)
    removing = played.state.remove(4, True)  # a: 7 10, b: 8, c: 9
    assert removing is not None
    number = played.state.desired.number
    for name, met in (("a", 2), ("b", 1)):
        played.beat(name, phase="run", dropped={number: met})
    assert not played.state.removed(removing)
    played.tick(10.5, alive=["a", "b"])
    assert played.state.removed(removing)  # as far as it can be
    assert removing.open(["c"]) == {"c": 1}
    assert removed(played, 2) == {"a": [4], "b": [5]}
    played.forget()
    played.beat("c", phase="run", ended=[IdRange(9, 9)], dropped={number: 0}, counts=Counts(finished=1))
    assert ids(last(played)) == {"c": [6]}
    assert last(played).force


def test_a_removal_that_a_dead_node_has_not_answered_counts_as_met() -> None:
    played = Played().running(10)
    removing = played.state.remove(4, False)
    assert removing is not None
    number = played.state.desired.number
    for name, met in (("a", 2), ("b", 1)):
        played.beat(name, phase="run", dropped={number: met})
    played.tick(4, alive=["a", "b"])
    played.hello("c", "2")
    assert played.state.removed(removing)
    assert removing.met == {"a": 2, "b": 1, "c": 1}
    assert played.state.books.removed == 4
    assert (played.state.counts().removed, played.state.counts().lost) == (1, 2)
