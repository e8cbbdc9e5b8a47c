"""One schedule, chosen by its seed: a run on a few nodes, an operator, faults; then healing, and the reckoning."""

from collections.abc import Callable

from amoc.cluster.rules import FixedRules
from amoc.control import Counts, Run
from amoc.scenario import Source
from tests.unit.cluster.simulation.master import MasterProcess
from tests.unit.cluster.simulation.node import NodeProcess
from tests.unit.cluster.simulation.world import World

__all__ = ["Story"]

SOURCE = Source.of("chat", "async def start(user_id): ...", "/chat.py")
LEASES = (4.0, 15.0)  # over before a silent node is lost, and after that
TROUBLE = 25.0  # seconds in which things go wrong
AUDITS = 5  # looks at the books meanwhile
CALM = 5.0  # seconds in which what was under way before healing has had its consequences
PATIENCE = 90.0  # seconds after which everything must have come right


class Story:
    """What happens in one schedule. `failover`, else keep."""

    def __init__(self, seed: int) -> None:
        self.world = World(seed)
        choose = self.choose = self.world.random
        self.failover = choose.random() < 0.5
        self.rules = FixedRules(
            policy="failover" if self.failover else "keep",
            balance=choose.random() < 0.3,
            rate=choose.choice([None, 10.0]),
        )
        self.lease = choose.choice(LEASES)
        names = ["a", "b", "c"][: choose.choice([1, 2, 2, 3, 3])]
        self.sizes = {name: choose.choice([1, 1, 2]) for name in names}
        self.given = 0
        self.runs = 0
        self.unsettled = 0.0
        self.left_out: NodeProcess | None = None  # what befell it before does not end meanwhile

    # The cast

    @property
    def master(self) -> MasterProcess:
        """The master, when it is up."""
        assert self.world.master is not None
        return self.world.master

    def play(self) -> None:
        """All of it."""
        self.world.master = MasterProcess(self.world, self.rules)
        for name in self.sizes:
            self.start_node(name)
        self.expect(lambda: len(self.master.state.members.by_name) == len(self.sizes), "the nodes register")
        late = self.choose.random() < 0.2 and len(self.sizes) > 1
        if late:
            name = self.choose.choice(list(self.sizes))
            self.world.nodes.pop(name).crash()
            self.world.after(TROUBLE * self.choose.random(), lambda: self.start_node(name))
        self.begin()
        self.trouble()
        self.world.run(TROUBLE)
        self.heal()
        self.reckon()
        left_out = self.choose.random() < 0.15 and self.leave_out()
        self.end(left_out=left_out)
        if left_out or self.choose.random() < 0.2:
            self.again()
        if left_out:
            self.heal_now()
            self.world.run(CALM)
            assert not self.world.running, self.world.running

    def leave_out(self) -> bool:
        """A node is lost when the run is stopped, and for longer than the next one lasts."""
        node = self.victim()
        if node is None or len(self.sizes) < 2 or self.master.state.desired.phase != "run":
            return False
        self.left_out = node
        self.choose.choice([self.world.cut.add, NodeProcess.freeze])(node)
        state = self.master.state
        self.expect(lambda: state.members.by_name[node.name].condition == "lost", "it is missed")
        return True

    def again(self) -> None:
        """Another run with the same ids, at once."""
        self.expect(lambda: self.master.state.quiet_at() <= self.world.now, "nobody has users of the last run")
        self.begin()
        self.expect(lambda: self.master.state.desired.phase in ("run", "over"), "the second run begins")
        self.world.run(2.0)
        self.end(left_out=bool(self.world.cut) or any(node.frozen for node in self.world.nodes.values()))

    def begin(self) -> None:
        """A run with its first users on the nodes that are up."""
        state = self.master.state
        self.runs += 1
        self.given = self.choose.randint(1, 12)
        self.world.starts.clear()
        self.world.wished.clear()
        up = [name for name, member in state.members.by_name.items() if member.condition == "up"]
        run = Run(
            id=f"r{self.runs}",
            scenario="chat",
            version=SOURCE.version,
            settings={},
            nodes=up,
            started_at=self.world.wall,
            seed=1,
            first=1,
            last=self.given,
            lease=self.lease,
        )
        state.start(run, SOURCE, up)
        self.master.perform()

    def start_node(self, name: str) -> None:
        """A node's process begins, unless one of that name is there."""
        if name not in self.world.nodes:
            self.world.nodes[name] = NodeProcess(self.world, name, self.sizes[name])

    # What goes wrong, and what the operator does meanwhile

    def trouble(self) -> None:
        """Choose what happens in the next seconds."""
        choose, world = self.choose, self.world
        world.loss = choose.choice([0.0, 0.0, 0.05, 0.2])
        world.slow = choose.choice([0.0, 0.1, 1.0, 5.0])
        faults: list[Callable[[], None]] = [
            *(self.crash, self.freeze, self.cut, self.kill, self.lose_master, self.double),
        ]
        for fault in choose.choices(faults, k=choose.randint(0, 4)):
            world.after(TROUBLE * choose.random(), fault)
        for _ in range(AUDITS):
            world.after(TROUBLE * choose.random(), self.audit)
        for wish in choose.choices([self.add, self.remove, self.remove], k=choose.randint(0, 4)):
            world.after(TROUBLE * choose.random(), wish)

    def victim(self) -> NodeProcess | None:
        """Some node that is there."""
        return self.choose.choice(list(self.world.nodes.values())) if self.world.nodes else None

    def crash(self) -> None:
        """A node's agent is killed; it may be started again, soon or late."""
        if (node := self.victim()) is not None:
            self.world.say(f"{node.name} crashes")
            node.crash()
            del self.world.nodes[node.name]
            self.world.after(self.choose.choice([0.1, 2.0, 8.0, 20.0]), lambda: self.start_node(node.name))

    def freeze(self, node: NodeProcess | None = None) -> None:
        """A node's agent is suspended for a while."""
        node = node or self.victim()
        if node is not None:
            self.world.say(f"{node.name} freezes")
            node.freeze()
            self.world.after(self.choose.choice([1.0, 5.0, 12.0, 30.0]), lambda: self.thaw(node))

    def thaw(self, node: NodeProcess) -> None:
        if node.alive and node is not self.left_out:
            self.world.say(f"{node.name} goes on")
            node.thaw()

    def cut(self, node: NodeProcess | None = None) -> None:
        """A node's network is cut for a while."""
        node = node or self.victim()
        if node is not None:
            self.world.say(f"{node.name} is cut off")
            self.world.cut.add(node)
            self.world.after(self.choose.choice([1.0, 5.0, 12.0, 30.0]), lambda: self.mend(node))

    def mend(self, node: NodeProcess) -> None:
        if node is not self.left_out:
            self.world.cut.discard(node)

    def double(self) -> None:
        """A node that is taken for dead, or is overlooked, goes on, and another is started under its name."""
        if (node := self.victim()) is not None:
            self.world.say(f"{node.name} is going to be doubled")
            self.choose.choice([self.freeze, self.cut, lambda _: None])(node)
            self.world.former.append(self.world.nodes.pop(node.name))
            self.world.after(self.choose.choice([0.1, 4.0, 8.0, 20.0]), lambda: self.start_node(node.name))

    def kill(self) -> None:
        """A worker is killed."""
        node = self.victim()
        if node is not None and node.workers:
            self.world.say(f"a worker of {node.name} is killed")
            self.choose.choice(list(node.workers.values())).die("was killed by SIGKILL")

    def lose_master(self) -> None:
        """The master is killed, and started again from its disk."""
        if self.world.master is not None:
            self.world.say("the master crashes")
            master, self.world.master = self.world.master, None
            master.crash()
            self.world.after(self.choose.choice([0.1, 2.0, 8.0, 20.0]), lambda: self.start_master(master))

    def start_master(self, before: MasterProcess) -> None:
        """It goes on from the disk of the one before."""
        if self.world.master is None:
            self.world.say("the master is started again")
            self.world.master = MasterProcess(self.world, self.rules, before.disk)

    def add(self) -> None:
        """The operator adds users."""
        if self.world.master is not None and self.master.state.desired.phase == "run" and self.master.state.places():
            count = self.choose.randint(1, 6)
            self.master.state.assign(self.given + 1, self.given + count)
            self.given += count
            self.master.perform()

    def remove(self) -> None:
        """The operator removes users."""
        if self.world.master is not None and self.master.state.desired.phase == "run":
            removing = self.master.state.remove(self.choose.randint(1, 6), self.choose.random() < 0.5)
            self.master.perform()
            if removing is not None:
                self.world.wished[removing.number] = removing.wanted
                self.world.say(f"{removing.wanted} are to be removed")

    # The end

    def heal(self) -> None:
        """Nothing is wrong any more; nobody's life ends by itself."""
        world = self.world
        world.say("healing")
        world.ending = False
        self.heal_now()
        world.run(CALM)
        for node in world.former:
            if node.link.over is not None:
                assert not node.busy, f"{node} has lost its name and goes on"
            node.crash()
        world.former.clear()
        self.expect(lambda: world.master is not None, "the master is back")
        self.expect(lambda: len(world.nodes) == len(self.sizes), "the nodes are back")
        self.unsettled = world.now
        self.expect(self.calm, "everything settles")

    def heal_now(self) -> None:
        """The network is whole, and everybody awake."""
        self.world.loss = self.world.slow = 0.0
        self.world.cut.clear()
        for node in (*self.world.nodes.values(), *self.world.former):
            node.thaw()

    def revive(self) -> None:
        """Of those that were doubled one has the name; if it is not the last one started, that is started anew."""
        for node in list(self.world.nodes.values()):
            if node.link.over is not None:
                assert not node.busy, f"{node} has lost its name and goes on"
                del self.world.nodes[node.name]
                node.crash()
                self.start_node(node.name)

    def calm(self) -> bool:
        """Whether there has been nothing left to be done for so long that nobody has anything to tell."""
        self.revive()
        if not self.settled():
            self.unsettled = self.world.now
        return self.world.now - self.unsettled >= CALM

    def settled(self) -> bool:
        """Whether there is nothing left to be done."""
        state = self.master.state
        if state.desired.phase == "over":
            return not state.ending()
        return (
            state.desired.phase == "run"
            and len(state.desired.seats) == len(self.sizes)
            and all(
                state.reachable(name)
                and state.desired.seats[name].incarnation == node.state.incarnation
                and (node.state.state == "running" or state.error(name) is not None)
                and node.state.desired.number == state.desired.number
                for name, node in self.world.nodes.items()
            )
            and len(state.places()) == len(state.healthy())
            and not state.removings
            and not state.desired.orphans
            and not any(worker.restless for node in self.world.nodes.values() for worker in node.workers.values())
        )

    def reckon(self) -> None:
        """Every user is where it should be, and counted there."""
        state = self.master.state
        counts = state.counts()
        self.audit()
        if state.desired.phase != "run":
            assert state.desired.failed
            return
        nodes = Counts()
        for node in self.world.nodes.values():
            nodes = nodes.plus(node.state.counts())
        seats = Counts()
        for name, seat in state.desired.seats.items():
            seats = seats.plus(state.books.account(name, seat).counts)
        assert seats == nodes, f"the master's counts are {seats}, the nodes' {nodes}"
        present = set(self.world.running)
        assert (counts.running, counts.planned, counts.leaving, counts.waiting) == (len(present), 0, 0, 0), counts
        assert present <= set(range(1, self.given + 1))
        if self.failover:
            assert not state.desired.orphans
        gone = self.given - len(present)
        assert counts.finished + counts.failed + counts.removed + counts.lost == gone, counts
        wished = sum(wanted - self.world.short[number] for number, wanted in self.world.wished.items())
        assert state.books.removed == wished, f"{state.books.removed} removed, not {wished}"
        presumed = sum(account.presumed for account in state.books.accounts.values())
        assert 0 <= state.books.removed - counts.removed <= presumed, (state.books.removed, presumed, counts)

    def audit(self) -> None:
        """What holds at any time."""
        if self.world.master is None:
            return
        state = self.master.state
        counts = state.counts()
        given = state.desired.given
        assert counts.planned + counts.present + counts.over == given, f"{counts} of {given}"
        started = state.store.saved().totals.get("started", 0)
        assert started == counts.starts, f"{started} starts in the metrics, {counts.starts} in the counts"

    def end(self, *, left_out: bool = False) -> None:
        """The run is stopped, and nothing is left of it; but for a node that is left out."""
        state = self.master.state
        if state.active():
            state.stop(self.choose.random() < 0.3)
            self.master.perform()
        self.expect(lambda: not self.master.state.ending(), "the run comes to its end")
        self.world.run(1.0)
        self.audit()
        counts = self.master.state.counts()
        assert counts.planned == counts.present == 0, counts
        if left_out:
            return
        assert not self.world.running, self.world.running
        assert not any(node.workers for node in self.world.nodes.values())

    def expect(self, condition: Callable[[], bool], what: str) -> None:
        """It comes about in time."""
        assert self.world.until(condition, PATIENCE), (
            f"not within {PATIENCE:.0f} s: {what}; {self.world.master and self.master.state}"
        )
