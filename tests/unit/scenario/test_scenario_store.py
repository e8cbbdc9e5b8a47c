"""The directories of scenarios: names, texts, hints, and a new scenario from the template."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from amoc.scenario import ScenarioError, Source, Store, inspect

Write = Callable[..., Source]


def test_scenarios_are_the_python_files_that_are_no_helpers(write: Write, folder: Path) -> None:
    for name in ("b", "a", "_helper", "__init__"):
        (folder / f"{name}.py").write_text("")
    (folder / "not-a-name.py").write_text("")
    (folder / "notes.txt").write_text("")
    assert Store([folder]).names() == ["a", "b"]


def test_a_missing_directory_has_no_scenarios(tmp_path: Path) -> None:
    store = Store([tmp_path / "absent"])
    assert store.names() == []
    with pytest.raises(ScenarioError, match=r"unknown scenario 'a': there is no a.py in .*absent"):
        store.source("a")


def test_the_earlier_directory_counts(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    for directory in (first, second):
        directory.mkdir()
        (directory / "both.py").write_text(f"# {directory.name}")
    (second / "only.py").write_text("# only")
    store = Store([first, second])
    assert store.names() == ["both", "only"]
    assert store.source("both").text == "# first"
    assert store.source("only").path == str(second / "only.py")
    assert "first" in repr(store)


def test_a_source_has_text_path_and_version(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "simple.py").write_bytes('"""Grüße."""\r\nx = 1\r\n'.encode())
    monkeypatch.chdir(folder.parent)
    source = Store([Path("scenarios")]).source("simple")
    assert source == Source.of("simple", '"""Grüße."""\nx = 1\n', str(folder / "simple.py"))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("mongoose_simpel", "unknown scenario 'mongoose_simpel'; did you mean 'mongoose_simple'?"),
        ("scenarios/mongoose_simple.py", "did you mean 'mongoose_simple'?"),
        ("../secret", "unknown scenario '../secret': there is no secret.py in "),
        ("xyzzy", "unknown scenario 'xyzzy': there is no xyzzy.py in "),
        ("_helper", "unknown scenario '_helper'"),
        ("", "unknown scenario ''"),
    ],
)
def test_unknown_scenarios(folder: Path, name: str, message: str) -> None:
    (folder / "mongoose_simple.py").write_text("")
    (folder / "_helper.py").write_text("")
    (folder.parent / "secret.py").write_text("")
    with pytest.raises(ScenarioError) as caught:
        Store([folder]).source(name)
    assert message in str(caught.value)


def test_files_that_cannot_be_read(folder: Path) -> None:
    (folder / "latin.py").write_bytes(b"# -*- coding: latin-1 -*-\nx = '\xe9'\n")
    (folder / "bytes.py").write_bytes(b"x = '\xe9'\n")
    (folder / "directory.py").mkdir()
    store = Store([folder])
    assert "é" in store.source("latin").text
    with pytest.raises(ScenarioError, match=r"bytes.py is not UTF-8 text: "):
        store.source("bytes")
    with pytest.raises(ScenarioError, match=r"directory.py cannot be read: Is a directory"):
        store.source("directory")


def test_summaries_and_declared_names_execute_nothing(write: Write, folder: Path) -> None:
    write('"""Does much.\n\nDetails."""\nimport os\nos._exit(3)\nSETTINGS = [Setting("rounds", int)]\n', "a")
    write('SETTINGS = [Setting("pause", int)]\n', "b")
    write("x = (", "broken")
    store = Store([folder])
    assert [store.summary(name) for name in ("a", "b", "broken", "absent")] == ["Does much.", "", "", ""]
    assert store.declared_names() == {"rounds", "pause"}


async def test_a_new_scenario_passes_the_check_as_it_is(tmp_path: Path) -> None:
    store = Store([tmp_path / "scenarios"])
    path = store.new("my_test")
    assert path == tmp_path / "scenarios" / "my_test.py"
    assert store.names() == ["my_test"]
    info = await inspect(store.source("my_test"), {}, extra=("amoc.xmpp.settings",))
    assert info.doc.startswith("my_test: ")
    assert info.callbacks == ["start", "init", "terminate"]
    assert [setting.name for setting in info.settings] == ["rounds", "pause"]
    assert "{name}" not in path.read_text()


def test_a_new_scenario_may_go_elsewhere(tmp_path: Path) -> None:
    store = Store([tmp_path / "a"])
    assert store.new("here", tmp_path / "b" / "c") == tmp_path / "b" / "c" / "here.py"


def test_nothing_is_overwritten(write: Write, folder: Path, tmp_path: Path) -> None:
    source = write("mine = 1\n")
    for directory in (None, folder, tmp_path / "other"):
        with pytest.raises(ScenarioError, match="exists already"):
            Store([folder]).new("example", directory)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "taken.py").write_text("mine")
    with pytest.raises(ScenarioError, match=r"taken.py exists already"):
        Store([folder]).new("taken", tmp_path / "other")
    assert Path(source.path).read_text() == "mine = 1\n"
    assert (tmp_path / "other" / "taken.py").read_text() == "mine"


@pytest.mark.parametrize("name", ["two words", "class", "json", "_helper", "../up", ""])
def test_bad_names_write_nothing(folder: Path, name: str) -> None:
    with pytest.raises(ScenarioError, match="cannot be the name of a scenario"):
        Store([folder]).new(name)
    assert list(folder.parent.rglob("*.py")) == []


def test_a_directory_that_cannot_be_written(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ScenarioError, match=r"new.py (exists already, or its directory is a file|cannot be written)"):
        Store([folder]).new("new", tmp_path / "file")
    with pytest.raises(ScenarioError, match=r"new.py cannot be written: "):
        Store([folder]).new("new", tmp_path / "file" / "below")
    with pytest.raises(ScenarioError, match=r"new.py cannot be written: "):
        Store([folder]).new("new", Path("/proc/amoc"))
    folder.chmod(0o500)
    if not os.access(folder, os.W_OK):  # root writes everywhere
        with pytest.raises(ScenarioError, match="Permission denied"):
            Store([folder]).new("new")
    folder.chmod(0o700)


def test_a_store_has_a_directory() -> None:
    with pytest.raises(ValueError, match="at least one directory"):
        Store([])
