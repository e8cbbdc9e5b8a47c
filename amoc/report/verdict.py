"""The verdict of a run: was the load delivered as asked, and was the generator itself the bottleneck?

Pure: the result's parts in, plain data out. It judges amoc, never the server: whether a latency is good is for
the reader to say, but only if the two questions are answered well.

The thresholds, and why:

BUSY_CPU 85 %     an event loop at utilisation r makes events wait r/(1-r) service times on average: 1 at 50 %,
                  6 at 85 %, 19 at 95 %. From here on the measured times are the generator's own.
BUSY_SHARE 10 %   of the observed seconds (and at least BUSY_SECONDS 3): a burst of logins may fill a core
                  for a moment without spoiling the run.
LAG_MS 200        the loop stood still this long: every time measured then is wrong by up to that much. The same
                  limit at which a blocked worker is reported with its stack.
LATE_MS 50        1 % of the users started at least this late. It is the default interarrival: at the default
                  ramp such a user has changed places with the next.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from amoc.report.figures import percent

__all__ = ["BUSY_CPU", "BUSY_SECONDS", "BUSY_SHARE", "LAG_MS", "LATE_MS", "judge"]

BUSY_CPU = 85.0
BUSY_SHARE = 0.10
BUSY_SECONDS = 3
LAG_MS = 200.0
LATE_MS = 50.0


def judge(
    state: str,
    reason: str | None,
    users: Mapping[str, int],
    late_ms: float | None,
    workers: Sequence[Mapping[str, Any]],
) -> dict[str, Any]:
    """The verdict: {"delivered": bool, "bottleneck": bool | None, "text": one line, "findings": [one line]}.

    `late_ms` is the 99th percentile of the lateness of all starts (None: not known); `workers` is
    `Course.workers()`, empty if nobody observed the run: then `bottleneck` is None unless starts were late.
    """
    load = _load(state, reason, users, workers)
    generator = _generator(workers)
    if late_ms is not None and late_ms >= LATE_MS:
        generator.append(
            f"1 % of the starts were {late_ms:,.0f} ms late or more (limit {LATE_MS:.0f} ms): "
            "the ramp was not the one that was asked for"
        )
        delivered = False
    else:
        delivered = not load
    bottleneck = True if generator else (False if workers else None)
    return {
        "delivered": delivered,
        "bottleneck": bottleneck,
        "text": _text(delivered, bottleneck),
        "findings": [*load, *generator],
    }


def _text(delivered: bool, bottleneck: bool | None) -> str:
    load = "The load was delivered as asked" if delivered else "The load was NOT delivered as asked"
    if bottleneck is None:
        return f"{load}; nobody observed the generator, so it may have been the bottleneck."
    if bottleneck:
        joint = ", but" if delivered else ", and"
        return f"{load}{joint} the generator was at its limit: the times are partly its own."
    return f"{load}{', and' if delivered else '; but'} the generator had room to spare."


def _load(state: str, reason: str | None, users: Mapping[str, int], workers: Sequence[Mapping[str, Any]]) -> list[str]:
    """What kept the load from being what was asked for."""
    found = []
    if state == "error":
        found.append(f"the run failed: {reason or 'see the events'}")
    wanted = users.get("wanted", 0)
    for key, text in (
        ("planned", "never started"),
        ("unstarted", "had not started when the test was ended"),
        ("failed", "ended by an exception: see the errors"),
        ("stuck", "did not end when they were told to"),
        ("lost", "were lost with their node"),
        ("restarted", "were started again after their worker died; they were missing meanwhile"),
    ):
        number = users.get(key, 0)
        if number:
            found.append(f"{number:,} of {wanted:,} users {text}")
    restarts = sum(worker["restarts"] for worker in workers)
    if restarts:
        found.append(
            f"workers died and were replaced {restarts} times" if restarts > 1 else "a worker died and was replaced"
        )
    return found


def _generator(workers: Sequence[Mapping[str, Any]]) -> list[str]:
    """What shows that the generator was at its limit, a line per worker and kind."""
    found = []
    for worker in workers:
        name = f"worker {worker['node']}[{worker['index']}]"
        if worker["busy"] >= BUSY_SHARE and worker["busy"] * worker["observed"] >= BUSY_SECONDS - 0.5:
            found.append(
                f"{name} used {BUSY_CPU:.0f} % of its core or more for {percent(worker['busy'])} of the time "
                f"(peak {worker['cpu_max']:.0f} %): use more workers, cores or machines"
            )
        if worker["lag_ms_max"] >= LAG_MS:
            found.append(
                f"the loop of {name} was held up for {worker['lag_ms_max']:,.0f} ms (limit {LAG_MS:.0f} ms): "
                "the events say by which code, or too many processes share the cores"
            )
    return found
