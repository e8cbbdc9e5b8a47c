"""The pool of worker processes of one node: spawn, watch, talk to, replace; and what runs in such a process.

`pool` runs in the agent's process; `main`, `watchdog` and `logs` in every worker.
May import: users, control, metrics.
"""

from amoc.worker.pool import Pool, WorkerDeath

__all__ = ["Pool", "WorkerDeath"]
