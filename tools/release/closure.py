"""What the requirements need in turn, for one target. Pure: metadata in, what is missing out.

pip can download for another Python, but it evaluates the markers of requirements (`; python_version < "3.13"`) for
its own. So the tree is walked here, with the target's markers, and pip is asked for single wheels.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from packaging.requirements import Requirement
from packaging.version import Version

from amoc.errors import BadInput
from tools.release.requirements import Sourced, Wanted, applies, merge
from tools.release.targets import Target

__all__ = ["Found", "Tree", "walk"]

# A tree is some five deep; each turn of the walk goes one step down.
MOST_TURNS = 100


@dataclass(frozen=True, slots=True)
class Found:
    """A wheel at hand: its file's name, and of its metadata what counts here."""

    file: str
    name: str
    version: Version
    requires: tuple[Requirement, ...] = ()


@dataclass(frozen=True, slots=True)
class Tree:
    """`used`: the wheels that serve, by name; `missing`: what none at hand serves."""

    used: dict[str, Found]
    missing: dict[str, Wanted]


def walk(roots: Iterable[Sourced], find: Callable[[Wanted], Found | None], target: Target) -> Tree:
    """The tree below `roots`, as far as `find` has the wheels.

    A wish met later may exclude a wheel that was found for a weaker one, and with it what that wheel needs; so
    all wishes are put together anew until nothing changes. Raises BadInput when they chase each other in a circle.
    """
    fixed = [item for item in roots if applies(item[1].marker, target.environments)]
    wanted = merge(fixed)
    for _ in range(MOST_TURNS):
        used = {name: found for name, wish in wanted.items() if (found := find(wish)) is not None}
        needs = [
            (found.name, requirement)
            for name, found in sorted(used.items())
            for requirement in found.requires
            if applies(requirement.marker, target.environments, wanted[name].extras)
        ]
        before, wanted = wanted, merge([*fixed, *needs])
        if wanted == before:
            return Tree(used, {name: wish for name, wish in wanted.items() if name not in used})
    raise BadInput(f"the requirements of {', '.join(sorted(wanted))} exclude each other in a circle: pin some of them")
