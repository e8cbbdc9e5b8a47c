"""The messages from a node to the master and back: registration, beats, snapshots, scenario sources.

Pure: no I/O. Everything is msgpack by msgspec; a message that does not decode is refused by its receiver.
Times are Unix seconds unless said otherwise. `metrics` is a packed `amoc.metrics.Delta`, opaque here.
"""

from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from amoc.control.desired import (
    Assign,
    Change,
    Close,
    Command,
    Desired,
    Join,
    Lead,
    Phase,
    Ping,
    Remove,
    Start,
    Step,
    Stop,
)
from amoc.control.ids import IdRange

__all__ = [
    "PROTOCOL",
    "Beat",
    "BeatReply",
    "Counts",
    "ErrorCount",
    "Event",
    "Fetch",
    "Fetched",
    "Hello",
    "NodeLoad",
    "Refused",
    "Reply",
    "Request",
    "Snapshot",
    "SnapshotReply",
    "Welcome",
    "WorkerFigures",
    "decode_command",
    "decode_reply",
    "decode_request",
    "encode",
]

PROTOCOL = 1


class Counts(msgspec.Struct):
    """Users of a node or worker by what they do; every user that was given is in one state, one of the first eleven.

    `unstarted`: those who never ran before the test was stopped. `lost`: those whose node is gone, or was without its
    master for too long. `restarted`: how often users began again after their worker died. `starts`: calls of `start`.
    """

    planned: int = 0
    running: int = 0
    waiting: int = 0
    leaving: int = 0
    finished: int = 0
    failed: int = 0
    removed: int = 0
    stopped: int = 0
    stuck: int = 0
    unstarted: int = 0
    lost: int = 0
    restarted: int = 0
    starts: int = 0

    def plus(self, other: "Counts") -> "Counts":
        """The sum, field by field."""
        return Counts(*(a + b for a, b in zip(_numbers(self), _numbers(other), strict=True)))

    @property
    def present(self) -> int:
        """Users that are at work, or between two runs."""
        return self.running + self.waiting + self.leaving

    @property
    def over(self) -> int:
        """Users whose life has ended."""
        return self.finished + self.failed + self.removed + self.stopped + self.stuck + self.unstarted + self.lost

    @classmethod
    def total(cls, counts: Iterable["Counts"]) -> "Counts":
        """The sum of any number of them, field by field."""
        return cls(*map(sum, zip(*map(_numbers, counts), strict=True)))


_numbers: Callable[[Counts], tuple[int, ...]] = msgspec.structs.astuple


class WorkerFigures(msgspec.Struct):
    """One worker process as its node sees it: CPU in percent of a core, memory in bytes, times in ms.

    `report`: the number of its last report, all of which is in the beat.
    """

    index: int
    pid: int = 0
    users: int = 0
    cpu: float = 0.0
    rss: int = 0
    lag_ms: float = 0.0
    late_ms: float = 0.0
    restarts: int = 0
    report: int = 0


class ErrorCount(msgspec.Struct):
    """A distinct failure of users (one type, one traceback) and how often it happened since the last beat."""

    key: str
    type: str
    where: str
    text: str
    traceback: str
    first_user: int
    count: int


class Event(msgspec.Struct):
    """Something that happened, as one line for people; `event` is its kind."""

    event: str
    time: float
    level: str
    text: str
    node: str = ""
    worker: int | None = None
    logger: str = ""


class NodeLoad(msgspec.Struct, frozen=True):
    """The agent's process and its clock: CPU in percent of a core, memory in bytes.

    `lag_ms`: the longest that its loop was held up since the last beat. `offset_ms`: how far the master's clock is
    ahead of the node's, as the exchange with the least delay of the last ones showed; `answer_ms`: that delay.
    """

    cpu: float = 0.0
    memory: int = 0
    lag_ms: float = 0.0
    offset_ms: float = 0.0
    answer_ms: float = 0.0


class Request(msgspec.Struct, tag_field="request"):
    """What a node sends; `node` is its name, `incarnation` differs after each start of its process."""

    node: str
    incarnation: str


class Hello(Request, tag="hello"):
    """The first message of a node. `address` is the one by which it reaches the master, for people."""

    protocol: int
    version: str
    cores: int
    address: str = ""


class Beat(Request, tag="beat"):
    """Sent every second and after each change; an unanswered one is sent again as it was.

    It tells what is: `applied` (the last command), `state` (idle, starting, running, terminating, finished, error),
    `phase` (the last one done of run `run_id` in seat number `seat`), `led` (`setup()` has been run here, `data` is
    what it returned), `error` (with `alone`: it concerns only this node), `counts`, `workers`, `load`. `shown`: the
    counts for people, when a worker that is held up says more than it has reported.

    And it tells the news since beat `seq - covers`: metrics, `ended` ids (their users' life is over), ids `released` to
    go on elsewhere, how many users each removal (by its number) really met, errors, events. News are counted once: the
    master takes them in if it has those up to `seq - covers`, and says in its reply up to where it has them.
    """

    seq: int
    applied: int
    state: str
    covers: int = 1
    run_id: str | None = None
    seat: int = 0
    phase: Phase | None = None
    led: bool = False
    error: str | None = None
    alone: bool = False
    data: Any = None
    counts: Counts = msgspec.field(default_factory=Counts)
    shown: Counts | None = None
    workers: list[WorkerFigures] = []
    load: NodeLoad = NodeLoad()
    sent: float = 0.0
    metrics: bytes = b""
    ended: list[IdRange] = []
    released: list[IdRange] = []
    dropped: dict[int, int] = {}
    errors: list[ErrorCount] = []
    events: list[Event] = []


class Snapshot(Request, tag="snapshot"):
    """Asks for the whole desired state."""


class Fetch(Request, tag="fetch"):
    """Asks for the source of a scenario by its version (content hash)."""

    version: str


class Reply(msgspec.Struct, tag_field="reply"):
    """What the master answers."""


class Welcome(Reply, tag="welcome"):
    """The node is registered; `number` is that of the master's last command, `seq` as in `BeatReply`."""

    number: int
    seq: int = 0


class BeatReply(Reply, tag="beat"):
    """The news up to beat `seq` are taken in; `number` is that of the master's last command.

    `durable`: up to which beat they are on disk; a master that is started again has at least those.
    `received` and `sent` are the master's clock at the beat's arrival and at this reply.
    """

    seq: int
    number: int
    durable: int = 0
    received: float = 0.0
    sent: float = 0.0


class SnapshotReply(Reply, tag="snapshot"):
    """The whole desired state."""

    desired: Desired


class Fetched(Reply, tag="fetched"):
    """A scenario's source; `helpers`: the modules that it imports, by their paths from its directory."""

    name: str
    path: str
    text: str
    version: str
    helpers: dict[str, str] = {}


class Refused(Reply, tag="refused"):
    """The request was not accepted; `reason` is for people, `code` for the node.

    unregistered  the master does not know this incarnation: say hello
    superseded    another incarnation has taken its name: end all users at once, and do not come back
    twice         a node of that name is connected: try again, it may be about to be missed
    version       another protocol: do not come back
    """

    reason: str
    code: str = ""


_encoder = msgspec.msgpack.Encoder()
_commands: msgspec.msgpack.Decoder[Command] = msgspec.msgpack.Decoder(
    Start | Step | Lead | Assign | Remove | Change | Stop | Join | Close | Ping
)
_requests: msgspec.msgpack.Decoder[Request] = msgspec.msgpack.Decoder(Hello | Beat | Snapshot | Fetch)
_replies: msgspec.msgpack.Decoder[Reply] = msgspec.msgpack.Decoder(
    Welcome | BeatReply | SnapshotReply | Fetched | Refused
)
encode = _encoder.encode
decode_command = _commands.decode
decode_request = _requests.decode
decode_reply = _replies.decode
