"""What a release needs: lines of several places, merged; what it cannot take is refused by place and line."""

from pathlib import Path

import pytest
from packaging.version import Version

from amoc.errors import BadInput
from tools.release.build import scenario_requirements
from tools.release.closure import Found, walk
from tools.release.requirements import Wanted, merge, read_requirement, read_requirements
from tools.release.targets import read_target

TARGET = read_target("cp311-manylinux_2_36_x86_64")
HEADER = '# /// script\n# dependencies = ["Aiohttp[speedups]<4", "only-here"]\n# ///\n"""One that needs more."""\n'


def found(name: str, version: str, *requires: str) -> Found:
    needs = tuple(read_requirement(text, name) for text in requires)
    return Found(f"{name}-{version}-py3-none-any.whl", name, Version(version), needs)


def test_requirements_txt_and_the_headers_of_scenarios_are_merged(tmp_path: Path) -> None:
    scenarios = tmp_path / "scenarios"
    scenarios.mkdir()
    (scenarios / "requirements.txt").write_text("# of all\n\naiohttp>=3.9 # http_simple\n")
    (scenarios / "one.py").write_text(HEADER)
    merged = merge(scenario_requirements(scenarios, tmp_path))
    assert merged["aiohttp"].line == "aiohttp[speedups]<4,>=3.9"
    assert merged["aiohttp"].wanted_by == ("scenarios/requirements.txt, line 3", "scenarios/one.py, line 1")
    assert merged.keys() == {"aiohttp", "only-here"}


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("-r other.txt", "options belong to pip's settings"),
        ("aio http", "is not a requirement"),
        ("mine @ https://example.org/mine.whl", "a release takes wheels from the package index"),
    ],
)
def test_what_a_release_cannot_take_is_refused_with_its_line(line: str, said: str) -> None:
    with pytest.raises(BadInput, match=rf"^requirements.txt, line 2: .*{said}"):
        list(read_requirements(f"good\n{line}\n", "requirements.txt"))


def test_what_is_needed_in_turn_is_found_with_the_targets_markers() -> None:
    wheels = {
        "a": found("a", "1", 'b; python_version < "3.12"', 'c; sys_platform == "win32"', 'd; extra == "more"'),
        "b": found("b", "2", "e>=1"),
    }
    tree = walk([("x", read_requirement("a", "x"))], lambda wish: wheels.get(wish.name), TARGET)
    assert tree.used.keys() == {"a", "b"}
    assert {name: wish.line for name, wish in tree.missing.items()} == {"e": "e>=1"}
    assert tree.missing["e"].wanted_by == ("b",)
    newer = read_target("cp312-manylinux_2_36_x86_64")
    assert walk([("x", read_requirement("a", "x"))], lambda wish: wheels.get(wish.name), newer).used.keys() == {"a"}


def test_a_wish_that_is_met_later_excludes_what_was_found_for_a_weaker_one() -> None:
    wheels = [found("a", "2", "dropped"), found("a", "1"), found("b", "1", "a<2")]

    def find(wish: Wanted) -> Found | None:
        return next((one for one in wheels if one.name == wish.name and wish.specifier.contains(one.version)), None)

    roots = [("x", read_requirement(text, "x")) for text in ("a", "b")]
    tree = walk(roots, find, TARGET)
    assert {name: str(one.version) for name, one in tree.used.items()} == {"a": "1", "b": "1"}
    assert tree.missing == {}
