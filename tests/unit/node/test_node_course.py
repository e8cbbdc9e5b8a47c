"""The way down: stop, terminate, teardown, over, and what does not answer on it."""

import pytest

from amoc.control import Counts
from amoc.node.crew import TIMEOUTS
from amoc.node.effects import Kill, Quit
from amoc.worker import messages
from tests.unit.node.simulation import Simulation, quiet


def started(sim: Simulation) -> Simulation:
    sim.running()
    sim.assign(1, 10)
    sim.settle()
    for worker in sim.workers.values():
        worker.start(4)
    sim.report()
    return sim


def test_a_gentle_stop(sim: Simulation) -> None:
    started(sim).stop()
    assert sim.state.state == "terminating"
    sim.settle()
    assert [w.steps[-2:] for w in sim.workers.values()] == [["stop", "terminate"]] * 2
    assert sim.phase() == "stop"
    assert sim.counts() == Counts(unstarted=2, stopped=8, starts=8)
    sim.over()
    assert sim.counts() == Counts(unstarted=2, stopped=8, starts=8)
    assert sim.events == []


def test_a_forced_stop_waits_for_nothing(sim: Simulation) -> None:
    effects = started(sim).stop(force=True)
    assert quiet(effects) == [Kill(0), Kill(1)]
    assert sim.phase() == "stop"
    assert sim.counts() == Counts(unstarted=2, stopped=8, starts=8)
    sim.over()
    assert (sim.phase(), sim.state.state, sim.events) == ("over", "finished", [])


@pytest.mark.parametrize("phase", ["source", "spawning", "loading", "setup", "init"])
@pytest.mark.parametrize("force", [False, True])
def test_a_stop_on_the_way_up_ends_all(sim: Simulation, phase: str, force: bool) -> None:
    sim.start()
    if phase != "source":
        sim.source()
    if phase not in ("source", "spawning"):
        sim.up(0)
        sim.up(1)
    if phase in ("setup", "init"):
        sim.tell(0, messages.Done("load"))
        sim.tell(1, messages.Done("load"))
    if phase == "init":
        sim.tell(0, messages.Done("setup"))
        sim.step("init")
    sim.stop(force)
    if phase == "source":
        sim.source()
        assert sim.spawning == []
    sim.settle()
    assert (sim.phase(), sim.workers) == ("stop", {})
    sim.over()
    assert (sim.phase(), sim.state.state, sim.events) == ("over", "finished", [])


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("step", ["spawning", "loading", "init"])
def test_a_gentle_stop_while_a_worker_is_replaced(workers: int, step: str) -> None:
    """The replacement is ended, whatever it is at; nobody starts again."""
    sim = started(Simulation(workers))
    sim.die(0)
    if step != "spawning":
        sim.up(0)
    if step == "init":
        sim.tell(0, messages.Done("load"))
    sim.stop()
    sim.settle()
    assert sim.phase() == "stop"
    assert 0 not in sim.workers
    sim.over()
    assert (sim.phase(), sim.state.state) == ("over", "finished")
    assert len(sim.texts()) == 1  # of the death that began it


@pytest.mark.parametrize("step", ["stop", "terminate"])
@pytest.mark.parametrize("fault", ["dies", "takes too long", "is forced"])
def test_a_stop_in_which_a_worker_does_not_answer(sim: Simulation, step: str, fault: str) -> None:
    started(sim).stop()
    sim.workers[1].read()
    while sim.workers[1].outbox:
        sim.tell(1)
    sim.workers[1].read()
    if step == "terminate":
        sim.tell(0, messages.Done("stop"))
    pid = sim.workers[0].pid
    if fault == "dies":
        sim.die(0)
        assert sim.texts() == [f"worker 0 (pid {pid}) was killed by SIGKILL while stopping"]
    elif fault == "takes too long":
        sim.now += TIMEOUTS[step]
        sim.do(sim.state.tick(sim.now))
        assert f"did not end within {TIMEOUTS[step]:.0f} s; it is killed" in sim.texts()[0]
        assert sim.errors == ({"TimeoutError": 2} if step == "terminate" else {})
    else:
        sim.stop(force=True)
        assert sim.texts() == []
    sim.settle()
    assert sim.phase() == "stop"
    counts = sim.counts()
    assert (counts.stopped, counts.unstarted) == (8, 2)
    sim.over()
    assert (sim.phase(), sim.state.state) == ("over", "finished")


def test_a_terminate_that_raises_is_counted_and_the_run_ends(sim: Simulation) -> None:
    started(sim).stop()
    sim.workers[0].read()
    while sim.workers[0].outbox:
        sim.tell(0)
    sim.tell(0, messages.Failed("terminate", "terminate() raised KeyError: 'x'", "Traceback…"))
    sim.workers[0].inbox.clear()
    sim.settle()
    assert sim.phase() == "stop"
    assert sim.errors == {"KeyError": 1}
    assert sim.texts() == ["worker 0: terminate() raised KeyError: 'x'\nTraceback…"]


@pytest.mark.parametrize("fault", ["raises", "dies", "takes too long", "is forced"])
def test_a_teardown_that_fails(sim: Simulation, fault: str) -> None:
    started(sim).stop()
    sim.settle()
    sim.step("teardown")
    assert sim.phase() == "stop"
    if fault == "raises":
        sim.tell(0, messages.Failed("teardown", "teardown() raised OSError"))
        assert sim.errors == {"OSError": 1}
    elif fault == "dies":
        sim.die(0)
    elif fault == "takes too long":
        sim.now += TIMEOUTS["teardown"]
        sim.do(sim.state.tick(sim.now))
        assert sim.errors == {"TimeoutError": 1}
    else:
        sim.stop(force=True)
    assert (sim.phase(), sim.workers) == ("teardown", {})


def test_teardown_runs_in_another_worker_if_the_first_is_gone(sim: Simulation) -> None:
    started(sim).stop()
    sim.die(0)
    sim.settle()
    survivor = sim.workers[1]
    sim.step("teardown")
    survivor.read()
    assert survivor.steps[-1] == "teardown"


def test_a_worker_that_does_not_quit_is_killed(sim: Simulation) -> None:
    started(sim).stop()
    sim.settle()
    sim.step("teardown")
    effects = sim.state.worker_said(0, messages.Done("teardown"), sim.now)  # not performed: nobody quits
    assert quiet(effects) == [Quit()]
    sim.now += TIMEOUTS["quit"]
    sim.do(sim.state.tick(sim.now))
    assert (sim.phase(), sim.workers) == ("teardown", {})
