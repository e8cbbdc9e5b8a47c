"""The steps of a login as a table: what each stream feature needs, forbids and gives (RFC 6120, 4.3).

Both roles live from it: a client takes the first row that is usable, a server advertises the usable rows and
refuses the others. A further one is a row here and a function in `login` and `accept`; that of the client says
what it has achieved: nothing, what the row gives, or more. So there is room for SASL2 (XEP-0388: a row before
"sasl", which it forbids by giving AUTHENTICATED), within which Bind2 (XEP-0386) and stream management are
negotiated at once: its function then returns BOUND and MANAGED, too. FAST (XEP-0484) is a mechanism of SASL2.
"""

from dataclasses import dataclass
from enum import Flag, auto
from typing import Final

from amoc.xmpp.core import namespaces as ns

__all__ = ["FEATURES", "Feature", "State", "usable"]


class State(Flag):
    """What has been achieved on a connection."""

    NOTHING = 0
    SECURE = auto()  # TLS is on
    AUTHENTICATED = auto()
    BOUND = auto()  # there is a full address
    SESSION = auto()  # the server has answered the session iq (RFC 3921, 3)
    MANAGED = auto()  # stanzas are counted and acknowledged (XEP-0198)


@dataclass(frozen=True, slots=True)
class Feature:
    """One feature: `name` is also the name of the login's step; `ns` and `element` how it is offered."""

    name: str
    ns: str
    element: str
    needs: State
    forbids: State
    gives: State
    restarts: bool  # the stream starts anew after it

    def usable(self, state: State) -> bool:
        """Whether it may be negotiated in `state`."""
        # the flags' numbers: arithmetic with flags themselves is a good part of what a login would cost
        achieved, needs = state._value_, self.needs._value_
        return achieved & needs == needs and not achieved & self.forbids._value_


_RESUMED: Final = State.BOUND | State.SESSION | State.MANAGED
# In the order in which a client takes them.
FEATURES: Final = (
    Feature("starttls", ns.TLS, "starttls", State.NOTHING, State.SECURE | State.AUTHENTICATED, State.SECURE, True),
    Feature("sasl", ns.SASL, "mechanisms", State.NOTHING, State.AUTHENTICATED, State.AUTHENTICATED, True),
    Feature("resume", ns.SM, "sm", State.AUTHENTICATED, State.BOUND, _RESUMED, False),
    Feature("bind", ns.BIND, "bind", State.AUTHENTICATED, State.BOUND, State.BOUND, False),
    Feature("session", ns.SESSION, "session", State.BOUND, State.SESSION, State.SESSION, False),
    Feature("enable", ns.SM, "sm", State.BOUND, State.MANAGED, State.MANAGED, False),
)


def usable(state: State) -> tuple[Feature, ...]:
    """The features that may be negotiated in `state`, best first."""
    return tuple(feature for feature in FEATURES if feature.usable(state))
