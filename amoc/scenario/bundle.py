"""Which modules go with a scenario: those beside it that it imports, and those that they import.

Pure: files are read by a `Folder` that is passed in. A name is looked for as Python does it: the package
`name/__init__.py`, the module `name.py`, the directory `name/` without an `__init__.py`. Names of amoc and of
Python's own modules always mean these, whatever lies beside the scenario.
"""

import ast
import sys
from collections.abc import Iterator
from typing import Protocol

from amoc.scenario.errors import ScenarioError
from amoc.scenario.imports import exported, imported
from amoc.scenario.source import parse_text

__all__ = ["MOST_BYTES", "Folder", "helpers_of"]

MOST_BYTES = 4 << 20  # it is sent to every node in one reply, which may be 64 MiB, and lies in the master's file

_RESERVED = frozenset({*sys.stdlib_module_names, "amoc", "__main__"})


class Folder(Protocol):
    """The directory in which the scenario lies."""

    def text(self, relative: str) -> str | None:
        """The text of a module, None if there is no such file; ScenarioError when it may not or cannot be read."""

    def is_folder(self, relative: str) -> bool:
        """Whether this is a directory."""

    def path(self, relative: str) -> str:
        """The whole path, for people."""


def helpers_of(name: str, text: str, tree: ast.Module, folder: Folder) -> dict[str, str]:
    """The texts of all modules that scenario `name` needs from its folder, by their paths in it.

    Raises ScenarioError, naming the file: a module is not Python, may not be read, or all are too much.
    """
    return _Search(name, text, folder).run(tree)


class _Search:
    def __init__(self, name: str, text: str, folder: Folder) -> None:
        self._name = name
        self._folder = folder
        self._left = MOST_BYTES - _size(text)
        self._found: dict[str, str] = {}
        self._trees: dict[str, ast.Module] = {}
        self._waiting: list[tuple[str, str, ast.Module]] = []  # path, package, tree

    def run(self, tree: ast.Module) -> dict[str, str]:
        """Search from the scenario's tree on."""
        self._waiting.append((self._folder.path(f"{self._name}.py"), "", tree))
        while self._waiting:
            path, package, tree = self._waiting.pop()
            for module, line in imported(tree, package):
                self._need(module, f"{path}, line {line}")
        return dict(sorted(self._found.items()))

    def _need(self, module: str, where: str) -> None:
        """Take the module, and the packages that it lies in, as far as they are in the folder."""
        parts = module.split(".")
        if parts[0] in _RESERVED or parts[0] == self._name:
            return
        for depth, part in enumerate(parts):
            if part == "*":
                for name in self._exported(parts[:depth]):
                    self._need(".".join([*parts[:depth], name]), where)
            elif not self._take(parts[: depth + 1], where):
                return

    def _take(self, parts: list[str], where: str) -> bool:
        """Take one module; whether more may lie in it, since it is a package."""
        stem = "/".join(parts)
        for relative, package in ((f"{stem}/__init__.py", True), (f"{stem}.py", False)):
            if relative in self._found:
                return package
            try:
                text = self._folder.text(relative)
            except ScenarioError as error:
                raise ScenarioError(f"{where}: {error}") from None
            if text is not None:
                self._add(relative, text, ".".join(parts if package else parts[:-1]), where)
                return package
        return self._folder.is_folder(stem)

    def _add(self, relative: str, text: str, package: str, where: str) -> None:
        path = self._folder.path(relative)
        self._left -= _size(text)
        if self._left < 0:
            raise ScenarioError(
                f"{where}: it imports {path}, with which {self._name} and its modules are more than "
                f"{MOST_BYTES >> 10} KiB: put data into files that each node has"
            )
        try:
            tree = parse_text(text, path)
        except ScenarioError as error:
            raise ScenarioError(f"{where}: it imports {error}") from None
        self._found[relative] = text
        self._trees[relative] = tree
        self._waiting.append((path, package, tree))

    def _exported(self, parts: list[str]) -> Iterator[str]:
        tree = self._trees.get("/".join([*parts, "__init__.py"]))
        if tree is not None:
            yield from exported(tree)


def _size(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))
