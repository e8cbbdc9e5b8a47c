"""The node's side of the conversation: what it says next, and what the answers mean to it."""

from amoc.control import (
    Beat,
    BeatReply,
    Desired,
    Fetch,
    Fetched,
    Hello,
    NodeLoad,
    Ping,
    Refused,
    Request,
    Run,
    Snapshot,
    SnapshotReply,
    Start,
    Welcome,
    apply,
)
from amoc.control.messages import Reply
from amoc.node import NodeState
from amoc.node.effects import Effect, Emit, Spawn
from amoc.node.link import BEAT, RETRY, Link
from amoc.scenario import Source

SOURCE = Source.of("chat", "text", "/chat.py", {"_rooms.py": "ROOMS = 3"})
FETCHED = Fetched(SOURCE.name, SOURCE.path, SOURCE.text, SOURCE.version, SOURCE.helpers)


class Talk:
    """A link, and a master that is played."""

    def __init__(self) -> None:
        self.state = NodeState("a", 1, {}, (), "a1")
        self.link = Link(self.state, "0.1", 4, "10.0.0.1")
        self.now = 100.0

    def next(self) -> Request:
        return self.link.next(self.now, NodeLoad())

    def answer(self, reply: Reply | None, trouble: str = "") -> list[Effect]:
        request = self.next()
        self.now += 1
        return self.link.answered(request, reply, self.now - 0.1, self.now, self.now, trouble)

    def connected(self) -> "Talk":
        """It is registered and has the desired state."""
        self.answer(Welcome(0))
        self.answer(SnapshotReply(Desired()))
        return self

    def beat(self) -> Beat:
        beat = self.next()
        assert isinstance(beat, Beat)
        return beat

    def run(self, run_id: str) -> list[Effect]:
        """A run begins."""
        run = Run(run_id, "chat", SOURCE.version, {}, ["a"], 0.0, 7)
        number = self.state.desired.number + 1
        return self.link.heard(Start(number, run, 0.01, {"a": "a1"}), self.now)


def test_hello_then_snapshot_then_beats() -> None:
    talk = Talk()
    hello = talk.next()
    assert isinstance(hello, Hello)
    assert (hello.node, hello.incarnation, hello.cores, hello.address) == ("a", "a1", 4, "10.0.0.1")
    talk.answer(Welcome(0))
    assert talk.link.pause == 0
    assert isinstance(talk.next(), Snapshot)
    talk.answer(SnapshotReply(Desired()))
    assert (talk.beat().seq, talk.link.pause) == (1, BEAT)


def test_a_missed_command_is_made_up_for_by_a_snapshot() -> None:
    talk = Talk().connected()
    assert talk.link.heard(Ping(2), talk.now) == []
    assert isinstance(talk.next(), Snapshot)
    talk.answer(SnapshotReply(apply(apply(Desired(), Ping(1)), Ping(2))))
    assert talk.beat().applied == 2
    talk.answer(BeatReply(1, 3))
    assert isinstance(talk.next(), Snapshot), "an answer tells of a command that was missed"


def test_after_silence_a_beat_comes_first() -> None:
    talk = Talk().connected()
    talk.link.heard(Ping(2), talk.now)
    assert talk.answer(None, "no answer") == []
    assert talk.link.trouble == "no answer"
    assert isinstance(talk.next(), Beat)


def test_a_source_is_fetched_once_with_its_helpers() -> None:
    talk = Talk().connected()
    talk.run("r1")
    assert talk.link.fetch(SOURCE.version, talk.now) == []
    assert talk.next() == Fetch("a", "a1", SOURCE.version)
    assert talk.answer(FETCHED) == [Spawn(0)]
    assert isinstance(talk.next(), Beat)
    talk.run("r2")
    assert talk.link.fetch(SOURCE.version, talk.now) == [Spawn(0)], "it is kept by its hash"
    assert isinstance(talk.next(), Beat)


def test_a_source_that_cannot_be_fetched_is_the_runs_error() -> None:
    talk = Talk().connected()
    talk.run("r1")
    talk.link.fetch(SOURCE.version, talk.now)
    talk.answer(Refused("no scenario of that version"))
    assert talk.state.take().error == "the scenario's source could not be fetched: no scenario of that version"


def test_a_node_that_is_refused_says_so_once_and_tries_again_later() -> None:
    talk = Talk()
    told = talk.answer(Refused("install the same amoc on both", "version"))
    assert told == [Emit("node", "ERROR", "the master refuses node a: install the same amoc on both")]
    assert talk.link.pause == RETRY
    assert talk.answer(Refused("install the same amoc on both", "version")) == []
    talk.answer(Welcome(0))
    assert (talk.link.trouble, talk.link.pause) == ("", 0.0)


def test_a_master_that_does_not_know_it_is_greeted_again() -> None:
    talk = Talk().connected()
    talk.answer(Refused("say hello first", "unregistered"))
    assert isinstance(talk.next(), Hello)
    assert not talk.link.registered


def test_a_name_that_another_has_taken_ends_it() -> None:
    talk = Talk().connected()
    assert talk.answer(Refused("another has the name", "superseded"))[0] == Emit(
        "node", "ERROR", "another has the name"
    )
    assert talk.link.over == "another has the name"


def test_a_beat_that_cannot_be_read_is_not_sent_for_ever() -> None:
    talk = Talk().connected()
    refused = Refused("the metrics of node a cannot be read: truncated", "decode")
    first = talk.beat()
    text = "the master cannot read a beat of node a: the metrics of node a cannot be read: truncated"
    said = [effect.text for effect in talk.answer(refused) if isinstance(effect, Emit)]
    assert said == [f"{text}; its metrics, failures and log lines are given up (of 1 beats so far)"]
    again = talk.beat()
    assert (again.seq, again.metrics) == (first.seq, b"")
    said = [effect.text for effect in talk.answer(refused) if isinstance(effect, Emit)]
    assert said == [f"{text}; all its news (users and counts are not complete) are given up (of 1 beats so far)"]
    following = talk.beat()
    assert (following.seq, following.covers) == (2, 2)
    assert talk.answer(BeatReply(2, 0)) == []
    assert (talk.beat().covers, talk.link.pause, talk.link.trouble) == (1, BEAT, "")


def test_a_beat_that_is_too_long_is_given_up_too() -> None:
    talk = Talk().connected()
    talk.answer(Refused("a Beat of 17000000 bytes cannot be sent", "size"))
    assert talk.beat().metrics == b""
