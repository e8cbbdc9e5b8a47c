"""Frames on the pipe between agent and worker: four bytes of length, then the message."""

import asyncio
from collections.abc import Callable
from typing import cast

__all__ = ["FramedPipe"]

MOST = 64 * 1024 * 1024  # bytes of one frame; the largest is a scenario's source or a list of ended ids


class FramedPipe(asyncio.Protocol):
    """One end of the pipe. `received` gets each message, `closed` is called once when the other end is gone."""

    def __init__(self, received: Callable[[bytes], None], closed: Callable[[], None]) -> None:
        self._received = received
        self._closed = closed
        self._buffer = bytearray()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the loop."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's are no subclass of it

    def data_received(self, data: bytes) -> None:
        """Called by the loop."""
        buffer = self._buffer
        buffer += data
        at = 0
        while len(buffer) - at >= 4:
            size = int.from_bytes(buffer[at : at + 4], "big")
            if size > MOST:
                raise ValueError(f"frame of {size} bytes on a worker's pipe")
            if len(buffer) - at - 4 < size:
                break
            message = bytes(buffer[at + 4 : at + 4 + size])
            at += 4 + size
            self._received(message)
        del buffer[:at]

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the loop."""
        self._transport = None
        self._closed()

    def send(self, message: bytes) -> None:
        """Send one message; nothing happens when the other end is gone."""
        if self._transport is not None:
            self._transport.write(len(message).to_bytes(4, "big") + message)

    def close(self) -> None:
        """Close the pipe once what was sent is written."""
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Close the pipe at once."""
        if self._transport is not None:
            self._transport.abort()

    def is_open(self) -> bool:
        """Whether messages can still come from the other end."""
        return self._transport is not None
