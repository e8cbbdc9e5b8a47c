"""Lines that come while somebody types: shown above the prompt, none lost, the typed text kept.

Lines come from any thread. While no prompt is shown they are written at once. While one is, they are
gathered for REDRAW seconds and written by prompt_toolkit's `in_terminal`, which takes the prompt away
and draws it again below. prompt_toolkit's own patch_stdout does the same for `print` in a thread, but loses
what arrives in the moment a prompt ends; here a line leaves the queue only when it is on the terminal.
"""

import sys
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from prompt_toolkit.application import Application
from prompt_toolkit.application.run_in_terminal import in_terminal

__all__ = ["Screen"]

# Ten times a second is smooth to read, and redrawing the prompt then costs next to nothing.
REDRAW = 0.1
# More than a terminal scrolls back; a flood beyond it is counted instead of kept.
LINES = 10_000


class Screen:
    """Writes lines to the terminal, above the prompt if one is shown."""

    def __init__(self) -> None:
        self._app: Application[Any] | None = None
        self._lines: deque[str] = deque()
        self._lost = 0
        self._announced = False
        self._held = False
        self._lock = threading.Lock()

    def show(self, line: str) -> None:
        """Show `line`, from any thread."""
        with self._lock:
            if len(self._lines) >= LINES:
                self._lines.popleft()
                self._lost += 1
            self._lines.append(line)
            if self._held:
                return
            if self._app is None:
                self._write()
            else:
                self._announce(self._app)

    @contextmanager
    def prompting(self, app: Application[Any]) -> Iterator[None]:
        """Around the time in which `app` shows its prompt."""
        with self._lock:
            self._app, self._announced = app, False
            # What arrives before the prompt's event loop runs is announced by its start.
            app.pre_run_callables.append(self._started)
        try:
            yield
        finally:
            with self._lock:
                self._app = None
                self._write()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Around what belongs together on the terminal (a question, a reply): lines wait until it is over."""
        with self._lock:
            self._held = True
        try:
            yield
        finally:
            with self._lock:
                self._held = False
                self._write()

    def _started(self) -> None:
        with self._lock:
            if self._lines and self._app is not None:
                self._announce(self._app)

    def _announce(self, app: Application[Any]) -> None:
        """Have the queue written soon by the prompt's event loop; the lock is held."""
        loop = app.loop
        if self._announced or loop is None:
            return
        try:
            loop.call_soon_threadsafe(loop.call_later, REDRAW, self._above_prompt)
        except RuntimeError:
            return  # the prompt has just ended: `prompting` writes the queue
        self._announced = True

    def _above_prompt(self) -> None:
        """Called by the prompt's event loop; if the prompt is just ending, `prompting` writes the queue."""
        app = self._app
        if app is not None and app.is_running:
            app.create_background_task(self._write_above())  # which the application cancels when it ends

    async def _write_above(self) -> None:
        async with in_terminal():
            with self._lock:
                self._announced = False
                self._write()

    def _write(self) -> None:
        """Write the queue; the lock is held."""
        if not self._lines:
            return
        if self._lost:
            self._lines.appendleft(f"({self._lost} lines left out here, see the node's log)")
            self._lost = 0
        text = "\n".join(self._lines) + "\n"
        self._lines.clear()
        out = self._app.output if self._app is not None else None
        try:
            if out is None:
                encoding = sys.stdout.encoding or "utf-8"
                print(text.encode(encoding, "replace").decode(encoding), end="", flush=True)
            else:
                out.enable_autowrap()
                out.write_raw(text)
                out.flush()
        except OSError:
            pass  # the terminal is gone; whoever reads from it notices
