"""Data forms (XEP-0004, version 2.13), which other extensions ask and answer with. Pure: no I/O.

    form = forms.find(answer)
    form.get("muc#roomconfig_roomname"), form.fields["muc#roomconfig_publicroom"].options
    forms.submit({"muc#roomconfig_persistentroom": True}, "http://jabber.org/protocol/muc#roomconfig")

Results may be tables (section 3.4): `form.columns` says what is in each of `form.rows`.

    for row in form.rows:
        print(row["jid"].value, row["groups"].values)
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from amoc.xmpp.core.element import Element

__all__ = ["NS", "Field", "Form", "Value", "cancel", "find", "parse", "submit"]

NS = "jabber:x:data"

Value = str | bool | int | Iterable[str]
"""What a field may be given: True and False become 1 and 0."""


@dataclass(frozen=True, slots=True)
class Field:
    """One field: `type` as in section 3.3 ("text-single" if it says nothing), the values it has, and its options."""

    name: str
    type: str
    label: str
    values: tuple[str, ...]
    options: tuple[str, ...]
    required: bool

    @property
    def value(self) -> str:
        """The first value, "" if there is none."""
        return self.values[0] if self.values else ""


@dataclass(frozen=True, slots=True)
class Form:
    """A form, its fields by their names. `type` is form, submit, result or cancel.

    `columns` are the fields that each of `rows` has, if it is a table; a row's fields have only names and values.
    """

    type: str
    title: str
    instructions: str
    fields: Mapping[str, Field]
    columns: Mapping[str, Field] = field(default_factory=lambda: MappingProxyType({}))
    rows: tuple[Mapping[str, Field], ...] = ()

    @property
    def form_type(self) -> str:
        """What its fields belong to (XEP-0068), "" if it does not say."""
        return self.get("FORM_TYPE")

    def get(self, name: str, default: str = "") -> str:
        """The first value of a field, `default` if there is no such field."""
        found = self.fields.get(name)
        return default if found is None else found.value


def parse(element: Element) -> Form:
    """What the `<x xmlns='jabber:x:data'/>` says."""
    reported = element.find("reported", NS)
    return Form(
        type=element.get("type", "form"),
        title=element.findtext("title", NS, default=""),
        instructions="\n".join(line.text for line in element.find_all("instructions", NS)),
        fields=_fields(element),
        columns=MappingProxyType({}) if reported is None else _fields(reported),
        rows=tuple(map(_fields, element.find_all("item", NS))),
    )


def find(parent: Element) -> Form | None:
    """The form among the children of `parent`."""
    element = parent.find("x", NS)
    return None if element is None else parse(element)


def submit(values: Mapping[str, Value], form_type: str = "") -> Element:
    """The form to send in answer; `form_type` is the value of the hidden field FORM_TYPE."""
    form = Element(f"{{{NS}}}x", {"type": "submit"})
    if form_type:
        form.add(Element("field", {"var": "FORM_TYPE", "type": "hidden"}, Element("value", form_type)))
    for name, value in values.items():
        form.add(Element("field", {"var": name}, *(Element("value", text) for text in _texts(value))))
    return form


def cancel() -> Element:
    """The form to send when nothing is to be submitted."""
    return Element(f"{{{NS}}}x", {"type": "cancel"})


def _fields(parent: Element) -> Mapping[str, Field]:
    return MappingProxyType({item.get("var", ""): _field(item) for item in parent.find_all("field", NS)})


def _field(item: Element) -> Field:
    return Field(
        name=item.get("var", ""),
        type=item.get("type", "text-single"),
        label=item.get("label", ""),
        values=tuple(value.text for value in item.find_all("value", NS)),
        options=tuple(option.findtext("value", NS, default="") for option in item.find_all("option", NS)),
        required=item.find("required", NS) is not None,
    )


def _texts(value: Value) -> Iterable[str]:
    if isinstance(value, bool):
        return ("1" if value else "0",)
    if isinstance(value, str):
        return (value,)
    return (str(value),) if isinstance(value, int) else value
