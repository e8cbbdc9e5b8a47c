"""Who starts when: deadlines, catching up, dropping, changes of pace. No clock: `now` is passed in."""

from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amoc.users import Arrival, Leg
from amoc.users.arrival import EARLY, HELD_UP

TURN = 0.001  # the timer's grain


def arrival(*legs: Leg) -> Arrival:
    plan = Arrival()
    plan.add(legs)
    return plan


def drive(plan: Arrival, now: float, until: float, turn: float = TURN) -> list[tuple[float, int, float]]:
    """Ask as a loop does that needs at least `turn` seconds for each round: (when, id, deadline) of all starts."""
    starts = []
    while (at := plan.next_at()) is not None and max(at - EARLY, now) <= until:
        now = max(at - EARLY, now)
        starts += [(now, user_id, deadline) for user_id, deadline in plan.due(now)]
        now += turn
    return starts


def test_leg_is_a_range_with_equally_spaced_deadlines() -> None:
    leg = Leg(3, 11, 4, 10.0, 0.5)
    assert list(leg.ids()) == [3, 7, 11]
    assert len(leg) == 3
    assert [leg.position(i) for i in (3, 7, 11, 15, 4, -1)] == [0, 1, 2, None, None, None]
    assert leg.after(0) == leg
    assert leg.after(2) == Leg(11, 11, 4, 11.0, 0.5)
    assert leg.after(3) is None


@pytest.mark.parametrize(("now", "due"), [(9.0, 0), (10.0, 0), (10.1, 1), (10.5, 1), (10.6, 2), (11.1, 3), (99.0, 3)])
def test_leg_knows_how_many_are_due_before(now: float, due: int) -> None:
    assert Leg(3, 11, 4, 10.0, 0.5).due_before(now) == due


def test_leg_without_spacing_is_due_at_once() -> None:
    leg = Leg(1, 9, 1, 10.0, 0.0)
    assert (leg.due_before(10.0), leg.due_before(10.1)) == (0, 9)


@pytest.mark.parametrize(
    ("at", "pieces"),
    [
        (9.0, [Leg(1, 4, 1, 11.0, 2.0)]),  # all of it later: the way to its beginning is stretched too
        (11.5, [Leg(1, 2, 1, 10.0, 1.0), Leg(3, 4, 1, 12.5, 2.0)]),
        (20.0, [Leg(1, 4, 1, 10.0, 1.0)]),
    ],
)
def test_leg_is_stretched_after_a_moment(at: float, pieces: list[Leg]) -> None:
    assert Leg(1, 4, 1, 10.0, 1.0).repaced(at, 2.0) == pieces


def test_deadlines_are_absolute() -> None:
    """Lateness of one start does not move the next: after 1000 starts, each late, the last is due as planned."""
    starts = drive(arrival(Leg(1, 1000, 1, 5.0, 0.01)), 0.0, 100.0, turn=0.004)
    assert [user_id for _, user_id, _ in starts] == list(range(1, 1001))
    assert [deadline for *_, deadline in starts] == pytest.approx([5.0 + k * 0.01 for k in range(1000)])
    assert max(when - deadline for when, _, deadline in starts) <= 0.004


def test_nobody_is_started_before_time() -> None:
    plan = arrival(Leg(1, 3, 1, 5.0, 1.0))
    assert plan.due(4.9) == []
    assert plan.next_at() == 5.0
    assert plan.due(5.0 - EARLY) == [(1, 5.0)]
    assert plan.next_at() == 6.0
    assert (plan.planned, plan.due(7.0, 1), plan.planned) == (2, [(2, 6.0)], 1)


def test_all_at_once_without_spacing_in_batches() -> None:
    plan = arrival(Leg(1, 9, 2, 5.0, 0.0))
    assert plan.due(7.0, limit=3) == [(1, 7.0), (3, 7.0), (5, 7.0)]
    assert plan.due(8.0, limit=3) == [(7, 8.0), (9, 8.0)]
    assert plan.next_at() is None


@pytest.mark.parametrize("turn", [0.001, 0.005, 0.009])
def test_a_held_up_worker_catches_up_at_twice_the_rate(turn: float) -> None:
    """Held up for 0.3 s, also in a loop that needs some ms for each turn."""
    spacing, held = 0.001, 0.3
    plan = arrival(Leg(1, 2000, 1, 0.0, spacing))
    starts = drive(plan, held, 10.0, turn)
    assert [user_id for _, user_id, _ in starts] == list(range(1, 2001))
    burst = max(Counter(when for when, *_ in starts).values())
    assert burst <= 2 * (HELD_UP + turn) / spacing + 1  # not 300 at once
    late = {user_id: when - deadline for when, user_id, deadline in starts}
    assert max(late[i] for i in range(700, 2001)) <= HELD_UP + turn  # as much again as was missed, and it is over
    assert late[400] > HELD_UP  # gradually


@pytest.mark.parametrize("drop", [1, 5, 10])
def test_dropped_users_leave_a_gap(drop: int) -> None:
    plan = arrival(Leg(1, 10, 1, 1.0, 0.1))
    assert plan.drop(drop)
    assert not plan.drop(drop)
    assert plan.planned == 9
    starts = drive(plan, 0.0, 9.0)
    assert [user_id for _, user_id, _ in starts] == [i for i in range(1, 11) if i != drop]
    assert [deadline for *_, deadline in starts] == pytest.approx([1 + k * 0.1 for k in range(10) if k != drop - 1])
    assert (plan.planned, plan.next_at()) == (0, None)


def test_only_who_is_planned_can_be_dropped() -> None:
    plan = arrival(Leg(1, 9, 2, 1.0, 1.0))
    assert plan.due(1.0) == [(1, 1.0)]
    assert [plan.drop(i) for i in (1, 2, 11, 3)] == [False, False, False, True]


def test_clear_leaves_nobody() -> None:
    plan = arrival(Leg(1, 9, 2, 1.0, 1.0))
    plan.drop(3)
    plan.clear()
    assert (plan.planned, plan.next_at(), plan.due(100.0)) == (0, None, [])


def test_a_change_of_pace_keeps_workers_interleaved() -> None:
    """Three workers share one pace of 10 ms; each is told the same moment and ratio."""
    plans = [arrival(Leg(1 + k, 298 + k, 3, 1.0 + k * 0.01, 0.03)) for k in range(3)]
    starts = [start for plan in plans for start in drive(plan, 0.0, 1.5)]
    for plan in plans:
        plan.repace(1.55, 0.5)
    starts += [start for plan in plans for start in drive(plan, 1.5, 99.0)]
    starts.sort(key=lambda start: start[2])
    assert [user_id for _, user_id, _ in starts] == list(range(1, 301))
    deadlines = [deadline for *_, deadline in starts]
    gaps = [b - a for a, b in pairwise(deadlines)]
    assert gaps[:54] == pytest.approx([0.01] * 54)
    assert gaps[56:] == pytest.approx([0.005] * len(gaps[56:]))


def test_pace_zero_starts_the_rest_at_once() -> None:
    plan = arrival(Leg(1, 100, 1, 1.0, 10.0))
    plan.repace(1.5, 0.0)
    assert [user_id for user_id, _ in plan.due(1.6)] == list(range(1, 101))


steps = st.one_of(
    st.tuples(st.just("turn"), st.floats(0.0, 0.5)),
    st.tuples(st.just("drop"), st.integers(1, 60)),
    st.tuples(st.just("repace"), st.floats(0.0, 4.0)),
    st.tuples(st.just("add"), st.tuples(st.integers(1, 12), st.integers(1, 3), st.sampled_from([0.0, 0.002, 0.1]))),
)


@given(st.lists(steps, max_size=40))
def test_every_id_exactly_once_whatever_happens(history: list[tuple[str, object]]) -> None:
    plan, now, next_id = Arrival(), 100.0, 1
    added: set[int] = set()
    dropped: set[int] = set()
    started: list[int] = []
    for what, value in history:
        match what, value:
            case "turn", float(seconds):
                now += seconds
                started += [user_id for user_id, _ in plan.due(now, 7)]
            case "drop", int(user_id):
                there = user_id in added and user_id not in dropped and user_id not in started
                assert plan.drop(user_id) == there
                dropped |= {user_id} if there else set()
            case "repace", float(ratio):
                plan.repace(now + 0.05, ratio)
            case "add", (int(size), int(step), float(spacing)):
                last = next_id + (size - 1) * step
                plan.add([Leg(next_id, last, step, now + 0.05, spacing)])
                added |= set(range(next_id, last + 1, step))
                next_id = last + 1
        assert plan.planned == len(added) - len(dropped) - len(started)
    started += [user_id for _, user_id, _ in drive(plan, now, now + 1e9)]
    assert sorted(started) == sorted(added - dropped)
    assert plan.planned == 0
