"""Stream management (XEP-0198), the server's side: sessions that are acknowledged, outlive their connections, resume.

A session whose connection is lost stays in the router; what is delivered to it is kept until it is resumed, or until
the timeout has passed. The connection's link owns its session's `Management`; this registry knows which link that is.
"""

import asyncio
import secrets
from typing import Final, Protocol

from amoc.xmpp.core import namespaces as ns
from amoc.xmpp.core.element import Element
from amoc.xmpp.core.jid import local
from amoc.xmpp.core.management import Management

__all__ = ["RESUME_TIMEOUT", "Link", "Managed"]

# Seconds; ejabberd's default is 300, Prosody's 600: this server is for tests, which do not wait.
RESUME_TIMEOUT: Final = 60.0


class Link(Protocol):
    """A connection whose session is, or was, managed."""

    jid: str
    management: Management | None

    def expire(self) -> None:
        """Nobody has resumed the session: it is over."""


class Managed:
    """The managed sessions of a server that can be resumed, by what they are resumed by."""

    def __init__(self, timeout: float = RESUME_TIMEOUT) -> None:
        self.timeout = timeout
        self._links: dict[str, Link] = {}
        self._timers: dict[str, asyncio.TimerHandle] = {}

    def __len__(self) -> int:
        return len(self._links)

    def enable(self, link: Link, request: Element) -> bytes:
        """Begin to count; the answer to the client."""
        management = link.management
        if management is not None:
            return f"<failed xmlns='{ns.SM}'><unexpected-request xmlns='{ns.STANZAS}'/></failed>".encode()
        resume = request.get("resume") in ("true", "1")
        ident = secrets.token_urlsafe(12) if resume else ""
        link.management = Management(resume=resume)
        link.management.enabled(ident, None, link.jid)
        if not resume:
            return f"<enabled xmlns='{ns.SM}'/>".encode()
        self._links[ident] = link
        return f"<enabled xmlns='{ns.SM}' id='{ident}' resume='true' max='{self.timeout:.0f}'/>".encode()

    def find(self, username: str, ident: str) -> Management | None:
        """The session of this user that goes by `ident`, if there is one."""
        link = self._links.get(ident)
        return link.management if link is not None and local(link.jid) == username else None

    def suspend(self, link: Link) -> bool:
        """The link's connection is lost. Whether the session is kept, because it can be resumed."""
        management = link.management
        if management is None or not management.ident:
            return False
        management.suspend()
        loop = asyncio.get_running_loop()
        self._timers[management.ident] = loop.call_later(self.timeout, self._expire, management.ident)
        return True

    def resume(self, link: Link, management: Management) -> Link:
        """The session goes on over `link`. The link that had it before."""
        old = self._links[management.ident]
        self._links[management.ident] = link
        self._cancel(management.ident)
        old.management, link.management = None, management
        return old

    def end(self, link: Link) -> None:
        """The link's session is over: nobody can resume it any more."""
        management, link.management = link.management, None
        if management is not None:
            self._links.pop(management.ident, None)
            self._cancel(management.ident)

    def close(self) -> None:
        """End all sessions that wait to be resumed."""
        for ident in list(self._timers):
            self._expire(ident)

    def _expire(self, ident: str) -> None:
        self._links[ident].expire()

    def _cancel(self, ident: str) -> None:
        timer = self._timers.pop(ident, None)
        if timer is not None:
            timer.cancel()
