"""Every message survives encoding and decoding; what is no message is refused."""

import math

import msgspec
import pytest

from amoc.control import (
    Assign,
    Beat,
    BeatReply,
    Change,
    Close,
    Command,
    Counts,
    Desired,
    ErrorCount,
    Event,
    Fetch,
    Fetched,
    Grant,
    Hello,
    IdRange,
    Join,
    Lead,
    NodeLoad,
    Own,
    Ping,
    Refused,
    Removal,
    Remove,
    Reply,
    Request,
    Run,
    Seat,
    Snapshot,
    SnapshotReply,
    Start,
    Step,
    Stop,
    Welcome,
    WorkerFigures,
)
from amoc.control.messages import decode_command, decode_reply, decode_request, encode

IDS = {"a": [IdRange(1, 9, 2), IdRange(20, 20)], "b": [IdRange(2, 10, 2)]}
RUN = Run("r1", "chat", "v1", {"rounds": 3, "repeat_num": math.inf, "hosts": ["ä", "b"]}, ["a", "b"], 1.5, 7)

COMMANDS: list[Command] = [
    Start(1, RUN, 0.05, {"a": "a1"}),
    Step(2, "r1", "init", {"rooms": ["x", {"y": None}]}),
    Assign(3, "r1", IDS),
    Assign(3, "r1", IDS, [IdRange(1, 2)], IDS),
    Lead(3, "r1", "b"),
    Join(3, "r1", "b", "b2"),
    Close(3, "r1", "b", [IdRange(1, 2)]),
    Remove(4, "r1", IDS, True),
    Change(5, "r1", {"interarrival": 1.0}, 0.001, {"a": Own({"pause": 1})}),
    Stop(6, "r1", False),
    Ping(7),
]
REQUESTS: list[Request] = [
    Hello("a", "i1", 1, "0.1.0", 8),
    Snapshot("a", "i1"),
    Fetch("a", "i1", "v1"),
    Beat("a", "i1", 1, 0, "idle"),
    Beat(
        node="a",
        incarnation="i1",
        seq=3,
        applied=6,
        state="running",
        run_id="r1",
        phase="run",
        error="worker 0: no",
        data=[1, "x"],
        counts=Counts(planned=1, running=2, starts=9),
        workers=[WorkerFigures(0, 12, 5, 99.5, 1 << 31, 3.5, 0.5, 1)],
        metrics=b"\x00\xff",
        covers=2,
        seat=1,
        led=True,
        alone=True,
        shown=Counts(running=3),
        ended=[IdRange(1, 3)],
        released=[IdRange(4, 4)],
        dropped={4: 2},
        errors=[ErrorCount("k", "OSError", "start", "no", "Traceback…", 7, 3)],
        events=[Event("log", 1.0, "INFO", "hello", "a", 0, "chat")],
        sent=1.5,
        load=NodeLoad(3.5, 1 << 26, 1.5, -0.25, 0.5),
    ),
]
REPLIES: list[Reply] = [
    Welcome(9, 4),
    BeatReply(3, 9, 2, 1.5, 1.625),
    Refused("no scenario of version v1", "unregistered"),
    Fetched("chat", "/chat.py", "async def start(user_id): …", "v1", {"_rooms": "X = 1"}),
    SnapshotReply(Desired()),
    SnapshotReply(
        Desired(
            number=6,
            run=RUN,
            phase="stop",
            data={"rooms": []},
            force=True,
            settings=RUN.settings,
            seats={"a": Seat("a1", 1, [Grant(2, IDS["a"])], [Removal(4, IDS["a"], True)], Own({"pause": 1}, 0.1))},
            leader="a",
            given=6,
            highest=20,
            orphans=IDS["b"],
            reason="stopped",
        )
    ),
]


def named(message: object) -> str:
    return type(message).__name__


@pytest.mark.parametrize("command", COMMANDS, ids=named)
def test_commands(command: Command) -> None:
    assert decode_command(encode(command)) == command


@pytest.mark.parametrize("request_", REQUESTS, ids=named)
def test_requests(request_: Request) -> None:
    assert decode_request(encode(request_)) == request_


@pytest.mark.parametrize("reply", REPLIES, ids=named)
def test_replies(reply: Reply) -> None:
    assert decode_reply(encode(reply)) == reply


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xc1",
        b"garbage",
        encode(Welcome(1)),
        encode({"command": "boom", "number": 1}),
        encode(Stop(1, "r1", True))[:-1],
        encode({"command": "stop", "number": "one", "run_id": "r1", "force": True}),
        encode({"command": "assign", "number": 1, "run_id": "r1", "ids": {"a": [[5, 4, 1]]}}),
        encode({"command": "assign", "number": 1, "run_id": "r1", "ids": {"a": [[1, 4, 2]]}}),
    ],
)
def test_what_is_no_command_is_refused(data: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        decode_command(data)


def test_ten_million_ids_travel_as_cheaply_as_ten() -> None:
    many, few = (len(encode(Assign(1, "r1", {"a": [IdRange(1, last)]}))) for last in (10_000_000, 10))
    assert many - few < 10


def test_counts_add_up_field_by_field() -> None:
    ones = Counts(*range(1, len(Counts.__struct_fields__) + 1))
    total = ones.plus(ones).plus(Counts())
    assert msgspec.structs.astuple(total) == tuple(2 * n for n in range(1, len(Counts.__struct_fields__) + 1))
