"""The state of one XML stream, common to both roles; `login` and `accept` are the two negotiations.

Theory of operation. A negotiation is a generator: it is sent each thing the parser finds (StreamHeader or
Element, None once TLS is on) and appends effects. Its return is the end of the login; from then on `receive`
hands stanzas straight to `deliver`, without an effect, a queue or a task. A step that restarts the stream
sets a new parser; whatever the peer has sent behind the step's last element is refused, since it was sent
without the new layer (this is how plain text was smuggled past STARTTLS elsewhere).
"""

from collections.abc import Callable, Generator, Mapping
from typing import Final

from amoc.xmpp.core import namespaces as ns
from amoc.xmpp.core.effects import Effect, Ended, StartTls, Write
from amoc.xmpp.core.element import Element
from amoc.xmpp.core.escape import escape
from amoc.xmpp.core.features import State
from amoc.xmpp.core.framing import DOCUMENT, Framing
from amoc.xmpp.core.parser import MAX_STANZA_SIZE, BadXml, StreamEnd, StreamHeader
from amoc.xmpp.errors import Disconnected, StreamError, XmppError

__all__ = ["Incoming", "Negotiation", "Stream", "stream_error", "stream_header"]

_STREAM: Final = ns.STREAM

Incoming = StreamHeader | Element | None
Negotiation = Generator[None, Incoming, None]


def stream_header(**attributes: str) -> bytes:
    """The opening of a stream over TCP (RFC 6120, 4.7) with the attributes that are not empty."""
    return DOCUMENT.open(attributes)


def stream_error(condition: str, text: str = "") -> bytes:
    """A stream error (RFC 6120, 4.9), after which our stream has to end."""
    detail = f"<text xmlns='{ns.STREAMS}' xml:lang='en'>{escape(text)}</text>" if text else ""
    return f"<stream:error><{condition} xmlns='{ns.STREAMS}'/>{detail}</stream:error>".encode()


class Stream:
    """One stream, from its first byte to its last. Subclasses give `_negotiate`.

    `step` names what is being negotiated, `state` what has been achieved. `deliver` takes the stanzas once
    the login is done; until then they are among the effects. `notice` is told the name of each step of the login
    as it ends, that of the connection first. `bindings` gives the channel bindings of TLS, by type, when they are
    asked for. `secure`: TLS is on from the start.
    """

    __slots__ = (
        "_awaiting_tls", "_closing", "_effects", "_framing", "_max", "_negotiation", "_over", "_parser",
        "_restarting", "bindings", "deliver", "notice", "state", "step",
    )  # fmt: skip

    def __init__(
        self, max_stanza_size: int = MAX_STANZA_SIZE, framing: Framing = DOCUMENT, *, secure: bool = False
    ) -> None:
        self._max = max_stanza_size
        self._framing = framing
        self._parser = framing.parser(max_stanza_size)
        self._effects: list[Effect] = []
        self._negotiation: Negotiation | None = None
        self._over = False  # the peer's stream has ended, or ours had to
        self._closing = False  # we have ended our stream
        self._restarting = ""  # the step after which nothing more may come in this read
        self._awaiting_tls = False
        self.deliver: Callable[[Element], None] | None = None
        self.notice: Callable[[str], None] | None = None
        self.bindings: Callable[[], Mapping[str, bytes]] = dict
        self.state = State.SECURE if secure else State.NOTHING
        self.step = "stream"

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.step} {self.state}>"

    # -- for the owner of the socket ------------------------------------------------------------------

    @property
    def max_stanza_size(self) -> int:
        """How many bytes of a stanza are taken."""
        return self._max

    def start(self, after: str = "connect") -> list[Effect]:
        """The connection is there, `after` being the last step of making it: begin."""
        self.ended(after)
        self._negotiation = self._negotiate()
        next(self._negotiation)
        return self._take()

    def receive(self, data: bytes) -> list[Effect]:
        """What the peer sends next: bytes, or a whole message where the framing has messages.

        Stanzas go to `deliver` once the login is done, the rest is returned.
        """
        for event in self._parser.feed(data):
            if type(event) is Element and self._negotiation is None and event.ns != _STREAM:
                deliver = self.deliver
                if deliver is not None and not self._effects:  # else it would overtake them
                    deliver(event)
                    continue
            self._event(event)
            if self._over:
                break
        if self._restarting and not self._awaiting_tls:
            self._restarting = ""
        return self._take() if self._effects else []

    def tls_started(self) -> list[Effect]:
        """The connection that `StartTls` asked for is encrypted now."""
        self._awaiting_tls = False
        self._restarting = ""
        self._advance(None)
        return self._take()

    def close(self) -> bytes | None:
        """What ends our stream; None when it has ended."""
        if self._closing:
            return None
        self._closing = True
        return self._framing.close()

    def fail(self, error: XmppError) -> list[Effect]:
        """What carries the stream has found that it cannot go on: end it."""
        self._end(error)
        return self._take()

    def ended(self, step: str) -> None:
        """Tell who times the login that a step has ended."""
        if self.notice is not None:
            self.notice(step)

    def lost(self) -> None:
        """The connection is gone: forget everything."""
        self._over = self._closing = True
        self._parser.close()
        self._forget()
        if self._negotiation is not None:
            self._negotiation.close()
            self._negotiation = None

    # -- for the negotiations -------------------------------------------------------------------------

    def _negotiate(self) -> Negotiation:
        raise NotImplementedError

    def _failure(self, error: XmppError) -> XmppError:
        """The error to report when the stream ends in `error` during the negotiation."""
        raise NotImplementedError

    def _write_header(self, **attributes: str) -> None:
        """Open our stream, with the attributes that are not empty."""
        self._effects.append(Write(self._framing.open(attributes)))

    def _write(self, data: bytes | str) -> None:
        self._effects.append(Write(data.encode() if isinstance(data, str) else data))

    def _restart(self) -> None:
        """What comes now is a new stream (RFC 6120, 4.3.3)."""
        self._parser.close()
        self._parser = self._framing.parser(self._max)
        self._restarting = self.step

    def _start_tls(self) -> None:
        """Ask for TLS; the negotiation is sent None when it is on."""
        self._effects.append(StartTls())
        self._restart()
        self._awaiting_tls = True

    def _end(self, error: XmppError | None) -> None:
        """End the stream: nothing that the peer sends counts any more."""
        if self._over:
            return
        if error is not None and self._negotiation is not None:
            error = self._failure(error)
        footer = self.close()
        if footer is not None:
            self._write(footer)
        self._effects.append(Ended(error))
        self._over = True
        self._parser.close()

    def _refuse(self, condition: str, text: str) -> None:
        """End the stream because of what the peer sent, telling it so."""
        if not self._closing:
            self._write(stream_error(condition, text))
        self._end(StreamError(condition, text, ours=True))

    # -- inside ---------------------------------------------------------------------------------------

    def _event(self, event: StreamHeader | StreamEnd | BadXml | Element) -> None:
        if self._restarting:
            self.step = self._restarting
            self._refuse("policy-violation", f"data after the end of step {self.step}")
        elif isinstance(event, Element) and event.ns == ns.STREAM and event.name == "error":
            self._end(_their_error(event))
        elif isinstance(event, BadXml):
            self._refuse(event.condition, event.text)
        elif isinstance(event, StreamEnd):
            self._end(Disconnected("the stream was closed") if self._negotiation is not None else None)
        elif isinstance(event, StreamHeader) or self._negotiation is not None:
            self._advance(event)
        elif event.ns == ns.STREAM:
            self._refuse("unsupported-stanza-type", f"<{event.name}/> after the login")
        else:
            self._effects.append(event)

    def _advance(self, event: Incoming) -> None:
        if self._negotiation is None:
            return
        try:
            self._negotiation.send(event)
        except StopIteration:
            self._negotiation = None
            self._forget()
        except XmppError as error:
            if isinstance(error, StreamError) and error.ours:
                self._refuse(error.condition, error.text)
            else:
                self._end(error)

    def _forget(self) -> None:
        """Let go of what only a login needs."""
        self.notice = None
        self.bindings = dict

    def _take(self) -> list[Effect]:
        effects, self._effects = self._effects, []
        return effects


def _their_error(element: Element) -> StreamError:
    condition, text = "undefined-condition", ""
    for child in element:
        if child.name == "text":
            text = child.text
        elif child.ns == ns.STREAMS:
            condition = child.name
    return StreamError(condition, text)
