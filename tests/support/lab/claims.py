"""Who has which lab: a number, a folder for its hosts' disks, a lock, and the end of what nobody holds any more.

The folder is in memory where there is plenty: a release is ten thousand files per host, made and removed in each test.

The lock of lab N is held as long as its process lives, however that ends. A folder whose lock is free belongs to
nobody, unless it is marked as `kept` (`python -m tests.support.lab up`): a watcher, started with every lab, waits for
the lock and takes the lab away; whoever claims a number does the same to all labs that he finds so.
"""

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from tests.support.lab import cgroups, keys
from tests.support.lab.command import PATH, LabError, run
from tests.support.lab.network import Network

__all__ = ["CONNECTIONS", "STATE", "Claim", "end", "folders", "watch"]

STATE = Path("/var/tmp/amoc-lab")
NUMBERS = range(64)  # labs at a time
PLENTY = 6 << 30  # bytes of memory: with so much the hosts' disks are in it, a release on each of them is 200 MB
KEPT = "kept"
CONNECTIONS = "cp"  # the folder for the sockets of ssh's shared connections, in the lab's
ROOT = Path(__file__).parents[3]


class Claim:
    """The number and the folder of a lab, held by this process until `release`."""

    def __init__(self, number: int, lock: IO[str]) -> None:
        self.number = number
        self.folder = STATE / str(number)
        self._lock = lock
        self._watcher: subprocess.Popen[bytes] | None = None

    @classmethod
    def new(cls) -> "Claim":
        """Take a number that is free, after taking away all labs that nobody holds."""
        for folder in list(folders()):
            if claim := cls.of(int(folder.name)):
                claim.end_if_nobodys()
        free = next((claim for number in NUMBERS if (claim := cls.of(number, unused=True))), None)
        if free is None:
            raise LabError(f"{len(NUMBERS)} labs are up; `python -m tests.support.lab down` ends those that are kept")
        free.folder.mkdir()
        if _memory() > PLENTY:
            run("mount", "-t", "tmpfs", "-o", "mode=700", "amoc-lab", str(free.folder))
        (free.folder / CONNECTIONS).mkdir()
        free._watcher = subprocess.Popen(
            [sys.executable, "-m", "tests.support.lab", "watch", str(free.number)],
            env={"PATH": PATH},
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        return free

    @classmethod
    def of(cls, number: int, *, wait: bool = False, unused: bool = False) -> "Claim | None":
        """Lab `number`, with what is there of it; None when somebody else holds it.

        `wait`: until nobody does. `unused`: None too when anything is there.
        """
        STATE.mkdir(mode=0o700, exist_ok=True)
        if STATE.stat().st_uid != os.geteuid():
            raise LabError(f"{STATE} is not ours")
        lock = (STATE / f"{number}.lock").open("w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            lock.close()
            return None
        claim = cls(number, lock)
        if unused and claim.folder.exists():
            claim.release()
            return None
        return claim

    def keep(self, label: str | None = None) -> None:
        """Let the lab be there after this process, until somebody ends it; STATE/`label` is its folder, too."""
        (self.folder / KEPT).touch()
        if label:
            (STATE / label).unlink(missing_ok=True)
            (STATE / label).symlink_to(self.folder.name)
        self.release()

    def release(self) -> None:
        """Hold it no longer."""
        if self._watcher is not None:
            self._watcher.terminate()
            self._watcher.wait()
        self._lock.close()

    def end_if_nobodys(self) -> None:
        """Take the lab away unless it is kept, and release it."""
        if not (self.folder / KEPT).exists():
            self.demolish()
        self.release()

    def demolish(self) -> None:
        """Take away all that is there of the lab: processes, network, control groups, disks."""
        if not self.folder.exists():
            return
        network = Network(self.number)
        keys.close_connections(self.folder / CONNECTIONS)
        names = {group.name for root in cgroups.groups("") for group in root.glob(f"{network.name}-*")}
        for name in names:
            cgroups.kill(name)
        network.down()
        for name in names:
            cgroups.remove(name)
        for entry in STATE.iterdir():
            if entry.is_symlink() and entry.readlink() == Path(self.folder.name):
                entry.unlink()
        while self.folder.is_mount():
            run("umount", "--lazy", str(self.folder))
        shutil.rmtree(self.folder)


def _memory() -> int:
    """Bytes of memory that may be had."""
    lines = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    return int(lines["MemAvailable"].split()[0]) * 1024


def folders() -> Iterator[Path]:
    """The folders of all labs that are up."""
    return (folder for number in NUMBERS if (folder := STATE / str(number)).exists())


def end(lab: str) -> bool:
    """Take away a lab, given by its number or label, if it is there; False when its process holds it."""
    folder = STATE / lab
    if not folder.exists():
        return True
    claim = Claim.of(int(folder.resolve().name))
    if claim is None:
        return False
    claim.demolish()
    claim.release()
    return True


def watch(number: int) -> None:
    """Wait for the end of the process that holds the lab, and take it away."""
    if claim := Claim.of(number, wait=True):
        claim.end_if_nobodys()
