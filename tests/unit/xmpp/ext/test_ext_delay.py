"""Delayed delivery: stamps of many kinds, and what strangers put into a message."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amoc.xmpp import Element
from amoc.xmpp.ext import delay
from amoc.xmpp.ext.delay import Delay
from tests.unit.xmpp.ext.replay import xml


def delayed(*elements: str) -> Element:
    return xml(f"<message from='crow@localhost'><body>late</body>{''.join(elements)}</message>")


def test_a_stored_message() -> None:
    stanza = delayed("<delay xmlns='urn:xmpp:delay' from='localhost' stamp='2026-11-24T03:15:00Z'>Offline</delay>")
    assert delay.is_delayed(stanza)
    assert delay.parse(stanza) == Delay(datetime(2026, 11, 24, 3, 15, tzinfo=UTC), "localhost", "Offline")


def test_most_messages_are_not_delayed() -> None:
    for stanza in (delayed(), delayed("<delay xmlns='urn:example:other' stamp='2026-11-24T03:15:00Z'/>")):
        assert not delay.is_delayed(stanza)
        assert delay.parse(stanza) is None


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("2026-11-24T03:15:00.5Z", datetime(2026, 11, 24, 3, 15, 0, 500_000, UTC)),
        ("2026-11-24T03:15:00.123456Z", datetime(2026, 11, 24, 3, 15, 0, 123_456, UTC)),
        ("2026-11-24T03:15:00.123456789Z", datetime(2026, 11, 24, 3, 15, 0, 123_456, UTC)),
        ("2026-11-24T05:15:00+02:00", datetime(2026, 11, 24, 3, 15, tzinfo=UTC)),
        ("2026-11-23T22:15:00-05:00", datetime(2026, 11, 24, 3, 15, tzinfo=UTC)),
    ],
)
def test_times(text: str, time: datetime) -> None:
    parsed = delay.parse_time(text)
    assert parsed == time
    assert parsed.utcoffset() == timedelta(0)


BAD = ["", "yesterday", "2026-11-24", "2026-11-24T03:15:00", "20261124T031500Z", "2026-11-24 03:15:00Z",
       "2026-13-24T03:15:00Z", "2026-11-24T25:15:00Z", "2026-W48-2T03:15:00Z", "2026-11-24T03Z"]  # fmt: skip


@pytest.mark.parametrize("text", BAD)
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(ValueError, match=r"time|isoformat|month|hour"):
        delay.parse_time(text)
    assert delay.parse(delayed(f"<delay xmlns='urn:xmpp:delay' stamp='{text}'/>")) is None


def test_a_wrong_element_does_not_hide_a_good_one() -> None:
    wrong = "<delay xmlns='urn:xmpp:delay'/>"
    good = "<delay xmlns='urn:xmpp:delay' from='room@muc.localhost' stamp='2026-11-24T03:15:00Z'/>"
    found = delay.parse(delayed(wrong, good))
    assert found is not None
    assert found.by == "room@muc.localhost"


def test_one_who_stores_can_be_chosen() -> None:
    stanza = delayed(
        "<delay xmlns='urn:xmpp:delay' from='stranger@localhost' stamp='1999-01-01T00:00:00Z'/>",
        "<delay xmlns='urn:xmpp:delay' from='localhost' stamp='2026-11-24T03:15:00Z'/>",
    )
    found = delay.parse(stanza, by="localhost")
    assert found is not None
    assert found.stamp.year == 2026
    assert delay.parse(stanza, by="elsewhere.example") is None


@given(
    st.datetimes(
        timezones=st.timezones() | st.just(timezone(timedelta(hours=-3, minutes=30))),
        min_value=datetime(1000, 1, 2),
        max_value=datetime(9999, 12, 30),
    )
)
def test_any_time_there_and_back(time: datetime) -> None:
    stanza = Element("message", delay.element(time, "crow & co", "because <so>"))
    assert delay.parse(xml(str(stanza))) == Delay(time.astimezone(UTC), "crow & co", "because <so>")


def test_a_time_without_a_zone_is_not_sent() -> None:
    with pytest.raises(ValueError, match="no time zone"):
        delay.element(datetime(2026, 11, 24))
