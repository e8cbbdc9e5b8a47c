"""The light element and escaping."""

from xml.etree import ElementTree

import pytest

from amoc.xmpp import Element, InvalidXml, escape
from amoc.xmpp.core.parser import StreamParser
from tests.unit.xmpp.samples import OPEN, STANZAS


def parsed(text: str) -> Element:
    parser = StreamParser()
    element = parser.feed((OPEN + text).encode())[1]
    assert isinstance(element, Element)
    return element


def test_building_and_looking() -> None:
    message = Element(
        "message", {"to": "a@b", "type": "chat", "id": None}, Element("body", "hi"), Element("body", "ho")
    )
    message.add(Element("{urn:x}body", {"xml:lang": "de"}, "x", Element("y"), "z"))
    assert message.get("to") == "a@b"
    assert message.get("id") is None
    assert message.get("id", "none") == "none"
    assert [child.text for child in message] == ["hi", "ho", "xz"]
    first, other = message.find("body"), message.find("body", "urn:x")
    assert first is not None
    assert other is not None
    assert (first.text, other.text) == ("hi", "xz")
    assert other.get("xml:lang") == "de"
    assert message.findtext("body") == "hi"
    assert message.findtext("body", "urn:x") == "xz"
    assert message.findtext("subject") is None
    assert message.findtext("subject", default="") == ""
    assert len(message.find_all("body")) == 3
    assert len(message.find_all("body", "urn:x")) == 1
    assert message.find("subject") is None
    assert Element("a").text == Element("a", Element("b")).text == ""


def test_writing() -> None:
    stanza = Element("iq", {"type": "get"}, Element("{urn:xmpp:ping}ping"))
    assert str(stanza) == "<iq type='get'><ping xmlns='urn:xmpp:ping'/></iq>"
    assert stanza.encode() == str(stanza).encode()
    nested = Element("a", Element("{urn:1}b", Element("c"), Element("{urn:1}d"), Element("{urn:2}e"), Element("{}f")))
    assert str(nested) == "<a><b xmlns='urn:1'><c/><d/><e xmlns='urn:2'/><f xmlns=''/></b></a>"
    assert str(Element("a", {"{urn:1}x": "1", "{urn:2}x": "2", "x": "3", "xml:lang": "en"})) == (
        "<a xmlns:a0='urn:1' a0:x='1' xmlns:a1='urn:2' a1:x='2' x='3' xml:lang='en'/>"
    )
    assert repr(Element("a", "b")) == "<Element <a>b</a>>"


@pytest.mark.parametrize("text", STANZAS)
def test_what_is_read_can_be_written_and_read_again(text: str) -> None:
    element = parsed(text)
    again = parsed(str(element))
    assert again == element
    assert again != parsed("<other/>")
    assert element != text


@pytest.mark.parametrize("text", ["", "plain", "a < b & c > d", "'\"", "line\r\nline\ttab", "]]>", "é\U0001f426"])
def test_escaping_survives_any_parser(text: str) -> None:
    document = f"<a one='{escape(text)}' two=\"{escape(text)}\">{escape(text)}</a>"
    element = ElementTree.fromstring(document)
    assert (element.get("one"), element.get("two"), element.text or "") == (text, text, text)


@pytest.mark.parametrize("char", ["\x00", "\x08", "\x0b", "\x1f", "\ud800", "\ufffe", "\uffff"])
def test_what_xml_cannot_carry_is_refused(char: str) -> None:
    with pytest.raises(InvalidXml, match=f"U\\+{ord(char):04X} at position 2 "):
        escape(f"ab{char}")
    with pytest.raises(ValueError, match="cannot be sent"):
        str(Element("a", {"b": char}))


@pytest.mark.parametrize("name", ["", "a b", "1a", "a:b", "<a>", "a'", "{urn:x}", "-a", "a\x00"])
def test_impossible_names_are_refused(name: str) -> None:
    with pytest.raises(InvalidXml):
        Element(name)
    with pytest.raises(InvalidXml):
        Element("a", {name: "b"})


def test_elements_are_equal_by_what_they_say_and_not_hashable() -> None:
    assert parsed("<a b='1' c='2'>x</a>") == parsed('<a c="2" b="1">x</a>')
    assert parsed("<a/>") != parsed("<a xmlns='urn:x'/>")
    with pytest.raises(TypeError):
        hash(Element("a"))
