"""What is gathered over a run."""

from amoc.report import Course
from tests.unit.report.status_sample import Run


def test_means_peaks_and_busy_seconds_of_each_worker() -> None:
    run, course = Run(workers=2), Course()
    for cpu in (10.0, 84.9, 85.0, 100.0):
        run.cpu = [cpu, 1.0]
        course.observe(run.status())
    first, second = course.workers()
    assert (first["node"], first["index"], first["observed"]) == ("local", 0, 4)
    assert (first["cpu_mean"], first["cpu_max"], first["busy"]) == (70.0, 100.0, 0.5)
    assert (second["cpu_mean"], second["busy"]) == (1.0, 0.0)
    assert second["rss_max"] == 81 << 20


def test_a_moment_of_lag_is_remembered() -> None:
    run, course = Run(), Course()
    for lag in (1.0, 350.0, 2.0):
        run.lag_ms = lag
        course.observe(run.status())
    assert {worker["lag_ms_max"] for worker in course.workers()} == {350.0}


def test_only_the_time_under_load_counts() -> None:
    run, course = Run(), Course()
    course.observe(run.status("starting"))
    course.observe(run.status())
    before = course.workers(), course.peaks()
    run.cpu, run.lag_ms = [100.0, 100.0], 5000.0
    for state in ("terminating", "finished", "idle", "error"):
        course.observe(run.status(state))
    assert (course.workers(), course.peaks()) == before


def test_peaks_are_the_highest_seen() -> None:
    run, course = Run(users=100), Course()
    for _ in range(20):
        course.observe(run.status())
    assert course.peaks()["users"] == 100
    assert course.peaks()["rates"]["messages_sent"] == 400


def test_another_run_starts_afresh() -> None:
    run, course = Run(), Course()
    run.cpu = [100.0, 100.0]
    course.observe(run.status())
    other = Run(workers=1)
    status = other.status()
    status["run"]["id"] = "another"
    course.observe(status)
    assert [worker["cpu_max"] for worker in course.workers()] == [40.0]


def test_a_status_without_a_run_is_nothing() -> None:
    course = Course()
    course.observe({"state": "idle", "run": None})
    assert course.workers() == []
    assert course.peaks() == {"users": 0, "rates": {}}
