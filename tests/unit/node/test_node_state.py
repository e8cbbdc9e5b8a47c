"""The node's decisions, stimulus by stimulus, without processes or clock."""

import pytest

from amoc.control import Assign, Counts, IdRange, Remove
from amoc.node.crew import TIMEOUTS
from amoc.node.effects import BeatNow, FetchSource, Kill, Quit, Send, Spawn
from amoc.scenario import Source
from amoc.users import Failure, Leg
from amoc.worker import WorkerDeath, messages
from amoc.worker.messages import Tally
from tests.unit.node.simulation import SOURCE, Simulation, begun, quiet

# The way up


def test_a_run_from_start_to_end(sim: Simulation) -> None:
    assert sim.state.state == "idle"
    assert quiet(sim.start()) == [FetchSource("v1")]
    assert sim.state.state == "starting"
    assert sim.state.source_arrived(SOURCE, sim.now) == [Spawn(0), Spawn(1)]
    sim.spawning = [0, 1]
    sim.up(0)
    sim.up(1)
    load = messages.Load(SOURCE, {"file": {}}, ("extra",), {}, 8)
    assert list(sim.workers[1].inbox) == [load]  # every worker has its own seed
    assert begun(sim.tell(0, messages.Done("load"))) == []
    assert begun(sim.tell(1, messages.Done("load"))) == [(0, "setup")]  # when all are loaded, in one
    assert sim.phase() is None
    assert sim.tell(0, messages.Done("setup", {"room": 5})) == [BeatNow()]
    assert (sim.phase(), sim.state.take().data) == ("setup", {"room": 5})
    assert begun(sim.step("init", {"room": 5})) == [(0, "init"), (1, "init")]
    assert sim.workers[1].inbox[-1] == messages.Begin("init", {"room": 5})
    sim.tell(1, messages.Done("init"))
    assert sim.phase() == "setup"
    assert sim.tell(0, messages.Done("init")) == [BeatNow()]
    assert sim.phase() == "init"
    sim.step("run")
    assert (sim.phase(), sim.state.state) == ("run", "running")
    assert [e for e in sim.assign(1, 3) if isinstance(e, Send)] == [
        Send(0, messages.Legs([Leg(1, 3, 2, sim.now + 0.05, 0.02)])),
        Send(1, messages.Legs([Leg(2, 2, 2, sim.now + 0.06, 0.02)])),
    ]
    assert begun(sim.stop()) == [(0, "stop"), (1, "stop")]
    assert sim.state.state == "terminating"
    assert begun(sim.tell(0, messages.Done("stop"))) == [(0, "terminate")]
    assert begun(sim.tell(1, messages.Done("stop"))) == [(1, "terminate")]
    sim.tell(0, messages.Done("terminate"))
    assert sim.phase() == "run"
    sim.tell(1, messages.Done("terminate"))
    assert sim.phase() == "stop"
    assert begun(sim.step("teardown")) == [(0, "teardown")]
    assert quiet(sim.tell(0, messages.Done("teardown"))) == [Quit()]
    assert (sim.phase(), sim.workers) == ("teardown", {})
    sim.step("over")
    assert (sim.phase(), sim.state.state) == ("over", "finished")
    assert sim.counts() == Counts(unstarted=3)
    assert sim.events == []


def test_only_the_first_node_of_the_run_sets_up_and_tears_down() -> None:
    sim = Simulation(nodes=("n0", "n1")).running()
    sim.settle()
    assert sim.phase() == "run"
    sim.stop()
    sim.over()
    assert sim.phase() == "over"
    assert sim.events == []


def test_a_run_of_other_nodes_is_ignored() -> None:
    sim = Simulation(nodes=("n0",))
    assert sim.start() == []
    assert (sim.state.state, sim.phase()) == ("idle", None)


def test_a_run_that_is_over_already_is_ignored(sim: Simulation) -> None:
    """The snapshot that a node gets which registers between two runs."""
    sim.running()
    sim.stop()
    sim.over()
    fresh = Simulation()
    assert fresh.state.wants(sim.desired, 1.0) == []


def test_the_same_desired_state_again_has_no_effect(sim: Simulation) -> None:
    """At every point of a run, and also after losing a command in between."""

    def again() -> None:
        assert sim.state.wants(sim.desired, sim.now) == []

    sim.start()
    again()
    sim.source()
    assert sim.state.source_arrived(SOURCE, sim.now) == []
    sim.settle()
    again()
    sim.step("init")
    again()
    sim.settle()
    sim.step("run")
    sim.assign(1, 10)
    sim.remove([10])
    sim.change({"repeat_num": 3}, 0.05)
    again()
    sim.settle()
    again()
    sim.die(0)
    again()
    sim.settle()
    sim.stop()
    again()
    sim.settle()
    again()
    sim.step("teardown")
    again()
    sim.settle()
    sim.step("over")
    again()


def test_another_version_of_the_source_is_ignored(sim: Simulation) -> None:
    sim.start()
    other = Source("scene", "other", "scene.py", "v2")
    assert sim.state.source_arrived(other, sim.now) == []


def test_the_next_run_begins_clean(sim: Simulation) -> None:
    sim.running()
    sim.assign(1, 10)
    sim.settle()
    sim.die(0)
    sim.settle()
    sim.stop(force=True)
    sim.over()
    sim.start("r2")
    assert (sim.state.state, sim.phase(), sim.counts()) == ("starting", None, Counts())
    sim.source()
    sim.settle()
    assert sim.phase() == "setup"


def test_a_new_run_ends_the_workers_of_the_old(sim: Simulation) -> None:
    """As a node sees it that missed the end of the old one. Their deaths are not those of the new workers."""
    sim.running()
    old = sim.workers[0].pid
    assert [e for e in sim.start("r2") if isinstance(e, Kill)] == [Kill(0), Kill(1)]
    sim.source()
    assert quiet(sim.state.worker_died(WorkerDeath(0, old, "was killed by SIGKILL", False), sim.now)) == []
    sim.settle()
    assert sim.phase() == "setup"


# What goes wrong on the way up


@pytest.mark.parametrize(
    ("step", "where"), [("load", "scene.py, line 3: no"), ("init", "init() raised ValueError: no")]
)
def test_a_step_that_fails_fails_the_run(sim: Simulation, step: str, where: str) -> None:
    sim.start()
    sim.source()
    if step == "init":
        sim.settle()
        sim.step("init")
    else:
        sim.up(0), sim.up(1)
    sim.tell(0, messages.Failed(step, where, "Traceback…"))
    assert sim.texts() == [f"worker 0: {where}\nTraceback…"]
    assert sim.state.take().error == f"worker 0: {where}"
    assert sim.state.state == "error"
    sim.settle()  # the other worker goes on, the run does not
    assert sim.phase() == ("setup" if step == "init" else None)
    assert "setup" not in [s for w in sim.workers.values() for s in w.steps] or step == "init"
    sim.stop(force=True)
    sim.over()
    assert (sim.state.state, sim.phase(), sim.workers) == ("error", "over", {})


def test_a_setup_that_fails_fails_the_run(sim: Simulation) -> None:
    sim.start()
    sim.source()
    sim.up(0), sim.up(1)
    sim.tell(0, messages.Done("load"))
    sim.tell(1, messages.Done("load"))
    sim.tell(0, messages.Failed("setup", "setup() raised OSError: no"))
    assert sim.state.take().error == "worker 0: setup() raised OSError: no"


@pytest.mark.parametrize("step", ["loading the scenario", "setup()", "init()"])
def test_a_death_on_the_way_up_fails_the_run(sim: Simulation, step: str) -> None:
    sim.start()
    sim.source()
    first = sim.up(0)
    sim.up(1)
    if step != "loading the scenario":
        sim.tell(0, messages.Done("load"))
        sim.tell(1, messages.Done("load"))
    if step == "init()":
        sim.tell(0, messages.Done("setup"))
        sim.step("init")
    sim.die(0, "exited with code 3", told=0)
    assert sim.state.take().error == f"worker 0 (pid {first.pid}) exited with code 3 during {step}"
    assert sim.spawning == []
    sim.stop(force=True)
    sim.over()
    assert (sim.state.state, sim.phase()) == ("error", "over")


@pytest.mark.parametrize("when", ["at once", "while the other is on its way"])
def test_a_process_that_cannot_be_started_fails_the_run(sim: Simulation, when: str) -> None:
    """And the run comes to its end, although that worker never existed and the other came up meanwhile."""
    sim.start()
    sim.source()
    if when == "at once":
        sim.up(1)
    sim.spawning.remove(0)
    sim.do(sim.state.worker_not_up(0, "Resource temporarily unavailable", sim.now))
    assert sim.state.take().error == "worker 0 cannot be started: Resource temporarily unavailable"
    sim.stop(force=True)
    sim.settle()  # one that comes up only now is ended
    assert sim.phase() == "stop"
    sim.over()
    assert (sim.phase(), sim.workers) == ("over", {})


def test_no_source_fails_the_run(sim: Simulation) -> None:
    sim.start()
    assert sim.state.failed("the scenario's source could not be fetched: no answer", sim.now)[-1] == BeatNow()
    assert sim.state.take().error == "the scenario's source could not be fetched: no answer"
    sim.stop(force=True)
    sim.over()
    assert sim.phase() == "over"


@pytest.mark.parametrize("step", ["spawning", "loading", "setup", "init"])
def test_a_step_that_takes_too_long_on_the_way_up(sim: Simulation, step: str) -> None:
    sim.start()
    sim.source()
    if step != "spawning":
        sim.up(0)
        sim.up(1)
    if step in ("setup", "init"):
        sim.tell(0, messages.Done("load"))
        sim.tell(1, messages.Done("load"))
    if step == "init":
        sim.tell(0, messages.Done("setup"))
        sim.step("init")
        sim.tell(1, messages.Done("init"))
    before = sim.now
    sim.now = before + TIMEOUTS[step] - 0.01
    assert sim.state.tick(sim.now) == []
    sim.now = before + TIMEOUTS[step]
    effects = sim.do(sim.state.tick(sim.now))
    assert Kill(0) in effects
    assert f"did not end within {TIMEOUTS[step]:.0f} s" in (sim.state.take().error or "")
    error = sim.state.take().error
    sim.do(sim.state.tick(sim.now + 1000))
    assert sim.state.take().error == error
    sim.stop(force=True)
    sim.over()
    assert (sim.state.state, sim.phase(), sim.workers) == ("error", "over", {})


# Users


def test_reports_add_up(sim: Simulation) -> None:
    sim.running()
    sim.assign(1, 10)
    sim.settle()
    for worker in sim.workers.values():
        worker.start(4)
    sim.workers[0].end(1)
    sim.workers[0].end(3, "failed")
    sim.report()
    assert sim.counts() == Counts(planned=2, running=6, finished=1, failed=1, starts=8)
    assert sim.ended == [1, 3]
    figures = sim.state.take().workers[0]
    assert (figures.users, figures.cpu, figures.rss, figures.lag_ms, figures.late_ms) == (2, 5.0, 1000, 1.0, 2.0)


def test_a_held_up_worker_is_shown_and_not_relied_on(sim: Simulation) -> None:
    """What its watchdog says is no report: users whose end was not reported start again."""
    sim.running()
    sim.assign(1, 4)
    sim.settle()
    sim.tell(0, messages.HeldUp(Tally(running=1, finished=1, starts=2), 4096, 900.0))
    assert sim.state.take().shown == Counts(planned=2, running=1, finished=1, starts=2)
    assert sim.counts() == Counts(planned=4)
    assert (sim.state.take().workers[0].lag_ms, sim.state.take().workers[0].rss) == (900.0, 4096)
    sim.die(0)
    sim.settle()
    assert sim.state.take().shown is None
    assert sim.counts().finished == 0
    assert sim.workers[0].ids == {1, 3}


def test_errors_are_passed_on_and_said_once(sim: Simulation) -> None:
    sim.running()
    failure = Failure("key", "OSError", "start", "OSError: no", "Traceback…\n", 7, 3)
    for index in (0, 1, 0):
        sim.workers[index].report(failures=[failure])
        sim.tell(index)
    assert sim.errors == {"OSError": 9}
    assert sim.texts() == ["user 7 failed: OSError: no\nTraceback…"]


def test_settings_and_pace_change_live(sim: Simulation) -> None:
    sim.running()
    sim.assign(1, 100)
    effects = sim.change({"repeat_num": 3}, 0.02)
    assert quiet(effects) == [
        Send(0, messages.Change({"repeat_num": 3})),
        Send(1, messages.Change({"repeat_num": 3})),
        Send(0, messages.Repace(sim.now + 0.05, 2.0)),
        Send(1, messages.Repace(sim.now + 0.05, 2.0)),
    ]


def test_a_removal_is_answered_when_all_workers_have(sim: Simulation) -> None:
    sim.running()
    sim.assign(1, 10)
    sim.settle()
    sim.workers[0].start(5)
    number = sim.remove([8, 9, 10, 99], force=False)
    sim.workers[0].read()
    sim.tell(0)
    assert sim.dropped == {}
    sim.workers[1].read()
    assert BeatNow() in sim.tell(1)
    assert sim.dropped == {number: 3}
    assert sim.counts() == Counts(planned=3, running=4, leaving=1, removed=2, starts=5)


def test_late_words_change_nothing(sim: Simulation) -> None:
    """Of a worker that is being killed, and of one that the node does not know."""
    sim.start()
    sim.source()
    sim.up(0)
    sim.up(1)
    sim.stop(force=True)
    for index in (0, 1, 7):
        assert sim.state.worker_said(index, messages.Done("load"), sim.now) == []
        assert sim.state.worker_said(index, messages.Failed("load", "no"), sim.now) == []
    assert sim.state.worker_died(WorkerDeath(7, 1, "exited with code 0", False), sim.now) == []
    assert sim.state.worker_up(7, 1, sim.now) == [Kill(7)]


def test_ids_of_other_nodes_are_none_of_its_business(sim: Simulation) -> None:
    sim.running()
    sim.command(Assign, "r1", {"n2": [IdRange(1, 5)]})
    sim.command(Remove, "r1", {"n2": [IdRange(1, 5)]}, True)
    assert sim.counts() == Counts()
    assert sim.dropped == {}
