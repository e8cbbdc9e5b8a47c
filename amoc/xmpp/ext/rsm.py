"""Result set management, XEP-0059 1.0: a part of a long list, and where in the list it lies. Pure: no I/O.

query.add(rsm.request(max=10, before=""))      # the last ten
part = rsm.parse(query)                        # Part(first=…, last=…, count=…)
query.add(rsm.request(max=10, before=part.first))
"""

from dataclasses import dataclass

from amoc.xmpp.core.element import Element
from amoc.xmpp.ext.session import number

__all__ = ["NS", "Part", "parse", "request"]

NS = "http://jabber.org/protocol/rsm"


@dataclass(frozen=True, slots=True)
class Part:
    """Where a part of a list lies.

    `first` and `last` identify its ends, "" when it is empty; `index` is the place of the first in the list and
    `count` the length of the list, None when who answered does not say: both may be estimates.
    """

    first: str = ""
    last: str = ""
    index: int | None = None
    count: int | None = None


def request(
    *, max: int | None = None, after: str | None = None, before: str | None = None, index: int | None = None
) -> Element:
    """What part of a list is wanted: at most `max` of those after or before an item; `before=""`: the last ones."""
    element = Element(f"{{{NS}}}set")
    for name, value in (("max", max), ("index", index), ("after", after), ("before", before)):
        if value is not None:
            element.add(Element(name, *([str(value)] if value != "" else ())))
    return element


def parse(parent: Element) -> Part:
    """The `<set/>` in an answer; an empty Part if there is none. Raises BadAnswer when numbers are none."""
    element = parent.find("set", NS)
    if element is None:
        return Part()
    first = element.find("first", NS)
    return Part(
        first=first.text if first is not None else "",
        last=element.findtext("last", NS, default=""),
        index=number(parent, first.get("index")) if first is not None else None,
        count=number(parent, element.findtext("count", NS)),
    )
