"""Settings, declared once; found in the environment, run-time values, app.config or defaults, in this order.

Runs in every process. A scenario says

    from amoc import config
    from amoc.config import Setting, at_least

    SETTINGS = [Setting("rounds", int, 73, "messages per user", check=at_least(1))]

    async def start(user_id):
        for _ in range(config.get("rounds")): ...

Inside: `convert` (types), `setting` (one declaration), `checks`, `lookup` (the layers), `file` (app.config),
`core` (amoc's own settings), `process` (this process's one Config). Of amoc, it imports only `errors`.
"""

from amoc.config.checks import at_least, between, not_empty
from amoc.config.convert import Count, plain
from amoc.config.core import CORE, interarrival_ms
from amoc.config.errors import ConfigError, did_you_mean
from amoc.config.file import read_file
from amoc.config.lookup import Config, Entry, Layer, Origin
from amoc.config.process import all, current, declare, get, set, set_all, unset, use
from amoc.config.setting import HIDDEN, UNSET, Setting

__all__ = [
    "CORE",
    "HIDDEN",
    "UNSET",
    "Config",
    "ConfigError",
    "Count",
    "Entry",
    "Layer",
    "Origin",
    "Setting",
    "all",
    "at_least",
    "between",
    "current",
    "declare",
    "did_you_mean",
    "get",
    "interarrival_ms",
    "not_empty",
    "plain",
    "read_file",
    "set",
    "set_all",
    "unset",
    "use",
]
