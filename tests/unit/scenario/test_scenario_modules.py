"""Helper modules in the process that runs a scenario: from its bundle, and from nowhere else."""

import inspect
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from amoc.scenario import ScenarioError, Source, Store, load
from amoc.scenario.modules import Helpers

Write = Callable[..., Source]
Beside = Callable[[str, str], None]


def test_a_stale_file_of_the_same_name_does_not_win(
    write: Write, beside: Beside, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    beside("_helper", "ANSWER = 42")
    source = write("from _helper import ANSWER\ndef start(user_id):\n    return ANSWER\n")
    beside("_helper", "ANSWER = 'stale'")
    monkeypatch.syspath_prepend(str(folder))
    assert load(source).start(1) == 42


def test_what_a_script_has_imported_before_does_not_win(
    write: Write, beside: Beside, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    beside("_helper", "ANSWER = 'stale'")
    monkeypatch.syspath_prepend(str(folder))
    __import__("_helper")
    beside("_helper", "ANSWER = 42")
    assert load(write("import _helper\ndef start(user_id):\n    return _helper.ANSWER\n")).start(1) == 42


def test_a_file_that_did_not_come_with_the_bundle_is_not_found(write: Write, beside: Beside) -> None:
    source = write("import _helper\ndef start(user_id): ...\n")
    beside("_helper", "A = 1")
    with pytest.raises(ScenarioError, match=r"line 1: No module named '_helper': install it, or put _helper.py beside"):
        load(source)


def test_packages_and_directories(write: Write, beside: Beside, folder: Path) -> None:
    beside("checks/__init__", "from .rooms import ROOM\nfrom . import deep")
    beside("checks/rooms", "ROOM = 'crows'")
    beside("checks/deep/__init__", "from ..rooms import ROOM as AGAIN")
    beside("plain/one", "ONE = 1")
    beside("plain/unused", "")
    text = """\
        import checks
        from plain.one import ONE
        def start(user_id):
            return checks.ROOM, checks.deep.AGAIN, ONE
        def terminate():
            import plain.missing
        """
    scenario = load(write(text))
    assert scenario.start(1) == ("crows", "crows", 1)
    assert sys.modules["checks.rooms"].__file__ == str(folder / "checks" / "rooms.py")
    assert sys.modules["checks.rooms"].__package__ == "checks"
    terminate: Any = scenario.terminate
    with pytest.raises(ModuleNotFoundError, match=r"'plain\.missing'"):
        terminate()
    with pytest.raises(ModuleNotFoundError):  # it is on the disk, and not in the bundle
        __import__("plain.unused")


def test_two_versions_of_a_helper_do_not_mix(write: Write, beside: Beside) -> None:
    text = "def start(user_id):\n    import _helper\n    return _helper.ANSWER\n"
    beside("_helper", "ANSWER = 1")
    first = write(text, "first")
    beside("_helper", "ANSWER = 2")
    second = write(text, "second")
    assert [load(source).start(1) for source in (first, second, first)] == [1, 2, 1]
    assert sum(isinstance(finder, Helpers) for finder in sys.meta_path) == 1


def test_tracebacks_show_the_helpers_text_as_it_was_loaded(write: Write, beside: Beside, folder: Path) -> None:
    beside("_helper", "def broken():\n    raise KeyError('told')  # this line\n")
    source = write("from _helper import broken\ndef start(user_id):\n    broken()\n")
    scenario = load(source)
    beside("_helper", "# another text now\n" * 9)
    try:
        scenario.start(1)
    except KeyError:
        text = traceback.format_exc()
    assert f"File \"{folder}/_helper.py\", line 2, in broken\n    raise KeyError('told')  # this line" in text
    assert inspect.getsource(sys.modules["_helper"].broken).startswith("def broken():")


@pytest.mark.parametrize(
    ("helper", "message"),
    [
        ("x = 1\n1 / 0", ", line 2: it raises when it is imported: ZeroDivisionError: division by zero"),
        ("raise SystemExit(3)", ", line 1: it exits when it is imported (SystemExit: 3)"),
        (
            "import no_such_module",
            ", line 1: No module named 'no_such_module': install it, or put no_such_module.py beside the scenario",
        ),
        ("from amoc import config\nconfig.get('rounds')", ", line 2: unknown setting 'rounds'"),
    ],
)
def test_a_helper_that_fails_is_named_with_its_line(
    write: Write, beside: Beside, folder: Path, helper: str, message: str
) -> None:
    beside("_helper", helper)
    source = write("\nimport _helper\ndef start(user_id): ...")
    with pytest.raises(ScenarioError) as caught:
        load(source)
    assert str(caught.value).startswith(f"{source.path}, line 2: it imports {folder}/_helper.py{message}")
    assert not any(isinstance(finder, Helpers) for finder in sys.meta_path)
    assert "_helper" not in sys.modules


def test_what_only_the_compiler_finds_in_a_helper(write: Write, beside: Beside, folder: Path) -> None:
    beside("_helper", "x = 1\nreturn x")
    source = write("import _helper")
    with pytest.raises(ScenarioError) as caught:
        load(source)
    assert str(caught.value) == (
        f"{source.path}, line 1: it imports {folder}/_helper.py, line 2: syntax error: 'return' outside function"
    )


def test_a_helper_cannot_hide_an_installed_package(write: Write, beside: Beside, folder: Path) -> None:
    beside("rich", "A = 1")
    source = write("import rich\ndef start(user_id): ...")
    before = sys.modules.get("rich")
    message = f"'rich' cannot be the name of a module beside {source.path}: it would hide the package rich"
    with pytest.raises(ScenarioError, match=message):
        load(source)
    assert sys.modules.get("rich") is before


def test_names_of_amoc_and_of_python_mean_theirs(write: Write, beside: Beside, folder: Path) -> None:
    beside("json", "this is no Python")
    (folder / "amoc").mkdir()
    (folder / "amoc" / "__init__.py").write_text("this is no Python")
    source = write("import json\nfrom amoc import config\ndef start(user_id):\n    return json.loads('42')\n")
    assert source.helpers == {}
    assert load(source).start(1) == 42


def test_a_scenario_and_its_helper_may_import_each_other(write: Write, beside: Beside, folder: Path) -> None:
    beside("_helper", "import example\ndef answer(): return example.ANSWER")
    (folder / "example.py").write_text("import _helper\nANSWER = 42\ndef start(u): return _helper.answer()\n")
    assert load(Store([folder]).source("example")).start(1) == 42


def test_a_bundle_says_what_it_has() -> None:
    assert repr(Helpers(Source.of("a", "", "/s/a.py", {"_b.py": "", "c/d.py": ""}))) == "<Helpers ['_b', 'c.d']>"
