"""The live display of a run: a dashboard on a terminal, a line every ten seconds anywhere else.

No asyncio, no thread: whoever owns the loop calls `update` with a status about once a second and `log` with
each line of the scenario's log, and `close` at the end (or uses it as a context manager, so that the terminal
gets its cursor back whatever happens). The display is gone after `close`; the summary takes its place.
"""

import io
import time
from collections import deque
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.text import Text

from amoc.report.dashboard import Dashboard
from amoc.report.figures import clean, count, duration, milliseconds, rate
from amoc.report.view import View, view

__all__ = ["LiveView"]

MINUTE = 60
"""Rates kept for the sparklines: one a second."""

LINE_EVERY = 10.0
"""Seconds between two lines where there is no terminal."""


class LiveView:
    """Draws statuses on `console` (by default the standard output); `clock` gives monotonic seconds."""

    def __init__(self, console: Console | None = None, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._console = console or Console(highlight=False)
        self._clock = clock
        self._live: Live | None = None
        if self._console.options.ascii_only and isinstance(self._console.file, io.TextIOWrapper):
            self._console.file.reconfigure(errors="replace")  # what a scenario logs may be in any script
        self._terminal = self._console.is_terminal and not self._console.is_dumb_terminal
        self._history: dict[str, deque[float]] = {}
        self._sampled: float | None = None
        self._printed: float | None = None
        self._state = ""

    def __enter__(self) -> "LiveView":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def update(self, status: Mapping[str, Any]) -> None:
        """Show a status."""
        shown = view(status)
        if self._terminal:
            self._sample(shown)
            self._draw(Dashboard(shown, self._history))
        else:
            self._line(shown)

    def log(self, line: str) -> None:
        """Print a line (or several) of somebody's log above the display; control characters are dropped."""
        for part in line.splitlines() or [""]:
            # a wrapped line is one line to a terminal, and must stay one in a file
            self._console.print(Text(clean(part.expandtabs(4))), soft_wrap=not self._terminal)

    def close(self) -> None:
        """Take the display away and give the cursor back; may be called twice."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _draw(self, frame: Dashboard) -> None:
        if self._live is None:
            self._live = Live(
                frame,
                console=self._console,
                auto_refresh=False,
                transient=True,
                redirect_stdout=False,
                redirect_stderr=False,
            )
            self._live.start(refresh=True)
        else:
            self._live.update(frame, refresh=True)

    def _sample(self, shown: View) -> None:
        """Keep the rates for the sparklines, once a second however often `update` is called."""
        now = self._clock()
        if self._sampled is not None and now - self._sampled < 0.9:
            return
        self._sampled = now
        for one in shown.counts:
            if one.rate is not None:
                self._history.setdefault(one.name, deque(maxlen=MINUTE)).append(one.rate)

    def _line(self, shown: View) -> None:
        """Print where the run is, if the state changed or the last line is old."""
        now = self._clock()
        due = self._printed is None or now - self._printed >= LINE_EVERY
        if not due and shown.state == self._state:
            return
        self._printed, self._state = now, shown.state
        self._console.print(Text(_one_line(shown)), soft_wrap=True)


def _one_line(shown: View) -> str:
    """`0:40 running: 200 of 200 users started, 200 running; logins 200; messages_sent 12.5/s; …`."""
    users = [f"{count(shown.started)} of {count(shown.wanted)} users started"]
    users += [
        f"{count(shown.users[name])} {name}"
        for name in ("running", "waiting", "finished", "failed", "stuck", "lost", "restarted")
        if shown.users.get(name)
    ]
    parts = [", ".join(users)]
    if shown.logins or shown.login_failures:
        failed = f" ({count(shown.login_failures)} failed)" if shown.login_failures else ""
        parts.append(f"logins {count(shown.logins)}{failed}")
    parts += [f"{one.name} {rate(one.rate)}/s" for one in shown.counts[:2] if one.rate is not None]
    for name, points in shown.times[:1]:
        parts.append(f"{name} median {milliseconds(points['median'])} 99 % {milliseconds(points['99'])} ms")
    if shown.errors:
        parts.append(f"errors {count(shown.error_count)}")
    return f"{duration(shown.elapsed)} {shown.state}: {'; '.join(parts)}"
