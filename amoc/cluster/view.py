"""The master's knowledge as one plain dict, for people and programs: what `local.status` returns."""

import os
import time
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from amoc.cluster.master import Master
    from amoc.cluster.state import NodeView

__all__ = ["node_figures", "status"]


def status(master: "Master") -> dict[str, Any]:
    """State, run, users, nodes with workers, metrics, rates, errors, last events; see docs/console.md."""
    now = time.monotonic()
    run = master.state.desired.run
    return {
        "node": master.name,
        "version": master.version,
        "pid": os.getpid(),
        "uptime": round(time.time() - master.born, 1),
        "state": _state(master),
        "run": None if run is None else _run(master),
        "users": master.users(),
        "nodes": {
            node.name: {
                "state": node.state,
                "version": node.version,
                "cores": node.cores,
                "heard": round(now - node.heard, 1),
                "workers": [msgspec.to_builtins(worker) for worker in node.workers],
            }
            for node in master.state.nodes.values()
        },
        "metrics": master.store.points(now),
        "rates": master.store.rates(now),
        "errors": [msgspec.to_builtins(error) for error in master.state.errors.values()],
        "events": master.events.history(),
    }


def node_figures(node: "NodeView", now: float) -> dict[str, Any]:
    """One node as `nodes()` has it: cpu in percent of a core, memory in bytes, agent and workers together.

    `state` is up, suspect or lost; `run` what it does: idle, starting, running, terminating, finished, error.
    `last_beat` is in seconds ago; `offset_ms` says how far the master's clock is ahead of the node's.
    """
    workers = node.workers
    return {
        "node": node.name,
        "address": node.address,
        "state": "up",
        "run": node.state,
        "users": node.counts.running + node.counts.waiting + node.counts.leaving,
        "starts_per_s": 0.0,
        "cpu": round(node.load.cpu + sum(worker.cpu for worker in workers), 1),
        "lag_ms": max([node.load.lag_ms, *(worker.lag_ms for worker in workers)]),
        "memory": node.load.memory + sum(worker.rss for worker in workers),
        "last_beat": round(now - node.heard, 1),
        "version": node.version,
        "offset_ms": node.load.offset_ms,
        "answer_ms": node.load.answer_ms,
        "cores": node.cores,
        "workers": len(workers),
        "error": node.error,
    }


def _state(master: "Master") -> str:
    """One word for the whole: idle, starting, running, terminating, finished, error."""
    if master.ending:
        return "terminating"
    if master.preparing is not None:
        return "starting"
    if master.state.desired.run is None:
        return "idle"
    phase = master.state.desired.phase
    if phase == "over":
        return "error" if master.state.failure() is not None else "finished"
    return "running" if phase == "run" else "terminating"


def _run(master: "Master") -> dict[str, Any]:
    run = master.state.desired.run
    assert run is not None
    end = master.ended if master.ended is not None else time.time()
    return {
        "id": run.id,
        "scenario": run.scenario,
        "version": run.version,
        "settings": master.run_settings(),
        "seed": run.seed,
        "interval": round(master.state.desired.interval * 1000, 6),
        "started_at": run.started_at,
        "ended_at": master.ended,
        "elapsed": round(end - run.started_at, 2),
        "reason": master.reason,
    }
