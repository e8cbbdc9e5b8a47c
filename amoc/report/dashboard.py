"""The dashboard of a running test: one frame of at most a terminal's size, drawn from a `View`.

Pure: a view and the last minute's rates in, a renderable out. The frame fits 80x24 and leaves a few lines
above it for the log. Each part gets its first row before any part gets its second; what does not fit is
counted in the part's title.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, OverflowMethod, RenderResult
from rich.table import Table
from rich.text import Text

from amoc.report.figures import clean, count, duration, memory, milliseconds, rate, sparkline
from amoc.report.verdict import BUSY_CPU
from amoc.report.view import View

__all__ = ["Dashboard"]

LOG_LINES = 3
"""Rows of the terminal that a frame leaves free."""

_POINTS = {"median": "median", "95": "95 %", "99": "99 %", "max": "max"}
_STATES = {"running": "bold green", "starting": "bold cyan", "error": "bold red"}
_USERS = ("running", "waiting", "leaving", "finished", "removed", "stopped", "restarted", "failed", "stuck", "lost")
_ALWAYS = ("running", "failed")
_BAD = ("restarted", "failed", "stuck", "lost")
_NAME = 28


class Dashboard:
    """One frame. `history` holds the rates of the last minute by name, one a second, oldest first."""

    def __init__(self, shown: View, history: Mapping[str, Sequence[float]]) -> None:
        self._view = shown
        self._history = history

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        shown, page = self._view, _Page(options.max_width, options.ascii_only)
        lines = [_head(shown), _progress(shown, page), _users(shown)]
        if shown.logins or shown.login_failures:
            lines.append(_logins(shown))
        for line in lines:
            yield page.fitted(line)
        wanted = [len(part) for part in (shown.counts, shown.times, shown.workers, shown.errors)]
        rows = _share(console.height - LOG_LINES - len(lines), wanted)
        if rows[0]:
            yield _counts(shown, self._history, rows[0], page)
        if rows[1]:
            yield _times(shown, rows[1], page)
        if rows[2]:
            yield _workers(shown, rows[2], page)
        if rows[3]:
            yield from _errors(shown, rows[3], page)


@dataclass(frozen=True, slots=True)
class _Page:
    """What a frame is drawn on: its width in cells, and whether it takes only ASCII."""

    width: int
    plain: bool

    @property
    def overflow(self) -> OverflowMethod:
        return "crop" if self.plain else "ellipsis"

    def fitted(self, line: Text) -> Text:
        line.truncate(self.width, overflow=self.overflow)
        return line

    def table(self, title: str, *headings: str) -> Table:
        """A table whose first column gives way, so that figures are whole down to a width of 62."""
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
        name = max(min(_NAME, self.width - 52), 8)
        table.add_column(title, no_wrap=True, overflow=self.overflow, min_width=name, max_width=name)
        for heading in headings:
            table.add_column(heading, justify="right", no_wrap=True, overflow=self.overflow, min_width=6)
        return table


def _head(shown: View) -> Text:
    head = Text.assemble(
        (shown.scenario or "no test", "bold"),
        "  ",
        (shown.state, _STATES.get(shown.state, "bold yellow")),
        f"  {duration(shown.elapsed)}  ",
    )
    if shown.nodes.keys() <= {shown.node}:
        return head.append(f"node {shown.node}")
    head.append(f"{count(len(shown.nodes))} slaves")
    for state in ("suspect", "lost"):
        if names := [name for name, its in shown.nodes.items() if its == state]:
            head.append(f"  {state}: {', '.join(names)}", _STATES["error"])
    return head


def _progress(shown: View, page: _Page) -> Text:
    text = f" {count(shown.started)} of {count(shown.wanted)} users started"
    length = max(min(page.width - len(text) - 2, 40), 0)
    done = min(length * shown.started // shown.wanted, length) if shown.wanted else 0
    full, empty = ("#", "-") if page.plain else ("█", "░")
    return Text.assemble((full * done, "green"), (empty * (length - done), "dim"), text)


def _users(shown: View) -> Text:
    line = Text()
    for name in _USERS:
        number = shown.users.get(name, 0)
        if number or name in _ALWAYS:
            line.append("  " if line else "")
            line.append(f"{count(number)} {name}", "red" if number and name in _BAD else "")
    return line


def _logins(shown: View) -> Text:
    line = Text(f"logins {count(shown.logins)} ok  ")
    line.append(f"{count(shown.login_failures)} failed", "red" if shown.login_failures else "")
    line.append(f"  {rate(shown.login_rate)} per s")
    if shown.login_times:
        for point in ("median", "95", "99"):
            line.append(f"  {_POINTS[point]} {milliseconds(shown.login_times[point])}")
        line.append(" ms")
    return line


def _counts(shown: View, history: Mapping[str, Sequence[float]], rows: int, page: _Page) -> Table:
    table = page.table(_title("Counts", rows, len(shown.counts)), "total", "per s")
    table.add_column("last minute", no_wrap=True, overflow=page.overflow)
    bars = max(min(page.width - _NAME - 26, 60), 0)
    for one in shown.counts[:rows]:
        line = sparkline(list(history.get(one.name, ())), bars, ascii_only=page.plain)
        table.add_row(one.name, count(one.total), "" if one.rate is None else rate(one.rate), line)
    return table


def _times(shown: View, rows: int, page: _Page) -> Table:
    table = page.table(_title("Times in ms", rows, len(shown.times)), "count", *_POINTS.values())
    for name, points in shown.times[:rows]:
        table.add_row(name, count(points["count"]), *(milliseconds(points[point]) for point in _POINTS))
    return table


def _workers(shown: View, rows: int, page: _Page) -> Table:
    """In their order if they all fit, otherwise the busiest."""
    workers = shown.workers
    if rows < len(workers):
        workers = sorted(workers, key=lambda item: -item[1].get("cpu", 0.0))[:rows]
    title = _title("Workers", rows, len(shown.workers))
    table = page.table(title, "users", "CPU %", "lag ms", "late ms", "memory")
    for name, worker in workers:
        cpu, restarts = worker.get("cpu", 0.0), worker.get("restarts", 0)
        table.add_row(
            Text(f"{name} restarted {restarts}x" if restarts else name, "red" if restarts else ""),
            count(worker.get("users", 0)),
            Text(f"{cpu:.0f}", "red" if cpu >= BUSY_CPU else ""),
            f"{worker.get('lag_ms', 0.0):.1f}",
            f"{worker.get('late_ms', 0.0):.1f}",
            memory(worker.get("rss", 0)),
        )
    return table


def _errors(shown: View, rows: int, page: _Page) -> RenderResult:
    yield Text(_title("Errors", rows, len(shown.errors)), "dim")
    for error in shown.errors[:rows]:
        text = f"{error.get('type', '?')} in {error.get('where', '?')}: {error.get('text', '')}"
        yield page.fitted(Text.assemble((f"{count(error.get('count', 0))} x ", "red"), clean(text)))


def _share(free: int, wanted: Sequence[int]) -> list[int]:
    """Rows per part: one more to each that wants more, round after round. The first costs two: its title."""
    given = [0] * len(wanted)
    while True:
        before = free
        for part, rows in enumerate(wanted):
            cost = 1 if given[part] else 2
            if given[part] < rows and cost <= free:
                given[part] += 1
                free -= cost
        if free == before:
            return given


def _title(name: str, rows: int, of: int) -> str:
    return name if rows >= of else f"{name} ({rows} of {of})"
