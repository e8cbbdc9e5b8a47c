"""A release from a checkout: its parts put together, described, and packed.

The id of a release is its version and a hash of everything in it but app.config, which each host gets its own of:
a release with other scenarios is another one, one with other settings is not.
"""

import hashlib
import io
import json
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from packaging.requirements import Requirement

from amoc import __version__
from amoc.errors import Failed
from amoc.scenario import Source
from amoc.scenario.requirements import declared_requirements
from tools.release.archive import File, pack
from tools.release.closure import Found
from tools.release.requirements import Sourced, read_requirements
from tools.release.targets import Target
from tools.release.wheels import Wheelhouse, wheel_of

__all__ = ["build", "scenario_requirements"]

FILES = Path(__file__).parent / "files"
# Of the earliest time that a zip file can hold; nothing in a wheel of ours says when it was built.
SOURCE_DATE_EPOCH = "315532800"
ID_LENGTH = 10  # hex digits: enough to tell some thousand releases apart
BUILD_TIMEOUT = 120
# Beside what is unpacked, a host has the archive for a while, and compiled modules from the first use on.
SPARE = 2

Say = Callable[[str], None]


def build(root: Path, config: bytes, targets: Sequence[Target], folder: Path, say: Say) -> Path:
    """Build the release of the checkout at `root` for `targets` into `folder`; the archive's path.

    Raises BadInput for requirements that are none, Failed for a dependency without a wheel.
    """
    files = dict(_tree(FILES, ""))
    files |= dict(_tree(root / "scenarios", "scenarios/"))
    files["LICENSE"] = (root / "LICENSE").read_bytes(), False
    wheelhouse = Wheelhouse(folder / "wheels", _existing(root / "constraints.txt"), say)
    roots: list[Sourced] = [("the release", Requirement(f"amoc=={__version__}"))]
    roots += scenario_requirements(root / "scenarios", root)
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        own = _own_wheel(root, Path(scratch))
        files[f"wheels/{own.file}"] = (Path(scratch) / own.file).read_bytes(), False
    used: dict[str, Found] = {}
    for target in targets:
        chosen = wheelhouse.for_target(roots, target, [own])
        used |= {found.file: found for found in chosen.values()}
        for found in chosen.values():
            if found is not own:
                files[f"wheels/{found.file}"] = (wheelhouse.folder / found.file).read_bytes(), False
        files[f"locks/{target}.txt"] = _lock(chosen, files), False
    if floating := wheelhouse.unpinned(found for found in used.values() if found is not own):
        say(f"not pinned in constraints.txt, kept in {wheelhouse.folder} for the next build: {', '.join(floating)}")
    files["app.config"] = config, False
    files["RELEASE"] = _manifest(files, targets), False
    archive = folder / f"amoc-{__version__}.tar.gz"
    pack(archive, f"amoc-{__version__}", files)
    # for whoever delivers it, beside the archive
    (folder / "RELEASE").write_bytes(files["RELEASE"][0])
    return archive


def scenario_requirements(folder: Path, root: Path) -> list[Sourced]:
    """What the scenarios need: requirements.txt and the inline metadata of each, with the place of each."""
    found: list[Sourced] = []
    listed = folder / "requirements.txt"
    if listed.exists():
        found += read_requirements(listed.read_text(encoding="utf-8"), str(listed.relative_to(root)))
    for path in sorted(folder.glob("*.py")):
        place = str(path.relative_to(root))
        source = Source.of(path.stem, path.read_text(encoding="utf-8"), place)
        for requirement in declared_requirements(source):
            found += read_requirements(str(requirement), place)
    return found


def _existing(path: Path) -> Path | None:
    return path if path.exists() else None


def _tree(folder: Path, prefix: str) -> Iterator[tuple[str, File]]:
    """Every file below `folder` but hidden and compiled ones, by its path with `prefix`."""
    for path in sorted(folder.rglob("*")):
        parts = path.relative_to(folder).parts
        if path.is_file() and not any(part.startswith(".") or part == "__pycache__" for part in parts):
            yield prefix + "/".join(parts), (path.read_bytes(), bool(path.stat().st_mode & 0o100))


def _own_wheel(root: Path, folder: Path) -> Found:
    """The wheel of amoc itself, in `folder`."""
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check", "--no-input"]
    command += ["--no-deps", "--no-build-isolation", f"--wheel-dir={folder}", str(root)]
    try:
        done = subprocess.run(
            command,
            env={**os.environ, "SOURCE_DATE_EPOCH": SOURCE_DATE_EPOCH},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=BUILD_TIMEOUT,
        )
    except subprocess.TimeoutExpired:
        raise Failed(f"the wheel of amoc was not built within {BUILD_TIMEOUT} s") from None
    wheels = list(folder.glob("*.whl"))
    if done.returncode or len(wheels) != 1:
        last = (done.stderr.strip() or "no output").splitlines()[-1]
        raise Failed(
            f"the wheel of amoc could not be built: {last}; is the virtual environment complete (make install)?"
        )
    return wheel_of(wheels[0])


def _lock(chosen: dict[str, Found], files: dict[str, File]) -> bytes:
    """The wheels of one target as a requirements file with hashes."""
    lines = [
        f"{name}=={found.version} --hash=sha256:{_sha256(files[f'wheels/{found.file}'][0])}"
        for name, found in sorted(chosen.items())
    ]
    return ("\n".join(lines) + "\n").encode()


def _manifest(files: dict[str, File], targets: Sequence[Target]) -> bytes:
    """RELEASE. `needs` and `needs_files` are bytes and files on the disk of a host while it is installed, at most."""
    entries, unpacked = 0, 0
    for name, (content, _) in files.items():
        if name.startswith("wheels/"):
            with zipfile.ZipFile(io.BytesIO(content)) as wheel:
                entries += len(wheel.infolist())
                unpacked += sum(entry.file_size for entry in wheel.infolist())
    hashes = {name: _sha256(content) for name, (content, _) in sorted(files.items())}
    told = "".join(f"{digest} {name}\n" for name, digest in hashes.items() if name != "app.config")
    manifest = {
        "version": __version__,
        "id": f"{__version__}-{_sha256(told.encode())[:ID_LENGTH]}",
        "targets": [str(target) for target in targets],
        "needs": SPARE * (sum(len(content) for content, _ in files.values()) + unpacked),
        "needs_files": SPARE * (len(files) + entries),
        "files": hashes,
    }
    return (json.dumps(manifest, indent=1) + "\n").encode()


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
