"""Replies of operations as tables for a terminal.

Replies stay plain data for whoever computes with them: `amoc_local.status()["users"]["running"]`; only how
they are shown is decided here. Everything that comes from a scenario or a server is cleaned on its way.
"""

import io
import shutil
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from amoc.console.lines import clean, console_line

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

__all__ = ["Shown", "changed", "config", "done", "nodes", "scenario", "status", "to_text", "users"]

# In this order; those that are zero are left out, the first three always shown.
_USERS = (
    "wanted",
    "running",
    "starts",
    "planned",
    "waiting",
    "leaving",
    "finished",
    "failed",
    "removed",
    "stuck",
    "lost",
    "unstarted",
    "restarted",
)
# The console shows events as they happen; a status repeats the latest.
_EVENTS_SHOWN = 5
_ERRORS_SHOWN = 10


class Shown:
    """A reply that is shown as tables, and is the plain dict or list that it was otherwise."""

    draw: Callable[[Any], Iterable[Any]]

    @staticmethod
    def of(operation: str, value: Any) -> Any:
        """`value` with the drawing of this operation's replies, if it has one."""
        draw = _DRAWINGS.get(operation)
        if draw is None or not isinstance(value, dict | list):
            return value
        shown = _ShownDict(value) if isinstance(value, dict) else _ShownList(value)
        shown.draw = draw
        return shown

    def __str__(self) -> str:
        return to_text(self.draw(self))

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(str(self))


class _ShownDict(Shown, dict[str, Any]):
    pass


class _ShownList(Shown, list[Any]):
    pass


def to_text(parts: Iterable[Any], *, width: int | None = None, colour: bool | None = None) -> str:
    """Renderables of rich as text for the standard output, coloured if that is a terminal."""
    from rich.console import Console

    out = io.StringIO()
    terminal = sys.stdout.isatty() if colour is None else colour
    width = width or shutil.get_terminal_size((120, 24)).columns
    console = Console(
        file=out,
        width=width,
        force_terminal=terminal,
        highlight=False,
        markup=False,
        emoji=False,
        soft_wrap=not terminal,
    )
    for part in parts:
        console.print(part)
    return "\n".join(line.rstrip() for line in out.getvalue().rstrip("\n").split("\n"))


def status(reply: Mapping[str, Any]) -> Iterable[Any]:
    """`local.status`: the node, its test, users, workers, metrics, errors and the last events."""
    from rich.text import Text

    state = str(reply.get("state", "?"))
    yield Text.assemble(
        ("node ", "dim"),
        (str(reply.get("node", "?")), "bold"),
        f"  amoc {reply.get('version', '?')}  pid {reply.get('pid', '?')}  up {_duration(reply.get('uptime'))}  ",
        (state, "bold red" if state == "error" else "bold green" if state == "running" else "bold"),
    )
    if reply.get("role") == "slave":
        yield from _slave(reply)
        return
    if run := reply.get("run"):
        yield from _run(run)
    yield from users(reply.get("users") or {})
    yield from _workers(reply.get("nodes") or {})
    yield from _metrics(reply.get("metrics") or {}, reply.get("rates") or {})
    yield from _errors(reply.get("errors") or [])
    if events := list(reply.get("events") or [])[-_EVENTS_SHOWN:]:
        yield Text("\nlast events", "dim")
        for event in events:
            yield Text("  " + console_line(event, colour=False))


def users(reply: Mapping[str, Any]) -> Iterable[Any]:
    """`local.users`: one line, `100 wanted  98 running  2 failed`."""
    from rich.text import Text

    line = Text("users", "dim")
    for index, name in enumerate(_USERS):
        number = reply.get(name, 0)
        if number or index < 3:
            bad = number and name in ("failed", "stuck", "lost", "restarted")
            line.append(f"  {number} {name}", "red" if bad else "default")
    yield line


def done(reply: Mapping[str, Any]) -> Iterable[Any]:
    """`local.do`, `add`, `remove`, `stop` and theirs of `dist`: a line per node, `slave1: users 1 to 28 by 3`."""
    from rich.text import Text

    for node, did in reply.items():
        words = [_words(name, value) for name, value in did.items()]
        yield Text(clean(f"{node}: {', '.join(words)}"), "red" if "error" in did else "")


def nodes(reply: Sequence[Mapping[str, Any]]) -> Iterable[Any]:
    """`dist.nodes`: a row per slave."""
    from rich.text import Text

    if not reply:
        yield Text("no slave has registered yet", "yellow")
        return
    table = _table("node", "address", "state", "users", "starts\nper s", "CPU\n%", "loop\nlag ms", "memory\nMiB")
    for heading in ("last\nbeat s", "version", "offset\nms"):
        table.add_column(heading)
    table.padding = (0, 1, 0, 0)  # it fits 80 columns, unless names are long
    for column in table.columns:  # what does not fit is folded, and only names are long
        column.no_wrap = str(column.header) not in ("node", "address")
        column.overflow = "fold"
    for column in (*table.columns[3:9], table.columns[10]):
        column.justify = "right"
    for node in reply:
        table.add_row(
            clean(str(node.get("node", ""))),
            clean(str(node.get("address", ""))),
            _node_state(node),
            str(node.get("users", "")),
            f"{node.get('starts_per_s', 0):.1f}",
            f"{node.get('cpu', 0):.0f}",
            f"{node.get('lag_ms', 0):.1f}",
            f"{node.get('memory', 0) / 2**20:.0f}",
            f"{node.get('last_beat', 0):.1f}",
            clean(str(node.get("version", ""))),
            f"{node.get('offset_ms', 0):+.1f}",
        )
    yield table
    for node in reply:
        if error := node.get("error"):
            yield Text(clean(f"{node.get('node')}: {error}"), "red")


def _node_state(node: Mapping[str, Any]) -> "Text":
    """What it does if it is up, otherwise that it is not."""
    from rich.text import Text

    state = str(node.get("state", "?"))
    run = str(node.get("run", ""))
    shown = run if state == "up" and run else state
    colours = {"suspect": "yellow", "lost": "bold red", "error": "red", "running": "green"}
    return Text(clean(shown), colours.get(shown, ""))


def _words(name: str, value: Any) -> str:
    """One thing that a node did, in words."""
    if name == "users":
        return f"users {_ranges(value)}"
    if name == "settings":
        return ", ".join(f"{setting} = {value!r}" for setting, value in value.items())
    if name == "answer_ms":
        return f"answered within {value:.1f} ms"
    return f"{name} {value}"


def config(reply: Mapping[str, Any]) -> Iterable[Any]:
    """`config.all`: every setting with value, source, type and meaning."""
    table = _table("setting", "value", "from", "type", "meaning")
    for name, entry in reply.items():
        source = str(entry.get("source", ""))
        if entry.get("shadowed"):
            source += " (hides a value set at run time)"
        value = "" if source == "unset" else clean(repr(entry.get("value")))
        table.add_row(name, entry.get("error") or value, source, str(entry.get("type", "")), entry.get("doc", ""))
    yield table


def changed(reply: Mapping[str, Any]) -> Iterable[Any]:
    """`config.set`: a line per setting, `interarrival = 10.0`."""
    for name, value in reply.items():
        yield f"{name} = {clean(repr(value))}"


def scenario(reply: Mapping[str, Any], usage: str = "amoc_local.do({}, 1, 10)") -> Iterable[Any]:
    """`scenarios.info`: what it does, where it is, what can be set; `usage` shows how it is started."""
    from rich.text import Text

    name = str(reply.get("name", "?"))
    yield Text.assemble((name, "bold"), f"  {reply.get('path', '')}")
    if helpers := reply.get("helpers"):
        yield Text(clean(f"with {', '.join(map(str, helpers))}"), "dim")
    for line in str(reply.get("doc") or "").splitlines():
        yield Text(clean(line))
    if settings := reply.get("settings"):
        table = _table("setting", "default", "type", "meaning")
        for setting in settings:
            row = (setting.get(key) for key in ("name", "default", "type", "doc"))
            table.add_row(*("" if cell is None else clean(str(cell)) for cell in row))
        yield Text()
        yield table
    yield Text("\n" + usage.format(name), "dim")


def _slave(reply: Mapping[str, Any]) -> Iterable[Any]:
    """What a slave knows of itself; the rest is with its master."""
    from rich.text import Text

    place = "registered" if reply.get("registered") else "not registered yet"
    yield Text.assemble(("slave of ", "dim"), f"{reply.get('master', '?')}  {place}")
    for trouble in filter(None, (reply.get("trouble"), reply.get("shortage"))):
        yield Text(clean(str(trouble)), "yellow")


def _run(run: Mapping[str, Any]) -> Iterable[Any]:
    from rich.text import Text

    settings = "  ".join(f"{key}={value}" for key, value in (run.get("settings") or {}).items())
    yield Text.assemble(
        ("run  ", "dim"),
        (str(run.get("scenario", "?")), "bold"),
        f"  {run.get('id', '')}  {_duration(run.get('elapsed'))}  {clean(settings)}".rstrip(),
    )
    if reason := run.get("reason"):
        yield Text(f"     {clean(str(reason))}", "yellow")


def _workers(nodes: Mapping[str, Any]) -> Iterable[Any]:
    from rich.text import Text

    if silent := [f"{node} is {f['condition']}" for node, f in nodes.items() if f.get("condition", "up") != "up"]:
        yield Text(clean(f"nodes  {', '.join(silent)}"), "red")
    table = _table("worker", "pid", "users", "cpu %", "memory MiB", "loop lag ms", "late ms", "restarts")
    for column in table.columns[1:]:
        column.justify = "right"
    for node, figures in nodes.items():
        for worker in figures.get("workers") or []:
            table.add_row(
                f"{node}[{worker.get('index', '?')}]",
                str(worker.get("pid", "")),
                str(worker.get("users", "")),
                f"{worker.get('cpu', 0):.0f}",
                f"{worker.get('rss', 0) / 2**20:.0f}",
                f"{worker.get('lag_ms', 0):.1f}",
                f"{worker.get('late_ms', 0):.1f}",
                str(worker.get("restarts", "")),
            )
    if table.row_count:
        yield ""
        yield table


def _metrics(metrics: Mapping[str, Any], rates: Mapping[str, Any]) -> Iterable[Any]:
    counts = _table("count", "total", "per s")
    times = _table("time (ms)", "count", "mean", "median", "95 %", "99 %", "max")
    for table in (counts, times):
        for column in table.columns[1:]:
            column.justify = "right"
    for name, points in metrics.items():
        if points.get("type") == "histogram":
            cells = (_milliseconds(points.get(point)) for point in ("mean", "median", "95", "99", "max"))
            times.add_row(clean(name), f"{points.get('count', 0):.0f}", *cells)
        else:
            total = points.get("value", points.get("count", 0))
            rate = rates.get(name)
            counts.add_row(clean(name), f"{total:g}", "" if rate is None else f"{rate:.1f}")
    for table in (counts, times):
        if table.row_count:
            yield ""
            yield table


def _errors(errors: Iterable[Mapping[str, Any]]) -> Iterable[Any]:
    from rich.text import Text

    errors = list(errors)
    if errors:
        yield Text("\nerrors", "dim")
    for error in errors[:_ERRORS_SHOWN]:
        where = f"(in {error.get('where')}, first user {error.get('first_user')})"
        yield Text.assemble((f"  {error.get('count')} x ", "red"), clean(f"{error.get('text')} {where}"))
    if len(errors) > _ERRORS_SHOWN:
        yield Text(f"  and {len(errors) - _ERRORS_SHOWN} kinds more")


def _table(*headings: str) -> "Table":
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for heading in headings:
        table.add_column(heading)
    return table


def _milliseconds(microseconds: Any) -> str:
    return "" if microseconds is None else f"{microseconds / 1000:.1f}"


def _ranges(ranges: Iterable[tuple[int, int, int]]) -> str:
    """Id ranges (first, last, step): `1 to 10`, `1 to 91 by 10`."""
    words = [str(a) if a == b else f"{a} to {b}" if step == 1 else f"{a} to {b} by {step}" for a, b, step in ranges]
    return ", ".join(words) or "none"


def _duration(seconds: Any) -> str:
    return str(timedelta(seconds=int(seconds or 0)))


_DRAWINGS: dict[str, Callable[[Any], Iterable[Any]]] = {
    **{f"{group}.{verb}": done for group in ("local", "dist") for verb in ("do", "add", "remove", "stop")},
    **{f"{group}.status": status for group in ("local", "dist", "node")},
    **{f"{group}.users": users for group in ("local", "dist")},
    **{f"dist.{verb}": done for verb in ("ping_nodes", "start_nodes", "stop_nodes", "update_settings")},
    "dist.nodes": nodes,
    "config.all": config,
    "config.set": changed,
    "scenarios.info": scenario,
}
