"""Messages on a pipe: whole, in order, however the bytes arrive."""

import asyncio
import socket
from collections.abc import Callable

import pytest
import uvloop
from hypothesis import given
from hypothesis import strategies as st

from amoc.worker.framing import MOST, FramedPipe


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


class End:
    """One end of a pipe, with what it got."""

    def __init__(self) -> None:
        self.got: list[bytes] = []
        self.closed = asyncio.Event()
        self.pipe = FramedPipe(self.got.append, self.closed.set)

    async def connect(self, end: socket.socket) -> "End":
        await asyncio.get_running_loop().create_unix_connection(lambda: self.pipe, sock=end)
        return self


async def pair() -> tuple[End, End]:
    a, b = socket.socketpair()
    return await End().connect(a), await End().connect(b)


def frames(messages: list[bytes]) -> bytes:
    return b"".join(len(m).to_bytes(4, "big") + m for m in messages)


@given(st.lists(st.binary(max_size=20), max_size=6), st.data())
def test_messages_arrive_whole_however_they_are_cut(messages: list[bytes], data: st.DataObject) -> None:
    got: list[bytes] = []
    pipe, rest = FramedPipe(got.append, lambda: None), frames(messages)
    while rest:
        size = data.draw(st.integers(1, len(rest)))
        pipe.data_received(rest[:size])
        rest = rest[size:]
    assert got == messages


def test_a_frame_that_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match=str(MOST + 1)):
        FramedPipe(lambda _: None, lambda: None).data_received((MOST + 1).to_bytes(4, "big"))


async def test_both_ways_and_large() -> None:
    one, other = await pair()
    sent = [b"", b"a", b"x" * 3_000_000, b"z"]
    for message in sent:
        one.pipe.send(message)
        other.pipe.send(message)
    one.pipe.close()  # what was sent is written first
    await asyncio.wait_for(other.closed.wait(), 30)
    assert other.got == sent
    await asyncio.wait_for(one.closed.wait(), 30)


@pytest.mark.parametrize("how", ["close", "abort"])
async def test_after_the_end_nothing_happens(how: str) -> None:
    one, other = await pair()
    assert one.pipe.is_open()
    getattr(one.pipe, how)()
    await asyncio.wait_for(other.closed.wait(), 30)
    await asyncio.wait_for(one.closed.wait(), 30)
    assert not one.pipe.is_open()
    for end in (one, other):
        end.pipe.send(b"unheard")
        end.pipe.close()
        end.pipe.abort()
    assert (one.got, other.got) == ([], [])
