"""The summary of a result for people: on a terminal in colour, anywhere else as plain text.

Pure: the result in, text out. What matters first: was it what was asked for, did users log in, how long did
messages take, what went wrong; then every other figure.
"""

import io
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from rich.console import Console, ConsoleOptions, RenderResult
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from amoc.report.figures import clean, count, duration, memory, milliseconds, percent, rate
from amoc.report.view import LATENESS, LOGIN_FAILURES, LOGIN_STEP, LOGIN_STEPS, LOGIN_TIMES, LOGINS

__all__ = ["Summary", "summary_text"]

_POINTS = {"median": "median", "95": "95 %", "99": "99 %", "999": "99.9 %", "max": "max"}
_BAR = 20  # characters of the longest bar
_ERRORS = 10
_EVENTS = 5
_USERS = ("running", "waiting", "leaving", "finished", "removed", "stopped", "planned", "unstarted")
_BAD_USERS = ("failed", "stuck", "lost", "restarted")


class Summary:
    """A renderable of rich: `console.print(Summary(result))`."""

    def __init__(self, result: Mapping[str, Any]) -> None:
        self._result = result

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        result = self._result
        yield Text()
        yield from _head(result)
        yield from _users(result["users"], result["peaks"])
        yield from _logins(result["metrics"])
        yield from _login_steps(result["metrics"], plain=options.ascii_only)
        yield from _counts(result)
        yield from _times(result["metrics"])
        yield from _errors(result["errors"])
        yield from _events(result["events"])
        yield from _generator(result)
        yield from _verdict(result["verdict"], plain=options.ascii_only)


def summary_text(result: Mapping[str, Any], width: int = 100) -> str:
    """The summary as plain text."""
    out = io.StringIO()
    Console(file=out, width=width, color_system=None, legacy_windows=False).print(Summary(result))
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines()) + "\n"


def _head(result: Mapping[str, Any]) -> RenderResult:
    run, state = result["run"], result["state"]
    head = Text.assemble(
        (clean(str(run.get("scenario", "?"))), "bold"),
        "  ",
        (state, "bold red" if state == "error" else "bold green" if state == "finished" else "bold yellow"),
        f" after {duration(run.get('elapsed') or 0)}",
    )
    if run.get("reason"):
        head.append(f": {clean(str(run['reason']))}")
    yield head
    started = run.get("started_at")
    when = f", started {datetime.fromtimestamp(started):%Y-%m-%d %H:%M:%S}" if started else ""
    yield Text(f"run {clean(str(run.get('id', '')))}{when}", "dim")
    if result["settings"]:
        settings = "  ".join(f"{name}={value}" for name, value in sorted(result["settings"].items()))
        yield Text(f"with {clean(settings)}", "dim")


def _users(users: Mapping[str, int], peaks: Mapping[str, Any]) -> RenderResult:
    line = Text(f"{count(users.get('wanted', 0))} wanted, start() ran {count(users.get('starts', 0))} times")
    if peaks.get("users"):
        line.append(f", at most {count(peaks['users'])} at once")
    yield from _titled("Users", [line])
    now = Text()
    for name in _BAD_USERS + _USERS:
        number = users.get(name, 0)
        if number or name == "failed":
            bad = number and name in _BAD_USERS
            now.append("  " if now else "")
            word = "never started" if name in ("planned", "unstarted") else name
            now.append(f"{count(number)} {word}", "red" if bad else "")
    yield Padding(now, (0, 0, 0, 2), expand=False)


def _logins(metrics: Mapping[str, Any]) -> RenderResult:
    ok = metrics.get(LOGINS, {}).get("value", 0)
    failed = metrics.get(LOGIN_FAILURES, {}).get("value", 0)
    if not ok and not failed:
        return
    line = Text.assemble(f"{count(ok)} ok  ", (f"{count(failed)} failed", "red" if failed else ""))
    if failed:
        line.append(f" ({percent(failed / (ok + failed))})")
    times = metrics.get(LOGIN_TIMES, {})
    if times.get("count"):
        line.append(f"   {_listed(times, 'median', '95', '99', 'max')} ms")
    yield from _titled("Logins", [line])


def _login_steps(metrics: Mapping[str, Any], *, plain: bool) -> RenderResult:
    """Where the time of a login goes: the steps in their order, each with its part of the mean as a bar."""
    steps = {name.removeprefix(LOGIN_STEP): p for name, p in metrics.items() if name.startswith(LOGIN_STEP)}
    known = [
        name for name in (*LOGIN_STEPS, *sorted(steps.keys() - set(LOGIN_STEPS))) if steps.get(name, {}).get("count")
    ]
    longest = max((steps[name]["mean"] for name in known), default=0.0) or 1.0
    rows = []
    for name in known:
        points = steps[name]
        bar = ("#" if plain else "█") * max(1, round(points["mean"] / longest * _BAR))
        times = [milliseconds(points[point]) for point in ("mean", "median", "95", "99", "max")]
        rows.append((clean(name), count(points["count"]), *times, f"{bar:<{_BAR}}"))
    yield from _table("Login steps, ms", ("count", "mean", "median", "95 %", "99 %", "max", ""), rows)


def _counts(result: Mapping[str, Any]) -> RenderResult:
    peaks = result["peaks"]["rates"]
    rows = []
    for name, total in sorted(result["totals"].items(), key=lambda item: (-item[1], item[0])):
        if name in (LOGINS, LOGIN_FAILURES) or (not total and name.startswith(("amoc.", "xmpp."))):
            continue
        mean = rate(result["rates"][name])
        rows.append((clean(name), count(total), mean, rate(peaks[name]) if name in peaks else "-"))
    for name, points in sorted(result["metrics"].items()):
        if points["type"] == "gauge" and name != "amoc.users":
            rows.append((clean(name), count(points["value"]), "", ""))
    yield from _table("Counts", ("total", "mean per s", "peak per s"), rows)


def _times(metrics: Mapping[str, Any]) -> RenderResult:
    rows = []
    for name, points in sorted(metrics.items(), key=lambda item: (item[0].startswith("amoc."), item[0])):
        if points["type"] == "histogram" and name not in (LOGIN_TIMES, LATENESS) and not name.startswith(LOGIN_STEP):
            times = [milliseconds(points[point]) if points["count"] else "-" for point in _POINTS]
            rows.append((clean(name), count(points["count"]), *times))
    yield from _table("Times in ms", ("count", *_POINTS.values()), rows)


def _errors(errors: list[Mapping[str, Any]]) -> RenderResult:
    if not errors:
        return
    errors = sorted(errors, key=lambda error: -error.get("count", 0))
    lines = [
        Text.assemble(
            (f"{count(error.get('count', 0)):>8} x ", "red"),
            (clean(str(error.get("type", "?"))), "bold"),
            f" in {clean(str(error.get('where', '?')))}: {clean(str(error.get('text', '')))}"
            f" (first: user {error.get('first_user', '?')})",
        )
        for error in errors[:_ERRORS]
    ]
    if len(errors) > _ERRORS:
        lines.append(Text(f"and {len(errors) - _ERRORS} more kinds: see the result file"))
    yield from _titled("Errors (the result file has the tracebacks)", lines)


def _events(events: list[Mapping[str, Any]]) -> RenderResult:
    # errors of users are listed above with their numbers; of what is said in many lines the first will do here
    bad = [e for e in events if e.get("level") in ("WARNING", "ERROR", "CRITICAL") and e.get("event") != "error"]
    lines = [
        Text(f"{datetime.fromtimestamp(e.get('time', 0)):%H:%M:%S} {clean(_first_line(e.get('text', '')))}", "yellow")
        for e in bad[-_EVENTS:]
    ]
    if len(bad) > _EVENTS:
        lines.insert(0, Text(f"the last {_EVENTS} of {len(bad)}: the result file has all", "dim"))
    if lines:
        yield from _titled("Warnings", lines)


def _generator(result: Mapping[str, Any]) -> RenderResult:
    rows = [
        (
            f"{clean(worker['node'])}[{worker['index']}]",
            f"{worker['cpu_mean']:.0f}",
            f"{worker['cpu_max']:.0f}",
            f"{worker['lag_ms_max']:.1f}",
            memory(worker["rss_max"]),
            count(worker["restarts"]),
        )
        for worker in result["generator"]["workers"]
    ]
    yield from _table("Workers", ("CPU % mean", "CPU % max", "longest lag ms", "memory", "restarts"), rows)
    lines = []
    late = result["metrics"].get(LATENESS, {})
    if late.get("count"):
        lines.append(Text(f"starts late by: {_listed(late, 'median', '99', 'max')} ms"))
    machine = result["machine"]
    lines.append(
        Text(
            f"{machine['cores']} cores, {memory(machine['memory'])}, {machine['system']}, "
            f"{machine['python']}, amoc {result['amoc']}",
            "dim",
        )
    )
    yield from _titled("Generator", lines)


def _verdict(verdict: Mapping[str, Any], *, plain: bool) -> RenderResult:
    good = verdict["delivered"] and not verdict["bottleneck"]
    mark = ("OK" if good else "!!") if plain else ("✓" if good else "✗")
    yield Text()
    yield Text.assemble((f"{mark} {verdict['text']}", "bold green" if good else "bold red"))
    for finding in verdict["findings"]:
        yield Padding(Text(f"- {clean(finding)}"), (0, 0, 0, 2), expand=False)


def _first_line(text: object) -> str:
    first, _, rest = str(text).strip().partition("\n")
    return f"{first} …" if rest else first


def _listed(times: Mapping[str, float], *points: str) -> str:
    """`median 12.3  99 % 45.6`, in ms."""
    return "  ".join(f"{_POINTS.get(point, point)} {milliseconds(times[point])}" for point in points)


def _titled(title: str, lines: Iterable[Text]) -> RenderResult:
    yield Text()
    yield Text(title, "bold")
    for line in lines:
        yield Padding(line, (0, 0, 0, 2), expand=False)


def _table(title: str, headings: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> RenderResult:
    if not rows:
        return
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column(Text(title, "bold not dim"), overflow="fold", min_width=12)  # the only one that gives way
    for heading in headings:
        table.add_column(heading, justify="right" if heading else "left", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    yield Text()
    yield table
