"""The wheels of a release: found in the folder of those at hand, else downloaded by pip, each for its target.

Theory of operation. `closure.walk` says which requirements no wheel at hand serves; pip downloads those, without what
they need, and the walk is done again until nothing is missing. What is at hand is preferred to what is newer in
the index: two builds one after the other take the same wheels, also of what constraints.txt does not pin.
"""

import email
import re
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from packaging.requirements import Requirement
from packaging.tags import Tag, compatible_tags, cpython_tags
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename
from packaging.version import Version

from amoc.errors import Failed
from tools.release.closure import Found, walk
from tools.release.requirements import Sourced, Wanted
from tools.release.targets import Target

__all__ = ["Wheelhouse", "wheel_of"]

# A download of everything takes half a minute on a slow line.
PIP_TIMEOUT = 600
MOST_DOWNLOADS = 30
_NOT_FOUND = re.compile(r"^ERROR: No matching distribution found for (\S+)", re.MULTILINE)

Say = Callable[[str], None]


class Wheelhouse:
    """The folder of wheels at hand; `constraints` pins what is downloaded into it."""

    def __init__(self, folder: Path, constraints: Path | None, say: Say) -> None:
        self.folder = folder
        self._constraints = constraints
        self._pins = _pins(constraints)
        self._say = say
        self._read: dict[str, Found] = {}
        folder.mkdir(parents=True, exist_ok=True)

    def for_target(self, roots: Sequence[Sourced], target: Target, given: Iterable[Found] = ()) -> dict[str, Found]:
        """The wheels that serve `roots` on `target`, by name; `given` ones are taken as they are (amoc's own).

        Raises Failed naming everything of which there is no wheel for the target.
        """
        built = {found.name: found for found in given}
        for _ in range(MOST_DOWNLOADS):
            tree = walk(roots, lambda wish: built.get(wish.name) or self._at_hand(wish, target), target)
            if not tree.missing:
                return tree.used
            self._download(list(tree.missing.values()), target)
        raise Failed(f"{', '.join(sorted(tree.missing))}: downloaded again and again without an end for {target}")

    def unpinned(self, used: Iterable[Found]) -> list[str]:
        """Of these wheels, those that constraints.txt does not pin, as `name==version`."""
        return sorted(f"{found.name}=={found.version}" for found in used if found.name not in self._pins)

    def _at_hand(self, wish: Wanted, target: Target) -> Found | None:
        """The newest wheel here that serves; of two of one version, the one that fits the target best."""
        rank = _ranks(target)
        best: tuple[Version, int, str] | None = None
        pin = self._pins.get(wish.name)
        for path in self.folder.glob("*.whl"):
            try:
                name, version, _, tags = parse_wheel_filename(path.name)
            except InvalidWheelFilename:
                continue
            fits = [rank[tag] for tag in tags if tag in rank]
            if name != wish.name or not fits or (pin is not None and version != pin):
                continue
            if not wish.specifier.contains(version, prereleases=pin is not None):
                continue
            best = max(best or (version, -min(fits), path.name), (version, -min(fits), path.name))
        return None if best is None else self._found(best[2])

    def _found(self, file: str) -> Found:
        if file not in self._read:
            self._read[file] = wheel_of(self.folder / file)
        return self._read[file]

    def _download(self, wishes: list[Wanted], target: Target) -> None:
        """Fetch these wheels, the good ones even if others do not exist, which are then all named at once."""
        absent: dict[str, Wanted] = {}
        while wishes:
            self._say(f"downloading for {target}: {', '.join(sorted(wish.name for wish in wishes))}")
            failure = self._pip(wishes, target)
            if failure is None:
                break
            culprit = _culprit(failure, wishes)
            if culprit is None:
                raise Failed(f"pip cannot download {', '.join(wish.line for wish in wishes)}: {_last_line(failure)}")
            absent[culprit.name] = culprit
            wishes = [wish for wish in wishes if wish is not culprit]
        if absent:
            raise Failed("; ".join(self._absence(wish, target) for wish in absent.values()))

    def _absence(self, wish: Wanted, target: Target) -> str:
        pin = self._pins.get(wish.name)
        pinned = f", pinned to {pin} in constraints.txt" if pin is not None else ""
        return (
            f"there is no wheel of {wish.line}{pinned} for {target.for_people} (wanted by "
            f"{', '.join(wish.wanted_by)}): choose a version that has one, or build it there and put it into "
            f"{self.folder}"
        )

    def _pip(self, wishes: Iterable[Wanted], target: Target) -> str | None:
        """Download; pip's complaint, or None."""
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-input"]
        command += ["--no-deps", "--only-binary=:all:", "--implementation=cp", f"--abi={target.abi}"]
        command += [f"--python-version={target.python_version}", f"--dest={self.folder}"]
        command += [f"--platform={platform}" for platform in target.platforms]
        command += [f"--constraint={self._constraints}"] if self._constraints else []
        command += [wish.line for wish in wishes]
        try:
            done = subprocess.run(
                command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=PIP_TIMEOUT
            )
        except subprocess.TimeoutExpired:
            raise Failed(
                f"pip has not ended its download within {PIP_TIMEOUT} s: is the package index there?"
            ) from None
        return done.stderr if done.returncode else None


def wheel_of(path: Path) -> Found:
    """What a wheel's name and metadata say. Raises Failed for a file that is none."""
    try:
        name, version, _, _ = parse_wheel_filename(path.name)
        with zipfile.ZipFile(path) as wheel:
            (inner,) = (entry for entry in wheel.namelist() if re.fullmatch(r"[^/]+\.dist-info/METADATA", entry))
            metadata = email.message_from_bytes(wheel.read(inner))
    except (InvalidWheelFilename, zipfile.BadZipFile, ValueError, OSError) as error:
        raise Failed(f"{path} is not a wheel ({' '.join(str(error).split())}): remove it") from None
    requires = tuple(Requirement(text) for text in metadata.get_all("Requires-Dist", []))
    return Found(path.name, name, version, requires)


def _ranks(target: Target) -> dict[Tag, int]:
    """Every tag that fits the target, the best first."""
    tags = [
        *cpython_tags(target.python, [target.abi], target.platforms),
        *compatible_tags(target.python, target.abi, target.platforms),
    ]
    return {tag: rank for rank, tag in reversed(list(enumerate(tags)))}


def _pins(constraints: Path | None) -> dict[str, Version]:
    """The versions that constraints.txt pins with `==`."""
    if constraints is None:
        return {}
    pairs = re.findall(r"^([A-Za-z0-9._-]+)==([^\s;#]+)", constraints.read_text(), re.MULTILINE)
    return {canonicalize_name(name): Version(version) for name, version in pairs}


def _culprit(failure: str, wishes: Iterable[Wanted]) -> Wanted | None:
    """Whom pip means by its complaint."""
    match = _NOT_FOUND.search(failure)
    if match is None:
        return None
    name = canonicalize_name(re.split(r"[\[<>=!~; ]", match[1])[0])
    return next((wish for wish in wishes if wish.name == name), None)


def _last_line(text: str) -> str:
    return next((line for line in reversed(text.splitlines()) if line.strip()), "it said nothing")
