"""The import table of docs/architecture.md, enforced: who may import whom, no cycles, pure modules."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
AMOC = ROOT / "amoc"

# room: the rooms it may import directly. `errors` is open to all; a room may import itself.
MAY_IMPORT: dict[str, set[str]] = {
    "__main__": {"cli"},
    "cli": {"*"},
    "roles": {"*"},
    "local": {"operations", "roles"},  # roles lazily: docs/adr/0005
    "dist": {"operations", "console"},
    "api": {"operations"},
    "console": {"operations"},
    "operations": {"cluster", "launch", "report", "scenario"},
    "launch": set(),
    "cluster": {"control", "scenario", "metrics", "annotations", "config"},
    "node": {"worker", "control", "scenario", "metrics", "config"},
    "worker": {"users", "control", "metrics"},
    "users": {"scenario", "throttle", "coordinator", "metrics", "config"},
    "control": set(),
    "scenario": {"config"},
    "throttle": {"metrics", "config"},
    "coordinator": {"metrics", "config"},
    "report": {"metrics"},
    "annotations": {"metrics"},
    "metrics": set(),
    "config": set(),
    "xmpp": {"metrics", "config"},
    "errors": set(),
}
# rooms inside xmpp that import nothing else of amoc
SEALED = ("xmpp/core", "xmpp/transport", "xmpp/ext")
# what a pure module never imports: time comes in as `now`, effects go out as values
IMPURE = {"asyncio", "uvloop", "zmq", "socket", "time", "ssl", "threading", "subprocess", "multiprocessing"}


def modules() -> list[Path]:
    return sorted(AMOC.rglob("*.py"))


def room(path: Path) -> str:
    part = path.relative_to(AMOC).parts[0]
    return part.removesuffix(".py")


def imports(path: Path) -> list[tuple[str, int]]:
    """Every module imported anywhere in the file, as absolute dotted names, with its line."""
    package = ("amoc", *path.relative_to(AMOC).parts[:-1])
    found: list[tuple[str, int]] = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found += [(alias.name, node.lineno) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            start = ".".join((*base, *(node.module or "").split("."))).strip(".")
            if start == "amoc":
                found += [(f"amoc.{alias.name}", node.lineno) for alias in node.names]
            else:
                found.append((start, node.lineno))
    return found


def target(name: str) -> str | None:
    parts = name.split(".")
    if parts[0] != "amoc" or len(parts) == 1 or parts[1].startswith("__version"):
        return None
    return parts[1]


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_go_downward(path: Path) -> None:
    here = room(path)
    if here == "__init__":
        return
    assert here in MAY_IMPORT, f"{here} is not in the table of docs/architecture.md"
    allowed = MAY_IMPORT[here] | {here, "errors"}
    for name, line in imports(path):
        there = target(name)
        if there is not None and "*" not in allowed:
            assert there in allowed, f"{path}:{line}: {here} may not import {name}"


@pytest.mark.parametrize("sealed", SEALED)
def test_sealed_rooms_import_nothing_of_amoc(sealed: str) -> None:
    for path in (AMOC / sealed).rglob("*.py"):
        for name, line in imports(path):
            if name.startswith("amoc"):
                inside = (
                    name.startswith("amoc." + sealed.replace("/", "."))
                    or name == "amoc.xmpp.errors"
                    or (sealed != "xmpp/core" and name.startswith("amoc.xmpp.core"))
                )
                assert inside, f"{path}:{line} imports {name}"


def pure_modules() -> list[Path]:
    """Modules that say `Pure:` in their docstring, and all of xmpp/core."""
    chosen = []
    for path in modules():
        doc = ast.get_docstring(ast.parse(path.read_text())) or ""
        if "Pure:" in doc or (AMOC / "xmpp" / "core") in path.parents:
            chosen.append(path)
    return chosen


@pytest.mark.parametrize("path", pure_modules(), ids=lambda p: str(p.relative_to(ROOT)))
def test_pure_modules_do_no_io(path: Path) -> None:
    for name, line in imports(path):
        assert name.split(".")[0] not in IMPURE, f"{path}:{line}: a pure module imports {name}"


def test_no_cycles_between_rooms() -> None:
    edges: dict[str, set[str]] = {}
    for path in modules():
        here = room(path)
        for name, _ in imports(path):
            there = target(name)
            if there is not None and there != here:
                edges.setdefault(here, set()).add(there)
    done: set[str] = set()

    def visit(node: str, trail: tuple[str, ...]) -> None:
        assert node not in trail, f"import cycle: {' -> '.join((*trail, node))}"
        if node in done:
            return
        for child in sorted(edges.get(node, ())):
            visit(child, (*trail, node))
        done.add(node)

    for start in sorted(edges):
        visit(start, ())


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(ROOT)))
def test_every_module_says_what_it_is(path: Path) -> None:
    if path.read_text().strip():
        assert ast.get_docstring(ast.parse(path.read_text())), f"{path} has no docstring"
