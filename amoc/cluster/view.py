"""The master's knowledge as plain dicts, for people and programs: what `local.status` and `dist.nodes` return."""

import os
import time
from typing import TYPE_CHECKING, Any

import msgspec

from amoc.cluster.knowledge import Knowledge
from amoc.cluster.members import Member

if TYPE_CHECKING:
    from amoc.cluster.master import Master

__all__ = ["node_figures", "status"]


def status(master: "Master") -> dict[str, Any]:
    """State, run, users, nodes with workers, metrics, rates, errors, last events; see docs/console.md."""
    now = time.monotonic()
    state = master.state
    return {
        "node": master.name,
        "version": master.version,
        "pid": os.getpid(),
        "uptime": round(time.time() - master.born, 1),
        "state": _state(master),
        "run": None if state.desired.run is None else _run(master),
        "users": master.users(),
        "nodes": {
            member.name: {
                "state": member.state,
                "condition": member.condition,
                "version": member.version,
                "cores": member.cores,
                "heard": round(now - member.heard, 1),
                "workers": [msgspec.to_builtins(worker) for worker in member.workers],
            }
            for member in state.members.by_name.values()
        },
        "metrics": state.store.points(now),
        "rates": state.store.rates(now),
        "errors": [msgspec.to_builtins(error) for error in state.books.errors.values()],
        "events": master.events.history(),
    }


def node_figures(state: Knowledge, member: Member, now: float) -> dict[str, Any]:
    """One node as `nodes()` has it: cpu in percent of a core, memory in bytes, agent and workers together.

    `state` is up, suspect or lost; `run` what it does: idle, starting, running, terminating, finished, error.
    `last_beat` is in seconds ago; `offset_ms` says how far the master's clock is ahead of the node's, `answer_ms` how
    long its beats are on their way there and back.
    """
    workers = member.workers
    seat = state.desired.seats.get(member.name)
    users = 0
    if seat is not None and seat.incarnation == member.incarnation:
        account = state.books.account(member.name, seat)
        users = (account.shown or account.counts).present
    return {
        "node": member.name,
        "address": member.address,
        "state": member.condition,
        "run": member.state,
        "users": users,
        "starts_per_s": member.starts_per_s,
        "cpu": round(member.load.cpu + sum(worker.cpu for worker in workers), 1),
        "lag_ms": max([member.load.lag_ms, *(worker.lag_ms for worker in workers)]),
        "memory": member.load.memory + sum(worker.rss for worker in workers),
        "last_beat": round(now - member.heard, 1),
        "version": member.version,
        "offset_ms": member.load.offset_ms,
        "answer_ms": member.load.answer_ms,
        "cores": member.cores,
        "workers": len(workers),
        "error": member.error,
    }


def _state(master: "Master") -> str:
    """One word for the whole: idle, starting, running, terminating, finished, error."""
    if master.ending:
        return "terminating"
    if master.preparing is not None:
        return "starting"
    desired = master.state.desired
    if desired.run is None:
        return "idle"
    if desired.phase == "over":
        return "error" if desired.failed else "finished"
    return "running" if desired.phase == "run" else "starting"


def _run(master: "Master") -> dict[str, Any]:
    desired, run = master.state.desired, master.state.run
    end = desired.ended_at if desired.ended_at is not None else time.time()
    return {
        "id": run.id,
        "scenario": run.scenario,
        "version": run.version,
        "settings": master.run_settings(),
        "seed": run.seed,
        "interval": round(desired.interval * 1000, 6),
        "started_at": run.started_at,
        "ended_at": desired.ended_at,
        "elapsed": round(end - run.started_at, 2),
        "reason": desired.reason,
    }
