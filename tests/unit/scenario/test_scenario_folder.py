"""Helper modules on disk, as the store finds them: what is taken, and what is refused."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from amoc.scenario import ScenarioError, Source, Store

Write = Callable[..., Source]
Beside = Callable[[str, str], None]


def refused(folder: Path) -> str:
    with pytest.raises(ScenarioError) as caught:
        Store([folder]).source("example")
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_module_and_a_package_go_with_the_scenario(write: Write, beside: Beside, folder: Path) -> None:
    beside("_helper", "import _deeper")
    beside("_deeper", "A = 1")
    (folder / "checks").mkdir()
    (folder / "checks" / "__init__.py").write_text("")
    (folder / "checks" / "rooms.py").write_bytes(b"# coding: latin-1\nX = '\xe9'\n")
    source = write("import _helper\nfrom checks import rooms\n")
    assert source.helpers == {
        "_deeper.py": "A = 1",
        "_helper.py": "import _deeper",
        "checks/__init__.py": "",
        "checks/rooms.py": "# coding: latin-1\nX = 'é'\n",
    }


def test_another_text_of_a_helper_is_another_version(write: Write, beside: Beside, folder: Path) -> None:
    beside("_helper", "A = 1")
    source = write("import _helper")
    beside("_helper", "A = 2")
    assert Store([folder]).source("example").version != source.version


def test_helpers_are_looked_for_in_the_scenarios_own_directory(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    for directory in (first, second):
        directory.mkdir()
        (directory / "_helper.py").write_text(f"# {directory.name}")
    (second / "only.py").write_text("import _helper")
    assert Store([first, second]).source("only").helpers == {"_helper.py": "# second"}


def test_the_directory_itself_may_be_a_link(write: Write, beside: Beside, folder: Path, tmp_path: Path) -> None:
    beside("_helper", "A = 1")
    source = write("import _helper")
    (tmp_path / "current").symlink_to(folder)
    assert Store([tmp_path / "current"]).source("example") == source


@pytest.mark.parametrize("where", ["inside", "outside"])
def test_a_module_that_is_a_link_is_refused(write: Write, folder: Path, tmp_path: Path, where: str) -> None:
    target = (folder if where == "inside" else tmp_path) / "target.py"
    target.write_text("SECRET = 1")
    (folder / "_helper.py").symlink_to(target)
    (folder / "example.py").write_text("import _helper")
    message = f"{folder}/example.py, line 1: {folder}/_helper.py is reached by a symbolic link (it is {target})"
    assert refused(folder).startswith(message)


def test_a_package_that_is_a_link_is_refused(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "a.py").write_text("")
    (folder / "shared").symlink_to(tmp_path / "elsewhere")
    (folder / "example.py").write_text("import shared.a")
    assert "shared/a.py is reached by a symbolic link" in refused(folder)


def test_what_is_no_file_is_no_module(write: Write, folder: Path) -> None:
    os.mkfifo(folder / "_pipe.py")
    (folder / "_nowhere.py").symlink_to(folder / "nothing")
    (folder / "_folder.py").mkdir()
    assert write(f"import _pipe, _nowhere, _folder, {'x' * 300}").helpers == {}


def test_a_module_of_many_megabytes_is_not_read(folder: Path) -> None:
    with (folder / "_helper.py").open("wb") as file:
        file.truncate(1 << 40)
    (folder / "example.py").write_text("import _helper")
    assert f"{folder}/_helper.py is too large for a scenario: " in refused(folder)


def test_a_module_that_is_not_text(folder: Path) -> None:
    (folder / "_helper.py").write_bytes(b"x = '\xe9'\n")
    (folder / "example.py").write_text("import _helper")
    assert f"{folder}/_helper.py is not UTF-8 text: " in refused(folder)


def test_settings_that_a_helper_declares_are_known(write: Write, beside: Beside, folder: Path) -> None:
    beside("_helper", 'SETTINGS = [Setting("rounds", int)]')
    write("from _helper import SETTINGS")
    assert Store([folder]).declared_names() == {"rounds"}
