"""A tar.gz whose bytes depend on nothing but its content: no times, no owners, names in order."""

import gzip
import io
import tarfile
from collections.abc import Mapping
from pathlib import Path

__all__ = ["File", "pack"]

File = tuple[bytes, bool]
"""A file's content, and whether it is a program."""

# Level 6 of zlib; wheels are compressed already, so more effort gains nothing.
LEVEL = 6


def pack(path: Path, top: str, files: Mapping[str, File]) -> None:
    """Write `files` (by path below `top`) to the archive at `path`, which appears whole or not at all."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for directory in _directories(top, files):
            entry = tarfile.TarInfo(directory)
            entry.type = tarfile.DIRTYPE
            entry.mode = 0o755
            tar.addfile(entry)
        for name, (content, program) in sorted(files.items()):
            entry = tarfile.TarInfo(f"{top}/{name}")
            entry.size = len(content)
            entry.mode = 0o755 if program else 0o644
            tar.addfile(entry, io.BytesIO(content))
    draft = path.with_name(f".{path.name}.new")
    with draft.open("wb") as raw, gzip.GzipFile("", "wb", LEVEL, raw, mtime=0) as packed:
        packed.write(buffer.getbuffer())
    draft.replace(path)


def _directories(top: str, files: Mapping[str, File]) -> list[str]:
    parents = {str(parent) for name in files for parent in Path(top, name).parents}
    return sorted(parents - {"."})
