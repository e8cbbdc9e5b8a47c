"""The directory of a scenario on disk, from which its helper modules are read.

Only files that are in it themselves: what a symbolic link leads to may be anything, and another thing tomorrow.
"""

import errno
import importlib.util
import os
from pathlib import Path

from amoc.scenario.errors import ScenarioError
from amoc.scenario.source import MAX_BYTES

__all__ = ["DiskFolder", "read"]


class DiskFolder:
    """`directory` itself may be a link."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory.resolve()

    def __repr__(self) -> str:
        return f"<DiskFolder {self._directory}>"

    def path(self, relative: str) -> str:
        """The whole path."""
        return str(self._directory / relative)

    def is_folder(self, relative: str) -> bool:
        """Whether this is a directory."""
        return os.path.isdir(self._directory / relative)  # False, too, for a name that is too long

    def text(self, relative: str) -> str | None:
        """A module's text, None if there is no such file. Raises ScenarioError: a link, unreadable, or too large."""
        path = self._directory / relative
        try:
            if not path.is_file():
                return None
            target, size = path.resolve(), path.stat().st_size
        except OSError as error:
            if error.errno == errno.ENAMETOOLONG:
                return None
            raise ScenarioError(f"{path} cannot be read: {error.strerror}") from None
        if target != path:
            raise ScenarioError(
                f"{path} is reached by a symbolic link (it is {target}): "
                f"a helper module must itself be in {self._directory}, put a copy there"
            )
        if size > MAX_BYTES:
            raise ScenarioError(f"{path} is too large for a scenario: {size >> 10} KiB, at most {MAX_BYTES >> 10}")
        return read(path)


def read(path: Path) -> str:
    """A module's text, decoded as Python does it (UTF-8 unless its first lines say otherwise); else ScenarioError."""
    try:
        return importlib.util.decode_source(path.read_bytes())
    except OSError as error:
        raise ScenarioError(f"{path} cannot be read: {error.strerror}") from None
    except (SyntaxError, UnicodeDecodeError) as error:
        raise ScenarioError(f"{path} is not UTF-8 text: {error}") from None
