"""Figures as people read them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amoc.report import figures


@pytest.mark.parametrize(
    ("microseconds", "text"),
    [
        (0, "0"),
        (0.4, "0.000"),
        (12, "0.012"),
        (999.4, "0.999"),
        (999.6, "1.00"),
        (1234, "1.23"),
        (9_994, "9.99"),
        (9_996, "10.0"),
        (45_600, "45.6"),
        (99_949, "99.9"),
        (99_951, "100"),
        (1_234_567, "1,235"),
    ],
)
def test_milliseconds_have_three_digits(microseconds: float, text: str) -> None:
    assert figures.milliseconds(microseconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-1, "0.0 s"),
        (0, "0.0 s"),
        (8.44, "8.4 s"),
        (59.94, "59.9 s"),
        (59.96, "1:00"),
        (754.4, "12:34"),
        (3723, "1:02:03"),
        (86_400, "1 d 00:00:00"),
    ],
)
def test_duration(seconds: float, text: str) -> None:
    assert figures.duration(seconds) == text


@pytest.mark.parametrize(
    ("share", "text"),
    [(0, "0 %"), (0.0001, "<1 %"), (0.5, "50 %"), (0.9999, ">99 %"), (1, "100 %")],
)
def test_percent_keeps_nothing_and_all_apart_from_almost(share: float, text: str) -> None:
    assert figures.percent(share) == text


def test_counts_and_memory() -> None:
    assert [figures.count(n) for n in (0, 12345, 3.0, 2.5)] == ["0", "12,345", "3", "2.50"]
    assert [figures.memory(n << 20) for n in (0, 80, 1536)] == ["0 MiB", "80 MiB", "1.5 GiB"]


def test_a_sparkline_goes_from_zero_to_the_largest() -> None:
    assert figures.sparkline([0, 1, 2, 3, 4, 5, 6, 7], 8) == "▁▂▃▄▅▆▇█"
    assert figures.sparkline([5, 5], 8) == "██"
    assert figures.sparkline([0, 0], 8) == "▁▁"
    assert figures.sparkline([], 8) == figures.sparkline([1.0], 0) == ""
    assert figures.sparkline([0, 8], 8, ascii_only=True) == "_#"


def test_a_narrow_sparkline_averages_and_its_last_bar_is_whole() -> None:
    assert figures.sparkline([8, 0, 4, 0, 8, 8, 8], 4) == "█▃▅█"  # 8 | 0 4 | 0 8 | 8 8


@given(st.lists(st.floats(0, 1e9), max_size=200), st.integers(0, 100))
def test_a_sparkline_never_is_wider_than_asked(values: list[float], width: int) -> None:
    assert len(figures.sparkline(values, width)) <= min(width, len(values))


def test_cleaned_text_cannot_steer_a_terminal() -> None:
    assert figures.clean("a\x1b[2Jb\r\nc\x07\x9b1m ä") == "a [2Jb  c  1m ä"
