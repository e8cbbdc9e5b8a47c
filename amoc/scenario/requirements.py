"""What a scenario's inline metadata (PEP 723) asks for, and what of it is not installed.

# /// script
# dependencies = ["aiohttp>=3.9"]
# ///
"""

import re
import tomllib
from collections.abc import Iterable
from importlib import metadata

from packaging.requirements import InvalidRequirement, Requirement

from amoc.scenario.contract import Source
from amoc.scenario.errors import ScenarioError

__all__ = ["check_installed", "declared_requirements", "requirements_of"]

# the reference expression of PEP 723
_BLOCK = re.compile(r"(?m)^# /// script$\s(?P<content>(^#(| .*)$\s)+)^# ///$")


def requirements_of(source: Source) -> list[Requirement]:
    """The requirements for this Python and platform; ScenarioError when the metadata are malformed."""
    declared = declared_requirements(source)
    return [requirement for requirement in declared if requirement.marker is None or requirement.marker.evaluate()]


def declared_requirements(source: Source) -> list[Requirement]:
    """The requirements for all Pythons and platforms; ScenarioError when the metadata are malformed."""
    blocks = list(_BLOCK.finditer(source.text))
    if len(blocks) > 1:
        raise ScenarioError(f"{source.path}: there are {len(blocks)} blocks '# /// script', one is allowed")
    if not blocks:
        return []
    lines = [line[2:] if line.startswith("# ") else line[1:] for line in blocks[0]["content"].splitlines()]
    try:
        listed = tomllib.loads("\n".join(lines)).get("dependencies", [])
        if not isinstance(listed, list):
            raise TypeError("dependencies must be a list")
        return [Requirement(item) for item in listed]
    except (tomllib.TOMLDecodeError, InvalidRequirement, TypeError) as error:
        reason = " ".join(str(error).split())
        raise ScenarioError(f"{source.path}: its inline metadata '# /// script' are wrong: {reason}") from None


def check_installed(source: Source, requirements: Iterable[Requirement]) -> None:
    """Raise ScenarioError naming what is not installed, and how to install it."""
    missing: list[str] = []
    for requirement in requirements:
        try:
            version = metadata.version(requirement.name)
        except metadata.PackageNotFoundError:
            missing.append(f"{requirement.name}, which is not installed")
            continue
        if not requirement.specifier.contains(version, prereleases=True):
            missing.append(f"{requirement.name}{requirement.specifier}, but {version} is installed")
    if missing:
        wanted = " ".join(f"'{requirement}'" for requirement in requirements)
        raise ScenarioError(f"{source.path} needs {' and '.join(missing)}: pip install {wanted}")
