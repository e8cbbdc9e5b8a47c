"""Which modules a module's text imports. Pure: nothing is executed, no file is looked at.

All import statements count, wherever they stand: those in functions, behind conditions and in `try` too. What is
imported by a call (`importlib.import_module`) is not seen.
"""

import ast
from collections.abc import Iterator

__all__ = ["exported", "imported"]


def imported(tree: ast.Module, package: str) -> Iterator[tuple[str, int]]:
    """(dotted name, line) of everything that may be a module; `a.*` for what `from a import *` may bring.

    `package`: the dotted name of the package that the module belongs to, for relative imports; empty for none.
    """
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node.lineno
        elif isinstance(node, ast.ImportFrom) and (base := _base(node, package)):
            yield base, node.lineno
            for alias in node.names:
                yield f"{base}.{alias.name}", node.lineno


def _base(node: ast.ImportFrom, package: str) -> str:
    """The absolute name of what follows `from`; empty if it leads out of the package, which Python refuses."""
    if node.level == 0:
        return node.module or ""
    parts = package.split(".") if package else []
    kept = parts[: len(parts) - (node.level - 1)]
    if not kept:
        return ""
    return ".".join([*kept, node.module] if node.module else kept)


def exported(tree: ast.Module) -> list[str]:
    """The names in the module's `__all__`, as far as they are written out: `from a import *` imports such modules."""
    names: list[str] = []
    for node in tree.body:
        if not isinstance(node, ast.Assign) or not isinstance(node.value, ast.List | ast.Tuple):
            continue
        if any(isinstance(target, ast.Name) and target.id == "__all__" for target in node.targets):
            names += [
                item.value for item in node.value.elts if isinstance(item, ast.Constant) and str is type(item.value)
            ]
    return names
