"""The settings of the master and, while a test runs, those given to it and those its scenario declares.

Pure: no I/O. Settings given to `do` live as long as the run; those set by `config.set` stay. They are also the
`Rules` that the master's decisions follow.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

from amoc.cluster.distribution import STRATEGIES, Place, checked
from amoc.config import CORE, HIDDEN, UNSET, Config, ConfigError, did_you_mean, interarrival_ms
from amoc.control import IdRange, Own
from amoc.errors import AmocError, BadInput
from amoc.scenario import Info, SettingInfo

__all__ = ["RunSettings"]

# What a node takes up when it starts; a single run cannot have its own.
OF_THE_NODE = frozenset(setting.name for setting in CORE if setting.change == "restart")
_SHOWN = ("value", "source", "type", "default", "doc", "change")  # of a scenario's setting, as Config.all has them


Function = Callable[..., Any]


class RunSettings:
    """Looks up and changes settings; `config` is the master's own.

    `find` imports a user's function by "module:function".
    """

    def __init__(self, config: Config, find: Callable[[str], Function] | None = None) -> None:
        self._config = config
        self._find = find
        self._given: dict[str, Any] = {}
        self._scenario: dict[str, SettingInfo] = {}
        self._secrets: set[str] = set()

    def __repr__(self) -> str:
        return f"<RunSettings given {sorted(self._given)}>"

    def begin(self, info: Info) -> None:
        """A run of the scenario begins, or goes on, with the settings that `inspect` accepted."""
        self._given = dict(info.given)
        self._scenario = {setting.name: setting for setting in info.settings}
        self._secrets = {setting.name for setting in info.settings if setting.secret}

    def end(self) -> None:
        """The run is over: its own settings are gone (which of them are secret is not: `shown` still hides them)."""
        self._given = {}
        self._scenario = {}

    @property
    def live(self) -> set[str]:
        """The names of amoc's own settings that may change while a test runs."""
        return {setting.name for setting in self._config.settings if setting.change == "live"}

    def values(self) -> dict[str, Any]:
        """All run-time settings, as the workers get them: without the master's own, such as its name."""
        mine = {name: value for name, value in self._config.runtime().items() if name not in OF_THE_NODE}
        return {**mine, **self._given}

    # The rules

    def failure_policy(self) -> str:
        """What becomes of a lost node's ids: keep or failover."""
        return str(self._merged().get("failure_policy"))

    def rebalance(self) -> bool:
        """Whether a node that joins gets running users of others."""
        return bool(self._merged().get("rebalance"))

    def interval(self, nodes: int) -> float:
        """Seconds between two user starts on each of `nodes` nodes."""
        return interarrival_ms(self._merged(), nodes) / 1000

    def deal(self, first: int, last: int, nodes: Sequence[Place], given: int) -> dict[str, list[IdRange]]:
        """Which node gets which of the ids. Raises BadInput when a user's function cannot say it."""
        name = str(self._merged().get("distribution"))
        if name in STRATEGIES:
            return STRATEGIES[name](first, last, nodes, given)
        if self._find is None or ":" not in name:
            known = ", ".join(STRATEGIES)
            raise BadInput(f"distribution {name!r} is not known: it is one of {known}, or module:function")
        function = self._find(name)
        plain = [{"name": node.name, "cores": node.cores, "users": node.users} for node in nodes]
        try:
            found = function(first, last, plain)
        except AmocError:
            raise
        except Exception as error:
            raise BadInput(f"distribution {name} raised {type(error).__name__}: {error}") from None
        return checked(found, first, last, nodes)

    def get(self, name: str, default: Any = UNSET) -> Any:
        """The value in force, a secret hidden; ConfigError when the name is unknown or without value and default."""
        declared = self._scenario.get(name)
        if declared is None:
            self._check_known(name)
            return self.shown({name: self._merged().get(name, default)})[name]
        if declared.source == "unset":
            if default is UNSET:
                raise ConfigError(f"setting {name} has no value: give it to do(…, {name}=…)")
            return default
        return declared.value

    def all(self) -> dict[str, Any]:
        """Every setting by name: value, source, type, default, doc, change."""
        entries: dict[str, Any] = dict(self._merged().all())
        for name, declared in self._scenario.items():
            entries[name] = {field: getattr(declared, field) for field in _SHOWN}
        return entries

    # Changes

    def check_run(self, given: Iterable[str]) -> None:
        """BadInput if one of the names given to a run is the node's to have."""
        for name in given:
            if name in OF_THE_NODE:
                raise BadInput(f"{name} belongs to the node, not to one run: set it when the node is started")

    def check_change(self, names: Iterable[str], running: bool) -> None:
        """BadInput if one of these is unknown, or cannot change while a test runs and one does."""
        for name in names:
            self._check_known(name)
            declared = self._scenario.get(name)
            change = declared.change if declared is not None else self._config.setting(name).change
            if running and change == "restart":
                raise BadInput(f"{name} cannot be changed while a test runs: stop it first")

    def concerns_scenario(self, names: Iterable[str]) -> bool:
        """Whether one of the names is declared by the running scenario, which only `inspect` can check."""
        return any(name in self._scenario for name in names)

    def given_after(self, values: Mapping[str, Any], unset: Collection[str]) -> dict[str, Any]:
        """What will be given to the run when `values` are set and the names of `unset` taken back."""
        kept = {name: value for name, value in self._given.items() if name not in values and name not in unset}
        return kept | {name: value for name, value in values.items() if name in self._scenario}

    def change(self, values: Mapping[str, Any], unset: Collection[str], info: Info | None) -> None:
        """Set `values`, all or none, and take back `unset`; `info` is that of `given_after`, if it was inspected."""
        self._config.set_all({name: value for name, value in values.items() if name not in self._scenario})
        for name in unset:
            if name not in self._scenario:
                self._config.unset(name)
        if info is None:
            self._given = self.given_after(values, unset)
        else:
            self.begin(info)

    def own(self, values: Mapping[str, Any], info: Info | None, nodes: int, before: Own | None) -> Own:
        """What a single node has when `values` are set for it alone; `info` as in `change`."""
        mine = {name: value for name, value in values.items() if name not in self._scenario}
        accepted = self._config.accept(mine)
        if info is not None:
            accepted |= {name: info.given[name] for name in values if name in self._scenario}
        settings = {**(before.settings if before is not None else {}), **accepted}
        merged = self._merged()
        merged.set_all({name: value for name, value in settings.items() if name not in self._scenario})
        own = {"interarrival", "user_rate"} & settings.keys()
        return Own(settings, interarrival_ms(merged, nodes) / 1000 if own else None)

    def shown(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """The values with secrets hidden, for people and logs."""
        return {name: HIDDEN if name in self._secrets else v for name, v in self._config.redact(values).items()}

    def _check_known(self, name: str) -> None:
        known = {setting.name for setting in self._config.settings} | self._scenario.keys()
        if name not in known:
            raise ConfigError(f"unknown setting {name!r}{did_you_mean(name, known)}")

    def _merged(self) -> Config:
        config = Config(self._config.settings, **self._config.layer())
        known = {setting.name for setting in config.settings}
        config.set_all({name: value for name, value in self._given.items() if name in known})
        return config
