"""Who is logged in, and where each stanza goes (RFC 6121, 8). Pure: sessions are whatever can `deliver`.

What it does not do: subscriptions (presence goes to the user's own resources, and wherever it is directed),
offline messages (an error comes back instead), other domains.
"""

import itertools
from dataclasses import dataclass
from typing import Protocol

from amoc.xmpp.core import namespaces as ns
from amoc.xmpp.core.element import Element
from amoc.xmpp.core.jid import bare, normal

__all__ = ["Counters", "Router", "Session"]


@dataclass(slots=True)
class Counters:
    """What has happened since the start."""

    logins: int = 0
    messages_received: int = 0  # from clients
    messages_routed: int = 0  # delivered to a session; a message to two resources counts twice
    messages_bounced: int = 0  # answered with an error, nobody being there


class Session(Protocol):
    """A logged-in connection, to the router. `available` is its last undirected presence, if that says so."""

    jid: str
    available: Element | None

    def deliver(self, stanza: Element) -> None:
        """Send the stanza to the client."""

    def replaced(self) -> None:
        """Another connection has taken the address: end this one."""


class Router:
    """The sessions of one domain. `stamps`: messages are delivered with a <stanza-id/> (XEP-0359)."""

    def __init__(self, domain: str, *, stamps: bool = False) -> None:
        self.domain = domain
        self._stamps = stamps
        self._stamp = itertools.count(1)
        self.counters = Counters()
        self._accounts: dict[str, dict[str, Session]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._accounts.values()))

    def jids(self) -> list[str]:
        """The full addresses that are logged in."""
        return [jid for sessions in self._accounts.values() for jid in sessions]

    def add(self, session: Session) -> None:
        """A session has bound its address; another one that had it has to go."""
        sessions = self._accounts.setdefault(bare(session.jid), {})
        old = sessions.get(session.jid)
        sessions[session.jid] = session
        self.counters.logins += 1
        if old is not None:
            self._gone(old)
            old.replaced()

    def hand_over(self, old: Session, new: Session) -> None:
        """A session goes on over another connection: nobody but the two notices."""
        new.available = old.available
        self._accounts[bare(new.jid)][new.jid] = new

    def remove(self, session: Session) -> None:
        """A session has ended."""
        sessions = self._accounts.get(bare(session.jid), {})
        if sessions.get(session.jid) is session:
            del sessions[session.jid]
            self._gone(session)
            if not sessions:
                del self._accounts[bare(session.jid)]

    def route(self, session: Session, stanza: Element) -> None:
        """Do with a client's stanza what has to be done."""
        stanza.attrs["from"] = session.jid
        to = stanza.attrs.get("to")
        if to is not None:
            to = normal(to)
        if stanza.name == "message":
            self.counters.messages_received += 1
            self._message(session, stanza, to or bare(session.jid))
        elif stanza.name == "presence":
            self._presence(session, stanza, to)
        else:
            self._iq(session, stanza, to)

    def _message(self, session: Session, stanza: Element, to: str) -> None:
        receivers = self._receivers(to)
        for receiver in receivers:
            receiver.deliver(self._stamped(stanza, bare(receiver.jid)) if self._stamps else stanza)
        self.counters.messages_routed += len(receivers)
        if not receivers and stanza.attrs.get("type") != "error":
            self.counters.messages_bounced += 1
            self._refuse(session, stanza, "service-unavailable")

    def _stamped(self, stanza: Element, account: str) -> Element:
        """The message with what it is called in the account's archive, and without what somebody else calls it so."""
        ident = Element(f"{{{ns.SID}}}stanza-id", {"by": account, "id": f"{next(self._stamp):X}"})
        children = [
            child
            for child in stanza.children
            if not (isinstance(child, Element) and child.ns == ns.SID and child.get("by") == account)
        ]
        return Element(stanza.name, stanza.attrs, *children, ident)

    def _receivers(self, to: str) -> list[Session]:
        """A full address: that session; a bare one: its available sessions (RFC 6121, 8.5.2.1.1)."""
        sessions = self._accounts.get(bare(to), {})
        if to in sessions:
            return [sessions[to]]
        if "/" in to:  # RFC 6121, 8.5.3.2.1: as if it had been sent to the bare address
            to = bare(to)
        return [session for session in sessions.values() if session.available is not None]

    def _presence(self, session: Session, stanza: Element, to: str | None) -> None:
        if to is not None:
            sessions = self._accounts.get(bare(to), {})
            receivers = [sessions[to]] if to in sessions else list(sessions.values()) if "/" not in to else []
            for receiver in receivers:
                receiver.deliver(stanza)
            return
        kind = stanza.attrs.get("type")
        if kind not in (None, "unavailable"):
            return  # subscriptions, which nobody has here
        others = [other for other in self._accounts.get(bare(session.jid), {}).values() if other.available is not None]
        newly = session.available is None
        session.available = stanza if kind is None else None
        for other in others:
            other.deliver(stanza)
        if kind is None and newly:
            for other in others:
                if other.available is not None:
                    session.deliver(other.available)
            session.deliver(stanza)

    def _gone(self, session: Session) -> None:
        """Say to the user's other resources that this one is gone, if it has not said so itself."""
        if session.available is None:
            return
        session.available = None
        notice = Element("presence", {"from": session.jid, "type": "unavailable"})
        for other in self._accounts.get(bare(session.jid), {}).values():
            if other.available is not None and other is not session:
                other.deliver(notice)

    def _iq(self, session: Session, stanza: Element, to: str | None) -> None:
        kind = stanza.attrs.get("type")
        own = bare(session.jid)
        if to is not None and to not in (own, self.domain):
            target = self._accounts.get(bare(to), {}).get(to)
            if target is not None:
                target.deliver(stanza)
            elif kind in ("get", "set"):
                known = bare(to) in self._accounts or bare(to).endswith(f"@{self.domain}")
                self._refuse(session, stanza, "service-unavailable" if known else "remote-server-not-found")
        elif kind in ("get", "set"):
            self._ask(session, stanza)

    def _ask(self, session: Session, stanza: Element) -> None:
        """Answer a request to the server or to the account."""
        payload = next(iter(stanza), None)
        what = (stanza.attrs["type"], payload.ns, payload.name) if payload is not None else None
        if what in (("get", ns.PING, "ping"), ("set", ns.SESSION, "session")):
            self._answer(session, stanza)
        elif what == ("get", ns.ROSTER, "query"):
            self._answer(session, stanza, Element(f"{{{ns.ROSTER}}}query"))
        else:
            self._refuse(session, stanza, "bad-request" if payload is None else "service-unavailable")

    def _answer(self, session: Session, stanza: Element, *content: Element) -> None:
        attributes = {"type": "result", "id": stanza.get("id"), "to": session.jid, "from": stanza.get("to")}
        session.deliver(Element("iq", attributes, *content))

    def _refuse(self, session: Session, stanza: Element, condition: str) -> None:
        """Send the stanza back as an error (RFC 6120, 8.3)."""
        back = Element(stanza.name, stanza.attrs, *stanza.children)
        back.attrs |= {"type": "error", "to": session.jid, "from": stanza.get("to") or bare(session.jid)}
        kind = "modify" if condition == "bad-request" else "cancel"
        session.deliver(back.add(Element("error", {"type": kind}, Element(f"{{{ns.STANZAS}}}{condition}"))))
