"""What a release needs beyond amoc: requirements of several places, merged. Pure: text in, requirements out.

The places are amoc's own dependencies, `scenarios/requirements.txt` and the inline metadata (PEP 723) of each scenario.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from packaging.markers import Marker
from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from amoc.errors import BadInput

__all__ = ["Wanted", "applies", "merge", "read_requirements"]

Sourced = tuple[str, Requirement]
"""A requirement with the place that it stands in, for people: `scenarios/requirements.txt, line 3`."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is wanted of one distribution, by all places together."""

    name: str
    specifier: SpecifierSet
    extras: frozenset[str] = frozenset()
    wanted_by: tuple[str, ...] = ()

    @property
    def line(self) -> str:
        """As pip takes it: `aiohttp[speedups]<4,>=3.9`."""
        extras = f"[{','.join(sorted(self.extras))}]" if self.extras else ""
        return f"{self.name}{extras}{self.specifier}"


def read_requirements(text: str, place: str) -> Iterator[Sourced]:
    """The lines of a requirements file. Raises BadInput for what a release cannot take: options, addresses."""
    for number, line in enumerate(text.splitlines(), start=1):
        wanted = line.partition(" #")[0].strip()
        if not wanted or wanted.startswith("#"):
            continue
        where = f"{place}, line {number}"
        if wanted.startswith("-"):
            raise BadInput(
                f"{where}: {wanted!r}: write requirements only, one a line; options belong to pip's settings"
            )
        yield where, read_requirement(wanted, where)


def read_requirement(text: str, place: str) -> Requirement:
    """One requirement. Raises BadInput for one that is none, or that names an address instead of a version."""
    try:
        requirement = Requirement(text)
    except InvalidRequirement as error:
        raise BadInput(f"{place}: {text!r} is not a requirement: {' '.join(str(error).split())}") from None
    if requirement.url:
        raise BadInput(
            f"{place}: {requirement.name} is wanted from an address; a release takes wheels from the package index: "
            f"name a version, such as {requirement.name}>=1"
        )
    return requirement


def applies(marker: Marker | None, environments: Iterable[Mapping[str, str]], extras: Iterable[str] = ()) -> bool:
    """Whether a requirement with this marker counts in one of the environments, with one of the extras or without."""
    if marker is None:
        return True
    chosen = ("", *extras)
    return any(marker.evaluate({**environment, "extra": extra}) for environment in environments for extra in chosen)


def merge(sourced: Iterable[Sourced]) -> dict[str, Wanted]:
    """One entry for each distribution, by its canonical name; markers are for the caller to look at before."""
    merged: dict[str, Wanted] = {}
    for place, requirement in sourced:
        name = canonicalize_name(requirement.name)
        before = merged.get(name, Wanted(name, SpecifierSet()))
        places = before.wanted_by if place in before.wanted_by else (*before.wanted_by, place)
        merged[name] = Wanted(
            name,
            before.specifier & requirement.specifier,
            before.extras | {canonicalize_name(extra) for extra in requirement.extras},
            places,
        )
    return merged
