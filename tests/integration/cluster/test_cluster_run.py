"""A master and three slaves under load, from do to stop and again: what amoc says, and what the server says."""

from collections.abc import Iterator

import pytest

from amoc.errors import BadInput
from tests.support.cluster import RealCluster
from tests.support.servers import Ejabberd

pytestmark = pytest.mark.ejabberd


@pytest.fixture(scope="module")
def cluster(ejabberd: Ejabberd, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealCluster]:
    with RealCluster(tmp_path_factory.mktemp("cluster"), ejabberd) as running:
        running.do(1, 3)  # multiprocessing leaves a process in each agent that had workers: no test has left it behind
        running.op("stop")
        yield running


@pytest.fixture(autouse=True)
def _stopped(cluster: RealCluster) -> Iterator[None]:
    """Each test ends its own run."""
    yield
    if cluster.op("status")["state"] not in ("idle", "finished", "error"):
        cluster.op("stop", force=True)
    cluster.until_online([])


def test_users_are_dealt_out_in_turn_and_counted_exactly(cluster: RealCluster) -> None:
    before = cluster.server.counts()
    assert cluster.do(1, 30) == {
        "slave1": {"users": [[1, 28, 3]]},
        "slave2": {"users": [[2, 29, 3]]},
        "slave3": {"users": [[3, 30, 3]]},
    }
    assert cluster.op("add", 5) == {
        "slave1": {"added": 2, "users": [[31, 34, 3]]},
        "slave2": {"added": 2, "users": [[32, 35, 3]]},
        "slave3": {"added": 1, "users": [[33, 33, 1]]},
    }
    cluster.until_online(range(1, 36))
    users = cluster.users(running=35)
    assert users["wanted"] == 35
    assert {node["node"]: node["users"] for node in cluster.op("nodes")} == {"slave1": 12, "slave2": 12, "slave3": 11}
    assert set(cluster.op("stop")) == {"slave1", "slave2", "slave3"}
    cluster.until_online([])
    metrics = cluster.op("status")["metrics"]
    seen = cluster.server.counts() - before
    assert metrics["amoc.counters.connections"]["value"] == seen.opened == 35
    assert metrics["said"]["value"] == seen.messages_in > 0, "what many nodes count adds up to what the server has seen"


def test_remove_takes_exactly_as_many_as_asked_for(cluster: RealCluster) -> None:
    cluster.do(1, 31)
    removed = cluster.op("remove", 10, force=True)
    assert sum(reply["removed"] for reply in removed.values()) == 10
    assert len(removed) == 3
    cluster.until_online(range(1, 22))
    cluster.users(running=21, removed=10)
    assert cluster.op("remove", 2, force=True, nodes="slave2") == {"slave2": {"removed": 2}}
    cluster.until_online(sorted({*range(1, 22)} - {20, 17}))
    cluster.op("add", 3)
    cluster.until_online(sorted({*range(1, 22), 32, 33, 34} - {20, 17}))


def test_another_test_after_the_stop_on_some_of_the_nodes(cluster: RealCluster) -> None:
    cluster.do(1, 9)
    with pytest.raises(BadInput, match="online is running already"):
        cluster.op("do", "online", 1, 2)
    assert {name: reply["state"] for name, reply in cluster.op("stop").items()} == dict.fromkeys(
        ("slave1", "slave2", "slave3"), "finished"
    )
    assert cluster.do(101, 104, nodes=["slave1", "slave3"], comment="half of them") == {
        "slave1": {"users": [[101, 103, 2]]},
        "slave3": {"users": [[102, 104, 2]]},
    }
    cluster.said("half of them")
    assert cluster.op("add", 2, nodes=["slave3"]) == {"slave3": {"added": 2, "users": [[105, 106, 1]]}}
    cluster.until_online(range(101, 107))
    with pytest.raises(BadInput, match="slave2 takes no part in the test"):
        cluster.op("add", 1, nodes=["slave2"])
    with pytest.raises(BadInput, match="unknown node slave9; the nodes are: slave1, slave2, slave3"):
        cluster.op("add", 1, nodes=["slave9"])
    with pytest.raises(BadInput, match="nodes is empty"):
        cluster.op("add", 1, nodes=[])
    assert cluster.online() == list(range(101, 107)), "what is refused changes nothing"


def test_settings_reach_every_node(cluster: RealCluster) -> None:
    cluster.do(1, 6)
    reply = cluster.op("update_settings", {"pause": 0.1, "interarrival": 7})
    assert reply == {name: {"settings": {"pause": 0.1, "interarrival": 7.0}} for name in cluster.slaves}
    cluster.until(lambda: cluster.op("status")["rates"].get("said", 0) > 20, "users that talk ten times a second")
    with pytest.raises(BadInput, match="unknown setting 'puase'"):
        cluster.op("update_settings", {"puase": 1})
    with pytest.raises(BadInput, match="setting pause: expected a number"):
        cluster.op("update_settings", {"pause": "long", "interarrival": 9})
    assert cluster.op("config.get", "interarrival") == 7, "all or nothing"


def test_every_node_answers(cluster: RealCluster) -> None:
    answers = cluster.op("ping_nodes")
    assert sorted(answers) == ["slave1", "slave2", "slave3"]
    assert all(0 < answer["answer_ms"] < 30_000 for answer in answers.values())
    for node in cluster.op("nodes"):
        assert node["state"] == "up"
        assert node["address"] == "127.0.0.1"
        assert node["version"]
        assert node["last_beat"] < 30
        assert node["workers"] == 1 or node["run"] == "idle"


def test_a_scenario_that_fails_on_the_nodes(cluster: RealCluster) -> None:
    cluster.place.scenario(
        "unfit", "def init():\n    raise OSError('no disk')\n\nasync def start(user_id):\n    pass\n"
    )
    with pytest.raises(Exception, match=r"slave\d: .*no disk"):
        cluster.op("do", "unfit", 1, 3)
    cluster.do(1, 3)
