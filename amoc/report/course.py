"""The course of a run: what a single status cannot show, gathered from one status a second.

Pure: data in. A worker's CPU and loop lag are figures of the last second; once a run has ended they say
nothing about it. Memory is bounded by the number of workers and metrics, not by the length of the run.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from amoc.report.verdict import BUSY_CPU

__all__ = ["Course"]

_UNDER_LOAD = ("starting", "running")


class Course:
    """Peaks, means and shares over one run."""

    def __init__(self) -> None:
        self._run: str | None = None
        self._workers: dict[tuple[str, int], _Seen] = {}
        self._users = 0
        self._rates: dict[str, float] = {}

    def __repr__(self) -> str:
        return f"<Course of {self._run}: {len(self._workers)} workers, at most {self._users} users>"

    def observe(self, status: Mapping[str, Any]) -> None:
        """Take in a status; the id of another run starts afresh. Only `starting` and `running` count."""
        run = (status.get("run") or {}).get("id")
        if run != self._run:
            self._run, self._workers, self._users, self._rates = run, {}, 0, {}
        if run is None or status.get("state") not in _UNDER_LOAD:
            return
        self._users = max(self._users, status.get("users", {}).get("running", 0))
        for name, rate in status.get("rates", {}).items():
            self._rates[name] = max(self._rates.get(name, 0.0), rate)
        for node, figures in status.get("nodes", {}).items():
            for worker in figures.get("workers", ()):
                self._workers.setdefault((node, worker.get("index", 0)), _Seen()).observe(worker)

    def peaks(self) -> dict[str, Any]:
        """The most users that ran at once, and the highest rate (over 10 s) of each counter and spiral."""
        return {"users": self._users, "rates": {name: round(r, 3) for name, r in self._rates.items()}}

    def workers(self) -> list[dict[str, Any]]:
        """Per worker what was seen of it.

        node, index, observed (seconds), cpu_mean and cpu_max (percent of a core), busy (share of the
        seconds with BUSY_CPU or more), lag_ms_max, late_ms_max, rss_max (bytes), restarts.
        """
        return [
            {"node": node, "index": index, **seen.figures()} for (node, index), seen in sorted(self._workers.items())
        ]


@dataclass(slots=True)
class _Seen:
    """One worker, second by second."""

    observed: int = 0
    busy: int = 0
    cpu_sum: float = 0.0
    cpu_max: float = 0.0
    lag_ms_max: float = 0.0
    late_ms_max: float = 0.0
    rss_max: int = 0
    restarts: int = 0

    def observe(self, worker: Mapping[str, Any]) -> None:
        cpu = worker.get("cpu", 0.0)
        self.observed += 1
        self.busy += cpu >= BUSY_CPU
        self.cpu_sum += cpu
        self.cpu_max = max(self.cpu_max, cpu)
        self.lag_ms_max = max(self.lag_ms_max, worker.get("lag_ms", 0.0))
        self.late_ms_max = max(self.late_ms_max, worker.get("late_ms", 0.0))
        self.rss_max = max(self.rss_max, worker.get("rss", 0))
        self.restarts = max(self.restarts, worker.get("restarts", 0))

    def figures(self) -> dict[str, Any]:
        return {
            "observed": self.observed,
            "cpu_mean": round(self.cpu_sum / self.observed, 1),
            "cpu_max": round(self.cpu_max, 1),
            "busy": round(self.busy / self.observed, 3),
            "lag_ms_max": round(self.lag_ms_max, 1),
            "late_ms_max": round(self.late_ms_max, 1),
            "rss_max": self.rss_max,
            "restarts": self.restarts,
        }
