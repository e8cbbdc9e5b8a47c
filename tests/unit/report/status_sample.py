"""Statuses of a run as `local.status` returns them, second by second, counted through the real metrics."""

import random
from typing import Any

from amoc.metrics import Registry, Store

__all__ = ["Run"]


class Run:
    """A run that is replayed: every `status()` is one second later."""

    def __init__(self, *, xmpp: bool = True, users: int = 200, workers: int = 2, seed: int = 1) -> None:
        self.random = random.Random(seed)
        self.registry, self.store = Registry(), Store()
        self.now = 1000.0
        self.second = 0
        self.xmpp = xmpp
        self.wanted = users
        self.cpu = [40.0 + 5 * index for index in range(workers)]
        self.lag_ms = 3.4
        self.restarts = 0
        self.users: dict[str, int] = {}
        self.errors: list[dict[str, Any]] = []
        self.events: list[dict[str, Any]] = []

    def step(self) -> None:
        """Let a second of the load pass."""
        r = self.registry
        if self.xmpp:
            r.counter("amoc.counters.connections").increment(5)
            r.counter("amoc.counters.connection_failures").increment(0)
            for _ in range(5):
                r.histogram("amoc.times.connection").record(self.random.uniform(10_000, 20_000))
            r.counter("messages_sent").increment(400)
            r.spiral("messages_received").increment(390)
            r.histogram("message_ttd").record(2_500.0)
        else:
            r.counter("requests").increment(100)
            r.histogram("request_time").record(7_000.0)
        r.gauge("amoc.users").set(min(self.second * 10, self.wanted))
        r.histogram("amoc.times.start_lateness").record(800.0)
        self.now += 1
        self.second += 1
        self.store.apply("local", r.flush(), self.now)

    def status(self, state: str = "running", *, reason: str | None = None) -> dict[str, Any]:
        self.step()
        running = min(self.second * 10, self.wanted)
        users = dict.fromkeys(("waiting", "leaving", "finished", "failed", "removed", "stuck", "restarted"), 0) | {
            "wanted": self.wanted,
            "planned": self.wanted - running,
            "running": running,
            "starts": running,
        }
        return {
            "node": "local",
            "version": "0.1.0",
            "pid": 1,
            "uptime": 44.0,
            "state": state,
            "run": {
                "id": "20261124-031500-sample",
                "scenario": "mongoose_simple_with_metrics" if self.xmpp else "http_simple",
                "version": "0" * 64,
                "settings": {"interarrival": 100},
                "started_at": 1795490100.0,
                "ended_at": None,
                "elapsed": float(self.second),
                "reason": reason,
            },
            "users": users | self.users,
            "nodes": {
                "local": {
                    "state": state,
                    "workers": [
                        {
                            "index": index,
                            "pid": 100 + index,
                            "users": running // len(self.cpu),
                            "cpu": cpu,
                            "rss": (80 + index) << 20,
                            "lag_ms": self.lag_ms,
                            "late_ms": 1.2,
                            "restarts": self.restarts,
                        }
                        for index, cpu in enumerate(self.cpu)
                    ],
                }
            },
            "metrics": self.store.points(self.now),
            "rates": self.store.rates(self.now),
            "errors": self.errors,
            "events": self.events,
        }

    def error(self, kind: str = "ConnectionRefusedError", count: int = 12, text: str = "refused") -> None:
        self.errors.append(
            {"type": kind, "where": "start", "count": count, "text": text, "traceback": "…", "first_user": 7}
        )
