"""What of a status is shown while a run goes on: rows ready to be drawn or printed, in the order of interest.

Pure: a status in, rows out. amoc's own metrics have places of their own (users, logins); everything that a
scenario counts is shown by how active it is, so that one that is not about XMPP is served as well.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from amoc.report.figures import clean

__all__ = ["LATENESS", "LOGINS", "LOGIN_FAILURES", "LOGIN_STEP", "LOGIN_STEPS", "LOGIN_TIMES", "Count", "View", "view"]

LOGINS = "amoc.counters.connections"
LOGIN_FAILURES = "amoc.counters.connection_failures"
LOGIN_TIMES = "amoc.times.connection"
LOGIN_STEP = "amoc.times.login."
# The steps of a login in their order; the last one is none of it, but what users wait for first afterwards.
LOGIN_STEPS = (
    "resolve", "connect", "websocket", "stream", "features", "starttls", "tls", "sasl", "resume", "bind", "session",
    "enable", "presence",
)  # fmt: skip
LATENESS = "amoc.times.start_lateness"
_OWN_PLACE = frozenset((LOGINS, LOGIN_FAILURES, LOGIN_TIMES, LATENESS, "amoc.users"))


@dataclass(frozen=True, slots=True)
class Count:
    """A counter, spiral (its total) or gauge; a gauge has no rate."""

    name: str
    total: float
    rate: float | None


@dataclass(frozen=True, slots=True)
class View:
    """The shown parts of a status. Times are points in µs, without those that recorded nothing."""

    state: str
    node: str
    scenario: str
    elapsed: float
    wanted: int
    started: int
    users: Mapping[str, int]
    logins: int
    login_failures: int
    login_rate: float
    login_times: Mapping[str, float] | None
    counts: list[Count]
    times: list[tuple[str, Mapping[str, float]]]
    nodes: Mapping[str, str]
    workers: list[tuple[str, Mapping[str, Any]]]
    errors: list[Mapping[str, Any]]

    @property
    def error_count(self) -> int:
        """Errors of all kinds together."""
        return sum(error.get("count", 0) for error in self.errors)


def view(status: Mapping[str, Any]) -> View:
    """The view of a status; parts that a status does not have yet are empty."""
    metrics, users, run = status.get("metrics", {}), status.get("users", {}), status.get("run") or {}
    wanted = users.get("wanted", 0)
    login_times = metrics.get(LOGIN_TIMES)
    return View(
        state=str(status.get("state", "")),
        node=clean(str(status.get("node", ""))),
        scenario=clean(str(run.get("scenario", ""))),
        elapsed=run.get("elapsed") or 0.0,
        wanted=wanted,
        started=max(wanted - users.get("planned", 0) - users.get("unstarted", 0), 0),
        users=users,
        logins=metrics.get(LOGINS, {}).get("value", 0),
        login_failures=metrics.get(LOGIN_FAILURES, {}).get("value", 0),
        login_rate=status.get("rates", {}).get(LOGINS, 0.0),
        login_times=login_times if login_times and login_times["count"] else None,
        counts=_counts(metrics, status.get("rates", {})),
        times=_times(metrics),
        nodes={clean(name): str(node.get("condition", "up")) for name, node in status.get("nodes", {}).items()},
        workers=_workers(status.get("nodes", {})),
        errors=sorted(status.get("errors", ()), key=lambda error: -error.get("count", 0)),
    )


def _counts(metrics: Mapping[str, Any], rates: Mapping[str, float]) -> list[Count]:
    """The most active first, gauges last; amoc's own only when they are not zero."""
    found = []
    for name, points in metrics.items():
        kind = points["type"]
        if name in _OWN_PLACE or kind == "histogram":
            continue
        total = points["count"] if kind == "spiral" else points["value"]
        if total or not name.startswith(("amoc.", "xmpp.")):
            found.append(Count(clean(name), total, None if kind == "gauge" else rates.get(name, 0.0)))
    return sorted(found, key=lambda c: (c.rate is None, -(c.rate or 0.0), -c.total, c.name))


def _times(metrics: Mapping[str, Any]) -> list[tuple[str, Mapping[str, float]]]:
    """The most recorded first, the scenario's before amoc's."""
    found = [
        (clean(name), points)
        for name, points in metrics.items()
        if points["type"] == "histogram" and points["count"] and name not in _OWN_PLACE
    ]
    return sorted(found, key=lambda item: (item[0].startswith("amoc."), -item[1]["count"], item[0]))


def _workers(nodes: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    return [
        (f"{clean(node)}[{worker.get('index', '?')}]", worker)
        for node, figures in nodes.items()
        for worker in figures.get("workers", ())
    ]
