"""A control group per host, in each hierarchy that systemd uses.

Two systemds in one group take each other's units for their own: the one removes a group that the other has just
made and is about to enter, and there a service (sshd, at times) fails to start. systemd-nspawn makes its groups
below the one it is started in, so every host is started in one of its own. It also says which processes are the
host's, systemd-nspawn included.
"""

import os
import signal
from pathlib import Path

from tests.support.lab.command import LabError, run, until

__all__ = ["groups", "kill", "processes", "remove"]

UNIFIED = Path("/sys/fs/cgroup")
END_SECONDS = 10.0


def groups(name: str) -> list[Path]:
    """The folders of the group `name`, which need not exist."""
    return [root / name for root in _hierarchies()]


def processes(name: str) -> list[int]:
    """The ids of all processes in the group and below it."""
    found: set[int] = set()
    for group in groups(name):
        for folder, _, _ in os.walk(group):  # which passes over what is removed meanwhile
            try:
                found.update(int(line) for line in Path(folder, "cgroup.procs").read_text().split())
            except OSError:
                continue
    return sorted(found - {0})


def kill(name: str) -> None:
    """End all processes of the group at once, those that they start meanwhile too."""

    def ended() -> bool:
        left = processes(name)
        for pid in left:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        return not left and not processes(name)  # one may have gone from a folder not yet read to one already read

    until(ended, f"the end of the processes of {name}", END_SECONDS)


def remove(name: str) -> None:
    """Remove the group, whose processes have ended, and what they have made below it."""
    for group in groups(name):
        for folder, _, _ in os.walk(group, topdown=False):
            os.rmdir(folder)


def _hierarchies() -> list[Path]:
    """Where systemd's own hierarchies are mounted: the unified one, the named one of version 1, or both."""
    found = _mounted()
    if not found:  # a machine whose first process is no systemd may have none
        UNIFIED.mkdir(exist_ok=True)
        run("mount", "-t", "cgroup2", "none", str(UNIFIED))
        found = _mounted()
    if not found:
        raise LabError("this machine has no control groups that a systemd could use")
    return found


def _mounted() -> list[Path]:
    found = []
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, point, kind, options, *_ = line.split()
        if kind == "cgroup2" or (kind == "cgroup" and "name=systemd" in options.split(",")):
            found.append(Path(point))
    return found
