"""Whatever happens to its workers, a node counts every user once, and in the end decides about each."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tests.unit.node.simulation import ENDS, Played, Simulation

PRESENT = ("running", "waiting", "leaving", *ENDS)


class Node(RuleBasedStateMachine):
    """Three workers and a master; every message may be late, every process may die at any time."""

    def __init__(self) -> None:
        super().__init__()
        self.sim = Simulation(workers=3).running()
        self.last = 0
        self.removals: dict[int, int] = {}
        self.removed: set[int] = set()
        self.interval = 0.01

        self.assign(24)

    def pick(self, choice: int, among: list[Played]) -> Played | None:
        return among[choice % len(among)] if among else None

    # The master

    @rule(many=st.integers(1, 12))
    def assign(self, many: int) -> None:
        self.sim.assign(self.last + 1, self.last + many)
        self.last += many

    @precondition(lambda self: self.last)
    @rule(many=st.integers(1, 8), force=st.booleans())
    def remove(self, many: int, force: bool) -> None:
        """The newest that the master does not know to be gone, each id once, as it does."""
        ended = {*self.sim.ended, *self.removed}
        newest = [i for i in range(self.last, 0, -1) if i not in ended][:many]
        if newest:
            self.removals[self.sim.remove(newest, force)] = many
            self.removed |= set(newest)

    @rule(interval=st.sampled_from([0.0, 0.01, 0.1]))
    def change(self, interval: float) -> None:
        self.sim.change({"repeat_num": len(self.removals)}, interval)

    @rule()
    def hear_the_same_again(self) -> None:
        assert self.sim.state.wants(self.sim.desired, self.sim.now) == []

    # The workers

    @precondition(lambda self: self.sim.spawning)
    @rule(works=st.booleans())
    def come_up(self, works: bool) -> None:
        if works or len(self.sim.spawning) > 1:
            self.sim.up(self.sim.spawning[0])
        else:
            index = self.sim.spawning.pop()
            self.sim.do(self.sim.state.worker_not_up(index, "no room", self.sim.now))

    @rule(choice=st.integers(0, 2))
    def read(self, choice: int) -> None:
        if worker := self.pick(choice, [w for w in self.sim.workers.values() if w.inbox]):
            worker.read()

    @rule()
    def be_quick(self) -> None:
        """Nothing is late; who is due starts."""
        self.sim.settle()
        for worker in self.sim.workers.values():
            worker.start(4)

    @rule(choice=st.integers(0, 2))
    def be_heard(self, choice: int) -> None:
        if worker := self.pick(choice, [w for w in self.sim.workers.values() if w.outbox]):
            self.sim.tell(worker.index)

    @rule(choice=st.integers(0, 2), many=st.integers(1, 5))
    def start(self, choice: int, many: int) -> None:
        if worker := self.pick(choice, [w for w in self.sim.workers.values() if w.planned]):
            worker.start(many)

    @rule(choice=st.integers(0, 2), which=st.integers(0, 50), how=st.sampled_from(["finished", "failed", "stuck"]))
    def end(self, choice: int, which: int, how: str) -> None:
        if worker := self.pick(choice, [w for w in self.sim.workers.values() if w.running]):
            user_id = sorted(worker.running)[which % len(worker.running)]
            worker.end(user_id, "removed" if worker.running[user_id] and how == "finished" else how)

    @rule(choice=st.integers(0, 2))
    def report(self, choice: int) -> None:
        if worker := self.pick(choice, [w for w in self.sim.workers.values() if "init" in w.steps]):
            worker.report()

    @rule(choice=st.integers(0, 2), told=st.integers(0, 3), reads=st.integers(0, 2))
    def die(self, choice: int, told: int, reads: int) -> None:
        """After reading some of what it was sent, and with some of its answers on the way."""
        if worker := self.pick(choice, list(self.sim.workers.values())):
            for _ in range(min(reads, len(worker.inbox))):
                worker.read()
            self.sim.die(worker.index, told=told)

    @rule(seconds=st.sampled_from([0.05, 1.0, 31.0]))
    def wait(self, seconds: float) -> None:
        self.sim.now += seconds
        self.sim.do(self.sim.state.tick(self.sim.now))

    # What always holds

    @invariant()
    def counts_add_up(self) -> None:
        counts = self.sim.counts()
        assert counts.planned + sum(getattr(counts, name) for name in PRESENT) == self.last, counts

    @invariant()
    def no_user_is_with_two_workers(self) -> None:
        everybody = [i for worker in self.sim.workers.values() for i in worker.ids]
        assert len(everybody) == len(set(everybody))

    @invariant()
    def an_end_is_told_once_and_counted(self) -> None:
        assert len(self.sim.ended) == len(set(self.sim.ended))
        counts = self.sim.counts()
        assert sum(getattr(counts, name) for name in ENDS) == len(self.sim.ended)

    @invariant()
    def who_has_ended_does_not_run_again(self) -> None:
        """Except in the worker that is about to hear of it."""
        over = set(self.sim.ended)
        for worker in self.sim.workers.values():
            assert not over & set(worker.running)

    def teardown(self) -> None:
        """Let all users end, undisturbed; then stop."""
        sim = self.sim
        sim.settle()
        for _ in range(4):  # the pauses before replacements that could not be started
            sim.now += 10
            sim.do(sim.state.tick(sim.now))
            sim.settle()
        for worker in sim.workers.values():
            worker.start(1000)
            stays = {user_id for user_id, how in worker.running.items() if not how}
            assert not stays & self.removed
            for user_id, how in list(worker.running.items()):
                worker.end(user_id, "removed" if how else "finished")
        sim.report()
        counts = sim.counts()
        if sim.state.state == "running":
            assert sim.dropped.keys() == self.removals.keys()
            assert all(sim.dropped[number] <= many for number, many in self.removals.items())
            assert sum(sim.dropped.values()) >= counts.removed
            assert (counts.planned, counts.running, counts.leaving) == (0, 0, 0)
            assert sum(getattr(counts, name) for name in ENDS) == self.last
            assert set(sim.ended) == set(range(1, self.last + 1))
        else:
            assert sim.workers == {}
        sim.stop(force=sim.state.state == "error")
        sim.over()
        assert (sim.phase(), sim.workers) == ("over", {})
        assert sim.state.tick(sim.now + 1e6) == []


TestNode = Node.TestCase
TestNode.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
