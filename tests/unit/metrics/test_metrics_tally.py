"""The tally of a second: however few or many pieces, in whichever form, it is their sum."""

import random

import msgspec
import pytest

from amoc.metrics import Delta, Distribution, PackedDistribution, Store, unpack
from amoc.metrics.histogram import LARGEST, bucket_of
from amoc.metrics.tally import MOST, Tally

FEW = 8  # pieces


def piece(values: int, spread: float = 1.0) -> Distribution:
    distribution = Distribution()
    distribution.fold([random.lognormvariate(9, spread) for _ in range(values)])
    return distribution


@pytest.mark.parametrize("pieces", [1, FEW - 1, FEW, FEW + 1, FEW + 2, 10 * FEW, MOST, MOST + 1])
@pytest.mark.parametrize("packed", [False, True])
def test_a_tally_is_the_sum_of_its_pieces_again_and_again(pieces: int, packed: bool) -> None:
    tally = Tally()
    for second in range(2 if pieces >= MOST else 5):
        expected = Distribution()
        for _ in range(pieces + second % 2):
            distribution = piece(
                random.choice((0, 1, 50, 500) if pieces < MOST else (0, 1, 20)), random.choice((0.1, 3.0))
            )
            expected.add(distribution)
            tally.add(PackedDistribution.of(distribution) if packed else distribution)
        taken = tally.take()
        if expected.empty:
            assert taken is None
            continue
        assert taken is not None
        assert dict(sorted(taken.buckets.items())) == dict(sorted(expected.buckets.items()))
        assert (taken.min, taken.max) == (expected.min, expected.max)
        assert taken.sum == pytest.approx(expected.sum)
    assert tally.take() is None


def test_the_ends_of_the_scale_are_counted() -> None:
    tally, expected = Tally(), Distribution()
    for round_ in range(FEW + 5):
        distribution = Distribution()
        distribution.fold([0.0, 1e-40, LARGEST])
        expected.add(distribution)
        tally.add(distribution if round_ % 2 else PackedDistribution.of(distribution))
    taken = tally.take()
    assert taken is not None
    assert taken.buckets == expected.buckets
    assert max(taken.buckets) == bucket_of(LARGEST)


def test_what_nobody_records_does_no_harm() -> None:
    tally = Tally()
    wrong = PackedDistribution(b"\x05\x00\xff\xff\x06\x00", b"\x01\x01\x01", 1.0, 0.0, 1.0)
    for _ in range(FEW + 5):
        tally.add(wrong)
    taken = tally.take()
    assert taken is not None
    assert {bucket: count for bucket, count in taken.buckets.items() if bucket < 0xFFFF} == {5: FEW + 5, 6: FEW + 5}


def test_planes_are_added_wherever_they_begin_and_zero_beside_them() -> None:
    tally, expected = Tally(), Distribution()
    for exponent in (3.0, 9.0, 1.0, 5.0):
        for _ in range(FEW):
            distribution = Distribution()
            distribution.fold([0.0, *(random.lognormvariate(exponent, 0.2) for _ in range(100))])
            packed = PackedDistribution.of(distribution)
            assert packed.planes
            assert packed.keys == b"\x00\x00"
            expected.add(distribution)
            tally.add(packed)
    taken = tally.take()
    assert taken is not None
    assert taken.buckets == expected.buckets


@pytest.mark.parametrize("figures", [(-1.0, 0.0, 0.0), (float("nan"), 0.0, 0.0), (float("inf"), 0.0, 0.0)])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_figures_that_no_histogram_has_are_refused(figures: tuple[float, ...], place: int) -> None:
    turned = figures[-place:] + figures[:-place]
    data = msgspec.msgpack.encode({"histograms": {"h": [b"\x05\x00", b"\x01", *turned]}})
    with pytest.raises(msgspec.DecodeError):
        unpack(data)


def test_a_second_of_many_sources_is_seen_at_once_and_stays() -> None:
    store, expected = Store(), Distribution()
    for source in range(5 * FEW):
        distribution = piece(50)
        expected.add(distribution)
        store.apply(f"n{source}", Delta(counters={"c": 2}, histograms={"h": distribution}), 100.0 + source / 100)
        if source % 10 == 0:  # somebody looks in the middle of the second
            assert store.points(100.5)["h"]["count"] == expected.count
    store.apply("n", Delta(counters={"c": 1}), 101.0)
    assert store.points(101.0)["h"] == pytest.approx({"type": "histogram", **expected.points()})
    assert store.points(101.0)["c"]["value"] == 10 * FEW + 1
    assert store.recent("h", 101.0)["count"] == expected.count
