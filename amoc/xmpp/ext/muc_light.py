"""MUC Light, MongooseIM's group chat without presence (its documentation: "MUC Light", urn:xmpp:muclight:0).

    await muc_light.create(client, "nest@muclight.localhost", {"roomname": "Nest"}, {"user_2@localhost": "member"})
    client.send(muc_light.message("nest@muclight.localhost", "caw"))
    talk = muc_light.parse_message(stanza)         # RoomMessage(sender="user_1@localhost", body="caw", …)
    notice = muc_light.parse_notice(stanza)        # who came or left, what was configured, or None
    info = await muc_light.info(client, "nest@muclight.localhost")
    await muc_light.set_affiliations(client, "nest@muclight.localhost", {"user_2@localhost": "none"})

Nobody joins: occupants are put into a room by others, and stay until they leave or are removed, online or not.
There are owners and members, by their bare addresses. Before the answer to a change everybody concerned gets a
message about it. Refusals are IqErrors: conflict (the room exists), item-not-found (not an occupant),
not-allowed, bad-request. A room's archive is read with `mam`; it has the notices, too:

    for archived in (await mam.last(client, 10, to="nest@muclight.localhost")).messages:
        talk = muc_light.parse_message(archived.message, archived=True)
"""

import itertools
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from amoc.xmpp.core.element import Element
from amoc.xmpp.core.escape import escape
from amoc.xmpp.core.jid import bare, normal
from amoc.xmpp.errors import IqError
from amoc.xmpp.ext import disco
from amoc.xmpp.ext.session import WAIT, BadAnswer, Session, child_of, names_user, waited

__all__ = [
    "NS",
    "Blocking",
    "Info",
    "Notice",
    "RoomItem",
    "RoomMessage",
    "affiliations",
    "block",
    "blocking",
    "configuration",
    "configure",
    "create",
    "create_unique",
    "destroy",
    "info",
    "leave",
    "message",
    "parse_message",
    "parse_notice",
    "rooms",
    "set_affiliations",
    "unblock",
]

NS = "urn:xmpp:muclight:0"
CREATE, DESTROY, INFO = f"{NS}#create", f"{NS}#destroy", f"{NS}#info"
CONFIGURATION, AFFILIATIONS, BLOCKING = f"{NS}#configuration", f"{NS}#affiliations", f"{NS}#blocking"

_ids = itertools.count(1)
_PREFIX = f"light-{secrets.token_hex(4)}-"


@dataclass(frozen=True, slots=True)
class Info:
    """What a room says of itself; of the two mappings those that were asked for are filled.

    `configuration`: option to value ("roomname", "subject", …); `occupants`: bare address to "owner" or "member".
    """

    version: str
    configuration: Mapping[str, str]
    occupants: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class RoomItem:
    """A room that the user occupies."""

    jid: str
    name: str
    version: str


@dataclass(frozen=True, slots=True)
class RoomMessage:
    """What the occupant `sender`, a bare address, has said in a room."""

    room: str
    sender: str
    id: str
    body: str


@dataclass(frozen=True, slots=True)
class Notice:
    """What a room tells its occupants: affiliations that changed, options that changed, or that it is gone.

    `previous` is the version before, "" for newcomers, who are told only of themselves.
    """

    room: str
    version: str
    previous: str
    affiliations: Mapping[str, str]
    configuration: Mapping[str, str]
    destroyed: bool


@dataclass(frozen=True, slots=True)
class Blocking:
    """Who may not put the user into rooms, and the rooms it may not be put into."""

    rooms: tuple[str, ...]
    users: tuple[str, ...]


# -- rooms -------------------------------------------------------------------------------------------


@names_user
async def create(
    session: Session,
    room: str,
    configuration: Mapping[str, str] | None = None,
    occupants: Mapping[str, str] | None = None,
    *,
    timeout: float | None = None,
) -> None:
    """Make a room with these options, and with these other occupants. Raises IqError (conflict, …), IqTimeout."""
    await session.iq("set", room, _creation(configuration, occupants), timeout=timeout)


@names_user
async def create_unique(
    session: Session,
    service: str,
    configuration: Mapping[str, str] | None = None,
    occupants: Mapping[str, str] | None = None,
    *,
    timeout: float | None = None,
) -> str:
    """Make a room whose address the service chooses, and return that. Raises IqError, ReceiveTimeout, BadAnswer.

    The answer comes from an address that is not known before. It is taken ahead of any handler, as is the room's
    first notice.
    """
    ident = f"{_PREFIX}{next(_ids)}"
    domain = normal(service)

    def belongs(stanza: Element) -> bool:
        sender = normal(bare(stanza.get("from", "")))
        return stanza.get("id") == ident and sender.rpartition("@")[2] == domain

    seconds = WAIT if timeout is None else timeout
    room = ""
    with session.collect(belongs) as answers:
        session.send(Element("iq", {"type": "set", "to": service, "id": ident}, _creation(configuration, occupants)))
        while True:
            stanza = await waited(answers.get(seconds), f"{service} did not say that there is a new room", seconds)
            sender = bare(stanza.get("from", ""))
            room = sender if "@" in sender else room
            if stanza.get("type") == "error":
                raise IqError(stanza, asked="query")
            if stanza.name == "iq":
                break
    if not room:
        raise BadAnswer(stanza, "no address of the new room")
    return room


@names_user
async def destroy(session: Session, room: str, *, timeout: float | None = None) -> None:
    """End the room; only owners may. Raises IqError, IqTimeout."""
    await session.iq("set", room, Element(f"{{{DESTROY}}}query"), timeout=timeout)


@names_user
async def rooms(session: Session, service: str, *, timeout: float | None = None) -> tuple[RoomItem, ...]:
    """The rooms that the user occupies. Raises IqError, IqTimeout, BadAnswer."""
    answer = await session.iq("get", service, Element(f"{{{disco.ITEMS}}}query"), timeout=timeout)
    return tuple(
        RoomItem(item.get("jid", ""), item.get("name", ""), item.get("version", ""))
        for item in child_of(answer, "query", disco.ITEMS).find_all("item")
    )


@names_user
async def configuration(session: Session, room: str, version: str = "", *, timeout: float | None = None) -> Info | None:
    """The options of a room; None if the room is still at `version`. Raises IqError, IqTimeout, BadAnswer."""
    query = await _ask(session, room, CONFIGURATION, version, timeout)
    return None if query is None else Info(_version(query), _options(query), MappingProxyType({}))


@names_user
async def affiliations(session: Session, room: str, version: str = "", *, timeout: float | None = None) -> Info | None:
    """The occupants of a room; None if the room is still at `version`. Raises IqError, IqTimeout, BadAnswer."""
    query = await _ask(session, room, AFFILIATIONS, version, timeout)
    return None if query is None else Info(_version(query), MappingProxyType({}), _users(query))


@names_user
async def info(session: Session, room: str, version: str = "", *, timeout: float | None = None) -> Info | None:
    """Options and occupants; None if the room is still at `version`. Raises IqError, IqTimeout, BadAnswer."""
    query = await _ask(session, room, INFO, version, timeout)
    if query is None:
        return None
    return Info(_version(query), _options(query.find("configuration")), _users(query.find("occupants")))


@names_user
async def configure(session: Session, room: str, changes: Mapping[str, str], *, timeout: float | None = None) -> None:
    """Change these options, "subject" among them; the others stay. Raises IqError, IqTimeout."""
    query = Element(f"{{{CONFIGURATION}}}query", *_settings(changes))
    await session.iq("set", room, query, timeout=timeout)


@names_user
async def set_affiliations(
    session: Session, room: str, changes: Mapping[str, str], *, timeout: float | None = None
) -> None:
    """Put users into the room ("member", "owner") or out of it ("none"), all or none. Raises IqError, IqTimeout."""
    query = Element(f"{{{AFFILIATIONS}}}query", *_occupants(changes))
    await session.iq("set", room, query, timeout=timeout)


@names_user
async def leave(session: Session, room: str, *, timeout: float | None = None) -> None:
    """Leave the room. Raises IqError, IqTimeout."""
    await set_affiliations(session, room, {bare(session.jid): "none"}, timeout=timeout)


# -- blocking ----------------------------------------------------------------------------------------


@names_user
async def blocking(session: Session, service: str, *, timeout: float | None = None) -> Blocking:
    """What the user has blocked. Raises IqError, IqTimeout, BadAnswer."""
    answer = await session.iq("get", service, Element(f"{{{BLOCKING}}}query"), timeout=timeout)
    query = child_of(answer, "query", BLOCKING)
    denied = {
        kind: tuple(item.text.strip() for item in query.find_all(kind) if item.get("action") == "deny")
        for kind in ("room", "user")
    }
    return Blocking(denied["room"], denied["user"])


@names_user
async def block(
    session: Session,
    service: str,
    *,
    rooms: Iterable[str] = (),
    users: Iterable[str] = (),
    timeout: float | None = None,
) -> None:
    """Never be put into these rooms, nor by these users. Who tries it is not told. Raises IqError, IqTimeout."""
    await session.iq("set", service, _blocking("deny", rooms, users), timeout=timeout)


@names_user
async def unblock(
    session: Session,
    service: str,
    *,
    rooms: Iterable[str] = (),
    users: Iterable[str] = (),
    timeout: float | None = None,
) -> None:
    """Take these from the list, be they on it or not. Raises IqError, IqTimeout."""
    await session.iq("set", service, _blocking("allow", rooms, users), timeout=timeout)


# -- messages ----------------------------------------------------------------------------------------


def message(room: str, body: str, id: str = "") -> str:
    """A message to all occupants, the sender included."""
    ident = f" id='{escape(id)}'" if id else ""
    return f"<message to='{escape(room)}' type='groupchat'{ident}><body>{escape(body)}</body></message>"


def parse_message(stanza: Element, *, archived: bool = False) -> RoomMessage | None:
    """What an occupant has said; None when the stanza is something else, such as a notice or an error.

    `archived`: it comes from the archive of a room, where messages need no type.
    """
    attrs = stanza.attrs
    if stanza.name != "message" or not _is_groupchat(stanza, archived):
        return None
    room, _, sender = attrs.get("from", "").partition("/")
    if not sender:
        return None
    return RoomMessage(room, sender, attrs.get("id", ""), stanza.findtext("body", default=""))


def parse_notice(stanza: Element, *, archived: bool = False) -> Notice | None:
    """What a room tells; None when the stanza is something else. `archived` as in `parse_message`."""
    sender = stanza.get("from", "")
    if stanza.name != "message" or not _is_groupchat(stanza, archived) or "/" in sender:
        return None
    users, options = stanza.find("x", AFFILIATIONS), stanza.find("x", CONFIGURATION)
    destroyed = stanza.find("x", DESTROY) is not None
    about = users if users is not None else options
    if about is None and not destroyed:
        return None
    return Notice(
        room=sender,
        version=_version(about),
        previous="" if about is None else about.findtext("prev-version", default=""),
        affiliations=_users(users),
        configuration=_options(options),
        destroyed=destroyed,
    )


# -- inside ------------------------------------------------------------------------------------------


async def _ask(session: Session, room: str, ns: str, version: str, timeout: float | None) -> Element | None:
    content = Element("version", version) if version else Element("version")
    answer = await session.iq("get", room, Element(f"{{{ns}}}query", content), timeout=timeout)
    return child_of(answer, "query", ns) if list(answer) or not version else None


def _is_groupchat(stanza: Element, archived: bool) -> bool:
    return stanza.attrs.get("type", "groupchat" if archived else "") == "groupchat"


def _version(element: Element | None) -> str:
    return "" if element is None else element.findtext("version", default="")


def _options(element: Element | None) -> Mapping[str, str]:
    reserved = ("version", "prev-version")  # these names are kept free for versions
    items = [] if element is None else [item for item in element if item.name not in reserved]
    return MappingProxyType({item.name: item.text for item in items})


def _users(element: Element | None) -> Mapping[str, str]:
    items = [] if element is None else element.find_all("user")
    return MappingProxyType({item.text.strip(): item.get("affiliation", "") for item in items})


def _occupants(users: Mapping[str, str]) -> Iterable[Element]:
    return (Element("user", {"affiliation": affiliation}, jid) for jid, affiliation in users.items())


def _settings(options: Mapping[str, str]) -> Iterable[Element]:
    return (Element(name, value) for name, value in options.items())


def _creation(configuration: Mapping[str, str] | None, occupants: Mapping[str, str] | None) -> Element:
    query = Element(f"{{{CREATE}}}query")
    if configuration:
        query.add(Element("configuration", *_settings(configuration)))
    if occupants:
        query.add(Element("occupants", *_occupants(occupants)))
    return query


def _blocking(action: str, rooms: Iterable[str], users: Iterable[str]) -> Element:
    return Element(
        f"{{{BLOCKING}}}query",
        *(Element("room", {"action": action}, jid) for jid in rooms),
        *(Element("user", {"action": action}, jid) for jid in users),
    )
