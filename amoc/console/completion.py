"""Completion of what Python does not know: names of settings and options, at the prompt.

    amoc_config.set("inter<Tab>                     names of settings
    amoc_local.do(mongoose_simple, 1, 9, ro<Tab>    settings of that scenario and of amoc, as `rounds=`
    amoc_local.remove(5, for<Tab>                   options of operations, as `force=`

The rest (objects, functions, scenarios) IPython completes by itself.
"""

import re
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from amoc.errors import AmocError

if TYPE_CHECKING:
    from amoc.operations import Operation

__all__ = ["Names"]

# Completion runs between two keys: answers are remembered, and a scenario is not inspected at each one.
REMEMBERED = 30.0

_CONFIG = re.compile(r"""amoc_config\.(?:get|set|unset)\(\s*["'](\w*)$""")
# The operation, what stands before the word (brackets closed), the word.
_ARGUMENT = re.compile(r"""amoc_(\w+\.\w+)\(((?:[^()]|\([^()]*\))*?)(?<!\w)(\w+)$""")
_SCENARIO = re.compile(r"""\s*["']?(\w+)["']?\s*,""")


class Names:
    """A matcher for IPython: `matches(text)` gives the names that can follow the text before the cursor."""

    def __init__(
        self, table: Mapping[str, "Operation"], call: Callable[[str, tuple[Any, ...], dict[str, Any]], Any]
    ) -> None:
        self._table = table
        self._call = call
        self._known: dict[tuple[str, ...], tuple[float, list[str]]] = {}

    def matches(self, before_cursor: str) -> list[str]:
        """Completions of the last word of `before_cursor`; none if it is no place for such a name."""
        line = before_cursor.rpartition("\n")[2]
        if found := _CONFIG.search(line):
            word = found[1]
            return [name for name in self._settings() if name.startswith(word)]
        if found := _ARGUMENT.search(line):
            operation, before, word = found.groups()
            return [f"{name}=" for name in self._options(operation, before) if name.startswith(word)]
        return []

    def _options(self, name: str, before: str) -> list[str]:
        """The parameters of an operation that are usually given by name."""
        operation = self._table.get(name)
        parameters = operation.parameters if operation is not None else ()
        options = [p.name for p in parameters if not p.required and p.kind != "settings"]
        scenario = _SCENARIO.match(before)
        if scenario and any(p.kind == "settings" for p in parameters):
            options += [*self._settings_of(scenario[1]), *self._settings()]
        return list(dict.fromkeys(options))

    def _settings(self) -> list[str]:
        return self._ask("config.all", (), list)

    def _settings_of(self, scenario: str) -> list[str]:
        return self._ask("scenarios.info", (scenario,), lambda info: [s["name"] for s in info["settings"]])

    def _ask(self, op: str, args: tuple[str, ...], names: Callable[[Any], list[str]]) -> list[str]:
        now = time.monotonic()
        since, known = self._known.get((op, *args), (-REMEMBERED, []))
        if now - since < REMEMBERED:
            return known
        try:
            known = names(self._call(op, args, {}))
        except (AmocError, KeyError, TypeError):
            known = []  # no completion is all that a key can say
        self._known[(op, *args)] = (now, known)
        return known
