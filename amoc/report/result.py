"""The result of a run as plain data: what `--json` writes and the results folder keeps."""

from collections.abc import Mapping
from typing import Any

from amoc.errors import Failed
from amoc.report.course import Course
from amoc.report.machine import machine
from amoc.report.verdict import judge
from amoc.report.view import LATENESS

__all__ = ["FORMAT", "result"]

FORMAT = 1
"""Version of the format: a higher one may lack or rename keys, new keys may come at any time."""


def result(status: Mapping[str, Any], course: Course | None = None) -> dict[str, Any]:
    """The result of the run that a status tells of; Failed if there was none.

    Keys: format, amoc (version), node, state, run (id, scenario, version, started_at, ended_at, elapsed,
    reason), settings, users, totals (count of every counter and spiral), rates (the same per second, over
    the whole run), peaks, metrics (points, histograms in µs), errors, events, generator (workers), machine,
    verdict. `course` is what was observed while it ran; without it peaks and generator are empty.
    """
    run = status.get("run")
    if not run:
        raise Failed("there is no result, because nothing was run: start a test first")
    course = course or Course()
    metrics = {name: _rounded(points) for name, points in status.get("metrics", {}).items()}
    totals = {
        name: points["value"] if points["type"] == "counter" else points["count"]
        for name, points in metrics.items()
        if points["type"] in ("counter", "spiral")
    }
    elapsed = run.get("elapsed") or 0.0
    workers = course.workers()
    users = dict(status.get("users", {}))
    lateness = metrics.get(LATENESS, {})
    late_ms = lateness["99"] / 1000 if lateness.get("count") else None
    return {
        "format": FORMAT,
        "amoc": status.get("version", ""),
        "node": status.get("node", ""),
        "state": status.get("state", ""),
        "run": {key: value for key, value in run.items() if key != "settings"},
        "settings": dict(run.get("settings") or {}),
        "users": users,
        "totals": totals,
        "rates": {name: round(total / elapsed, 3) if elapsed else 0.0 for name, total in totals.items()},
        "peaks": course.peaks(),
        "metrics": metrics,
        "errors": list(status.get("errors", ())),
        "events": list(status.get("events", ())),
        "generator": {"workers": workers},
        "machine": machine(),
        "verdict": judge(status.get("state", ""), run.get("reason"), users, late_ms, workers),
    }


def _rounded(points: Mapping[str, Any]) -> dict[str, Any]:
    """Floats to three places: a nanosecond where the unit is µs."""
    return {key: round(value, 3) if isinstance(value, float) else value for key, value in points.items()}
