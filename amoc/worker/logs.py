"""Log records and printed lines of a worker, sent to the agent instead of to a terminal nobody watches.

Bounded: at most `MOST_A_SECOND` lines a second leave the worker; what is over is counted and said once.
"""

import io
import logging
import time
from collections.abc import Callable

from amoc.control import Event
from amoc.users import well_formed

__all__ = ["LogLines", "PrintedLines"]

MOST_A_SECOND = 200  # a person reads ten; a log file bears thousands, the pipe's load is what counts
MOST_CHARACTERS = 2000


class LogLines(logging.Handler):
    """A handler of the root logger that gives each record to `send` as an event."""

    def __init__(self, send: Callable[[Event], None], index: int) -> None:
        super().__init__()
        self._send = send
        self._index = index
        self._second = 0
        self._sent = 0
        self._suppressed = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Called by logging."""
        try:
            self.line(record.levelname, record.name, self.format(record))
        except Exception:
            self.handleError(record)

    def line(self, level: str, logger: str, text: str) -> None:
        """Send one line, if this second has room for it."""
        second = int(time.monotonic())
        if second != self._second:
            self._second, self._sent = second, 0
            if self._suppressed:
                suppressed, self._suppressed = self._suppressed, 0
                self._event("WARNING", "amoc", f"{suppressed} log lines were left out ({MOST_A_SECOND}/s at most)")
        if self._sent >= MOST_A_SECOND:
            self._suppressed += 1
            return
        self._sent += 1
        self._event(level, logger, text)

    def _event(self, level: str, logger: str, text: str) -> None:
        text = well_formed(text[:MOST_CHARACTERS])
        self._send(Event("log", time.time(), level, text, worker=self._index, logger=well_formed(logger)))


class PrintedLines(io.TextIOBase):
    """Stands in for stdout: what a scenario prints becomes log lines."""

    def __init__(self, lines: LogLines, level: str) -> None:
        self._lines = lines
        self._level = level
        self._rest = ""

    def writable(self) -> bool:
        """Yes."""
        return True

    def write(self, text: str) -> int:
        """Send every whole line in `text`; the rest waits for its end."""
        *whole, self._rest = (self._rest + text).split("\n")
        for line in whole:
            if line:
                self._lines.line(self._level, "print", line)
        return len(text)
