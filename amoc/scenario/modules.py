"""Importing the helper modules of one scenario, from its bundle and from nowhere else.

`sys.meta_path` is asked in order, and the bundle comes first: a file of the same name on this machine is not looked
at. A process has one bundle at a time; taking up another forgets the modules of the one before.
"""

import linecache
import sys
from collections.abc import Sequence
from importlib.abc import InspectLoader, MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

from amoc.scenario.contract import Source

__all__ = ["Helpers"]


class Helpers(MetaPathFinder, InspectLoader):
    """The helper modules of `source`: finder and loader in one."""

    def __init__(self, source: Source) -> None:
        self._files: dict[str, tuple[str, str]] = {}  # dotted name → path, text
        self._packages: set[str] = set()
        directory = Path(source.path).parent
        for relative, text in source.helpers.items():
            parts = relative.removesuffix(".py").split("/")
            if parts[-1] == "__init__":
                parts.pop()
                self._packages.add(".".join(parts))
            self._files[".".join(parts)] = str(directory / relative), text
            self._packages.update(".".join(parts[:depth]) for depth in range(1, len(parts)))

    def __repr__(self) -> str:
        return f"<Helpers {sorted(self._files)}>"

    @property
    def names(self) -> set[str]:
        """The names that these modules take among all top-level ones."""
        return {name.partition(".")[0] for name in (*self._files, *self._packages)}

    @property
    def paths(self) -> set[str]:
        """The paths that their tracebacks show."""
        return {path for path, _ in self._files.values()}

    def install(self) -> None:
        """From now on imports find these modules; those of another bundle are forgotten.

        So is what a script that started amoc has imported from its own directory under one of their names.
        """
        self.remove()
        for name in list(sys.modules):
            if name.partition(".")[0] in self.names:
                del sys.modules[name]
        sys.meta_path.insert(0, self)

    @staticmethod
    def remove() -> None:
        """Forget every bundle and its modules."""
        for finder in [finder for finder in sys.meta_path if isinstance(finder, Helpers)]:
            sys.meta_path.remove(finder)
        for name, module in list(sys.modules.items()):
            if isinstance(getattr(getattr(module, "__spec__", None), "loader", None), Helpers):
                del sys.modules[name]

    # What Python's import asks

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Where a module is; a package has no `__path__` to search, for its modules are here or nowhere."""
        file = self._files.get(fullname)
        if file is None and fullname not in self._packages:
            return None
        spec = ModuleSpec(fullname, self, origin=file and file[0], is_package=fullname in self._packages)
        spec.has_location = file is not None
        return spec

    def is_package(self, fullname: str) -> bool:
        """Whether more modules lie in it."""
        return fullname in self._packages

    def get_source(self, fullname: str) -> str:
        """The text; of a directory without `__init__.py` an empty one."""
        return self._files.get(fullname, ("", ""))[1]

    def exec_module(self, module: ModuleType) -> None:
        """Run the module's text; tracebacks show that text."""
        path, text = self._files.get(module.__name__, ("", ""))
        if path:
            linecache.cache[path] = (len(text), None, text.splitlines(True), path)
            exec(compile(text, path, "exec", dont_inherit=True), vars(module))  # noqa: S102 - it is the scenario's
