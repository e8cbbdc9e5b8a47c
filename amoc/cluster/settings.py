"""The settings of the master and, while a test runs, those given to it and those its scenario declares.

Pure: no I/O. Settings given to `do` live as long as the run; those set by `config.set` stay.
"""

from collections.abc import Mapping
from typing import Any

from amoc.config import HIDDEN, UNSET, Config, ConfigError, interarrival_ms
from amoc.errors import BadInput
from amoc.scenario import Info, SettingInfo

__all__ = ["RunSettings"]


class RunSettings:
    """Looks up and changes settings; `config` is the master's own."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._given: dict[str, Any] = {}
        self._scenario: dict[str, SettingInfo] = {}

    def __repr__(self) -> str:
        return f"<RunSettings given {sorted(self._given)}>"

    def begin(self, info: Info) -> None:
        """A run of the scenario begins, with the settings that `inspect` accepted."""
        self._given = dict(info.given)
        self._scenario = {setting.name: setting for setting in info.settings}

    def end(self) -> None:
        """The run is over: its own settings are gone."""
        self._given = {}
        self._scenario = {}

    def given(self) -> dict[str, Any]:
        """The run's own settings."""
        return dict(self._given)

    def values(self) -> dict[str, Any]:
        """All run-time settings, as the workers get them."""
        return {**self._config.runtime(), **self._given}

    def interval(self, nodes: int) -> float:
        """Seconds between two user starts on each of `nodes` nodes."""
        return interarrival_ms(self._merged(), nodes) / 1000

    def get(self, name: str, default: Any = UNSET) -> Any:
        """The value in force; ConfigError when the name is unknown or has no value and no default."""
        declared = self._scenario.get(name)
        if declared is None:
            return self._merged().get(name, default)
        if declared.source == "env" or name not in self._given:
            if declared.source == "unset" and default is UNSET:
                raise ConfigError(f"setting {name} has no value: give it to do(…, {name}=…)")
            return default if declared.source == "unset" else declared.value
        return self._given[name]

    def all(self) -> dict[str, Any]:
        """Every setting by name: value, source, type, default, doc, change."""
        entries: dict[str, Any] = dict(self._merged().all())
        for name, declared in self._scenario.items():
            given = name in self._given and declared.source != "env"
            entries[name] = {
                "value": self.shown({name: self._given[name]})[name] if given else declared.value,
                "source": "runtime" if given else declared.source,
                "type": declared.type,
                "default": declared.default,
                "doc": declared.doc,
                "change": declared.change,
            }
        return entries

    def change(self, values: Mapping[str, Any]) -> None:
        """Set values, all or none; those of the running scenario must have been checked by `inspect`."""
        own = {name: value for name, value in values.items() if name in self._scenario}
        self._config.set_all({name: value for name, value in values.items() if name not in own})
        for name in values:
            self._given.pop(name, None)
        self._given |= own

    def unset(self, name: str) -> None:
        """Take back what was set at run time or given to the run."""
        if name not in self._scenario:
            self._config.unset(name)
        self._given.pop(name, None)

    def refuse_restart(self, values: Mapping[str, Any]) -> None:
        """BadInput if one of these cannot change while a test runs."""
        for name in values:
            declared = self._scenario.get(name)
            change = declared.change if declared is not None else self._config.setting(name).change
            if change == "restart":
                raise BadInput(f"{name} cannot be changed while a test runs: stop it first")

    def shown(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """The values with secrets hidden, for logs."""
        secret = {name for name, declared in self._scenario.items() if declared.secret}
        return {name: HIDDEN if name in secret else value for name, value in self._config.redact(values).items()}

    def _merged(self) -> Config:
        config = Config(self._config.settings, **self._config.layer())
        known = {setting.name for setting in config.settings}
        config.set_all({name: value for name, value in self._given.items() if name in known})
        return config
