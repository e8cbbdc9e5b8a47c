"""What a stream means, by an independent parser (ElementTree) that is given the whole document at once."""

from xml.etree import ElementTree

from amoc.xmpp import Element

XML = "{http://www.w3.org/XML/1998/namespace}"


def stanzas_of(stream: bytes) -> list[Element]:
    """The children of the stream's root."""
    return [_element(child) for child in ElementTree.fromstring(stream)]


def _element(source: "ElementTree.Element[str]") -> Element:
    ns, _, name = source.tag[1:].partition("}") if source.tag[0] == "{" else ("", "", source.tag)
    attrs = {key.replace(XML, "xml:"): value for key, value in source.attrib.items()}
    element = Element(name, attrs)
    element.ns = ns
    if source.text:
        element.add(source.text)
    for child in source:
        element.add(_element(child))
        if child.tail:
            element.add(child.tail)
    return element
