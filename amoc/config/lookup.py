"""The layers of settings: environment > run-time values > app.config > declared defaults.

Every change resolves the settings it touches at once, so that `get` is one dict lookup, and a reader in
another thread (a plain `def start`) sees either the old or the new value.
"""

import os
import threading
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypedDict

from amoc.config.convert import show
from amoc.config.core import CORE
from amoc.config.errors import ConfigError, did_you_mean
from amoc.config.setting import UNSET, Setting

__all__ = ["Config", "Entry", "Layer", "Origin"]

Origin = Literal["env", "runtime", "file", "default", "unset"]

PREFIX = "AMOC_"
NOT_SETTINGS = frozenset({"AMOC_DIR"})  # read by the command line before any setting is looked up


@dataclass(frozen=True, slots=True)
class Entry:
    """One setting as `all()` shows it.

    `value` is None where nothing is set and `***` for a secret; `shadowed` means that a run-time value is
    hidden by the environment; `error` is why the value in force cannot be used, or empty.
    """

    value: Any
    source: Origin
    type: str
    default: Any
    doc: str
    change: Literal["live", "restart"]
    shadowed: bool = False
    error: str = ""


class Layer(TypedDict):
    """What another process needs, besides the environment, to build the same Config: `Config(**layer)`."""

    file: dict[str, Any]
    file_path: str
    runtime: dict[str, Any]


class Config:
    """The settings of one process.

    A wrong value in the environment or the file does not stop the construction: `validate()` reports it, and
    so does `get` of that setting. Wrong run-time values are refused at once. Returned lists and tables are
    shared: do not change them in place. `changes` rises whenever a value may have changed.
    """

    def __init__(
        self,
        settings: Iterable[Setting] = CORE,
        *,
        env: Mapping[str, str] | None = None,
        file: Mapping[str, Any] | None = None,
        file_path: str = "app.config",
        runtime: Mapping[str, Any] | None = None,
    ) -> None:
        env = os.environ if env is None else env
        self._env = {name: text for name, text in env.items() if name.startswith(PREFIX)}
        self._file = dict(file or {})
        self._file_path = file_path
        # Values of settings that a scenario declares later are kept as they are until then.
        self._runtime: dict[str, Any] = dict(runtime or {})
        self._declared: dict[str, Setting] = {}
        self._values: dict[str, Any] = {}
        self._errors: dict[str, ConfigError] = {}
        self._lock = threading.RLock()
        self.changes = 0
        self.declare(settings)

    def __repr__(self) -> str:
        return f"<Config {len(self._declared)} settings, set at run time: {sorted(self._runtime) or 'none'}>"

    @property
    def settings(self) -> tuple[Setting, ...]:
        """Every declared setting, in the order of declaration."""
        return tuple(self._declared.values())

    def setting(self, name: str) -> Setting:
        """The declaration of a setting; ConfigError with a hint when nobody declared it."""
        try:
            return self._declared[name]
        except KeyError:
            raise ConfigError(f"unknown setting {name!r}{did_you_mean(str(name), self._declared)}") from None

    def declare(self, settings: Iterable[Setting]) -> None:
        """Add settings, all or none. The same declaration twice is fine.

        Raises ConfigError when the name has a different declaration already, and when a run-time value given
        earlier does not fit the new one.
        """
        with self._lock:
            new: dict[str, Setting] = {}
            for setting in settings:
                known = self._declared.get(setting.name) or new.get(setting.name)
                if known is not None and known != setting:
                    raise ConfigError(
                        f"setting {setting.name} is declared already, differently (type {known.type_name}, "
                        f"default {show(known.shown(known.default))}): choose another name"
                    )
                if known is None:
                    new[setting.name] = setting
            accepted = {
                name: setting.accept(self._runtime[name], "set at run time")
                for name, setting in new.items()
                if name in self._runtime
            }
            self._declared |= new
            self._runtime |= accepted
            for name in new:
                self._resolve(name)

    def get(self, name: str, default: Any = UNSET) -> Any:
        """The value in force, of the declared type; `default` when nothing is set and none is declared.

        Raises ConfigError for an undeclared name, a value that cannot be used, and when there is no value.
        """
        try:
            return self._values[name]
        except KeyError:
            return self._missing(name, default)

    def set(self, name: str, value: Any) -> None:
        """Set a run-time value; ConfigError and no change when it is unknown, of a wrong type or refused."""
        self.set_all({name: value})

    def set_all(self, values: Mapping[str, Any]) -> None:
        """Set run-time values, all or none; the ConfigError names everything that is wrong."""
        with self._lock:
            accepted = self.accept(values)
            self._runtime |= accepted
            for name in accepted:
                self._resolve(name)

    def accept(self, values: Mapping[str, Any], source: str = "set at run time") -> dict[str, Any]:
        """The values converted and checked, without setting them; ConfigError names all that is wrong."""
        accepted: dict[str, Any] = {}
        wrong: list[str] = []
        for name, value in values.items():
            try:
                accepted[name] = self.setting(name).accept(value, source)
            except ConfigError as error:
                wrong.append(str(error))
        if wrong:
            raise ConfigError("; ".join(wrong))
        return accepted

    def unset(self, name: str) -> None:
        """Forget the run-time value, if there is one."""
        with self._lock:
            self.setting(name)
            self._runtime.pop(name, None)
            self._resolve(name)

    def source(self, name: str) -> Origin:
        """Where the value in force comes from."""
        self.setting(name)
        return self._lookup(name)[0]

    def all(self) -> dict[str, Entry]:
        """Every declared setting by name, sorted, with its value and source."""
        return {name: self._entry(self._declared[name]) for name in sorted(self._declared)}

    def runtime(self) -> dict[str, Any]:
        """The run-time values, secrets included: plain data (infinity is a float)."""
        return dict(self._runtime)

    def redact(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """The values with secrets hidden, for a status or a log."""
        known = self._declared
        return {name: known[name].shown(value) if name in known else value for name, value in values.items()}

    def layer(self) -> Layer:
        """What a worker needs to build the same Config; its environment it has already."""
        return Layer(file=dict(self._file), file_path=self._file_path, runtime=dict(self._runtime))

    def unknown_env(self) -> list[str]:
        """AMOC_… variables that belong to no declared setting: perhaps a scenario's, perhaps misspelt."""
        used = {variable for name in self._declared for variable in _variables(name)}
        return sorted(self._env.keys() - used - NOT_SETTINGS)

    def validate(self, also: Collection[str] = ()) -> None:
        """Check every given value of every layer, shadowed ones too; ConfigError names all that is wrong.

        A key of the file that nobody declared is an error, unless it is in `also`: the names that the
        scenarios at hand declare, whose values are checked when such a scenario is started.
        """
        wrong = self._wrong_values()
        known = {*self._declared, *also}
        wrong += [
            f"{self._file_path}: unknown setting {name!r}{did_you_mean(name, known)}"
            for name in self._file
            if name not in known
        ]
        if wrong:
            raise ConfigError("; ".join(wrong))

    def check_values(self) -> None:
        """As `validate`, without looking for unknown keys of the file."""
        if wrong := self._wrong_values():
            raise ConfigError("; ".join(wrong))

    def _wrong_values(self) -> list[str]:
        wrong: list[str] = []
        for setting in self._declared.values():
            for source, where, value in self._layers(setting.name):
                try:
                    setting.accept(value, where, text=source == "env")
                except ConfigError as error:
                    wrong.append(str(error))
        return wrong

    def _missing(self, name: str, default: Any) -> Any:
        if name in self._errors:
            raise ConfigError(str(self._errors[name]))
        self.setting(name)
        if default is UNSET:
            raise ConfigError(
                f"setting {name} is not set and has no default: put it into {self._file_path}, "
                f"into the environment as {PREFIX}{name}, or set it at run time"
            )
        return default

    def _layers(self, name: str) -> Iterable[tuple[Origin, str, Any]]:
        """(source, source for people, raw value) of each layer that has a value, the strongest first."""
        for variable in _variables(name):
            if variable in self._env:
                yield "env", f"{variable} in the environment", self._env[variable]
                break
        if name in self._runtime:
            yield "runtime", "set at run time", self._runtime[name]
        if name in self._file:
            yield "file", f"in {self._file_path}", self._file[name]

    def _lookup(self, name: str) -> tuple[Origin, str, Any]:
        for found in self._layers(name):
            return found
        default = self._declared[name].default
        return ("unset" if default is UNSET else "default"), "its default", default

    def _resolve(self, name: str) -> None:
        """Recompute what `get` answers for a declared setting."""
        self.changes += 1
        setting = self._declared[name]
        source, where, value = self._lookup(name)
        try:
            if source in ("env", "file"):
                value = setting.accept(value, where, text=source == "env")
        except ConfigError as error:
            self._errors[name] = error
            self._values.pop(name, None)
            return
        self._errors.pop(name, None)
        if value is UNSET:
            self._values.pop(name, None)
        else:
            self._values[name] = value

    def _entry(self, setting: Setting) -> Entry:
        name = setting.name
        source, _, raw = self._lookup(name)
        value = self._values.get(name, raw)
        return Entry(
            value=None if value is UNSET else setting.shown(value),
            source=source,
            type=setting.type_name,
            default=None if setting.default is UNSET else setting.shown(setting.default),
            doc=setting.doc,
            change=setting.change,
            shadowed=source == "env" and name in self._runtime,
            error=str(self._errors.get(name, "")),
        )


def _variables(name: str) -> tuple[str, str]:
    """The environment names of a setting: exact case first, then upper case."""
    return PREFIX + name, PREFIX + name.upper()
