"""Whatever handlers and filters a scenario has, and whoever waits in `receive`: extensions get what they wait for.

Each exchange ends with a stanza of every kind that belongs to nobody: the scenario still gets those, and no other.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import pytest

from amoc.xmpp import Client, Element, connect
from amoc.xmpp.ext import blocking, disco, mam, muc, muc_light, pep, pubsub, receipts, roster
from amoc.xmpp.server import EmbeddedServer
from tests.unit.xmpp.ext.replay import replay, xml

ROOM = "nest@conference.localhost"
LIGHT = "muclight.localhost"
NODE = "urn:example:mood"
USER = "http://jabber.org/protocol/muc#user"
ID = "> <iq type='result' id='*'"
PUSH = "<iq type='set' id='p1'><query xmlns='jabber:iq:roster'><item jid='a@b' subscription='both'/></query></iq>"
BLOCK = "<iq type='set' id='b1'><block xmlns='urn:xmpp:blocking'><item jid='a@b'/></block></iq>"
EVENT = (
    "<message from='crow@localhost'><event xmlns='http://jabber.org/protocol/pubsub#event'>"
    f"<items node='{NODE}'><item id='current'/></items></event></message>"
)
RESULT = (
    "> <message><result xmlns='urn:xmpp:mam:2' queryid='$QUERYID' id='x1'><forwarded xmlns='urn:xmpp:forward:0'>"
    "<message xmlns='jabber:client'><body>old</body></message></forwarded></result></message>"
)
FIN = "<fin xmlns='urn:xmpp:mam:2'><set xmlns='http://jabber.org/protocol/rsm'><first>x1</first><last>x1</last></set></fin>"
INTERESTS = pep.Interests([NODE])
QUESTION = f"<iq type='get' id='q1' from='localhost'><query xmlns='{disco.INFO}'/></iq>"
OTHERS = (
    "> <message id='other' from='crow@localhost/tree'><body>caw</body></message>",
    "> <presence id='other' from='crow@localhost/tree'/>",
    "> <iq type='get' id='other' from='crow@localhost/tree'><question xmlns='urn:example'/></iq>",
)


def seen(nick: str, *codes: int, kind: str = "") -> str:
    """What a room says of an occupant."""
    statuses = "".join(f"<status code='{code}'/>" for code in codes)
    return f"> <presence from='{ROOM}/{nick}'{kind}><x xmlns='{USER}'><item/>{statuses}</x></presence>"


@dataclass
class Case:
    """What is called, the exchange, and what the call returns, as far as it is looked at."""

    call: Callable[[Client], Awaitable[object]]
    lines: list[str]
    returns: object


async def joined(client: Client) -> list[str]:
    return sorted((await muc.join(client, ROOM, "crow", timeout=5)).occupants)


async def history(client: Client) -> list[str]:
    with client.collect(muc.talk_of(ROOM)) as talk:
        await muc.join(client, ROOM, "crow", timeout=5)
        return [(await talk.get(timeout=5)).findtext("body", default="") for _ in range(2)]


CASES = {
    "muc.join": Case(
        joined,
        [f"<presence to='{ROOM}/crow'><x xmlns='{muc.NS}'/></presence>", seen("rook"), seen("jay"), seen("crow", 110)],
        ["jay", "rook"],
    ),
    "muc.history": Case(
        history,
        [
            f"<presence to='{ROOM}/crow'><x xmlns='{muc.NS}'/></presence>",
            seen("crow", 110),
            *(f"> <message from='{ROOM}/rook' type='groupchat'><body>{body}</body></message>" for body in "ab"),
        ],
        ["a", "b"],
    ),
    "muc.leave": Case(
        lambda client: muc.leave(client, ROOM, "crow", timeout=5),
        [f"<presence to='{ROOM}/crow' type='unavailable'/>", seen("crow", 110, kind=" type='unavailable'")],
        None,
    ),
    "muc.change_nick": Case(
        lambda client: muc.change_nick(client, ROOM, "raven", timeout=5),
        [f"<presence to='{ROOM}/raven'/>", seen("crow", 303, 110, kind=" type='unavailable'"), seen("raven", 110)],
        muc.Occupant(ROOM, "raven", True, "none", "none", "", frozenset({110})),
    ),
    "muc.set_subject": Case(
        lambda client: muc.set_subject(client, ROOM, "caw", timeout=5),
        [
            f"<message to='{ROOM}' type='groupchat'><subject>caw</subject></message>",
            f"> <message from='{ROOM}/crow' type='groupchat'><subject>caw</subject></message>",
        ],
        None,
    ),
    "muc_light.create_unique": Case(
        lambda client: muc_light.create_unique(client, LIGHT, timeout=5),
        [
            f"<iq type='set' to='{LIGHT}' id='*'><query xmlns='{muc_light.CREATE}'/></iq>",
            f"> <message from='new@{LIGHT}' type='groupchat' id='*'><x xmlns='{muc_light.AFFILIATIONS}'/></message>",
            f"{ID} from='new@{LIGHT}'/>",
        ],
        f"new@{LIGHT}",
    ),
    "mam.query": Case(
        lambda client: mam.query(client),
        ["<iq type='set' id='*'><query xmlns='urn:xmpp:mam:2' queryid='*'/></iq>", RESULT, f"{ID}>{FIN}</iq>"],
        "x1",
    ),
    "roster.next_push": Case(
        lambda client: triggered(client, roster.next_push(client, timeout=5)),
        ["<presence/>", "> " + PUSH, "<iq type='result' id='p1'/>"],
        roster.Push(roster.Contact("a@b", "", "both", False, False, ()), ""),
    ),
    "roster.subscribe": Case(
        lambda client: roster.subscribe(client, "a@b", timeout=5),
        ["<presence to='a@b' type='subscribe'/>", "> <presence from='a@b' type='subscribed'/>"],
        None,
    ),
    "roster.next_request": Case(
        lambda client: triggered(client, roster.next_request(client, timeout=5)),
        ["<presence/>", "> <presence from='a@b' type='subscribe'/>"],
        "a@b",
    ),
    "receipts.deliver": Case(
        lambda client: receipts.deliver(client, "a@b", "hello", id="m1", timeout=5),
        [
            receipts.message("a@b", "hello", "m1"),
            f"> <message from='a@b/c'><received xmlns='{receipts.NS}' id='m1'/></message>",
        ],
        "a@b/c",
    ),
    "pep.announce": Case(
        lambda client: pep.announce(client, [NODE], timeout=5),
        [str(INTERESTS.presence), "> " + QUESTION, str(disco.answer(xml(QUESTION), INTERESTS.info))],
        True,
    ),
    "pep.next_news": Case(
        lambda client: triggered(client, pep.next_news(client, timeout=5)),
        ["<presence/>", "> " + EVENT],
        pep.parse(xml(EVENT)),
    ),
    "pubsub.next_event": Case(
        lambda client: triggered(client, pubsub.next_event(client, timeout=5)),
        ["<presence/>", "> " + EVENT],
        pubsub.parse_event(xml(EVENT)),
    ),
    "blocking.next_change": Case(
        lambda client: triggered(client, blocking.next_change(client, timeout=5)),
        ["<presence/>", "> " + BLOCK, "<iq type='result' id='b1'/>"],
        blocking.Change("block", frozenset({"a@b"})),
    ),
}


async def triggered(client: Client, call: Awaitable[object]) -> object:
    """What a call returns that sends nothing, for something that the server sends after a presence."""
    waiting = asyncio.ensure_future(call)
    await asyncio.sleep(0)
    client.send_presence()
    return await waiting


def glance(value: object) -> object:
    """What is compared of the larger answers."""
    if isinstance(value, mam.Page):
        return value.messages[0].id
    return value.get("from") if isinstance(value, Element) else value


@pytest.mark.parametrize("mode", ["handled", "ignored", "received"])
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
async def test_it_gets_what_it_waits_for(embedded: EmbeddedServer, case: Case, mode: str) -> None:
    async with connect(1) as client:
        handled: list[str] = []
        if mode == "handled":
            for name in ("message", "presence", "iq"):
                client.on(name, lambda stanza: handled.append(f"{stanza.name} {stanza.get('id')}"))
        elif mode == "ignored":
            client.ignore()
        played = replay(embedded, case.lines.copy())
        waiting = [asyncio.ensure_future(client.receive("message", timeout=5)) for _ in range(mode == "received")]
        await asyncio.sleep(0)
        assert glance(await case.call(client)) == case.returns
        async with asyncio.timeout(30):
            while played.lines:
                await asyncio.sleep(0.001)
        refused = "<iq type='error' id='other' to='crow@localhost/tree'><error type='cancel'>"
        refused += "<service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>"
        played.lines += ["<presence type='away'/>", *OTHERS, *([] if mode == "handled" else [refused])]
        client.send_presence("away")
        async with asyncio.timeout(30):
            while played.lines or (mode == "handled" and len(handled) < 3):
                await asyncio.sleep(0.001)
        played.done()
        assert handled == (["message other", "presence other", "iq other"] if mode == "handled" else [])
        for task in waiting:
            assert (await task).get("id") == "other"
