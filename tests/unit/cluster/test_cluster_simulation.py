"""Whatever the network loses, doubles or reorders: each user starts once, counts add up, removals are exact.

A failure's test id names its seed: `pytest -k "[17]"` plays that schedule again.
"""

from collections.abc import Iterator

import msgspec
import pytest

from amoc.control import Counts
from tests.unit.cluster.simulation import Simulation, Wait


@pytest.mark.parametrize("seed", range(60))
def test_two_runs_in_any_order_of_events(seed: int) -> None:
    simulation = Simulation(seed, {"a": 1 + seed % 2, "b": 2, "c": 1}, loss=(0.0, 0.1, 0.25)[seed % 3])
    simulation.play(run(simulation, 1))
    simulation.play(run(simulation, 2))


def run(simulation: Simulation, number: int) -> Iterator[Wait]:
    cluster, choose = simulation.cluster, simulation.random
    first = choose.randint(1, 20)
    last = first + choose.randint(0, 60)
    yield from simulation.begin(number, first, last)
    wanted = last - first + 1
    total: list[int] = []
    for _ in range(choose.randint(0, 5)):
        if choose.random() < 0.5:
            more = choose.randint(1, 20)
            yield from simulation.assign(last + 1, last + more)
            last, wanted = last + more, wanted + more
        else:
            count = choose.randint(1, 30)
            met = len(simulation.removed)
            yield from simulation.remove(count, choose.random() < 0.5, total)
            assert len(simulation.removed) - met == total[-1] <= count
            if total[-1] < count:  # there were no more: everybody else has ended
                assert simulation.removed | simulation.finished == set(range(first, last + 1))
            wanted -= total[-1]
        assert cluster.given - cluster.removed == wanted
    if number == 1:  # the second is stopped in its course
        yield lambda: quiet(cluster.counts(), cluster.given)
        ids = set(range(first, last + 1))
        never = ids - simulation.started.keys()
        assert never <= simulation.removed
        assert all(times == 1 for times in simulation.started.values())
        assert simulation.started.keys() <= ids
        counts = cluster.counts()
        assert (counts.removed, counts.finished) == (sum(total), len(ids) - sum(total))
        assert counts.starts == len(simulation.started)
    yield from simulation.end(force=choose.random() < 0.3)
    assert all(times == 1 for times in simulation.started.values())
    assert not any(node.workers for node in simulation.nodes.values())
    assert cluster.failure() is None
    total_of_nodes = Counts()
    for node in simulation.nodes.values():
        total_of_nodes = total_of_nodes.plus(node.state.counts())
    counts = cluster.counts()
    assert counts == total_of_nodes
    present = msgspec.structs.asdict(counts)
    assert [name for name in ("running", "waiting", "leaving", "failed", "stuck", "restarted") if present[name]] == []
    assert {node.state for node in cluster.of_run()} == {"finished"}


def quiet(counts: Counts, given: int) -> bool:
    return counts.finished + counts.removed == given
