"""Signs of life: white space (RFC 6120, 4.6.1), or a ping (XEP-0199) that has to be answered.

A timer per user, and nothing else. White space keeps routers and servers from thinking that the connection is idle;
only a ping notices that the server is gone.
"""

import asyncio
from collections.abc import Callable
from typing import Literal

from amoc.xmpp.core.element import Element
from amoc.xmpp.errors import SendOverflow

__all__ = ["Keepalive", "KeepaliveKind"]

KeepaliveKind = Literal["whitespace", "ping"]


class Keepalive:
    """The signs of life of one session, every `interval` seconds until `stop`.

    `sign` sends one, and returns what will be done when it is answered, None if it needs no answer; `silent` is
    called, once, when there was no answer until the next was due, or so much waits to be sent that there is no room.
    """

    __slots__ = ("_interval", "_sign", "_silent", "_timer", "_waiting")

    def __init__(
        self, interval: float, sign: Callable[[], "asyncio.Future[Element] | None"], silent: Callable[[], None]
    ) -> None:
        self._interval = interval
        self._sign = sign
        self._silent = silent
        self._waiting: asyncio.Future[Element] | None = None
        self._timer = asyncio.get_running_loop().call_later(interval, self._tick)

    def stop(self) -> None:
        """No more signs."""
        self._timer.cancel()
        if self._waiting is not None:
            self._waiting.cancel()

    def _tick(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._silent()
            return
        try:
            self._waiting = self._sign()
        except SendOverflow:
            self._silent()
            return
        self._timer = asyncio.get_running_loop().call_later(self._interval, self._tick)
