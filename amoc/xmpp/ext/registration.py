"""In-band registration, XEP-0077 2.4, of a user that is logged in: its fields, another password, the end.

    await registration.change_password(client, "new secret")
    await registration.remove(client)           # the account is gone, and so is the session

An account is made before there is a session: `amoc.xmpp.register(user_id)`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from amoc.xmpp.core.element import Element
from amoc.xmpp.core.jid import bare, local
from amoc.xmpp.core.registration import NS, query
from amoc.xmpp.errors import StreamError
from amoc.xmpp.ext import forms
from amoc.xmpp.ext.session import Session, child_of, names_user

__all__ = ["NS", "Fields", "change_password", "fields", "parse", "query", "remove"]


@dataclass(frozen=True, slots=True)
class Fields:
    """What a server (or service) wants to be told: `values` by their names, or a `form`, or both.

    `registered`: there is an account already, and these are its values.
    """

    registered: bool
    instructions: str
    values: Mapping[str, str]
    form: forms.Form | None


@names_user
async def fields(session: Session, to: str | None = None, *, timeout: float | None = None) -> Fields:
    """What the server, or a service such as a gateway, wants to be told. Raises IqError, IqTimeout, BadAnswer."""
    return parse(await session.iq("get", to, query({}), timeout=timeout))


@names_user
async def change_password(session: Session, password: str, *, timeout: float | None = None) -> None:
    """Give the account another password. Raises IqError (not-allowed, not-acceptable: too weak, …), IqTimeout."""
    content = query({"username": local(session.jid), "password": password})
    await session.iq("set", bare(session.jid).partition("@")[2], content, timeout=timeout)


@names_user
async def remove(session: Session, *, timeout: float | None = None) -> None:
    """Remove the account. The server ends the session then. Raises IqError (not-allowed, …), IqTimeout."""
    content = query({})
    content.add(Element("remove"))
    try:
        await session.iq("set", None, content, timeout=timeout)
    except StreamError as error:
        if error.condition != "not-authorized":  # that is how a session ends whose account is gone (3.2)
            raise


def parse(stanza: Element) -> Fields:
    """The fields in an iq. Raises BadAnswer."""
    content = child_of(stanza, "query", NS)
    special = ("registered", "instructions")
    return Fields(
        registered=content.find("registered", NS) is not None,
        instructions=content.findtext("instructions", NS, default=""),
        values=MappingProxyType(
            {child.name: child.text for child in content if child.ns == NS and child.name not in special}
        ),
        form=forms.find(content),
    )
