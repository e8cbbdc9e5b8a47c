"""Commands of this machine, bounded in time, whose failure says what they said."""

import os
import subprocess
from collections.abc import Callable
from time import monotonic, sleep
from typing import TypeVar

__all__ = ["PATH", "LabError", "run", "until"]

T = TypeVar("T")
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"  # a root shell made by su may lack sbin


class LabError(Exception):
    """A host or the machine under it did not do what it was told; the message holds what was said."""


def run(
    *command: str, text: str | None = None, timeout: float = 60.0, check: bool = True
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, `text` on its standard input; LabError when it fails, unless `check` is off."""
    try:
        done = subprocess.run(
            command,
            env={**os.environ, "PATH": PATH, "LC_ALL": "C.UTF-8"},
            input=text or "",
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise LabError(f"{' '.join(command)[:200]}: no end within {timeout:g} s") from None
    if check and done.returncode != 0:
        said = (done.stdout[-1500:] + done.stderr[-1500:]).strip() or "it said nothing"
        raise LabError(f"{' '.join(command)[:200]}: exit code {done.returncode}: {said}")
    return done


def until(look: Callable[[], T], what: str, timeout: float) -> T:
    """Poll until `look()` is true and return it; LabError when that takes longer than `timeout`."""
    deadline = monotonic() + timeout
    while not (found := look()):
        if monotonic() > deadline:
            raise LabError(f"waited {timeout:g} s for {what}")
        sleep(0.02)
    return found
