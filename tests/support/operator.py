"""An operator of the project, as the manual has it: a clean checkout, an inventory, make, ssh to the master.

`Checkout` is the last commit in a folder of its own; what is not committed is not in it. Its `.venv` is made of links
into the one that the tests run in: a new one would have the same in it, and take minutes.
"""

import io
import os
import re
import signal
import subprocess
import sys
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.support import leaks

__all__ = ["ROOT", "Checkout", "Done", "Recap"]

ROOT = Path(__file__).parents[2]
# What a shell of an operator does not have: what a make or a pytest above has set, and settings of amoc.
NOT_OURS = re.compile(rf"AMOC_|ANSIBLE_|MAKE|MFLAGS$|PYTEST_|VIRTUAL_ENV$|PYTHONPATH$|{leaks.MARK}$")
MARKS = (".installed", ".deploys", ".tools")  # by which the Makefile knows that .venv is complete
RECAP = re.compile(r"^(\S+)\s+: ok=(\d+)\s+changed=(\d+)\s+unreachable=(\d+)\s+failed=(\d+)", re.MULTILINE)
SHOWN = 6000  # characters of a command's output in a failure


@dataclass(frozen=True)
class Recap:
    """What ansible says of one host at the end."""

    ok: int
    changed: int
    unreachable: int
    failed: int


@dataclass(frozen=True)
class Done:
    """A command that has ended, and what it said."""

    code: int
    text: str

    @property
    def recap(self) -> dict[str, Recap]:
        """Ansible's last table, by host."""
        return {name: Recap(*map(int, numbers)) for name, *numbers in RECAP.findall(self.text)}

    @property
    def changed(self) -> dict[str, int]:
        """How many steps have changed something, by host."""
        return {name: recap.changed for name, recap in self.recap.items()}


class Checkout:
    """The last commit in `folder`, and make in it with `environment` besides the operator's own."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self.folder = folder
        own = {name: value for name, value in os.environ.items() if not NOT_OURS.match(name)}
        self._environment = {**own, **environment}
        self._runs = 0
        git = ["git", "-c", f"safe.directory={ROOT}", "-C", str(ROOT), "archive", "--format=tar", "HEAD"]
        archive = subprocess.run(git, capture_output=True, timeout=60, check=True).stdout
        with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
            tar.extractall(folder, filter="data")
        self._link_environment(folder / ".venv")

    def make(self, target: str, arguments: str = "", *, timeout: float = 900.0) -> Done:
        """`make TARGET ARGS=…`, to its end; what it said is kept beside the checkout, too."""
        self._runs += 1
        log = self.folder.parent / f"{self._runs:02}-{target}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                ["make", target, f"ARGS={arguments}"],
                cwd=self.folder,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # so that all of it can be ended
            )
            try:
                code = process.wait(timeout)
            except subprocess.TimeoutExpired:
                raise AssertionError(f"make {target}: no end within {timeout:g} s: {_end_of(log)}") from None
            finally:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait()
        return Done(code, log.read_text(errors="replace"))

    def made(self, target: str, arguments: str = "", *, timeout: float = 900.0) -> Done:
        """The same, and it must go well."""
        done = self.make(target, arguments, timeout=timeout)
        assert done.code == 0, f"make {target} {arguments}: exit code {done.code}: {done.text[-SHOWN:]}"
        return done

    def write(self, path: str, text: str) -> None:
        """Write a file of the checkout; what it needs stays the same."""
        (self.folder / path).write_text(text)
        self._mark_complete()

    def replace(self, path: str, old: str, new: str) -> None:
        """Change a file of the checkout."""
        text = (self.folder / path).read_text()
        assert old in text, f"{old!r} is not in {path}"
        self.write(path, text.replace(old, new))

    def _link_environment(self, venv: Path) -> None:
        venv.mkdir()
        for entry in Path(sys.prefix).iterdir():
            if entry.name not in MARKS:
                (venv / entry.name).symlink_to(entry)
        self._mark_complete()

    def _mark_complete(self) -> None:
        for mark in MARKS:
            (self.folder / ".venv" / mark).touch()


def _end_of(log: Path) -> str:
    return log.read_text(errors="replace")[-SHOWN:]
