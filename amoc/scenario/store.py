"""The directories of scenarios: what there is, its text, and a new one from the template.

A scenario is a file `name.py`. Files whose name starts with an underscore are helper modules, not scenarios.
"""

from collections.abc import Sequence
from pathlib import Path

from amoc.config import did_you_mean
from amoc.scenario.bundle import helpers_of
from amoc.scenario.contract import Source, check_name
from amoc.scenario.errors import ScenarioError
from amoc.scenario.folder import DiskFolder, read
from amoc.scenario.source import declared_names, first_line, parse, parse_text
from amoc.scenario.template import TEMPLATE

__all__ = ["Store"]


class Store:
    """Scenarios of several directories; where two have the same name, the earlier directory counts."""

    def __init__(self, directories: Sequence[Path]) -> None:
        if not directories:
            raise ValueError("a store has at least one directory")
        self._directories = [Path(directory) for directory in directories]

    def __repr__(self) -> str:
        return f"<Store {', '.join(map(str, self._directories))}>"

    def names(self) -> list[str]:
        """The names of all scenarios, sorted; whether one loads, `inspect` says."""
        return sorted(self._paths())

    def source(self, name: str) -> Source:
        """A scenario with the helper modules that it imports.

        Raises ScenarioError with a hint when there is none, or naming the file that cannot be read or used.
        """
        source, folder = self._alone(name)
        try:
            tree = parse(source)
        except ScenarioError:
            return source  # whoever loads or inspects it says what is wrong
        return Source.of(name, source.text, source.path, helpers_of(name, source.text, tree, folder))

    def _alone(self, name: str) -> tuple[Source, DiskFolder]:
        """A scenario without its helper modules, and where they are."""
        paths = self._paths()
        if name not in paths:
            wanted = Path(str(name)).stem  # a path may have been typed: scenarios/simple.py
            hint = did_you_mean(wanted, paths) or f": there is no {wanted}.py in {self._places()}"
            raise ScenarioError(f"unknown scenario {name!r}{hint}")
        folder = DiskFolder(paths[name].parent)
        return Source.of(name, read(paths[name]), folder.path(paths[name].name)), folder

    def summary(self, name: str) -> str:
        """The first line of a scenario's docstring, without executing it; empty when there is none."""
        try:
            return first_line(parse(self._alone(name)[0]))
        except ScenarioError:
            return ""

    def declared_names(self) -> set[str]:
        """Names of settings that the scenarios at hand declare, without executing them.

        For `Config.validate(also=…)`: app.config may contain them, though amoc itself does not know them.
        """
        names: set[str] = set()
        for name in self.names():
            try:
                source = self.source(name)
                for text in (source.text, *source.helpers.values()):
                    names |= declared_names(parse_text(text, source.path))
            except ScenarioError:
                continue  # reported when somebody wants to run it
        return names

    def new(self, name: str, directory: Path | None = None) -> Path:
        """Write a scenario from the template, which runs as it is; returns its path.

        Raises ScenarioError when the name is bad or taken, or the directory is not writable.
        """
        check_name(name)
        existing = self._paths().get(name)
        if existing is not None:
            raise ScenarioError(f"scenario {name} exists already: {existing}")
        path = (directory or self._directories[0]) / f"{name}.py"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("x", encoding="utf-8") as file:
                file.write(TEMPLATE.replace("{name}", name))
        except FileExistsError:
            raise ScenarioError(f"{path} exists already, or its directory is a file") from None
        except OSError as error:
            raise ScenarioError(f"{path} cannot be written: {error.strerror}") from None
        return path

    def _paths(self) -> dict[str, Path]:
        paths: dict[str, Path] = {}
        for directory in self._directories:
            for path in directory.glob("*.py"):
                if path.stem.isidentifier() and not path.stem.startswith("_"):
                    paths.setdefault(path.stem, path)
        return paths

    def _places(self) -> str:
        return " or ".join(str(directory) for directory in self._directories)
