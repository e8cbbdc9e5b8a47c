"""The master: carries out what an operator asks for, and waits until the nodes have done it.

A thin shell around `state`, which `keeper` keeps going. Every method that an operation calls returns plain data, per
node what it did or `error`, and raises BadInput (nothing was changed) or Failed (it was tried; the text says what came
of it, and that no node has done it).
"""

import asyncio
import random
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

import msgspec

from amoc.cluster import saved
from amoc.cluster.events import Events
from amoc.cluster.finding import find
from amoc.cluster.journal import Journal
from amoc.cluster.keeper import Keeper
from amoc.cluster.settings import RunSettings
from amoc.cluster.state import ClusterState
from amoc.cluster.view import node_figures, status
from amoc.config import UNSET, Config
from amoc.control import HIGHEST, Command, IdRange, MasterBus, Own, Run, Step, not_before
from amoc.errors import BadInput, Failed
from amoc.metrics import Store
from amoc.scenario import Info, Source, inspect

__all__ = ["Master"]

# Seconds to wait for the nodes' acknowledgements: they beat every second and answer at once.
ACKNOWLEDGE = 10.0
PING = 3.0
# A node ends its own steps in time (node/crew.py) and is lost after 10 s of silence; these bounds only end the waiting.
BEGIN = 200.0
END = 60.0


class Master:
    """The master of a cluster, in the running loop.

    `config` holds its settings, `events` the stream of what happens. With a `journal` it goes on with the test that
    was running when the last master ended; raises Failed when the journal cannot be read.
    """

    def __init__(
        self,
        name: str,
        version: str,
        config: Config,
        events: Events,
        bus: MasterBus,
        extra_settings: tuple[str, ...],
        journal: Journal | None = None,
    ) -> None:
        self.name = name
        self.version = version
        self.config = config
        self.events = events
        self.born = time.time()
        self.preparing: str | None = None  # the scenario that `do` is about to start
        self._extra = extra_settings
        self._settings = RunSettings(config, find)
        # The numbers of a master that has lost its state go on above those of the one before.
        self.state = ClusterState(self._settings, version, int(self.born * 1000))
        self._info: Info | None = None
        self._preparing: asyncio.Future[Info] | None = None  # what precedes a run, which `stop` may break off
        self._settings_lock = asyncio.Lock()
        if journal is not None and (found := journal.read()) is not None:
            self._restore(found)
        self._keeper = Keeper(self.state, bus, events, journal, self._complete, self._heed)

    def __repr__(self) -> str:
        return f"<Master {self.name} {self.state}>"

    async def close(self, *, end: bool = True) -> None:
        """End a run that is under way, at once; or let it go on without a master, for another to take up."""
        try:
            if not end:
                return
            if self.preparing is not None or self.state.active() or self.ending:
                await self.stop(force=True)
        finally:
            await self._keeper.close()

    @property
    def ending(self) -> bool:
        """Whether a run is being taken to its end."""
        return self.state.ending()

    @property
    def store(self) -> Store:
        """The metrics of the run."""
        return self.state.store

    # What outlives this process

    def _complete(self, found: saved.Saved) -> saved.Saved:
        found.info = self._info
        found.runtime = self.config.runtime()
        found.events = self.events.kept()
        return found

    def _heed(self, command: Command) -> None:
        """The run's own settings end with it."""
        if isinstance(command, Step) and command.phase == "over":
            self._settings.end()

    def _restore(self, found: saved.Saved) -> None:
        saved.restore(self.state, found, time.monotonic())
        self.events.restore(found.events)
        if self.state.active():
            self.config.set_all({n: v for n, v in found.runtime.items() if n in self._settings.live})
            if found.info is not None:
                self._info = found.info
                self._settings.begin(found.info)
            text = f"the master was restarted and goes on with {self.state.run.scenario} (run {self.state.run.id})"
            self.state.say("run", text, "WARNING")

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
        self._up(nodes)
        self.preparing = source.name
        try:
            info = await self._prepared(source, settings)
            chosen = self._up(nodes)
            self._info = info
            self._settings.begin(info)
            self._start(source, chosen, first, last, nodes is None, comment or "")
            await self._started()
        finally:
            self.preparing = None
        number = self.state.desired.number
        return await self._per_node(number, chosen, lambda node: {"users": self._users_of(node)})

    def _check_free(self) -> None:
        """BadInput if there is a run already, in whichever phase."""
        if self.preparing is not None:
            raise BadInput(f"{self.preparing} is being started already: wait for it, or stop it first")
        if self.ending:
            raise BadInput(f"{self.state.run.scenario} is still being stopped: wait until it is over")
        if self.state.active():
            raise BadInput(f"{self.state.run.scenario} is running already: stop it first, or add users to it")

    async def _prepared(self, source: Source, settings: Mapping[str, Any]) -> Info:
        """Inspect what is to be run, and wait until it may begin. Raises Failed when `stop` breaks it off."""
        self._preparing = asyncio.ensure_future(self._prepare(source, settings))
        try:
            return await self._preparing
        except asyncio.CancelledError:
            if (task := asyncio.current_task()) is not None and task.cancelling():
                raise
            raise Failed(f"{source.name} was stopped before it began") from None
        finally:
            self._preparing = None

    async def _prepare(self, source: Source, settings: Mapping[str, Any]) -> Info:
        info = await inspect(source, settings, layer=self.config.layer(), extra=self._extra)
        await self._quiet()
        return info

    async def _quiet(self) -> None:
        """Wait until no lost node can have users of the last test any more."""
        left = self.state.quiet_at() - time.monotonic()
        if left > 0:
            text = f"a slave of the last test was lost, and may have users for {left:.0f} s yet: waiting for their end"
            self.events.say("run", text, "WARNING")
            await self._keeper.until(lambda: self.state.quiet_at() <= time.monotonic(), left + 1)

    def _start(self, source: Source, nodes: list[str], first: int, last: int, all_nodes: bool, comment: str) -> None:
        self.events.forget()
        started = time.time()
        seed = random.SystemRandom().getrandbits(32)
        began = time.strftime("%Y%m%d-%H%M%S", time.gmtime(started))
        run_id = f"{began}-{source.name}-{seed & 0xFFFF:04x}"  # two runs may begin within one second
        run = Run(
            id=run_id,
            scenario=source.name,
            version=source.version,
            settings=self._settings.values(),
            nodes=nodes,
            started_at=started,
            seed=seed,
            first=first,
            last=last,
            open=all_nodes,
            lease=None if self.config.get("role") == "local" else self.config.get("master_timeout"),
            comment=comment,
        )
        self.state.start(run, source, nodes)
        remark = f": {comment}" if comment else ""
        self.state.say("run", f"{source.name} starts on {', '.join(nodes)} (run {run_id}){remark}")
        self._keeper.perform()

    async def _started(self) -> None:
        """Wait until the users are handed out. Whatever comes between ends the run."""
        try:
            for phase, what in (("setup", "the scenario to load"), ("init", "init()")):
                done = await self._keeper.until(lambda: self.state.desired.phase != phase, BEGIN)  # noqa: B023
                if not done:
                    raise Failed(f"waited {BEGIN:.0f} s in vain for {what} on {', '.join(self.state.desired.seats)}")
        except BaseException as error:
            if not not_before(self.state.desired.phase, "run"):
                cancelled = isinstance(error, asyncio.CancelledError)
                reason = "its start was cancelled" if cancelled else str(error) or type(error).__name__
                self.state.stop(False, reason, failed=not cancelled)
                self._keeper.perform()
                await asyncio.shield(asyncio.ensure_future(self._ended()))
            raise
        if self.state.desired.phase != "run":
            await self._ended()
            reason = self.state.desired.reason or ""
            raise Failed(reason if self.state.desired.failed else "the test was stopped meanwhile")

    async def add(self, count: int, nodes: Sequence[str] | None = None) -> dict[str, Any]:
        """More users, from the highest id used on, for all nodes of the run or for some of them."""
        self._check_running("add users to")
        if count < 1:
            raise BadInput(f"add({count}): the number of users must be at least 1")
        chosen = self._of_run(nodes)
        first, last = self.state.desired.highest + 1, self.state.desired.highest + count
        _check_highest(last)
        if not any(place.name in chosen for place in self.state.places()):
            raise Failed(f"no node takes users now: {self._conditions(chosen)}")
        assign = self.state.assign(first, last, chosen)
        self.state.say("run", f"{count} users added: {first} to {last}")
        self._keeper.perform()

        def added(node: str) -> dict[str, Any]:
            ids = assign.ids.get(node, [])
            return {"added": sum(map(len, ids)), "users": _ranges(ids)}

        return await self._per_node(assign.number, assign.ids if nodes is None else chosen, added)

    async def remove(self, count: int, force: bool = False, nodes: Sequence[str] | None = None) -> dict[str, Any]:
        """End the newest users, of all nodes or of some: exactly `count`, or all there are.

        What a node that was lost meanwhile owes is removed when it comes back, or is lost with it.
        """
        self._check_running("remove users from")
        if count < 1:
            raise BadInput(f"remove({count}): the number of users must be at least 1")
        chosen = self._of_run(nodes)
        removing = self.state.remove(count, force, None if nodes is None else chosen)
        if removing is None:
            raise Failed("there is no user left to remove")
        self._keeper.perform()
        done = await self._keeper.until(lambda: self.state.removed(removing), ACKNOWLEDGE, self._check_goes_on)
        open_ = removing.open(self.state.desired.seats)
        removed = sum(removing.met.values())
        if not done and not removed:
            raise Failed(f"waited {ACKNOWLEDGE:.0f} s in vain for the users to be removed on {', '.join(open_)}")
        if not removed and not open_:
            raise Failed("there is no user left to remove")
        self.events.say("run", f"{removed} users removed" + (" by force" if force else ""))
        replies: dict[str, Any] = {node: {"removed": number} for node, number in removing.met.items()}
        for node, number in open_.items():
            text = f"it has not answered; {number} of its users are to be removed"
            replies[node] = {"removed": removing.met.get(node, 0), "error": text}
        return dict(sorted(replies.items()))

    async def stop(self, *, force: bool = False, reason: str = "stopped") -> dict[str, Any]:
        """End the run; returns per node the state it is in afterwards. One that is ending already is waited for.

        `reason` is for the report, unless there is one already.
        """
        if self._preparing is not None:  # nothing is started yet
            preparing, members = self._preparing, list(self.state.members.by_name.values())
            preparing.cancel()
            await asyncio.wait({preparing})
            return {member.name: {"state": member.state} for member in members}
        if self.state.active():
            self.state.stop(force, reason)
            self._keeper.perform()
        elif not self.ending:
            raise BadInput("no test is running")
        await self._ended()
        return {node: self._state_of(node) for node in self.state.desired.seats}

    async def _ended(self) -> None:
        """Wait for the run's end. Raises Failed if it takes too long; `stop` may be tried again."""
        for phase, bound, what in (("teardown", END, "the users to end"), ("over", BEGIN, "teardown")):
            done = await self._keeper.until(lambda: not_before(self.state.desired.phase, phase), bound)  # noqa: B023
            if not done:
                raise Failed(f"waited {bound:.0f} s in vain for {what} on {self._conditions(self.state.desired.seats)}")
        if not await self._keeper.until(lambda: not self.ending, ACKNOWLEDGE):
            names = self._conditions(self.state.desired.seats)
            raise Failed(f"waited {ACKNOWLEDGE:.0f} s in vain for the end on {names}")

    def users(self) -> dict[str, int]:
        """The users of the run, by what they do; `wanted`: all that were given, without those that were removed."""
        counts = self.state.counts(shown=True)
        return {"wanted": self.state.desired.given - self.state.books.removed, **msgspec.to_builtins(counts)}

    def status(self) -> dict[str, Any]:
        """Everything known; see docs/console.md for the shape."""
        return status(self)

    def nodes(self) -> list[dict[str, Any]]:
        """All nodes that have ever registered, in the order of their names, for people and programs."""
        now = time.monotonic()
        return [node_figures(self.state, member, now) for _, member in sorted(self.state.members.by_name.items())]

    async def ping_nodes(self) -> dict[str, Any]:
        """How long each node took to hear a command and to answer it with a beat, or why it did not."""
        begun = time.monotonic()
        ping = self.state.ping()
        self._keeper.perform()
        found: dict[str, Any] = {}

        def answered() -> bool:
            for member in self.state.members.by_name.values():
                if member.name not in found and member.applied >= ping.number:
                    found[member.name] = {"answer_ms": round((time.monotonic() - begun) * 1000, 1)}
            missing = [m for m in self.state.members.by_name.values() if m.name not in found]
            return all(member.condition == "lost" for member in missing)

        await self._keeper.until(answered, PING)
        for member in self.state.members.by_name.values():
            if member.name not in found:
                silent = time.monotonic() - member.heard
                found[member.name] = {"error": f"no answer; {member.condition}, last heard {silent:.0f} s ago"}
        return dict(sorted(found.items()))

    # Settings

    def setting(self, name: str, default: Any = UNSET) -> Any:
        """The value of one setting, of amoc's own or of the running scenario's; a secret is hidden."""
        return self._settings.get(name, default)

    def settings(self) -> dict[str, Any]:
        """Every declared setting with its value, source, type, default and meaning."""
        return self._settings.all()

    async def set_settings(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Change settings here and on every node: all of them or, if one is wrong, none. Returns what is in force."""
        shown = self._settings.shown(values).items()
        await self._change(values, (), ", ".join(f"{name} = {value!r}" for name, value in shown))
        return {name: self._settings.get(name, None) for name in values}

    async def unset_setting(self, name: str) -> Any:
        """Take back what was set at run time; returns the value now in force (None if there is none)."""
        await self._change({}, (name,), f"{name} taken back")
        return self._settings.get(name, None)

    async def update_settings(self, values: Mapping[str, Any], nodes: Sequence[str] | None = None) -> dict[str, Any]:
        """Change settings of all nodes, or of some; returns per node what is in force there.

        For all nodes the values stay in force for later runs. For some of them they last as long as the run.
        """
        if nodes is not None:
            return await self._change_some(values, self._of_run(nodes))
        in_force = await self.set_settings(values)
        members = self.state.members.by_name.values()
        return {
            member.name: {"error": f"{member.name} is lost"} if member.condition == "lost" else {"settings": in_force}
            for member in sorted(members, key=lambda member: member.name)
        }

    def run_settings(self) -> dict[str, Any]:
        """The run-time settings of the last run, secrets hidden."""
        return self._settings.shown(self.state.desired.settings)

    async def _change(self, values: Mapping[str, Any], unset: Collection[str], said: str) -> None:
        """Check the change against all declarations, take it here, record it, then tell the nodes.

        One at a time: each is checked together with those before it.
        """
        names = (*values, *unset)
        async with self._settings_lock:
            run, info = await self._checked(names, self._settings.given_after(values, unset))
            self._settings.change(values, unset, info)
            self._info = info or self._info
            self.events.say("settings", f"settings changed: {said}")
            if run is None:
                return
            own = {
                node: Own({n: v for n, v in seat.own.settings.items() if n not in names}, seat.own.interval)
                for node, seat in self.state.desired.seats.items()
                if seat.own is not None and seat.own.settings.keys() - set(names)
            }
            interval = self._settings.interval(max(1, len(self.state.healthy())))
            change = self.state.change(self._settings.values(), interval, own)
            self._keeper.perform()
        await self._per_node(change.number, self.state.desired.seats, lambda node: {})

    async def _change_some(self, values: Mapping[str, Any], nodes: list[str]) -> dict[str, Any]:
        """Settings that only these nodes have, as long as the run lasts."""
        async with self._settings_lock:
            self._check_running("change the settings of single nodes in")
            _, info = await self._checked(tuple(values), self._settings.given_after(values, ()))
            count = max(1, len(self.state.healthy()))
            seats = self.state.desired.seats
            own = {node: seat.own for node, seat in seats.items() if seat.own is not None}
            for node in nodes:
                own[node] = self._settings.own(values, info, count, own.get(node))
            shown = ", ".join(f"{name} = {value!r}" for name, value in self._settings.shown(values).items())
            self.events.say("settings", f"settings of {', '.join(nodes)} changed: {shown}")
            change = self.state.change(self.state.desired.settings, self.state.desired.interval, own)
            self._keeper.perform()
        in_force = {
            node: {"settings": self._settings.shown({name: own[node].settings[name] for name in values})}
            for node in nodes
        }
        return await self._per_node(change.number, nodes, in_force.__getitem__)

    async def _checked(self, names: Collection[str], given: Mapping[str, Any]) -> tuple[Run | None, Info | None]:
        """Check a change of these settings; the run that it concerns, and its scenario's view if it was asked."""
        run = self.state.run if self.state.active() else None
        self._settings.check_change(names, running=run is not None)
        if run is None or not self._settings.concerns_scenario(names) or self.state.source is None:
            return run, None
        info = await inspect(self.state.source, given, layer=self.config.layer(), extra=self._extra)
        if not self.state.active() or self.state.desired.run is not run:
            raise Failed("the test ended meanwhile: nothing was changed")
        return run, info

    # Nodes

    def _known(self, nodes: Sequence[str] | None) -> list[str] | None:
        """The nodes named, once each; BadInput lists the known ones if one is not among them."""
        if nodes is None:
            return None
        if not nodes:
            raise BadInput("nodes is empty: name some, or leave it out to take all")
        members = self.state.members.by_name
        unknown = [name for name in nodes if name not in members]
        if unknown:
            raise BadInput(f"unknown node {', '.join(unknown)}; the nodes are: {', '.join(sorted(members)) or 'none'}")
        return sorted(set(nodes))

    def _up(self, nodes: Sequence[str] | None) -> list[str]:
        """The nodes that a run can be started on: those named, which all must be up, or all that are."""
        known, members = self._known(nodes), self.state.members.by_name
        up = sorted(name for name, member in members.items() if member.condition == "up")
        if known is None:
            if not up:
                which = f": {self._conditions(members)}" if members else ", then look at nodes()"
                raise Failed(f"there is no slave to run users on: start the slaves{which}")
            return up
        missing = [name for name in known if name not in up]
        if missing:
            raise Failed(f"not all the nodes are up: {self._conditions(missing)}")
        return known

    def _of_run(self, nodes: Sequence[str] | None) -> list[str]:
        """The nodes named, which must take part in the run; or all that do."""
        chosen = self._known(nodes)
        if chosen is None:
            return list(self.state.desired.seats)
        outside = [name for name in chosen if name not in self.state.desired.seats]
        if outside:
            raise BadInput(
                f"{', '.join(outside)} takes no part in the test: its nodes are {', '.join(self.state.desired.seats)}"
            )
        return chosen

    def _conditions(self, nodes: Iterable[str]) -> str:
        """What is the matter with nodes, for people."""
        members = self.state.members
        found = [(name, members.get(name)) for name in nodes]
        return (
            ", ".join(f"{name} ({'gone' if m is None else f'{m.condition}, {m.state}'})" for name, m in found) or "none"
        )

    def _state_of(self, node: str) -> dict[str, Any]:
        if self.state.reachable(node):
            return {"state": self.state.members.by_name[node].state}
        return {"error": f"{node} is lost: its users end by themselves, or have ended"}

    def _users_of(self, node: str) -> list[list[int]]:
        seat = self.state.desired.seats.get(node)
        return [] if seat is None else _ranges(ids for grant in seat.grants for ids in grant.ids)

    async def _per_node(
        self, number: int, nodes: Iterable[str], reply: Callable[[str], dict[str, Any]]
    ) -> dict[str, Any]:
        """Wait until the nodes have heard command `number`; the reply of each, or why it has none.

        Raises Failed when none of them has heard it.
        """
        names = sorted(nodes)
        await self._keeper.until(lambda: self.state.acknowledged(number, names), ACKNOWLEDGE)
        replies: dict[str, Any] = {}
        for name in names:
            if not self.state.reachable(name):
                replies[name] = {**reply(name), "error": f"{name} is lost"}
            elif (error := self.state.error(name)) is not None:
                replies[name] = {**reply(name), "error": error}
            elif self.state.members.by_name[name].applied < number:
                replies[name] = {**reply(name), "error": f"no acknowledgement within {ACKNOWLEDGE:.0f} s"}
            else:
                replies[name] = reply(name)
        if names and all("error" in found for found in replies.values()):
            raise Failed("; ".join(f"{name}: {found['error']}" for name, found in replies.items()))
        return replies

    def _check_running(self, action: str) -> None:
        if not self.state.active() or self.state.desired.phase != "run":
            raise BadInput(f"no test is running to {action}: start one with do")

    def _check_goes_on(self) -> None:
        if self.state.desired.phase != "run":
            raise Failed(self.state.desired.reason if self.state.desired.failed else "the test was stopped meanwhile")


def _check_highest(last: int) -> None:
    if last > HIGHEST:
        raise BadInput(f"user {last} is out of range: the highest id is {HIGHEST}")


def _ranges(ids: Iterable[IdRange]) -> list[list[int]]:
    """First, last and step of each; a single id has step 1, whatever it was dealt from."""
    return [[r.first, r.last, r.step if len(r) > 1 else 1] for r in ids]
