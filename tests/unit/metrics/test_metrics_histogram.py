"""Distributions: the error bound against exact percentiles, and merging that loses nothing."""

import math
from decimal import Decimal
from fractions import Fraction

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from amoc.metrics import Distribution
from amoc.metrics.histogram import LARGEST, PERCENTILES, RELATIVE_ERROR, bucket_of, middle_of

SMALLEST = 1e-30  # below this the error bound is not promised
values = st.floats(min_value=0, max_value=LARGEST).map(lambda v: v if v >= SMALLEST else 0.0)
whole = st.integers(min_value=0, max_value=10**9)
# powers of two and bucket edges, where an index that is off by one would show
edges = st.builds(
    lambda e, m, d: 2.0**e * (1 + m / 128) * (1 + d * 2.0**-52),
    st.integers(-20, 48),
    st.integers(0, 127),
    st.integers(-1, 1),
)
samples = st.lists(st.one_of(values, whole, edges), min_size=1, max_size=300)


def folded(recorded: list[float]) -> Distribution:
    distribution = Distribution()
    assert not distribution.fold(recorded)
    return distribution


def exact(recorded: list[float], thousandths: int) -> float:
    """Nearest rank: the smallest value that at least that share of all does not exceed."""
    rank = math.ceil(Fraction(thousandths, 1000) * len(recorded))
    return sorted(recorded)[rank - 1]


@given(samples)
def test_percentiles_are_within_the_error_bound_of_the_exact_ones(recorded: list[float]) -> None:
    points = folded(recorded).points()
    for name, thousandths in PERCENTILES.items():
        true = exact(recorded, thousandths)
        # 1e-7: what rounding to single precision may add at the edge of a bucket
        assert points[name] == pytest.approx(true, rel=RELATIVE_ERROR + 1e-7, abs=0), name


@given(samples)
def test_count_mean_and_extremes_are_exact(recorded: list[float]) -> None:
    points = folded(recorded).points()
    assert points["count"] == len(recorded)
    assert points["min"] == min(recorded)
    assert points["max"] == max(recorded)
    assert points["mean"] == pytest.approx(math.fsum(recorded) / len(recorded), rel=1e-12)


@given(samples)
def test_percentiles_rise_and_lie_between_the_extremes(recorded: list[float]) -> None:
    points = folded(recorded).points()
    row = [points[name] for name in ("min", "median", "95", "99", "999", "max")]
    assert row == sorted(row)


@given(samples, st.data())
def test_merging_parts_equals_recording_the_union(recorded: list[float], data: st.DataObject) -> None:
    parts: list[list[float]] = [[], [], []]
    for value in recorded:
        data.draw(st.sampled_from(parts)).append(value)
    merged = Distribution()
    for part in parts:
        merged.add(folded(part))
    union = folded(recorded)
    assert (merged.buckets, merged.min, merged.max) == (union.buckets, union.min, union.max)
    assert merged.sum == pytest.approx(union.sum, rel=1e-12)


whole_samples = st.lists(whole, max_size=50).map(lambda v: folded([float(x) for x in v]))


@given(whole_samples, whole_samples, whole_samples)
def test_merging_is_associative_and_commutative(a: Distribution, b: Distribution, c: Distribution) -> None:
    def merged(*parts: Distribution) -> Distribution:
        total = Distribution()
        for part in parts:
            total.add(part)
        return total

    assert merged(merged(a, b), c) == merged(a, merged(b, c)) == merged(c, b, a)


def test_merging_does_not_share_or_change_the_other() -> None:
    one, other = Distribution(), folded([5.0])
    one.add(other)
    one.fold([5.0])
    assert (one.count, other.count) == (2, 1)


@given(st.one_of(values, edges), st.one_of(values, edges))
def test_buckets_are_ordered_as_their_values(a: float, b: float) -> None:
    low, high = sorted((a, b))
    assert bucket_of(low) <= bucket_of(high)


@given(samples)
def test_folding_uses_the_documented_buckets(recorded: list[float]) -> None:
    counts: dict[int, int] = {}
    for value in recorded:
        counts[bucket_of(value)] = counts.get(bucket_of(value), 0) + 1
    assert folded(recorded).buckets == counts


@given(st.integers(bucket_of(SMALLEST), bucket_of(LARGEST)))
def test_a_bucket_is_reported_as_a_value_of_its_own(bucket: int) -> None:
    assert bucket_of(middle_of(bucket)) == bucket


def test_nothing_recorded_reports_zeros() -> None:
    points = Distribution().points()
    assert set(points) == {"count", "mean", "min", "max", "median", "95", "99", "999"}
    assert set(points.values()) == {0}


def test_a_single_value_is_reported_exactly_everywhere() -> None:
    points = folded([1234.5678]).points()
    assert {points[name] for name in ("mean", "min", "max", "median", "95", "99", "999")} == {1234.5678}


def test_zero_is_zero() -> None:
    assert folded([0, 0.0, 0]).points()["999"] == 0


@pytest.mark.parametrize("huge", [math.inf, 1e300, 10**400, LARGEST * 2])
def test_values_beyond_the_largest_count_as_the_largest(huge: float) -> None:
    points = folded([1.0, huge]).points()
    assert points["max"] == points["999"] == LARGEST
    assert math.isfinite(points["mean"])


@pytest.mark.parametrize(
    "wrong", [-1, -0.5, math.nan, -math.inf, -(10**400), "12", None, Decimal("NaN"), Decimal("sNaN"), object()]
)
def test_what_is_not_a_number_above_zero_is_left_out_and_returned(wrong: object) -> None:
    distribution = Distribution()
    left_out = distribution.fold([3.0, wrong, 5.0])  # type: ignore[list-item]  # a wrong one, on purpose
    assert len(left_out) == 1
    assert left_out[0] is wrong
    assert (distribution.count, distribution.sum, distribution.min, distribution.max) == (2, 8.0, 3.0, 5.0)


def test_numbers_of_any_type_are_recorded_together() -> None:
    mixed = [1, 2.5, Decimal("3.5"), Fraction(9, 2), True]
    assert folded(mixed).sum == 12.5  # type: ignore[arg-type]  # more than floats, on purpose


@given(samples)
def test_it_survives_the_wire(recorded: list[float]) -> None:
    distribution = folded(recorded)
    for codec in (msgspec.msgpack, msgspec.json):
        assert codec.decode(codec.encode(distribution), type=Distribution) == distribution


def test_size_is_bounded_by_the_range_of_the_values_not_by_their_number() -> None:
    distribution = Distribution()
    for start in range(0, 1_000_000, 100_000):  # 1 µs … 1 s, a million values
        distribution.fold(list(range(start, start + 100_000)))
    assert distribution.count == 1_000_000
    assert len(distribution.buckets) <= 128 * 20
