"""Workers that die while users run: they are replaced, until it is too often."""

import pytest

from amoc.control import Counts
from amoc.node.crew import TIMEOUTS
from amoc.node.replacing import MOST_CRASHES, PAUSE
from amoc.worker import messages
from tests.unit.node.simulation import Simulation


def test_a_dead_worker_is_replaced_and_its_users_restart(sim: Simulation) -> None:
    sim.running()
    sim.assign(1, 10)
    sim.settle()
    for worker in sim.workers.values():
        worker.start(5)
    sim.workers[0].end(1)
    sim.report()
    sim.workers[0].end(3)  # nobody hears of it any more
    sim.now += 1
    pid = sim.workers[0].pid
    sim.die(0)
    assert sim.texts() == [
        f"worker 0 (pid {pid}) was killed by SIGKILL: 4 users start again in a new one "
        f"(what it counted since its last report, up to 1 s, is lost)"
    ]
    assert sim.spawning == [0]
    assert sim.counts() == Counts(planned=4, running=5, finished=1, restarted=4, starts=10)
    replacement = sim.up(0)
    sim.change({"repeat_num": 1}, 0.5)  # while it comes up
    sim.assign(11, 14)
    sim.settle()
    assert replacement.steps == ["init"]
    assert replacement.data == {"room": 5}
    assert replacement.settings == {"repeat_num": 1}
    assert replacement.ids == {3, 5, 7, 9, 11, 13}
    assert (sim.state.state, sim.state.take().workers[0].restarts) == ("running", 1)


def test_removal_while_a_worker_is_replaced(sim: Simulation) -> None:
    """Its users are removed at once, and never start again."""
    sim.running()
    sim.assign(1, 10)
    sim.settle()
    for worker in sim.workers.values():
        worker.start(5)
    sim.now += 1
    sim.report()
    sim.die(0)
    number = sim.remove([7, 8, 9, 10])
    sim.settle()
    assert sim.dropped == {number: 4}
    assert sim.workers[0].ids == {1, 3, 5}
    sim.report()
    assert sim.counts() == Counts(planned=3, running=3, leaving=2, removed=2, restarted=5, starts=10)


def test_removal_while_the_only_worker_is_replaced() -> None:
    sim = Simulation(workers=1).running()
    sim.assign(1, 4)
    sim.settle()
    sim.die(0)
    number = sim.remove([4])
    assert sim.dropped == {number: 1}
    sim.settle()
    assert sim.workers[0].ids == {1, 2, 3}


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize("told", [0, 1])
def test_death_between_a_removal_and_the_end_of_its_users(sim: Simulation, force: bool, told: int) -> None:
    """Whether its answer arrives or not, they are counted as removed once, and do not start again."""
    sim.running()
    sim.assign(1, 10)
    sim.settle()
    for worker in sim.workers.values():
        worker.start(4)
    sim.now += 1
    sim.report()
    number = sim.remove([7, 8, 9, 10], force)
    sim.workers[0].read()
    sim.die(0, told=told)
    sim.settle()
    assert sim.dropped == {number: 4}
    assert sim.workers[0].ids == {1, 3, 5}
    sim.workers[0].start(3)
    for user_id in [i for i, how in sim.workers[1].running.items() if how]:
        sim.workers[1].end(user_id, "removed")
    sim.report()
    assert sim.counts() == Counts(running=6, removed=4, restarted=3, starts=11)
    assert sorted(sim.ended) == [7, 8, 9, 10]


@pytest.mark.parametrize("fault", ["dies", "raises in init", "takes too long", "cannot be started"])
def test_a_replacement_that_does_not_come_up(sim: Simulation, fault: str) -> None:
    """It is tried a few times, then given up: its users have failed, the others go on."""
    sim.running()
    sim.assign(1, 10)
    sim.settle()
    for worker in sim.workers.values():
        worker.start(5)
    sim.now += 1
    sim.report()
    sim.die(0)
    for tries in range(MOST_CRASHES):
        assert sim.spawning == [0]
        if fault == "cannot be started":
            sim.spawning.remove(0)
            sim.do(sim.state.worker_not_up(0, "no room", sim.now))
            if tries + 1 < MOST_CRASHES:  # it is tried again after a pause
                assert sim.spawning == []
                sim.do(sim.state.tick(sim.now + PAUSE * (tries + 2) - 0.01))
                assert sim.spawning == []
                sim.do(sim.state.tick(sim.now + PAUSE * (tries + 2)))
            continue
        sim.up(0)
        if fault == "dies":
            sim.die(0, "exited with code 1")
        elif fault == "raises in init":
            sim.tell(0, messages.Done("load"))
            sim.tell(0, messages.Failed("init", "init() raised OSError: no"))
        else:
            sim.now += TIMEOUTS["loading"] / MOST_CRASHES  # all within the window
            sim.state.crew[0].deadline = sim.now
            sim.do(sim.state.tick(sim.now))
    assert sim.spawning == []
    assert sim.counts() == Counts(running=5, failed=5, restarted=5, starts=10)
    assert sim.errors == {"WorkerLost": 5}
    assert sorted(sim.ended) == [1, 3, 5, 7, 9]
    assert "it is not replaced, 5 users are lost" in sim.texts()[-1]
    assert sim.state.state == "running"
    sim.assign(11, 14)  # half of them for a worker that is gone
    assert sim.counts().failed == 7
    assert sim.errors == {"WorkerLost": 7}
    number = sim.remove([12, 13, 14])
    sim.settle()
    assert sim.dropped == {number: 2}
    sim.stop()
    sim.over()
    assert (sim.phase(), sim.state.state) == ("over", "finished")


def test_when_no_worker_is_left_the_run_fails() -> None:
    sim = Simulation(workers=1).running()
    sim.assign(1, 10)
    for _ in range(MOST_CRASHES + 1):
        sim.settle()
        sim.die(0)
    assert sim.state.state == "error"
    assert "no worker is left" in (sim.state.take().error or "")
    assert sim.counts().failed == 10
    sim.assign(11, 13)  # sent before the master knew: they never start, but they count
    assert (sim.counts().planned, sim.counts().failed) == (0, 13)
    sim.stop(force=True)
    sim.over()
    assert sim.phase() == "over"


def test_crashes_long_ago_do_not_count(sim: Simulation) -> None:
    sim.running()
    sim.assign(1, 4)
    for _ in range(3 * MOST_CRASHES):
        sim.settle()
        sim.die(0)
        sim.now += 30
    sim.settle()
    assert sim.workers[0].ids == {1, 3}
