"""What the master lets in: a frame from a node of known name becomes a request, or a refusal with its reason.

Pure: no I/O. The sender's name is that of its key's owner (see `zap`), not what the message claims.
"""

from dataclasses import dataclass

import msgspec

from amoc import __version__
from amoc.control.limits import REQUEST_LIMIT
from amoc.control.messages import PROTOCOL, Hello, Request, decode_request

__all__ = ["Refusal", "admit"]


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a frame is not let in: `kind` (size, decode, owner, version) for programs, `reason` for people."""

    kind: str
    reason: str


class _Greeting(msgspec.Struct, tag_field="request", tag="hello"):
    """What every version's `hello` has, whatever else it may have."""

    node: str
    protocol: int
    version: str


_decode_greeting = msgspec.msgpack.Decoder(_Greeting).decode


def admit(data: bytes, owner: str) -> Request | Refusal:
    """The request in `data`, which came over a connection of node `owner`; or why it is refused."""
    if len(data) > REQUEST_LIMIT:
        return Refusal("size", f"node {owner} sent a request of {len(data)} bytes: the most is {REQUEST_LIMIT}")
    try:
        request = decode_request(data)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        return _other_version(data, owner) or Refusal("decode", f"a request of node {owner} cannot be read: {error}")
    if request.node != owner:
        return Refusal(
            "owner",
            f"node {request.node[:100]!r} connects with the key of node {owner}: "
            f"give it a key of its own (amoc keys new), or call it {owner}",
        )
    if isinstance(request, Hello) and request.protocol != PROTOCOL:
        return _strange(owner, request.version, request.protocol)
    return request


def _other_version(data: bytes, owner: str) -> Refusal | None:
    """Whether what cannot be read is the greeting of another protocol, whose `hello` has other fields."""
    try:
        greeting = _decode_greeting(data)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return None
    return None if greeting.protocol == PROTOCOL else _strange(owner, greeting.version, greeting.protocol)


def _strange(node: str, version: str, protocol: int) -> Refusal:
    return Refusal(
        "version",
        f"node {node} runs amoc {version[:40]} (control protocol {protocol}), this master amoc {__version__} "
        f"(control protocol {PROTOCOL}): install the same amoc on both",
    )
