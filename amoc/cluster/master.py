"""The master: carries out what an operator asks for, over the bus, and waits until the nodes have done it.

A thin shell around `state`. Every method that an operation calls returns plain data and raises BadInput
(nothing was changed) or Failed (it was tried; the text says what came of it).
"""

import asyncio
import random
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec

from amoc.cluster.events import Events
from amoc.cluster.settings import RunSettings
from amoc.cluster.state import ClusterState
from amoc.cluster.view import status
from amoc.config import UNSET, Config
from amoc.control import (
    Beat,
    BeatReply,
    Command,
    Fetch,
    Fetched,
    Hello,
    MasterBus,
    Refused,
    Remove,
    Reply,
    Request,
    Run,
    Snapshot,
    SnapshotReply,
    Welcome,
)
from amoc.errors import BadInput, Failed
from amoc.metrics import Delta, Store
from amoc.scenario import Info, Source, inspect

__all__ = ["Master"]

# Seconds to wait for the nodes' acknowledgements: they beat every second and answer at once.
ACKNOWLEDGE = 10.0
# A node ends its own steps in time (node/state.py); these bounds only end the waiting if it does not.
BEGIN = 200.0
END = 60.0

_decode_delta = msgspec.msgpack.Decoder(Delta).decode


class Master:
    """The master of a cluster. `config` holds its settings, `events` the stream of what happens."""

    def __init__(
        self, name: str, version: str, config: Config, events: Events, bus: MasterBus, extra_settings: tuple[str, ...]
    ) -> None:
        self.name = name
        self.version = version
        self.config = config
        self.events = events
        self.state = ClusterState()
        self.store = Store()
        self.born = time.time()
        self.started: float | None = None
        self.ended: float | None = None
        self.reason: str | None = None
        self._extra = extra_settings
        self._settings = RunSettings(config)
        self._bus = bus
        self._sources: dict[str, Source] = {}
        self._changed = asyncio.Event()
        self.preparing: str | None = None
        self._ending: asyncio.Task[None] | None = None
        self._all_ended = False
        bus.serve(self._answer)

    def __repr__(self) -> str:
        return f"<Master {self.name} {self.state}>"

    async def close(self) -> None:
        """End a run that is under way, at once."""
        if self.state.active():
            await self.stop(force=True)

    # Operations

    async def inspect(self, source: Source) -> dict[str, Any]:
        """What a scenario is."""
        info = await inspect(source, layer=self.config.layer(), extra=self._extra)
        plain: dict[str, Any] = msgspec.to_builtins(info)
        del plain["given"]
        return plain

    async def do(self, source: Source, first: int, last: int, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Start a run; returns per node what it got."""
        if self.preparing is not None or self.state.active():
            running = self.preparing or (self.state.desired.run.scenario if self.state.desired.run else "")
            raise BadInput(f"{running} is running already: stop it first, or add users to it")
        if first < 1 or last < first:
            raise BadInput(f"users {first} to {last}: the first must be at least 1 and the last not below the first")
        nodes = sorted(self.state.nodes)
        if not nodes:
            raise Failed("there is no node to run users on")
        self.preparing = source.name
        try:
            info = await inspect(source, settings, layer=self.config.layer(), extra=self._extra)
            self._settings.begin(info)
            await self._begin(source, info, nodes)
        finally:
            self.preparing = None
        commands = self.state.step("run") + self.state.assign(first, last)
        await self._acknowledged(commands)
        return {node: {"users": _ranges(ids)} for node, ids in self.state.desired.assigned.items()}

    async def _begin(self, source: Source, info: Info, nodes: list[str]) -> None:
        """Take the nodes through setup and init."""
        self._sources = {source.version: source}
        self.store = Store()
        self.events.forget()
        self.started, self.ended, self.reason = time.time(), None, None
        self._ending, self._all_ended = None, False
        seed = random.SystemRandom().getrandbits(32)
        began = time.strftime("%Y%m%d-%H%M%S", time.gmtime(self.started))
        run_id = f"{began}-{source.name}-{seed & 0xFFFF:04x}"  # two runs may begin within one second
        run = Run(run_id, source.name, source.version, self._settings.values(), nodes, self.started, seed)
        self._publish(self.state.start(run, self._settings.interval(len(nodes))))
        self.events.say("run", f"{source.name} starts on {', '.join(nodes)} (run {run_id})")
        try:
            await self._until(lambda: self.state.reached("setup"), BEGIN, "the scenario to load")
            data = self.state.of_run()[0].data
            self._publish(self.state.step("init", data))
            await self._until(lambda: self.state.reached("init"), BEGIN, "init()")
        except BaseException as error:
            self._fail(str(error) or type(error).__name__)
            await asyncio.shield(self._end())
            raise

    async def add(self, count: int) -> dict[str, Any]:
        """More users, from the highest id used on."""
        self._check_running("add users to")
        if count < 1:
            raise BadInput(f"add({count}): the number of users must be at least 1")
        first = self.state.highest + 1
        before = {node: len(ids) for node, ids in self.state.desired.assigned.items()}
        commands = self.state.assign(first, first + count - 1)
        self._all_ended = False
        await self._acknowledged(commands)
        self.events.say("run", f"{count} users added: {first} to {first + count - 1}")
        assigned = self.state.desired.assigned
        new = {node: ids[before.get(node, 0) :] for node, ids in assigned.items()}
        return {node: {"added": sum(map(len, ids)), "users": _ranges(ids)} for node, ids in new.items() if ids}

    async def remove(self, count: int, *, force: bool = False) -> dict[str, Any]:
        """End the newest users: exactly `count`, or all there are."""
        self._check_running("remove users from")
        if count < 1:
            raise BadInput(f"remove({count}): the number of users must be at least 1")
        removed: dict[str, int] = {}
        left = count
        while left > 0:
            commands = self.state.remove(left, force)
            if not commands:
                break
            self._publish(commands)
            command = commands[0]
            assert isinstance(command, Remove)
            await self._until(lambda c=command: self.state.dropped(c) is not None, ACKNOWLEDGE, "remove")  # type: ignore[misc]
            for node, number in (self.state.dropped(command) or {}).items():
                removed[node] = removed.get(node, 0) + number
                left -= number
        total = sum(removed.values())
        self.state.removed += total
        self.events.say("run", f"{total} users removed" + (" by force" if force else ""))
        if not total:
            raise Failed("there is no user left to remove")
        return {node: {"removed": number} for node, number in removed.items()}

    async def stop(self, *, force: bool = False) -> dict[str, Any]:
        """End the run; returns per node the state it is in afterwards."""
        if not self.state.active():
            raise BadInput("no test is running")
        self.reason = self.reason or "stopped"
        self._publish(self.state.stop(force))
        await asyncio.shield(self._end())
        return {node.name: {"state": node.state} for node in self.state.of_run()}

    def users(self) -> dict[str, int]:
        """The users of the run, by what they do."""
        counts = self.state.counts()
        return {"wanted": self.state.given - counts.removed, **msgspec.to_builtins(counts)}

    def status(self) -> dict[str, Any]:
        """Everything known; see docs/console.md for the shape."""
        return status(self)

    def setting(self, name: str, default: Any = UNSET) -> Any:
        """The value of one setting, of amoc's own or of the running scenario's."""
        return self._settings.get(name, default)

    def settings(self) -> dict[str, Any]:
        """Every declared setting with its value, source, type, default and meaning."""
        return self._settings.all()

    async def update_settings(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Change settings here and on every node: all of them or, if one is wrong, none."""
        await self._change(values, self._settings.change)
        return {name: self._settings.get(name) for name in values}

    async def unset_setting(self, name: str) -> Any:
        """Take back what was set at run time; returns the value now in force (None if there is none)."""
        await self._change({}, lambda _: self._settings.unset(name))
        return self._settings.get(name, None)

    async def _change(self, values: Mapping[str, Any], change: Callable[[Mapping[str, Any]], None]) -> None:
        """Check `values` against all declarations, then let `change` take them here, then tell the nodes."""
        active = self.state.active() and self.preparing is None
        run = self.state.desired.run
        if active and run is not None and values:
            self._settings.refuse_restart(values)
            known = {name: value for name, value in self._settings.given().items() if name not in values}
            source = self._sources[run.version]
            info = await inspect(source, {**known, **values}, layer=self.config.layer(), extra=self._extra)
            values = {name: info.given[name] for name in values}
        change(values)
        if active and run is not None:
            interval = self._settings.interval(len(run.nodes))
            await self._acknowledged(self.state.change(self._settings.values(), interval))
        if values:
            shown = ", ".join(f"{name} = {value!r}" for name, value in self._settings.shown(values).items())
            self.events.say("settings", f"settings changed: {shown}")

    # The end of a run

    def _end(self) -> asyncio.Task[None]:
        """The one task that takes the present run through stop, teardown and over."""
        if self._ending is None:
            self._ending = asyncio.get_running_loop().create_task(self._walk_to_end())
        return self._ending

    async def _walk_to_end(self) -> None:
        run = self.state.desired.run
        assert run is not None
        await self._until(lambda: self.state.reached("stop"), END, "the users to end", watch=False)
        self.ended = time.time()
        self._publish(self.state.step("teardown"))
        await self._until(lambda: self.state.reached("teardown"), BEGIN, "teardown", watch=False)
        self._publish(self.state.step("over"))
        await self._until(lambda: self.state.reached("over"), ACKNOWLEDGE, "the end", watch=False)
        self._settings.end()
        self.events.say("run", f"{run.scenario} is over: {self.reason}")

    def _fail(self, reason: str) -> None:
        """End the run because it cannot go on."""
        if self.state.active() and self._ending is None:
            self.reason = reason
            self._publish(self.state.stop(True))
            self._end()

    # The bus

    def _answer(self, request: Request) -> Reply:
        now = time.monotonic()
        match request:
            case Hello():
                self.state.hello(request, now)
                return Welcome(self.state.desired.number)
            case Beat():
                return self._take_beat(request, now)
            case Snapshot():
                return SnapshotReply(self.state.desired)
            case Fetch(version=version):
                source = self._sources.get(version)
                if source is None:
                    return Refused(f"no scenario of version {version[:12]} is being run")
                return Fetched(source.name, source.path, source.text, source.version)
        return Refused("this master does not know that request")

    def _take_beat(self, beat: Beat, now: float) -> Reply:
        node = self.state.nodes.get(beat.node)
        if node is None or node.incarnation != beat.incarnation:
            return Refused(f"node {beat.node} is not registered: say hello first")
        if self.state.beat(beat, now):
            delta = _decode_delta(beat.metrics) if beat.metrics else Delta()
            self.store.apply(beat.node, delta, now)
            for event in beat.events:
                self.events.publish(event)
            failure = self.state.failure()
            if failure is not None and self.preparing is None:
                self._fail(f"{failure[0]}: {failure[1]}")
            self._notice_all_ended()
        self._changed.set()
        return BeatReply(beat.seq, self.state.desired.number)

    def _notice_all_ended(self) -> None:
        counts = self.state.counts()
        over = counts.finished + counts.failed + counts.removed + counts.stuck
        if self.state.desired.phase == "run" and self.state.given and over == self.state.given and not self._all_ended:
            self._all_ended = True
            how = f"{counts.finished} finished, {counts.failed} failed, {counts.removed} removed"
            self.events.say("run", f"all users have ended: {how}")

    def _publish(self, commands: Iterable[Command]) -> None:
        for command in commands:
            self._bus.publish(command)

    async def _acknowledged(self, commands: list[Command]) -> None:
        self._publish(commands)
        number = commands[-1].number
        await self._until(lambda: self.state.applied(number), ACKNOWLEDGE, "the nodes' acknowledgement")

    async def _until(self, condition: Callable[[], bool], timeout: float, what: str, watch: bool = True) -> None:
        """Wait for `condition`. With `watch`, a node in error or the end of the run raises Failed."""
        deadline = time.monotonic() + timeout
        while not condition():
            if watch:
                failure = self.state.failure()
                if failure is not None:
                    raise Failed(f"{failure[0]}: {failure[1]}")
                if self.state.desired.phase not in ("setup", "init", "run"):
                    raise Failed("the test was stopped meanwhile")
            left = deadline - time.monotonic()
            if left <= 0:
                silent = [node.name for node in self.state.of_run()]
                raise Failed(f"waited {timeout:.0f} s for {what} on {', '.join(silent)}")
            self._changed.clear()
            try:
                await asyncio.wait_for(self._changed.wait(), min(left, 1.0))
            except TimeoutError:
                pass

    def _check_running(self, action: str) -> None:
        if not self.state.active() or self.state.desired.phase != "run":
            raise BadInput(f"no test is running to {action}: start one with do")


def _ranges(ids: Iterable[Any]) -> list[list[int]]:
    return [[r.first, r.last, r.step] for r in ids]
