"""Round robin as the specification has it, over one assignment and over several."""

from hypothesis import given
from hypothesis import strategies as st

from amoc.cluster.distribution import Place, round_robin
from amoc.control import IdRange

TEN = [Place(f"slave{n}") for n in range(1, 11)]


def owners(dealt: dict[str, list[IdRange]]) -> dict[int, str]:
    found = [(user_id, node) for node, ranges in dealt.items() for r in ranges for user_id in r]
    assert len(found) == len(dict(found))  # nobody twice
    return dict(found)


def test_ten_nodes() -> None:
    owner = owners(round_robin(1, 25, TEN))
    assert sorted(owner) == list(range(1, 26))
    assert (owner[1], owner[2], owner[10], owner[11], owner[25]) == ("slave1", "slave2", "slave10", "slave1", "slave5")


def test_the_first_user_need_not_be_1() -> None:
    assert owners(round_robin(7, 9, [Place("a"), Place("b")])) == {7: "a", 8: "b", 9: "a"}


def test_fewer_users_than_nodes() -> None:
    assert owners(round_robin(1, 2, TEN)) == {1: "slave1", 2: "slave2"}


def test_adding_goes_on_where_dealing_stopped() -> None:
    assert owners(round_robin(14, 16, [Place("a"), Place("b"), Place("c")], given=13)) == {14: "b", 15: "c", 16: "a"}


@given(st.integers(1, 50), st.lists(st.integers(1, 40), min_size=1, max_size=6), st.integers(1, 11))
def test_several_assignments_deal_like_one(first: int, sizes: list[int], size: int) -> None:
    nodes = TEN[:size] if size <= 10 else [*TEN, Place("slave11")]
    once = owners(round_robin(first, first + sum(sizes) - 1, nodes))
    bit_by_bit: dict[int, str] = {}
    given_before = 0
    for count in sizes:
        at = first + given_before
        bit_by_bit |= owners(round_robin(at, at + count - 1, nodes, given_before))
        given_before += count
    assert bit_by_bit == once
