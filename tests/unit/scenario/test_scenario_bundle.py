"""Which modules go with a scenario: a folder that is a dictionary."""

import ast
from collections.abc import Mapping

import pytest

from amoc.scenario import ScenarioError
from amoc.scenario.bundle import MOST_BYTES, helpers_of


class DictFolder:
    """Files by their paths, and which of them were read."""

    def __init__(self, files: Mapping[str, str]) -> None:
        self.files = files
        self.read: list[str] = []

    def text(self, relative: str) -> str | None:
        if relative in self.files:
            self.read.append(relative)
        return self.files.get(relative)

    def is_folder(self, relative: str) -> bool:
        return any(path.startswith(f"{relative}/") for path in self.files)

    def path(self, relative: str) -> str:
        return f"/s/{relative}"


def helpers(text: str, **files: str) -> dict[str, str]:
    """The helpers of a scenario; files are written as `a__b` for `a/b.py`."""
    return found(text, {f"{name.replace('__', '/').replace('/init', '/__init__')}.py": t for name, t in files.items()})


def found(text: str, files: Mapping[str, str]) -> dict[str, str]:
    folder = DictFolder(files)
    result = helpers_of("scene", text, ast.parse(text), folder)
    assert sorted(folder.read) == sorted(result), "nothing is read twice, and nothing that does not go with it"
    return result


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("import a", ["a.py", "b.py"]),
        ("from a import x", ["a.py", "b.py"]),
        ("def start(u):\n    import b", ["b.py"]),
        ("import p", ["p/__init__.py"]),
        ("import p.one", ["p/__init__.py", "p/one.py", "p/two.py"]),
        ("from p import two", ["p/__init__.py", "p/two.py"]),
        ("from p import nothing", ["p/__init__.py"]),
        ("from p import *", ["p/__init__.py", "p/two.py"]),
        ("import n", []),
        ("import n.x", ["n/x.py"]),
        ("from n import x", ["n/x.py"]),
        ("import a.q", ["a.py", "b.py"]),
        ("import both", ["both/__init__.py"]),
        ("import c1", ["c1.py", "c2.py"]),
        ("import scene", []),
        ("import amoc.xmpp, random", []),
        ("import missing, missing.more", []),
    ],
)
def test_what_goes_with_a_scenario(text: str, wanted: list[str]) -> None:
    files = {
        "a.py": "import b, scene\nx = 1",
        "a/q.py": "",  # hidden by a.py
        "b.py": "",
        "p/__init__.py": "__all__ = ['two']",
        "p/one.py": "from . import two\nfrom .. import b",
        "p/two.py": "",
        "n/x.py": "",
        "both.py": "",
        "both/__init__.py": "",
        "c1.py": "import c2",
        "c2.py": "import c1",
        "random.py": "this hides nothing",
        "amoc/xmpp.py": "this hides nothing",
        "scene.py": "",
        "unused.py": "",
    }
    assert list(found(text, files)) == wanted


def test_texts_come_with_their_paths() -> None:
    assert helpers("import z, a", a="1", z="2") == {"a.py": "1", "z.py": "2"}


def test_a_helper_that_is_no_python_is_named_with_its_line_and_its_importer() -> None:
    with pytest.raises(ScenarioError) as caught:
        helpers("\nimport a", a="\n\nimport b", b="x = 1\ny = (")
    assert str(caught.value) == ("/s/a.py, line 3: it imports /s/b.py, line 2: syntax error: '(' was never closed")


def test_one_module_that_is_too_large_is_named() -> None:
    with pytest.raises(ScenarioError, match=r"^/s/scene.py, line 1: it imports /s/a.py is too large"):
        helpers("import a", a="#" * (1 << 20) + "#")


def test_the_module_with_which_it_becomes_too_much_is_named() -> None:
    text = "import a, b, c, d, e"
    large = "#" * (1 << 20)
    fits = "#" * (MOST_BYTES - 3 * (1 << 20) - len(text))
    assert len(helpers(text, a=large, b=large, c=large, d=fits)) == 4
    with pytest.raises(ScenarioError) as caught:
        helpers(text, a=large, b=large, c=large, d=fits, e="#")
    assert str(caught.value) == (
        "/s/scene.py, line 1: it imports /s/e.py, with which scene and its modules are more than 4096 KiB: "
        "put data into files that each node has"
    )
