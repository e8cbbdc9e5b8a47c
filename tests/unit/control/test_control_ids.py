"""Ranges and sets of ids against plain sets of integers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amoc.control import HIGHEST, IdRange, IdSet, compress, count, newest


@st.composite
def ranges(draw: st.DrawFn) -> IdRange:
    first = draw(st.integers(1, 20_000))
    step = draw(st.integers(1, 300))
    return IdRange(first, first + draw(st.integers(0, 60)) * step, step)


def listed(ids: IdRange | None) -> list[int]:
    return [] if ids is None else list(ids)


@given(ranges())
def test_a_range_is_the_ids_it_lists(ids: IdRange) -> None:
    members = list(ids)
    assert len(members) == len(ids)
    assert members == sorted(set(members))
    assert (members[0], members[-1]) == (ids.first, ids.last)
    span = range(max(0, ids.first - 2), ids.last + 3)
    assert [i for i in span if i in ids] == members
    assert "1" not in ids


@given(ranges(), st.integers(1, 9))
def test_shares_deal_out_a_range_one_by_one(ids: IdRange, shares: int) -> None:
    members = list(ids)
    for index in range(shares):
        assert listed(ids.share(index, shares)) == members[index::shares]


@given(ranges(), st.integers(0, 80))
def test_before_and_after_cut_a_range_in_two(ids: IdRange, at: int) -> None:
    members = list(ids)
    assert listed(ids.before(at)) == members[:at]
    assert listed(ids.after(at)) == members[at:]


def test_before_of_a_negative_number_is_nothing() -> None:
    assert IdRange(1, 5).before(-3) is None


@pytest.mark.parametrize(
    ("first", "last", "step"), [(0, 5, 1), (-1, 5, 1), (5, 4, 1), (1, 5, 0), (1, 6, 2), (1, 5, -1)]
)
def test_what_is_no_range(first: int, last: int, step: int) -> None:
    with pytest.raises(ValueError, match="range"):
        IdRange(first, last, step)


@given(st.sets(st.integers(1, 3000), max_size=200))
def test_compress_keeps_exactly_the_ids(ids: set[int]) -> None:
    found = compress(ids)
    assert [i for r in found for i in r] == sorted(ids)
    assert count(found) == len(ids)
    assert len(found) <= max(1, len(ids))


@given(ranges())
def test_compress_makes_one_range_of_one_range(ids: IdRange) -> None:
    assert len(compress(reversed(list(ids)))) == 1


@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        ([], []),
        ([7], [IdRange(7, 7)]),
        ([1, 3], [IdRange(1, 3, 2)]),
        ([1, 10, 11, 12], [IdRange(1, 1), IdRange(10, 12)]),
        ([1, 2, 3, 10, 20, 30], [IdRange(1, 3), IdRange(10, 30, 10)]),
    ],
)
def test_compress_finds_the_runs(ids: list[int], expected: list[IdRange]) -> None:
    assert compress(ids) == expected


@given(st.lists(ranges(), max_size=4), st.sets(st.integers(1, 40_000), max_size=60), st.data())
def test_a_set_is_a_set(given_ranges: list[IdRange], single: set[int], data: st.DataObject) -> None:
    model: set[int] = set()
    ids = IdSet(given_ranges)
    model.update(i for r in given_ranges for i in r)
    for user_id in single:
        ids.add(user_id)
        ids.add(user_id)
    model |= single
    gone = set(data.draw(st.lists(st.sampled_from(sorted(model)), max_size=20))) if model else set()
    for user_id in gone | {50_000}:
        ids.discard(user_id)
        ids.discard(user_id)
    model -= gone
    assert len(ids) == len(model)
    assert all(i in ids for i in model)
    assert not any(i in ids for i in gone | {50_000, HIGHEST})


def test_a_set_of_a_million_ids_is_small() -> None:
    ids = IdSet([IdRange(1, 1_000_000)])
    assert len(ids) == 1_000_000
    assert sum(map(len, ids._chunks.values())) < 130_000
    assert repr(ids) == "<IdSet of 1000000>"


@given(st.data(), st.integers(0, 50))
def test_newest_are_the_highest_that_are_left(data: st.DataObject, wanted: int) -> None:
    dealt = IdRange(1, data.draw(st.integers(1, 120)))
    shares = data.draw(st.integers(1, 4))  # as they are dealt out: disjoint
    given_ranges = [share for index in range(shares) if (share := dealt.share(index, shares))]
    without = data.draw(st.sets(st.integers(1, 120), max_size=60))
    left = sorted(set(dealt) - without, reverse=True)
    assert newest(given_ranges, wanted, IdSet(compress(without))) == left[:wanted]
