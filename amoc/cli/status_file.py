"""The status file: one word for scripts that wait until a node is ready (setting `status_file`)."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from amoc.errors import BadInput

__all__ = ["StatusFile", "status_file"]


class StatusFile:
    """A file that holds `connecting`, `ready` or `error …`; each change is complete when it is seen."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def write(self, text: str) -> None:
        """Replace the content by one line. Raises BadInput when that cannot be."""
        draft = self._path.with_name(f"{self._path.name}.{os.getpid()}")
        try:
            draft.write_text(" ".join(text.split()) + "\n")
            draft.replace(self._path)
        except OSError as error:
            raise BadInput(
                f"the status file {self._path} cannot be written: {error.strerror}; "
                "the setting status_file names another"
            ) from None


@contextmanager
def status_file(path: Path) -> Iterator[StatusFile]:
    """`connecting` from now on; `error …` stays behind after an error, otherwise the file is removed at the end."""
    file = StatusFile(path)
    file.write("connecting")
    try:
        yield file
    except Exception as error:
        file.write(f"error {error}")
        raise
    else:
        path.unlink(missing_ok=True)
