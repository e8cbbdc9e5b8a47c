"""Scenarios as real files, and a process that is as before when a test has loaded one into it."""

import sys
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import pytest

from amoc.config import process
from amoc.scenario import Source, Store

Write = Callable[..., Source]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "scenarios"
    path.mkdir()
    return path


@pytest.fixture
def write(folder: Path) -> Write:
    """Writes a scenario (or helper) file and gives its source."""

    def write(text: str, name: str = "example") -> Source:
        (folder / f"{name}.py").write_text(dedent(text), encoding="utf-8")
        return Store([folder]).source(name)

    return write


@pytest.fixture
def beside(folder: Path) -> Callable[[str, str], None]:
    """Writes a helper file, by its path from the scenarios' directory, without `.py`."""

    def beside(path: str, text: str) -> None:
        file = folder / f"{path}.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    return beside


@pytest.fixture(autouse=True)
def _process_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "_config", None)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    monkeypatch.setattr(sys, "modules", dict(sys.modules))
