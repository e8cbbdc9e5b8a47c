"""Which worker gets which ids, and when: shares, pace, restarts."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amoc.control import IdRange
from amoc.node.plan import LEAD, NodePlan
from amoc.users import Leg

Deadlines = list[tuple[float, int]]


def deadlines(plan: NodePlan) -> Deadlines:
    """(when, id) of everybody, in order."""
    return sorted(
        (leg.at + k * leg.spacing, user_id)
        for worker in range(plan.workers)
        for leg in plan.legs(worker)
        for k, user_id in enumerate(leg.ids())
    )


def ids(legs: list[Leg]) -> list[int]:
    return [i for leg in legs for i in leg.ids()]


def gaps(times: Deadlines) -> list[float]:
    return [b[0] - a[0] for a, b in pairwise(times)]


@pytest.mark.parametrize("workers", [1, 2, 3, 7, 64])
def test_shares_are_even_and_the_pace_is_exact(workers: int) -> None:
    plan = NodePlan(workers, 0.001)
    plan.assign([IdRange(1, 1000)], 50.0)
    times = deadlines(plan)
    assert [user_id for _, user_id in times] == list(range(1, 1001))  # in order of their ids
    assert times[0][0] == 50.0 + LEAD
    assert gaps(times) == pytest.approx([0.001] * 999, abs=1e-9)
    sizes = [len(ids(plan.legs(worker))) for worker in range(workers)]
    assert max(sizes) - min(sizes) <= 1
    assert plan.given == 1000


def test_assign_returns_the_new_legs_alone() -> None:
    plan = NodePlan(2, 1.0)
    assert plan.assign([IdRange(1, 3)], 0.0) == {
        0: [Leg(1, 3, 2, LEAD, 2.0)],
        1: [Leg(2, 2, 2, LEAD + 1.0, 2.0)],
    }
    assert plan.assign([IdRange(4, 5)], 0.0) == {  # the dealing goes on: worker 1 is next
        1: [Leg(4, 4, 2, LEAD + 3.0, 2.0)],
        0: [Leg(5, 5, 2, LEAD + 4.0, 2.0)],
    }


def test_later_users_follow_in_the_same_pace() -> None:
    plan = NodePlan(3, 0.01)
    plan.assign([IdRange(1, 10), IdRange(21, 40)], 0.0)
    plan.assign([IdRange(41, 45)], 0.1)
    assert gaps(deadlines(plan)) == pytest.approx([0.01] * 34)


def test_later_users_do_not_make_up_for_an_idle_time() -> None:
    plan = NodePlan(2, 0.01)
    plan.assign([IdRange(1, 5)], 0.0)
    plan.assign([IdRange(6, 9)], 100.0)
    assert [when for when, user_id in deadlines(plan) if user_id > 5] == pytest.approx(
        [100 + LEAD + k * 0.01 for k in range(4)]
    )


def test_strided_ranges_of_a_cluster() -> None:
    """The node's share of a round robin over four nodes."""
    plan = NodePlan(2, 0.5)
    plan.assign([IdRange(3, 39, 4)], 0.0)
    assert [ids(plan.legs(worker)) for worker in (0, 1)] == [[3, 11, 19, 27, 35], [7, 15, 23, 31, 39]]


def test_without_interval_everybody_is_due_at_once() -> None:
    plan = NodePlan(2, 0.0)
    plan.assign([IdRange(1, 9)], 7.0)
    assert {when for when, _ in deadlines(plan)} == {7.0 + LEAD}
    assert plan.repace(1.0, 8.0) is None  # who is due already stays so
    plan.assign([IdRange(10, 12)], 8.0)
    assert gaps(deadlines(plan)[-3:]) == [1.0, 1.0]


def test_repace_keeps_workers_interleaved_and_later_users_behind() -> None:
    plan = NodePlan(3, 0.01)
    plan.assign([IdRange(1, 90)], 0.0)
    assert plan.repace(0.01, 0.2) is None
    assert plan.repace(0.02, 0.35) == (0.35 + LEAD, 2.0)
    plan.assign([IdRange(91, 99)], 0.5)
    times = deadlines(plan)
    assert [user_id for _, user_id in times] == list(range(1, 100))
    assert gaps(times)[:35] == pytest.approx([0.01] * 35)
    assert gaps(times)[35:] == pytest.approx([0.02] * 63)


def test_started_counts_who_was_due_and_is_not_gone() -> None:
    plan = NodePlan(2, 1.0)
    plan.assign([IdRange(1, 10)], 0.0)
    assert plan.started(0, 4.5, lambda _: False) == 3  # 1, 3 and 5
    assert plan.started(1, 4.5, {2, 8}.__contains__) == 1  # 4


def test_restart_takes_up_who_is_left_at_the_workers_own_pace() -> None:
    plan = NodePlan(2, 0.5)
    plan.assign([IdRange(1, 12)], 0.0)
    legs = plan.restart(0, 100.0, {3, 9}.__contains__)
    assert ids(legs) == [1, 5, 7, 11]
    assert plan.legs(0) == legs
    times = sorted((leg.at + k, user_id) for leg in legs for k, user_id in enumerate(leg.ids()))
    assert [when for when, _ in times] == [100 + LEAD + k for k in range(4)]
    assert ids(plan.legs(1)) == [2, 4, 6, 8, 10, 12]  # the others go on
    assert plan.restart(0, 200.0, lambda _: True) == []


steps = st.one_of(
    st.tuples(st.just("assign"), st.integers(1, 30)),
    st.tuples(st.just("repace"), st.sampled_from([0.0, 0.001, 0.01, 0.3])),
    st.tuples(st.just("restart"), st.integers(0, 3)),
    st.tuples(st.just("wait"), st.floats(0.0, 1.0)),
)


@given(st.integers(1, 4), st.lists(steps, max_size=25))
def test_every_id_is_with_exactly_one_worker(workers: int, history: list[tuple[str, float]]) -> None:
    plan, now, last, gone = NodePlan(workers, 0.01), 10.0, 0, set[int]()
    for what, value in history:
        match what:
            case "assign":
                plan.assign([IdRange(last + 1, last + int(value))], now)
                last += int(value)
            case "repace":
                plan.repace(value, now)
            case "restart" if value < workers:
                gone |= {i for i in ids(plan.legs(int(value))) if i % 5 == 0}
                plan.restart(int(value), now, gone.__contains__)
            case "wait":
                now += value
        assert plan.given == last
    everybody = [i for worker in range(workers) for i in ids(plan.legs(worker))]
    assert len(everybody) == len(set(everybody))
    assert set(everybody) | gone == set(range(1, last + 1))
