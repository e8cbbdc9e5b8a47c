"""The result of a run: complete, plain, and honest about what was not observed."""

import json
from typing import Any

import pytest

from amoc.errors import Failed
from amoc.report import FORMAT, Course, Summary, result, summary_text
from tests.unit.report.status_sample import Run


def finished(run: Run, seconds: int = 30) -> tuple[dict[str, Any], Course]:
    course = Course()
    for _ in range(seconds - 1):
        course.observe(run.status())
    return run.status("finished"), course


def test_the_result_has_every_part_and_is_json() -> None:
    run = Run()
    run.error()
    data = result(*finished(run))
    assert json.loads(json.dumps(data, allow_nan=False)) == data
    assert set(data) == {
        *("format", "amoc", "node", "state", "run", "settings", "users", "totals", "rates", "peaks"),
        *("metrics", "errors", "events", "generator", "machine", "verdict"),
    }
    assert data["format"] == FORMAT
    assert data["settings"] == {"interarrival": 100}
    assert data["run"]["scenario"] == "mongoose_simple_with_metrics"
    assert "settings" not in data["run"]
    assert data["errors"][0]["traceback"]
    assert data["machine"]["cores"] >= 1


def test_totals_and_rates_are_those_of_the_whole_run() -> None:
    data = result(*finished(Run(), seconds=40))
    assert data["totals"]["messages_sent"] == 40 * 400
    assert data["totals"]["messages_received"] == 40 * 390
    assert data["rates"]["messages_sent"] == 400
    assert "message_ttd" not in data["totals"]
    assert data["peaks"]["users"] == 200


def test_histograms_keep_their_points() -> None:
    data = result(*finished(Run()))
    ttd = data["metrics"]["message_ttd"]
    assert ttd["count"] == 30
    assert set(ttd) == {"type", "count", "mean", "min", "max", "median", "95", "99", "999"}


def test_the_verdict_is_made_of_the_course_and_of_late_starts() -> None:
    calm = result(*finished(Run()))
    assert calm["verdict"]["delivered"] is True
    assert calm["verdict"]["bottleneck"] is False
    busy = Run()
    busy.cpu = [99.0, 20.0]
    assert result(*finished(busy))["verdict"]["bottleneck"] is True
    late = Run()
    for _ in range(10):
        late.registry.histogram("amoc.times.start_lateness").record(80_000.0)
    assert result(*finished(late))["verdict"]["delivered"] is False


def test_without_a_course_the_generator_is_unknown() -> None:
    status, _ = finished(Run())
    data = result(status)
    assert data["generator"]["workers"] == []
    assert data["verdict"]["bottleneck"] is None


def test_a_run_that_ended_at_once_has_no_rates() -> None:
    run = Run()
    status = run.status("error", reason="init raised")
    status["run"]["elapsed"] = 0.0
    assert result(status)["rates"]["messages_sent"] == 0


def test_there_is_no_result_without_a_run() -> None:
    with pytest.raises(Failed, match="start a test first"):
        result({"state": "idle", "run": None})


def test_the_result_does_not_share_the_status() -> None:
    status, course = finished(Run())
    data = result(status, course)
    before = json.dumps(data)
    status["users"]["failed"] = 99
    status["errors"].append("later")
    assert json.dumps(data) == before


def test_a_result_that_was_stored_can_be_summarised() -> None:
    data = result(*finished(Run()))
    assert summary_text(json.loads(json.dumps(data))) == summary_text(data)
    assert isinstance(Summary(data), Summary)
