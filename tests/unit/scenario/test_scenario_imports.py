"""What a module's text imports, told without executing it."""

import ast
from textwrap import dedent

import pytest

from amoc.scenario.imports import exported, imported


def names(text: str, package: str = "") -> list[str]:
    return sorted({name for name, _ in imported(ast.parse(dedent(text)), package)})


@pytest.mark.parametrize(
    ("text", "package", "wanted"),
    [
        ("import a", "", ["a"]),
        ("import a.b as c, d", "", ["a.b", "d"]),
        ("from a import b, c as d", "", ["a", "a.b", "a.c"]),
        ("from a.b import *", "", ["a.b", "a.b.*"]),
        ("from . import x", "p", ["p", "p.x"]),
        ("from .x import y", "p.q", ["p.q.x", "p.q.x.y"]),
        ("from ..x import y", "p.q", ["p.x", "p.x.y"]),
        ("from .. import x", "p.q", ["p", "p.x"]),
        ("from ... import x", "p.q", []),
        ("from . import x", "", []),
        ("x = 'import a'  # import b", "", []),
    ],
)
def test_statements(text: str, package: str, wanted: list[str]) -> None:
    assert names(text, package) == wanted


def test_imports_count_wherever_they_stand() -> None:
    text = """\
        try:
            import a
        except ImportError:
            import b

        if False:
            import c

        class K:
            import d

            async def f(self):
                def g():
                    from e import f
        """
    assert names(text) == ["a", "b", "c", "d", "e", "e.f"]


def test_lines() -> None:
    assert list(imported(ast.parse("import a\n\nfrom b import c\n"), "")) == [("a", 1), ("b", 3), ("b.c", 3)]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("__all__ = ['a', 'b']", ["a", "b"]),
        ("__all__ = ('a',)", ["a"]),
        ("__all__ = ['a', name, 3]", ["a"]),
        ("__all__ = made()", []),
        ("other = ['a']", []),
    ],
)
def test_names_that_a_package_exports(text: str, wanted: list[str]) -> None:
    assert exported(ast.parse(text)) == wanted
