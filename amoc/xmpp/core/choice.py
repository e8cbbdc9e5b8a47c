"""Which SASL mechanism a client takes, and how it binds it to the TLS channel: the best it can, or what is fixed.

Nothing weaker than what is asked for is ever tried; what is missing is named.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from amoc.xmpp.core.element import Element
from amoc.xmpp.core.namespaces import CHANNEL_BINDING, SASL
from amoc.xmpp.core.sasl import BINDINGS, PLUS, STRENGTH, Credentials
from amoc.xmpp.core.scram import Binding
from amoc.xmpp.errors import AuthFailed

__all__ = ["Choice", "choose", "mechanisms", "their_bindings"]


@dataclass(frozen=True, slots=True)
class Choice:
    """A mechanism; `binding` and `able` as `Scram` takes them."""

    name: str
    binding: Binding | None = None
    able: bool = False


def choose(
    wanted: str,
    offered: Sequence[str],
    who: Credentials,
    ours: Callable[[], Mapping[str, bytes]],
    theirs: Collection[str] | None,
    *,
    secure: bool,
) -> Choice:
    """The mechanism to take: `wanted`, or the strongest of those `offered` if that is "". Raises AuthFailed.

    `ours` gives our channel bindings, by type, `theirs` the types that the server names (None: it names none). With
    TLS (`secure`) there is always one.
    """
    listed = " ".join(offered) or "nothing"
    if wanted and wanted not in offered:
        reason = f"xmpp_sasl is {wanted}, but the server offers {listed}: no weaker one is tried"
        raise AuthFailed(reason, cause="not-offered")
    plus = any(name in PLUS for name in offered)
    if wanted in PLUS:
        have = ours()
        binding = _binding(have, theirs, guess=True)
        if binding is None:
            reason = f"{wanted} binds to TLS: we have {_list(have)}, the server names {_list(theirs)}"
            raise AuthFailed(reason, mechanism=wanted, cause="not-offered")
        return Choice(wanted, binding)
    if wanted:
        return Choice(wanted, able=secure and not plus)
    if who.certificate and "EXTERNAL" in offered:
        return Choice("EXTERNAL")
    if who.token:
        if "OAUTHBEARER" in offered:
            return Choice("OAUTHBEARER")
        reason = f"xmpp_token is set, but the server offers {listed}: no password is tried"
        raise AuthFailed(reason, cause="not-offered")
    binding = _binding(ours(), theirs, guess=False) if plus and secure else None
    for name in reversed(PLUS if binding is not None else ()):
        if name in offered:
            return Choice(name, binding)
    for name in reversed(STRENGTH):
        if name in offered:
            return Choice(name, able=secure and not plus)
    reason = f"no mechanism in common: the server offers {listed}, we know {' '.join(STRENGTH)}"
    raise AuthFailed(reason, cause="not-offered")


def mechanisms(offer: Element | None) -> list[str]:
    """The names in <mechanisms/>."""
    return [] if offer is None else [item.text.strip() for item in offer.find_all("mechanism", SASL)]


def their_bindings(features: Element) -> list[str] | None:
    """The types of channel binding that the server names (XEP-0440), None if it does not name any."""
    offer = features.find("sasl-channel-binding", CHANNEL_BINDING)
    return None if offer is None else [item.get("type", "") for item in offer.find_all("channel-binding")]


def _list(names: Collection[str] | None) -> str:
    return " ".join(names or ()) or "none"


def _binding(ours: Mapping[str, bytes], theirs: Collection[str] | None, *, guess: bool) -> Binding | None:
    """The best type that both know. A server that names none knows tls-unique, or what we `guess`."""
    if theirs is None:
        theirs = BINDINGS if guess else BINDINGS[:2]
    return next(((kind, ours[kind]) for kind in BINDINGS if kind in ours and kind in theirs), None)
