"""The packed form of a delta says what the delta says, and nothing else passes for one."""

import random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from amoc.metrics import Delta, Distribution, PackedDistribution, Registry, Store, pack, unpack

buckets = st.dictionaries(st.integers(0, 65_535), st.integers(1, 2**63), max_size=60)


@given(buckets, st.floats(0, 1e15), st.floats(0, 1e15))
def test_a_distribution_comes_out_as_it_went_in(counts: dict[int, int], low: float, high: float) -> None:
    distribution = Distribution(counts, low + high, low, high)
    packed = PackedDistribution.of(distribution)
    assert dict(packed.items()) == counts
    assert (packed.sum, packed.min, packed.max, packed.empty) == (low + high, low, high, not counts)


@pytest.mark.parametrize(("largest", "width"), [(255, 1), (256, 4), (2**32 - 1, 4), (2**32, 8), (2**64 - 1, 8)])
def test_counts_take_the_room_that_they_need(largest: int, width: int) -> None:
    packed = PackedDistribution.of(Distribution({5: largest, 4103: 1}, 1.0, 1.0, 1.0))
    assert packed.keys == b"\x05\x00\x07\x10"
    assert len(packed.counts) == 2 * width
    assert dict(packed.items()) == {5: largest, 4103: 1}


def test_what_lies_close_together_goes_in_planes() -> None:
    packed = PackedDistribution.of(Distribution({5: 1, 6: 2, 8: 3}, 1.0, 1.0, 1.0))
    assert (packed.keys, packed.low, packed.size, packed.planes) == (b"", 5, 1, b"\x09\x0a")
    assert dict(packed.items()) == {5: 1, 6: 2, 8: 3}


def test_a_count_beyond_64_bits_is_no_count() -> None:
    with pytest.raises(OverflowError):
        PackedDistribution.of(Distribution({5: 2**64}))


def test_a_store_learns_the_same_from_either_form() -> None:
    plain, from_packed, registry = Store(), Store(), Registry()
    for second in range(100):
        for _ in range(random.randrange(2000)):
            registry.histogram("h").record(random.lognormvariate(9, 1))
            registry.counter("c").increment()
            registry.spiral("s").increment()
            registry.gauge("g").set(second)
        delta = registry.flush()
        from_packed.apply("n", unpack(pack(delta)), second)
        plain.apply("n", delta, second)
        assert from_packed.recent("h", second) == plain.recent("h", second)
    assert from_packed.points(100) == plain.points(100)
    assert from_packed.rates(100) == plain.rates(100)


def test_no_bytes_are_an_empty_delta() -> None:
    assert unpack(b"") == unpack(pack(Delta()))


@pytest.mark.parametrize(
    "histogram",
    [
        [b"\x01", b"\x01", 0.0, 0.0, 0.0],
        [b"\x01\x00", b"", 0.0, 0.0, 0.0],
        [b"\x01\x00", b"\x01\x01", 0.0, 0.0, 0.0],
        [b"", b"\x01", 0.0, 0.0, 0.0],
        [b"\x01\x00\x02\x00", b"\x01" * 7, 0.0, 0.0, 0.0],
        ["\x01\x00", b"\x01", 0.0, 0.0, 0.0],
        [b"\x01\x00", b"\x01", "much", 0.0, 0.0],
        [{1: 1}, 0.0, 0.0, 0.0],
        [b"", b"", 0.0, 0.0, 0.0, 5, 0, b"\x01"],
        [b"", b"", 0.0, 0.0, 0.0, 5, 2, b"\x01"],
        [b"", b"", 0.0, 0.0, 0.0, -1, 1, b"\x01"],
        [b"", b"", 0.0, 0.0, 0.0, 65_535, 2, b"\x01\x01"],
        [b"", b"", 0.0, 0.0, 0.0, 5, 1, b"\x01" * 65],
        [b"\x01", b"", 0.0, 0.0, 0.0, 5, 1, b"\x01"],
    ],
)
def test_what_does_not_fit_is_refused(histogram: object) -> None:
    with pytest.raises(msgspec.DecodeError):
        unpack(msgspec.msgpack.encode({"histograms": {"h": histogram}}))


def test_a_delta_that_is_not_packed_is_refused_rather_than_misread() -> None:
    registry = Registry()
    registry.histogram("h").record(5)
    with pytest.raises(msgspec.DecodeError):
        unpack(msgspec.msgpack.encode(registry.flush()))
