"""Software version and entity time, both ways; client states."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from amoc.xmpp import Element, connect
from amoc.xmpp.ext import csi, time, version
from amoc.xmpp.ext.session import BadAnswer
from amoc.xmpp.ext.time import Time
from amoc.xmpp.ext.version import Version
from amoc.xmpp.server import EmbeddedServer
from tests.unit.xmpp.ext.replay import replay, xml


def iq(content: str) -> Element:
    return xml(f"<iq type='result' id='1'>{content}</iq>")


def clock(zone: str = "", utc: str = "") -> Element:
    return iq(f"<time xmlns='urn:xmpp:time'>{zone and f'<tzo>{zone}</tzo>'}{utc and f'<utc>{utc}</utc>'}</time>")


@pytest.mark.parametrize(
    ("zone", "offset"),
    [
        ("+01:00", timedelta(hours=1)),
        ("-03:30", -timedelta(hours=3, minutes=30)),
        ("Z", timedelta()),
        ("+00:00", timedelta()),
        (" -00:30 ", -timedelta(minutes=30)),
    ],
)
def test_a_time(zone: str, offset: timedelta) -> None:
    assert time.parse(clock(zone, "2026-11-24T03:15:00Z")) == Time(datetime(2026, 11, 24, 3, 15, tzinfo=UTC), offset)


@pytest.mark.parametrize(
    "answer",
    [
        iq(""),
        clock("+01:00"),
        clock("", "2026-11-24T03:15:00Z"),
        clock("CET", "2026-11-24T03:15:00Z"),
        clock("+1", "2026-11-24T03:15:00Z"),
        clock("+01:00", "soon"),
        clock("+01:00", "2026-11-24T03:15:00"),
    ],
)
def test_what_is_no_time(answer: Element) -> None:
    with pytest.raises(BadAnswer, match="answered with"):
        time.parse(answer)


@pytest.mark.parametrize("offset", [timedelta(), timedelta(hours=5, minutes=45), -timedelta(hours=3, minutes=30)])
def test_a_time_there_and_back(offset: timedelta) -> None:
    now = datetime(2026, 11, 24, 3, 15, tzinfo=timezone(offset))
    answer = time.answer(xml("<iq type='get' id='t1' from='a@b/c'><time xmlns='urn:xmpp:time'/></iq>"), now)
    assert (answer.get("type"), answer.get("id"), answer.get("to")) == ("result", "t1", "a@b/c")
    assert time.parse(xml(str(answer))) == Time(now.astimezone(UTC), offset)
    with pytest.raises(ValueError, match="no time zone"):
        time.answer(answer, datetime(2026, 11, 24))


def test_requests() -> None:
    asks_time = xml("<iq type='get' id='1'><time xmlns='urn:xmpp:time'/></iq>")
    asks_version = xml("<iq type='get' id='1'><query xmlns='jabber:iq:version'/></iq>")
    assert time.is_request(asks_time)
    assert version.is_request(asks_version)
    assert not version.is_request(asks_time)
    assert not time.is_request(asks_version)
    assert not time.is_request(clock("Z"))


@pytest.mark.parametrize("own", [Version("amoc", "0.1.0"), Version("<amoc>", "&", "Linux"), Version("")])
def test_a_version_there_and_back(own: Version) -> None:
    request = xml("<iq type='get' id='v1'><query xmlns='jabber:iq:version'/></iq>")
    answer = version.answer(request, own)
    assert answer.attrs == {"type": "result", "id": "v1"}
    assert version.parse(xml(str(answer))) == own


def test_no_version() -> None:
    with pytest.raises(BadAnswer, match="jabber:iq:version"):
        version.parse(iq(""))


async def test_the_calls(embedded: EmbeddedServer) -> None:
    played = replay(
        embedded,
        [
            "<iq type='get' id='*' to='localhost'><query xmlns='jabber:iq:version'/></iq>",
            "> <iq type='result' id='*' from='localhost'>"
            "<query xmlns='jabber:iq:version'><name>crowd</name></query></iq>",
            "<iq type='get' id='*'><time xmlns='urn:xmpp:time'/></iq>",
            "> <iq type='result' id='*'>"
            "<time xmlns='urn:xmpp:time'><tzo>Z</tzo><utc>2026-11-24T03:15:00Z</utc></time></iq>",
        ],
    )
    async with connect(1) as client:
        assert await version.version(client, "localhost") == Version("crowd")
        assert (await time.time(client)).utc.year == 2026
    played.done()


async def test_two_users_ask_each_other(embedded: EmbeddedServer) -> None:
    async with connect(1) as one, connect(2) as two:
        two.on("iq", lambda stanza: two.send(version.answer(stanza, Version("amoc", "0.1.0"))))
        assert await version.version(one, two.jid) == Version("amoc", "0.1.0")


def test_client_states() -> None:
    assert csi.ACTIVE == b"<active xmlns='urn:xmpp:csi:0'/>"
    assert csi.INACTIVE == b"<inactive xmlns='urn:xmpp:csi:0'/>"
