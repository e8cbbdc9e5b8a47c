"""Data forms: read as servers send them, filled in as they want them."""

from amoc.xmpp import Element
from amoc.xmpp.ext import forms
from tests.unit.xmpp.ext.replay import xml

FORM = xml(
    """<iq type='result'><x xmlns='jabber:x:data' type='form'>
    <title>A room</title><instructions>First</instructions><instructions>then</instructions>
    <field var='FORM_TYPE' type='hidden'><value>urn:example:room</value></field>
    <field var='name' label='Its name'><required/><value>the &lt;nest&gt;</value></field>
    <field var='who' type='list-single'><value>all</value>
      <option label='All'><value>all</value></option><option><value>none</value></option></field>
    <field var='owners' type='jid-multi'><value>a@b</value><value>c@d</value></field>
    <field var='empty' type='text-single'/></x></iq>"""
)


def test_a_form_is_read() -> None:
    form = forms.find(FORM)
    assert form is not None
    assert (form.type, form.title, form.instructions) == ("form", "A room", "First\nthen")
    assert form.form_type == "urn:example:room"
    assert form.get("name") == "the <nest>"
    assert form.fields["name"].required
    assert not form.fields["who"].required
    assert form.fields["who"].options == ("all", "none")
    assert form.fields["owners"].values == ("a@b", "c@d")
    assert (form.get("empty"), form.get("absent"), form.get("absent", "x")) == ("", "", "x")


def test_no_form() -> None:
    assert forms.find(xml("<iq><x xmlns='jabber:x:other'/></iq>")) is None


def test_what_is_submitted_can_be_read() -> None:
    element = forms.submit({"a": "<&>", "on": True, "off": False, "n": 7, "many": ["x", "y"], "none": []}, "urn:t")
    form = forms.parse(xml(str(element)))
    assert form.type == "submit"
    assert form.form_type == "urn:t"
    values = {name: field.values for name, field in form.fields.items() if name != "FORM_TYPE"}
    assert values == {"a": ("<&>",), "on": ("1",), "off": ("0",), "n": ("7",), "many": ("x", "y"), "none": ()}
    assert forms.submit({}) == Element("{jabber:x:data}x", {"type": "submit"})
    assert str(forms.cancel()) == "<x xmlns='jabber:x:data' type='cancel'/>"


TABLE = xml(
    """<x xmlns='jabber:x:data' type='result'><title>Services</title>
    <field var='FORM_TYPE' type='hidden'><value>urn:example:services</value></field>
    <reported><field var='service' label='Service'/><field var='run-level' label='When' type='text-multi'/></reported>
    <item><field var='service'><value>httpd &amp; co</value></field>
      <field var='run-level'><value>3</value><value>5</value></field></item>
    <item><field var='service'><value>postgres</value></field></item><item/></x>"""
)


def test_a_table_is_read() -> None:
    table = forms.parse(TABLE)
    assert (table.type, table.title, table.form_type) == ("result", "Services", "urn:example:services")
    assert set(table.fields) == {"FORM_TYPE"}
    assert [(column.name, column.label, column.type) for column in table.columns.values()] == [
        ("service", "Service", "text-single"),
        ("run-level", "When", "text-multi"),
    ]
    assert [{name: field.values for name, field in row.items()} for row in table.rows] == [
        {"service": ("httpd & co",), "run-level": ("3", "5")},
        {"service": ("postgres",)},
        {},
    ]
    assert table.rows[0]["service"].value == "httpd & co"


def test_a_form_is_no_table() -> None:
    form = forms.find(FORM)
    assert form is not None
    assert (form.columns, form.rows) == ({}, ())
