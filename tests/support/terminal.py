"""amoc through a real pseudo-terminal, as a person sees it: text without escape sequences, in order.

`Workplace` is a folder with scenarios, in which commands are run and shells are opened; everything that was
started in it is ended with it, by the handles of the test's own processes only.
"""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pexpect
import psutil

__all__ = ["Shell", "Workplace", "until"]

TIMEOUT = 60.0  # for what takes a second on an idle machine
AMOC = [sys.executable, "-P", "-m", "amoc"]
ESCAPES = re.compile(
    r"\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)"  # OSC: the title
    r"|\x1b\[[0-?]*[ -/]*[@-~]"  # CSI: cursor, colours
    r"|\x1b[()][A-Z0-9]|\x1b[=>78]"
    r"|.\x08"  # bold, for printers
)
EVENT = re.compile(r"^\d\d:\d\d:\d\d .*\n?", re.MULTILINE)  # comes when it comes, before a reply or after it
# The console says how far a scenario's line got; users log on their own.
CHAT = '''"""Users that write a line to the log now and then."""

import asyncio
import logging

from amoc import config, metrics
from amoc.config import Setting

SETTINGS = [Setting("rounds", int, 1000, "lines per user"), Setting("pause", float, 0.2, "seconds between them")]
log = logging.getLogger("chat")


async def start(user_id):
    for number in range(config.get("rounds")):
        log.info("user %d says hello %d", user_id, number)
        metrics.increment("hellos")
        await asyncio.sleep(config.get("pause"))
'''
BROKEN = '''"""Every user fails."""


async def start(user_id):
    raise RuntimeError("no luck today")
'''


def until(condition: Callable[[], Any], what: str, timeout: float = TIMEOUT) -> Any:
    """Poll until `condition()` is true; its value."""
    deadline = time.monotonic() + timeout
    while not (value := condition()):
        assert time.monotonic() < deadline, f"waited {timeout:g} s for {what}"
        time.sleep(0.02)
    return value


class Shell:
    """A command in a pseudo-terminal: amoc, or ssh to one. `text` is all that was shown, without escape sequences."""

    def __init__(self, command: Sequence[str], folder: Path, environment: Mapping[str, str]) -> None:
        self._process = pexpect.spawn(
            command[0],
            list(command[1:]),
            cwd=str(folder),
            env=dict(environment),
            encoding="utf-8",
            codec_errors="replace",
            dimensions=(50, 160),
            timeout=TIMEOUT,
            # A test run in the background of a script ignores SIGINT, and so would everything it starts.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        self._raw = ""
        self._seen = 0
        self._number = 0

    @property
    def pid(self) -> int:
        """The process that shows the shell."""
        pid: int = self._process.pid
        return pid

    @property
    def text(self) -> str:
        """All that was shown."""
        return re.sub(r"\r+\n", "\n", ESCAPES.sub("", self._raw))

    def expect(self, pattern: str, timeout: float = TIMEOUT) -> str:
        """Wait for `pattern` after what was expected before; the text up to its end."""
        deadline = time.monotonic() + timeout
        while not (match := re.compile(pattern).search(self.text, self._seen)):
            left = deadline - time.monotonic()
            assert left > 0, f"no {pattern!r} within {timeout:g} s after {self.text[self._seen :][-3000:]!r}"
            try:
                self._raw += self._process.read_nonblocking(65536, timeout=min(left, 0.5))
            except pexpect.TIMEOUT:
                continue
            except pexpect.EOF:
                raise AssertionError(f"ended without {pattern!r}: {self.text[self._seen :][-3000:]!r}") from None
        before, self._seen = self.text[self._seen : match.end()], match.end()
        return before

    def prompt(self, timeout: float = TIMEOUT) -> str:
        """Wait for the next prompt; what was shown before it."""
        self._number += 1
        return self.expect(rf"In \[{self._number}\]:", timeout).rpartition("\nIn [")[0]

    def type(self, text: str) -> None:
        """Press keys."""
        self._process.send(text)

    def run(self, line: str, timeout: float = TIMEOUT) -> str:
        """Type `line` and Enter; the reply: what is shown until the next prompt, without echo and events."""
        echo = f"In [{self._number}]: {line}"
        self.type(line + "\r")
        shown = self.prompt(timeout)
        return EVENT.sub("", shown.rpartition(echo if echo in shown else line)[2]).strip("\n")

    def run_until(self, line: str, pattern: str) -> str:
        """Run `line` again and again until what it shows has `pattern`: what workers tell once a second."""
        deadline = time.monotonic() + TIMEOUT
        while not re.search(pattern, shown := self.run(line)):
            assert time.monotonic() < deadline, f"no {pattern!r} in {shown!r}"
        return shown

    def ctrl_c(self) -> None:
        """Interrupt."""
        self._process.sendintr()

    def ctrl_d(self) -> None:
        """End of input."""
        self._process.sendeof()

    def ended(self) -> int:
        """Wait for the end; the exit code, or minus the signal."""
        try:
            while True:
                self._raw += self._process.read_nonblocking(65536, timeout=TIMEOUT)
        except pexpect.EOF:
            pass
        self._process.close()
        code: int | None = self._process.exitstatus
        return code if code is not None else -int(self._process.signalstatus)

    def kill(self) -> None:
        """kill -9, and forget it."""
        if self._process.isalive():
            os.kill(self.pid, 9)
        self._process.close(force=True)


class Workplace:
    """A folder with the scenarios `chat` (logs, for ever) and `broken` (fails), and amoc in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.node_dir = folder / ".amoc"
        self.environment = {
            name: value for name, value in os.environ.items() if not name.startswith("AMOC_") or "TEST" in name
        }
        # Plain text, no pager, no questions to the terminal that a test would have to answer.
        self.environment |= {
            "HOME": str(folder),
            "NO_COLOR": "1",
            "PAGER": "cat",
            "PROMPT_TOOLKIT_NO_CPR": "1",
            "TERM": "xterm",
        }
        self._shells: list[Shell] = []
        self._processes: list[subprocess.Popen[str]] = []
        (folder / "scenarios").mkdir()
        self.scenario("chat", CHAT)
        self.scenario("broken", BROKEN)

    def scenario(self, name: str, text: str) -> None:
        """Write a scenario."""
        (self.folder / "scenarios" / f"{name}.py").write_text(text)

    def terminal(self, *arguments: str) -> Shell:
        """Run a command in a terminal."""
        shell = Shell([*AMOC, *arguments], self.folder, self.environment)
        self._shells.append(shell)
        return shell

    def shell(self, *arguments: str) -> Shell:
        """Open a shell; it shows its first prompt."""
        shell = self.terminal(*arguments)
        shell.prompt()
        return shell

    def amoc(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run a command to its end, without a terminal."""
        return subprocess.run(
            [*AMOC, *arguments],
            cwd=self.folder,
            env=self.environment | environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def popen(self, *arguments: str) -> subprocess.Popen[str]:
        """Start a command that goes on; it is killed with the workplace, if it still goes on then."""
        process = subprocess.Popen(
            [*AMOC, *arguments],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._processes.append(process)
        return process

    def node(self) -> psutil.Process:
        """The process of the node that runs here."""
        text = until((self.node_dir / "node.pid").read_text, "the node's pid")
        return psutil.Process(int(text))

    def close(self) -> None:
        """End every shell, and the node that runs here by its own operation."""
        for shell in self._shells:
            shell.kill()
        if (self.node_dir / "node.sock").exists():
            self.amoc("stop")
        for process in self._processes:
            process.kill()
            if process.stdout is not None:
                process.stdout.close()
            process.wait()


def gone(processes: list[psutil.Process]) -> bool:
    """Whether all of them have ended (a zombie that somebody has yet to wait for has ended)."""
    return not any(p.is_running() and p.status() != psutil.STATUS_ZOMBIE for p in processes)
