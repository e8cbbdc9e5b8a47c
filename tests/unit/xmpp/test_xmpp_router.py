"""The embedded server's decisions: who gets what (RFC 6121, 8)."""

import pytest

from amoc.xmpp import Element
from amoc.xmpp.server.router import Router

PING = Element("{urn:xmpp:ping}ping")


class Bird:
    """A session that remembers what it was sent."""

    def __init__(self, router: Router, jid: str, *, present: bool = True) -> None:
        self.jid = jid
        self.available: Element | None = None
        self.heard: list[str] = []
        self.is_replaced = False
        self.router = router
        router.add(self)
        if present:
            self.says("<presence>")
            self.heard.clear()

    def deliver(self, stanza: Element) -> None:
        self.heard.append(str(stanza))

    def replaced(self) -> None:
        self.is_replaced = True

    def says(self, kind: str, *content: Element, **attributes: str) -> None:
        self.router.route(self, Element(kind.strip("<>"), attributes, *content))


@pytest.fixture
def router() -> Router:
    return Router("nest")


def test_a_message_to_a_full_address(router: Router) -> None:
    crow, tree, roof = Bird(router, "crow@nest/a"), Bird(router, "rook@nest/tree"), Bird(router, "rook@nest/roof")
    roof.heard.clear()
    tree.heard.clear()
    crow.says("<message>", to="ROOK@Nest/tree", id="1")
    assert tree.heard == ["<message to='ROOK@Nest/tree' id='1' from='crow@nest/a'/>"]
    assert roof.heard == crow.heard == []


def test_a_message_to_a_bare_address_reaches_who_is_available(router: Router) -> None:
    crow, tree = Bird(router, "crow@nest/a"), Bird(router, "rook@nest/tree")
    hidden, roof = Bird(router, "rook@nest/hidden", present=False), Bird(router, "rook@nest/roof")
    tree.heard.clear()
    for to in ("rook@nest", "rook@nest/nowhere"):
        crow.says("<message>", to=to)
    assert len(tree.heard) == len(roof.heard) == 2
    assert hidden.heard == crow.heard == []
    counters = router.counters
    assert (counters.messages_received, counters.messages_routed, counters.messages_bounced) == (2, 4, 0)


def test_a_message_without_an_address_is_for_oneself(router: Router) -> None:
    crow = Bird(router, "crow@nest/a")
    crow.says("<message>", id="1")
    assert crow.heard == ["<message id='1' from='crow@nest/a'/>"]


def test_a_message_to_nobody_comes_back(router: Router) -> None:
    crow = Bird(router, "crow@nest/a")
    crow.says("<message>", Element("body", "hi"), to="owl@nest", id="1", type="chat")
    error = "<error type='cancel'><service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>"
    assert crow.heard == [
        f"<message to='crow@nest/a' id='1' type='error' from='owl@nest'><body>hi</body>{error}</message>"
    ]
    crow.says("<message>", to="owl@nest", type="error")  # which must not be answered with another
    assert len(crow.heard) == 1
    assert router.counters.messages_bounced == 1


def test_presence_goes_to_oneself_and_to_the_own_resources(router: Router) -> None:
    other = Bird(router, "rook@nest/a")
    tree = Bird(router, "crow@nest/tree", present=False)
    tree.says("<presence>", Element("show", "away"))
    own = "<presence from='crow@nest/tree'><show>away</show></presence>"
    assert tree.heard == [own]
    roof = Bird(router, "crow@nest/roof", present=False)
    tree.heard.clear()
    roof.says("<presence>")
    assert roof.heard == [own, "<presence from='crow@nest/roof'/>"]
    assert tree.heard == ["<presence from='crow@nest/roof'/>"]
    roof.says("<presence>", type="unavailable")
    assert tree.heard[-1] == "<presence type='unavailable' from='crow@nest/roof'/>"
    roof.says("<presence>")
    router.remove(roof)
    assert tree.heard[-1] == "<presence from='crow@nest/roof' type='unavailable'/>"
    tree.says("<presence>", type="subscribe")
    assert other.heard == []


def test_directed_presence(router: Router) -> None:
    crow, rook = Bird(router, "crow@nest/a"), Bird(router, "rook@nest/a")
    for to, count in (("rook@nest", 1), ("rook@nest/a", 2), ("rook@nest/b", 2), ("owl@nest", 2)):
        crow.says("<presence>", to=to)
        assert len(rook.heard) == count
    assert crow.heard == []


def test_iq_between_users(router: Router) -> None:
    crow, rook = Bird(router, "crow@nest/a"), Bird(router, "rook@nest/a")
    crow.says("<iq>", PING, to="rook@nest/a", type="get", id="1")
    rook.says("<iq>", to="crow@nest/a", type="result", id="1")
    assert rook.heard == [
        "<iq to='rook@nest/a' type='get' id='1' from='crow@nest/a'><ping xmlns='urn:xmpp:ping'/></iq>"
    ]
    assert crow.heard == ["<iq to='crow@nest/a' type='result' id='1' from='rook@nest/a'/>"]


@pytest.mark.parametrize(
    ("attributes", "payload", "answer"),
    [
        ({}, PING, "result"),
        ({"to": "nest"}, PING, "result"),
        ({"to": "crow@nest"}, PING, "result"),
        ({}, Element("{jabber:iq:roster}query"), "result"),
        ({}, Element("{urn:unknown}query"), "service-unavailable"),
        ({}, None, "bad-request"),
        ({"to": "rook@nest/a"}, PING, "service-unavailable"),
        ({"to": "rook@nest"}, PING, "service-unavailable"),
        ({"to": "rook@elsewhere"}, PING, "remote-server-not-found"),
    ],
)
def test_iq_to_the_server_or_to_nobody(
    router: Router, attributes: dict[str, str], payload: Element | None, answer: str
) -> None:
    crow = Bird(router, "crow@nest/a")
    crow.says("<iq>", *([payload] if payload is not None else []), type="get", id="1", **attributes)
    (heard,) = crow.heard
    assert "id='1'" in heard
    assert answer in heard
    if "to" in attributes:
        assert f"from='{attributes['to']}'" in heard


def test_answers_to_nobody_vanish(router: Router) -> None:
    crow = Bird(router, "crow@nest/a")
    for kind in ("result", "error"):
        crow.says("<iq>", to="owl@nest/a", type=kind, id="1")
        crow.says("<iq>", type=kind, id="1")
    assert crow.heard == []


def test_a_new_session_replaces_one_with_the_same_address(router: Router) -> None:
    old = Bird(router, "crow@nest/a")
    new = Bird(router, "crow@nest/a")
    assert old.is_replaced
    assert not new.is_replaced
    assert (len(router), router.jids(), router.counters.logins) == (1, ["crow@nest/a"], 2)
    router.remove(old)  # its connection ends later, which must not end the new session
    assert len(router) == 1
    router.remove(new)
    router.remove(new)
    assert len(router) == 0
    assert router.jids() == []
