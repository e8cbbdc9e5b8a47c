"""Completion of what only the node knows: names of settings, at the prompt.

    amoc_config.set("inter<Tab>             names of settings
    amoc_local.do(mongoose_simple, 1, 9, ro<Tab>    settings of that scenario and of amoc, as `rounds=`

The rest (objects, functions, parameters, scenarios) IPython completes by itself.
"""

import re
import time
from collections.abc import Callable
from typing import Any

from amoc.errors import AmocError

__all__ = ["SettingNames"]

# Completion runs between two keys: answers are remembered, and a scenario is not inspected at each one.
REMEMBERED = 30.0

_CONFIG = re.compile(r"""amoc_config\.(?:get|set|unset)\(\s*["'](\w*)$""")
_DO = re.compile(r"""amoc_\w+\.do\(\s*["']?(\w+)["']?\s*,(?:[^()]|\([^()]*\))*?[\s,](\w*)$""")


class SettingNames:
    """A matcher for IPython: `matches(text)` gives the names that can follow the text before the cursor."""

    def __init__(self, call: Callable[[str, tuple[Any, ...], dict[str, Any]], Any]) -> None:
        self._call = call
        self._known: dict[tuple[str, ...], tuple[float, list[str]]] = {}

    def matches(self, before_cursor: str) -> list[str]:
        """Completions of the last word of `before_cursor`; none if it is not a setting's place."""
        line = before_cursor.rpartition("\n")[2]
        if found := _CONFIG.search(line):
            word = found[1]
            return [name for name in self._settings() if name.startswith(word)]
        if found := _DO.search(line):
            scenario, word = found.groups()
            if not word:
                return []
            names = dict.fromkeys((*self._settings_of(scenario), *self._settings()))
            return [f"{name}=" for name in names if name.startswith(word)]
        return []

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
