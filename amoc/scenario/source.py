"""What can be told from a scenario's text without executing it. Pure: no I/O.

The calls looked for are those of `amoc.config` with a literal name, however it was imported:

    from amoc import config [as c]     config.get("rounds")
    import amoc.config [as c]          amoc.config.get("rounds")
    from amoc.config import get        get("rounds")

A name that a function or the module binds anew is not amoc's any more and is left alone: better to miss a
call than to accuse a correct scenario.
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from amoc.scenario.contract import Source
from amoc.scenario.errors import ScenarioError

__all__ = ["MAX_BYTES", "SettingUse", "declared_names", "first_line", "parse", "parse_text", "uses_of_settings"]

MAX_BYTES = 1 << 20  # a scenario is read by people and sent to every node; 1 MiB is some 25,000 lines

_FUNCTIONS = frozenset({"get", "set", "unset"})

Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda


@dataclass(frozen=True, slots=True)
class SettingUse:
    """A call such as `config.get("rounds")`."""

    name: str
    line: int
    needs_value: bool  # a `get` without a default of its own


def parse(source: Source) -> ast.Module:
    """The syntax tree; ScenarioError with line and reason when it is not Python, or too large."""
    return parse_text(source.text, source.path)


def parse_text(text: str, path: str) -> ast.Module:
    """The same of any module that goes with a scenario; `path` is for people."""
    if len(text) > MAX_BYTES:
        raise ScenarioError(f"{path} is too large for a scenario: {len(text) >> 10} KiB, at most {MAX_BYTES >> 10}")
    try:
        return ast.parse(text, path)
    except SyntaxError as error:
        raise ScenarioError(f"{path}, line {error.lineno or 1}: syntax error: {error.msg}") from None
    except (ValueError, RecursionError, MemoryError) as error:
        raise ScenarioError(f"{path}: not Python: {str(error) or 'nested too deeply'}") from None


def first_line(tree: ast.Module) -> str:
    """The first line of the module's docstring, or an empty text."""
    return (ast.get_docstring(tree) or "").partition("\n")[0]


def declared_names(tree: ast.Module) -> set[str]:
    """The names in `Setting("name", …)` calls: what the scenario most probably declares."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and _last_name(node.func) == "Setting":
            names.update(filter(None, [_literal(node, "name")]))
    return names


def uses_of_settings(tree: ast.Module) -> list[SettingUse]:
    """Every literal name given to get, set or unset of amoc.config, in the order of the lines."""
    aliases = {local: target for node in ast.walk(tree) for local, target in _imported(node)}
    return sorted(_uses(tree, _without(aliases, _bound(tree))), key=lambda use: use.line)


def _imported(node: ast.AST) -> Iterator[tuple[str, str]]:
    """(local name, what it stands for) of imports that lead to amoc.config."""
    if isinstance(node, ast.Import):
        for alias in node.names:
            if alias.asname is None and alias.name.split(".")[0] == "amoc":
                yield "amoc", "amoc"
            elif alias.asname and alias.name in ("amoc", "amoc.config"):
                yield alias.asname, alias.name
    elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module in ("amoc", "amoc.config"):
        for alias in node.names:
            yield alias.asname or alias.name, f"{node.module}.{alias.name}"


def _uses(tree: ast.Module, aliases: dict[str, str]) -> Iterator[SettingUse]:
    waiting: list[tuple[ast.AST, dict[str, str]]] = [(tree, aliases)]
    while waiting:
        node, aliases = waiting.pop()
        if isinstance(node, Function):
            aliases = _without(aliases, _bound(node))
        waiting.extend((child, aliases) for child in ast.iter_child_nodes(node))
        if not isinstance(node, ast.Call):
            continue
        module, _, function = _resolve(node.func, aliases).rpartition(".")
        name = _literal(node, "name")
        if module == "amoc.config" and function in _FUNCTIONS and name is not None:
            with_default = len(node.args) > 1 or any(word.arg != "name" for word in node.keywords)
            yield SettingUse(name, node.lineno, function == "get" and not with_default)


def _without(aliases: dict[str, str], names: set[str]) -> dict[str, str]:
    return {name: target for name, target in aliases.items() if name not in names}


def _bound(scope: ast.Module | Function) -> set[str]:
    """Names that the scope itself binds by parameters and assignments (imports are not counted)."""
    names: set[str] = set()
    if isinstance(scope, Function):
        arguments = scope.args
        plain = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
        names.update(arg.arg for arg in (*plain, arguments.vararg, arguments.kwarg) if arg is not None)
    waiting: list[ast.AST] = list(ast.iter_child_nodes(scope))
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            names.add(node.id)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        if not isinstance(node, Function):
            waiting.extend(ast.iter_child_nodes(node))
    return names


def _resolve(node: ast.expr, aliases: dict[str, str]) -> str:
    """The dotted name an expression stands for, or an empty text."""
    if isinstance(node, ast.Name):
        return aliases.get(node.id, "")
    if isinstance(node, ast.Attribute):
        base = _resolve(node.value, aliases)
        return f"{base}.{node.attr}" if base else ""
    return ""


def _last_name(node: ast.expr) -> str:
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""


def _literal(call: ast.Call, keyword: str) -> str | None:
    """The text given as the first argument or by keyword, when it is written out."""
    candidates = [*call.args[:1], *(word.value for word in call.keywords if word.arg == keyword)]
    for node in candidates:
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            return node.value
    return None
