"""The master: carries out what an operator asks for, over the bus, and waits until the nodes have done it.

A thin shell around `state`. Every method that an operation calls returns plain data and raises BadInput
(nothing was changed) or Failed (it was tried; the text says what came of it).
"""

import asyncio
import contextlib
import random
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

import msgspec

from amoc.cluster.events import Events
from amoc.cluster.settings import RunSettings
from amoc.cluster.state import ClusterState
from amoc.cluster.view import node_figures, status
from amoc.config import UNSET, Config
from amoc.control import (
    HIGHEST,
    PROTOCOL,
    Beat,
    BeatReply,
    Command,
    Fetch,
    Fetched,
    Hello,
    IdRange,
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
from amoc.metrics import Store, unpack
from amoc.scenario import Info, Source, inspect

__all__ = ["Master"]

# Seconds to wait for the nodes' acknowledgements: they beat every second and answer at once.
ACKNOWLEDGE = 10.0
PING = 3.0
# A node ends its own steps in time (node/state.py); these bounds only end the waiting if it does not.
BEGIN = 200.0
END = 60.0


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
        self.preparing: str | None = None  # the scenario that `do` is about to start
        self._checking: asyncio.Future[Info] | None = None  # its check, which `stop` may break off
        self._ending: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()
        self._settings_lock = asyncio.Lock()
        self._all_ended = False
        bus.serve(self._answer)

    def __repr__(self) -> str:
        return f"<Master {self.name} {self.state}>"

    async def close(self) -> None:
        """End a run that is under way, at once."""
        if self.preparing is not None or self.state.active() or self.ending:
            await self.stop(force=True)

    @property
    def ending(self) -> bool:
        """Whether a run is being taken to its end."""
        return self._ending is not None and not self._ending.done()

    # Operations

    async def inspect(self, source: Source) -> dict[str, Any]:
        """What a scenario is."""
        info = await inspect(source, layer=self.config.layer(), extra=self._extra)
        plain: dict[str, Any] = msgspec.to_builtins(info)
        del plain["given"]
        return plain

    async def do(
        self,
        source: Source,
        first: int,
        last: int,
        settings: Mapping[str, Any],
        nodes: Sequence[str] | None = None,
        comment: str | None = None,
    ) -> dict[str, Any]:
        """Start a run on `nodes`, or on all that are up; returns per node what it got.

        When this is cancelled before the users are handed out, the run is taken back; afterwards it goes on.
        """
        self._check_free()
        if first < 1 or last < first:
            raise BadInput(f"users {first} to {last}: the first must be at least 1 and the last not below the first")
        _check_highest(last)
        self._settings.check_run(settings)
        chosen = self._known(nodes) or sorted(self.state.nodes)
        if not chosen:
            raise Failed("there is no slave to run users on: start the slaves, then look at nodes()")
        self.preparing = source.name
        try:
            info = await self._check(source, settings)
            self._settings.begin(info)
            await self._begin(source, chosen, comment)
        finally:
            self.preparing = None
        self._publish(self.state.step("run"))
        assign = self.state.assign(first, last)
        await self._acknowledged(assign)
        return {node: {"users": _ranges(ids)} for node, ids in assign.ids.items()}

    def _check_free(self) -> None:
        """BadInput if there is a run already, in whichever phase."""
        if self.preparing is not None:
            raise BadInput(f"{self.preparing} is being started already: wait for it, or stop it first")
        run = self.state.desired.run
        if run is not None and self.ending:
            raise BadInput(f"{run.scenario} is still being stopped: wait until it is over")
        if run is not None and self.state.active():
            raise BadInput(f"{run.scenario} is running already: stop it first, or add users to it")

    async def _check(self, source: Source, settings: Mapping[str, Any]) -> Info:
        """Inspect what is to be run. Raises Failed when `stop` breaks it off."""
        self._checking = asyncio.ensure_future(inspect(source, settings, layer=self.config.layer(), extra=self._extra))
        try:
            return await self._checking
        except asyncio.CancelledError:
            if (task := asyncio.current_task()) is not None and task.cancelling():
                raise
            raise Failed(f"{source.name} was stopped before it began") from None
        finally:
            self._checking = None

    async def _begin(self, source: Source, nodes: list[str], comment: str | None) -> None:
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
        self.events.say("run", f"{source.name} starts on {', '.join(nodes)} (run {run_id})" + _remark(comment))
        try:
            await self._until(lambda: self.state.reached("setup"), BEGIN, "the scenario to load")
            data = self.state.of_run()[0].data
            self._publish(self.state.step("init", data))
            await self._until(lambda: self.state.reached("init"), BEGIN, "init()")
        except BaseException as error:
            cancelled = isinstance(error, asyncio.CancelledError)
            self._fail("its start was cancelled" if cancelled else str(error) or type(error).__name__, force=False)
            await asyncio.wait({self._end()})
            raise

    async def add(self, count: int, nodes: Sequence[str] | None = None) -> dict[str, Any]:
        """More users, from the highest id used on, for all nodes of the run or for some of them."""
        self._check_running("add users to")
        chosen = self._of_run(nodes)
        if count < 1:
            raise BadInput(f"add({count}): the number of users must be at least 1")
        first, last = self.state.highest + 1, self.state.highest + count
        _check_highest(last)
        assign = self.state.assign(first, last, chosen)
        self._all_ended = False
        self.events.say("run", f"{count} users added: {first} to {last}")
        await self._acknowledged(assign)
        return {node: {"added": sum(map(len, ids)), "users": _ranges(ids)} for node, ids in assign.ids.items()}

    async def remove(self, count: int, force: bool = False, nodes: Sequence[str] | None = None) -> dict[str, Any]:
        """End the newest users, of all nodes or of some: exactly `count`, or all there are."""
        self._check_running("remove users from")
        chosen = self._of_run(nodes)
        if count < 1:
            raise BadInput(f"remove({count}): the number of users must be at least 1")
        removed: dict[str, int] = {}
        left = count
        # Users that end by themselves before the command meets them are made up for by the next newest.
        while left > 0 and (command := self.state.remove(left, force, chosen)) is not None:
            for node, number in (await self._dropped(command)).items():
                removed[node] = removed.get(node, 0) + number
                left -= number
        if left == count:
            raise Failed("there is no user left to remove")
        self.events.say("run", f"{count - left} users removed" + (" by force" if force else ""))
        return {node: {"removed": number} for node, number in removed.items()}

    async def _dropped(self, command: Remove) -> dict[str, int]:
        """Publish a removal; how many users it met, by node."""
        self._publish(command)
        await self._until(lambda: self.state.dropped(command) is not None, ACKNOWLEDGE, "the users to be removed")
        return self.state.dropped(command) or {}

    async def stop(self, *, force: bool = False, reason: str = "stopped") -> dict[str, Any]:
        """End the run; returns per node the state it is in afterwards. One that is ending already is waited for.

        `reason` is for the report, unless there is one already.
        """
        if self._checking is not None:  # nothing is started yet
            checking, nodes = self._checking, self.state.nodes.values()
            checking.cancel()
            await asyncio.wait({checking})
            return {node.name: {"state": node.state} for node in nodes}
        if self.state.active():
            self.reason = self.reason or reason
            self._publish(self.state.stop(force))
        elif not self.ending:
            raise BadInput("no test is running")
        await asyncio.shield(self._end())
        return {node.name: {"state": node.state} for node in self.state.of_run()}

    def users(self) -> dict[str, int]:
        """The users of the run, by what they do."""
        counts = self.state.counts()
        return {"wanted": self.state.given - self.state.removed, **msgspec.to_builtins(counts)}

    def status(self) -> dict[str, Any]:
        """Everything known; see docs/console.md for the shape."""
        return status(self)

    def setting(self, name: str, default: Any = UNSET) -> Any:
        """The value of one setting, of amoc's own or of the running scenario's; a secret is hidden."""
        return self._settings.get(name, default)

    def settings(self) -> dict[str, Any]:
        """Every declared setting with its value, source, type, default and meaning."""
        return self._settings.all()

    def nodes(self) -> list[dict[str, Any]]:
        """All nodes that have ever registered, in the order of their names, for people and programs."""
        now = time.monotonic()
        return [node_figures(node, now) for _, node in sorted(self.state.nodes.items())]

    async def ping_nodes(self) -> dict[str, Any]:
        """How long each node took to hear a command and to answer it with a beat, or why it did not."""
        begun = time.monotonic()
        ping = self.state.ping()
        self._publish(ping)
        found: dict[str, Any] = {}

        def answered() -> bool:
            for node in self.state.nodes.values():
                if node.name not in found and node.applied >= ping.number:
                    found[node.name] = {"answer_ms": round((time.monotonic() - begun) * 1000, 1)}
            return len(found) == len(self.state.nodes)

        with contextlib.suppress(Failed):
            await self._until(answered, PING, "an answer", watch=False)
        for name in self.state.nodes.keys() - found.keys():
            found[name] = {"error": f"no answer within {PING:.0f} s"}
        return dict(sorted(found.items()))

    async def update_settings(self, values: Mapping[str, Any], nodes: Sequence[str] | None = None) -> dict[str, Any]:
        """Change settings of all nodes, or of some; returns per node what is in force there.

        For all nodes the values stay in force for later runs. For some of them they last as long as the run.
        """
        chosen = self._known(nodes) or sorted(self.state.nodes)
        in_force = await self.set_settings(values)
        return {name: {"settings": in_force} for name in chosen}

    async def set_settings(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Change settings here and on every node: all of them or, if one is wrong, none. Returns what is in force."""
        shown = self._settings.shown(values).items()
        await self._change(values, (), ", ".join(f"{name} = {value!r}" for name, value in shown))
        return {name: self._settings.get(name, None) for name in values}

    async def unset_setting(self, name: str) -> Any:
        """Take back what was set at run time; returns the value now in force (None if there is none)."""
        await self._change({}, (name,), f"{name} taken back")
        return self._settings.get(name, None)

    def run_settings(self) -> dict[str, Any]:
        """The run-time settings of the last run, secrets hidden."""
        return self._settings.shown(self.state.desired.settings)

    async def _change(self, values: Mapping[str, Any], unset: Collection[str], said: str) -> None:
        """Check the change against all declarations, take it here, record it, then tell the nodes.

        One at a time: each is checked together with those before it.
        """
        names = (*values, *unset)
        async with self._settings_lock:
            run = self.state.desired.run if self.state.active() else None
            self._settings.check_change(names, running=run is not None)
            info = None
            if run is not None and self._settings.concerns_scenario(names):
                given = self._settings.given_after(values, unset)
                source = self._sources[run.version]
                info = await inspect(source, given, layer=self.config.layer(), extra=self._extra)
                if not self.state.active() or self.state.desired.run is not run:
                    raise Failed("the test ended meanwhile: nothing was changed")
            self._settings.change(values, unset, info)
            self.events.say("settings", f"settings changed: {said}")
            if run is None:
                return
            change = self.state.change(self._settings.values(), self._settings.interval(len(run.nodes)))
        await self._acknowledged(change, watch=False)

    def _known(self, nodes: Sequence[str] | None) -> list[str]:
        """The nodes named, once each; BadInput lists the known ones if one is not among them."""
        unknown = [name for name in nodes or () if name not in self.state.nodes]
        if unknown:
            known = ", ".join(sorted(self.state.nodes)) or "none"
            raise BadInput(f"unknown node {', '.join(unknown)}; the nodes are: {known}")
        if nodes is not None and not nodes:
            raise BadInput("nodes is empty: name some, or leave it out to take all")
        return sorted(set(nodes or ()))

    def _of_run(self, nodes: Sequence[str] | None) -> list[str] | None:
        """The nodes named, if they take part in the run; None stands for all."""
        chosen = self._known(nodes)
        outside = [name for name in chosen if self.state.desired.run and name not in self.state.desired.run.nodes]
        if outside:
            raise BadInput(f"{', '.join(outside)} takes no part in the test: it was started on other nodes")
        return chosen or None

    # The end of a run

    def _end(self) -> asyncio.Task[None]:
        """The one task that takes the present run through stop, teardown and over.

        When it failed, because a node did not answer in time, the next call tries again.
        """
        if self._ending is None or (self._ending.done() and self.state.active()):
            self._ending = asyncio.get_running_loop().create_task(self._walk_to_end())
            self._ending.add_done_callback(self._walked)
        return self._ending

    def _walked(self, ending: asyncio.Task[None]) -> None:
        if not ending.cancelled() and (error := ending.exception()) is not None:
            self.events.say("run", f"the test could not be ended: {error}; stop it again", "ERROR")

    async def _walk_to_end(self) -> None:
        run = self.state.desired.run
        assert run is not None
        await self._until(lambda: self.state.reached("stop"), END, "the users to end", watch=False)
        self.ended = time.time()
        self._publish(self.state.step("teardown"))
        await self._until(lambda: self.state.reached("teardown"), BEGIN, "teardown", watch=False)
        self._settings.end()
        self._publish(self.state.step("over"))
        await self._until(lambda: self.state.reached("over"), ACKNOWLEDGE, "the end", watch=False)
        self.events.say("run", f"{run.scenario} is over: {self.reason}")

    def _fail(self, reason: str, *, force: bool = True) -> None:
        """End the run because it cannot go on; without `force`, `teardown` still runs."""
        if self.state.active() and self._ending is None:
            self.reason = reason
            self._publish(self.state.stop(force))
            self._end()

    # The bus

    def _answer(self, request: Request) -> Reply:
        now = time.monotonic()
        match request:
            case Hello():
                if request.protocol != PROTOCOL:
                    return Refused(other_version(request, self.version), "version")
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
        received = time.time()
        node = self.state.nodes.get(beat.node)
        if node is None or node.incarnation != beat.incarnation:
            return Refused(f"node {beat.node} is not registered: say hello first", "unregistered")
        try:
            delta = unpack(beat.metrics)
        except msgspec.DecodeError as error:
            return Refused(f"the metrics of node {beat.node} cannot be read: {error}", "decode")
        if self.state.beat(beat, now):
            run = self.state.desired.run
            if run is not None and beat.run_id == run.id:
                self.store.apply(beat.node, delta, now)
            for event in beat.events:
                self.events.publish(event)
            if beat.error is not None and self.preparing is None and (failure := self.state.failure()) is not None:
                self._fail(f"{failure[0]}: {failure[1]}")
            self._notice_all_ended()
        self._changed.set()
        return BeatReply(beat.seq, self.state.desired.number, received, time.time())

    def _notice_all_ended(self) -> None:
        counts = self.state.counts()
        over = counts.finished + counts.failed + counts.removed + counts.stuck
        if self.state.desired.phase == "run" and self.state.given and over == self.state.given and not self._all_ended:
            self._all_ended = True
            how = f"{counts.finished} finished, {counts.failed} failed, {counts.removed} removed"
            self.events.say("run", f"all users have ended: {how}")

    def _publish(self, command: Command) -> None:
        self._bus.publish(command)

    async def _acknowledged(self, command: Command, watch: bool = True) -> None:
        self._publish(command)
        await self._until(lambda: self.state.applied(command.number), ACKNOWLEDGE, "an acknowledgement", watch)

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
                names = ", ".join(node.name for node in self.state.of_run())
                raise Failed(f"waited {timeout:.0f} s in vain for {what} on {names}")
            self._changed.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(left, 1.0)):  # not wait_for: before 3.12 it may swallow a cancellation
                    await self._changed.wait()

    def _check_running(self, action: str) -> None:
        if not self.state.active() or self.state.desired.phase != "run":
            raise BadInput(f"no test is running to {action}: start one with do")


def _check_highest(last: int) -> None:
    if last > HIGHEST:
        raise BadInput(f"user {last} is out of range: the highest id is {HIGHEST}")


def _remark(comment: str | None) -> str:
    return f": {comment}" if comment else ""


def other_version(hello: Hello, version: str) -> str:
    """Why a node of another version cannot take part, for people."""
    return (
        f"node {hello.node} runs amoc {hello.version} (control protocol {hello.protocol}), "
        f"this master amoc {version} (control protocol {PROTOCOL}): install the same amoc on both"
    )


def _ranges(ids: Iterable[IdRange]) -> list[list[int]]:
    """First, last and step of each; a single id has step 1, whatever it was dealt from."""
    return [[r.first, r.last, r.step if len(r) > 1 else 1] for r in ids]
