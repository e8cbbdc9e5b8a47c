"""Whatever fails in whatever order: no user runs twice at once, each is accounted for, removals are exact.

A schedule is chosen by its seed. A failure names it; `Story(SEED).play()` plays it again, and `story.world.log` tells
what happened. The long test is the one of CI: 10,000 schedules, split over the processors by pytest-xdist.
"""

import pytest

from tests.unit.cluster.simulation import Story

SHORT = 200
LONG = 10_000
TOGETHER = 250  # schedules of one test, some seconds


def play(first: int, many: int) -> None:
    for seed in range(first, first + many):
        story = Story(seed)
        try:
            story.play()
        except Exception as error:
            log = "\n".join(story.world.log[-40:])
            pytest.fail(f"seed {seed}: {type(error).__name__}: {error}\n{log}")


def test_some_schedules() -> None:
    play(LONG, SHORT)


@pytest.mark.slow
@pytest.mark.parametrize("first", range(0, LONG, TOGETHER))
def test_ten_thousand_schedules(first: int) -> None:
    play(first, TOGETHER)
