"""Wheels by pip, for other machines than this one; the index is a folder here."""

from pathlib import Path

import pytest

from amoc.errors import Failed
from tests.support.wheel import make_wheel
from tools.release.archive import pack
from tools.release.requirements import read_requirement
from tools.release.targets import Target, read_target
from tools.release.wheels import Wheelhouse, wheel_of

OLD, NEW = read_target("cp311-manylinux_2_31_x86_64"), read_target("cp312-manylinux_2_36_aarch64")


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def wheels(folder: Path, target: Target, *wishes: str, constraints: Path | None = None) -> set[str]:
    roots = [("requirements.txt", read_requirement(text, "requirements.txt")) for text in wishes]
    house = Wheelhouse(folder / "house", constraints, lambda _: None)
    return {found.file for found in house.for_target(roots, target).values()}


@pytest.mark.slow
def test_each_target_gets_the_wheel_that_fits_it(index: Path, tmp_path: Path) -> None:
    old = make_wheel(index, "fast", "cp311-cp311-manylinux_2_17_x86_64")
    new = make_wheel(index, "fast", "cp312-cp312-manylinux_2_28_aarch64")
    assert wheels(tmp_path, OLD, "fast") == {old}
    assert wheels(tmp_path, NEW, "fast") == {new}


@pytest.mark.slow
def test_everything_without_a_wheel_is_named_with_who_wants_it(index: Path, tmp_path: Path) -> None:
    make_wheel(index, "good", "py3-none-any", "1.0", "source-only>=2")
    make_wheel(index, "fast", "cp311-cp311-manylinux_2_17_x86_64")
    with pytest.raises(Failed) as failure:
        wheels(tmp_path, NEW, "good", "fast")
    assert "there is no wheel of fast for Python 3.12 on aarch64 with glibc 2.36" in str(failure.value)
    with pytest.raises(Failed, match=r"no wheel of source-only>=2 .*wanted by good"):
        wheels(tmp_path, OLD, "good", "fast")


@pytest.mark.slow
def test_what_is_pinned_is_taken_and_what_is_at_hand_stays(index: Path, tmp_path: Path) -> None:
    first = make_wheel(index, "free")
    pinned = make_wheel(index, "fixed")
    constraints = tmp_path / "constraints.txt"
    constraints.write_text("fixed==1.0\n")
    assert wheels(tmp_path, OLD, "free", "fixed", constraints=constraints) == {first, pinned}
    for name in ("free", "fixed"):
        make_wheel(index, name, version="2.0")
    assert wheels(tmp_path, OLD, "free", "fixed", constraints=constraints) == {first, pinned}


def test_a_broken_wheel_is_named(tmp_path: Path) -> None:
    broken = tmp_path / "broken-1.0-py3-none-any.whl"
    broken.write_bytes(b"half a downl")
    with pytest.raises(Failed, match=r"broken-1\.0-py3-none-any\.whl is not a wheel .*: remove it"):
        wheel_of(broken)


def test_the_same_content_is_the_same_bytes_whatever_the_order(tmp_path: Path) -> None:
    files = {"bin/amoc": (b"#!/bin/sh\n", True), "a/b.txt": (b"text", False)}
    pack(tmp_path / "one.tar.gz", "amoc", files)
    pack(tmp_path / "two.tar.gz", "amoc", dict(reversed(files.items())))
    assert (tmp_path / "one.tar.gz").read_bytes() == (tmp_path / "two.tar.gz").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one.tar.gz", "two.tar.gz"]
