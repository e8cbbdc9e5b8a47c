"""PEP 723 metadata: what a scenario needs, and what of it is missing."""

import pytest

from amoc.scenario import ScenarioError, Source
from amoc.scenario.requirements import check_installed, requirements_of


def source(dependencies: str, before: str = "") -> Source:
    text = f"{before}# /// script\n# dependencies = {dependencies}\n# ///\n\ndef start(user_id): ...\n"
    return Source.of("example", text, "scenarios/example.py")


def needs(dependencies: str) -> list[str]:
    return [str(requirement) for requirement in requirements_of(source(dependencies))]


def test_without_metadata_nothing_is_needed() -> None:
    assert requirements_of(Source.of("example", "def start(user_id): ...", "x.py")) == []
    assert needs("[]") == []


def test_dependencies_are_read() -> None:
    assert needs('["msgspec>=0.18", "pytest"]') == ["msgspec>=0.18", "pytest"]
    text = (
        '"""Doc."""\n\n# /// script\n# requires-python = ">=3.11"\n# dependencies = [\n#   "msgspec",\n#\n# ]\n# ///\n'
    )
    assert [str(item) for item in requirements_of(Source.of("a", text, "x.py"))] == ["msgspec"]


def test_requirements_of_other_platforms_do_not_count() -> None:
    assert needs("[\"pywin32; sys_platform == 'win32'\", \"pytest; python_version > '3'\"]") == [
        'pytest; python_version > "3"'
    ]


def test_what_is_installed_passes() -> None:
    there = source('["msgspec>=0.18", "PyTest"]')
    check_installed(there, requirements_of(there))


@pytest.mark.parametrize(
    ("dependencies", "message"),
    [
        (
            '["no-such-package>=3", "msgspec"]',
            "scenarios/example.py needs no-such-package, which is not installed: "
            "pip install 'no-such-package>=3' 'msgspec'",
        ),
        ('["msgspec>=99"]', r"needs msgspec>=99, but [\d.]+ is installed: pip install 'msgspec>=99'"),
        ('["no-a", "no-b"]', "needs no-a, which is not installed and no-b, which is not installed"),
    ],
)
def test_what_is_missing_is_named(dependencies: str, message: str) -> None:
    missing = source(dependencies)
    with pytest.raises(ScenarioError, match=message):
        check_installed(missing, requirements_of(missing))


@pytest.mark.parametrize("dependencies", ["[", '"one"', "[5]", '["two words"]', "5"])
def test_malformed_metadata(dependencies: str) -> None:
    with pytest.raises(ScenarioError, match=r"^scenarios/example.py: its inline metadata") as caught:
        requirements_of(source(dependencies))
    assert "\n" not in str(caught.value)


def test_two_blocks_are_one_too_many() -> None:
    two = source("[]", before="# /// script\n# dependencies = []\n# ///\n\n")
    with pytest.raises(ScenarioError, match="there are 2 blocks"):
        requirements_of(two)
