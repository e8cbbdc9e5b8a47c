"""vCards, XEP-0054 1.3 (vcard-temp): who a user is.

    await vcard.publish(client, vcard.VCard(full_name="A Crow", nickname="crow", photo=png, photo_type="image/png"))
    card = await vcard.fetch(client, "user_2@localhost")
    card.full_name, card.element                       # the element holds all that has no field here

Servers that keep vCards in personal eventing (Prosody) translate, and drop what they cannot.
"""

import base64
from dataclasses import dataclass

from amoc.xmpp.core.element import Element
from amoc.xmpp.ext.session import BadAnswer, Session, child_of, names_user

__all__ = ["NS", "VCard", "build", "fetch", "parse", "publish"]

NS = "vcard-temp"


@dataclass(frozen=True, slots=True)
class VCard:
    """What a vCard says of somebody; what it does not say is "".

    `photo` are the bytes of an image. `element` is the vCard as it came; it is not looked at when one is published.
    """

    full_name: str = ""
    nickname: str = ""
    email: str = ""
    url: str = ""
    birthday: str = ""
    description: str = ""
    photo: bytes = b""
    photo_type: str = ""
    element: Element | None = None


# field of VCard: element of the vCard
_TEXTS = {"full_name": "FN", "nickname": "NICKNAME", "url": "URL", "birthday": "BDAY", "description": "DESC"}


@names_user
async def fetch(session: Session, jid: str | None = None, *, timeout: float | None = None) -> VCard:
    """The vCard of `jid`, or the user's own.

    Where there is none, servers give an empty one, or an IqError item-not-found. Raises IqTimeout, BadAnswer, too.
    """
    return parse(await session.iq("get", jid, Element(f"{{{NS}}}vCard"), timeout=timeout))


@names_user
async def publish(session: Session, card: VCard | Element, *, timeout: float | None = None) -> None:
    """Replace the user's own vCard by this one, or by an element made by hand. Raises IqError, IqTimeout."""
    await session.iq("set", None, build(card) if isinstance(card, VCard) else card, timeout=timeout)


def build(card: VCard) -> Element:
    """The element that says what `card` says."""
    element = Element(f"{{{NS}}}vCard")
    for field, name in _TEXTS.items():
        text = getattr(card, field)
        if text:
            element.add(Element(name, text))
    if card.email:
        element.add(Element("EMAIL", Element("INTERNET"), Element("USERID", card.email)))
    if card.photo:
        image = Element("BINVAL", base64.b64encode(card.photo).decode())
        element.add(Element("PHOTO", Element("TYPE", card.photo_type or "image/png"), image))
    return element


def parse(answer: Element) -> VCard:
    """The vCard in an iq. Raises BadAnswer when there is none, or a photo that is no base64."""
    element = child_of(answer, "vCard", NS)
    texts = {field: element.findtext(name, default="") for field, name in _TEXTS.items()}
    email = element.find("EMAIL")
    photo = element.find("PHOTO")
    try:
        text = "" if photo is None else "".join(photo.findtext("BINVAL", default="").split())
        image = base64.b64decode(text, validate=True)
    except ValueError as error:
        raise BadAnswer(answer, f"a photo that is no base64 ({error})") from None
    return VCard(
        **texts,
        email="" if email is None else email.findtext("USERID", default=""),
        photo=image,
        photo_type="" if photo is None else photo.findtext("TYPE", default=""),
        element=element,
    )
