"""Deltas: merged in order they say what one flush in their place would have said; and the wire."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from amoc.metrics import Delta, Registry, merge

updates = st.lists(
    st.one_of(
        st.tuples(st.just("counter"), st.sampled_from("ab"), st.integers(0, 100)),
        st.tuples(st.just("spiral"), st.sampled_from("cd"), st.integers(0, 100)),
        st.tuples(st.just("gauge"), st.sampled_from("ef"), st.integers(-50, 50)),
        st.tuples(st.just("histogram"), st.sampled_from("gh"), st.integers(0, 10**7)),
        st.just(("flush", "", 0)),
    ),
    max_size=40,
)


def play(script: list[tuple[str, str, int]]) -> list[Delta]:
    registry = Registry()
    deltas = []
    for kind, name, n in script:
        if kind == "flush":
            deltas.append(registry.flush())
        elif kind == "gauge":
            registry.gauge(name).set(n)
        elif kind == "histogram":
            registry.histogram(name).record(n)
        else:
            getattr(registry, kind)(name).increment(n)
    return [*deltas, registry.flush()]


@given(updates)
def test_flushes_in_between_change_nothing(script: list[tuple[str, str, int]]) -> None:
    total = Delta()
    for delta in play(script):
        total.add(delta)
    [once] = play([step for step in script if step[0] != "flush"])
    assert total == once


@given(updates)
def test_merging_is_associative(script: list[tuple[str, str, int]]) -> None:
    a, b, c = (*play([*script, ("flush", "", 0)]), Delta(), Delta())[:3]
    assert merge(merge(a, b), c) == merge(a, merge(b, c))


@given(updates)
def test_merge_changes_neither_argument(script: list[tuple[str, str, int]]) -> None:
    a, b = play([step for step in script if step[0] != "flush"])[0], play(script)[0]
    before = msgspec.json.encode((a, b))
    merge(a, b).add(b)
    assert msgspec.json.encode((a, b)) == before


@given(updates)
def test_it_survives_the_wire(script: list[tuple[str, str, int]]) -> None:
    for delta in play(script):
        assert msgspec.msgpack.decode(msgspec.msgpack.encode(delta), type=Delta) == delta


def test_an_empty_delta_is_false_and_small() -> None:
    assert not Delta()
    assert Delta(counters={"a": 0})
    assert msgspec.msgpack.encode(Delta()) == b"\x80"
