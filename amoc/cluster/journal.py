"""The master's file: written whole, to disk, under another name and then put in place, so that it is never half there.

Mode 0600: it has the settings of the run, secrets included. A lock beside it keeps a second master away.
"""

import fcntl
import os
import threading
from pathlib import Path

import msgspec

from amoc.cluster import saved
from amoc.errors import Failed

__all__ = ["Journal"]


class Journal:
    """The file `directory`/master.state; the directory is made if it is not there.

    Raises Failed when the directory cannot be used, or another master uses it.
    """

    def __init__(self, directory: Path) -> None:
        self.path = directory / "master.state"
        self._mutex = threading.Lock()
        self._written = 0
        self._turn = 0
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = os.open(directory / "master.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise Failed(f"the master's state_dir {directory} cannot be used: {error.strerror}") from None
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._lock)
            raise Failed(f"another master uses {directory}: stop it, or give this one another state_dir") from None

    def __repr__(self) -> str:
        return f"<Journal {self.path}>"

    def read(self) -> saved.Saved | None:
        """What was written last, or None if there is nothing. Raises Failed when it cannot be read."""
        try:
            data = self.path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise Failed(f"{self.path} cannot be read: {error.strerror}") from None
        try:
            found = saved.decode(data)
        except (msgspec.DecodeError, ValueError) as error:
            raise Failed(self._useless(str(error))) from None
        if found.format != saved.FORMAT:
            raise Failed(self._useless(f"its format is {found.format}, not {saved.FORMAT}"))
        return found

    def _useless(self, why: str) -> str:
        return f"{self.path} is not of use to this amoc ({why}): move it away to begin with nothing"

    def turn(self) -> int:
        """The place of what is to be written in the order of what was asked for."""
        self._turn += 1
        return self._turn

    def write(self, data: bytes, turn: int) -> None:
        """Put `data` on the disk, unless something later is there already. Any thread may call. Raises OSError."""
        with self._mutex:
            if turn < self._written:
                return
            new = self.path.with_suffix(".new")
            with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            new.replace(self.path)
            directory = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                os.fsync(directory)
            finally:
                os.close(directory)
            self._written = turn

    def close(self) -> None:
        """Let another master use the directory."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1
