"""What a console and a node say to each other over the node's socket: one JSON object a line.

Pure: bytes in, messages out.

    node    -> console   {"hello": {"protocol": 1, "version": "0.1.0", "pid": 4711, …}}   first line
    console -> node      {"id": 1, "op": "local.do", "args": ["mongoose_simple", 1, 10], "kwargs": {}}
    node    -> console   {"id": 1, "ok": …}
                         {"id": 1, "error": {"kind": "BadInput", "message": "one line"}}
    console -> node      {"id": 2, "op": "events.subscribe"}
    node    -> console   {"event": {"event": "log", "level": "INFO", "text": "…", …}}      as they happen
    node    -> console   {"bye": "why the node leaves"}                                    last line

Replies come in any order; the id, chosen by the console, says which request each belongs to.
"""

import math
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

import msgspec

from amoc.errors import AmocError, BadInput, Failed

__all__ = [
    "EVENT_TEXT_LIMIT",
    "REPLY_LIMIT",
    "REQUEST_LIMIT",
    "SUBSCRIBE",
    "VERSION",
    "Answer",
    "Hello",
    "Lines",
    "Problem",
    "ProtocolError",
    "Request",
    "encode",
    "read_answer",
    "read_request",
]

VERSION = 1

# A request holds an operation's arguments: settings of a scenario at most.
REQUEST_LIMIT = 1 << 20
# A reply may be the status of many workers with every metric; some 100 KiB in practice.
REPLY_LIMIT = 16 << 20
# Of one log line; the node's log file is the place for more.
EVENT_TEXT_LIMIT = 16 << 10

# The operation of the socket itself, everything else comes from the operations' table.
SUBSCRIBE = "events.subscribe"


class ProtocolError(Failed):
    """The other side said something that is not of this protocol."""


class Request(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a console asks of the node."""

    id: int
    op: str
    args: list[Any] = []
    kwargs: dict[str, Any] = {}


class Problem(msgspec.Struct, frozen=True):
    """Why a request was not carried out; `kind` is BadInput, Failed or Internal."""

    kind: str
    message: str

    @classmethod
    def of(cls, error: BaseException) -> "Problem":
        """What to tell the other side about `error`."""
        if isinstance(error, BadInput):
            return cls("BadInput", str(error))
        if isinstance(error, AmocError):
            return cls("Failed", str(error))
        return cls("Internal", f"{type(error).__name__}: {error}")

    def error(self) -> AmocError:
        """The error to raise where the request came from."""
        if self.kind == "BadInput":
            return BadInput(self.message)
        if self.kind == "Failed":
            return Failed(self.message)
        return Failed(f"a defect in the node, its log has the traceback: {self.message}")


class Hello(msgspec.Struct, frozen=True):
    """The node's first line: who it is; `role` is local, master or slave."""

    protocol: int
    version: str
    pid: int
    role: str = "local"
    node: str = "local"


class Answer(msgspec.Struct, frozen=True, omit_defaults=True):
    """Any line from the node: exactly one of reply (id with ok or error), event, hello and bye."""

    id: int | None = None
    ok: Any = msgspec.UNSET
    error: Problem | None = None
    event: dict[str, Any] | None = None
    hello: Hello | None = None
    bye: str | None = None


Message = TypeVar("Message")


def encode(message: Request | Answer) -> bytes:
    """The line of `message`, with its end.

    What JSON has no words for is said in others: lone surrogates, which file names and broken input may
    hold, as question marks; infinity as the text "infinity", which settings read. Raises TypeError for
    values that are not plain data.
    """
    if isinstance(message, Request):
        message = Request(message.id, message.op, _plain(message.args), _plain(message.kwargs))
    elif message.ok is not msgspec.UNSET:
        message = Answer(id=message.id, ok=_plain(msgspec.to_builtins(message.ok)))
    try:
        return msgspec.json.encode(message) + b"\n"
    except UnicodeEncodeError:
        return msgspec.json.encode(_plain(msgspec.to_builtins(message))) + b"\n"


def read_request(line: bytes) -> Request:
    """The request in `line`. Raises ProtocolError."""
    return _decode(line, Request)


def read_answer(line: bytes) -> Answer:
    """The node's message in `line`. Raises ProtocolError."""
    return _decode(line, Answer)


class Lines:
    """Cuts a stream of bytes into lines of at most `limit` bytes."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._rest = bytearray()

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The lines that are complete with `data`, without their ends. Raises ProtocolError: too long."""
        start = len(self._rest)
        self._rest += data
        while (end := self._rest.find(b"\n", start)) >= 0:
            line = bytes(self._rest[:end])
            del self._rest[: end + 1]
            start = 0
            yield line
        if len(self._rest) > self._limit:
            raise ProtocolError(f"a line of more than {self._limit} bytes")


def _decode(line: bytes, kind: type[Message]) -> Message:
    try:
        return msgspec.json.decode(line, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ProtocolError(f"not a message: {line[:80]!r}: {error}") from None


def _plain(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, float) and math.isinf(value):
        return "infinity" if value > 0 else "-infinity"
    if isinstance(value, Mapping):
        return {_plain(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value
