"""The verdict at and beside each threshold."""

from typing import Any

import pytest

from amoc.report.verdict import BUSY_SHARE, LAG_MS, LATE_MS, judge

ALL_WELL = {"wanted": 100, "planned": 0, "failed": 0, "stuck": 0, "restarted": 0, "finished": 100}


def worker(**figures: Any) -> dict[str, Any]:
    calm = {"node": "local", "index": 0, "observed": 100, "cpu_max": 50.0, "busy": 0.0}
    return calm | {"lag_ms_max": 5.0, "late_ms_max": 1.0, "restarts": 0} | figures


def verdict(
    users: dict[str, int] | None = None,
    *,
    state: str = "finished",
    reason: str | None = None,
    late_ms: float | None = 1.0,
) -> dict[str, Any]:
    return judge(state, reason, ALL_WELL | (users or {}), late_ms, [worker()])


def test_all_well() -> None:
    assert verdict() == {
        "delivered": True,
        "bottleneck": False,
        "text": "The load was delivered as asked, and the generator had room to spare.",
        "findings": [],
    }


@pytest.mark.parametrize(
    ("users", "finding"),
    [
        ({"planned": 3}, "3 of 100 users never started"),
        ({"lost": 4}, "4 of 100 users were lost with their node"),
        ({"unstarted": 5}, "5 of 100 users had not started when the test was ended"),
        ({"failed": 1}, "1 of 100 users ended by an exception"),
        ({"stuck": 2}, "2 of 100 users did not end when they were told to"),
        ({"restarted": 50}, "50 of 100 users were started again after their worker died"),
    ],
)
def test_a_load_that_was_not_the_one_asked_for(users: dict[str, int], finding: str) -> None:
    found = verdict(users)
    assert found["delivered"] is False
    assert found["bottleneck"] is False
    assert found["text"].startswith("The load was NOT delivered as asked; but the generator had room")
    [only] = found["findings"]
    assert only.startswith(finding)


def test_a_run_that_failed_says_why() -> None:
    found = verdict(state="error", reason="init raised ValueError: no server")
    assert found["delivered"] is False
    assert found["findings"] == ["the run failed: init raised ValueError: no server"]


def test_a_worker_that_died_spoils_the_load() -> None:
    found = judge("finished", None, ALL_WELL, 1.0, [worker(restarts=1), worker(index=1)])
    assert found["delivered"] is False
    assert found["findings"] == ["a worker died and was replaced"]


@pytest.mark.parametrize(("late_ms", "late"), [(LATE_MS - 0.1, False), (LATE_MS, True)])
def test_late_starts_are_both_a_wrong_load_and_a_busy_generator(late_ms: float, late: bool) -> None:
    found = verdict(late_ms=late_ms)
    assert found["delivered"] is not late
    assert found["bottleneck"] is late
    assert any("1 % of the starts were 50 ms late" in finding for finding in found["findings"]) is late


@pytest.mark.parametrize(
    ("busy", "observed", "limit"),
    [
        (BUSY_SHARE - 0.01, 100, False),
        (BUSY_SHARE, 100, True),
        (1.0, 2, False),  # two seconds of a very short run
        (1.0, 3, True),
        (0.3, 10, True),
        (0.2, 10, False),
    ],
)
def test_a_busy_worker_is_a_bottleneck_when_it_lasts(busy: float, observed: int, limit: bool) -> None:
    found = judge("finished", None, ALL_WELL, 1.0, [worker(), worker(index=1, busy=busy, observed=observed)])
    assert found["bottleneck"] is limit
    assert found["delivered"] is True
    assert any("worker local[1] used 85 % of its core" in finding for finding in found["findings"]) is limit


@pytest.mark.parametrize(("lag", "limit"), [(LAG_MS - 0.1, False), (LAG_MS, True)])
def test_a_loop_that_stood_still_is_a_bottleneck(lag: float, limit: bool) -> None:
    found = judge("finished", None, ALL_WELL, 1.0, [worker(lag_ms_max=lag)])
    assert found["bottleneck"] is limit
    if limit:
        assert found["text"].endswith("but the generator was at its limit: the times are partly its own.")


def test_without_observation_it_does_not_claim_to_know() -> None:
    found = judge("finished", None, ALL_WELL, None, [])
    assert found["bottleneck"] is None
    assert "nobody observed the generator" in found["text"]
