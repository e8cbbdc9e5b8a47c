"""docs/control-protocol.md has every message with its fields, every limit and every code of a refusal as they are."""

import re
from pathlib import Path

import msgspec
import pytest

from amoc.control import (
    Command,
    Desired,
    ErrorCount,
    Event,
    Reply,
    Request,
    Run,
    WorkerFigures,
    limits,
    zmq_master,
    zmq_node,
    zmq_sockets,
)
from amoc.control.messages import PROTOCOL, Beat, NodeLoad

TEXT = (Path(__file__).parents[3] / "docs" / "control-protocol.md").read_text()
GENERAL = {"number", "run_id", "node", "incarnation"}  # said once for all


KINDS = [
    (field, kind)
    for field, kinds in (
        ("command", Command.__subclasses__()),
        ("request", Request.__subclasses__()),
        ("reply", Reply.__subclasses__()),
    )
    for kind in kinds
]


def named(kind: type) -> str:
    return kind.__name__


@pytest.mark.parametrize(("field", "kind"), KINDS, ids=[kind.__name__ for _, kind in KINDS])
def test_every_message_has_a_row_with_its_fields(field: str, kind: type[msgspec.Struct]) -> None:
    table = TEXT.split(f"| `{field}` |", 1)[1].split("\n\n", 1)[0]
    tag = kind.__struct_config__.tag
    (row,) = re.findall(rf"^\| `{tag}` \|(.*)$", table, re.MULTILINE)
    if kind is Beat:
        return
    for name in kind.__struct_fields__:
        assert f"`{name}`" in row or (name in GENERAL and field != "reply"), name


@pytest.mark.parametrize("name", sorted(set(Beat.__struct_fields__) - GENERAL))
def test_every_field_of_a_beat_has_a_row(name: str) -> None:
    assert re.search(rf"^\| (`\w+`\??, )*`{name}`\??[, |]", TEXT.split("A `beat` has:", 1)[1], re.MULTILINE)


@pytest.mark.parametrize("kind", [Run, Desired, WorkerFigures, ErrorCount, Event, NodeLoad], ids=named)
def test_what_messages_are_made_of(kind: type[msgspec.Struct]) -> None:
    for name in kind.__struct_fields__:
        assert f"`{name}`" in TEXT, name


def test_the_limits_and_the_version() -> None:
    mib = 1 << 20
    assert f"| a request | {limits.REQUEST_LIMIT // mib} MiB |" in TEXT
    assert f"above {(limits.REQUEST_LIMIT + limits.CUT_OFF_SLACK) // mib} MiB" in TEXT
    assert f"| a reply, a command | {limits.REPLY_LIMIT // mib} MiB |" in TEXT
    assert f"without an answer within {limits.REQUEST_TIMEOUT:g} s" in TEXT
    assert f"at present {PROTOCOL}." in TEXT


def test_the_options_of_sockets() -> None:
    seconds = (zmq_sockets._HEARTBEAT, zmq_sockets._HEARTBEAT_TIMEOUT, zmq_sockets._HEARTBEAT_TTL)
    assert f"| {', '.join(f'{it // 1000} s' for it in seconds)} |" in TEXT
    assert f"| `HANDSHAKE_IVL` | both | {zmq_sockets._HANDSHAKE // 1000} s |" in TEXT
    assert f"| `CONNECT_TIMEOUT` | slave | {zmq_sockets._CONNECT_TIMEOUT // 1000} s |" in TEXT
    assert f"| {zmq_sockets._RECONNECT / 1000:g} s, doubling to {zmq_sockets._RECONNECT_MAX // 1000} s," in TEXT
    assert f"| `BACKLOG` | master | {zmq_sockets._BACKLOG} |" in TEXT
    assert zmq_master.COMMANDS_QUEUED == zmq_node.COMMANDS_QUEUED
    assert zmq_master.REQUESTS_QUEUED == zmq_node.REQUESTS_QUEUED
    assert f"PUB, SUB: {zmq_node.COMMANDS_QUEUED}; REP, REQ: {zmq_node.REQUESTS_QUEUED}" in TEXT


def test_every_code_of_a_refusal() -> None:
    used = {"size", "decode", "owner", "version"}
    for path in (Path(__file__).parents[3] / "amoc").rglob("*.py"):
        used |= set(re.findall(r'\bRefused\(.*"(\w+)"\)', path.read_text()))
    for code in used:
        assert f"`{code}`" in TEXT, code
