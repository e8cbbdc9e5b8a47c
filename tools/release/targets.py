"""What a release is built for: a Python, a C library, a processor. Pure: text in, targets out.

A target is written as the last two tags of a wheel's name: `cp311-manylinux_2_36_x86_64` is CPython 3.11 with
glibc 2.36 on x86_64, `cp312-musllinux_1_2_aarch64` CPython 3.12 with musl 1.2. Wheels made for an older C library fit.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from amoc.errors import BadInput

__all__ = ["LEAST_PYTHON", "Target", "fewest", "read_target"]

LEAST_PYTHON = (3, 11)
# Of the old names of manylinux, the glibc they stand for (PEP 513, 571, 599).
_LEGACY = {(2, 17): "manylinux2014", (2, 12): "manylinux2010", (2, 5): "manylinux1"}
_TARGET = re.compile(r"cp3(?P<minor>\d{1,2})-(?P<libc>many|musl)linux_(?P<libc_version>\d+_\d+)_(?P<machine>\w+)")


@dataclass(frozen=True, slots=True, order=True)
class Target:
    """`python` (3, 11), `libc` "many" (glibc) or "musl", its version (2, 36), `machine` "x86_64"."""

    python: tuple[int, int]
    libc: str
    libc_version: tuple[int, int]
    machine: str

    def __str__(self) -> str:
        """As it is read by `read_target`."""
        return f"{self.abi}-{self._platform(self.libc_version)}"

    @property
    def abi(self) -> str:
        """The tag of the Python and its ABI: `cp311`."""
        return f"cp{self.python[0]}{self.python[1]}"

    @property
    def python_version(self) -> str:
        """`3.11`."""
        return f"{self.python[0]}.{self.python[1]}"

    @property
    def for_people(self) -> str:
        """`Python 3.11 on x86_64 with glibc 2.36`."""
        libc = "glibc" if self.libc == "many" else "musl"
        return (
            f"Python {self.python_version} on {self.machine} with {libc} {self.libc_version[0]}.{self.libc_version[1]}"
        )

    @property
    def platforms(self) -> list[str]:
        """Every platform tag that fits, the most demanding first (PEP 600, PEP 656)."""
        major, newest = self.libc_version
        oldest = 5 if self.libc == "many" else 0
        tags: list[str] = []
        for minor in range(newest, oldest - 1, -1):
            tags.append(self._platform((major, minor)))
            if self.libc == "many" and (major, minor) in _LEGACY and self.machine in ("x86_64", "i686", "aarch64"):
                tags.append(f"{_LEGACY[major, minor]}_{self.machine}")
        return tags

    @property
    def environments(self) -> list[dict[str, str]]:
        """What markers are evaluated with (PEP 508): a requirement counts if it does in one of these.

        A target says nothing of the third figure of Python's version, so that there are two: the first and the last.
        """
        return [
            {
                "implementation_name": "cpython",
                "implementation_version": f"{self.python_version}.{micro}",
                "os_name": "posix",
                "platform_machine": self.machine,
                "platform_python_implementation": "CPython",
                "platform_release": "",
                "platform_system": "Linux",
                "platform_version": "",
                "python_full_version": f"{self.python_version}.{micro}",
                "python_version": self.python_version,
                "sys_platform": "linux",
                "extra": "",
            }
            for micro in (0, 99)
        ]

    def _platform(self, version: tuple[int, int]) -> str:
        return f"{self.libc}linux_{version[0]}_{version[1]}_{self.machine}"


def read_target(text: str) -> Target:
    """The target that `text` names. Raises BadInput for one that is none, or too old for amoc."""
    match = _TARGET.fullmatch(text)
    if match is None:
        raise BadInput(f"{text!r} is not a target such as cp311-manylinux_2_36_x86_64 or cp312-musllinux_1_2_aarch64")
    major, minor = map(int, match["libc_version"].split("_"))
    target = Target((3, int(match["minor"])), match["libc"], (major, minor), match["machine"])
    if target.python < LEAST_PYTHON:
        raise BadInput(f"{text}: amoc needs Python {LEAST_PYTHON[0]}.{LEAST_PYTHON[1]} or newer")
    return target


def fewest(targets: Iterable[Target]) -> list[Target]:
    """The fewest targets that do for all: of those that differ in the C library's version, the oldest."""
    oldest: dict[tuple[object, ...], Target] = {}
    for target in sorted(targets):
        oldest.setdefault((target.python, target.libc, target.libc_version[0], target.machine), target)
    return sorted(oldest.values())
