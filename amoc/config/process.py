"""This process's one Config, as functions: what scenarios call."""

from collections.abc import Iterable, Mapping
from typing import Any

from amoc.config.lookup import Config, Entry
from amoc.config.setting import UNSET, Setting

__all__ = ["all", "current", "declare", "get", "set", "set_all", "unset", "use"]

_config: Config | None = None


def use(config: Config) -> None:
    """Make `config` the one that this process's scenarios and packages read."""
    global _config
    _config = config


def current() -> Config:
    """The Config in use; before `use`, one with the defaults and the environment."""
    global _config
    if _config is None:
        _config = Config()
    return _config


def get(name: str, default: Any = UNSET) -> Any:
    """The value of a declared setting; see `Config.get`."""
    return (_config or current()).get(name, default)


def set(name: str, value: Any) -> None:
    """Set a run-time value in this process only; see `Config.set`."""
    current().set(name, value)


def set_all(values: Mapping[str, Any]) -> None:
    """Set run-time values in this process only, all or none; see `Config.set_all`."""
    current().set_all(values)


def unset(name: str) -> None:
    """Forget the run-time value of this process."""
    current().unset(name)


def all() -> dict[str, Entry]:
    """Every declared setting with its value and source."""
    return current().all()


def declare(settings: Iterable[Setting]) -> None:
    """Add settings to those of this process; see `Config.declare`."""
    current().declare(settings)
