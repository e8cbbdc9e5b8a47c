"""Recorded exchanges, played by the embedded server: the client's stanzas are checked, the answers are sent.

    replay(server, [
        "<iq type='get' id='*'><ping xmlns='urn:xmpp:ping'/></iq>",   # the client has to send this
        "> <iq type='result' id='*'/>",                               # then it is sent that
    ])

`id='*'` stands for whatever id the client chose, `$JID` and `$ACCOUNT` for the full and the bare address of the
client that sent the last stanza; `*` as an attribute's value or a text is whatever the client sends. Stanzas go
through a real connection and the real parser.
"""

from collections.abc import Sequence

from amoc.xmpp import Element, bare
from amoc.xmpp.server import EmbeddedServer
from amoc.xmpp.server.router import Router, Session
from tests.unit.xmpp.reference import stanzas_of

__all__ = ["Replay", "replay", "xml"]

ANSWER = "> "


def xml(text: str) -> Element:
    """One stanza, as it is after it was sent in a stream, by an independent parser."""
    (stanza,) = stanzas_of(f"<s xmlns='jabber:client'>{text}</s>".encode())
    return stanza


class Replay(Router):
    """Plays the exchange; `wrong` holds what the client sent that it should not have."""

    def __init__(self, old: Router, lines: Sequence[str]) -> None:
        super().__init__(old.domain)
        self._accounts = old._accounts
        self.lines = list(lines)
        self.wrong: list[str] = []

    def route(self, session: Session, stanza: Element) -> None:
        """Compare with the recording; send what was sent then."""
        if not self.lines or self.lines[0].startswith(ANSWER):
            self.wrong.append(f"not expected at all: {stanza}")
            return
        expected = self.lines.pop(0)
        if not _same(xml(self._fill(expected, session, None)), stanza):
            self.wrong.append(f"\nexpected {expected}\nbut got  {stanza}")
        ident = stanza.get("id")
        while self.lines and self.lines[0].startswith(ANSWER):
            answer = xml(self._fill(self.lines.pop(0).removeprefix(ANSWER), session, stanza))
            if answer.get("id") == "*" and ident is not None:
                answer.attrs["id"] = ident
            session.deliver(answer)

    def _fill(self, text: str, session: Session, stanza: Element | None) -> str:
        text = text.replace("$JID", session.jid).replace("$ACCOUNT", bare(session.jid))
        if stanza is not None:
            query = next(iter(stanza), None)
            text = text.replace("$QUERYID", (query.get("queryid") if query is not None else None) or "")
        return text

    def done(self) -> None:
        """Nothing wrong, nothing left."""
        assert self.wrong == []
        assert self.lines == []


def replay(server: EmbeddedServer, lines: Sequence[str]) -> Replay:
    """From now on the server only plays the exchange."""
    server.router = Replay(server.router, lines)
    return server.router


def _same(expected: Element, sent: Element) -> bool:
    if (expected.name, expected.ns) != (sent.name, sent.ns) or expected.attrs.keys() != sent.attrs.keys():
        return False
    if any(value not in ("*", sent.attrs[key]) for key, value in expected.attrs.items()):
        return False
    if expected.text.strip() not in ("*", sent.text.strip()):
        return False
    ours, theirs = list(expected), list(sent)
    return len(ours) == len(theirs) and all(map(_same, ours, theirs))
